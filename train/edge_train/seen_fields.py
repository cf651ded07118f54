"""Which settings go with what the network sees of a picture: how many views of it, and at what size."""

from __future__ import annotations

from edge_runtime import UsageError


def check_views(views: int | None, strategy: str, attention: str, *, mixes: bool) -> None:
    """Raise UsageError where pictures cannot be embedded once, in so many views."""
    if views is None:
        return
    if strategy in {"fine-tune", "scratch"}:
        raise UsageError(
            f"`views` is for feature extraction, but `strategy` is {strategy}: it sees a new view every epoch",
            "drop `views`, or choose `strategy` feature-extraction",
        )
    if mixes:
        raise UsageError("`views` embeds each image once, which `mixup` and `cutmix` cannot mix", "drop one of them")
    if attention != "none":
        raise UsageError(
            "`views` embeds each image once, and `attention` changes what the backbone makes of it",
            "drop one of them",
        )


def check_start_size(start_size: int | None, strategy: str, epochs: int) -> None:
    """Raise UsageError where there are no epochs for pictures to grow in."""
    if start_size is None:
        return
    if strategy == "feature-extraction":
        raise UsageError(
            "`start_size` is for networks that learn, but a frozen backbone sees each image once",
            "drop it, or choose `strategy` fine-tune",
        )
    if epochs < 2:
        raise UsageError("`start_size` grows from epoch to epoch, and there is one", "raise `epochs`, or drop it")
