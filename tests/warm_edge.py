"""`edge` commands that need torch, as processes forked from one that has loaded it: a start costs no import.

Each is a process of its own, as `python -W error -m edge_cli` is: own folder, environment, streams, signals and exit
code. What differs is that torch was imported before; how a command starts is tested with the real thing.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from onnx_operators import make_operators

# Importing them takes 3 to 6 s of a processor, and nothing that is computed is begun by it.
LOADED = ("torch", "torchvision", "torch._dynamo", "torch.export", "torch.onnx._internal.exporter._core", "onnxscript")
LOADED = (*LOADED, "matplotlib.figure", "matplotlib.backends.backend_svg", "matplotlib.backends.backend_agg", "jinja2")
VERBS = ("average", "compare", "explain", "export", "import", "train", "weights")


def is_warm(*words: str) -> bool:
    """Whether the command is one that a warm process can be: it needs torch, and what warms it is installed."""
    needs_torch = words[0] in VERBS or (words[0] == "predict" and "--explain" in words)
    return needs_torch and os.name == "posix" and all(find_spec(name.split(".")[0]) for name in LOADED)


class WarmProcess:
    """A running command: its `pid`, to send signals to, and how it ends."""

    def __init__(self, pid: int, status: socket.socket) -> None:
        self.pid, self._status = pid, status

    def ended(self) -> bool:
        """Whether it has come to its end, which `wait` then tells at once."""
        return bool(select.select([self._status], [], [], 0)[0])

    def send_signal(self, number: int) -> None:
        """Send it a signal; it is gone once `ended` says so."""
        os.kill(self.pid, number)

    def wait(self, timeout: float = 500) -> int:
        """Its exit code, below 0 where a signal ended it. Raises TimeoutError, and kills it, after `timeout` s."""
        self._status.settimeout(timeout)
        try:
            return int(self._status.recv(64))
        except TimeoutError:
            self.send_signal(signal.SIGKILL)
            raise
        finally:
            self._status.close()


class WarmEdge:
    """The process that others are forked from; it ends with the tests' own, or with `close`."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-W", "error", __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )

    def start(self, words: list[str], cwd: Path, stdout: int, stderr: int, **environment: str) -> WarmProcess:
        """Begin `edge` with these words in that folder, its output going to the two file descriptors.

        The environment is this process's with `environment`, as far as it is not read when torch or Python start.
        """
        theirs_too = {**os.environ, **environment}
        request = json.dumps({"words": words, "cwd": str(cwd), "environment": theirs_too}).encode()
        status, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._requests, [request], [stdout, stderr, theirs.fileno()])
        return WarmProcess(int(status.recv(64).split()[0]), status)

    def run(self, words: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `edge` to its end; gives its exit code and what it said."""
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            code = self.start(words, cwd, stdout.fileno(), stderr.fileno(), **environment).wait()
            for file in (stdout, stderr):
                file.seek(0)
            return subprocess.CompletedProcess(words, code, stdout.read().decode(), stderr.read().decode())

    def close(self) -> None:
        """End the process that others are forked from."""
        self._requests.close()
        self._server.wait()


@contextlib.contextmanager
def warm_edge() -> Iterator[WarmEdge]:
    """A `WarmEdge` that is closed at the end."""
    warm = WarmEdge()
    try:
        yield warm
    finally:
        warm.close()


def serve(requests: socket.socket) -> None:
    """Fork a keeper for each request until nobody can ask any more."""
    for name in LOADED:
        import_module(name)
    # A file written here would leave a thread behind, which no fork takes along; the table leaves none.
    make_operators()
    gc.collect()
    gc.freeze()
    # Keepers are nobody's to wait for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, files, _, _ = socket.recv_fds(requests, 1 << 20, 3)
        if not request:
            return
        if os.fork() == 0:
            requests.close()
            keep(json.loads(request), *files)
        for file in files:
            os.close(file)


def keep(request: dict[str, object], stdout: int, stderr: int, status: int) -> None:
    """Start the command, tell its process and, when it has ended, its exit code; never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(status)
        become(request, stdout, stderr)
    os.close(stdout)
    os.close(stderr)
    os.write(status, f"{pid} ".encode())
    _, ended = os.waitpid(pid, 0)
    os.write(status, str(os.waitstatus_to_exitcode(ended)).encode())
    os._exit(0)


def become(request: dict[str, object], stdout: int, stderr: int) -> None:
    """Be the command in this process; never returns."""
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.close(stdout)
    os.close(stderr)
    os.chdir(str(request["cwd"]))
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["edge", *request["words"]]
    sys.path[0] = ""
    code = 1
    try:
        from edge_cli.main import main

        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        import atexit
        import threading

        threading._shutdown()
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        serve(asked)
