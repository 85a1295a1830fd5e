"""Questions to one provider: by key, breaker, budget and window, tried again where that can help."""

import asyncio

import structlog

from heliograph.common import metrics
from heliograph.common.clock import NANOSECONDS, Clock
from heliograph.common.http_retry import HttpRetry, RetryBudgetSpentError, Sent
from heliograph.common.spend.breaker import Breaker
from heliograph.common.spend.keys import Keys
from heliograph.common.spend.meter import Denied, Grant, Meter
from heliograph.common.spend.spend import Spend
from heliograph.common.spend.usage import Usage, Use
from heliograph.reasoning.models import wire
from heliograph.reasoning.models.client import Client
from heliograph.reasoning.models.failure import MAYBE_BILLED, CallFailedError
from heliograph.reasoning.models.latency import Latency
from heliograph.reasoning.models.loop_lag import LoopLag
from heliograph.reasoning.models.port import Answer, Prompt, Refusal
from heliograph.reasoning.models.provider import Provider

RATE_WAIT_S = 2.0
MARGIN_S = 0.1
"""A call ends so long before the deadline, so that it fails rather than being cancelled."""
SLOW = 0.5
"""Share of the p95: a hedge begins a p95 after the question, the call itself some time later than that."""
LARGEST_REQUEST = 65_536
LARGEST_REPLY = 4_096
"""Bytes of a request and tokens of a reply at most: they bound what one call can cost."""
STARVED = 0.5
"""Share of a call in which this process itself did not run: what it missed is no fault of the provider."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class RefusedError(Exception):
    """A call is not made; says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


