"""ONNX files of networks that were written before: tracing a network takes most of the time of its export."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from torch import nn

from edge_export.formats.onnx_file import replace_card
from edge_runtime import ModelCard

__all__ = ["Write", "written_once"]

Write: TypeAlias = Callable[[nn.Module, ModelCard, Path], None]


def written_once(write: Write, folder: Path) -> Write:
    """`write`, which is asked once for a network; the next time, its file is copied from `folder` and has the new card.

    The graph depends on the network and on the few fields of the card that are looked at here.
    """

    def write_or_copy(network: nn.Module, card: ModelCard, path: Path) -> None:
        size = card.preprocessing.height_px, card.preprocessing.width_px
        rest = f"{size} {card.outputs} {card.embedding_size} {card.versions.get('edge-vision')}"
        kept = folder / f"{_digest(network, rest)}.onnx"
        if kept.exists():
            shutil.copyfile(kept, path)
            replace_card(path, card)
            return
        write(network, card, path)
        # Other tests write at the same time.
        mine = kept.with_suffix(f".{os.getpid()}")
        shutil.copyfile(path, mine)
        mine.replace(kept)

    return write_or_copy


def _digest(network: nn.Module, rest: str) -> str:
    """Of all that a network computes with: its modules, what they are set to, and its tensors."""
    digest = sha256(rest.encode())
    for name, module in network.named_modules():
        kind = type(module)
        given = {key: value for key, value in vars(module).items() if not key.startswith("_")}
        digest.update(f"{name} {kind.__module__}.{kind.__qualname__} {given}".encode())
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
