"""The same network as one TorchScript file, its card an extra file inside."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edge_export.formats.untraceable import in_one_line
from edge_runtime import METADATA_KEY, ModelCard, ModelError

CARD_FILE = f"{METADATA_KEY}.json"


def write_torchscript(network: nn.Module, card: ModelCard, path: Path) -> None:
    """Trace `network` and write it to `path` with `card` as the extra file `edge.json`; the batch is dynamic.

    Raises ModelError where torch cannot trace it.
    """
    size = (2, card.preprocessing.height_px, card.preprocessing.width_px, 3)
    with _torchscript_is_deprecated(), torch.inference_mode(), in_one_line(card, "TorchScript"):
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            network.eval(), torch.zeros(size, dtype=torch.uint8), check_trace=False
        )
    _save(traced, card, path)


def replace_torchscript_card(path: Path, card: ModelCard) -> None:
    """Put `card` into the file at `path`; the graph is the one that was read from it."""
    module, _ = read_torchscript(path)
    _save(module, card, path)


def read_torchscript(path: Path) -> tuple[torch.jit.ScriptModule, ModelCard]:
    """The module and the card in the file at `path`.

    Raises:
        ModelError: not a TorchScript file, or one that edge export did not make.
    """
    extra: dict[str, Any] = {CARD_FILE: ""}
    try:
        with _torchscript_is_deprecated():
            module = torch.jit.load(  # type: ignore[no-untyped-call]
                str(path), map_location="cpu", _extra_files=extra
            )
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"{path} is not a TorchScript file, or was cut short", "export it again") from error
    text = extra[CARD_FILE]
    if not text:
        raise ModelError(f"{path} is a TorchScript file, but edge export did not make it", "export it again")
    return module, ModelCard.loads(text.decode() if isinstance(text, bytes) else text, where=str(path))


def _save(module: torch.jit.ScriptModule, card: ModelCard, path: Path) -> None:
    with _torchscript_is_deprecated():
        # Into memory first: torch aborts the process where its own writer meets a full disk.
        packed = io.BytesIO()
        torch.jit.save(module, packed, _extra_files={CARD_FILE: card.dumps()})
    path.write_bytes(packed.getvalue())


@contextmanager
def _torchscript_is_deprecated() -> Iterator[None]:
    """Without torch's notice that TorchScript is deprecated: users ask for it, and it works."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*torch\.jit\..* is (deprecated|not supported).*")
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        yield
