"""Serving: `edge serve` under load against `predict_many` in one process, and an endpoint as tutorials write it.

    python benchmarks/self_checks/serving.py [--model M] [--images DIR] [--seconds 5] [--rounds 3] [--check]
    python benchmarks/self_checks/serving.py --workers 2 [--beside MODEL]
    python benchmarks/self_checks/serving.py --soak 50000

In each round, by turns: `predict_many` over the pictures, then each server with --clients clients, each of which sends
its next picture when it has its answer; and picture by picture `Classifier.predict` here, one client's request there,
`added` being the median of how much longer that takes. The load comes from this process, on the same machine: what it
costs is the servers' loss. `cpu` is the processor time of an image in `predict_many` over that of an answer, server and
load together: on a machine that does other work meanwhile it still says what serving adds.

With --check it ends with 1 where the server reaches less than 85 % of `predict_many`, its 99th percentile is more than
three times its median, or it takes one client more than 2 ms longer than `Classifier.predict`. --workers N compares one
process with N at one port, by turns and on the same --threads: what they reach, an answer's processor time, and
their memory; with --beside every second request is for that other model of the same server. --soak sends so many
requests and prints the server's memory as it goes.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import cycle, takewhile
from pathlib import Path
from urllib.request import urlopen

from edge_benchmarks import Table
from edge_benchmarks.machine.environment import read_environment
from edge_benchmarks.models.drawn_picture import draw_picture
from edge_benchmarks.serving.load import LoadResult, ask, post_request, put_load
from edge_runtime import Classifier, EdgeError, UsageError, find_images
from shared import at_least_1, check, default_model, edge_command, flags, say

SHARE_TARGET, SPREAD_TARGET, ADDED_MS_TARGET = 0.85, 3.0, 2.0
START_S = 120.0
MOST_IMAGES = 200
SOAK_CLIENTS = 8
SOAK_STEPS = 10
GROWTH_TARGET_BYTES = 20_000_000


@dataclass(frozen=True)
class Server:
    """A server to measure: how it is started on a port, and how it wants a picture."""

    name: str
    command: list[str]
    form: bool = False
    paths: tuple[str, ...] = ("/predict",)

    def requests(self, images: Sequence[bytes]) -> list[bytes]:
        """Each picture as the server takes it; of several models each picture for each of them."""
        return [self.request(image, path) for image in images for path in self.paths]

    def request(self, image: bytes, path: str = "/predict") -> bytes:
        """The picture as the server takes it."""
        if not self.form:
            return post_request(path, image, "image/jpeg")
        head = b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="x.jpg"\r\n\r\n'
        return post_request("/predict", head + image + b"\r\n--xyz--\r\n", "multipart/form-data; boundary=xyz")


@dataclass
class Found:
    """What one server reached: with many clients a result and processor seconds per answer each round, with one client
    the seconds of each request and of `Classifier.predict` before it."""

    results: list[LoadResult] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    single_s: list[tuple[float, float]] = field(default_factory=list)

    def median_ms(self, percent: float) -> float:
        """The median over the rounds of a percentile."""
        return statistics.median(result.percentile_ms(percent) for result in self.results)

    @property
    def added_ms(self) -> float:
        """How much longer one client waits than `Classifier.predict` takes: the median over the pairs."""
        return statistics.median(served - alone for served, alone in self.single_s) * 1e3


def main() -> int:
    """Measure and print; 1 where something failed or, with --check, a target was missed."""
    parser = flags("edge serve under load", "model", "seconds", "threads")
    parser.add_argument("--images", type=Path, help="folder of pictures (default: a drawn one, 640 × 480)")
    parser.add_argument("--rounds", type=at_least_1, default=3, help="(default: %(default)s)")
    parser.add_argument("--clients", type=at_least_1, default=32, help="at once (default: %(default)s)")
    parser.add_argument("--plain", default="mobilenet_v2", metavar="BACKBONE", help="of the plain endpoint, or none")
    parser.add_argument("--workers", type=at_least_1, metavar="N", help="compare one process with N, nothing else")
    parser.add_argument("--beside", type=Path, metavar="MODEL", help="with --workers: a second model, asked in turn")
    parser.add_argument("--soak", type=at_least_1, metavar="N", help="send N requests; 1 where the memory grows")
    given = parser.parse_args()
    if given.workers == 1:
        parser.error("--workers 1 would be compared with itself: 2 or more")
    if given.beside and not given.workers:
        parser.error("--beside goes with --workers")
    given.check |= given.soak is not None

    def measure(folder: Path) -> bool:
        model = given.model or default_model(folder)
        images = _images(given.images, folder)
        size_kb = sum(map(len, images)) / len(images) / 1e3
        beside = f" and {given.beside}" if given.beside else ""
        say(f"{read_environment(threads=given.threads)}\n{model}{beside}, {len(images)} pictures of {size_kb:.0f} kB")
        if given.workers:
            return compare_workers(model, images, given)
        return soak(model, images, given.soak, given.threads) if given.soak else compare(model, images, given)

    return check(given, measure)


def _images(folder: Path | None, scratch: Path) -> list[bytes]:
    if folder is None:
        return [draw_picture(scratch / "picture.jpg").read_bytes()]
    found = find_images(folder)
    if not found:
        raise UsageError(f"{folder} has no images in it", "name another folder")
    return [path.read_bytes() for path in found[:: max(1, len(found) // MOST_IMAGES)]]


def compare(model: Path, images: Sequence[bytes], given: argparse.Namespace) -> bool:
    """Print what predict_many and the servers reach; whether that is enough."""
    servers = [_edge(model, given.threads, batching) for batching in ("auto", "off", "on")]
    if given.plain != "none" and find_spec("fastapi") and find_spec("torch"):
        command = [sys.executable, "-m", "edge_benchmarks.serving.plain_endpoint", given.plain]
        servers.append(Server("plain FastAPI + torch", command, form=True))
    many: list[tuple[float, float]] = []
    found = {server.name: Found() for server in servers}
    classifier = Classifier(model, threads=given.threads)
    _many(classifier, images, 0.5)
    for _ in range(given.rounds):
        for server in servers:
            one = found[server.name]
            requests = [server.request(image) for image in images]
            with running(server) as (port, pid):
                put_load(port, requests, clients=4, seconds=0.5)
                # Beside a server that has nothing to do.
                many.append(_many(classifier, images, given.seconds))
                cpu_s = _cpu_s(pid) + time.process_time()
                one.results.append(put_load(port, requests, clients=given.clients, seconds=given.seconds))
                cpu_s = _cpu_s(pid) + time.process_time() - cpu_s
                one.cpu_s.append(cpu_s / len(one.results[-1].latencies_s))
                one.single_s += _pairs(classifier, images, port, requests, given.seconds)
    return _report(found, many)


def _report(found: dict[str, Found], many: list[tuple[float, float]]) -> bool:
    rates, own_cpu_s = [rate for rate, _ in many], statistics.median(cpu_s for _, cpu_s in many)
    in_process = statistics.median(rates)
    alone_ms = statistics.median(alone for one in found.values() for _, alone in one.single_s) * 1e3
    say(
        f"in one process {in_process:.1f} images/s ({min(rates):.1f} to {max(rates):.1f}, n {len(rates)}), "
        f"{own_cpu_s * 1e3:.2f} ms of processor time each; predict {alone_ms:.2f} ms"
    )
    columns = ("", "images/s", "min", "max", "of many", "cpu", "p50 ms", "p99 ms", "n", "added", "n")
    rows, enough, said = [], True, ""
    for name, one in found.items():
        rates, p50, p99 = [result.rate for result in one.results], one.median_ms(50), one.median_ms(99)
        rate = statistics.median(rates)
        share, efficiency = rate / in_process, own_cpu_s / statistics.median(one.cpu_s)
        n = sum(len(result.latencies_s) for result in one.results)
        figures = (f"{rate:.1f}", f"{min(rates):.1f}", f"{max(rates):.1f}", f"{share:.1%}", f"{efficiency:.1%}")
        singles = (f"{one.added_ms:.2f}", str(len(one.single_s)))
        rows.append((name, *figures, f"{p50:.1f}", f"{p99:.1f}", str(n), *singles))
        if name == "edge serve":
            enough = share >= SHARE_TARGET and p99 <= SPREAD_TARGET * p50 and one.added_ms <= ADDED_MS_TARGET
            targets = f"{SHARE_TARGET:.0%}, {SPREAD_TARGET:g} times and {ADDED_MS_TARGET:g} ms"
            said = f"\np99 of edge serve is {p99 / p50:.2f} times p50; the targets are {targets}"
    say(Table(columns, tuple(rows), left=1).text() + said)
    return enough


def _edge(model: Path, threads: int, batching: str) -> Server:
    command = [*edge_command(), "serve", "--model", str(model), "--threads", str(threads), "--batching", batching]
    name = "edge serve" if batching == "auto" else f"edge serve, batching {batching}"
    return Server(name, [*command, "--quiet", "--queue", "256", "--port"])


def _many(classifier: Classifier, images: Sequence[bytes], seconds: float) -> tuple[float, float]:
    """Images a second of predict_many over so many seconds, and the processor seconds of one."""
    start, cpu_s = time.perf_counter(), time.process_time()

    stream = takewhile(lambda _: time.perf_counter() - start < seconds, cycle(images))
    count = sum(1 for _ in classifier.predict_many(stream))
    return count / (time.perf_counter() - start), (time.process_time() - cpu_s) / count


def _cpu_s(pid: int) -> float:
    """Processor seconds a process has used; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _pairs(
    classifier: Classifier, images: Sequence[bytes], port: int, requests: Sequence[bytes], seconds: float
) -> list[tuple[float, float]]:
    """Seconds of one client's request and of Classifier.predict on the same picture, by turns."""
    found = []
    start = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for image, request in cycle(zip(images, requests, strict=True)):
            begun = time.perf_counter()
            classifier.predict(image)
            middle = time.perf_counter()
            ask(connection, request)
            end = time.perf_counter()
            found.append((end - middle, middle - begun))
            if end - start > seconds:
                return found
    return found


