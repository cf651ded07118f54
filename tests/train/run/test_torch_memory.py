"""Freed memory is used again instead of being asked for anew."""

from __future__ import annotations

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

# The median of many rounds: now and then a small block lands in the freed one's place and the heap grows once more.
SCRIPT = """
import resource, statistics, sys
import torch
from edge_train.run.torch_memory import keep_freed_memory


def faults_of_one_tensor():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


if sys.argv[1] == "kept":
    keep_freed_memory()
print(statistics.median_low(faults_of_one_tensor() for _ in range(25)))
"""


def page_faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="tells glibc's allocator")
def test_a_large_tensor_takes_no_new_pages_where_one_was_freed() -> None:
    from ctypes import CDLL

    if not hasattr(CDLL(None), "gnu_get_libc_version"):
        pytest.skip("this libc is not glibc")
    usual = page_faults("usual")
    if usual < 1000:
        pytest.skip("this system gives memory in huge pages")
    assert page_faults("kept") < usual / 10
