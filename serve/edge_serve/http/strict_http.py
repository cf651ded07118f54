"""HTTP/1.1 as the standard writes it and no further: what two programs could read in two ways is refused.

h11 refuses most of it already: spaces before a colon, control characters, conflicting lengths, two Host headers. What
it reads kindly is refused here, for a proxy in front may read it otherwise and let a second request through inside a
first (request smuggling, RFC 9112 section 11.2).
"""

from __future__ import annotations

import re

import h11
from h11._receivebuffer import ReceiveBuffer

from edge_serve.http.hosts import host_name

_END_OF_HEAD = b"\r\n\r\n"
_CHUNK_LINE_BYTES = 256
# A size that fits into 64 bits, then extensions: what has come of a line that goes on is held to it as well.
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16}([ \t]*|;[\t -~\x80-\xff]*))?")
_ABSOLUTE = re.compile(rb"http://([^/?#]+)([/?].*)?", re.IGNORECASE)


class StrictConnection(h11.Connection):
    """The server's side of one connection.

    `header_bytes` and `headers` bound the head of a request. After a RemoteProtocolError `fault` is the status to
    answer and what is wrong.
    """

    def __init__(self, header_bytes: int, headers: int) -> None:
        super().__init__(h11.SERVER, header_bytes)
        self._receive_buffer = _StrictBuffer(header_bytes, headers)
        self.fault = (400, "this is not HTTP/1.1")

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """As h11's. Raises RemoteProtocolError for whatever the standard does not allow.

        A request for `http://host/path` is given as one for `/path` with that Host, whatever Host it had (RFC 9112,
        section 3.2.2).
        """
        try:
            if self.their_state is h11.IDLE:
                _check_head(self.trailing_data[0])
            event = super().next_event()
            return _origin_form(event) if isinstance(event, h11.Request) else event
        except h11.RemoteProtocolError as error:
            self.fault = (error.error_status_hint, _reason(error))
            raise


class _StrictBuffer(ReceiveBuffer):
    """What was received. h11 takes its lines from it as they were sent, and says how far each may reach here alone."""

    def __init__(self, header_bytes: int, headers: int) -> None:
        super().__init__()
        self._header_bytes = header_bytes
        self._headers = headers

    def maybe_extract_next_line(self) -> bytearray | None:
        """The line before a chunk."""
        line, end, _ = self._data[: _CHUNK_LINE_BYTES + 2].partition(b"\r\n")
        if len(line) > _CHUNK_LINE_BYTES:
            raise h11.RemoteProtocolError("the line before a chunk is too long")
        if not _CHUNK_LINE.fullmatch(line if end else line.removesuffix(b"\r")):
            raise h11.RemoteProtocolError("the line before a chunk is malformed")
        return super().maybe_extract_next_line()

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """The head of a request, or the trailer behind its last chunk."""
        head = b"" if self._data.startswith(b"\r\n") else bytes(self).partition(_END_OF_HEAD)[0]
        if len(head) > self._header_bytes:
            raise h11.RemoteProtocolError("the headers are too long", error_status_hint=431)
        if head.count(b"\r\n") > self._headers:
            raise h11.RemoteProtocolError(f"more than {self._headers} headers", error_status_hint=431)
        if b"\n" in head.replace(b"\r\n", b""):
            raise h11.RemoteProtocolError("a line ends without a carriage return")
        if b"\r\n " in head or b"\r\n\t" in head:
            raise h11.RemoteProtocolError("a header is folded over two lines")
        return super().maybe_extract_lines()


def _check_head(received: bytes) -> None:
    """Look at a whole head as it was sent: h11 gives it merged and without the lines it took for granted."""
    head, end, _ = received.partition(_END_OF_HEAD)
    if not end:
        return
    lines = head.split(b"\r\n")
    request, _, version = lines[0].rpartition(b" ")
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise h11.RemoteProtocolError("only versions 1.0 and 1.1 are spoken here", error_status_hint=505)
    target = request.partition(b" ")[2]
    if not (target.startswith(b"/") or target == b"*" or _absolute(target)):
        raise h11.RemoteProtocolError("the target is neither a path nor an http address")
    fields = [line.partition(b":")[::2] for line in lines[1:]]
    names = [name.lower() for name, _ in fields]
    lengths, encodings = names.count(b"content-length"), names.count(b"transfer-encoding")
    if lengths > 1 or encodings > 1 or (lengths and encodings):
        raise h11.RemoteProtocolError("the length of the body is stated twice")
    if lengths and not fields[names.index(b"content-length")][1].strip(b" \t").isdigit():
        raise h11.RemoteProtocolError("the length of the body is no number")
    if encodings and version == b"HTTP/1.0":
        raise h11.RemoteProtocolError("HTTP/1.0 knows no Transfer-Encoding")


def _absolute(target: bytes) -> tuple[bytes, bytes] | None:
    """Host and path of an http address; None where it is something else."""
    found = _ABSOLUTE.fullmatch(target)
    if found is None or host_name(found[1].decode("latin-1")) is None:
        return None
    path = found[2] or b"/"
    return found[1], path if path.startswith(b"/") else b"/" + path


def _origin_form(request: h11.Request) -> h11.Request:
    parts = _absolute(request.target)
    if parts is None:
        return request
    host, path = parts
    headers = [(b"host", host), *((name, value) for name, value in request.headers if name != b"host")]
    return h11.Request(method=request.method, headers=headers, target=path, http_version=request.http_version)


def _reason(error: h11.RemoteProtocolError) -> str:
    # What h11 says after a colon is the client's own bytes.
    text = str(error).partition(":")[0]
    return text if text.isprintable() and text else "this is not HTTP/1.1"
