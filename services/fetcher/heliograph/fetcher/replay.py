"""The replay provider: the bars of a folder of Parquet files, in the order of the files' names."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from heliograph.common.errors import InputError
from heliograph.fetcher.parquet import read_rows
from heliograph.fetcher.provider import Rows


class ReplayProvider:
    """Gives every bar of a folder once."""

    name = "replay"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.empty_files: list[str] = []
        """Names of the files without a row, known once `rows` has ended."""

    async def rows(self) -> AsyncIterator[Rows]:
        """One batch a file; a file without rows is noted in `empty_files` and left out.

        Raises:
            InputError: no such folder, no Parquet file in it, no row in any file, or a file is wrong.
        """
        files = parquet_files(self._folder)
        self.empty_files = []
        for file in files:
            rows = await asyncio.to_thread(read_rows, file)
            if not len(rows.ts):
                self.empty_files.append(file.name)
                continue
            yield rows
        if len(self.empty_files) == len(files):
            raise InputError(f"data: {str(self._folder)!r} has 0 rows in {len(files)} files, expected bars")


def parquet_files(folder: Path) -> list[Path]:
    """The Parquet files of a folder by name.

    Raises:
        InputError: it is not a folder, or holds none.
    """
    if not folder.is_dir():
        raise InputError(f"data: {str(folder)!r} is not a folder, expected one with Parquet files of bars")
    try:
        files = sorted(
            p for p in folder.iterdir() if p.name.endswith(".parquet") and not p.name.startswith(".")
        )
    except OSError as error:
        raise InputError(f"data: {str(folder)!r} cannot be listed ({error.strerror})") from error
    if not files:
        raise InputError(f"data: {str(folder)!r} holds no *.parquet file, expected at least one")
    return files
