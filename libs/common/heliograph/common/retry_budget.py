"""How many retries a provider may be sent, by how many calls it was sent. Pure."""

FLOOR = 10
"""Retries before any call has earned one: enough for the first few questions, each tried three times."""
CALLS_A_RETRY = 5
"""Calls that earn a retry. With a tenth of all requests failing a call needs 0.11 retries, and has 0.2; an
overloaded provider gets a fifth more requests than there are questions, instead of three times as many."""
MOST = 200
"""Retries saved at most: what the thousand calls earn that fifty runs of the panel make at once. Without it a
good week would pay for a storm of retries."""


class RetryBudget:
    """A bucket of tokens: each call puts a part of one in, each retry takes a whole one out.

    Over any sequence retries ≤ floor + calls / calls_a_retry; over any part of it the saved `most` takes the
    place of the floor. Counted in whole parts, so that nothing is lost by rounding.
    """

    def __init__(self, *, floor: int = FLOOR, calls_a_retry: int = CALLS_A_RETRY, most: int = MOST) -> None:
        self._price = calls_a_retry
        self._full = most * calls_a_retry
        self._parts = floor * calls_a_retry

    def called(self) -> None:
        """A question has been sent for the first time."""
        self._parts = min(self._parts + 1, self._full)

    def take(self) -> bool:
        """Whether a question may be sent once more; its token is gone then."""
        if self._parts < self._price:
            return False
        self._parts -= self._price
        return True
