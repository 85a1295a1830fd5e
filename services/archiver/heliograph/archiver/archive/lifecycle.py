"""When archived objects move to cheaper storage: the plan, and what makes one consistent."""

from itertools import pairwise

import msgspec

from heliograph.common.errors import InputError

CLASSES = ("STANDARD_IA", "GLACIER", "DEEP_ARCHIVE")
"""Cheaper and slower with each; new objects are in STANDARD."""
YEAR_DAYS = 365
IA_LEAST_DAYS = 30
"""S3 moves nothing into Standard-IA earlier, and bills at least so long in it."""
SEVEN_YEARS_DAYS = 2555


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Days after which an object moves to each class; `expire` 0 keeps objects for ever."""

    ia: int = IA_LEAST_DAYS
    glacier: int = YEAR_DAYS
    deep: int = SEVEN_YEARS_DAYS
    expire: int = 0

    @property
    def transitions(self) -> tuple[tuple[str, int], ...]:
        """Each class with its days, the earliest first."""
        return tuple(zip(CLASSES, (self.ia, self.glacier, self.deep), strict=True))


def check(plan: Plan, lock_days: int = 0) -> None:
    """Refuse a plan that S3 would refuse, or that would lose objects before their time.

    Raises:
        InputError: the message names the field, its value and what was expected.
    """
    if plan.ia < IA_LEAST_DAYS:
        raise InputError(f"ia: {plan.ia}, expected {IA_LEAST_DAYS} days or more")
    for (_, earlier), (name, later) in pairwise(plan.transitions):
        if later < earlier + IA_LEAST_DAYS:
            raise InputError(f"{name}: {later}, expected {earlier + IA_LEAST_DAYS} days or more")
    if plan.expire < 0:
        raise InputError(f"expire: {plan.expire}, expected 0 (never) or more")
    if plan.expire and plan.expire <= plan.deep:
        raise InputError(f"expire: {plan.expire}, expected more than the last transition's {plan.deep} days")
    if plan.expire and plan.expire < lock_days:
        raise InputError(f"expire: {plan.expire}, expected at least the {lock_days} days of the object lock")
