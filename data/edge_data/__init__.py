"""Find, split, check, draw and augment pictures: what needs no torch.

Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime import lazy_door

if TYPE_CHECKING:
    from edge_data.augment.names import AugmentationName as AugmentationName
    from edge_data.augment.presets import Augmentation as Augmentation, find_augmentation as find_augmentation
    from edge_data.augment.preview import write_preview as write_preview
    from edge_data.check.data_report import DataReport as DataReport, check_data as check_data
    from edge_data.drawing.charts import (
        as_svg as as_svg,
        chart_style as chart_style,
        lettered as lettered,
        new_figure as new_figure,
        save_png as save_png,
    )
    from edge_data.drawing.colours import (
        BLUE as BLUE,
        GREEN as GREEN,
        GREY as GREY,
        INK as INK,
        ORANGE as ORANGE,
        PURPLE as PURPLE,
        RIGHT as RIGHT,
        SOFT as SOFT,
        STRATEGY_COLOURS as STRATEGY_COLOURS,
        TRACK as TRACK,
        WRONG as WRONG,
        tint as tint,
    )
    from edge_data.drawing.sheet import SCALE as SCALE, Sheet as Sheet, check_png_target as check_png_target
    from edge_data.sets.cache import cache_folder as cache_folder
    from edge_data.sets.downloading import OnBytes as OnBytes, download as download, promised_hash as promised_hash
    from edge_data.sets.find import DATA_SETS as DATA_SETS, DataSource as DataSource, find_data as find_data
    from edge_data.sets.folds import assign_folds as assign_folds, pool_data as pool_data
    from edge_data.sets.group_by import check_group_by as check_group_by
    from edge_data.sets.grouped_split import is_found as is_found, split_data as split_data
    from edge_data.sets.held_out import EvaluationData as EvaluationData, choose_evaluation as choose_evaluation
    from edge_data.sets.image_store import ImageStore as ImageStore, default_cache_bytes as default_cache_bytes
    from edge_data.sets.leaks import find_leaks as find_leaks
    from edge_data.sets.looks import LookBook as LookBook
    from edge_data.sets.picture_size import input_size as input_size, typical_short_side_px as typical_short_side_px
    from edge_data.sets.shapes import draw_shapes as draw_shapes, shapes_folder as shapes_folder
    from edge_data.sets.splits import (
        Splits as Splits,
        read_split as read_split,
        split as split,
        without as without,
        write_split as write_split,
    )
else:
    __all__, __getattr__, __dir__ = lazy_door(__name__)
