"""For subscribers: signals, reasons and outcomes as typed objects."""

from heliograph.client.connection import Connection, connect
from heliograph.client.received import AlteredError, Received, UnreadableError
from heliograph.common.events import Outcome, Reason, Signal

__all__ = [
    "AlteredError",
    "Connection",
    "Outcome",
    "Reason",
    "Received",
    "Signal",
    "UnreadableError",
    "connect",
]
