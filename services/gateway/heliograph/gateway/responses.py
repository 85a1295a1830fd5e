"""The refusals that stand in the OpenAPI document of every question."""

from litestar.openapi.datastructures import ResponseSpec

from heliograph.gateway.records import Refusal


def refusal(description: str) -> ResponseSpec:
    """A refusal for one reason."""
    return ResponseSpec(Refusal, description=description, generate_examples=False)


REFUSED = refusal("a parameter or the body is wrong; the text names it")
UNKNOWN = refusal("there is no such thing")
EVERYWHERE = {
    400: REFUSED,
    401: refusal("no token, or a wrong one"),
    403: refusal("the token lacks the scope, or the page is another's"),
    429: refusal("too many requests; Retry-After says when the next is taken"),
    503: refusal("the owner of the data does not answer now"),
}
