"""The lifecycle: which plans hold, and what S3 is told and tells back."""

import os
from collections.abc import Awaitable, Callable
from typing import Any

import boto3
import pytest

from heliograph.archiver.archive.lifecycle import Plan, check
from heliograph.archiver.archive.s3_lifecycle import as_rule, essence
from heliograph.archiver.archive.s3_store import S3Store
from heliograph.common.errors import InputError


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        (Plan(ia=29), "ia: 29"),
        (Plan(ia=340), "GLACIER: 365, expected 370"),
        (Plan(deep=380), "DEEP_ARCHIVE: 380, expected 395"),
        (Plan(glacier=20), "GLACIER: 20"),
        (Plan(expire=2555), "expire: 2555, expected more than the last transition's 2555"),
        (Plan(expire=-1), "expire: -1"),
    ],
)
def test_an_inconsistent_plan_is_refused_and_named(plan: Plan, field: str) -> None:
    with pytest.raises(InputError, match=field):
        check(plan)


def test_what_is_locked_may_not_expire_before() -> None:
    check(Plan(expire=2600), lock_days=2600)
    with pytest.raises(InputError, match="object lock"):
        check(Plan(expire=2600), lock_days=2601)


def test_the_plan_is_applied_and_read_back(s3_endpoint: str, bucket: str) -> None:
    lifecycle = S3Store(bucket, "archive/", s3_endpoint).lifecycle()
    assert lifecycle.rules() == []
    lifecycle.apply(Plan())
    [rule] = boto3.client("s3", endpoint_url=s3_endpoint).get_bucket_lifecycle_configuration(Bucket=bucket)[
        "Rules"
    ]
    moves = {(move["Days"], move["StorageClass"]) for move in rule["Transitions"]}
    assert moves == {(30, "STANDARD_IA"), (365, "GLACIER"), (2555, "DEEP_ARCHIVE")}
    assert rule["Status"] == "Enabled"
    assert "Expiration" not in rule
    lifecycle.apply(Plan(ia=60, expire=3000))
    [again] = lifecycle.rules()
    assert essence(again) == essence(as_rule(Plan(ia=60, expire=3000), "archive/"))


def test_rules_of_others_stay_and_those_over_the_archive_are_refused(s3_endpoint: str, bucket: str) -> None:
    lifecycle = S3Store(bucket, "archive/", s3_endpoint).lifecycle()
    client = boto3.client("s3", endpoint_url=s3_endpoint)
    other: Any = {
        "ID": "logs",
        "Status": "Enabled",
        "Filter": {"Prefix": "logs/"},
        "Expiration": {"Days": 9},
    }
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [other]})
    assert {rule["ID"] for rule in lifecycle.apply(Plan())} == {"logs", "heliograph-archive"}
    everything: Any = {**other, "ID": "everything", "Filter": {"Prefix": ""}}
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [everything]})
    with pytest.raises(InputError, match="'everything' covers '', expected no other rule over 'archive/'"):
        lifecycle.apply(Plan())
    assert [rule["ID"] for rule in lifecycle.rules()] == ["everything"], "nothing was changed"


def test_a_refused_plan_changes_nothing(s3_endpoint: str, bucket: str) -> None:
    lifecycle = S3Store(bucket, "", s3_endpoint).lifecycle()
    with pytest.raises(InputError):
        lifecycle.apply(Plan(expire=100))
    assert lifecycle.rules() == []


async def test_objects_move_by_the_rule_where_a_day_takes_seconds(
    s3_endpoint: str, bucket: str, eventually: Callable[..., Awaitable[Any]]
) -> None:
    day_s = float(os.environ.get("HELIOGRAPH_TEST_S3_DAY_S", "0"))
    if not day_s:
        pytest.skip(
            "HELIOGRAPH_TEST_S3_DAY_S may say how long a day of the S3 server takes (rgw lc debug interval)"
        )
    store = S3Store(bucket, "archive/", s3_endpoint)
    client = boto3.client("s3", endpoint_url=s3_endpoint)
    store.put("bars/date=2020-01-01/part", b"x" * (256 << 10))
    client.put_object(Bucket=bucket, Key="other", Body=b"x")
    rule: Any = as_rule(Plan(ia=1, glacier=3, deep=5, expire=7), "archive/")
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    seen: list[str] = []

    async def gone() -> bool:
        found = client.list_objects_v2(Bucket=bucket, Prefix="archive/").get("Contents", [])
        seen.extend(item["StorageClass"] for item in found if item["StorageClass"] not in seen)
        return not found

    await eventually(gone, timeout=30 * day_s)
    assert seen == ["STANDARD", "STANDARD_IA", "GLACIER", "DEEP_ARCHIVE"]
    assert client.head_object(Bucket=bucket, Key="other").get("StorageClass", "STANDARD") == "STANDARD"
