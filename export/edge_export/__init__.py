"""Export a run's best checkpoint as one self-describing file, proven equal to it.

from edge_vision import export, newest_run
print(export(newest_run())[0].path)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime import lazy_door

if TYPE_CHECKING:
    from edge_export.exporting import export
    from edge_export.formats.onnx_file import write_onnx
    from edge_export.formats.torchscript_file import read_torchscript, write_torchscript
    from edge_export.precision.int8 import Quantizer, to_int8
    from edge_export.proof.answers import Answers, Model
    from edge_export.proof.decision import MAX_DIFFERENCE, decision_of
    from edge_export.proof.parity import Parity, check_parity, expect
    from edge_export.proof.sample_images import Picture, hostile_pictures, spread
    from edge_export.record import Exported
    from edge_export.settings import FORMATS, ExportFormat, ExportSettings
    from edge_export.unlike.centres import count_centres, distances_to, find_centres, unit_vectors
else:
    __all__, __getattr__, __dir__ = lazy_door(__name__)
