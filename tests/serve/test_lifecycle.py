"""Starting, reloading, draining and ending, as a process."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from serving import Served, picture, replace_file, serving
from tiny_model import write_tiny_model
from unlike_model import write_unlike_model


class Crowd:
    """Clients that ask again and again, and note how each request ended: its status, or what broke."""

    def __init__(self, served: Served, clients: int) -> None:
        self.endings: list[int | str] = []
        self.labels: set[str] = set()
        self._served = served
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def end(self) -> list[int | str]:
        self._over.set()
        for thread in self._threads:
            thread.join()
        return self.endings

    def _ask(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._served.port, timeout=30)
        while not self._over.is_set():
            fresh = connection.sock is None
            try:
                if fresh:
                    connection.connect()
            except OSError:
                # Nothing listens any more: nothing was accepted.
                break
            try:
                connection.request("POST", "/predict", picture("red", (300, 300)), {"Content-Type": "image/png"})
                response = connection.getresponse()
                body = json.loads(response.read())
                self.endings.append(response.status)
                if response.status == 200:
                    self.labels.add(body["predictions"][0]["label"])
                else:
                    time.sleep(0.05)
            except (OSError, HTTPException, ValueError) as error:
                # A connection that the system took while the server stopped listening was never accepted by it.
                if not (fresh and isinstance(error, ConnectionResetError)):
                    self.endings.append(repr(error))
                connection.close()
        connection.close()


def test_sigterm_answers_what_was_accepted_and_ends_with_0(rgb_model: Path) -> None:
    with serving(rgb_model) as served:
        crowd = Crowd(served, 8)
        time.sleep(1)
        code = served.end(signal.SIGTERM)
        endings = crowd.end()
        assert code == 0
        assert served.wait_for("stopped")["level"] == "info"
    assert endings.count(200) > 20
    # Those that came after the signal were told so.
    assert set(endings) <= {200, 503}, set(endings)


def test_a_request_under_way_is_waited_for(rgb_model: Path) -> None:
    image = picture("blue")
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
    with serving(rgb_model) as served:
        idle = HTTPConnection("127.0.0.1", served.port, timeout=10)
        idle.connect()
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
            connection.sendall(head % len(image) + image[:20])
            while served.metric("edge_requests_in_flight") < 2:
                time.sleep(0.02)
            served.process.send_signal(signal.SIGTERM)
            served.wait_for("draining")
            assert served.ask("GET", "/v2/health/live").status == 200
            for path in ("/model", "/v2/health/ready", "/healthz"):
                assert served.ask("GET", path).status == 503
            refused = served.ask("GET", "/model")
            assert refused.headers["connection"] == "close" and int(refused.headers["retry-after"]) > 0
            connection.sendall(image[20:])
            answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert b"200 OK" in answer and b'"label":"blue"' in answer
        assert served.process.wait(timeout=10) == 0
        idle.close()


@contextmanager
def half_a_request(served: Served) -> Iterator[socket.socket]:
    """A request that was accepted and whose body does not come."""
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 99\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
        connection.sendall(head)
        while served.metric("edge_requests_in_flight") < 2:
            time.sleep(0.02)
        yield connection


def test_what_takes_longer_than_the_grace_period_is_cut_off_and_told(rgb_model: Path) -> None:
    with serving(rgb_model, "--grace", "0.5", "--timeout", "60") as served, half_a_request(served) as client:
        assert served.end() == 1
        assert served.wait_for("stopped")["cut_off"] == 1
        said = b"".join(iter(lambda: client.recv(65_536), b""))
        assert said.startswith(b"HTTP/1.1 503 ") and b"retry-after" in said and b"is shutting down" in said
        assert served.log("request")[-1]["status"] == 503


def test_ctrl_c_drains_too_and_ends_with_130(rgb_model: Path) -> None:
    with serving(rgb_model) as served:
        assert served.predict(picture()).status == 200
        assert served.end(signal.SIGINT) == 130
        assert "Traceback" not in served.said()


def test_a_second_ctrl_c_is_not_waited_for(rgb_model: Path) -> None:
    with serving(rgb_model, "--grace", "60", "--timeout", "60") as served, half_a_request(served):
        served.process.send_signal(signal.SIGINT)
        served.wait_for("draining")
        assert served.end(signal.SIGINT) == 130


@pytest.mark.parametrize("how", ["sighup", "--reload"])
def test_a_new_model_is_picked_up_without_a_failed_request(tmp_path: Path, how: str) -> None:
    model = write_tiny_model(tmp_path / "model.onnx", labels=("old", "b", "c"))
    other = write_tiny_model(tmp_path / "other.onnx", labels=("new", "b", "c"))
    with serving(model, *(["--reload"] if how == "--reload" else [])) as served:
        crowd = Crowd(served, 4)
        time.sleep(0.5)
        replace_file(model, other)
        if how == "sighup":
            served.process.send_signal(signal.SIGHUP)
        line = served.wait_for("reloaded")
        time.sleep(0.3)
        endings = crowd.end()
        assert line["labels_changed"] is True and line["input_changed"] is False
        assert set(endings) == {200} and crowd.labels == {"old", "new"}
        assert served.predict(picture("red")).json()["predictions"][0]["label"] == "new"
        assert served.ask("GET", "/model").json()["card"]["labels"][0] == "new"
        assert served.metric('edge_model_reloads_total{result="loaded"}') == 1


@pytest.mark.slow
def test_a_bad_model_is_refused_and_the_old_goes_on(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "model.onnx", labels=("old", "b", "c"))
    whole = model.read_bytes()
    with serving(model, "--reload") as served:
        for count, bad in enumerate((whole[:300], b""), start=1):
            model.write_bytes(bad)
            line = served.wait_for("reload refused", count)
            assert line["level"] == "error" and "model.onnx" in line["error"]
            assert served.predict(picture("red")).json()["predictions"][0]["label"] == "old"
        # Looked at once, not every second.
        time.sleep(2.2)
        assert len(served.log("reload refused")) == 2
        model.unlink()
        served.process.send_signal(signal.SIGHUP)
        served.wait_for("reload refused", 3)
        assert served.predict(picture("red")).status == 200
        model.write_bytes(whole)
        served.wait_for("reloaded")
        assert served.metric('edge_model_reloads_total{result="refused"}') == 3


def test_only_the_owners_models_are_served_and_reloaded(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    from edge_runtime import SigningKey, new_key, sign_model

    public, key = new_key(tmp_path / "fleet.pem")
    model = write_tiny_model(tmp_path / "model.onnx", labels=("old", "b", "c"))
    refused = subprocess.run(
        [sys.executable, "-m", "edge_cli", "serve", "--model", model, "--port", "0", "--require-signature", public],
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1 and "is not signed" in refused.stderr
    sign_model(model, SigningKey(tmp_path / "fleet.pem"))
    other = write_tiny_model(tmp_path / "other.onnx", labels=("new", "b", "c"))
    with serving(model, "--reload", "--require-signature", str(public)) as served:
        assert served.ask("GET", "/model").json()["signed_by"] == key.id
        replace_file(model, other)
        line = served.wait_for("reload refused")
        assert "is not signed" in line["error"]
        assert served.predict(picture("red")).json()["predictions"][0]["label"] == "old"
        # More than there is memory for, and nearly nothing on the disk.
        with (tmp_path / "huge").open("wb") as huge:
            huge.truncate(40_000_000_000)
        (tmp_path / "huge").replace(model)
        assert "larger than the 2 GiB" in served.wait_for("reload refused", 2)["error"]
        sign_model(other, SigningKey(tmp_path / "fleet.pem"))
        replace_file(model, other)
        assert served.wait_for("reloaded")["signed_by"] == key.id
        assert served.predict(picture("red")).json()["predictions"][0]["label"] == "new"


def test_drift_is_recorded_and_shown(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "model.onnx", labels=("red", "green", "blue"))
    record = tmp_path / "drift.jsonl"
    with serving(model, "--drift", str(record)) as served:
        assert served.metric("edge_drift_window") == 0
        for colour in ("red", "red", "red", "blue"):
            served.predict(picture(colour))
        assert served.metric("edge_drift_window") == 4 and served.metric("edge_drift_confidence") > 0.99
        assert served.metric('edge_drift_label_share{label="red"}') == 0.75
        assert served.end() == 0
        (line,) = [json.loads(text) for text in record.read_text().splitlines()]
        assert line["images"] == 4 and line["labels"] == {"red": 0.75, "blue": 0.25}
        served.check_log()


@pytest.mark.parametrize("batching", ["off", "on"])
def test_a_shift_away_from_training_is_recorded_and_shown(tmp_path: Path, batching: str) -> None:
    """Distances are brightness there, and validation's lie from 1 to 99."""
    model = write_unlike_model(tmp_path / "model.onnx")
    record = tmp_path / "drift.jsonl"
    with serving(model, "--drift", str(record), "--batching", batching) as served:
        for colour in ("#320000", "#00c800", "#000064"):
            served.predict(picture(colour))
        assert served.metric("edge_drift_distance") == pytest.approx((50 + 200 + 100) / 9)
        assert served.metric("edge_drift_distance_expected") == pytest.approx(50)
        assert served.metric("edge_drift_unlikeness") < 0.5
        for _ in range(3):
            white = served.predict(picture("white")).json()["predictions"][0]
        assert white.keys() == {"image", "label", "probability", "top"} and len(white["top"]) == 3
        assert served.metric("edge_drift_distance") > 127 and served.metric("edge_drift_unlikeness") > 0.6
        served.end()
        (line,) = [json.loads(text) for text in record.read_text().splitlines()]
        assert line["images"] == 6 and line["distance"] > 127


