"""The pages and what they are made of: files of this package, read once, served from memory.

Their colours are those of edge_runtime/visual_style.py, and what stands in the head of each is in templates/head.html.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

from edge_runtime import coloured, page_style

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "webmanifest": "application/manifest+json",
}
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "media-src blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), display-capture=(), usb=(), payment=()",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
    "cache-control": "no-cache",
}


class Page:
    """Answers for `paths`; no other file can be asked for.

    The files are those of the folder `own`, in place of its namesakes in static/, and of static/.
    """

    def __init__(self, own: Traversable | None = None) -> None:
        self._files: dict[str, tuple[bytes, dict[str, str]]] = {}
        home = files("edge_serve")
        head = home.joinpath("templates", "head.html").read_text("utf-8")
        self._add("visual_style.css", page_style())
        for entry in (*home.joinpath("static").iterdir(), *(own.iterdir() if own else ())):
            if entry.name.rpartition(".")[2] in _TYPES:
                self._add(entry.name, coloured(entry.read_text("utf-8").replace("<!-- head -->\n", head)))
        self.paths = frozenset(self._files)

    def _add(self, name: str, text: str) -> None:
        content = text.encode()
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {**_HEADERS, "content-type": _TYPES[name.rpartition(".")[2]], "etag": etag}
        self._files["/" if name == "index.html" else f"/static/{name}"] = content, headers

    async def __call__(self, request: Request) -> Response:
        """The file at the request's path; 304 where the browser has it."""
        return self.answer(request, request.url.path)

    def answer(self, request: Request, path: str) -> Response:
        """The file at `path`, one of `paths`; 304 where the browser has it."""
        content, headers = self._files[path]
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers)
