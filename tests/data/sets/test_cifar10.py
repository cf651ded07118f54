"""CIFAR-10 becomes class folders of PNG files, pixel for pixel what its archive holds."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from edge_data import find_data
from edge_data.sets.cifar10 import cifar10_folder
from edge_runtime import DataError, WeightsError, scan

CLASSES = ["airplane", "automobile", "bird"]


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, np.ndarray]]:
    """A small archive in CIFAR-10's layout behind a local server, and its pixels by batch."""
    draw = np.random.default_rng(0)
    pixels = {name: draw.integers(0, 256, (6, 3072), dtype=np.uint8) for name in ("data_batch_1", "test_batch")}
    entries = {name: {"data": data, "labels": [0, 1, 2, 0, 1, 2]} for name, data in pixels.items()}
    entries["batches.meta"] = {"label_names": CLASSES}
    packed = {name: pickle.dumps(entry) for name, entry in entries.items()}
    (tmp_path / "www").mkdir()
    archive = tmp_path / "www" / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in packed.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "www")))
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("edge_data.sets.cifar10.URL", f"http://127.0.0.1:{server.server_port}/{archive.name}")
    digest = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr("edge_data.sets.cifar10.ARCHIVE_MD5", digest)
    monkeypatch.setattr("edge_data.sets.cifar10.BATCHES", {"train": ("data_batch_1",), "test": ("test_batch",)})
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    yield pixels
    server.shutdown()
    server.server_close()


def test_it_is_downloaded_once_and_unpacked_into_class_folders(
    served: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = cifar10_folder()
    folders = scan(folder)
    assert folders.labels == tuple(CLASSES)
    assert {split: len(samples) for split, samples in folders.splits.items()} == {"train": 6, "test": 6}
    for split, batch in (("train", "data_batch_1"), ("test", "test_batch")):
        for index, row in enumerate(served[batch]):
            picture = Image.open(folder / split / CLASSES[index % 3] / f"{index:05d}.png")
            assert np.array_equal(np.asarray(picture), row.reshape(3, 32, 32).transpose(1, 2, 0))
    monkeypatch.setattr("edge_data.sets.cifar10.URL", "http://127.0.0.1:9/gone")
    assert find_data("cifar10").root == folder


def test_another_archive_is_named_and_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    archive = tmp_path / "cache" / "cifar-10-python.tar.gz"
    archive.parent.mkdir()
    archive.write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz is not the archive of CIFAR-10"):
        cifar10_folder()
    assert list(archive.parent.iterdir()) == [archive]


def test_without_a_network_it_is_one_clear_error_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("edge_data.sets.cifar10.URL", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1:9") as caught:
        cifar10_folder()
    assert "`data`" in caught.value.hint
    assert not list((tmp_path / "cache").glob("*")) if (tmp_path / "cache").exists() else True


def test_a_local_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cifar10" / "train").mkdir(parents=True)
    assert find_data("cifar10").root == Path("cifar10")
