"""The lifecycle rules of the archive's bucket: applied, read back, and refused where they contradict."""

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from heliograph.archiver.archive.lifecycle import Plan, check
from heliograph.common.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

RULE = "heliograph-archive"
NONE_YET = "NoSuchLifecycleConfiguration"


class S3Lifecycle:
    """The rules of one bucket; those of others in it stay as they are."""

    def __init__(self, client: "S3Client", bucket: str, prefix: str, lock_days: int) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._lock_days = lock_days

    def rules(self) -> list[dict[str, Any]]:
        """All rules of the bucket as S3 tells them.

        Raises:
            UnavailableError: it does not answer.
        """
        try:
            found = self._client.get_bucket_lifecycle_configuration(Bucket=self._bucket)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == NONE_YET:
                return []
            raise UnavailableError(f"lifecycle: {error}") from error
        except BotoCoreError as error:
            raise UnavailableError(f"lifecycle: {error}") from error
        return [dict(rule) for rule in found["Rules"]]

    def apply(self, plan: Plan) -> list[dict[str, Any]]:
        """Put the plan's rule beside those of others, read it back, and give all rules.

        Raises:
            InputError: the plan is inconsistent, or a rule of others would touch the archive's objects.
            UnavailableError: S3 does not answer, or gives back another rule than it was given.
        """
        check(plan, self._lock_days)
        others = [rule for rule in self.rules() if rule.get("ID") != RULE]
        for rule in others:
            self._refuse_overlap(rule)
        wanted = as_rule(plan, self._prefix)
        rules: Any = [*others, wanted]
        try:
            self._client.put_bucket_lifecycle_configuration(
                Bucket=self._bucket, LifecycleConfiguration={"Rules": rules}
            )
        except (BotoCoreError, ClientError) as error:
            raise UnavailableError(f"lifecycle: {error}") from error
        found = self.rules()
        ours = [rule for rule in found if rule.get("ID") == RULE]
        if [essence(rule) for rule in ours] != [essence(wanted)]:
            raise UnavailableError(f"lifecycle: S3 gives back {ours}, expected {wanted}")
        return found

    def _refuse_overlap(self, rule: dict[str, Any]) -> None:
        """A second rule over the same objects would move or remove them by its own days."""
        prefix = prefix_of(rule)
        overlaps = prefix.startswith(self._prefix) or self._prefix.startswith(prefix)
        acts = "Expiration" in rule or "Transitions" in rule
        if rule.get("Status") == "Enabled" and overlaps and acts:
            raise InputError(
                f"lifecycle: the bucket's rule {rule.get('ID')!r} covers {prefix!r}, "
                f"expected no other rule over {self._prefix!r}"
            )


def as_rule(plan: Plan, prefix: str) -> dict[str, Any]:
    """The plan as S3 writes it."""
    rule: dict[str, Any] = {
        "ID": RULE,
        "Status": "Enabled",
        "Filter": {"Prefix": prefix},
        "Transitions": [{"Days": days, "StorageClass": name} for name, days in plan.transitions],
    }
    if plan.expire:
        rule["Expiration"] = {"Days": plan.expire}
    return rule


def essence(rule: dict[str, Any]) -> dict[str, Any]:
    """What a rule does, whatever order and additions a server gives it."""
    moves = sorted((move["Days"], move["StorageClass"]) for move in rule.get("Transitions", []))
    return {
        "prefix": prefix_of(rule),
        "status": rule.get("Status"),
        "transitions": moves,
        "expire": rule.get("Expiration", {}).get("Days", 0),
    }


def prefix_of(rule: dict[str, Any]) -> str:
    """The keys that a rule is about; empty for all."""
    about = rule.get("Filter") or {}
    return str(about.get("Prefix", about.get("And", {}).get("Prefix", rule.get("Prefix", ""))))
