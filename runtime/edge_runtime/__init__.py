"""Classify images with an exported model file: numpy, Pillow and onnxruntime, nothing else.

    from edge_runtime import Classifier
    print(Classifier("model.onnx").predict("x.jpg").label)

Names are loaded on first use, so that `from edge_runtime import decode` does not pay for onnxruntime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.lazy import lazy_door

if TYPE_CHECKING:
    from edge_runtime.atomic import atomic_path, write_json, write_text
    from edge_runtime.card import EMBEDDING_NAME, FORMAT_VERSION, INPUT_NAME, METADATA_KEY, OUTPUT_NAME, ModelCard
    from edge_runtime.classifier import Classifier, ImageSource
    from edge_runtime.csv_cells import csv_cell
    from edge_runtime.errors import (
        CheckpointError,
        DataError,
        EdgeError,
        ImageError,
        ImageProblem,
        MissingExtraError,
        ModelError,
        OutputError,
        ParityError,
        UsageError,
        WeightsError,
        one_line,
    )
    from edge_runtime.evaluation import Evaluation, evaluate
    from edge_runtime.folders import ClassFolders, FolderNote, Sample, find_images, scan
    from edge_runtime.foreign import ForeignClassifier, read_labels
    from edge_runtime.health import (
        Health,
        Sensors,
        Throttling,
        read_health,
        read_sensors,
        read_throttling,
        slow_reasons,
    )
    from edge_runtime.image_kind import FORMAT_OF_SUFFIX, HEAD_BYTES, READABLE_FORMATS, format_of
    from edge_runtime.images import MAX_PIXELS, decode
    from edge_runtime.journal import Journal
    from edge_runtime.machine import available_memory_bytes, cpu_model, usable_cores
    from edge_runtime.metrics import ClassMetrics, Metrics, expected_calibration_error, measure, wilson_interval
    from edge_runtime.onnx_bytes import count_parameters, graph_sha256, read_header, with_metadata
    from edge_runtime.prediction import LabelProbability, Prediction
    from edge_runtime.preprocess import Preprocessing
    from edge_runtime.probe import Probe, run_probe
    from edge_runtime.quick_load import find_quick_load, quick_load_paths, remove_quick_load, write_quick_load_note
    from edge_runtime.runs import RUNS_FOLDER, Run, find_run, newest_run
    from edge_runtime.session import open_session
    from edge_runtime.sorting import Sorter
    from edge_runtime.sources import STANDARD_INPUT, Source, expand, read_names
    from edge_runtime.walk import is_image, walk_folder
    from edge_runtime.watching import UNKNOWN, Sighting, watch

__all__ = [
    "EMBEDDING_NAME",
    "FORMAT_OF_SUFFIX",
    "FORMAT_VERSION",
    "HEAD_BYTES",
    "INPUT_NAME",
    "MAX_PIXELS",
    "METADATA_KEY",
    "OUTPUT_NAME",
    "READABLE_FORMATS",
    "RUNS_FOLDER",
    "STANDARD_INPUT",
    "UNKNOWN",
    "CheckpointError",
    "ClassFolders",
    "ClassMetrics",
    "Classifier",
    "DataError",
    "EdgeError",
    "Evaluation",
    "FolderNote",
    "ForeignClassifier",
    "Health",
    "ImageError",
    "ImageProblem",
    "ImageSource",
    "Journal",
    "LabelProbability",
    "Metrics",
    "MissingExtraError",
    "ModelCard",
    "ModelError",
    "OutputError",
    "ParityError",
    "Prediction",
    "Preprocessing",
    "Probe",
    "Run",
    "Sample",
    "Sensors",
    "Sighting",
    "Sorter",
    "Source",
    "Throttling",
    "UsageError",
    "WeightsError",
    "atomic_path",
    "available_memory_bytes",
    "count_parameters",
    "cpu_model",
    "csv_cell",
    "decode",
    "evaluate",
    "expand",
    "expected_calibration_error",
    "find_images",
    "find_quick_load",
    "find_run",
    "format_of",
    "graph_sha256",
    "is_image",
    "lazy_door",
    "measure",
    "newest_run",
    "one_line",
    "open_session",
    "quick_load_paths",
    "read_header",
    "read_health",
    "read_labels",
    "read_names",
    "read_sensors",
    "read_throttling",
    "remove_quick_load",
    "run_probe",
    "scan",
    "slow_reasons",
    "usable_cores",
    "walk_folder",
    "watch",
    "wilson_interval",
    "with_metadata",
    "write_json",
    "write_quick_load_note",
    "write_text",
]

_HOMES = {
    "atomic": ["atomic_path", "write_json", "write_text"],
    "card": ["EMBEDDING_NAME", "FORMAT_VERSION", "INPUT_NAME", "METADATA_KEY", "ModelCard", "OUTPUT_NAME"],
    "classifier": ["Classifier", "ImageSource"],
    "csv_cells": ["csv_cell"],
    "errors": [
        "CheckpointError",
        "DataError",
        "EdgeError",
        "ImageError",
        "ImageProblem",
        "MissingExtraError",
        "ModelError",
        "OutputError",
        "ParityError",
        "UsageError",
        "WeightsError",
        "one_line",
    ],
    "evaluation": ["Evaluation", "evaluate"],
    "folders": ["ClassFolders", "FolderNote", "Sample", "find_images", "scan"],
    "foreign": ["ForeignClassifier", "read_labels"],
    "health": ["Health", "Sensors", "Throttling", "read_health", "read_sensors", "read_throttling", "slow_reasons"],
    "image_kind": ["FORMAT_OF_SUFFIX", "HEAD_BYTES", "READABLE_FORMATS", "format_of"],
    "images": ["MAX_PIXELS", "decode"],
    "journal": ["Journal"],
    "lazy": ["lazy_door"],
    "machine": ["available_memory_bytes", "cpu_model", "usable_cores"],
    "metrics": ["ClassMetrics", "Metrics", "expected_calibration_error", "measure", "wilson_interval"],
    "onnx_bytes": ["count_parameters", "graph_sha256", "read_header", "with_metadata"],
    "prediction": ["LabelProbability", "Prediction"],
    "preprocess": ["Preprocessing"],
    "probe": ["Probe", "run_probe"],
    "quick_load": ["find_quick_load", "quick_load_paths", "remove_quick_load", "write_quick_load_note"],
    "runs": ["RUNS_FOLDER", "Run", "find_run", "newest_run"],
    "session": ["open_session"],
    "sorting": ["Sorter"],
    "sources": ["STANDARD_INPUT", "Source", "expand", "read_names"],
    "walk": ["is_image", "walk_folder"],
    "watching": ["UNKNOWN", "Sighting", "watch"],
}

__getattr__, __dir__ = lazy_door(__name__, _HOMES)
