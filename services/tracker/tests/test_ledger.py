"""The arithmetic of the ledger: worked by hand, and against the vectors of Certificate Transparency."""

import hashlib
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.tracker import merkle
from heliograph.tracker.checking import check_link
from heliograph.tracker.ledger import Block, block_link, row_digest

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
# The roots over the first n of these leaves, as the reference implementation of RFC 6962 publishes them.
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


@pytest.mark.parametrize("count", ROOTS)
def test_the_root_is_that_of_the_reference_vectors(count: int) -> None:
    assert merkle.root(LEAVES[:count]).hex() == ROOTS[count]


def split(digests: list[bytes]) -> bytes:
    """The RFC's own recursive definition."""
    if len(digests) == 1:
        return hashlib.sha256(b"\x00" + digests[0]).digest()
    middle = 1
    while 2 * middle < len(digests):
        middle *= 2
    return hashlib.sha256(b"\x01" + split(digests[:middle]) + split(digests[middle:])).digest()


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=70))
def test_the_root_is_that_of_the_recursive_definition(digests: list[bytes]) -> None:
    assert merkle.root(digests) == split(digests)


def block(number: int, previous: bytes, *keys: str) -> Block:
    made = Block(
        record="signals",
        shards=4,
        shard=1,
        number=number,
        previous=previous,
        link=b"",
        keys=list(keys),
        places=list(range(10 * number, 10 * number + len(keys))),
        digests=b"".join(row_digest("", key) for key in keys),
        created=NOON,
    )
    return msgspec.structs.replace(made, link=block_link(made))


def test_a_link_by_hand() -> None:
    digest = hashlib.sha256(b"00-a-b-01\n{}").digest()
    assert row_digest("00-a-b-01", "{}") == digest
    made = msgspec.structs.replace(block(7, b"\x05" * 32, "k1"), digests=digest, places=[9])
    assert (
        block_link(made) == hashlib.sha256(b"signals 4 1 7\n" + b"\x05" * 32 + b"k1\n9\n" + digest).digest()
    )


def test_a_chain_that_holds_gives_no_finding() -> None:
    first = block(1, b"", "a", "b")
    second = block(2, first.link, "c")
    assert check_link(first, None) == check_link(second, first) == []


def test_what_is_wrong_with_a_chain_is_named() -> None:
    first = block(1, b"", "a", "b")
    second = block(2, first.link, "c")
    third = block(3, second.link, "d")
    swapped = msgspec.structs.replace(first, keys=["b", "a"])
    found = [
        *check_link(swapped, None),
        *check_link(third, first),
        *check_link(block(2, b"\x01" * 32, "c"), first),
        *check_link(block(5, third.link, "x"), first),
        *check_link(msgspec.structs.replace(second, digests=b""), first),
    ]
    assert [(f.kind, f.key, f.detail.split(":")[0]) for f in found] == [
        ("altered", "signals/4/1/1", "its link is not that of its content"),
        ("deleted", "signals/4/1/3", "block 2 before it is missing"),
        ("unchained", "signals/4/1/2", "previous"),
        ("deleted", "signals/4/1/5", "block 2 to 4 before it is missing"),
        ("altered", "signals/4/1/2", "its link is not that of its content"),
    ]
