"""A request's body, in memory and within limits: of its own size, of its time, and of what all bodies take together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

from starlette.types import Receive

from edge_serve.http.limits import ServeLimits
from edge_serve.http.refusal import Refusal

Share: TypeAlias = Callable[[int], None]


class ClientGone(Exception):  # noqa: N818 (nothing is wrong)
    """The client closed the connection; nobody is left to answer."""


class BodyBudget:
    """Memory for the bodies of all requests together; each of several `workers` has its share, and room for two."""

    def __init__(self, limits: ServeLimits, workers: int = 1) -> None:
        self._limits = limits
        self._left_bytes = max(2 * limits.body_bytes, limits.all_bodies_bytes // workers)

    @contextmanager
    def share(self) -> Iterator[Share]:
        """One request's part, which takes so many bytes more at each call; given back when the block ends.

        A call raises Refusal above the limit of one body (413) or of all (429).
        """
        taken_bytes = 0

        def take(count: int) -> None:
            nonlocal taken_bytes
            if taken_bytes + count > self._limits.body_bytes:
                raise too_large(self._limits.body_bytes)
            if count > self._left_bytes:
                raise Refusal(429, "memory", "too many large requests at once", "ask again", {"retry-after": "1"})
            self._left_bytes -= count
            taken_bytes += count

        try:
            yield take
        finally:
            self._left_bytes += taken_bytes


def too_large(limit_bytes: int) -> Refusal:
    """The refusal of a body above the limit."""
    return Refusal(413, "body", f"the body is larger than {limit_bytes / 1e6:g} MB", "send less, or a smaller picture")


async def read_chunks(
    receive: Receive, headers: Mapping[str, str], share: Share, limits: ServeLimits
) -> AsyncIterator[bytes]:
    """The body piece by piece, as it comes.

    Raises:
        Refusal: too large (413, where the length is stated before anything is read), too slow (408), compressed (415),
            or no memory for it now (429).
        ClientGone: the connection ended.
    """
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "encoding", "compressed bodies are not read", "send it without Content-Encoding")
    # The strict parser let digits alone through.
    if int(headers.get("content-length", "0")) > limits.body_bytes:
        raise too_large(limits.body_bytes)
    end = asyncio.get_running_loop().time() + limits.timeout_s
    more = True
    while more:
        try:
            async with asyncio.timeout_at(end):
                message = await receive()
        except TimeoutError:
            raise Refusal(408, "timeout", f"the body did not come within {limits.timeout_s:g} s") from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        share(len(message["body"]))
        more = message.get("more_body", False)
        yield message["body"]


async def read_whole(receive: Receive, headers: Mapping[str, str], share: Share, limits: ServeLimits) -> bytes:
    """The whole body. Raises as `read_chunks` does."""
    return b"".join([chunk async for chunk in read_chunks(receive, headers, share, limits)])
