"""Classify images with an exported model file: numpy, Pillow and onnxruntime, nothing else.

    from edge_vision import Classifier
    print(Classifier("model.onnx").predict("x.jpg").label)

Names are loaded on first use, so that `from edge_runtime import decode` does not pay for onnxruntime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.lazy import lazy_door as lazy_door

if TYPE_CHECKING:
    from edge_runtime.errors import (
        CheckpointError as CheckpointError,
        DataError as DataError,
        EdgeError as EdgeError,
        ImageError as ImageError,
        MissingExtraError as MissingExtraError,
        ModelError as ModelError,
        OutputError as OutputError,
        ParityError as ParityError,
        UsageError as UsageError,
        WeightsError as WeightsError,
        one_line as one_line,
    )
    from edge_runtime.extras import EXTRAS as EXTRAS, missing_package as missing_package, require_extra as require_extra
    from edge_runtime.files.atomic import atomic_path as atomic_path, write_json as write_json, write_text as write_text
    from edge_runtime.files.class_folders import (
        ClassFolders as ClassFolders,
        Sample as Sample,
        find_images as find_images,
        scan as scan,
    )
    from edge_runtime.files.csv_cells import csv_cell as csv_cell
    from edge_runtime.files.mjpeg import read_frames as read_frames
    from edge_runtime.files.named import (
        STANDARD_INPUT as STANDARD_INPUT,
        Source as Source,
        expand as expand,
        read_names as read_names,
    )
    from edge_runtime.files.runs import (
        RUNS_FOLDER as RUNS_FOLDER,
        Run as Run,
        find_run as find_run,
        newest_run as newest_run,
    )
    from edge_runtime.files.walk import is_image as is_image, natural_key as natural_key, walk_folder as walk_folder
    from edge_runtime.images.decoder import decode as decode
    from edge_runtime.images.kind import (
        FORMAT_OF_SUFFIX as FORMAT_OF_SUFFIX,
        HEAD_BYTES as HEAD_BYTES,
        READABLE_FORMATS as READABLE_FORMATS,
        format_of as format_of,
    )
    from edge_runtime.images.memory import MAX_PIXELS as MAX_PIXELS
    from edge_runtime.images.preprocessing import Preprocessing as Preprocessing
    from edge_runtime.machine.health import (
        Health as Health,
        Sensors as Sensors,
        Throttling as Throttling,
        read_health as read_health,
        read_sensors as read_sensors,
        read_throttling as read_throttling,
        slow_reasons as slow_reasons,
    )
    from edge_runtime.machine.probe import run_probe as run_probe
    from edge_runtime.machine.process import is_prepared as is_prepared, prepare_process as prepare_process
    from edge_runtime.machine.resources import (
        available_memory_bytes as available_memory_bytes,
        cpu_model as cpu_model,
        usable_cores as usable_cores,
    )
    from edge_runtime.model.card import (
        CROSS_VALIDATED as CROSS_VALIDATED,
        EMBEDDING_NAME as EMBEDDING_NAME,
        INPUT_NAME as INPUT_NAME,
        METADATA_KEY as METADATA_KEY,
        OUTPUT_NAME as OUTPUT_NAME,
        ModelCard as ModelCard,
        headline as headline,
    )
    from edge_runtime.model.classifier import Classifier as Classifier
    from edge_runtime.model.image_classifier import ImageClassifier as ImageClassifier
    from edge_runtime.model.onnx_bytes import (
        count_parameters as count_parameters,
        graph_sha256 as graph_sha256,
        read_header as read_header,
        with_metadata as with_metadata,
    )
    from edge_runtime.model.other_models import ForeignClassifier as ForeignClassifier, read_labels as read_labels
    from edge_runtime.model.prediction import UNKNOWN as UNKNOWN, Prediction as Prediction
    from edge_runtime.model.predictor import SMALL_MODEL_BYTES as SMALL_MODEL_BYTES, identify_file as identify_file
    from edge_runtime.model.session import open_quick_load as open_quick_load, open_session as open_session
    from edge_runtime.model.this_machine import (
        quick_load_paths as quick_load_paths,
        remove_quick_load as remove_quick_load,
        write_quick_load_note as write_quick_load_note,
    )
    from edge_runtime.progress import Progress as Progress, Silence as Silence
    from edge_runtime.scores.accuracy import Accuracy as Accuracy
    from edge_runtime.scores.evaluation import (
        Evaluation as Evaluation,
        evaluate as evaluate,
        evaluate_batches as evaluate_batches,
    )
    from edge_runtime.scores.labelled_images import LabelledBatch as LabelledBatch, read_batches as read_batches
    from edge_runtime.scores.metrics import (
        ClassMetrics as ClassMetrics,
        Metrics as Metrics,
        brier_score as brier_score,
        calibration_bins as calibration_bins,
        expected_calibration_error as expected_calibration_error,
        log_loss as log_loss,
        measure as measure,
    )
    from edge_runtime.scores.ranking import auroc as auroc
    from edge_runtime.settings import (
        Seed as Seed,
        Setting as Setting,
        SettingField as SettingField,
        Threads as Threads,
        as_flags as as_flags,
        check_settings as check_settings,
        setting_fields as setting_fields,
        to_words as to_words,
    )
    from edge_runtime.timing import (
        Call as Call,
        Plan as Plan,
        Timings as Timings,
        Turn as Turn,
        WarmUp as WarmUp,
        interleave as interleave,
        take_turns as take_turns,
        time_calls as time_calls,
        warm_up as warm_up,
    )
    from edge_runtime.watched_folder.journal import Journal as Journal
    from edge_runtime.watched_folder.sorter import Sorter as Sorter
    from edge_runtime.watched_folder.watcher import Sighting as Sighting, watch as watch
else:
    __all__, __getattr__, __dir__ = lazy_door(__name__)
