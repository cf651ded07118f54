"""HTTP/1.1 as the standard writes it and no further: what two programs could read in two ways is refused.

h11 refuses most of it already: bad chunk sizes, spaces before a colon, control characters, conflicting lengths, two
Host headers. What it reads kindly is refused here, for a proxy in front may read it otherwise and let a second request
through inside a first (request smuggling, RFC 9112 section 11.2).
"""

from __future__ import annotations

import h11

__all__ = ["StrictConnection"]

_END_OF_HEAD = b"\r\n\r\n"


class StrictConnection(h11.Connection):
    """The server's side of one connection.

    `header_bytes` and `headers` bound the head of a request. After a RemoteProtocolError `fault` is the status to
    answer and what is wrong.
    """

    def __init__(self, header_bytes: int, headers: int) -> None:
        super().__init__(h11.SERVER, header_bytes)
        self._header_bytes = header_bytes
        self._headers = headers
        self.fault = (400, "this is not HTTP/1.1")

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """As h11's. Raises RemoteProtocolError for whatever the standard does not allow."""
        try:
            if self.their_state is h11.IDLE:
                self._check_head(self.trailing_data[0])
            return super().next_event()
        except h11.RemoteProtocolError as error:
            self.fault = (error.error_status_hint, _reason(error))
            raise

    def _check_head(self, received: bytes) -> None:
        """Look at the head as it was sent: h11 gives it merged, unfolded and without the lines it took for granted."""
        head, end, _ = received.partition(_END_OF_HEAD)
        if len(head) > self._header_bytes:
            raise h11.RemoteProtocolError("the headers are too long", error_status_hint=431)
        lines = head.split(b"\r\n")
        if len(lines) - 1 > self._headers:
            raise h11.RemoteProtocolError(f"more than {self._headers} headers", error_status_hint=431)
        if b"\n" in head.replace(b"\r\n", b""):
            raise h11.RemoteProtocolError("a line ends without a carriage return")
        if not end:
            return
        version = lines[0].rpartition(b" ")[2]
        if version not in (b"HTTP/1.1", b"HTTP/1.0"):
            raise h11.RemoteProtocolError("only versions 1.0 and 1.1 are spoken here", error_status_hint=505)
        fields = [line.partition(b":")[::2] for line in lines[1:]]
        names = [name.lower() for name, _ in fields]
        if any(name.startswith((b" ", b"\t")) for name in names):
            raise h11.RemoteProtocolError("a header is folded over two lines")
        lengths, encodings = names.count(b"content-length"), names.count(b"transfer-encoding")
        if lengths > 1 or encodings > 1 or (lengths and encodings):
            raise h11.RemoteProtocolError("the length of the body is stated twice")
        if lengths and not fields[names.index(b"content-length")][1].strip(b" \t").isdigit():
            raise h11.RemoteProtocolError("the length of the body is no number")
        if encodings and version == b"HTTP/1.0":
            raise h11.RemoteProtocolError("HTTP/1.0 knows no Transfer-Encoding")


def _reason(error: h11.RemoteProtocolError) -> str:
    # What h11 says after a colon is the client's own bytes.
    text = str(error).partition(":")[0]
    return text if text.isprintable() and text else "this is not HTTP/1.1"
