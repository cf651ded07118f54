"""A store that answers like S3, as far as listing and reading go: what a bucket is to pyarrow's own client."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

__all__ = ["bucket_store"]


@contextmanager
def bucket_store() -> Iterator[tuple[dict[str, bytes], str]]:
    """The files of a bucket `photos`, by their keys, and the options that lead pyarrow's S3 client to it."""
    files: dict[str, bytes] = {}

    class Store(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            parts = urlsplit(self.path)
            name, _, key = unquote(parts.path).strip("/").partition("/")
            asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if name != "photos":
                return self._send(404, b"<Error><Code>NoSuchBucket</Code></Error>", body=body)
            if "list-type" in asked:
                return self._send(200, _listed(files, asked), body=body)
            if not key:
                return self._send(200, b"", body=body)
            if key not in files:
                return self._send(404, b"<Error><Code>NoSuchKey</Code></Error>", body=body)
            return self._send(200, files[key], body=body)

        def _send(self, code: int, data: bytes, *, body: bool) -> None:
            first = 0
            if code == 200 and (wanted := self.headers.get("Range", "")).startswith("bytes="):
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                whole, first = len(data), int(first)
                data = data[first : int(last) + 1 if last else None]
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{first + len(data) - 1}/{whole}")
            else:
                self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Last-Modified", "Sat, 28 Nov 2026 12:00:00 GMT")
            self.send_header("ETag", '"etag"')
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    options = (
        f"endpoint_override=127.0.0.1:{server.server_port}&scheme=http&region=eu-west-1&allow_bucket_creation=false"
    )
    yield files, options
    server.shutdown()
    server.server_close()
    thread.join()


def _listed(files: dict[str, bytes], asked: dict[str, str]) -> bytes:
    prefix = asked.get("prefix", "")
    keys = [key for key in sorted(files) if key.startswith(prefix)][: int(asked.get("max-keys", "1000"))]
    rows = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{len(files[key])}</Size>"
        "<LastModified>2026-11-28T12:00:00.000Z</LastModified></Contents>"
        for key in keys
    )
    text = (
        f'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>photos</Name>'
        f"<KeyCount>{len(keys)}</KeyCount><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"
    )
    return text.encode()
