"""What keeps the server running on a device: a systemd unit, or a container."""

from __future__ import annotations

import getpass
import json
import os.path
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from edge_runtime import UsageError, package_version, to_words
from edge_serve.http.hosts import is_address, is_loopback
from edge_serve.settings import ServeSettings

_HOMES = (Path("/home"), Path("/root"))
# Both are the service's own where its /tmp is.
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))
_STATE = Path("/var/lib/edge-serve")
# Not in /run/secrets: where the root cannot be written to, podman with runc cannot make a file in it.
_SECRET = "/run/edge-token"


def systemd_unit(
    settings: ServeSettings, token_file: Path | None = None, say: Callable[[str], None] = lambda _: None
) -> str:
    """A unit that serves as `settings` say, with this environment's `edge`; the token is handed over as a credential.

    The service has a user of its own, unless `edge`, its Python or the model lies in somebody's home, be it behind a
    link: then it runs as the user who asked, or whose home it is where root asked, and may read the home and change
    nothing. It never runs as root: `say` is told where its user cannot read what lies in root's home. The token and
    what TLS needs are handed over by systemd, so nobody else need be able to read them. Raises UsageError for a Unix
    socket.
    """
    if settings.unix is not None:
        raise UsageError(
            f"a unit that listens on {settings.unix} is a socket unit's",
            "leave `unix` out here, and put the socket unit of docs/serve.md beside what is printed",
        )
    executable = Path(sys.executable).absolute().with_name("edge")
    models = {name: path.absolute() for name, path in settings.models.items()}
    keys = tuple(key.absolute() for key in settings.require_signature)
    written = None if settings.drift is None else settings.drift.absolute()
    asked = replace(settings, require_signature=keys, drift=written)
    settings, credentials = _handed_over(asked, token_file)
    needed = (executable, Path(sys.executable), *models.values(), *keys, *([] if written is None else [written]))
    homes = _below(_HOMES, needed)
    user = _user(homes) if homes else None
    if homes and user is None:
        say(
            f"note: nothing should serve as root: the unit has a user of its own, who must be able to read {homes[0]}; "
            "/opt and /srv are places for edge and the model"
        )
    if written is not None and user is None and not written.is_relative_to(_STATE):
        say(
            f"note: the unit has a user of its own, who must be able to write in {written.parent}; "
            f"{_STATE} is a folder that systemd makes for it"
        )
    words = [str(executable), "serve", *_model_words(settings, models), *_flags(settings)]
    words += [word for flag, name, _ in credentials for word in (flag, f"%d/{name}")]
    low_port = 0 < settings.port < 1024
    rights = "CAP_NET_BIND_SERVICE" if low_port else ""
    return _template("edge-serve.service").format(
        words=shlex.join(_flags(asked)),
        command=" ".join(_systemd_word(word) for word in words),
        stop_s=settings.limits.grace_s + 5,
        who="DynamicUser=yes\n" if user is None else f"User={user}\n",
        token="".join(f"LoadCredential={name}:{path.absolute()}\n" for _, name, path in credentials),
        # It writes to the folder of the workers' figures and to that of the record of drift alone.
        shared=("RuntimeDirectory=edge-serve\nEnvironment=TMPDIR=/run/edge-serve\n" if settings.workers > 1 else "")
        + ("" if written is None else _writable(written)),
        tasks=max(128, 48 * settings.workers),
        files=settings.limits.open_files,
        rights=f"CapabilityBoundingSet={rights}" + (f"\nAmbientCapabilities={rights}" if low_port else ""),
        home="read-only" if homes else "yes",
        private_tmp="no" if _below(_TEMPORARY, needed) else "yes",
        no_new_code="no" if _makes_code(settings, has_choices=user is not None) else "yes",
    )


def containerfile(settings: ServeSettings, token_file: Path | None = None) -> str:
    """A Containerfile of two stages that serves as `settings` say, on all addresses of the container.

    It wants a token, which is no part of it but a secret of podman's, unless `settings` say that everyone may come.
    Raises UsageError where files that lie beside each other in it have one name, and for a Unix socket, TLS, or a
    record of drift.
    """
    if settings.unix is not None or settings.tls_cert is not None:
        raise UsageError("in a container it listens on a port and does not encrypt", "let the proxy in front do that")
    if settings.drift is not None:
        raise UsageError("in a container that only reads there is no place for `drift`", "leave it out of this command")
    port = settings.port or 8000
    models = {name: Path("/model", path.name) for name, path in settings.models.items()}
    copied = [path.name for path in settings.models.values()]
    names = [*copied, *(key.name for key in settings.require_signature)]
    if len(set(names)) < len(names):
        raise UsageError(f"in the container {max(names, key=names.count)} would be two files", "rename one")
    keys = names[len(copied) :]
    settings = replace(settings, require_signature=tuple(Path("/model", key) for key in keys))
    words = ["/opt/edge/bin/edge", "serve", *_model_words(settings, models), "--host", "0.0.0.0"]
    flags = _flags(settings, of_container=True)
    words += ["--port", str(port), *flags]
    words += ["--no-auth"] if settings.no_auth else ["--token-file", _SECRET]
    secret = shlex.quote(str(token_file)) if token_file is not None else "token"
    making = "" if token_file is not None else "openssl rand -hex 16 > token && "
    return _template("Containerfile").format(
        words=shlex.join(flags),
        version=version("edge-vision"),
        files=" and ".join(names),
        copies="".join(f"COPY {json.dumps([name, f'/model/{name}'], ensure_ascii=False)}\n" for name in names),
        extras=",".join(["serve", *(["sign"] if keys else []), *(["fast"] if settings.engine == "openvino" else [])]),
        port=port,
        # The workers' figures are files, and docker has no place for them in a container that only reads.
        shared="--tmpfs /tmp " if settings.workers > 1 else "",
        published=_published(settings.host, port),
        secret="" if settings.no_auth else f"--secret edge-token,target={_SECRET} ",
        secrets="" if settings.no_auth else f"#   {making}podman secret create edge-token {secret}\n",
        command=json.dumps(words),
    )


