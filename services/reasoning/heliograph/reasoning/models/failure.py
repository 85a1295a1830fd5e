"""Why a call to a provider has failed, by what can be done about it."""

import re
from typing import Literal

import msgspec

from heliograph.common.http_retry import passing
from heliograph.common.retry_after import capped, decimal, retry_after

Kind = Literal["key", "balance", "rate", "server", "refused", "connection", "timeout", "invalid"]
"""`key`: try another one. `balance`: the provider's account is empty. `rate`: too many calls. `server`: its
fault. `refused`: ours, the same request fails again. `connection`: no whole reply. `timeout`: none in time.
`invalid`: a reply that is none."""
RETRYABLE = frozenset({"rate", "server", "connection"})
MAYBE_BILLED = frozenset({"connection", "timeout", "invalid"})
"""After these the provider may have worked, so that the call counts as paid."""
DETAIL = 160
_WAIT_TEXT = re.compile(r"(?:try again|retry)[^.]{0,20}?(?:in|after) ([0-9.]+) ?(ms|s)", re.IGNORECASE)


class CallFailedError(Exception):
    """One call has failed.

    Attributes:
        retry_after: seconds that the provider asks to wait, where it says so.
        cost: nanodollars, where the bill is known although the reply is of no use; else None.
        timed_out: it was not refused: time went by.
    """

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        retry_after: float | None = None,
        cost: int | None = None,
        timed_out: bool = False,
    ) -> None:
        super().__init__(f"{kind}: {detail}")
        self.timed_out = timed_out
        self.kind: Kind = kind
        self.detail = detail
        self.retry_after = retry_after
        self.cost = cost

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return self.kind in RETRYABLE


class _Inner(msgspec.Struct):
    message: str = ""
    type: str | None = None
    code: str | int | None = None


class _Body(msgspec.Struct):
    error: _Inner | str | None = None
    message: str = ""
    code: str | int | None = None


_decoder = msgspec.json.Decoder(_Body)
_EMPTY_ACCOUNT = frozenset(
    {"insufficient_quota", "1113", "Arrearage", "insufficient_balance", "billing_not_active", "billing_error"}
)
_BAD_KEY = frozenset({"invalid_api_key", "authentication_error", "InvalidApiKey"})
_PAYMENT_REQUIRED = 402


def told(body: bytes) -> tuple[set[str], str]:
    """The codes and the message of an error's body; empty where it has none."""
    try:
        read = _decoder.decode(body)
    except msgspec.DecodeError:
        return set(), ""
    if isinstance(read.error, str):
        return {str(read.code)} if read.code else set(), read.error
    if read.error is None:
        return {str(read.code)} if read.code else set(), read.message
    return {str(c) for c in (read.error.code, read.error.type) if c is not None}, read.error.message


def http_failure(status: int, headers: dict[str, str], body: bytes, now_ns: int) -> CallFailedError:
    """What a reply with an error's status means.

    Args:
        headers: names in lower case.
        now_ns: to read a Retry-After that is a date.
    """
    codes, message = told(body)
    shown = f"HTTP {status}{' ' + ', '.join(sorted(codes)) if codes else ''}"
    if status in (401, 403) or codes & _BAD_KEY:
        # Nothing of the message: some providers repeat the key in it.
        return CallFailedError("key", shown)
    if status == _PAYMENT_REQUIRED or codes & _EMPTY_ACCOUNT:
        return CallFailedError("balance", shown)
    detail = f"{shown}: {' '.join(message.split())[:DETAIL]}" if message else shown
    if (kind := passing(status)) is None:
        return CallFailedError("refused", detail)
    wait = retry_after(headers, now_ns)
    return CallFailedError(kind, detail, retry_after=_told_wait(message) if wait is None else wait)


def _told_wait(message: str) -> float | None:
    """Seconds to wait that only the message of an error asks for."""
    found = _WAIT_TEXT.search(message)
    if not found or (amount := decimal(found[1])) is None:
        return None
    return capped(amount / (1000 if found[2].lower() == "ms" else 1))
