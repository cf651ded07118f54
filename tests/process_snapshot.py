"""What an application would miss of its process, were a library to change it."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import random
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile, _imaging

__all__ = ["TESTS", "large_blocks_are_mapped", "leaves_no_trace", "snapshot"]

TESTS = Path(__file__).parent


def snapshot() -> dict[str, Any]:
    """The state of this process as plain values, torch's too where it is loaded."""
    loggers = {"": logging.getLogger(), **logging.root.manager.loggerDict}
    value = {
        "environment": dict(os.environ),
        "warnings": repr(warnings.filters),
        # Whoever asks for a logger makes it: one without settings is as good as none.
        "loggers": {
            name: (each.level, each.propagate, each.disabled, [repr(handler) for handler in each.handlers])
            for name, each in loggers.items()
            if isinstance(each, logging.Logger) and (each.level or each.handlers or each.disabled)
        },
        "signals": [repr(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        "python": (gc.get_threshold(), sys.getrecursionlimit(), sys.path, Path.cwd(), sys.excepthook, sys.stderr),
        "pillow": (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, _libtiff_handler()),
        "large blocks are mapped": large_blocks_are_mapped(),
        "random": (random.getstate(), repr(np.random.get_state())),
    }
    if "torch" in sys.modules:
        value |= _torch()
    return value


def _torch() -> dict[str, Any]:
    import torch

    backends = torch.backends
    return {
        "torch's threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "torch's random numbers": (torch.initial_seed(), hash(torch.get_rng_state().numpy().tobytes())),
        "torch's flags": (
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            torch.get_float32_matmul_precision(),
            torch.is_autocast_enabled("cpu"),
            backends.mkldnn.enabled,
            (backends.cudnn.enabled, backends.cudnn.benchmark, backends.cudnn.deterministic),
        ),
    }


def _libtiff_handler() -> int | None:
    try:
        set_handler = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
    except AttributeError:
        return None
    set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
    before: int | None = set_handler(None)
    set_handler(before)
    return before


class _Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd")]
    _fields_ += [(name, ctypes.c_size_t) for name in ("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")]


def large_blocks_are_mapped() -> bool | None:
    """Whether glibc takes a block of 1 GiB from the system, as it does if left alone; None elsewhere.

    So large that what was freed before cannot hold it. It is never touched, so it takes no memory.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return None
    libc.mallinfo2.restype = _Mallinfo2
    libc.malloc.argtypes, libc.malloc.restype, libc.free.argtypes = (
        [ctypes.c_size_t],
        ctypes.c_void_p,
        [ctypes.c_void_p],
    )
    before = libc.mallinfo2().hblks
    block = libc.malloc(1 << 30)
    mapped = libc.mallinfo2().hblks > before
    libc.free(block)
    return mapped


def leaves_no_trace(code: str, *words: object, preload: str = "import onnxruntime") -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh process after `preload`, and assert that it changed nothing.

    What third parties set up when they are first used is theirs: that is for `preload`.
    """
    script = f"""
import sys
sys.path.append({str(TESTS)!r})
from process_snapshot import snapshot
{preload}
before = snapshot()
{code}
after = snapshot()
changed = {{name: (before[name], after[name]) for name in after if before.get(name) != after[name]}}
assert not changed, changed
"""
    environment = {
        name: value for name, value in os.environ.items() if name not in {"ORT_DISABLE_TELEMETRY", "GOMP_SPINCOUNT"}
    }
    command = [sys.executable, "-c", script, *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done
