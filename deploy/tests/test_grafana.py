"""The boards: about metrics and labels that exist, in PromQL, laid out; no metric is left out."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from heliograph.common import metrics
from heliograph.common.alerts import table
from heliograph.gateway.alerts.promql import parts

FOLDER = Path(__file__).resolve().parents[1] / "grafana"
BOARDS = sorted((FOLDER / "dashboards").glob("*.json"))
RATE = "$__rate_interval"
ELSEWHERE = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
"""What Prometheus makes of each target, and its client of each process."""
ADDED_BY_SCRAPING = {"service", "instance", "job", "le"}


@pytest.fixture(params=BOARDS, ids=lambda path: str(path.stem))
def board(request: pytest.FixtureRequest) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(request.param.read_text(encoding="utf-8"))
    return loaded


def queries(board: dict[str, Any]) -> list[str]:
    return [t["expr"].replace(RATE, "1m") for panel in board["panels"] for t in panel.get("targets", [])]


def nodes(node: promql_parser.Expr) -> Iterator[promql_parser.Expr]:
    yield node
    for part in parts(node):
        yield from nodes(part)


def selectors(query: str) -> Iterator[promql_parser.VectorSelector]:
    for node in nodes(promql_parser.parse(query)):
        if isinstance(node, promql_parser.MatrixSelector):
            yield node.vector_selector
        elif isinstance(node, promql_parser.VectorSelector):
            yield node


def labels_of_series() -> dict[str, set[str]]:
    """For each series of the table of metrics the labels that it has."""
    found: dict[str, set[str]] = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            for family in metric.describe():
                for suffix in ("", "_total", "_bucket", "_count", "_sum"):
                    found[family.name + suffix] = set(metric._labelnames)
    return found


def test_panels_ask_for_metrics_and_labels_that_exist(board: dict[str, Any], metric_names: set[str]) -> None:
    known = labels_of_series()
    recorded = {r.record for r in table().recorded}
    assert queries(board)
    for query in queries(board):
        found = list(selectors(query))
        assert {s.name for s in found} <= metric_names | recorded | ELSEWHERE, query
        has = ADDED_BY_SCRAPING.union(*(known.get(str(s.name), set()) for s in found))
        asked = {matcher.name for s in found for matcher in s.matchers.matchers}
        for node in nodes(promql_parser.parse(query)):
            if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
                asked |= set(node.modifier.labels)
        assert asked <= has, query


def test_legends_name_labels_of_their_query(board: dict[str, Any]) -> None:
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            for label in re.findall(r"{{\s*(\w+)\s*}}", target["legendFormat"]):
                grouped = re.search(rf"\b{label}\b", target["expr"]) or " by " not in target["expr"]
                assert grouped, (panel["title"], label)


def test_promtool_parses_each_query(board: dict[str, Any], tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool is not installed (package prometheus)")
    rules = [{"record": f"panel:{n}", "expr": query} for n, query in enumerate(queries(board))]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    done = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_uptime_is_the_share_of_the_minutes_with_an_answer(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool is not installed (package prometheus)")
    board = json.loads((FOLDER / "dashboards" / "heliograph.json").read_text(encoding="utf-8"))
    (panel,) = (panel for panel in board["panels"] if panel["title"].startswith("Uptime"))
    limits = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
    assert limits == [None, 0.999]
    up = {  # 1,000 minutes: one replica of two is away for 200; then both; then a service is no longer known
        'up{job="heliograph",service="tracker",instance="a"}': "1x399 0x199 1x399",
        'up{job="heliograph",service="tracker",instance="b"}': "1x397 0x1 1x599",
        'up{job="heliograph",service="fetcher",instance="c"}': "1x997 0x1",
        'up{job="heliograph",service="gateway",instance="d"}': "1x499 stale",
        'up{job="prometheus",service="elsewhere",instance="e"}': "0x999",
    }
    expected = {"tracker": 1.0, "fetcher": 0.998, "gateway": 0.5}
    case = {
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in up.items()],
        "promql_expr_test": [
            {
                "expr": panel["targets"][0]["expr"],
                "eval_time": "999m",
                "exp_samples": [
                    {"labels": f'{{service="{service}"}}', "value": share}
                    for service, share in expected.items()
                ],
            }
        ],
    }
    path = tmp_path / "uptime.yml"
    path.write_text(yaml.safe_dump({"rule_files": [], "tests": [case]}), encoding="utf-8")
    done = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_is_on_a_board_or_in_an_alert() -> None:
    shown = "\n".join(path.read_text(encoding="utf-8") for path in BOARDS)
    shown += "\n".join([rule.expr for rule in table().recorded] + [rule.expr for rule in table().rules])
    declared = {m._name for m in vars(metrics).values() if isinstance(m, MetricWrapperBase)}
    assert [name for name in sorted(declared) if not re.search(rf"\b{name}", shown)] == []


def test_panels_are_described_and_laid_out_without_overlaps(board: dict[str, Any]) -> None:
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        assert panel["type"] == "row" or panel["description"].endswith("."), panel["title"]
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_boards_are_told_apart_and_provisioned(compose: dict[str, Any]) -> None:
    loaded = [json.loads(path.read_text(encoding="utf-8")) for path in BOARDS]
    assert len({board["uid"] for board in loaded}) == len({board["title"] for board in loaded}) == len(BOARDS)
    provisioning = FOLDER / "provisioning"
    sources = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text(encoding="utf-8"))
    uids = {source["uid"] for source in sources["datasources"]}
    asked = {
        t["datasource"]["uid"] for b in loaded for panel in b["panels"] for t in panel.get("targets", [])
    }
    assert asked == {"prometheus"} <= uids
    for source in sources["datasources"]:
        assert re.match(r"http://([\w-]+):", source["url"])[1] in compose["services"]  # type: ignore[index]
    boards = yaml.safe_load((provisioning / "dashboards" / "heliograph.yml").read_text(encoding="utf-8"))
    folder = boards["providers"][0]["options"]["path"]
    assert f"./grafana/dashboards:{folder}:ro" in compose["services"]["grafana"]["volumes"]