@contextmanager
def running(server: Server) -> Iterator[tuple[int, int]]:
    """The server's port and process id, once it listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    process = subprocess.Popen([*server.command, str(port)], stdin=subprocess.DEVNULL)
    try:
        end = time.monotonic() + START_S
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            if process.poll() is not None or time.monotonic() > end:
                raise EdgeError(f"{server.name} did not start", "see above")
            time.sleep(0.1)
        # It may listen before it has opened its model, and answers when it has.
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def compare_workers(model: Path, images: Sequence[bytes], given: argparse.Namespace) -> bool:
    """Print what one process and several reach under load and what memory they take; says nothing of enough."""
    found: dict[int, list[LoadResult]] = {1: [], given.workers: []}
    sizes: dict[int, list[float]] = {1: [], given.workers: []}
    cpu_s: dict[int, list[float]] = {1: [], given.workers: []}
    for _ in range(given.rounds):
        for workers, results in found.items():
            server = _edge(model, given.threads, "off")
            if given.beside:
                two = ["--model", f"first={model}", "--model", f"second={given.beside}"]
                at = server.command.index("--model")
                command = [*server.command[:at], *two, *server.command[at + 2 :]]
                server = replace(server, command=command, paths=("/models/first/predict", "/models/second/predict"))
            server = replace(server, command=[*server.command[:-1], "--workers", str(workers), "--port"])
            requests = server.requests(images)
            with running(server) as (port, pid):
                _wait_for(workers, port)
                put_load(port, requests, clients=4, seconds=0.5)
                processes = (pid, *_children(pid))
                before_s = sum(map(_cpu_s, processes))
                results.append(put_load(port, requests, clients=given.clients, seconds=given.seconds))
                cpu_s[workers].append((sum(map(_cpu_s, processes)) - before_s) / len(results[-1].latencies_s))
                sizes[workers].append(sum(map(_resident_bytes, processes)))
    rows = []
    for workers, results in found.items():
        rates = [result.rate for result in results]
        p50, p99 = (statistics.median(result.percentile_ms(percent) for result in results) for percent in (50, 99))
        n = sum(len(result.latencies_s) for result in results)
        figures = (f"{statistics.median(rates):.1f}", f"{min(rates):.1f}", f"{max(rates):.1f}")
        memory = f"{statistics.median(sizes[workers]) / 1e6:.0f}"
        cpu = f"{statistics.median(cpu_s[workers]) * 1e3:.1f}"
        rows.append((str(workers), *figures, f"{p50:.1f}", f"{p99:.1f}", str(n), cpu, memory))
    columns = ("workers", "images/s", "min", "max", "p50 ms", "p99 ms", "n", "cpu ms", "memory MB")
    say(Table(columns, tuple(rows), left=1).text())
    return True


def _wait_for(workers: int, port: int) -> None:
    """Return once so many workers answer; the first does while the others start."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        with urlopen(f"http://127.0.0.1:{port}/metrics") as response:
            if workers == 1 or f"edge_workers {workers}.0\n" in response.read().decode():
                return
        time.sleep(0.1)
    raise EdgeError(f"no {workers} workers answer", "see above")


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def soak(model: Path, images: Sequence[bytes], count: int, threads: int) -> bool:
    """Send `count` requests in ten parts and print the memory after each; whether it stays after the second."""
    server = _edge(model, threads, "auto")
    sizes: list[float] = []
    with running(server) as (port, pid):
        for step in range(SOAK_STEPS):
            result = put_load(
                port, [server.request(image) for image in images], clients=SOAK_CLIENTS, count=count // SOAK_STEPS
            )
            sizes.append(_resident_bytes(pid))
            say(
                f"{(step + 1) * count // SOAK_STEPS:8} requests  {result.rate:7.1f} a second  {sizes[-1] / 1e6:7.1f} MB"
            )
    growth = sizes[-1] - sizes[1]
    say(f"growth since the second part {growth / 1e6:+.1f} MB")
    return growth <= GROWTH_TARGET_BYTES


if __name__ == "__main__":
    sys.exit(main())
