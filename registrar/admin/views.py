"""The status page for people, and what it asks for. Everything here is read-only.

The page must never need anything from elsewhere, nor run a script that is not a file of its own.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from registrar.admin.program import Program
from registrar.model import ServiceKey

FOLDER = Path(__file__).parent / "page"
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
SMALL_BYTES = 16 * 1024
"""What is larger is compressed in a thread, so that nothing waits for it."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def read_page() -> dict[str, bytes]:
    """Return the page's files by their names."""
    return {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in TYPES}


@web.middleware
async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Have every answer say what a browser may do with it."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        error.headers.update(HEADERS)
        raise
    response.headers.update(HEADERS)
    return response


class Views:
    """The page's routes."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._files = read_page()

    def add_to(self, app: web.Application) -> None:
        """Add the routes to an application of aiohttp."""
        app.middlewares.append(guarded)
        app.router.add_get("/", self._index)
        app.router.add_get("/page/{name}", self._file)
        app.router.add_get("/status/summary", self._summary)
        app.router.add_get("/status/services", self._rows)
        app.router.add_get("/status/services/{namespace}/{name}", self._service)
        app.router.add_get("/status/sources/{name}", self._source)

    async def _index(self, _request: web.Request) -> web.Response:
        return self._answer("index.html")

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._files:
            raise web.HTTPNotFound(text="there is no such file\n")
        return self._answer(name)

    def _answer(self, name: str) -> web.Response:
        kind = TYPES[Path(name).suffix]
        return web.Response(body=self._files[name], content_type=kind, charset="utf-8")

    async def _summary(self, _request: web.Request) -> web.Response:
        return _json(self._program.summary())

    async def _rows(self, _request: web.Request) -> web.Response:
        return _json(self._program.rows())

    async def _service(self, request: web.Request) -> web.Response:
        asked = request.match_info
        found = self._program.service(ServiceKey(asked["namespace"], asked["name"]))
        if found is None:
            raise web.HTTPNotFound(text="this Service has no mapping\n")
        return _json(found)

    async def _source(self, request: web.Request) -> web.Response:
        found = self._program.source(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound(text="nothing is asked of a source of this name\n")
        return _json(found)


def _json(body: object) -> web.Response:
    response = web.Response(
        body=msgspec.json.encode(body),
        content_type="application/json",
        zlib_executor_size=SMALL_BYTES,
    )
    response.enable_compression()
    return response
