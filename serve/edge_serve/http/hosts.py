"""Which names the server answers to.

A page of a stranger can point its own name at 127.0.0.1 (DNS rebinding) and then read our answers as its own: the
browser sees one origin. The Host header still holds the stranger's name, so names that are not ours are refused. An
address in its place is harmless: an address cannot be rebound.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from ipaddress import ip_address

from edge_runtime import UsageError
from edge_serve.http.refusal import Refusal

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
_OWN_PORTS = {"http": ":80", "https": ":443"}
_PORT = re.compile(r":\d{1,5}")


class HostCheck:
    """Refuses requests that were sent to another name, or by another site's page.

    The machine's own names are allowed (in full, its first part, and that with `.local`) and `allowed`; pages of
    `origins` may use it, too.
    Raises UsageError where one of `allowed` is no host name, or one of `origins` no origin.
    """

    def __init__(self, allowed: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        self.origins = frozenset(map(_origin, origins))
        own = socket.gethostname().lower()
        first = own.partition(".")[0]
        self._names = {"localhost", own, first, f"{first}.local"}
        for name in allowed:
            if host_name(name) is None or ":" in name:
                raise UsageError(f"`allow_hosts` {name!r} is not a host name", "give a name without port or scheme")
            self._names.add(name.lower().rstrip("."))

    def check(self, host: bytes, origin: bytes, site: bytes, *, changes: bool) -> None:
        """Raise Refusal for a Host that is not ours and, where the request `changes` something, for a foreign Origin.

        `site` is what the browser says in Sec-Fetch-Site. Programs send neither.
        """
        name = host_name(host.decode("latin-1"))
        if name is None or not (name in self._names or is_address(name)):
            raise Refusal(
                421,
                "host",
                "this server does not go by that name",
                "use its address, or start it with --allow-host NAME",
            )
        if not changes:
            return
        if self.may_share(origin):
            return
        if site == b"cross-site" or (origin and origin.partition(b"://")[2].lower() != host.lower()):
            raise Refusal(403, "origin", "another site's page may not use this server")

    def may_share(self, origin: bytes) -> bool:
        """Whether pages of that Origin may use the server and read its answers."""
        return origin in self.origins


def _origin(text: str) -> bytes:
    """An origin as a browser writes it, without the scheme's own port. Raises UsageError."""
    scheme, mark, host = text.partition("://")
    if not mark or scheme not in ("http", "https") or host_name(host) is None or text != text.lower():
        raise UsageError(
            f"`cors` {text!r} is no origin",
            "name the site's scheme and host, and port if it has one: https://app.example",
        )
    return text.removesuffix(_OWN_PORTS[scheme]).encode()


def host_name(host: str) -> str | None:
    """The name in a Host header, lower case and without port and brackets; None where it is malformed."""
    host = host.lower()
    if host.startswith("["):
        inside, bracket, port = host[1:].partition("]")
        return inside if bracket and is_address(inside) and (not port or _PORT.fullmatch(port)) else None
    name, colon, port = host.partition(":")
    if colon and not _PORT.fullmatch(f":{port}"):
        return None
    name = name.removesuffix(".")
    return name if _NAME.fullmatch(name) else None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what is bound to `host`."""
    return ip_address(host).is_loopback if is_address(host) else host.lower() == "localhost"


def is_address(name: str) -> bool:
    """Whether it is an IP address rather than a name."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
