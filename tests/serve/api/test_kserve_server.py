"""KServe's own server with the same file gives the same client the same answers, bit for bit.

EDGE_TEST_KSERVE names a Python that has kserve and onnxruntime; `make test-servers` makes one.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving import Served

http = pytest.importorskip("tritonclient.http")

PYTHON = os.environ.get("EDGE_TEST_KSERVE", "")
pytestmark = pytest.mark.skipif(not PYTHON, reason="EDGE_TEST_KSERVE names no Python with kserve")
START_S = 120


@pytest.fixture(scope="module")
def kserve(rgb_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of KServe's server with the model."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = Path(__file__).parents[2] / "kserve_model.py"
    # Its Python is not this one: nothing of this checkout is to be found there.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    log = tmp_path_factory.mktemp("kserve") / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [PYTHON, script, rgb_model, "colours", str(port)], env=environment, stdout=file, stderr=file
        )
    try:
        end = time.monotonic() + START_S
        while not _is_ready(port):
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _is_ready(port: int) -> bool:
    try:
        with http.InferenceServerClient(f"127.0.0.1:{port}") as client:
            return bool(client.is_model_ready("colours"))
    except (OSError, http.InferenceServerException):
        return False


def test_both_servers_answer_one_client_bit_for_bit_the_same(kserve: str, served: Served) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    tensor = http.InferInput("image", list(pixels.shape), "UINT8")
    tensor.set_data_from_numpy(pixels, binary_data=False)
    wanted = [http.InferRequestedOutput("probabilities", binary_data=False)]
    answers: list[Any] = []
    for address in (kserve, f"127.0.0.1:{served.port}"):
        with http.InferenceServerClient(address) as client:
            # KServe takes a body for bytes that does not say that it is JSON.
            given = client.infer("colours", [tensor], outputs=wanted, headers={"Content-Type": "application/json"})
            answers.append(given.as_numpy("probabilities"))
    theirs, ours = answers
    assert theirs.dtype == ours.dtype == np.float32 and theirs.shape == (4, 3)
    assert np.array_equal(theirs, ours)
