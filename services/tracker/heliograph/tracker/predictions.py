"""Keeps what panels say: the verdicts of a run and every agent's prediction, in one transaction."""

from typing import Annotated, Any

import msgspec
import structlog
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig
from nats.js.client import JetStreamContext

from heliograph.common import metrics, telemetry
from heliograph.common.answering import answering
from heliograph.common.bus import Bus, Message
from heliograph.common.errors import InputError, UnavailableError
from heliograph.common.events import AgentProgress, DeadLetter, Prediction, Verdict, encode
from heliograph.common.ids import derive_id
from heliograph.common.subjects import dead
from heliograph.tracker.database import Database
from heliograph.tracker.queries import GROUP

STREAM = "ANALYSIS"
SUBJECT = "analysis.*.portfolio_manager"
"""The portfolio manager's word is the verdict."""
CONSUMER = "tracker-predictions"
"""Durable, and the group that the replicas read in."""
SERVICE = "tracker"
SHARD = "analysis"
ACK_WAIT_S = 60.0
RETRY_S = 1.0

VERDICT = """INSERT INTO verdicts
    (run, ticker, id, ts, asof, direction, conviction, agents, action, quantity, reason)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""
PREDICTION = """INSERT INTO predictions
    (run, ticker, agent, signal, confidence, reasoning, spoken_by, note, facts, prompt, answer)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)
_decoder: msgspec.json.Decoder[AgentProgress | Verdict] = msgspec.json.Decoder(AgentProgress | Verdict)


class PredictionsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of the panel said."""

    run: Annotated[str, msgspec.Meta(min_length=1)]


class Predictions:
    """The reader of ANALYSIS; replicas share one consumer, and what is acknowledged is stored."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus
        self._subscription: JetStreamContext.PushSubscription | None = None

    async def start(self) -> None:
        """Read on from where the replicas are, and answer `query.tracker.predictions`."""
        config = ConsumerConfig(ack_wait=ACK_WAIT_S, max_ack_pending=64)
        self._subscription = await self._bus.js.subscribe(
            SUBJECT,
            stream=STREAM,
            queue=CONSUMER,
            cb=self._take,
            manual_ack=True,
            config=config,
        )
        answer = answering(PredictionsQuery, self.predictions)
        await self._bus.respond("query.tracker.predictions", answer, queue=GROUP)

    async def close(self) -> None:
        """Stop reading; what is not acknowledged comes to another replica."""
        if self._subscription is not None:
            await self._subscription.unsubscribe()

    async def _take(self, message: Msg) -> None:
        try:
            await self._handle(message)
        except UnavailableError as error:
            await log.awarning("predictions wait", error=str(error))
            await message.nak(delay=RETRY_S)
        except Exception as error:
            # A message that can never be stored must not come again for ever.
            await log.aexception("predictions cannot be stored", subject=message.subject)
            await self._bury(message, error)

    async def _handle(self, message: Msg) -> None:
        event = _decoder.decode(message.data)
        if isinstance(event, Verdict) and isinstance(event.verdicts, int):
            seq = message.metadata.sequence.stream
            found = await self.verdicts(message.subject, seq)
            if len(found) >= event.verdicts:  # else the last one will bring them all
                parent = (message.headers or {}).get("traceparent")
                named = {"heliograph.run": event.run}
                with telemetry.span(
                    "record analysis", kind="consumer", parent=parent, attributes=named
                ) as span:
                    span.keep()
                    await self.store(found)
        await message.ack()

    async def verdicts(self, subject: str, upto: int) -> list[Verdict]:
        """The verdicts of a run up to a sequence of the stream, one a ticker.

        Raises:
            UnavailableError: the stream does not answer.
        """
        found: dict[str, Verdict] = {}
        async for message in self._bus.read(STREAM, subject, after=0, upto=upto):
            event = _decoder.decode(message.data)
            if isinstance(event, Verdict):
                found[event.ticker] = event
        return list(found.values())

    async def store(self, verdicts: list[Verdict]) -> None:
        """Store a run whole, or nothing of it; a second time changes nothing.

        Raises:
            UnavailableError: Postgres is away.
        """
        rows = [(verdict, _predictions(verdict)) for verdict in verdicts]
        async with (
            self._database.connection() as connection,
            connection.transaction(),
            connection.cursor() as cursor,
        ):
            await cursor.executemany(VERDICT, [_verdict_row(verdict) for verdict, _ in rows])
            predictions = [_prediction_row(v, said) for v, all_said in rows for said in all_said]
            await cursor.executemany(PREDICTION, predictions)
        metrics.ROWS_WRITTEN.labels("postgres", "predictions").inc(len(predictions))

    async def predictions(self, query: PredictionsQuery) -> dict[str, Any]:
        """The verdicts of a run, each with its predictions.

        Raises:
            InputError: no such run is stored.
            UnavailableError: Postgres is away.
        """
        rows = await self._database.fetch(
            """SELECT v.ticker, v.asof::text, v.direction, v.conviction, v.action, v.quantity, v.reason,
                coalesce(json_agg(json_build_object('agent', p.agent, 'signal', p.signal,
                    'confidence', p.confidence, 'reasoning', p.reasoning, 'by', p.spoken_by, 'note', p.note,
                    'facts', p.facts, 'prompt', p.prompt, 'answer', p.answer))
                    FILTER (WHERE p.agent IS NOT NULL), '[]')
            FROM verdicts v LEFT JOIN predictions p USING (run, ticker)
            WHERE v.run = %s GROUP BY v.run, v.ticker ORDER BY v.ticker""",
            (query.run,),
        )
        if not rows:
            raise InputError(f"run: {query.run!r}, expected the name of a stored run")
        names = ("ticker", "asof", "direction", "conviction", "action", "quantity", "reason", "predictions")
        return {"run": query.run, "verdicts": [dict(zip(names, row, strict=True)) for row in rows]}

    async def _bury(self, message: Msg, error: Exception) -> None:
        """Keep in DEAD what can never be stored, with why; it comes again if even that fails."""
        sequence = message.metadata.sequence.stream
        letter = DeadLetter(
            id=derive_id("dead", SERVICE, message.subject, sequence),
            ts=int(message.metadata.timestamp.timestamp() * 1e9),
            service=SERVICE,
            reason=f"{type(error).__name__}: {error}",
            subject=message.subject,
            payload=message.data,
            stream_seq=sequence,
        )
        try:
            await self._bus.publish(
                [Message(subject=dead(SERVICE, SHARD), data=encode(letter), msg_id=letter.id)]
            )
        except UnavailableError:
            await message.nak(delay=RETRY_S)
            return
        metrics.DEAD_LETTERS.labels(SERVICE).inc()
        await message.term()


def _predictions(verdict: Verdict) -> list[Prediction]:
    return verdict.predictions if isinstance(verdict.predictions, list) else []


def _verdict_row(verdict: Verdict) -> tuple[object, ...]:
    return (
        verdict.run,
        verdict.ticker,
        verdict.id,
        verdict.ts,
        verdict.asof,
        verdict.direction,
        verdict.conviction,
        verdict.agents,
        verdict.action,
        verdict.quantity,
        verdict.reason,
    )


def _prediction_row(verdict: Verdict, said: Prediction) -> tuple[object, ...]:
    return (
        verdict.run,
        verdict.ticker,
        said.agent,
        said.signal,
        said.confidence,
        said.reasoning,
        said.by,
        said.note,
        said.facts,
        said.prompt,
        said.answer,
    )
