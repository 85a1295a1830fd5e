"""Where the archive's objects live: one small interface, a folder and S3 behind it.

All calls block; they are made from threads. Keys are relative, with `/` between their parts.
"""

from typing import Protocol


class ObjectStore(Protocol):
    """A flat set of objects.

    Attributes:
        parallel: how many calls at once make it fastest.
    """

    parallel: int

    def put(self, key: str, data: bytes) -> None:
        """Write an object whole: a reader sees the old one or the new one, never a part.

        Raises:
            UnavailableError: not written, or not known to be.
        """
        ...

    def flush(self) -> None:
        """Return when every object put before will outlive a loss of power."""
        ...

    def get(self, key: str) -> bytes | None:
        """An object's bytes; None where there is none.

        Raises:
            UnavailableError: the store does not answer.
        """
        ...

    def list(self, prefix: str) -> list[str]:
        """The keys that begin with a prefix, sorted.

        Raises:
            UnavailableError: the store does not answer.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error.

        Raises:
            UnavailableError: the store does not answer.
        """
        ...