def _handed_over(settings: ServeSettings, token_file: Path | None) -> tuple[ServeSettings, list[tuple[str, str, Path]]]:
    """The settings without the files that systemd hands over, and those: the flag, its name as credential, the file."""
    files = (
        ("--token-file", "token", token_file),
        ("--tls-cert", "tls-cert", settings.tls_cert),
        ("--tls-key", "tls-key", settings.tls_key),
    )
    found = [(flag, name, path) for flag, name, path in files if path is not None]
    return replace(settings, tls_cert=None, tls_key=None), found


def _makes_code(settings: ServeSettings, *, has_choices: bool) -> bool:
    """Whether what runs the models writes machine code while it runs, which OpenVINO does and onnxruntime does not.

    What was chosen by a measurement is the user's who measured, and may come to be after the unit; without OpenVINO
    here it is heeded by nobody.
    """
    if settings.engine == "auto":
        return has_choices and package_version("openvino") is not None
    return settings.engine != "onnxruntime"


def _below(folders: Iterable[Path], paths: Iterable[Path]) -> list[Path]:
    """Which of `paths` lie below one of the folders, as they are named or where links lead: either way it is needed."""
    places = [place for path in paths for place in (path.absolute(), _without_links(path))]
    return [place for place in places if any(place.is_relative_to(folder) for folder in folders)]


def _without_links(path: Path) -> Path:
    # Of links in a circle, too, where Path.resolve() would raise.
    return Path(os.path.realpath(path))


def _writable(file: Path) -> str:
    """What lets the service write to `file`, in whose folder systemd makes where it is the service's own."""
    if file.is_relative_to(_STATE):
        return f"StateDirectory={file.parent.relative_to(_STATE.parent)}\n"
    return f"ReadWritePaths={_systemd_word(str(_without_links(file).parent))}\n"


def _published(host: str, port: int) -> str:
    """What `podman run -p` takes: an address where the server is for this machine alone."""
    if not is_loopback(host):
        return f"{port}:{port}"
    address = f"[{host}]" if ":" in host else host if is_address(host) else "127.0.0.1"
    return f"{address}:{port}:{port}"


def _template(name: str) -> str:
    return files("edge_serve").joinpath("templates", name).read_text("utf-8")


def _user(homes: Iterable[Path]) -> str | None:
    """Who may read what lies in these homes and is not root: who asks, or else whose home it is; None for root's."""
    user = getpass.getuser()
    if user != "root":
        return user
    try:
        owners = {Path(*path.parts[:3] if path.is_relative_to("/home") else ("/root",)).owner() for path in homes}
    except (OSError, KeyError):
        return None
    return None if "root" in owners else owners.pop()


def _model_words(settings: ServeSettings, models: Mapping[str, Path]) -> list[str]:
    """The flags that name the model files, which lie at `models` there."""
    if not isinstance(settings.model, Mapping):
        return ["--model", str(models[settings.model_name])]
    return [word for name, path in models.items() for word in ("--model", f"{name}={path}")]


def _flags(settings: ServeSettings, *, of_container: bool = False) -> list[str]:
    """The flags that say what differs from the defaults."""
    without = ["token"]
    if of_container:
        without += ["host", "port", "no_auth"]
    elif is_loopback(settings.host):
        without += ["no_auth"]
    quiet = [] if settings.log_requests else ["--quiet"]
    return [*to_words(settings, without=without), *to_words(settings.limits), *quiet]


def _systemd_word(word: str) -> str:
    """A word of ExecStart: quoted where it must be, `%` and `$` doubled; %d, the credentials' folder, is meant."""
    word = word if word.startswith("%d/") else word.replace("%", "%%").replace("$", "$$")
    if word and not any(char in word for char in " \t\"'\\;"):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
