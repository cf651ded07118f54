"""Find, split, check, draw and augment pictures: what needs no torch.

Names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime import lazy_door

if TYPE_CHECKING:
    from edge_data.answers.answers_table import AnswersTable, check_answers_target
    from edge_data.answers.further_columns import columns_of
    from edge_data.answers.mistakes import write_mistakes
    from edge_data.answers.several_mistakes import write_several_mistakes
    from edge_data.augment.names import AugmentationName
    from edge_data.augment.presets import Augmentation, find_augmentation
    from edge_data.augment.preview import write_preview
    from edge_data.check.data_report import DataReport, check_data
    from edge_data.check.suspects import Suspects, find_suspects, write_suspects
    from edge_data.drawing.charts import as_svg, chart_style, lettered, new_figure, save_png
    from edge_data.drawing.png_mark import has_mark, marked
    from edge_data.drawing.sheet import SCALE, Sheet, check_png_target
    from edge_data.sets.copied_pictures import find_copies
    from edge_data.sets.downloading import OnBytes, download, promised_hash
    from edge_data.sets.find import DATA_SETS, DataSource, find_data
    from edge_data.sets.folds import assign_folds, pool_data
    from edge_data.sets.group_by import check_group_by
    from edge_data.sets.grouped_split import is_found, split_data
    from edge_data.sets.held_out import EvaluationData, choose_evaluation
    from edge_data.sets.image_store import ImageStore, default_cache_bytes
    from edge_data.sets.leaks import find_leaks
    from edge_data.sets.list_target import check_new_file, delimiter_of
    from edge_data.sets.looks import LookBook
    from edge_data.sets.manifest_lines import list_images
    from edge_data.sets.out_of_fold import OUT_OF_FOLD
    from edge_data.sets.picture_size import input_size, typical_short_side_px
    from edge_data.sets.relabelling import relabel
    from edge_data.sets.run_data import run_places, scan_as_trained
    from edge_data.sets.shapes import draw_shapes, shapes_folder
    from edge_data.sets.split_file import read_split, write_split
    from edge_data.sets.splits import Splits, split, without
else:
    __all__, __getattr__, __dir__ = lazy_door(__name__)
