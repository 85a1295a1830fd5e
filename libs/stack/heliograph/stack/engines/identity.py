"""As whom a server that refuses to run as root can run."""

import os
import tempfile
from pathlib import Path

from heliograph.common.errors import ConfigError
from heliograph.stack.engines.engine import quiet_environment
from heliograph.stack.errors import StackError
from heliograph.stack.launch import NOBODY
from heliograph.stack.process import Command, Identity, run


async def server_identity(data: Path, program: Path) -> Identity:
    """`same` for a normal user; for root whatever owns the data, or at the first start what works here.

    Raises:
        ConfigError: the data belong to somebody else.
        StackError: root can run the program in no way.
    """
    user = os.geteuid()
    try:
        owner = os.stat(data).st_uid  # noqa: PTH116 - answers at once
    except FileNotFoundError:
        return "same" if user else await _what_works(program)
    except PermissionError as error:
        raise ConfigError(f"state: {data} belongs to another user: {error}") from error
    if owner not in {user, NOBODY} or (user and owner != user):
        raise ConfigError(f"state: {data} belongs to the user {owner}, expected {user}; run as that user")
    if user:
        return "same"
    return "nobody" if owner == NOBODY else "mask"


async def _what_works(program: Path) -> Identity:
    choices: tuple[Identity, ...] = ("mask", "nobody")
    for identity in choices:
        command = Command(
            name="probe",
            program=[str(program), "--version"],
            environment=quiet_environment(),
            identity=identity,
        )
        with tempfile.NamedTemporaryFile() as log:
            if await run(command, Path(log.name)) == 0:
                return identity
    raise StackError(
        f"{program.name} does not run as root, and neither a user namespace nor the user `nobody` can "
        f"run {program}; run heliograph as a normal user"
    )
