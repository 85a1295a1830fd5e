"""Alert rules: valid, about metrics that exist and are emitted, each with a remedy."""

import ast
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import alert_pages
import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from heliograph.common import metrics

OURS = re.compile(r"\bheliograph_\w+")
RECORDED = re.compile(r"\bheliograph:[\w:]+")
SERIES = re.compile(r"(heliograph_\w+?)(?:_bucket|_count|_sum)?{(.*)}")
TESTS = ["tests/rules_test.yml", "tests/rules_days_test.yml"]
ADDED_BY_SCRAPING = {"service", "instance", "job", "le"}


def promtool() -> str:
    found = shutil.which("promtool")
    if not found:
        pytest.skip("promtool is not installed (package prometheus)")
    return found


@pytest.fixture(scope="module")
def rules(deploy: Path) -> list[dict[str, Any]]:
    loaded = yaml.safe_load((deploy / "prometheus" / "rules.yml").read_text(encoding="utf-8"))
    return [rule for group in loaded["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("what", [["check", "config", "prometheus.yml"], ["test", "rules", *TESTS]])
def test_promtool_is_content(deploy: Path, what: list[str]) -> None:
    done = subprocess.run(
        [promtool(), *what], cwd=deploy / "prometheus", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_and_page_are_those_of_the_table() -> None:
    told = "the alerts have changed: run `python deploy/alert_pages.py`"
    assert alert_pages.RULES.read_text(encoding="utf-8") == alert_pages.rules(), told
    assert alert_pages.PAGE.read_text(encoding="utf-8") == alert_pages.page(), told


def test_every_alert_is_tried(deploy: Path, rules: list[dict[str, Any]]) -> None:
    files = [yaml.safe_load((deploy / "prometheus" / path).read_text(encoding="utf-8")) for path in TESTS]
    fired = {
        case["alertname"]
        for file in files
        for t in file["tests"]
        for case in t.get("alert_rule_test", [])
        if case["exp_alerts"]
    }
    assert fired == {rule["alert"] for rule in rules if "alert" in rule}


def emitted(source: str) -> set[str]:
    """The metrics that a file counts, sets or observes: `metrics.NAME`, not merely in a text."""
    return {
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "metrics"
    }


def test_every_declared_metric_is_emitted(deploy: Path) -> None:
    root = deploy.parent
    files = [*root.glob("libs/*/heliograph/**/*.py"), *root.glob("services/*/heliograph/**/*.py")]
    found = set[str]().union(*(emitted(path.read_text(encoding="utf-8")) for path in files))
    declared = {name for name, metric in vars(metrics).items() if isinstance(metric, MetricWrapperBase)}
    assert declared - found == set()


def test_rules_are_about_metrics_that_exist(rules: list[dict[str, Any]], metric_names: set[str]) -> None:
    recorded = {rule["record"] for rule in rules if "record" in rule}
    for expression in [rule["expr"] for rule in rules]:
        assert set(OURS.findall(expression)) <= metric_names, expression
        assert set(RECORDED.findall(expression)) <= recorded, expression


def test_tried_series_have_the_labels_of_the_metric(deploy: Path) -> None:
    found = [m for m in vars(metrics).values() if isinstance(m, MetricWrapperBase)]
    declared = {m._name: set(m._labelnames) for m in found}
    text = "".join((deploy / "prometheus" / path).read_text(encoding="utf-8") for path in TESTS)
    series = SERIES.findall(text)
    assert series
    for name, labels in series:
        given = set(re.findall(r"(\w+)=", labels))
        assert given - ADDED_BY_SCRAPING <= declared[name.removesuffix("_total")], name


def test_each_alert_says_what_and_what_to_do(rules: list[dict[str, Any]]) -> None:
    alerts = [rule for rule in rules if "alert" in rule]
    assert len({rule["alert"] for rule in alerts}) == len(alerts) >= 10
    for rule in alerts:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["remedy"].endswith(".")


def test_every_service_is_watched(deploy: Path, rules: list[dict[str, Any]], services: list[str]) -> None:
    config = yaml.safe_load((deploy / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = [job for job in config["scrape_configs"] if job["job_name"] == "heliograph"]
    assert sorted(job["dns_sd_configs"][0]["names"]) == services
    (missing,) = [rule for rule in rules if rule.get("alert") == "ServiceMissing"]
    assert sorted(re.findall(r'service="(\w+)"', missing["expr"])) == services


def test_scraped_containers_exist(deploy: Path, compose: dict[str, Any]) -> None:
    config = yaml.safe_load((deploy / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    targets = [
        t for job in config["scrape_configs"] for s in job.get("static_configs", []) for t in s["targets"]
    ]
    hosts = {target.split(":")[0] for target in targets} - {"127.0.0.1"}
    assert hosts == {"nats-exporter", "otel-collector"}
    assert hosts <= set(compose["services"])
