"""With which instructions onnxruntime computes int8 layers here, and whether these saturate."""

from __future__ import annotations

import platform
from collections.abc import Collection

from edge_runtime.machine.resources import instruction_sets

# As Linux names them, the best first.
_X86 = ("amx_int8", "avx512_vnni", "avx_vnni", "avx512bw", "avx2", "sse4_1")
_ARM = ("i8mm", "asimddp", "asimd")
# Their multiply-add keeps the sum of two products of a weight and an activation in 16 bits.
_SATURATING = frozenset({"avx512bw", "avx2", "sse4_1"})


def int8_arithmetic(sets: Collection[str] | None = None, architecture: str | None = None) -> str:
    """The kind of processor this is for int8: architecture and best instruction set, such as `x86_64 avx512_vnni`.

    The architecture alone where the system does not say more; `sets` and `architecture` stand for another machine's.
    """
    there = instruction_sets() if sets is None else sets
    architecture = platform.machine() if architecture is None else architecture
    best = next((name for name in (*_X86, *_ARM) if name in there), "")
    return f"{architecture} {best}".strip()


def saturates(arithmetic: str) -> bool | None:
    """Whether int8 layers with weights of full range answer otherwise on that kind of processor; None if unknown."""
    architecture, _, best = arithmetic.partition(" ")
    if architecture.lower() in ("aarch64", "arm64"):
        return False
    return best in _SATURATING if best else None
