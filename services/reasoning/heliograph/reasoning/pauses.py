"""How long to wait before a provider is asked again."""

from collections.abc import Callable

import tenacity


def as_asked(otherwise: tenacity.wait.wait_base) -> Callable[[tenacity.RetryCallState], float]:
    """As long as the error's `retry_after` says, seconds; where it says nothing, as `otherwise` does."""

    def pause(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked: float | None = getattr(error, "retry_after", None)
        return otherwise(state) if asked is None else asked

    return pause
