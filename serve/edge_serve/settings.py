"""Everything `edge serve` was asked for, checked before anything is opened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from edge_runtime import EngineWish, Setting, Threads, UsageError, as_kind, check_settings, usable_cores
from edge_serve.http.hosts import HostCheck, is_address, is_loopback
from edge_serve.http.limits import ServeLimits
from edge_serve.http.tokens import check_token

Batching: TypeAlias = Literal["auto", "on", "off"]
_PATH_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OF_MODEL = "{model}"
# The first parts of the server's own paths: below one of them it could not be told what a proxy has taken off.
_OWN_PATHS = frozenset({"predict", "model", "models", "v2", "static", "metrics", "healthz", "openapi.json"})


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """What to serve, where, to whom and within which limits.

    `model` is a file, or several by the names that they are served under. `{model}` in `drift` stands for the model's
    name; several models need it. `reload` looks for a new model file every second; SIGHUP asks for one look at any
    time.

    Raises UsageError where a value makes no sense, or a stranger could use the server and it was not said that he may.
    """

    model: Path | Mapping[str, Path]
    host: Annotated[str, Setting("Address to listen on; 0.0.0.0 for all.", "ADDRESS")] = "127.0.0.1"
    port: Annotated[int, Setting("Port to listen on; 0 for any free one.", "N", at_least=0, at_most=65_535)] = 8000
    unix: Annotated[
        Path | None,
        Setting("Unix socket to listen on instead, for its owner and group, as a proxy in front does.", "FILE"),
    ] = None
    tls_cert: Annotated[Path | None, Setting("Certificate, PEM: serve over https.", "FILE")] = None
    tls_key: Annotated[Path | None, Setting("Its private key.", "FILE", shown_default="in --tls-cert")] = None
    path_prefix: Annotated[
        str, Setting("Path below which a proxy shows the server, such as /cats.", "PATH", shown_default="none")
    ] = ""
    cors: Annotated[
        tuple[str, ...],
        Setting("Site whose pages may use the server, such as https://app.example; may be repeated.", "ORIGIN"),
    ] = ()
    token: Annotated[str | None, Setting("Token clients must send; other users can see it in ps.", "TEXT")] = None
    no_auth: Annotated[bool, Setting("Let everyone use it who can reach it, at any address.")] = False
    allow_hosts: Annotated[
        tuple[str, ...], Setting("Another name the server goes by; may be repeated.", "NAME", flag="--allow-host")
    ] = ()
    name: Annotated[str, Setting("The model's name in /v2 and /models.", "NAME", shown_default="the file's")] = ""
    limits: ServeLimits = field(default_factory=ServeLimits)
    engine: Annotated[
        EngineWish,
        Setting("What runs the model; auto: onnxruntime, or what edge bench --engines --choose found faster."),
    ] = "auto"
    threads: Threads = None
    workers: Annotated[
        int,
        Setting("Processes that answer at one port; they share --threads.", "N", at_least=1, at_most=256),
    ] = 1
    batching: Annotated[Batching, Setting("Run the model on several requests' pictures at once.")] = "auto"
    batch_size: Annotated[int, Setting("With batching: most at once.", "N", at_least=2, at_most=256)] = 8
    batch_wait_s: Annotated[
        float, Setting("With batching: longest wait for more, milliseconds.", "MS", unit=1e-3, at_least=0, at_most=1)
    ] = 0.005
    reload: Annotated[bool, Setting("Pick up a new model file by itself, not only at SIGHUP.")] = False
    require_signature: Annotated[
        tuple[Path, ...],
        Setting("Serve only a model that this public key signed; may be repeated.", "KEY.pub"),
    ] = ()
    drift: Annotated[
        Path | None,
        Setting(
            "Append how sure the answers are, and which, every 100 pictures; also in /metrics. "
            "{model} in it is the model's name.",
            "FILE",
        ),
    ] = None
    log_requests: bool = True

    def __post_init__(self) -> None:
        check_settings(self)
        if isinstance(self.model, Mapping):
            object.__setattr__(
                self, "model", {name: as_kind(path, Path, "`model`") for name, path in self.model.items()}
            )
        else:
            object.__setattr__(self, "model", as_kind(self.model, Path, "`model`"))
        as_kind(self.limits, ServeLimits, "`limits`")
        self._check_models()
        self.host_check()
        # An empty one would let everybody in.
        if self.token is not None:
            check_token(self.token, "`token`")
        if self.path_prefix and not _PATH_PREFIX.fullmatch(self.path_prefix):
            raise UsageError(
                f"`path_prefix` {self.path_prefix!r} is no path", "begin with a slash and end without: /cats"
            )
        if _OWN_PATHS.intersection(self.path_prefix.split("/")[1:2]):
            raise UsageError(f"`path_prefix` {self.path_prefix} begins as the server's own paths do", "take another")
        if self.tls_key is not None and self.tls_cert is None:
            raise UsageError("`tls_key` needs a certificate", "give `tls_cert`, too")
        if self.unix is not None and self.tls_cert is not None:
            raise UsageError("`unix` and `tls_cert` exclude each other", "let the proxy in front encrypt")
        # A Unix socket lets in whom its folder and its group let in.
        if self.unix is None and self.token is None and not self.no_auth and not is_loopback(self.host):
            raise UsageError(
                f"`host` {self.host} lets others in, and there is no token",
                "give --token-file FILE (openssl rand -hex 16 > FILE; in Python token=…), "
                "or `no_auth` if everyone may use it",
            )
        if self.token is not None and self.no_auth:
            raise UsageError("`no_auth` and a token exclude each other", "give one")

    def _check_models(self) -> None:
        if self.name and not _MODEL_NAME.fullmatch(self.name):
            raise UsageError(f"`name` {self.name!r} does not fit into an address", "letters, digits and . _ - alone")
        if not isinstance(self.model, Mapping):
            return
        if not self.model:
            raise UsageError("no `model` is named", "give at least one file")
        for name in self.model:
            if not _MODEL_NAME.fullmatch(name):
                raise UsageError(
                    f"`model` {name!r} does not fit into an address", "a name of letters, digits and . _ - alone"
                )
        if self.name:
            raise UsageError("`name` is for one file, and `model` names its own", "leave `name` out")
        if self.several and self.drift is not None and _OF_MODEL not in str(self.drift):
            raise UsageError(
                f"`drift` {self.drift} would be one record of several models",
                f"put {_OF_MODEL} into the file's name, as in drift-{_OF_MODEL}.jsonl",
            )

    def host_check(self) -> HostCheck:
        """The check of the names that the server goes by: those allowed, and `host` where it is one."""
        return HostCheck((*self.allow_hosts, *(() if is_address(self.host) else (self.host,))), self.cors)

    @property
    def worker_threads(self) -> int:
        """Threads that each of the workers has: its share of `threads`, and one at least."""
        return max(1, (self.threads or usable_cores()) // self.workers)

    @property
    def models(self) -> Mapping[str, Path]:
        """The model files by the names that they are served under."""
        return self.model if isinstance(self.model, Mapping) else {_name_of(self.name, self.model): self.model}

    @property
    def several(self) -> bool:
        """Whether more than one model is served, so that each has paths and figures of its own."""
        return len(self.models) > 1

    @property
    def model_name(self) -> str:
        """Of one model `name`, or the file's without its suffix, with what does not fit into an address replaced."""
        return next(iter(self.models))

    @property
    def path(self) -> Path:
        """The file of the one model, or of the first."""
        return self.models[self.model_name]

    def of_worker(self) -> ServeSettings:
        """The settings of each of the workers."""
        return replace(self, model=dict(self.models), name="", threads=self.worker_threads)

    def alone(self, name: str) -> ServeSettings:
        """The settings of one of the models, as if it were served alone."""
        drift = None if self.drift is None else Path(str(self.drift).replace(_OF_MODEL, name))
        return replace(self, model={name: self.models[name]}, name="", drift=drift)


def _name_of(name: str, file: Path) -> str:
    return name or re.sub(r"[^A-Za-z0-9._-]", "-", file.stem).lstrip(".-_")[:64] or "model"
