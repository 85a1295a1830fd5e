"""The embedded engines, one file each."""

from heliograph.stack.engines.engine import Engine, EngineRefusedError
from heliograph.stack.engines.nats import NatsEngine, credentials_of
from heliograph.stack.engines.postgres import PostgresEngine
from heliograph.stack.engines.redis import RedisEngine

__all__ = ["Engine", "EngineRefusedError", "NatsEngine", "PostgresEngine", "RedisEngine", "credentials_of"]
