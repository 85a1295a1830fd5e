"""What can go wrong with the stack itself."""

from heliograph.common.errors import HeliographError


class StackError(HeliographError):
    """The stack cannot start or go on; the message says what failed, and ends with its last words."""
