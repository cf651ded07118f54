"""Classify images with an exported model file: numpy, Pillow and onnxruntime, nothing else.

    from edge_vision import Classifier
    print(Classifier("model.onnx").predict("x.jpg").label)

Names are loaded on first use, so that `from edge_runtime import decode` does not pay for onnxruntime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.lazy import lazy_door

if TYPE_CHECKING:
    from edge_runtime.config.json_schema import to_schema
    from edge_runtime.config.settings_file import read_settings_file, said_of_file
    from edge_runtime.config.toml_text import to_toml
    from edge_runtime.errors import (
        CheckpointError,
        DataError,
        EdgeError,
        ImageError,
        MissingExtraError,
        ModelError,
        OutputError,
        ParityError,
        UsageError,
        WeightsError,
        one_line,
    )
    from edge_runtime.extras import EXTRAS, missing_package, package_version, require_extra
    from edge_runtime.files.atomic import atomic_path, lock_file, write_json, write_text
    from edge_runtime.files.cache import cache_folder
    from edge_runtime.files.class_folders import find_images
    from edge_runtime.files.csv_cells import csv_cell, csv_line, plain_text, quoted_text
    from edge_runtime.files.labelling import MISSING, SEPARATOR, composed, find_label, joint_label, tasks_of
    from edge_runtime.files.linked_paths import TruePlaces
    from edge_runtime.files.list_paths import ListPaths, is_utf_8, require_utf_8, way
    from edge_runtime.files.manifest import OtherColumns, find_labels, listed_pictures, read_other_columns
    from edge_runtime.files.manifest_rows import is_manifest
    from edge_runtime.files.mjpeg import read_frames
    from edge_runtime.files.named import STANDARD_INPUT, Source, expand, read_names
    from edge_runtime.files.patterns import match_pattern
    from edge_runtime.files.picture_table import (
        PictureRow,
        PictureTable,
        list_pictures,
        read_column_names,
        read_picture_table,
    )
    from edge_runtime.files.runs import RUNS_FOLDER, Run, find_run, find_runs, newest_run
    from edge_runtime.files.said_labels import sort_labels, targets_of
    from edge_runtime.files.samples import ClassFolders, Sample, true_places
    from edge_runtime.files.scanning import find_all_images, scan
    from edge_runtime.files.walk import DRAWING_SUFFIX, is_ignored, is_image, natural_key, walk_folder
    from edge_runtime.images.decoder import decode
    from edge_runtime.images.encoded_file import read_encoded
    from edge_runtime.images.kind import FORMAT_OF_SUFFIX, HEAD_BYTES, READABLE_FORMATS, format_of, image_kind
    from edge_runtime.images.memory import MAX_PIXELS
    from edge_runtime.images.preprocessing import Preprocessing
    from edge_runtime.machine.arithmetic import int8_arithmetic
    from edge_runtime.machine.health import (
        Health,
        Sensors,
        Throttling,
        read_health,
        read_sensors,
        read_throttling,
        slow_reasons,
    )
    from edge_runtime.machine.lossy_output import LossyFile, lossy_stderr
    from edge_runtime.machine.probe import run_probe
    from edge_runtime.machine.process import is_prepared, prepare_process
    from edge_runtime.machine.resources import (
        available_memory_bytes,
        cpu_model,
        installed_memory_bytes,
        instruction_sets,
        read_meminfo,
        usable_cores,
    )
    from edge_runtime.machine.started_python import python_command
    from edge_runtime.model.averaged_views import AveragedViews, TtaName, find_views
    from edge_runtime.model.card import (
        CROSS_VALIDATED,
        DISTANCE_NAME,
        EMBEDDING_NAME,
        INPUT_NAME,
        METADATA_KEY,
        OUTPUT_NAME,
        ModelCard,
        OperatingPoint,
        headline,
    )
    from edge_runtime.model.card_kind import Kind
    from edge_runtime.model.classifier import Classifier
    from edge_runtime.model.engine_choice import EngineChoice, find_engine_choice, keep_engine_choices
    from edge_runtime.model.engine_names import RUNTIME_ENGINES, EngineWish, RuntimeEngine
    from edge_runtime.model.image_classifier import ImageClassifier
    from edge_runtime.model.int8_file import int8_origin
    from edge_runtime.model.onnx_bytes import count_parameters, graph_sha256, read_header, with_metadata
    from edge_runtime.model.openvino_session import has_bfloat16
    from edge_runtime.model.other_models import ForeignClassifier, read_labels
    from edge_runtime.model.prediction import UNKNOWN, Prediction
    from edge_runtime.model.predictor import SMALL_MODEL_BYTES, answers_of, identify_file
    from edge_runtime.model.session import has_xnnpack, open_quick_load, open_session
    from edge_runtime.model.several_answers import MultiLabelPrediction, MultiTaskPrediction
    from edge_runtime.model.signature import SIGNATURE_KEY, read_public_key, read_signature, read_signed
    from edge_runtime.model.signing import SigningKey, new_key, sign_model
    from edge_runtime.model.task import Task, task_slices
    from edge_runtime.model.this_machine import quick_load_paths, remove_quick_load, write_quick_load_note
    from edge_runtime.model.unlike_scale import UnlikeScale
    from edge_runtime.monitoring.drift_record import DriftRecord
    from edge_runtime.progress import Progress, Silence
    from edge_runtime.scores.accuracy import Accuracy
    from edge_runtime.scores.drift import MAX_DRIFT, MIN_AGREEMENT, Drift
    from edge_runtime.scores.evaluation import Evaluation, evaluate, evaluate_batches
    from edge_runtime.scores.label_errors import LabelErrors, find_label_errors
    from edge_runtime.scores.label_metrics import (
        MultiLabelMetrics,
        best_thresholds,
        label_matrix,
        map_interval,
        measure_labels,
    )
    from edge_runtime.scores.labelled_images import LabelledBatch, read_batches
    from edge_runtime.scores.metrics import (
        ClassMetrics,
        Metrics,
        brier_score,
        calibration_bins,
        expected_calibration_error,
        log_loss,
        measure,
    )
    from edge_runtime.scores.ranking import auroc
    from edge_runtime.scores.several_evaluation import SeveralEvaluation, evaluate_several
    from edge_runtime.scores.task_metrics import TaskMetrics, measure_tasks
    from edge_runtime.scores.thresholds import (
        MIN_SENSITIVITY,
        check_positive,
        choose_answers,
        choose_operating_point,
        measure_at,
    )
    from edge_runtime.scores.views_evaluation import ViewsEvaluation, evaluate_views
    from edge_runtime.setting_kinds import as_kind
    from edge_runtime.settings import (
        LabelFrom,
        Seed,
        Setting,
        SettingField,
        Threads,
        as_flags,
        check_settings,
        setting_fields,
        to_words,
    )
    from edge_runtime.timing import (
        Call,
        Plan,
        Timings,
        Turn,
        WarmUp,
        interleave,
        is_faster,
        take_turns,
        time_calls,
        warm_up,
    )
    from edge_runtime.visual_style import (
        CHART_STYLE,
        HEAT,
        LIGHT,
        STRATEGY_COLOURS,
        STRATEGY_MARKS,
        coloured,
        page_style,
        tint,
    )
    from edge_runtime.watched_folder.journal import Journal
    from edge_runtime.watched_folder.sorter import Sorter
    from edge_runtime.watched_folder.watcher import Sighting, watch
else:
    __all__, __getattr__, __dir__ = lazy_door(__name__)
