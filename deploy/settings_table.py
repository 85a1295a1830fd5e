"""The table of settings in docs/operating.md, made from the settings classes."""

import argparse
import sys
from pathlib import Path

from heliograph.stack.settings_list import Setting, every_setting

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "operating.md"
BEGIN = "<!-- settings: made by deploy/settings_table.py -->"
END = "<!-- end of settings -->"
LONGEST = 60
"""Characters of a default that the table still shows."""


def table() -> str:
    """The rows of every service's settings, those that all share first."""
    rows = [_row(setting) for setting in every_setting()]
    return "\n".join(["| variable | default | read by | meaning |", "|---|---|---|---|", *rows])


def _row(setting: Setting) -> str:
    users = ", ".join(setting.users)
    return f"| `{setting.variable}` | {_default(setting)} | {users} | {setting.meaning} |".replace("  ", " ")


def _default(setting: Setting) -> str:
    if setting.kind == "folder":
        return "under the working folder"
    if setting.kind == "required":
        return "**required**"
    if setting.kind == "unset" or setting.default == '""':
        return "none"
    shown = setting.default.strip('"')
    return f"`{shown}`" if len(shown) <= LONGEST else f"see `{setting.type_name}`"


def page_with(rows: str) -> str:
    """The page with the table put in."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{rows}\n{END}{after}"


def main() -> None:
    """Write the table into the page, or compare it with the page; exits with 1 where they differ."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    made = page_with(table())
    if not parser.parse_args().check:
        PAGE.write_text(made, encoding="utf-8")
    elif made != PAGE.read_text(encoding="utf-8"):
        sys.exit(f"{PAGE}: the settings have changed: run `python deploy/settings_table.py`")


if __name__ == "__main__":
    main()