class ProviderCalls:
    """One provider, with its breaker and its latencies."""

    def __init__(
        self,
        provider: Provider,
        client: Client,
        spend: Spend,
        usage: Usage,
        keys: Keys,
        clock: Clock,
        lag: LoopLag,
    ) -> None:
        self.provider = provider
        self.latency = Latency()
        self.breaker = Breaker()
        self._retry = HttpRetry(provider.name)
        self.meter = Meter(
            name=provider.name,
            daily_budget=round(provider.daily_budget * NANOSECONDS),
            largest=provider.most(LARGEST_REQUEST, LARGEST_REPLY),
            calls=provider.calls_per_minute,
        )
        self._client = client
        self._spend = spend
        self._usage = usage
        self._keys = keys
        self._clock = clock
        self._lag = lag

    async def ask(self, prompt: Prompt, deadline: float) -> Answer | Refusal:
        """An answer by the deadline (monotonic seconds), or why there is none."""
        try:
            return await self._retry(
                lambda sent: self._try(prompt, deadline, sent), lambda error: self._worth_it(error, deadline)
            )
        except RefusedError as refused:
            return refused.refusal
        except CallFailedError as error:
            reason = error.kind if error.kind in {"timeout", "invalid"} else "failed"
            return self._refusal(reason, str(error))
        except RetryBudgetSpentError as error:
            return self._refusal("failed", str(error))

    def _refusal(self, reason: str, detail: str) -> Refusal:
        text = self._keys.hide(f"{self.provider.name}: {detail}")
        return Refusal(reason=reason, detail=text)  # type: ignore[arg-type] # one of the names above

    def _worth_it(self, error: BaseException, deadline: float) -> bool:
        if not isinstance(error, CallFailedError) or not error.retryable:
            return False
        return self._clock.monotonic() + (error.retry_after or 0.0) < deadline

    async def _try(self, prompt: Prompt, deadline: float, sent: Sent) -> Answer:
        """One call, and another one for each key that is refused."""
        while True:
            key = await self._key()
            size = len(wire.request(self.provider, prompt, key).body)
            if size > LARGEST_REQUEST or prompt.max_tokens > LARGEST_REPLY:
                what = f"a question of {size} bytes for {prompt.max_tokens} tokens is too large"
                raise RefusedError(self._refusal("invalid", what))
            if not self.breaker.enter(self._clock.monotonic()):
                raise RefusedError(self._refusal("breaker", "left alone after its failures"))
            grant = await self._leave(self.provider.most(size, prompt.max_tokens), deadline)
            sent()
            began = self._clock.monotonic()
            with self._lag.watch() as late:
                try:
                    reply = await self._call(prompt, key, max(0.05, deadline - began - MARGIN_S))
                except CallFailedError as error:
                    seconds = self._clock.monotonic() - began
                    await self._failed(prompt, grant, error, starved=late() > STARVED * seconds)
                    if error.kind != "key":
                        raise
                    await self._refused(key)
                except BaseException:
                    # Given up, since another one was quicker. The provider may bill it all the same.
                    self._gave_up(self._clock.monotonic() - began, late())
                    self._count(prompt, "cancelled", grant.estimate)
                    await asyncio.shield(self._spend.settle(grant, grant.estimate))
                    raise
                else:
                    return await self._succeeded(prompt, grant, reply, self._clock.monotonic() - began)

    async def _call(self, prompt: Prompt, key: str, seconds: float) -> wire.Reply:
        try:
            async with asyncio.timeout(seconds):
                return await self._client.call(self.provider, prompt, key, seconds)
        except TimeoutError:
            raise CallFailedError("timeout", "no whole reply in time", timed_out=True) from None

    def _gave_up(self, seconds: float, late: float) -> None:
        """A call was cancelled: a failure where it was hedged because it was slow, not just begun late.

        By the meaning of a p95 that is rare, unless the provider hangs: then the breaker spares the hedges.
        """
        if seconds >= SLOW * self.latency.p95() and late <= STARVED * seconds:
            self.breaker.failed(self._clock.monotonic())
        else:
            self.breaker.left()

    async def _key(self) -> str:
        if not self.provider.key:
            return ""
        key = await self._keys.current(self.provider.key)
        if key is None:
            refused = await self._keys.known(self.provider.key)
            what = f"every {self.provider.key} was refused" if refused else f"no {self.provider.key}"
            raise RefusedError(self._refusal("no_key", what))
        return key

    async def _leave(self, hold: int, deadline: float) -> Grant:
        """Leave to make a call that costs at most `hold`; the breaker is left when there is none."""
        wait = min(RATE_WAIT_S, max(0.0, deadline - self._clock.monotonic()))
        estimate = self.provider.estimate()
        try:
            found = await self._spend.reserve(self.meter, hold=hold, estimate=estimate, wait_s=wait)
        except BaseException:
            self.breaker.left()
            raise
        if isinstance(found, Denied):
            self.breaker.left()
            raise RefusedError(self._refusal(found.reason, found.detail))
        return found

    async def _failed(self, prompt: Prompt, grant: Grant, error: CallFailedError, *, starved: bool) -> None:
        if error.kind == "key" or (error.timed_out and starved):
            self.breaker.left()
        else:
            self.breaker.failed(self._clock.monotonic())
        paid = grant.estimate if error.kind in MAYBE_BILLED else 0
        cost = paid if error.cost is None else error.cost
        self._count(prompt, error.kind, cost, failures=1)
        await self._spend.settle(grant, cost)
        await log.awarning(
            "model call failed",
            provider=self.provider.name,
            purpose=prompt.purpose,
            error=self._keys.hide(str(error)),
        )

    async def _refused(self, key: str) -> None:
        """Go on to the next key. The count raises the alert KeyRefused, the log names the secret."""
        if self._keys.refused(self.provider.key, key):
            metrics.KEYS_REFUSED.labels(self.provider.name).inc()
            await log.aerror("key refused", provider=self.provider.name, key=self.provider.key)

    async def _succeeded(self, prompt: Prompt, grant: Grant, reply: wire.Reply, seconds: float) -> Answer:
        self.breaker.succeeded()
        self.latency.add(seconds)
        used = reply.input_tokens + reply.output_tokens
        cost = self.provider.cost(reply.input_tokens, reply.cached_tokens, reply.output_tokens)
        # A reply that does not tell its usage counts the estimate.
        cost = cost if used else grant.estimate
        await asyncio.shield(self._spend.settle(grant, cost))
        self._count(prompt, "ok", cost, tokens_in=reply.input_tokens, tokens_out=reply.output_tokens)
        metrics.MODEL_SECONDS.labels(self.provider.name).observe(seconds)
        for kind, tokens in (
            ("input", reply.input_tokens - reply.cached_tokens),
            ("cached", reply.cached_tokens),
            ("output", reply.output_tokens),
        ):
            metrics.MODEL_TOKENS.labels(self.provider.name, kind).inc(tokens)
        return Answer(
            text=reply.text,
            provider=self.provider.name,
            model=reply.model,
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
            cached_tokens=reply.cached_tokens,
            cost=cost / NANOSECONDS,
            latency_s=seconds,
        )

    def _count(self, prompt: Prompt, result: str, cost: int, **counts: int) -> None:
        metrics.MODEL_CALLS.labels(self.provider.name, prompt.purpose, result).inc()
        self._usage.add(
            Use(provider=self.provider.name, purpose=prompt.purpose, calls=1, cost=cost, **counts)
        )
