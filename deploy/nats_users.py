"""The users of NATS for compose and for a cluster, made from the one table of permissions.

Writes `deploy/nats/users.conf` and the table in `docs/security.md`.
"""

import argparse
import sys
from pathlib import Path

from heliograph.common.permissions import REGION, ROLES, USERS, Role
from heliograph.common.permissions_file import users_block
from heliograph.common.shards import DEFAULT_SHARDS

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "deploy" / "nats" / "users.conf"
PAGE = ROOT / "docs" / "security.md"
BEGIN = "<!-- users: made by deploy/nats_users.py -->"
END = "<!-- end of users -->"


def variable(user: str) -> str:
    """The environment variable of the server that holds a user's password."""
    return f"NATS_PASSWORD_{user.upper()}"


def configuration(shards: int, *, regions: bool = False) -> str:
    """The file that the server's configuration includes; with `regions` others may follow the platform."""
    head = f"# Made by deploy/nats_users.py for {shards} shards. The passwords come from the environment.\n"
    users = (*USERS, REGION) if regions else USERS
    return head + users_block({user: f"${variable(user)}" for user in users}, shards)


def table() -> str:
    """What each service does on the bus, a row a service."""
    head = "| user | publishes | asks | answers | hears | reads the streams | consumes by shard | writes |"
    rows = [_row(user, role) for user, role in ROLES.items()]
    return "\n".join([head, "|---" * 8 + "|", *rows])


def _row(user: str, role: Role) -> str:
    consumed = tuple(sorted(role.consumers))
    kept = (*(f"bucket {b}" for b in role.writes_keys), *(f"objects {b}" for b in role.objects))
    cells = (role.publishes, role.asks, role.answers, role.hears, role.looks, consumed, kept)
    return f"| {user} | " + " | ".join(", ".join(f"`{item}`" for item in cell) for cell in cells) + " |"


def page() -> str:
    """The page with the table put in."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> None:
    """Write the files; for other shards, or with regions, only the server's, to standard output."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--shards", type=int, help=f"another number than {DEFAULT_SHARDS}")
    parser.add_argument("--regions", action="store_true", help="with the user by which other regions follow")
    given = parser.parse_args()
    if given.shards is not None or given.regions:
        sys.stdout.write(configuration(given.shards or DEFAULT_SHARDS, regions=given.regions))
        return
    FILE.write_text(configuration(DEFAULT_SHARDS), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
