"""`heliograph token`: makes a token of the API, or takes one back."""

import json as json_module
import os
import secrets
import sys
from pathlib import Path

import msgspec

from heliograph.common.errors import InputError
from heliograph.gateway.tokens import Token, digest, read

PREFIX = "hg_"
"""So that a token that got into a repository or a log is known for what it is."""
HEAD = "# Tokens of Heliograph's API, by `heliograph token`: hashes and signing keys, no token itself.\n"


def token(
    name: str,
    *,
    scopes: str = "read",
    signing: bool = False,
    remove: bool = False,
    file: Path = Path("tokens.toml"),
    json: bool = False,
) -> int:
    """Make a token of the API and show it once; the gateway takes the file up within two seconds.

    Args:
        name: Who uses it, e.g. dashboard.
        scopes: What it may do, joined by commas: read, run (start panel runs), admin (everything).
        signing: Make a key that requests are signed with, instead of a token that is shown with them.
        remove: Take the token of this name back.
        file: The file that the setting gateway_tokens_file names.
        json: JSON on stdout.
    """
    tokens = read(file) if file.exists() else []
    others = [each for each in tokens if each.name != name]
    if remove:
        if len(others) == len(tokens):
            raise InputError(f"name: {name!r}, expected one of {', '.join(t.name for t in tokens) or 'none'}")
        write(file, others)
        told = {"name": name, "removed": True}
        sys.stdout.write(json_module.dumps(told) + "\n" if json else f"{name} is taken back\n")
        return 0
    if len(others) != len(tokens):
        raise InputError(f"name: {name!r} is in {file}; --remove takes it back")
    secret = secrets.token_hex(32) if signing else PREFIX + secrets.token_urlsafe(32)
    made = {"hmac": secret} if signing else {"sha256": digest(secret)}
    wanted = [each.strip() for each in scopes.split(",")]
    try:
        new = msgspec.convert({"name": name, "scopes": wanted, **made}, Token)
    except msgspec.ValidationError as error:
        raise InputError(f"token {name!r} with scopes {scopes!r}: {error}") from None
    write(file, [*others, new])
    kind = "key" if signing else "token"
    if json:
        sys.stdout.write(json_module.dumps({"name": name, "scopes": wanted, kind: secret}) + "\n")
    else:
        sys.stdout.write(f"{secret}\n")
        if not signing:
            sys.stderr.write(f"This token is shown once; {file} does not tell it again.\n")
    return 0


def write(file: Path, tokens: list[Token]) -> None:
    """Write the file whole, for its owner's eyes alone.

    Raises:
        InputError: it cannot be written.
    """
    parts = [HEAD]
    for each in tokens:
        fields = {k: v for k, v in msgspec.to_builtins(each).items() if v is not None}
        lines = (f"{key} = {msgspec.json.encode(value).decode()}\n" for key, value in fields.items())
        parts.append("\n[[token]]\n" + "".join(lines))
    temporary = file.with_name(file.name + ".new")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:  # noqa: PTH123 - the mode counts
            out.write("".join(parts))
        temporary.replace(file)
    except OSError as error:
        raise InputError(f"file: {str(file)!r}: {error.strerror}") from error
