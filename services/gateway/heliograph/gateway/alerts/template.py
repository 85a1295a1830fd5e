"""The texts of alerts: the part of Prometheus's templates that the table uses."""

import re
from collections.abc import Mapping

from heliograph.common.errors import InvariantError

FIELD = re.compile(r"\{\{\s*(.+?)\s*}}")
LABEL = re.compile(r"\$labels\.(\w+)")
LARGE = "kMGTPEZY"
SMALL = "munpfazy"


def fill(text: str, labels: Mapping[str, str], value: float) -> str:
    """The text with its fields filled in.

    Raises:
        InvariantError: a field is not of the kinds used here.
    """

    def field(found: re.Match[str]) -> str:
        wanted = found[1]
        if label := LABEL.fullmatch(wanted):
            return labels.get(label[1], "")
        form = FORMS.get(wanted)
        if form is None:
            raise InvariantError(f"{text!r}: the field {wanted!r} is not known")
        return form(value)

    return FIELD.sub(field, text)


def short(value: float) -> str:
    """Four significant digits at most, as C's %.4g."""
    return f"{value:.4g}"


def humanized(value: float) -> str:
    """A number with a metric prefix."""
    prefix, size = "", abs(value)
    if size >= 1:
        for letter in LARGE:
            if abs(value) < 1000:  # noqa: PLR2004 - the step of the prefixes
                break
            prefix, value = letter, value / 1000
    elif size:
        for letter in SMALL:
            if abs(value) >= 1:
                break
            prefix, value = letter, value * 1000
    return short(value) + prefix


def percentage(value: float) -> str:
    """A ratio in percent."""
    return short(value * 100) + "%"


def duration(seconds: float) -> str:
    """Seconds, from minutes on in days, hours, minutes and seconds."""
    if abs(seconds) < 1:
        return humanized(seconds) + "s"
    if abs(seconds) < 60:  # noqa: PLR2004 - seconds in a minute
        return short(seconds) + "s"
    sign, whole = "-" if seconds < 0 else "", abs(int(seconds))
    days, hours, minutes, rest = whole // 86_400, whole // 3600 % 24, whole // 60 % 60, whole % 60
    shown = f"{minutes}m {rest}s"
    if days or hours:
        shown = f"{hours}h {shown}"
    return f"{sign}{days}d {shown}" if days else sign + shown


FORMS = {
    "$value": lambda value: f"{value:.16g}",
    "$value | humanize": humanized,
    "$value | humanizePercentage": percentage,
    "$value | humanizeDuration": duration,
}
