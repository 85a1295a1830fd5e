"""Alert rules and the board: valid, about metrics that exist, each with a remedy."""

import json
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


@pytest.fixture(scope="module")
def board(deploy: Path) -> dict[str, Any]:
    path = deploy / "grafana" / "dashboards" / "heliograph.json"
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def queries(board: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]


@pytest.mark.parametrize(
    "what", [["check", "config", "prometheus.yml"], ["test", "rules", "tests/rules_test.yml"]]
)
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
    tests = yaml.safe_load((deploy / "prometheus" / "tests" / "rules_test.yml").read_text(encoding="utf-8"))
    fired = {
        case["alertname"]
        for t in tests["tests"]
        for case in t.get("alert_rule_test", [])
        if case["exp_alerts"]
    }
    assert fired == {rule["alert"] for rule in rules if "alert" in rule}


def test_rules_and_panels_are_about_metrics_that_exist(
    rules: list[dict[str, Any]], queries: list[str], metric_names: set[str]
) -> None:
    recorded = {rule["record"] for rule in rules if "record" in rule}
    expressions = [rule["expr"] for rule in rules] + queries
    assert queries
    for expression in expressions:
        assert set(OURS.findall(expression)) <= metric_names, expression
        assert set(RECORDED.findall(expression)) <= recorded, expression


def test_tried_series_have_the_labels_of_the_metric(deploy: Path) -> None:
    found = [m for m in vars(metrics).values() if isinstance(m, MetricWrapperBase)]
    declared = {m._name: set(m._labelnames) for m in found}
    text = (deploy / "prometheus" / "tests" / "rules_test.yml").read_text(encoding="utf-8")
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


def test_panel_queries_parse(tmp_path: Path, queries: list[str]) -> None:
    rules = [
        {"record": f"panel:{n}", "expr": q.replace("$__rate_interval", "1m")} for n, q in enumerate(queries)
    ]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    done = subprocess.run([promtool(), "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_board_is_laid_out_without_overlaps(board: dict[str, Any]) -> None:
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_board_asks_the_provisioned_source(
    deploy: Path, board: dict[str, Any], compose: dict[str, Any]
) -> None:
    provisioning = deploy / "grafana" / "provisioning"
    sources = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text(encoding="utf-8"))
    uids = {source["uid"] for source in sources["datasources"]}
    asked = {target["datasource"]["uid"] for panel in board["panels"] for target in panel.get("targets", [])}
    assert asked == {"prometheus"} <= uids
    for source in sources["datasources"]:
        assert re.match(r"http://([\w-]+):", source["url"])[1] in compose["services"]  # type: ignore[index]
    boards = yaml.safe_load((provisioning / "dashboards" / "heliograph.yml").read_text(encoding="utf-8"))
    folder = boards["providers"][0]["options"]["path"]
    assert f"./grafana/dashboards:{folder}:ro" in compose["services"]["grafana"]["volumes"]
