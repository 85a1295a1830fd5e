"""What seven years of archive cost on S3, month by month, from measured sizes.

Prices are US dollars a GB and month. By default S3 moves no object under 128 KB, since the cheaper classes
bill a least size or an overhead for each. Requests are not in it: they are a few for each object, once.
"""

import msgspec

from heliograph.archiver.archive.lifecycle import Plan

PRICES = {"STANDARD": 0.023, "STANDARD_IA": 0.0125, "GLACIER": 0.004, "DEEP_ARCHIVE": 0.00099}
LEAST_MOVED_BYTES = 128 << 10
GB = 10**9
MONTHS = 84
MONTH_DAYS = 30.4375
YEAR_MONTHS = 12


class Size(msgspec.Struct, frozen=True):
    """What one kind of object adds each day: its bytes, in how many objects."""

    bytes: float
    objects: float


class Year(msgspec.Struct, frozen=True, kw_only=True):
    """One year: GB at its end, and dollars with the lifecycle and with everything in Standard."""

    year: int
    gigabytes: float
    tiered: float
    standard: float


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Dollars over all months; `moved` is the share of the bytes whose objects are big enough to be moved."""

    bytes_a_day: float
    moved: float
    years: list[Year]
    tiered: float
    standard: float
    saved: float


def cost(sizes: list[Size], plan: Plan, months: int = MONTHS) -> Cost:
    """The cost of an archive that starts empty and grows by the same sizes every day."""
    years: list[Year] = []
    tiered = standard = total_tiered = total_standard = 0.0
    for month in range(1, months + 1):
        tiered += sum(_month(size, plan, month) for size in sizes)
        standard += sum(_held(size.bytes, 0, month * MONTH_DAYS) * PRICES["STANDARD"] / GB for size in sizes)
        if month % YEAR_MONTHS == 0 or month == months:
            gigabytes = sum(size.bytes for size in sizes) * month * MONTH_DAYS / GB
            years.append(
                Year(
                    year=len(years) + 1,
                    gigabytes=round(gigabytes, 3),
                    tiered=round(tiered, 4),
                    standard=round(standard, 4),
                )
            )
            total_tiered, total_standard = total_tiered + tiered, total_standard + standard
            tiered = standard = 0.0
    daily = sum(size.bytes for size in sizes)
    return Cost(
        bytes_a_day=round(daily, 1),
        moved=round(sum(size.bytes for size in sizes if _moves(size)) / daily, 4) if daily else 0.0,
        years=years,
        tiered=round(total_tiered, 4),
        standard=round(total_standard, 4),
        saved=round(1 - total_tiered / total_standard, 4) if total_standard else 0.0,
    )


def _month(size: Size, plan: Plan, month: int) -> float:
    """Dollars of one month for one kind of object, whose ages are spread evenly up to the archive's."""
    age = month * MONTH_DAYS
    if plan.expire:
        age = min(age, float(plan.expire))
    if not _moves(size):
        return _held(size.bytes, 0, age) * PRICES["STANDARD"] / GB
    starts = [("STANDARD", 0), *plan.transitions]
    ends = [days for _, days in plan.transitions] + [float("inf")]
    return sum(
        _held(size.bytes, start, min(end, age)) * PRICES[name] / GB
        for (name, start), end in zip(starts, ends, strict=True)
    )


def _moves(size: Size) -> bool:
    return size.objects > 0 and size.bytes / size.objects >= LEAST_MOVED_BYTES


def _held(bytes_a_day: float, start: float, end: float) -> float:
    """Bytes whose age is between two numbers of days."""
    return bytes_a_day * max(0.0, end - start)
