"""The summary adds up, or says where it does not."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.common.errors import UnavailableError
from heliograph.stack import summary
from heliograph.stack.figures import Figures, Replica, ShardProgress, fetcher_status, owned
from heliograph.stack.settle import waits_for
from heliograph.stack.summary import Archived, Recorded, Results, Stored, contradictions, sha256_of

GOOD = Results(
    bars=1000,
    signals=["b", "a", "c"],
    reasons=3,
    outcomes=2,
    dead=0,
    quarantined={"high < low": 6},
    recorded=Recorded(signals=3, open=1, reasons=3, outcomes=2, due_without_outcome=0),
    stored=Stored(bars=1000, signals=3, reasons=3, outcomes=2),
    archived=Archived(objects=4, rows=1008, bytes=5000, days=3),
)
STANDING = Figures(
    replicas=[Replica(service="tracker", member="t", ready=False, problems={"postgres": "refused"})],
    processes=6,
    bars_total=10,
    bars_published=4,
    quarantined={},
    fetched=False,
    owned=False,
    last={"INPUT": 4},
    lag={"INPUT": 3, "SIGNAL": 0},
)
"""A stack that waits for its tracker."""
SERVICES = ("fetcher", "consensus", "reasoning", "tracker", "archiver")


def test_agreement_is_silent() -> None:
    assert contradictions(GOOD) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"bars": 1001}, "bars published: 1001, but bars in ClickHouse: 1000"),
        ({"reasons": 2}, "reasons in REASON: 2"),
        ({"outcomes": 3}, "outcomes in Postgres: 2"),
        ({"dead": 1}, "dead letters: 1"),
        ({"signals": ["a", "a", "b"]}, "distinct signals: 2"),
    ],
)
def test_each_disagreement_of_the_streams_is_named(change: dict[str, object], says: str) -> None:
    assert any(says in problem for problem in contradictions(msgspec.structs.replace(GOOD, **change)))


@given(
    st.sampled_from(["recorded", "stored"]),
    st.sampled_from(["signals", "open", "reasons", "outcomes", "due_without_outcome", "bars"]),
    st.sampled_from([-1, 1, 1000]),
)
def test_each_disagreement_of_a_keeper_is_named(keeper: str, field: str, by: int) -> None:
    kept = getattr(GOOD, keeper)
    if not hasattr(kept, field):
        return
    changed = msgspec.structs.replace(kept, **{field: getattr(kept, field) + by})
    assert contradictions(msgspec.structs.replace(GOOD, **{keeper: changed}))


@given(st.lists(st.text("0123456789abcdef", min_size=16, max_size=16), unique=True), st.randoms())
def test_the_hash_depends_on_the_set_alone(ids: list[str], random: object) -> None:
    shuffled = list(ids)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sha256_of(shuffled) == sha256_of(ids)
    assert sha256_of([*ids, "another"]) != sha256_of(ids)


def test_the_hash_is_the_one_promised() -> None:
    assert sha256_of(["b", "a"]) == hashlib.sha256(b"a\nb").hexdigest()


def test_every_service_must_own_every_shard() -> None:
    replicas = [Replica(service=s, member=s, ready=True, shards=[0, 1, 2, 3]) for s in SERVICES]
    assert owned(replicas, 4)
    assert not owned(replicas, 5)
    assert not owned(replicas[1:], 4)
    split = [
        *replicas[1:],
        *(Replica(service="fetcher", member=str(n), ready=True, shards=[n]) for n in range(4)),
    ]
    assert owned(split, 4)


def test_a_fetcher_that_has_not_started_has_no_progress() -> None:
    assert fetcher_status(Replica(service="fetcher", member="a", ready=False)).shards == {}
    said = {"shards": {"3": {"published": 5, "total": 9, "done": False}}, "bars_total": 9}
    status = fetcher_status(Replica(service="fetcher", member="a", ready=True, status=said))
    assert status.shards == {"3": ShardProgress(published=5, total=9, done=False)}


def test_a_stack_that_stands_still_says_what_it_waits_for() -> None:
    assert not STANDING.idle
    said = waits_for(STANDING)
    for part in ("INPUT: 3 messages", "4 of 10 bars", "without an owner", "tracker (t): postgres: refused"):
        assert part in said
    assert "SIGNAL" not in said


class Keepers:
    """A bus on which the owners of the data are away for the first requests, and no stream has a message."""

    def __init__(self, away: int) -> None:
        self.away = away
        self.asked: list[str] = []

    async def request(self, subject: str, body: Any, timeout: float) -> Any:
        """The answer of the owner, once it is back."""
        assert (body, timeout) == ({}, summary.ANSWER_S)
        self.asked.append(subject.removeprefix("query."))
        if len(self.asked) <= self.away:
            raise UnavailableError(f"{subject}: TimeoutError()")
        found = {"archive": GOOD.archived, "counts": GOOD.stored, "stats": GOOD.recorded}
        return msgspec.to_builtins(found[subject.rpartition(".")[2]])

    async def last_seq(self, _: str) -> int:
        """No message."""
        return 0

    async def read(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        """Nothing."""
        nothing: tuple[Any, ...] = ()
        for message in nothing:
            yield message


async def test_a_keeper_that_dies_while_it_is_asked_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "PAUSE_S", 0.0)
    keepers: Any = Keepers(away=2)
    found = await summary.collect(keepers, STANDING)
    assert (found.archived, found.stored, found.recorded) == (GOOD.archived, GOOD.stored, GOOD.recorded)
    assert keepers.asked == ["archiver.archive"] * 3 + ["archiver.counts", "tracker.stats"]


async def test_a_keeper_that_stays_away_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "WITHIN_S", 0.0)
    with pytest.raises(UnavailableError, match=r"query.archiver.archive"):
        await summary.collect(cast("Any", Keepers(away=1)), STANDING)
