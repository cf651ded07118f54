"""The preprocessing contract of a run, from its backbone and the size of its pictures."""

from __future__ import annotations

from edge_data import DataSource, input_size, typical_short_side_px
from edge_runtime import ClassFolders, Preprocessing
from edge_train.network.backbones import Backbone
from edge_train.network.building import preprocessing
from edge_train.settings import Stem


def choose_preprocessing(
    backbone: Backbone, source: DataSource, folders: ClassFolders, image_size: int | None, stem: Stem = "standard"
) -> tuple[Preprocessing, str]:
    """The preprocessing contract of a run, and one sentence that says why.

    Photos larger than the backbone's own input get its preset, smaller pictures are used whole and enlarged. The
    small stem, which is made for them, takes them at their own size. Raises UsageError for a size the backbone cannot
    digest.
    """
    own = backbone.image_size_px
    typical = typical_short_side_px(folders)
    size, whole = input_size(typical, own, asked_px=image_size, set_px=source.image_size_px)
    if image_size is not None:
        why = "as asked"
    elif source.image_size_px is not None:
        why = f"the size {source.name} is meant for"
    elif stem == "small":
        size, why = min(own, max(backbone.smallest_px, typical or own)), "the images' own, as `stem` small takes them"
        whole = True
    elif whole:
        why = f"the images are about {typical} px; `image_size` {own} is {backbone.name}'s own"
    else:
        why = f"{backbone.name}'s own"
    contract = preprocessing(backbone, size, margin=not whole)
    how = "the whole picture" if whole else f"short side to {contract.resize_px} px, then a centre crop"
    return contract, f"input {size}×{size} px ({why}): {how}"
