"""The device's image, built and asked: make test-containers

EDGE_TEST_BUILDER are the words that docker or podman is called by; without them this is skipped. EDGE_TEST_BUILD_FLAGS
are more flags of `build`, --build-arg PYTHON=... where no registry is in reach, and EDGE_TEST_RUN_FLAGS of `run`.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from PIL import Image

from parts import ROOT
from tiny_model import write_tiny_model

BUILDER, BUILD_FLAGS, RUN_FLAGS = (
    shlex.split(os.environ.get(name, ""))
    for name in ("EDGE_TEST_BUILDER", "EDGE_TEST_BUILD_FLAGS", "EDGE_TEST_RUN_FLAGS")
)
TAG, TOKEN = "edge-device-test", "0123456789abcdef0123456789abcdef"
SAFE = ["--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"]


def call(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*BUILDER, *words], capture_output=True, text=True, check=False)


def run(*words: str, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return call("run", "--rm", *SAFE, *RUN_FLAGS, *flags, TAG, *words)


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    if not BUILDER or call("info").returncode:
        pytest.skip("EDGE_TEST_BUILDER names no docker or podman that works")
    file = str(ROOT / "containers" / "device.Dockerfile")
    done = call("build", *BUILD_FLAGS, "-f", file, "-t", TAG, str(ROOT))
    assert done.returncode == 0, done.stderr[-2000:]
    yield TAG
    call("rmi", TAG)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_tiny_model(folder / "model.onnx", ("red", "green", "blue"))
    Image.new("RGB", (64, 48), "blue").save(folder / "a.png")
    (folder / "token").write_text(TOKEN, encoding="utf-8")
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def mount(work: Path) -> tuple[str, ...]:
    return ("-v", f"{work}:/work:ro")


@pytest.mark.slow
def test_it_classifies_as_nobody_on_a_root_that_cannot_be_written_to(image: str, work: Path) -> None:
    done = run("predict", "--model", "model.onnx", "--image", "a.png", "--json", flags=mount(work))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["predictions"][0]["label"] == "blue"
    code = (
        "import os, importlib.util as u; print(os.getuid(), u.find_spec('torch'), u.find_spec('pip')); open('/x', 'w')"
    )
    asked = call("run", "--rm", *SAFE, *RUN_FLAGS, "--entrypoint", "/opt/edge/bin/python", image, "-c", code)
    assert asked.stdout.split() == ["65532", "None", "None"] and "Read-only file system" in asked.stderr


@pytest.mark.slow
def test_it_serves_whom_the_token_lets_in_and_ends_when_it_is_told(image: str, work: Path) -> None:
    name = f"edge-test-{uuid.uuid4().hex[:8]}"
    words = ["serve", "--model", "model.onnx", "--host", "0.0.0.0", "--port", "8765", "--token-file", "/work/token"]
    published = () if "--network" in RUN_FLAGS else ("-p", "127.0.0.1:8765:8765")
    started = call("run", "-d", "--name", name, *SAFE, *RUN_FLAGS, *published, *mount(work), image, *words)
    assert started.returncode == 0, started.stderr
    try:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "image/png"}
        asked = Request("http://127.0.0.1:8765/predict", (work / "a.png").read_bytes(), headers)
        deadline = time.monotonic() + 60
        while True:
            try:
                with urlopen(asked, timeout=10) as answer:
                    assert json.load(answer)["predictions"][0]["label"] == "blue"
                break
            except OSError:
                assert time.monotonic() < deadline, call("logs", name)
                time.sleep(0.3)
        assert call("stop", "--time", "30", name).returncode == 0
        assert call("inspect", "--format", "{{.State.ExitCode}}", name).stdout.strip() == "0"
    finally:
        call("rm", "--force", name)
