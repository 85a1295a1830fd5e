"""Prometheus's rules and the page of alerts, made from the one table of alerts."""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from heliograph.common.alerts import Rule, table

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
PAGE = ROOT / "docs" / "alerts.md"
BEGIN = "<!-- alerts: made by deploy/alert_pages.py -->"
END = "<!-- end of alerts -->"
HEAD = "# Made from libs/common/heliograph/common/alerts.toml by deploy/alert_pages.py.\n"


def rules() -> str:
    """The file of recording rules and alerts for Prometheus."""
    groups = [
        {
            "name": "heliograph-recorded",
            "rules": [{"record": r.record, "expr": r.expr} for r in table().recorded],
        },
        {"name": "heliograph-alerts", "rules": [_rule(rule) for rule in table().rules]},
    ]
    text = yaml.safe_dump({"groups": groups}, sort_keys=False, width=110, allow_unicode=True)
    return HEAD + str(text)


def _rule(rule: Rule) -> dict[str, Any]:
    made: dict[str, Any] = {"alert": rule.name, "expr": rule.expr}
    if rule.for_s:
        made["for"] = _duration(rule.for_s)
    if rule.keep_s:
        made["keep_firing_for"] = _duration(rule.keep_s)
    return made | {
        "labels": {"severity": rule.severity},
        "annotations": {"summary": rule.summary, "remedy": rule.remedy},
    }


def _duration(seconds: float) -> str:
    return f"{seconds:g}s" if seconds % 60 else f"{seconds / 60:g}m"


def rows() -> str:
    """The table of the page."""
    head = ["| alert | | raised when | what to do |", "|---|---|---|---|"]
    return "\n".join(
        [
            *head,
            *(
                f"| `{rule.name}` | {rule.severity} | {rule.means}{_held(rule)} | {_plain(rule.remedy)} |"
                for rule in table().rules
            ),
        ]
    )


def _held(rule: Rule) -> str:
    return f" For {_duration(rule.for_s)}." if rule.for_s else ""


def _plain(text: str) -> str:
    """A remedy with its labels as one reads them in a path: `dead.<service>.>`."""
    return text.replace("{{ $labels.service }}", "<service>").replace("<service>", "&lt;service&gt;")


def page() -> str:
    """The page with the table put in."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{rows()}\n{END}{after}"


def main() -> None:
    """Write both files, or compare them; exits with 1 where one differs."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    for path, made in ((RULES, rules()), (PAGE, page())):
        if not check:
            path.write_text(made, encoding="utf-8")
        elif made != path.read_text(encoding="utf-8"):
            sys.exit(f"{path}: the alerts have changed: run `python deploy/alert_pages.py`")


if __name__ == "__main__":
    main()
