"""The body of a request: a JSON object whose fields are checked as they are read."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec

from heliograph.common.errors import InputError

TEXT_MOST = 256


class Request:
    """A decoded request."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    @classmethod
    def parse(cls, data: bytes) -> "Request":
        """A request from its JSON; no body is an empty object.

        Raises:
            InputError: it is not a JSON object.
        """
        try:
            return cls(msgspec.json.decode(data or b"{}", type=dict[str, Any]))
        except msgspec.DecodeError as error:
            raise InputError(f"request: {error}, expected a JSON object") from error

    def text(self, field: str, default: str | None = None) -> str:
        """A text field.

        Raises:
            InputError: it is missing without a default, not text, empty, or too long.
        """
        value = self._fields.get(field)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or not 0 < len(value) <= TEXT_MOST:
            raise InputError(f"{field}: {value!r}, expected a text of 1 to {TEXT_MOST} characters")
        return value

    def texts(self, field: str, most: int) -> list[str]:
        """A list of texts.

        Raises:
            InputError: it is not one, or has more than `most`, or one is too long.
        """
        value = self._fields.get(field)
        good = isinstance(value, list) and len(value) <= most
        if not good or not all(isinstance(each, str) and 0 < len(each) <= TEXT_MOST for each in value or []):
            raise InputError(
                f"{field}: {str(value)[:TEXT_MOST]}, expected at most {most} texts of 1 to {TEXT_MOST}"
            )
        return list(value or [])

    def integer(self, field: str, default: int, *, least: int, most: int) -> int:
        """A whole number.

        Raises:
            InputError: it is not one, or out of range.
        """
        value = self._fields.get(field)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise InputError(f"{field}: {value!r}, expected a whole number from {least} to {most}")
        return value

    def flag(self, field: str) -> bool:
        """A switch, off by default.

        Raises:
            InputError: it is neither true nor false.
        """
        value = self._fields.get(field, False)
        if not isinstance(value, bool):
            raise InputError(f"{field}: {value!r}, expected true or false")
        return value

    def date(self, field: str, default: str | None = None) -> str:
        """A day, `YYYY-MM-DD`.

        Raises:
            InputError: it is missing without a default, or no date.
        """
        value = self.text(field, default)
        try:
            if date.fromisoformat(value).isoformat() == value:
                return value
        except ValueError:
            pass
        raise InputError(f"{field}: {value!r}, expected a date such as 2026-01-31")

    def one_of(self, *fields: str) -> str:
        """The one of these fields that is given.

        Raises:
            InputError: none is, or more than one.
        """
        given = [field for field in fields if self._fields.get(field) is not None]
        if len(given) != 1:
            raise InputError(
                f"request: {given or 'nothing'} given, expected exactly one of {', '.join(fields)}"
            )
        return given[0]
