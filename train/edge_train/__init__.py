"""Train image classifiers: images, a pretrained backbone and a strategy in, a checkpoint out.

    from edge_train import TrainSettings, train
    result = train(TrainSettings(data="photos", backbone="mobilenet_v2", strategy="fine-tune"))
    print(result.run.best, result.summary["metrics"]["val"]["accuracy"])

Names are loaded on first use, so that what needs no torch (the backbones' table, splits, the shapes set)
works without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime import lazy_door

if TYPE_CHECKING:
    from edge_train.augment import AUGMENTATION_ADVICE, AUGMENTATIONS
    from edge_train.averaging import AverageResult, AverageStep, Score, average
    from edge_train.backbones import BACKBONES, Backbone, Stage, find_backbone
    from edge_train.batches import evaluation_batches, training_batches
    from edge_train.building import build, preprocessing, preset
    from edge_train.cache import cache_folder
    from edge_train.calibration import fit_temperature
    from edge_train.check import DataReport, check_data
    from edge_train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from edge_train.comparison import Comparison, StrategyRow, compare
    from edge_train.data import DATA_SETS, find_data
    from edge_train.evaluation_data import EvaluationData, choose_evaluation
    from edge_train.explain import Explainer, Explanation
    from edge_train.explanation_picture import check_explanation_target, draw_explanation, write_explanation
    from edge_train.findings import Finding
    from edge_train.finishing import TrainResult
    from edge_train.network import DeployedNetwork, Network
    from edge_train.precision import choose_precision
    from edge_train.preview import write_preview
    from edge_train.progress import Progress, Silence
    from edge_train.settings import STRATEGIES, Strategy, StrategyChoice, TrainSettings
    from edge_train.shapes import draw_shapes, shapes_folder
    from edge_train.splits import Splits, read_split, split, write_split
    from edge_train.store import ImageStore
    from edge_train.strategies import freeze, layer_groups, make_optimizer, set_mode
    from edge_train.training import resume, train
    from edge_train.weights import load_pretrained, parse_weights

__all__ = [
    "AUGMENTATIONS",
    "AUGMENTATION_ADVICE",
    "BACKBONES",
    "DATA_SETS",
    "STRATEGIES",
    "AverageResult",
    "AverageStep",
    "Backbone",
    "Checkpoint",
    "Comparison",
    "DataReport",
    "DeployedNetwork",
    "EvaluationData",
    "Explainer",
    "Explanation",
    "Finding",
    "ImageStore",
    "Network",
    "Progress",
    "Score",
    "Silence",
    "Splits",
    "Stage",
    "Strategy",
    "StrategyChoice",
    "StrategyRow",
    "TrainResult",
    "TrainSettings",
    "average",
    "build",
    "cache_folder",
    "check_data",
    "check_explanation_target",
    "choose_evaluation",
    "choose_precision",
    "compare",
    "draw_explanation",
    "draw_shapes",
    "evaluation_batches",
    "find_backbone",
    "find_data",
    "fit_temperature",
    "freeze",
    "layer_groups",
    "load_checkpoint",
    "load_pretrained",
    "make_optimizer",
    "parse_weights",
    "preprocessing",
    "preset",
    "read_split",
    "resume",
    "save_checkpoint",
    "set_mode",
    "shapes_folder",
    "split",
    "train",
    "training_batches",
    "write_explanation",
    "write_preview",
    "write_split",
]

_HOMES = {
    "averaging": ["AverageResult", "AverageStep", "Score", "average"],
    "comparison": ["Comparison", "StrategyRow", "compare"],
    "augment": ["AUGMENTATIONS", "AUGMENTATION_ADVICE"],
    "backbones": ["BACKBONES", "Backbone", "Stage", "find_backbone"],
    "batches": ["evaluation_batches", "training_batches"],
    "building": ["build", "preprocessing", "preset"],
    "cache": ["cache_folder"],
    "calibration": ["fit_temperature"],
    "check": ["DataReport", "check_data"],
    "checkpoint": ["Checkpoint", "load_checkpoint", "save_checkpoint"],
    "data": ["DATA_SETS", "find_data"],
    "evaluation_data": ["EvaluationData", "choose_evaluation"],
    "explain": ["Explainer", "Explanation"],
    "explanation_picture": ["check_explanation_target", "draw_explanation", "write_explanation"],
    "findings": ["Finding"],
    "finishing": ["TrainResult"],
    "network": ["DeployedNetwork", "Network"],
    "precision": ["choose_precision"],
    "preview": ["write_preview"],
    "progress": ["Progress", "Silence"],
    "settings": ["STRATEGIES", "Strategy", "StrategyChoice", "TrainSettings"],
    "shapes": ["draw_shapes", "shapes_folder"],
    "splits": ["Splits", "read_split", "split", "write_split"],
    "store": ["ImageStore"],
    "strategies": ["freeze", "layer_groups", "make_optimizer", "set_mode"],
    "training": ["resume", "train"],
    "weights": ["load_pretrained", "parse_weights"],
}

__getattr__, __dir__ = lazy_door(__name__, _HOMES)
