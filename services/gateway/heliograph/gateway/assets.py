"""The files of the page, read once: nothing of a request ever becomes a path."""

import gzip
import hashlib
import mimetypes
import re
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

PAYS = 0.9
"""A file that gzip makes hardly smaller (a font, which is compressed already) goes as it is."""
NOUGHT = re.compile(r"q\s*=\s*0(\.0*)?\s*$")

FilePath = Annotated[str, PathParameter(description="path of a file of the page")]


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """One file: its bytes, its media type, its entity tag; and bytes and tag in gzip, where that pays."""

    data: bytes
    media_type: str
    etag: str
    zipped: bytes | None = None
    zipped_etag: str = ""


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
            tag = hashlib.sha256(data).hexdigest()[:16]
            zipped = gzip.compress(data, mtime=0)
            found[file.relative_to(folder).as_posix()] = Asset(
                data=data,
                media_type=guessed,
                etag=f'"{tag}"',
                zipped=zipped if len(zipped) < PAYS * len(data) else None,
                zipped_etag=f'"{tag}-gzip"',
            )
    if INDEX not in found:
        raise InvariantError(f"{folder} has no {INDEX}")
    return found


def answer(request: Request[Any, Any, Any], asset: Asset) -> Response[bytes]:
    """The file, or 304 where the client has it; it asks again each time, so that an upgrade shows at once."""
    data, etag = asset.data, asset.etag
    headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if asset.zipped is not None and accepts_gzip(request.headers.get("accept-encoding", "")):
        data, etag = asset.zipped, asset.zipped_etag
        headers["Content-Encoding"] = "gzip"
    headers["ETag"] = etag
    if etag in request.headers.get("if-none-match", ""):
        headers.pop("Content-Encoding", None)
        return Response(b"", status_code=HTTP_304_NOT_MODIFIED, headers=headers, media_type=asset.media_type)
    return Response(data, headers=headers, media_type=asset.media_type)


def accepts_gzip(header: str) -> bool:
    """Whether an Accept-Encoding header names gzip and does not give it the weight nought."""
    for offer in header.lower().split(","):
        name, _, parameters = offer.partition(";")
        if name.strip() == "gzip":
            return not NOUGHT.search(parameters)
    return False


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
