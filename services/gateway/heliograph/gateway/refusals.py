"""How a request that cannot be answered is refused: a status and one sentence that names what is wrong."""

from typing import Any

from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException, ValidationException
from litestar.handlers import BaseRouteHandler
from litestar.status_codes import (
    HTTP_400_BAD_REQUEST,
    HTTP_500_INTERNAL_SERVER_ERROR,
    HTTP_503_SERVICE_UNAVAILABLE,
)
from litestar.types import ExceptionHandlersMap
from structlog import get_logger

from heliograph.common.errors import InputError, UnavailableError
from heliograph.gateway.records import Refusal

AnyRequest = Request[Any, Any, Any]
AnyConnection = ASGIConnection[Any, Any, Any, Any]

log = get_logger(__name__)


def declared(handler: BaseRouteHandler) -> set[str]:
    """The query parameters of a handler, as a client writes them."""
    return {
        getattr(field.kwarg_definition, "name", None) or name
        for name, field in handler.parsed_fn_signature.parameters.items()
    }


def refuse_unknown(connection: AnyConnection, handler: BaseRouteHandler) -> None:
    """Refuse a misspelt parameter rather than ignore it.

    Raises:
        InputError: a query parameter that the handler does not have.
    """
    known = declared(handler) - set(handler.resolve_dependencies())
    for name in connection.query_params:
        if name not in known:
            expected = ", ".join(sorted(known)) or "no parameter"
            raise InputError(f"{name}: an unknown parameter, expected {expected}")


def refused(status: int, text: str) -> Response[Refusal]:
    """The refusal itself."""
    return Response(Refusal(error=text), status_code=status)


def bad_parameter(request: AnyRequest, error: ValidationException) -> Response[Refusal]:
    """400, naming each parameter, its value and what was expected."""
    found = []
    for problem in error.extra if isinstance(error.extra, list) else []:
        key = str(problem.get("key", ""))
        said = str(problem.get("message", "")).replace("`", "")
        said = said[:1].lower() + said[1:]
        if problem.get("source") == "body":
            found.append(f"{key or 'body'}: {said}")
            continue
        value = request.query_params.get(key, request.path_params.get(key))
        found.append(f"{key}: {value!r}, {said}")
    return refused(HTTP_400_BAD_REQUEST, "; ".join(found) or error.detail)


def bad_input(_: AnyRequest, error: InputError) -> Response[Refusal]:
    """400: a value that no owner would take."""
    return refused(HTTP_400_BAD_REQUEST, str(error))


def owner_away(_: AnyRequest, error: UnavailableError) -> Response[Refusal]:
    """503: the store's owner does not answer now."""
    response = refused(HTTP_503_SERVICE_UNAVAILABLE, str(error))
    response.headers["Retry-After"] = "1"
    return response


def plain(_: AnyRequest, error: HTTPException) -> Response[Refusal]:
    """Whatever HTTP itself refuses: an unknown path, a method, a caller without a token."""
    response = refused(error.status_code, error.detail)
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


def broken(request: AnyRequest, error: Exception) -> Response[Refusal]:
    """500, with the error in the log and not in the answer."""
    log.error("request failed", path=request.url.path, error=repr(error))
    return refused(HTTP_500_INTERNAL_SERVER_ERROR, "an error of the gateway; its log has it")


HANDLERS: ExceptionHandlersMap = {
    ValidationException: bad_parameter,
    InputError: bad_input,
    UnavailableError: owner_away,
    HTTPException: plain,
}
