"""Messages that nobody takes are lost, and whoever writes them goes on."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edge_runtime import LossyFile, lossy_stderr

SAYS = (
    "import subprocess, sys\n"
    "from edge_runtime import lossy_stderr\n"
    "sys.stderr = lossy_stderr(sys.stderr)\n"
    "for _ in range(3):\n"
    "    print('said', file=sys.stderr, flush=True)\n"
    "child = 'import sys; print(1, file=sys.stderr, flush=True)'\n"
    "print('done', subprocess.run([sys.executable, '-c', child]).returncode)\n"
)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_messages_whose_reader_has_gone_are_lost_for_children_too(unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(
        [sys.executable, "-c", SAYS], stdout=subprocess.PIPE, stderr=writer, text=True, check=False, env=environment
    )
    os.close(writer)
    assert (done.returncode, done.stdout) == (0, "done 0\n")


def test_what_fits_is_written_and_what_a_full_disk_does_not_take_is_lost(tmp_path: Path) -> None:
    with LossyFile(tmp_path / "said.txt", "wb") as file:
        assert file.write(b"said") == 4
    assert (tmp_path / "said.txt").read_bytes() == b"said"
    with LossyFile("/dev/full", "wb") as file:
        assert file.write(b"said") == 4


def test_a_stream_that_returns_at_once_when_it_is_full_is_waited_for() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    said = b"x" * 300_000
    read = []

    def take() -> None:
        with open(reader, "rb") as file:  # noqa: PTH123
            read.append(file.read())

    taking = threading.Thread(target=take)
    taking.start()
    with LossyFile(writer, "wb") as file:
        assert file.write(said) == len(said)
    taking.join()
    assert read == [said]


def test_another_stream_than_standard_error_stays_as_it_is(tmp_path: Path) -> None:
    with (tmp_path / "log.txt").open("w", encoding="utf-8") as log:
        assert lossy_stderr(log) is log
    text = io.StringIO()
    assert lossy_stderr(text) is text
