"""The same file by OpenVINO: the same answers, however it is asked."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edge_runtime import Classifier, EngineChoice, ModelError, UsageError, has_bfloat16, keep_engine_choices
from edge_runtime.model.openvino_session import open_openvino
from tiny_model import write_multi_label_model, write_multi_task_model, write_tiny_model
from unlike_model import write_unlike_model

pytest.importorskip("openvino", reason="openvino is not installed (make test-engines)")

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)


@pytest.mark.parametrize(
    "write", [write_tiny_model, write_multi_label_model, write_multi_task_model, write_unlike_model]
)
@pytest.mark.parametrize("threads", [1, 2])
def test_it_answers_as_onnxruntime_does(write: Callable[[Path], Path], threads: int, tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx")
    plain = Classifier(path, threads=threads, with_distance=True)
    other = Classifier(path, threads=threads, with_distance=True, engine="openvino")
    assert (other.engine, other.card, other.embedding_size) == ("openvino", plain.card, plain.embedding_size)
    for batch in (1, 2, 5, 6, 1):
        expected, found = (each.probabilities(PIXELS[:batch]) for each in (plain, other))
        assert found.dtype == np.float32 and found.shape == expected.shape
        assert np.abs(found - expected).max() < 1e-5
    picture = PIXELS[0]
    assert other.predict(picture).label == plain.predict(picture).label
    assert other.predict(picture).to_json().keys() == plain.predict(picture).to_json().keys()


def test_the_distance_to_training_comes_with_the_answer(tmp_path: Path) -> None:
    path = write_unlike_model(tmp_path / "model.onnx")
    plain, other = (
        Classifier(path, reject_unlike=0.05, engine=engine)  # type: ignore[arg-type]
        for engine in ("onnxruntime", "openvino")
    )
    for colour in ((255, 0, 0), (255, 255, 255)):
        picture = np.full((32, 32, 3), colour, np.uint8)
        assert other.predict(picture).label == plain.predict(picture).label
    expected, found = (each.probabilities_and_distances(PIXELS)[1] for each in (plain, other))
    assert np.abs(found - expected).max() < 1e-3


def test_threads_share_it_and_an_answer_is_not_written_over(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "model.onnx")
    plain, other = Classifier(path, threads=1), Classifier(path, threads=1, engine="openvino")
    kept = other.probabilities(PIXELS[:1])
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda row: other.probabilities(PIXELS[row : row + 1])[0], [*range(6)] * 50))
    expected = plain.probabilities(PIXELS)
    assert np.abs(np.stack(found) - np.tile(expected, (50, 1))).max() < 1e-5
    assert np.abs(kept - expected[:1]).max() < 1e-5


def test_a_stream_and_another_process_have_the_same_engine(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "model.onnx")
    classifier = Classifier(path, threads=2, engine="openvino")
    answers = list(classifier.predict_many([PIXELS[row % 6] for row in range(30)]))
    expected = Classifier(path).probabilities(PIXELS)
    assert all(np.abs(answer.probabilities - expected[row % 6]).max() < 1e-5 for row, answer in enumerate(answers))
    assert pickle.loads(pickle.dumps(classifier)).engine == "openvino"


def test_auto_takes_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    path = write_tiny_model(tmp_path / "model.onnx")
    choice = EngineChoice("openvino", 2, 1.0, 2.0, 1e-7, 5)
    keep_engine_choices(path, [choice])
    classifier = Classifier(path, threads=2, engine="auto")
    assert (classifier.engine, classifier.engine_choice) == ("openvino", choice)
    assert Classifier(path, threads=1, engine="auto").engine == "onnxruntime"


def test_what_it_cannot_open_is_said_in_one_line(tmp_path: Path) -> None:
    whole = write_tiny_model(tmp_path / "model.onnx").read_bytes()
    broken = tmp_path / "broken.onnx"
    for data in (b"", b"no model", whole[: len(whole) // 2]):
        broken.write_bytes(data)
        with pytest.raises(ModelError, match=r"broken\.onnx") as raised:
            Classifier(broken, engine="openvino")
        assert "\n" not in raised.value.message
    with pytest.raises(UsageError, match="does not exist"):
        Classifier(tmp_path / "none.onnx", engine="openvino")
    with pytest.raises(UsageError, match="`threads` 0"):
        Classifier(tmp_path / "model.onnx", threads=0, engine="openvino")


def test_bfloat16_is_refused_where_the_processor_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tiny_model(tmp_path / "model.onnx")
    if has_bfloat16():
        assert Classifier(path, engine="openvino-bf16").engine == "openvino-bf16"
    monkeypatch.setattr("edge_runtime.model.openvino_session.has_bfloat16", lambda: False)
    with pytest.raises(UsageError, match="no bfloat16"):
        Classifier(path, engine="openvino-bf16")


def test_it_asks_nothing_of_the_network(tmp_path: Path) -> None:
    """Its package brings a telemetry of its own, which running a model is not to wake."""
    path = write_tiny_model(tmp_path / "model.onnx")
    code = f"""
import sys
met = []
sys.addaudithook(lambda name, _: met.append(name) if name.startswith(("socket.", "subprocess.")) else None)
import numpy as np
from edge_runtime import Classifier
Classifier({str(path)!r}, engine="openvino").probabilities(np.zeros((1, 32, 32, 3), np.uint8))
assert not [name for name in met if name in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen")], met
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_was_verified_is_opened_and_not_what_lies_there_by_now(tmp_path: Path) -> None:
    path = write_tiny_model(tmp_path / "model.onnx")
    verified = path.read_bytes()
    write_tiny_model(path, labels=("d", "e", "f", "g"))
    session = open_openvino(path, verified=verified)
    assert '"a"' in session.get_modelmeta().custom_metadata_map["edge"]
    assert session.run(["probabilities"], {"image": PIXELS})[0].shape == (6, 3)
