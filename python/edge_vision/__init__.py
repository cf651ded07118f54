"""Image classifiers for small machines: train, export, classify, measure, serve. docs/python.md has the promise.

    from edge_vision import Classifier
    print(Classifier("model.onnx").predict("x.jpg").label)

Names are loaded on first use: what needs no torch works without it. What the install lacks an extra for is
neither in `dir()` nor brought by a star import; asking for it by name raises MissingExtraError, which says what to
install.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime import lazy_door, missing_package, require_extra

if TYPE_CHECKING:
    from edge_benchmarks import (
        BenchSettings as BenchSettings,
        Contestant as Contestant,
        Report as Report,
        Sweep as Sweep,
        TrialRow as TrialRow,
        TuneSettings as TuneSettings,
        bench as bench,
        tune as tune,
    )
    from edge_data import (
        DataReport as DataReport,
        EvaluationData as EvaluationData,
        check_data as check_data,
        choose_evaluation as choose_evaluation,
        draw_shapes as draw_shapes,
    )
    from edge_export import Exported as Exported, ExportSettings as ExportSettings, export as export
    from edge_runtime import (
        CheckpointError as CheckpointError,
        Classifier as Classifier,
        DataError as DataError,
        EdgeError as EdgeError,
        Evaluation as Evaluation,
        ForeignClassifier as ForeignClassifier,
        ImageClassifier as ImageClassifier,
        ImageError as ImageError,
        Metrics as Metrics,
        MissingExtraError as MissingExtraError,
        ModelCard as ModelCard,
        ModelError as ModelError,
        MultiLabelMetrics as MultiLabelMetrics,
        MultiLabelPrediction as MultiLabelPrediction,
        MultiTaskPrediction as MultiTaskPrediction,
        OutputError as OutputError,
        ParityError as ParityError,
        Prediction as Prediction,
        Preprocessing as Preprocessing,
        Progress as Progress,
        Run as Run,
        SeveralEvaluation as SeveralEvaluation,
        Task as Task,
        TaskMetrics as TaskMetrics,
        UsageError as UsageError,
        WeightsError as WeightsError,
        decode as decode,
        evaluate as evaluate,
        evaluate_several as evaluate_several,
        find_run as find_run,
        newest_run as newest_run,
        prepare_process as prepare_process,
        read_labels as read_labels,
    )
    from edge_serve import ServeLimits as ServeLimits, ServeSettings as ServeSettings, serve as serve
    from edge_train import (
        ActiveRun as ActiveRun,
        AverageResult as AverageResult,
        Backbone as Backbone,
        BatchEnd as BatchEnd,
        Callback as Callback,
        Comparison as Comparison,
        EpochEnd as EpochEnd,
        Explanation as Explanation,
        ImportResult as ImportResult,
        ImportSettings as ImportSettings,
        Layer as Layer,
        LayerActivations as LayerActivations,
        RateCurve as RateCurve,
        RateSearch as RateSearch,
        Recipe as Recipe,
        SweepPart as SweepPart,
        TrainResult as TrainResult,
        TrainSettings as TrainSettings,
        average as average,
        compare as compare,
        draw_activations as draw_activations,
        explain_answer as explain_answer,
        find_backbone as find_backbone,
        find_learning_rate as find_learning_rate,
        find_recipe as find_recipe,
        import_checkpoint as import_checkpoint,
        list_layers as list_layers,
        pruning_settings as pruning_settings,
        read_train_settings as read_train_settings,
        remeasure as remeasure,
        resume as resume,
        train as train,
    )
else:
    _names, _load, _ = lazy_door(__name__)
    _EXTRA_OF = {
        **dict.fromkeys(
            (
                "ActiveRun",
                "AverageResult",
                "BatchEnd",
                "Callback",
                "Comparison",
                "EpochEnd",
                "Explanation",
                "ImportResult",
                "Layer",
                "LayerActivations",
                "RateCurve",
                "RateSearch",
                "TrainResult",
                "average",
                "compare",
                "draw_activations",
                "explain_answer",
                "find_learning_rate",
                "import_checkpoint",
                "list_layers",
                "pruning_settings",
                "remeasure",
                "resume",
                "train",
            ),
            "train",
        ),
        **dict.fromkeys(("Exported", "export", "Sweep", "TrialRow", "tune"), "export"),
        "serve": "serve",
    }

    def __getattr__(name):
        if name in _EXTRA_OF:
            require_extra(_EXTRA_OF[name])
        return _load(name)

    def __dir__():
        return [name for name in _names if name not in _EXTRA_OF or missing_package(_EXTRA_OF[name]) is None]

    __all__ = list(__dir__())
