"""Export a run's best checkpoint as one self-describing file, proven equal to it.

from edge_export import export
from edge_runtime import newest_run
print(export(newest_run())[0].path)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime import lazy_door

if TYPE_CHECKING:
    from edge_export.exporting import FORMATS, Exported, ExportFormat, export
    from edge_export.onnx_file import write_onnx
    from edge_export.parity import Parity, check_parity
    from edge_export.torchscript_file import read_torchscript, write_torchscript

__all__ = [
    "FORMATS",
    "ExportFormat",
    "Exported",
    "Parity",
    "check_parity",
    "export",
    "read_torchscript",
    "write_onnx",
    "write_torchscript",
]

_HOMES = {
    "exporting": ["FORMATS", "ExportFormat", "Exported", "export"],
    "onnx_file": ["write_onnx"],
    "parity": ["Parity", "check_parity"],
    "torchscript_file": ["read_torchscript", "write_torchscript"],
}

__getattr__, __dir__ = lazy_door(__name__, _HOMES)
