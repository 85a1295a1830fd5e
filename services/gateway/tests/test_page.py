"""The page's files: packaged whole, of the right type, under a strict policy, asking nobody else."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from heliograph.common.errors import InvariantError
from heliograph.gateway.assets import FOLDER, load

OWN = [p for p in sorted(FOLDER.rglob("*")) if p.is_file() and "vendor" not in p.parts]


@pytest.mark.parametrize("path", ["/", "/static/js/main.js", "/nowhere", "/api/signals?limit=0", "/healthz"])
async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


async def test_the_page_and_all_it_names_are_served(client: httpx.AsyncClient) -> None:
    page = (await client.get("/")).raise_for_status()
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    queue = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    seen: dict[str, httpx.Response] = {}
    while queue:
        path = queue.pop()
        if path in seen:
            continue
        seen[path] = (await client.get(path)).raise_for_status()
        if path.endswith(".js"):
            for target in re.findall(r'(?:from |import\()"([^"]+)"', seen[path].text):
                queue.append(str(httpx.URL(f"http://x{path}").join(target).path))
            for styles in re.findall(r"styles: \[([^\]]+)\]", seen[path].text):
                queue += [f"/static/css/{name}.css" for name in re.findall(r'"([^"]+)"', styles)]
        if path.endswith(".css"):
            queue += re.findall(r'url\("([^"]+)"\)', seen[path].text)
    types = {path.rsplit(".", 1)[1]: r.headers["content-type"] for path, r in seen.items()}
    assert types["js"] == types["mjs"] == "text/javascript; charset=utf-8"
    assert types["css"] == "text/css; charset=utf-8"
    assert types["woff2"] == "font/woff2"
    served = {path.removeprefix("/static/") for path in seen} | {"index.html"}
    assert {p.relative_to(FOLDER).as_posix() for p in OWN} == {s for s in served if "vendor" not in s}


async def test_an_unchanged_file_is_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await client.get("/static/js/main.js")
    again = await client.get("/static/js/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = await client.get("/static/js/main.js", headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd", "/static/"],
)
async def test_no_request_leaves_the_folder(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code in (400, 404)


@pytest.mark.parametrize("path", OWN, ids=lambda p: p.relative_to(FOLDER).as_posix())
def test_the_pages_own_code_is_plain(path: Path) -> None:
    text = path.read_text()
    for forbidden in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        'setAttribute("style"',
    ):
        assert forbidden not in text
    if path.suffix == ".html":
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", text)
    outside = set(re.findall(r"https?://[^\s\"'<>)]+", text))
    assert outside <= {"https://www.tradingview.com/", "http://www.w3.org/2000/svg"}


def test_vendored_files_carry_their_licences() -> None:
    for folder in (FOLDER / "vendor").iterdir():
        assert (folder / "LICENSE").stat().st_size > 1000


def test_a_package_without_its_page_is_broken(tmp_path: Path) -> None:
    with pytest.raises(InvariantError, match=re.escape("index.html")):
        load(tmp_path)


async def test_the_favicon_is_an_image(client: httpx.AsyncClient) -> None:
    answer: Any = await client.get("/static/icon.svg")
    assert answer.headers["content-type"] == "image/svg+xml"
