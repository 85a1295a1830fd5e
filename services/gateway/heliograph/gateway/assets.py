"""The files of the page, read once: nothing of a request ever becomes a path."""

import hashlib
import mimetypes
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, Router, get
from litestar.exceptions import NotFoundException
from litestar.params import PathParameter
from litestar.status_codes import HTTP_304_NOT_MODIFIED

from heliograph.common.errors import InvariantError
from heliograph.gateway.refusals import HANDLERS

FOLDER = Path(__file__).parent / "static"
INDEX = "index.html"
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".woff2": "font/woff2"}
"""Set here, since a system's own table may lack them and a module of another type does not run."""

FilePath = Annotated[str, PathParameter(description="path of a file of the page")]


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """One file: its bytes, its media type and its entity tag."""

    data: bytes
    media_type: str
    etag: str


def load(folder: Path = FOLDER) -> dict[str, Asset]:
    """Every file under a folder by its path in it.

    Raises:
        InvariantError: the package has no page.
    """
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            data = file.read_bytes()
            guessed = TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "text/plain"
            found[file.relative_to(folder).as_posix()] = Asset(
                data=data,
                media_type=guessed,
                etag=f'"{hashlib.sha256(data).hexdigest()[:16]}"',
            )
    if INDEX not in found:
        raise InvariantError(f"{folder} has no {INDEX}")
    return found


def answer(request: Request[Any, Any, Any], asset: Asset) -> Response[bytes]:
    """The file, or 304 where the client has it; it asks again each time, so that an upgrade shows at once."""
    headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}
    if asset.etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=HTTP_304_NOT_MODIFIED, headers=headers, media_type=asset.media_type)
    return Response(asset.data, headers=headers, media_type=asset.media_type)


def assets_router(assets: dict[str, Asset]) -> Router:
    """The page at `/`, its files under `/static`."""

    @get("/", sync_to_thread=False)
    def index(request: Request[Any, Any, Any]) -> Response[bytes]:
        return answer(request, assets[INDEX])

    @get("/static/{file:path}", sync_to_thread=False)
    def static(request: Request[Any, Any, Any], file: FilePath) -> Response[bytes]:
        asset = assets.get(str(PurePosixPath(file)).lstrip("/"))
        if asset is None:
            raise NotFoundException(f"file: {file!r}, expected a file of the page")
        return answer(request, asset)

    return Router("/", route_handlers=[index, static], include_in_schema=False, exception_handlers=HANDLERS)
