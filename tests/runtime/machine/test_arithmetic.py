"""Which instructions int8 layers are computed with, and which of them saturate."""

from __future__ import annotations

import platform

import pytest

from edge_runtime import int8_arithmetic
from edge_runtime.machine.arithmetic import saturates
from edge_runtime.machine.resources import instruction_sets


@pytest.mark.parametrize(
    ("sets", "architecture", "kind", "saturating"),
    [
        ("sse4_1 avx avx2 fma", "x86_64", "x86_64 avx2", True),
        ("avx2 avx512f avx512bw avx512vl", "x86_64", "x86_64 avx512bw", True),
        ("avx2 avx512bw avx512_vnni", "x86_64", "x86_64 avx512_vnni", False),
        ("avx2 avx_vnni", "x86_64", "x86_64 avx_vnni", False),
        ("avx2 avx512bw avx512_vnni avx_vnni amx_int8", "x86_64", "x86_64 amx_int8", False),
        ("fp asimd evtstrm crc32 cpuid", "aarch64", "aarch64 asimd", False),
        ("fp asimd asimddp", "aarch64", "aarch64 asimddp", False),
        ("", "arm64", "arm64", False),
        ("", "AMD64", "AMD64", None),
    ],
)
def test_a_kind_is_named_by_its_best_instructions(
    sets: str, architecture: str, kind: str, *, saturating: bool | None
) -> None:
    assert int8_arithmetic(sets.split(), architecture) == kind
    assert saturates(kind) is saturating


def test_this_machine_is_one() -> None:
    assert int8_arithmetic().startswith(platform.machine())
    assert int8_arithmetic() == int8_arithmetic(instruction_sets(), platform.machine())
