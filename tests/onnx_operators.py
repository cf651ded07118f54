"""torch's table of what each of its operators is in ONNX, made once a process."""

from __future__ import annotations

from functools import cache

__all__ = ["keep_operators", "make_operators"]

# Of the files that edge writes.
OPSET = 18


def keep_operators() -> None:
    """Have the exporter find its table made: it makes it anew for each file, half of the time that a small one takes.

    It only reads it, but for translations of one's own, of which the project has none.
    """
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    if isinstance(ONNXRegistry.__dict__["from_torchlib"], classmethod):
        ONNXRegistry.from_torchlib = staticmethod(cache(ONNXRegistry.from_torchlib))


def make_operators() -> None:
    """Make the table now, for the processes that are forked from this one."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    keep_operators()
    ONNXRegistry.from_torchlib(opset_version=OPSET)
