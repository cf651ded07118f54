"""Downloads that give up in seconds, and leave a whole file or none."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import IO, TypeAlias
from urllib.error import HTTPError, URLError
from urllib.parse import urlparse
from urllib.request import Request, build_opener

from edge_runtime import WeightsError

# Called with the bytes received so far and the total, None where the server does not say.
OnBytes: TypeAlias = Callable[[int, int | None], None]

# The form of torch.hub's file names: resnet18-f37072fd.pth holds bytes whose SHA-256 begins with f37072fd.
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,})\.")
# Slower than this for a whole stall time is as good as stalled: resnet18 would take three hours.
_SLOWEST_BYTES_PER_S = 4096
_CHUNK_BYTES = 1 << 17


def download(
    url: str,
    target: Path,
    *,
    ways_out: str,
    connect_s: float = 8.0,
    stall_s: float = 15.0,
    progress: OnBytes | None = None,
) -> None:
    """Fetch `url` to `target`, whole and with the SHA-256 its name promises, or leave `target` as it was.

    The server must begin to answer within `connect_s`, everything before that (name resolution, proxy, TLS)
    included, and then never stall for `stall_s`.

    Raises:
        WeightsError: anything of this fails; its hint is `ways_out`.
    """
    partial = target.with_name(f"{target.name}.{uuid.uuid4().hex}.partial")
    try:
        with _ask(url, connect_s, stall_s) as answer:
            file = _create(partial)
            try:
                with file:
                    digest = _receive(answer, file, stall_s, progress)
                promised = promised_hash(target.name)
                if not digest.startswith(promised):
                    raise ValueError(f"what came has SHA-256 {digest[:16]}…, not {promised}…")
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise WeightsError(f"cannot download {url}: {_why(error, url)}", ways_out) from None


def _create(partial: Path) -> IO[bytes]:
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        return partial.open("xb")
    except OSError as error:
        raise WeightsError(
            f"{partial.parent} cannot be written: {error.strerror or error}",
            "set TORCH_HOME, or EDGE_CACHE for a data set, to a folder that can",
        ) from None


def _ask(url: str, connect_s: float, stall_s: float) -> http.client.HTTPResponse:
    # In a thread: name resolution takes no timeout, and several addresses multiply the one that is given.
    answer: Future[http.client.HTTPResponse] = Future()

    def ask() -> None:
        try:
            request = Request(url, headers={"User-Agent": "edge-vision"})
            # Not urlopen, which keeps the proxies it found at its first use in this process.
            answer.set_result(build_opener().open(request, timeout=stall_s))
        except Exception as error:
            answer.set_exception(error)

    Thread(target=ask, daemon=True, name="edge-download").start()
    try:
        return answer.result(connect_s)
    except TimeoutError:
        answer.add_done_callback(_close_late)
        raise TimeoutError(f"no answer within {connect_s:g} seconds") from None


def _close_late(answer: Future[http.client.HTTPResponse]) -> None:
    if answer.exception() is None:
        answer.result().close()


def _receive(answer: http.client.HTTPResponse, file: IO[bytes], stall_s: float, progress: OnBytes | None) -> str:
    """Copy the body to a file; returns its SHA-256.

    Raises:
        ValueError: a web page, or an incomplete body.
        OSError: the connection broke or stalled, or the disk is full.
    """
    if answer.headers.get_content_type() == "text/html":
        raise ValueError("a web page came instead; a login page or a proxy lies in between")
    length = answer.headers.get("Content-Length", "")
    total = int(length) if length.isdecimal() else None
    digest = hashlib.sha256()
    done = window_bytes = 0
    window_began = time.monotonic()
    while chunk := answer.read1(_CHUNK_BYTES):
        file.write(chunk)
        digest.update(chunk)
        done += len(chunk)
        window_bytes += len(chunk)
        if progress:
            progress(done, total)
        if (elapsed := time.monotonic() - window_began) >= stall_s:
            if window_bytes < _SLOWEST_BYTES_PER_S * elapsed:
                raise TimeoutError(f"only {window_bytes} bytes came in {elapsed:.0f} seconds")
            window_bytes, window_began = 0, time.monotonic()
    if total is not None and done != total:
        raise ValueError(f"the transfer ended after {done} of {total} bytes")
    file.flush()
    os.fsync(file.fileno())
    return digest.hexdigest()


def _why(error: Exception, url: str) -> str:
    if isinstance(error, HTTPError):
        error.close()
        return f"the server says {error.code} {error.reason}"
    reason = error.reason if isinstance(error, URLError) else error
    text = (reason.strerror or str(reason)) if isinstance(reason, OSError) else str(reason)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"the certificate of {urlparse(url).hostname} is not trusted; a proxy may lie in between"
    return "the connection stalled" if text == "timed out" else text or type(reason).__name__


def promised_hash(name: str) -> str:
    """The beginning of the SHA-256 that a file name of torch.hub's form promises, else an empty text."""
    found = _HASH_IN_NAME.search(name)
    return found[1] if found else ""
