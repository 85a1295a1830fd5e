"""How far the shards of a process are: what `status` tells."""

import msgspec


class ShardProgress(msgspec.Struct):
    """One shard that this process works on; bars, not batches."""

    total: int
    refused: dict[str, int]
    published: int = 0
    done: bool = False


def summary(shards: dict[int, ShardProgress]) -> dict[str, object]:
    """The figures of some shards and their sums, as JSON values; sums over replicas add up."""
    quarantined: dict[str, int] = {}
    for progress in shards.values():
        for reason, count in progress.refused.items():
            quarantined[reason] = quarantined.get(reason, 0) + count
    return {
        "shards": {
            str(shard): {"published": p.published, "total": p.total, "done": p.done}
            for shard, p in sorted(shards.items())
        },
        "bars_total": sum(p.total for p in shards.values()),
        "bars_published": sum(p.published for p in shards.values()),
        "quarantined": dict(sorted(quarantined.items())),
    }
