"""One process a data folder: an exclusive lock that the kernel frees when its holder dies."""

import fcntl
import os
from pathlib import Path

from heliograph.common.errors import ConfigError

LOCK_FILE = "heliograph.lock"


class FolderLock:
    """The right to open the data in a folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_FILE
        self._fd: int | None = None

    def take(self) -> bool:
        """Take it without waiting; whether this process has it now.

        Raises:
            ConfigError: the folder cannot be made or written.
        """
        if self._fd is not None:
            return True
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(f"clickhouse_url: {self._path.parent}: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        return True

    def free(self) -> None:
        """Let another process take it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
