"""Train image classifiers: images, a pretrained backbone and a strategy in, a checkpoint out.

    from edge_vision import TrainSettings, train
    result = train(TrainSettings(data="photos", backbone="mobilenet_v2", strategy="fine-tune"))
    print(result.run.best, result.summary["metrics"]["val"]["accuracy"])

Names are loaded on first use, so that what needs no torch (the backbones' table, splits, the shapes set)
works without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime import lazy_door

if TYPE_CHECKING:
    from edge_train.config_file import TrainConfig, read_train_config, read_train_settings
    from edge_train.explain.activations import Layer, LayerActivations
    from edge_train.explain.grad_cam import Explainer, Explanation
    from edge_train.explain.looking import draw_activations, explain_answer, list_layers
    from edge_train.explain.picture import check_explanation_target, draw_explanation, write_explanation
    from edge_train.imported.import_settings import ImportSettings, parse_channels
    from edge_train.imported.importing import ImportResult, import_checkpoint
    from edge_train.network.attention import count_attention
    from edge_train.network.attention_sites import with_attention
    from edge_train.network.backbones import BACKBONES, Backbone, as_file_name
    from edge_train.network.bf16_convolutions import training_in_bf16
    from edge_train.network.building import build, preprocessing, preset
    from edge_train.network.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from edge_train.network.fold_batch_norm import with_folded_norms
    from edge_train.network.lookup import find_backbone
    from edge_train.network.network import DeployedNetwork, Network
    from edge_train.network.overwriting import without_overwriting
    from edge_train.network.state_file import sha256_of
    from edge_train.network.weights import load_pretrained, parse_weights
    from edge_train.network.weights_inventory import (
        WeightsFile,
        list_weights,
        look_at,
        weights_path,
        weights_places,
    )
    from edge_train.recipes import Recipe, find_recipe
    from edge_train.run.borrowed_torch import borrow_torch
    from edge_train.run.callbacks import ActiveRun, Callback, EpochEnd
    from edge_train.run.pruned_run import pruning_settings, pruning_values
    from edge_train.run.rate_finder import RateSearch, find_learning_rate
    from edge_train.run.run_folder import check_out
    from edge_train.run.split_answers import SplitAnswers
    from edge_train.run.stamped_folder import make_stamped_folder, plain_name
    from edge_train.run.step import BatchEnd
    from edge_train.run.sweep_part import SweepPart
    from edge_train.run.train_result import TrainResult
    from edge_train.run.training import remeasure, resume, train
    from edge_train.settings import STRATEGIES, Strategy, StrategyChoice, TrainSettings
    from edge_train.several_runs.averaging import AverageResult, AverageStep, Score, average
    from edge_train.several_runs.comparing import compare
    from edge_train.several_runs.comparison import HALF_POINT, Comparison, StrategyRow
    from edge_train.several_runs.measured_run import read_row
    from edge_train.strategy.format_speed import FormatSpeed
    from edge_train.strategy.mixed_precision import has_bf16
    from edge_train.strategy.rate_curve import RateCurve
    from edge_train.targets.deployed import deploy
    from edge_train.targets.multi_label import LabelAnswers
    from edge_train.targets.multi_task import MultiTask, measure_parts
else:
    __all__, __getattr__, __dir__ = lazy_door(__name__)
