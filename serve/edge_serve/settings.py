"""Everything `edge serve` was asked for, checked before anything is opened."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edge_runtime import UsageError
from edge_serve.http.hosts import HostCheck, is_address, is_loopback
from edge_serve.http.limits import Limits

__all__ = ["BATCHING", "Batching", "ServeSettings"]

Batching = Literal["auto", "on", "off"]
BATCHING: tuple[Batching, ...] = ("auto", "on", "off")
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """What to serve, where, to whom and within which limits.

    `name` is the model's in the Open Inference Protocol; `threads` None means the usable cores. Of batching,
    `batch_size` bounds the number of pictures and `batch_wait_s` how long the first of them waits for others.
    `reload` looks for a new model file every second; SIGHUP asks for one look at any time.

    Raises UsageError where a value makes no sense, or a stranger could use the server and it was not said that he may.
    """

    model: Path
    name: str = ""
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    no_auth: bool = False
    allow_hosts: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    threads: int | None = None
    batching: Batching = "auto"
    batch_size: int = 8
    batch_wait_s: float = 0.005
    reload: bool = False
    log_requests: bool = True

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise UsageError(f"--threads {self.threads}: at least 1 is needed")
        if not 0 <= self.port <= 65_535:
            raise UsageError(f"--port {self.port} is not a port", "from 1 to 65535, or 0 for any that is free")
        if self.batching not in BATCHING:
            raise UsageError(f"--batching {self.batching} is not known", f"there are {', '.join(BATCHING)}")
        if not 2 <= self.batch_size <= 256:
            raise UsageError(f"--batch-size {self.batch_size} makes no sense", "from 2 to 256")
        if not 0 <= self.batch_wait_s <= 1:
            raise UsageError(f"--batch-wait {self.batch_wait_s * 1e3:g} makes no sense", "from 0 to 1000 ms")
        if self.name and not _MODEL_NAME.fullmatch(self.name):
            raise UsageError(f"--name {self.name!r} does not fit into an address", "letters, digits and . _ - alone")
        self.host_check()
        if self.token is None and not self.no_auth and not is_loopback(self.host):
            raise UsageError(
                f"--host {self.host} lets others in, and there is no token",
                "give --token-file FILE (openssl rand -hex 16 > FILE), or --no-auth if everyone may use it",
            )
        if self.token is not None and self.no_auth:
            raise UsageError("--no-auth and a token exclude each other", "give one")

    def host_check(self) -> HostCheck:
        """The check of the names that the server goes by: those allowed, and `host` where it is one."""
        return HostCheck((*self.allow_hosts, *(() if is_address(self.host) else (self.host,))))

    @property
    def model_name(self) -> str:
        """`name`, or the file's name without its suffix, with what does not fit into an address replaced."""
        return self.name or re.sub(r"[^A-Za-z0-9._-]", "-", self.model.stem).lstrip(".-_")[:64] or "model"
