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
    from edge_train.explain.grad_cam import Explainer as Explainer
    from edge_train.explain.picture import (
        check_explanation_target as check_explanation_target,
        draw_explanation as draw_explanation,
        write_explanation as write_explanation,
    )
    from edge_train.network.backbones import (
        BACKBONES as BACKBONES,
        Backbone as Backbone,
        find_backbone as find_backbone,
    )
    from edge_train.network.building import build as build, preset as preset
    from edge_train.network.checkpoint import (
        Checkpoint as Checkpoint,
        load_checkpoint as load_checkpoint,
        save_checkpoint as save_checkpoint,
    )
    from edge_train.network.network import DeployedNetwork as DeployedNetwork, Network as Network
    from edge_train.network.weights import load_pretrained as load_pretrained, parse_weights as parse_weights
    from edge_train.run.finish import TrainResult as TrainResult
    from edge_train.run.training import resume as resume, train as train
    from edge_train.settings import (
        STRATEGIES as STRATEGIES,
        StrategyChoice as StrategyChoice,
        TrainSettings as TrainSettings,
    )
    from edge_train.several_runs.averaging import (
        AverageResult as AverageResult,
        AverageStep as AverageStep,
        Score as Score,
        average as average,
    )
    from edge_train.several_runs.comparing import compare as compare
    from edge_train.several_runs.comparison import Comparison as Comparison, StrategyRow as StrategyRow
    from edge_train.strategy.mixed_precision import choose_precision as choose_precision
else:
    __all__, __getattr__, __dir__ = lazy_door(__name__)
