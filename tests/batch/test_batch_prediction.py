"""Batches on Ray for real: on this machine, on two nodes, killed, stopped, and of every kind of model."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("ray")
pytest.importorskip("pyarrow")

import onnx
from onnx import TensorProto, helper

from drawn_photos import draw_photos
from edge_batch import BatchSettings, list_all, predict_batch
from edge_runtime import Classifier, UsageError
from tiny_model import write_multi_label_model, write_multi_task_model, write_tiny_model
from unlike_model import write_unlike_model

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

# Workers that give way to all else, as Ray has it, take long beside another test.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
SCRIPTS = Path(__file__).parents[2] / "benchmarks" / "self_checks"


def rows(out: Path) -> list[dict[str, Any]]:
    """The answers in the order of the listing, as any reader of Parquet has them."""
    from pyarrow import parquet

    return sorted(parquet.read_table(out).to_pylist(), key=lambda row: row["index"])


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "edge_cli", "predict", "--engine", "ray", *map(str, words)]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A cluster of two machines, as far as Ray can tell: a core each."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


def test_every_picture_has_one_row_and_the_answer_of_predict(edge: Any, photos: Path, model: Path) -> None:
    words = ("predict", "--engine", "ray", "--data", photos, "--model", model, "--out", "my answers/#1", "--json")
    done = edge(*words)
    out = model.parent / "my answers" / "#1"
    assert done.returncode == 1, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["pictures"], summary["answered"], summary["failed"], summary["before"]) == (13, 12, 1, 0)
    # Of Ray nothing is heard.
    lines = done.stderr.splitlines()
    assert lines[0] == "13 pictures" and "broken.jpg" in lines[1] and lines[1].startswith("error: ")
    assert lines[2].endswith("answers to 12 pictures, 1 more could not be read") and len(lines) == 4
    answers = rows(out)
    assert [row["path"] for row in answers] == list(list_all([str(photos)]).paths)
    classifier = Classifier(model)
    for row in answers:
        if row["error"]:
            assert row["path"].endswith("broken.jpg") and row["label"] is None and row["path"] in row["error"]
            continue
        given = classifier.predict(row["path"])
        assert (row["label"], row["probability"]) == (given.label, np.float32(given.probability))
        assert [tuple(ranked.values()) for ranked in row["top"]] == list(given.top(5))
        assert row["model"] == summary["model_sha256"]
    # Again it is done; with another model or one picture more it is refused.
    again = edge(*words)
    assert (again.returncode, json.loads(again.stdout)["before"]) == (1, 13)
    write_tiny_model(model, labels=("a", "b", "c"))
    assert_refused(edge(*words), "of another model")
    write_tiny_model(model, labels=("red", "green", "blue"))
    Image.new("RGB", (9, 9)).save(photos / "more.png")
    assert_refused(edge(*words), "to other pictures (13, now 14")
    (photos / "more.png").unlink()
    assert_refused(edge(*words, "--top", "2"), "top 5, now 2")
    assert len(rows(out)) == 13


def assert_refused(done: subprocess.CompletedProcess[str], said: str) -> None:
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and len(done.stderr.splitlines()) <= 3 and "Traceback" not in done.stderr


def test_where_no_cluster_is_there_is_one_line(edge: Any, photos: Path, model: Path, tmp_path: Path) -> None:
    words = ("predict", "--engine", "ray", "--data", photos, "--model", model, "--out", "answers", "--address")
    assert_refused(edge(*words, "127.0.0.1:1"), "no Ray cluster answers there")
    assert_refused(edge(*words, "gone"), "HOST:PORT is needed")
    ours = {"RAY_TMPDIR": str(tmp_path)}
    assert_refused(edge(*words, "auto", **ours), "no Ray cluster answers there (none runs here)")
    # One that was killed: Ray would knock for many minutes.
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
    assert_refused(edge(*words, "auto", **ours), ":1: Connection refused)")


def test_two_nodes_answer_every_kind_of_model(
    nodes: Any, photos: Path, tmp_path: Path, bucket: tuple[dict[str, bytes], str]
) -> None:
    def answers(name: str, model: Path, data: str = str(photos), **settings: Any) -> list[dict[str, Any]]:
        given = BatchSettings(address=nodes.address, **settings)
        summary = predict_batch(model, list_all([data]), tmp_path / name, given, lambda _: None)
        assert summary.workers == 2 or summary.pictures < 32
        return rows(tmp_path / name)

    # A core each, and each has opened the model.
    draw_photos(photos, 64)
    embedding = write_tiny_model(tmp_path / "embedding.onnx", labels=("red", "green", "blue"))
    proto = onnx.load(embedding)
    proto.graph.node.append(helper.make_node("Identity", ["colour"], ["embedding"]))
    proto.graph.output.append(helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 3]))
    onnx.save(proto, embedding)
    classifier = Classifier(embedding)
    for row in answers("embedding", embedding, embedding=True):
        if row["error"]:
            assert row["embedding"] is None
        else:
            assert row["embedding"] == classifier.embedding(row["path"]).tolist()
            assert row["label"] == classifier.predict(row["path"]).label

    labelled = answers("labels", write_multi_label_model(tmp_path / "labels.onnx"), f"{photos}/near/*.png")
    assert labelled[0]["labels"] == ["green"] and labelled[0]["top"][0]["threshold"] == 0.25
    of_tasks = answers("tasks", write_multi_task_model(tmp_path / "tasks.onnx"), f"{photos}/near/*.png", top=1)
    assert (of_tasks[0]["colour"], of_tasks[0]["light"]) == ("green", "dark")
    assert [ranked["label"] for ranked in of_tasks[0]["colour_top"]] == ["green"]
    assert of_tasks[0]["light_probability"] > 0.5

    files, options = bucket
    files |= {f"a/{path.name}": path.read_bytes() for path in sorted((photos / "near").glob("1*.png"))}
    Image.new("RGB", (40, 40), "white").save(photos / "white.png")
    files |= {"a/white.png": (photos / "white.png").read_bytes(), "a/x.jpg": b"no picture"}
    rejecting = write_unlike_model(tmp_path / "unlike.onnx")
    stored = answers("stored", rejecting, f"s3://KEY:SECRET@photos/a?{options}", reject_unlike=0.05)
    assert {row["path"] for row in stored} == {f"s3://photos/{key}" for key in files}
    found = {row["path"].rpartition("/")[2]: row for row in stored}
    assert found["white.png"]["label"] == "unknown" and found["white.png"]["unlike"]
    assert not found["1.png"]["unlike"] and found["1.png"]["label"] == "green"
    assert found["x.jpg"]["error"].startswith("s3://photos/a/x.jpg is not an image")
    assert not any("SECRET" in path.read_text(errors="replace") for path in (tmp_path / "stored").rglob("*.json"))


def test_a_node_that_is_lost_costs_no_answer(nodes: Any, tmp_path: Path) -> None:
    photos = draw_photos(tmp_path / "photos", 160, side=300)
    model = write_tiny_model(tmp_path / "model.onnx")
    extra = nodes.add_node(num_cpus=1)
    lost: list[Any] = []

    def lose(_: object) -> None:
        if not lost:
            lost.append(nodes.remove_node(extra, allow_graceful=False))

    summary = predict_batch(
        model, list_all([str(photos)]), tmp_path / "out", BatchSettings(address=nodes.address), lose
    )
    assert lost and summary.answered == 160
    assert [row["index"] for row in rows(tmp_path / "out")] == list(range(160))


def test_a_model_that_gives_no_embedding_is_refused(photos: Path, model: Path, tmp_path: Path) -> None:
    from edge_runtime import ModelError

    with pytest.raises(ModelError, match="gives no embedding"):
        predict_batch(model, list_all([str(photos)]), tmp_path / "out", BatchSettings(embedding=True), lambda _: None)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="a cluster is joined from one of its own machines"):
        BatchSettings(address="ray://head:10001")


def test_ctrl_c_is_130_and_the_same_command_goes_on(tmp_path: Path) -> None:
    photos = draw_photos(tmp_path / "photos", 1500, side=400)
    model, out = write_tiny_model(tmp_path / "model.onnx"), tmp_path / "answers"
    words = command("--data", photos, "--model", model, "--out", out, "--json")
    first = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    end = time.monotonic() + 120
    while not list(out.glob("*.parquet")) and first.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    # As a terminal does: to all processes of the group.
    os.killpg(first.pid, signal.SIGINT)
    stdout, stderr = first.communicate(timeout=120)
    assert (first.returncode, stdout) == (130, ""), stderr
    assert (
        "the same command goes on" in stderr and stderr.endswith("error: interrupted\n") and "Traceback" not in stderr
    )
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert 0 < summary["before"] < 1500 == summary["answered"]
    assert [row["index"] for row in rows(out)] == list(range(1500))


def test_killed_workers_and_drivers_cost_no_answer_and_double_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    from ray_kills import kill_batch

    photos = draw_photos(tmp_path / "photos", 400, side=400)
    model = write_tiny_model(tmp_path / "model.onnx")
    found = kill_batch(model, photos, tmp_path / "answers", worker_kills=3, driver_kills=1, moments=random.Random(1))
    assert found.good, found
    assert found.workers >= 1 and found.drivers >= 1
    # Of the deaths Ray speaks in its log alone.
    said = (tmp_path / "driver-1.log").read_text().splitlines()
    assert said[0] == "400 pictures" and "answers to 400 pictures" in said[1] and len(said) == 3


def test_pictures_that_kill_every_worker_end_the_batch_with_a_line(
    edge: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    from ray_kills import workers_of

    photos = draw_photos(tmp_path / "photos", 48, side=1200)
    model, out = write_tiny_model(tmp_path / "model.onnx"), tmp_path / "answers"
    words = command("--data", photos, "--model", model, "--out", out, "--threads", "1", "--json")
    driver = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    end, seen = time.monotonic() + 300, 0
    while driver.poll() is None and time.monotonic() < end:
        # As the kernel does where memory runs out: whoever has begun that block is killed, each time.
        begun = out / "_edge" / "begun" / "block-0"
        if begun.exists() and (times := begun.stat().st_size) > seen:
            seen = times
            time.sleep(0.05)
            for worker in workers_of(driver.pid):
                with suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
        time.sleep(0.005)
    stdout, stderr = driver.communicate(timeout=60)
    assert (driver.returncode, stdout) == (1, ""), stderr
    (line,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert f"5 workers in turn died of the same pictures, the last one at {photos}" in line
    assert "the same command goes on" in stderr and "Traceback" not in stderr
    done = edge(*words[words.index("predict") :])
    assert done.returncode == 0, done.stderr
    assert [row["index"] for row in rows(out)] == list(range(48))


def test_workers_that_die_before_they_open_the_model_end_the_batch_with_a_line(
    edge: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(SCRIPTS)
    from ray_kills import workers_of

    photos = draw_photos(tmp_path / "photos", 48)
    model, out = write_tiny_model(tmp_path / "model.onnx"), tmp_path / "answers"
    words = command("--data", photos, "--model", model, "--out", out, "--threads", "1", "--json")
    driver = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    end, killed = time.monotonic() + 400, set()
    while driver.poll() is None and time.monotonic() < end:
        for worker in workers_of(driver.pid):
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
                killed.add(worker)
        time.sleep(0.005)
    stdout, stderr = driver.communicate(timeout=60)
    assert (driver.returncode, stdout) == (1, ""), stderr
    (line,) = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert "a worker died 5 times in a row before it had opened the model" in line and len(killed) >= 5
    assert "the same command goes on" in stderr and "Traceback" not in stderr
    done = edge(*words[words.index("predict") :])
    assert done.returncode == 0, done.stderr
    assert [row["index"] for row in rows(out)] == list(range(48))
