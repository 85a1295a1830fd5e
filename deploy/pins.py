"""Cut a lock file down to what one image needs: `pins.py LOCK NAMES` writes the entries of LOCK in NAMES.

An entry is a line `name==version` with the lines of its hashes below it. A name that the lock does not hold,
or holds in another version, ends the build: nothing is installed that was not reviewed.
"""

import re
import sys
from pathlib import Path

ENTRY = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")


def entries(lock: str) -> dict[tuple[str, str], list[str]]:
    """(name, version) → the entry's text; several where it is locked under several markers."""
    found: dict[tuple[str, str], list[str]] = {}
    key: tuple[str, str] | None = None
    for line in lock.splitlines(keepends=True):
        match = ENTRY.match(line)
        if match:
            key = (match["name"], match["version"])
            found.setdefault(key, []).append(line)
        elif key and line[:1].isspace():
            found[key][-1] += line
    return found


def subset(lock: str, wanted: str) -> str:
    """The entries of `lock` for each pin in `wanted`.

    Raises:
        KeyError: a pin is not in the lock.
    """
    locked = entries(lock)
    pins = [(match["name"], match["version"]) for match in map(ENTRY.match, wanted.splitlines()) if match]
    return "".join("".join(locked[pin]) for pin in pins)


if __name__ == "__main__":
    lock_file, names_file = map(Path, sys.argv[1:])
    try:
        sys.stdout.write(subset(lock_file.read_text(), names_file.read_text()))
    except KeyError as missing:
        sys.exit(f"{names_file}: {'=='.join(missing.args[0])} is not in {lock_file}: run `make lock`")
