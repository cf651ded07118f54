"""`edge serve` on the command line: what it says, what it refuses, and what it loads."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge_cli.main import run
from serving import form, picture, serving
from tiny_model import write_tiny_model

TOKEN = "0123456789abcdef"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "model.onnx", labels=("red", "green", "blue"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "gone.onnx"], "gone.onnx does not exist"),
        ([], "no run"),
        (["--model", "model.onnx", "--host", "0.0.0.0"], "no token"),
        (["--model", "model.onnx", "--host", "nowhere.invalid", "--no-auth"], "nowhere.invalid"),
        (["--model", "model.onnx", "--host", "192.0.2.1", "--no-auth"], "192.0.2.1"),
        (["--model", "model.onnx", "--port", "70000"], "--port"),
        (["--model", "model.onnx", "--port", "x"], "--port"),
        (["--model", "model.onnx", "--token", "short"], "--token"),
        (["--model", "model.onnx", "--token-file", "gone"], "--token-file gone"),
        (["--model", "model.onnx", "--token", TOKEN, "--token-file", "t"], "exclude"),
        (["--model", "model.onnx", "--token", TOKEN, "--no-auth"], "exclude"),
        (["--model", "model.onnx", "--allow-host", "http://x"], "--allow-host"),
        (["--model", "model.onnx", "--name", "a b"], "--name"),
        (["--model", "a=model.onnx", "--model", "a=model.onnx"], "--model a is there twice"),
        (["--model", "a=model.onnx", "--model", "b=gone.onnx"], "gone.onnx does not exist"),
        (["--model", "a b=model.onnx", "--model", "c=model.onnx"], "--model 'a b' does not fit"),
        (["--model", "a=model.onnx", "--model", "b=model.onnx", "--name", "c"], "--name is for one file"),
        (["--model", "a=model.onnx", "--model", "b=model.onnx", "--drift", "d"], "--drift d would be one record"),
        (["--model", "model.onnx", "--max-body", "0"], "--max-body"),
        (["--model", "model.onnx", "--max-body", "nan"], "--max-body"),
        (["--model", "model.onnx", "--max-pixels", "inf"], "--max-pixels"),
        (["--model", "model.onnx", "--max-files", "0"], "--max-files"),
        (["--model", "model.onnx", "--max-header", "0"], "--max-header"),
        (["--model", "model.onnx", "--timeout", "0"], "--timeout"),
        (["--model", "model.onnx", "--queue", "0"], "--queue"),
        (["--model", "model.onnx", "--connections", "0"], "--connections"),
        (["--model", "model.onnx", "--connections", "99999"], "--connections"),
        (["--model", "model.onnx", "--grace", "-1"], "--grace"),
        (["--model", "model.onnx", "--threads", "0"], "--threads"),
        (["--model", "model.onnx", "--workers", "0"], "--workers"),
        (["--model", "model.onnx", "--workers", "x"], "--workers"),
        (["--model", "gone.onnx", "--workers", "2", "--port", "0"], "gone.onnx does not exist"),
        (["--model", "model.onnx", "--batching", "some"], "--batching"),
        (["--model", "model.onnx", "--batch-size", "1"], "--batch-size"),
        (["--model", "model.onnx", "--batch-wait", "-1"], "--batch-wait"),
        (["--model", "model.onnx", "--systemd", "--container"], "exclude"),
        (["--model", "model.onnx", "--systemd", "--token", TOKEN], "--token-file"),
    ],
)
@pytest.mark.usefixtures("model")
def test_wrong_usage_is_2_and_one_clear_error(
    tmp_path: Path, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["edge", "serve", *words])
    assert run() == 2
    stdout, stderr = capsys.readouterr()
    assert stdout == "" and said in stderr and stderr.startswith("error: ")
    assert len(stderr.splitlines()) <= 2


def test_a_damaged_model_is_1(edge: Any, model: Path) -> None:
    model.write_bytes(model.read_bytes()[:100])
    done = edge("serve", "--model", model, "--port", "0")
    assert (done.returncode, done.stdout) == (1, "")
    assert "model.onnx" in done.stderr and "Traceback" not in done.stderr


def test_a_busy_port_is_told_at_once(edge: Any, model: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        done = edge("serve", "--model", model, "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[0] == f"error: port {port} is in use"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
def test_a_privileged_port_is_told_of() -> None:
    """As a user without rights, where the system reserves low ports at all."""
    floor = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if floor.exists() and int(floor.read_text()) <= 81:
        pytest.skip("this system reserves no low port")
    code = (
        "import encodings.idna, os\n"
        "from edge_runtime import UsageError\n"
        "from edge_serve.http.listen import listen\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: listen('127.0.0.1', 81)\n"
        "except UsageError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("port 81 needs rights"), done.stderr


def test_a_missing_extra_says_which(edge: Any, model: Path, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['uvicorn'] = None\n")
    done = edge("serve", "--model", model, PYTHONPATH=str(hidden))
    assert (done.returncode, done.stdout) == (2, "")
    assert "uvicorn" in done.stderr and "edge-vision[serve]" in done.stderr and "Traceback" not in done.stderr


def test_a_token_on_the_command_line_is_warned_of(model: Path) -> None:
    with serving(model, "--token", TOKEN) as served:
        assert "list of processes" in served.said() and TOKEN not in served.said()
        assert served.ask("GET", "/model").status == 401
        assert served.ask("GET", "/model", headers={"Authorization": f"Bearer {TOKEN}"}).status == 200


def test_what_was_chosen_is_said(model: Path) -> None:
    with serving(model, "--batching", "auto", "--batch-size", "4") as served:
        first, second = served.said().splitlines()[:2]
        assert first.startswith(("batching off: ", "batching on: ")) and "in batches of 4" in first
        assert second == f"serving {model} at http://127.0.0.1:{served.port}/; Ctrl-C ends it"


@pytest.mark.parametrize("batching", ["on", "off"])
def test_the_newest_run_is_served_and_answers(tmp_path: Path, model: Path, batching: str) -> None:
    run = tmp_path / "runs" / "photos-tiny-scratch-20260101-000000"
    run.mkdir(parents=True)
    (run / "config.json").write_text('{"created": "2026-01-01T00:00:00+00:00"}', encoding="utf-8")
    model.rename(run / "model.onnx")
    with serving(run / "model.onnx", "--batching", batching) as served:
        body, headers = form(*[("f", f"{name}.png", picture(name)) for name in ("red", "lime", "blue")])
        found = served.ask("POST", "/predict", body, headers).json()["predictions"]
        assert [each["label"] for each in found] == ["red", "green", "blue"]
        assert served.end(signal.SIGTERM) == 0


def test_ipv6_is_served_too(model: Path) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    with serving(model, "--host", "::1") as served, socket.create_connection(("::1", served.port)) as connection:
        connection.sendall(f"GET /healthz HTTP/1.0\r\nHost: [::1]:{served.port}\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert "http://[::1]:" in served.said()


def test_a_unit_and_a_containerfile_are_all_that_is_printed(edge: Any, model: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    words = ["--model", model, "--host", "0.0.0.0", "--token-file", "token"]
    unit = edge("serve", *words, "--systemd")
    assert unit.returncode == 0 and "ExecStart=" in unit.stdout and TOKEN not in unit.stdout
    # Root's own Python, which the unit's user may have to be let in to, is all that there can be to say.
    assert unit.stderr == "" or ("note: nothing should serve as root" in unit.stderr and unit.stderr.count("\n") == 1)
    container = edge("serve", *words, "--container")
    assert (container.returncode, container.stderr) == (0, "") and "FROM " in container.stdout
    assert edge("serve", "--model", "gone.onnx", "--systemd").returncode == 2


def test_serving_loads_no_torch_and_no_rich(tmp_path: Path, model: Path) -> None:
    code = (
        "import json, sys\n"
        f"sys.argv = ['edge', 'serve', '--model', {str(model)!r}, '--port', '0', '--batching', 'off']\n"
        "from edge_cli.main import run\n"
        "code = run()\n"
        "print(json.dumps([code, sorted({name.partition('.')[0] for name in sys.modules})]))"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert running.stderr is not None
    while not running.stderr.readline().startswith("serving "):
        assert running.poll() is None
    running.terminate()
    stdout, _ = running.communicate(timeout=60)
    ended, loaded = json.loads(stdout)
    assert ended == 0 and "uvicorn" in loaded
    assert not set(loaded) & {"torch", "torchvision", "matplotlib", "onnx", "rich", "edge_train", "edge_export"}
