"""Classify many pictures on many machines: Ray Data schedules, retries and remembers, `edge_runtime` answers.

Names are loaded on first use, and Ray only where a batch begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime import lazy_door

if TYPE_CHECKING:
    from edge_batch.answers_folder import answers_place
    from edge_batch.batch_prediction import BatchSummary, predict_batch
    from edge_batch.committed_answers import FreshAnswers
    from edge_batch.cost_plan import Cost, Speed, describe_plan, measure_speed
    from edge_batch.joined_cluster import ray_cluster
    from edge_batch.picture_listing import Listing, list_all
    from edge_batch.settings import BatchSettings
else:
    __all__, __getattr__, __dir__ = lazy_door(__name__)
