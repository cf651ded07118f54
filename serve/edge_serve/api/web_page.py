"""The page at / and what it is made of: files of this package, read once, served from memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

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


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    headers: dict[str, str]


class Page:
    """Answers for `paths`; no other file can be asked for."""

    def __init__(self) -> None:
        self._files = dict(self._read())
        self.paths = frozenset(self._files)

    @staticmethod
    def _read() -> list[tuple[str, _File]]:
        found = []
        for entry in files("edge_serve").joinpath("static").iterdir():
            suffix = entry.name.rpartition(".")[2]
            if suffix not in _TYPES:
                continue
            content = entry.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            path = "/" if entry.name == "index.html" else f"/static/{entry.name}"
            found.append((path, _File(content, {**_HEADERS, "content-type": _TYPES[suffix], "etag": etag})))
        return found

    async def __call__(self, request: Request) -> Response:
        """The file at the request's path; 304 where the browser has it."""
        file = self._files[request.url.path]
        if request.headers.get("if-none-match") == file.headers["etag"]:
            return Response(status_code=304, headers=file.headers)
        return Response(file.content, headers=file.headers)
