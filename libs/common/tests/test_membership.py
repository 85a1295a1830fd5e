import pytest
from nats.js.kv import KeyValue

from heliograph.common import members
from heliograph.common.buckets import open_bucket
from heliograph.common.bus import Bus
from heliograph.common.errors import UnavailableError
from heliograph.common.members import LEASES, Membership


async def test_a_bucket_that_could_not_be_opened_is_opened_at_the_next_beat(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [TimeoutError()]

    async def slow_once(bus: Bus, name: str, *, ttl_s: float | None = None) -> KeyValue:
        if name == LEASES and failures:
            raise failures.pop()
        return await open_bucket(bus, name, ttl_s=ttl_s)

    monkeypatch.setattr(members, "open_bucket", slow_once)
    membership = Membership(bus, "tracker", "one", ttl_s=5.0)
    with pytest.raises(UnavailableError, match="TimeoutError"):
        await membership.beat()
    view = await membership.beat()
    assert view.live == {"one"}
    assert await membership.take(3, view)
    assert (await membership.beat()).leases[3][0] == "one"
