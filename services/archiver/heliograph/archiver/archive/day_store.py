"""Archived days in an object store: written, read back, named by a manifest. All calls block."""

from collections.abc import Mapping

import msgspec
import pyarrow as pa
import structlog

from heliograph.archiver.archive.object_store import ObjectStore
from heliograph.archiver.archive.parquet import (
    MANIFEST,
    DayWriter,
    Manifest,
    fault,
    folder,
    is_object,
    manifest_key,
    read_day,
    schema_name,
)
from heliograph.archiver.schema import Table
from heliograph.common.errors import InputError, UnavailableError

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class DayStore:
    """The days of all tables in one store."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def write(self, table: Table, writer: DayWriter, fingerprint: str) -> Manifest:
        """Write a day's object and read it back; nothing names it before `publish`.

        Raises:
            UnavailableError: not written, or it did not come back as it was written: the day is as before.
        """
        data, manifest = writer.finish(fingerprint)
        self._objects.put(manifest.object, data)
        if wrong := fault(table, manifest, self._objects.get(manifest.object)):
            raise UnavailableError(f"archive: {manifest.object} read back: {wrong}")
        return manifest

    def flush(self) -> None:
        """Return when everything written before will outlive a loss of power."""
        self._objects.flush()

    def publish(self, table: Table, manifest: Manifest) -> Manifest:
        """Let the day's manifest name a new object; `flush` comes before, so that it never names a lost one.

        Returns:
            The manifest.

        Raises:
            UnavailableError: not written: the day is as before.
        """
        self._objects.put(manifest_key(table.name, manifest.day), msgspec.json.encode(manifest))
        return manifest

    def replace(self, old: Manifest, new: Manifest) -> None:
        """Remove the object that a published manifest no longer names.

        Raises:
            UnavailableError: not removed: it is an orphan.
        """
        if old.object != new.object:
            self._objects.delete(old.object)

    def manifest(self, table: Table, date: str) -> Manifest | None:
        """The manifest of a day; None where there is none that can be read.

        Raises:
            UnavailableError: the store does not answer.
        """
        data = self._objects.get(manifest_key(table.name, date))
        if data is None:
            return None
        try:
            return msgspec.json.decode(data, type=Manifest)
        except msgspec.DecodeError as error:
            log.warning("manifest unreadable", table=table.name, day=date, error=str(error))
            return None

    def read_manifest(self, key: str) -> Manifest:
        """The manifest under a key.

        Raises:
            InputError: it is gone or cannot be read.
            UnavailableError: the store does not answer.
        """
        try:
            return msgspec.json.decode(self._objects.get(key) or b"", type=Manifest)
        except msgspec.DecodeError as error:
            raise InputError(f"{key}: {error}, expected a manifest") from error

    def manifest_keys(self, table: Table) -> list[str]:
        """The keys of all manifests of a table.

        Raises:
            UnavailableError: the store does not answer.
        """
        return [key for key in self._objects.list(f"{table.name}/") if key.endswith(f"/{MANIFEST}")]

    def check(self, table: Table, key: str) -> tuple[str, str]:
        """A manifest's object, read again: its key and what is wrong with it, empty when it is whole.

        Raises:
            UnavailableError: the store does not answer.
        """
        try:
            manifest = self.read_manifest(key)
        except InputError as error:
            return key, f"manifest: {error}"
        if manifest.schema != schema_name(table):
            return manifest.object, f"schema {manifest.schema}, expected {schema_name(table)}"
        return manifest.object, fault(table, manifest, self._objects.get(manifest.object))

    def read(self, table: Table, manifest: Manifest) -> pa.Table:
        """The rows of a day, proved to be what its manifest says.

        Raises:
            InputError: they are not; the message names the object and what is wrong.
            UnavailableError: the store does not answer.
        """
        return read_day(table, manifest, self._objects.get(manifest.object))

    def remove_orphans(self, table: Table, known: Mapping[str, Manifest]) -> list[str]:
        """Remove what a process that died before its manifest left in the days of `known`; their keys.

        Raises:
            UnavailableError: the store does not answer.
        """
        kept = {folder(table.name, date): manifest.object for date, manifest in known.items()}
        orphans = [
            key
            for key in self._objects.list(f"{table.name}/")
            if is_object(key) and kept.get(f"{key.rpartition('/')[0]}/", key) != key
        ]
        for key in orphans:
            self._objects.delete(key)
        return orphans
