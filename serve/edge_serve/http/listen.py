"""The socket to listen on, opened before anything heavy is, so that a busy port is told at once."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from edge_runtime import EdgeError, UsageError
from edge_serve.http.hosts import is_address
from edge_serve.settings import ServeSettings

_BACKLOG = 256
_FIRST_INHERITED = 3


def listen(host: str, port: int) -> socket.socket:
    """A bound, listening TCP socket.

    Raises UsageError where the host is not this machine's or the port needs rights, EdgeError where the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise UsageError(
            f"`host` {host} is not known here", "give an address of this machine, such as 0.0.0.0"
        ) from None
    listening = socket.socket(family, kind, protocol)
    try:
        # A restart must not wait for connections of the last run to be forgotten.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise _explained(error, host, port) from None
    listening.setblocking(False)
    return listening


def listen_unix(path: Path) -> socket.socket:
    """A bound, listening Unix socket that its owner and group may use; one that nobody listens on is replaced.

    Raises UsageError where there is something else at `path` or it cannot be made, EdgeError where it is in use.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o117)
    try:
        if path.is_socket():
            _remove_if_left(path)
        listening.bind(str(path))
        listening.listen(_BACKLOG)
    except EdgeError:
        listening.close()
        raise
    except OSError as error:
        listening.close()
        there = error.errno == errno.EADDRINUSE
        reason = "there is something else" if there else error.strerror or str(error)
        raise UsageError(f"`unix` {path}: {reason}", "name a file that is not there yet, in a folder that is") from None
    finally:
        os.umask(before)
    listening.setblocking(False)
    return listening


def inherited_socket() -> socket.socket | None:
    """The socket that systemd listens on for us (sd_listen_fds(3)), None where it does not.

    Raises UsageError where there are several, or it is none that clients connect to.
    """
    count = os.environ.pop("LISTEN_FDS", "")
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()) or not count:
        return None
    if count != "1":
        raise UsageError(
            f"systemd gives {count} sockets, and one is listened on", "a socket unit with one ListenStream="
        )
    try:
        listening = socket.socket(fileno=_FIRST_INHERITED)
        stream = listening.type == socket.SOCK_STREAM and listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        stream = False
    if not stream:
        raise UsageError("the socket that systemd gives is none to listen on", "ListenStream=, and Accept=no")
    listening.setblocking(False)
    return listening


def _remove_if_left(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError:
            pass
    raise EdgeError(f"{path} is in use", "end what uses it, or give another with `unix`")


def allow_open_files(count: int) -> None:
    """Raise this process's limit of open files to `count` where it is lower.

    Raises UsageError where the system does not allow so many.
    """
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    except (ValueError, OSError):
        raise UsageError(
            f"`connections` needs {count} open files, and the system allows {hard}", "lower it, or raise ulimit -n"
        ) from None


def shown_address(host: str, port: int, *, scheme: str = "http") -> str:
    """The address as one types it into a browser."""
    if is_address(host) and ":" in host:
        host = f"[{host}]"
    return f"{scheme}://{host}:{port}/"


def serving_where(settings: ServeSettings, listening: socket.socket) -> str:
    """Which models are served, and where, as one is told at the start."""
    what = ", ".join(settings.models) if settings.several else settings.path
    if listening.family == socket.AF_UNIX:
        return f"{what} at {listening.getsockname()}"
    scheme = "http" if settings.tls_cert is None else "https"
    return f"{what} at {shown_address(settings.host, listening.getsockname()[1], scheme=scheme)}"


def _explained(error: OSError, host: str, port: int) -> EdgeError:
    if error.errno == errno.EADDRINUSE:
        return EdgeError(f"port {port} is in use", "end what uses it, or give another with `port`")
    if error.errno in (errno.EACCES, errno.EPERM):
        return UsageError(
            f"port {port} needs rights this user does not have",
            "use a port above 1023, or the unit of edge serve --systemd, which may use it",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return UsageError(f"`host` {host} is no address of this machine", "0.0.0.0 stands for all it has")
    return EdgeError(f"cannot listen on {host} port {port}: {error.strerror}", "give another `host` or `port`")
