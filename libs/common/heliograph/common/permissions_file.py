"""The users and their permissions in the language of the server's configuration."""

from collections.abc import Iterable, Mapping

from heliograph.common.permissions import REGION, USERS, permissions

INDENT = "      "


def users_block(passwords: Mapping[str, str], shards: int) -> str:
    """The `authorization` block of a server's configuration.

    Args:
        passwords: by user, as the configuration's language writes them: quoted, or a `$VARIABLE`. Where there
            is one for it, the user of regions is among them.
        shards: of the platform.

    Raises:
        KeyError: a user has no password.
    """
    every = (*USERS, REGION) if REGION in passwords else USERS
    users = "".join(_user(user, passwords[user], shards) for user in every)
    return f"authorization {{\n  users: [\n{users}  ]\n}}\n"


def _user(user: str, password: str, shards: int) -> str:
    may = permissions(user, shards)
    denied = f"\n{INDENT}  deny: {_list(may.publish_denied)}" if may.publish_denied else ""
    return f"""\
    {{
{INDENT}user: {user}
{INDENT}password: {password}
{INDENT}permissions: {{
{INDENT}  publish: {{
{INDENT}    allow: {_list(may.publish)}{denied}
{INDENT}  }}
{INDENT}  subscribe: {_list(may.subscribe)}
{INDENT}}}
    }}
"""


def _list(subjects: Iterable[str]) -> str:
    lines = "".join(f'{INDENT}      "{subject}"\n' for subject in dict.fromkeys(subjects))
    return f"[\n{lines}{INDENT}    ]"
