"""Export a run's best checkpoint as one self-describing file, proven equal to it.

from edge_export import export
from edge_runtime import newest_run
print(export(newest_run())[0].path)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime import lazy_door

if TYPE_CHECKING:
    from edge_export.embedding import EmbeddingNetwork
    from edge_export.ensembles import EnsembleNetwork
    from edge_export.exporting import export
    from edge_export.onnx_file import write_onnx
    from edge_export.parity import Parity, check_parity
    from edge_export.quantization import to_int8
    from edge_export.quick_load import QuickLoad, optimize_for_this_machine
    from edge_export.record import Exported
    from edge_export.settings import FORMATS, PRECISIONS, ExportFormat, ExportSettings, PrecisionChoice
    from edge_export.split_accuracy import SplitAccuracy
    from edge_export.torchscript_file import read_torchscript, write_torchscript

__all__ = [
    "FORMATS",
    "PRECISIONS",
    "EmbeddingNetwork",
    "EnsembleNetwork",
    "ExportFormat",
    "ExportSettings",
    "Exported",
    "Parity",
    "PrecisionChoice",
    "QuickLoad",
    "SplitAccuracy",
    "check_parity",
    "export",
    "optimize_for_this_machine",
    "read_torchscript",
    "to_int8",
    "write_onnx",
    "write_torchscript",
]

_HOMES = {
    "embedding": ["EmbeddingNetwork"],
    "ensembles": ["EnsembleNetwork"],
    "exporting": ["export"],
    "onnx_file": ["write_onnx"],
    "parity": ["Parity", "check_parity"],
    "quantization": ["to_int8"],
    "quick_load": ["QuickLoad", "optimize_for_this_machine"],
    "record": ["Exported"],
    "settings": ["ExportFormat", "ExportSettings", "FORMATS", "PRECISIONS", "PrecisionChoice"],
    "split_accuracy": ["SplitAccuracy"],
    "torchscript_file": ["read_torchscript", "write_torchscript"],
}

__getattr__, __dir__ = lazy_door(__name__, _HOMES)
