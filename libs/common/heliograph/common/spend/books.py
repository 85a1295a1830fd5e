"""What one process knows of the spending: its own, exactly; that of the others, as it saw them last. Pure."""

from collections import deque

import msgspec

from heliograph.common.spend.meter import Grant, Meter


class Day(msgspec.Struct):
    """One meter's day. Money in nanodollars, times in monotonic seconds.

    Attributes:
        own: what this process has spent, settled.
        open: calls that this process has under way.
        unsettled: calls that are settled here, but not yet in Redis.
        totals: each process's spending as last seen.
        committed: the sum over all with what they hold, as seen at `seen_at`.
        share: what this process may spend while it is alone, and `used` what it has since.
    """

    seen_at: float
    own: int = 0
    open: dict[str, Grant] = {}
    unsettled: set[str] = set()
    totals: dict[str, int] = {}
    committed: int = 0
    share: int = 0
    used: int = 0

    def saw(self, committed: int, now: float) -> None:
        """Redis has told the sum."""
        self.committed, self.seen_at = committed, now

    def standing(self, member: str) -> tuple[int, int]:
        """What is spent and what is held, as far as this process knows, which is the member of that name."""
        return sum((self.totals | {member: self.own}).values()), sum(g.hold for g in self.open.values())


class Books:
    """One meter's days and calls in one process."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.days: dict[str, Day] = {}
        self.calls: deque[tuple[float, str]] = deque()
        self.generation: str | None = None
        """The name of the store that this process knows; None before it has met one."""
        self.cleaned = ""
        """The day on which this process has deleted what is long over."""

    def open_day(self, name: str, began: float) -> Day:
        """A day's books; it began with nothing spent. Those of more than two days are closed for ever."""
        if name not in self.days:
            self.days[name] = Day(seen_at=began)
            for old in sorted(self.days)[:-2]:
                del self.days[old]
        return self.days[name]

    def called(self, grant: Grant, now: float) -> None:
        """A call was granted."""
        self.calls.append((now, grant.id))
        day = self.days[grant.day]
        day.open[grant.id] = grant
        if grant.alone:
            day.used += grant.hold

    def revoked(self, grant: Grant) -> None:
        """A call out of the share is not made after all."""
        day = self.days[grant.day]
        if day.open.pop(grant.id, None):
            day.used -= grant.hold
            self.calls = deque(call for call in self.calls if call[1] != grant.id)

    def settled(self, grant: Grant, cost: int) -> int:
        """A call has ended and cost so much; what that adds to this process's spending."""
        day = self.days.get(grant.day)
        if day is None or day.open.pop(grant.id, None) is None:
            return 0
        day.own += cost
        day.unsettled.add(grant.id)
        if grant.alone:
            day.used += cost - grant.hold
        return cost

    def recent(self, now: float) -> list[tuple[float, str]]:
        """This process's calls within the window."""
        while self.calls and self.calls[0][0] <= now - self.meter.window_s:
            self.calls.popleft()
        return list(self.calls)

    def take_shares(self, members: int, now: float, *, shared: bool) -> None:
        """From here on this process has its share of what is surely left, one of so many.

        What the others have spent since they were seen last is unknown; but the window of calls bounds it.
        Who is to share a store and has never met it knows nothing, and has no share.
        """
        for day in self.days.values():
            calls = self.meter.calls * (1 + int(max(0.0, now - day.seen_at) / self.meter.window_s))
            unseen = calls * self.meter.largest if shared else 0
            left = self.meter.daily_budget - day.committed - unseen
            if shared and self.generation is None:
                left = 0
            day.share, day.used = max(0, left) // max(1, members), 0

    def take_share_of_new_day(self, name: str, members: int, now: float) -> None:
        """A day begins while this process is alone: its share is of the whole budget."""
        day = self.open_day(name, now)
        day.share, day.used = self.meter.daily_budget // max(1, members), 0
