"""Present values: the arithmetic that the valuations share."""

from collections.abc import Iterable


def present_value(flows: Iterable[float], rate: float) -> float:
    """Σ flow_t ÷ (1 + rate)^t, the first flow a year from now."""
    return sum(flow / (1 + rate) ** year for year, flow in enumerate(flows, start=1))


def grown(start: float, rates: Iterable[float]) -> list[float]:
    """The flows of the following years, each grown from the one before by its rate."""
    flows = []
    for rate in rates:
        start *= 1 + rate
        flows.append(start)
    return flows


def perpetuity(last: float, growth: float, rate: float) -> float:
    """Gordon's value, at the time of the last flow, of all flows after it: last·(1 + g) ÷ (r − g)."""
    return last * (1 + growth) / (rate - growth)


def discounted(flows: list[float], rate: float, terminal: float) -> float:
    """The present value of some years' flows and of a terminal value at the end of the last year."""
    return present_value(flows, rate) + terminal / (1 + rate) ** len(flows)
