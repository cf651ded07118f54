"""edge predict --save-input: the model's input as a PNG, which is written over nothing but an earlier one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MARK = ("Software", "edge predict --save-input")


def check_input_target(target: Path, pictures: int | None) -> None:
    """Raises UsageError, before any work, where it is no .png, or a file that was not written here.

    Of `pictures` there has to be one; None is not known.
    """
    if pictures != 1:
        raise UsageError("--save-input shows one picture", "name one")
    if target.suffix.lower() != ".png":
        raise UsageError(f"--save-input {target} is not a .png", "any other format would change the pixels")
    try:
        target.lstat()
    except (FileNotFoundError, NotADirectoryError):
        # A folder that is not there is said where the file is written.
        return
    except OSError as error:
        raise UsageError(f"--save-input {target} cannot be used: {error.strerror}", "name another file") from None
    from edge_data import has_mark

    if not has_mark(target, _MARK):
        raise UsageError(f"--save-input {target} is there already, and no input that edge saved", "name another file")


def write_input(target: Path, pixels: NDArray[np.uint8]) -> None:
    """Save uint8 `[height, width, 3]` RGB as PNG, whole or not at all, marked as ours. Raises OutputError."""
    from PIL import Image

    from edge_data import marked
    from edge_runtime import atomic_path

    with atomic_path(target, parameter="save_input") as temporary:
        Image.fromarray(pixels).save(temporary, "PNG", pnginfo=marked(_MARK))
