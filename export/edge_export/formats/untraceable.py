"""A network that torch cannot follow: what it raises is pages of advice, and a user needs the line they began with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from edge_runtime import EdgeError, ModelCard, ModelError


@contextlib.contextmanager
def in_one_line(card: ModelCard, form: str) -> Iterator[None]:
    """Inside the block, what torch and the network's own code raise becomes a ModelError: no `form` of it."""
    try:
        yield
    except (EdgeError, OSError, MemoryError):
        raise
    except Exception as error:  # torch's, onnxscript's and anyone's own exceptions share no base class
        raise ModelError(
            f"torch cannot make {form} of {card.backbone}: {_cause(error)}",
            "its forward may not branch on the values of tensors, nor take operations that the format has not",
        ) from error


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__)
