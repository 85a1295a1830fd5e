"""As many error types as there are reactions to them."""


class HeliographError(Exception):
    """The base of every error that Heliograph raises on purpose."""


class ConfigError(HeliographError):
    """A setting is missing or wrong: the program does not start. The message names the key."""


class InputError(HeliographError):
    """Data from outside is wrong: it is refused at the edge. The message names field and value."""


class UnavailableError(HeliographError):
    """A store, an engine or a provider cannot answer now: try again in place, lose nothing."""


class PoisonError(HeliographError):
    """One message can never be handled: it goes to DEAD and the shard goes on."""


class FencedError(HeliographError):
    """Another member owns this shard by now: stop writing to it."""


class InvariantError(HeliographError):
    """Something that must always hold does not: the program stops loudly."""
