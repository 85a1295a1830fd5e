"""Objects as files of a folder. Plain `os` calls: an archive is written in thousands of small objects."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heliograph.common.errors import InvariantError, UnavailableError

TEMPORARY = ".tmp"


class FolderStore:
    """An `ObjectStore` in a folder; one writer a key at a time."""

    parallel = 2

    def __init__(self, root: Path) -> None:
        self._root = os.path.abspath(root)  # noqa: PTH100 - as every path here a plain text
        self._made: set[str] = set()

    def put(self, key: str, data: bytes) -> None:
        """Write beside and rename over; on disk for good after `flush`."""
        folder, path = self._split(key)
        temporary = path + TEMPORARY
        with _translated("writing", path):
            self._make(folder)
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
            try:
                left = memoryview(data)
                while left:
                    left = left[os.write(fd, left) :]
            finally:
                os.close(fd)
            os.rename(temporary, path)  # noqa: PTH104 - see above

    def flush(self) -> None:
        """Have the system write everything to disk: a thousand files in one call cost as much as two."""
        os.sync()

    def get(self, key: str) -> bytes | None:
        """The file's bytes."""
        _, path = self._split(key)
        with _translated("reading", path):
            try:
                with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - see above
                    return file.readall()
            except FileNotFoundError:
                return None

    def list(self, prefix: str) -> list[str]:
        """The files whose key begins with the prefix; unfinished ones are left out."""
        _, above = self._split(prefix.rpartition("/")[0] or ".")
        with _translated("listing", above):
            return sorted(key for key in self._walk(above) if key.startswith(prefix))

    def delete(self, key: str) -> None:
        """Remove the file."""
        _, path = self._split(key)
        with _translated("removing", path):
            Path(path).unlink(missing_ok=True)

    def _walk(self, above: str) -> Iterator[str]:
        for folder, _, names in os.walk(above):
            for name in names:
                if not name.endswith(TEMPORARY):
                    yield os.path.relpath(f"{folder}/{name}", self._root)

    def _split(self, key: str) -> tuple[str, str]:
        """The folder and the path of a key's file."""
        parts = key.split("/")
        if ".." in parts or "" in parts:
            raise InvariantError(f"key: {key!r}, expected parts between single slashes, inside the archive")
        path = f"{self._root}/{key}"
        return path.rpartition("/")[0], path

    def _make(self, folder: str) -> None:
        """Make a folder; one that was removed meanwhile is made again."""
        if folder in self._made and os.path.isdir(folder):  # noqa: PTH112 - see above
            return
        above = os.path.dirname(folder)  # noqa: PTH120 - see above
        try:
            os.mkdir(folder)  # noqa: PTH102 - see above
        except FileExistsError:
            pass
        except FileNotFoundError:
            self._make(above)
            self._make(folder)
        self._made.add(folder)


@contextmanager
def _translated(doing: str, path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnavailableError(f"archive: {doing} {path}: {error.strerror}") from error
