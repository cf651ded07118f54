"""Files that appear whole or not at all: killed writers, full disks, folders in the way, many writers at once."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from edge_runtime import OutputError, atomic_path, write_json, write_text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_the_block_ends_and_not_before(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"whole")
        assert temporary.parent == tmp_path, "a rename is atomic within one file system only"
        assert temporary.name.startswith("."), "a listing of images or runs must not meet it"
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert names(tmp_path) == ["model.onnx"]


def test_a_failing_block_leaves_what_was_there_and_its_own_error(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    target.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        _ = 1 / 0
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["model.onnx"]


@pytest.mark.parametrize("name", ["a" * 250 + ".json", "ä" * 125 + ".json", "\N{GRINNING FACE}" * 62 + ".json"])
def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path, name: str) -> None:
    assert 252 < len(os.fsencode(name)) <= 255
    write_text(tmp_path / name, "x")
    assert names(tmp_path) == [name]
    with pytest.raises(OutputError, match="File name too long") as refused:
        write_text(tmp_path / f"b{name}bbb", "x")
    assert refused.value.hint == "choose a shorter name with `out`"


def test_a_new_file_is_as_readable_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x", encoding="utf-8")
    write_text(tmp_path / "atomic", "x")
    assert stat.S_IMODE((tmp_path / "atomic").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(JSON)
def test_json_is_read_back_as_written(tmp_path: Path, value: object) -> None:
    write_json(tmp_path / "x.json", value)
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == value


def test_json_is_for_people_too_and_holds_names_that_are_not_utf8(tmp_path: Path) -> None:
    value = {"data_root": os.fsdecode(b"/F\xf6tos/\\udcf6"), "label": "Käfer"}
    write_json(tmp_path / "x.json", value)
    raw = (tmp_path / "x.json").read_bytes()
    assert json.loads(raw) == value
    assert "Käfer".encode() in raw and raw.endswith(b"}\n") and b"\r" not in raw


def test_nan_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"loss": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert json.loads((tmp_path / "x.json").read_text()) == {"loss": 1}


KILLED = """
import sys
from edge_runtime import atomic_path
with atomic_path("model.onnx") as temporary, temporary.open("wb") as file:
    while True:
        file.write(b"new" * 1000)
        file.flush()
        print("writing", flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_writer_leaves_the_old_file(tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "model.onnx").write_bytes(b"old")
    writer = subprocess.Popen(
        [sys.executable, "-c", KILLED], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert writer.stdout is not None
    for _ in range(5):
        assert writer.stdout.readline() == b"writing\n"
    writer.send_signal(how)
    writer.stdout.close()
    writer.wait(timeout=30)
    assert (tmp_path / "model.onnx").read_bytes() == b"old"
    write_text(tmp_path / "model.onnx", "next")
    assert (tmp_path / "model.onnx").read_bytes() == b"next", "what the dead left is in nobody's way"


FULL = """
import resource, signal, sys
from edge_runtime import OutputError, atomic_path
# A file that may not grow stands for a disk that is full.
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    with atomic_path("model.onnx") as temporary:
        temporary.write_bytes(bytes(100_000))
except OutputError as error:
    print(error)
"""


def test_a_full_disk_is_an_output_error_and_leaves_the_old_file(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    (tmp_path / "model.onnx").write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", FULL], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("cannot write model.onnx: File too large")
    assert "make room" in done.stdout
    assert (tmp_path / "model.onnx").read_bytes() == b"old"
    assert names(tmp_path) == ["model.onnx"], "half a file is not left to fill the disk"


@pytest.mark.parametrize(
    ("place", "said"), [("gone/x.json", "No such file or directory"), ("file/x.json", "Not a directory")]
)
def test_a_folder_that_is_not_there_is_an_output_error(tmp_path: Path, place: str, said: str) -> None:
    (tmp_path / "file").write_text("I am no folder", encoding="utf-8")
    with pytest.raises(OutputError, match=said) as caught:
        write_json(tmp_path / place, {})
    assert str(tmp_path / place) in caught.value.message and "`out`" in caught.value.hint


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_may_not_be_written_is_an_output_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="Permission denied"):
            write_json(tmp_path / "x.json", {})
    finally:
        tmp_path.chmod(0o700)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/null")


@pytest.mark.parametrize("make", [a_folder, a_pipe, a_link_to_a_device])
def test_what_is_no_file_is_never_replaced(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "out")
    before = (tmp_path / "out").lstat()
    with pytest.raises(OutputError, match="not a regular file"):
        write_text(tmp_path / "out", "x")
    after = (tmp_path / "out").lstat()
    assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)
    assert names(tmp_path) == ["out"]


def test_an_error_about_another_file_keeps_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"weights\.pth"), atomic_path(tmp_path / "x.json"):
        (tmp_path / "elsewhere" / "weights.pth").read_bytes()
    assert names(tmp_path) == []


def test_threads_that_write_one_file_never_mix(tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    write_json(target, ["0"] * 2000)

    def write(number: int) -> None:
        for _ in range(15):
            write_json(target, [str(number)] * 2000)
            # A reader never sees half a file, nor two writers in one.
            found = json.loads(target.read_text(encoding="utf-8"))
            assert len(found) == 2000 and len(set(found)) == 1

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    assert names(tmp_path) == ["x.json"]