def test_a_hangup_while_it_starts_is_one_more_look_and_no_end(rgb_model: Path, tmp_path: Path) -> None:
    """The file may have been replaced just after it was opened."""
    path, said = tmp_path / "edge.sock", tmp_path / "said"
    command = [sys.executable, "-m", "edge_cli", "serve", "--model", str(rgb_model), "--unix", str(path)]
    with said.open("w") as stderr, subprocess.Popen(command, stderr=stderr) as process:
        try:
            end = time.monotonic() + 60
            while "reloaded" not in said.read_text() and process.poll() is None and time.monotonic() < end:
                # From when it listens, which it does before it opens the model, to when it takes clients.
                if path.exists() and "serving " not in said.read_text():
                    process.send_signal(signal.SIGHUP)
                time.sleep(0.02)
            process.terminate()
            assert process.wait(timeout=20) == 0 and "reloaded" in said.read_text()
        finally:
            process.kill()


def test_sigterm_while_it_starts_ends_it_at_once_with_0(rgb_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "edge.sock"
    command = [sys.executable, "-m", "edge_cli", "serve", "--model", str(rgb_model), "--unix", str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            end = time.monotonic() + 60
            # It listens before it opens the model.
            while not path.exists() and process.poll() is None and time.monotonic() < end:
                time.sleep(0.005)
            process.terminate()
            _, said = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0 and said == "" and not path.exists()


def test_systemd_is_told_when_it_is_ready_and_when_it_stops(rgb_model: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(20)
        with serving(rgb_model, NOTIFY_SOCKET=str(tmp_path / "notify")) as served:
            assert notify.recv(100) == b"READY=1"
            served.end()
            assert notify.recv(100) == b"STOPPING=1"


def started(model: Path, *flags: str) -> Served:
    """A server whose streams are pipes that nobody reads, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "edge_cli", "serve", "--model", str(model), "--port", str(port), *flags]
    # As most environments are: this variable takes the buffer of stderr away, and its lock.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(
        [*command, "--batching", "off"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    served = Served(process, [], port)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            served.ask("GET", "/healthz")
            return served
        except OSError:
            time.sleep(0.05)
    process.kill()
    raise AssertionError(process.communicate())


def test_nothing_goes_to_stdout_and_quiet_logs_no_requests(rgb_model: Path) -> None:
    served = started(rgb_model, "--quiet")
    served.process.terminate()
    assert served.process.communicate(timeout=20) == ("", "")
    assert served.process.returncode == 0


def test_a_log_that_nobody_reads_holds_nothing_up(rgb_model: Path) -> None:
    """A pipe takes 64 kB; whoever writes more to it waits for its reader, and there is none."""
    served = started(rgb_model)
    try:
        for _ in range(400):
            assert served.ask("GET", "/healthz").status == 200
        assert served.end() == 0
    finally:
        served.process.kill()
        stdout, _ = served.process.communicate()
    assert stdout == ""


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux")
def test_it_listens_on_one_socket_and_connects_to_nothing(rgb_model: Path) -> None:
    with serving(rgb_model) as served:
        served.predict(picture())
        inodes = set()
        for link in Path(f"/proc/{served.process.pid}/fd").iterdir():
            # The connection of the last request may be closed meanwhile.
            with suppress(FileNotFoundError):
                if match := re.fullmatch(r"socket:\[(\d+)\]", str(link.readlink())):
                    inodes.add(match[1])
        rows = [
            line.split()
            for table in ("tcp", "tcp6", "udp", "udp6")
            if Path(f"/proc/net/{table}").exists()
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        ]
        own = {row[1] for row in rows if row[9] in inodes}
        assert own == {f"0100007F:{served.port:04X}"}
