"""Networks that answer where memory does not suffice for all images at once."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from edge_runtime import EdgeError  # noqa: E402
from edge_train.network.device_memory import Portions  # noqa: E402


class Cramped:
    """Doubles images, of which memory holds `most` at once."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.sizes: list[int] = []

    def __call__(self, images: Tensor) -> Tensor:
        self.sizes.append(len(images))
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return images * 2


def test_images_go_in_halves_until_memory_suffices_and_stay_so() -> None:
    cramped, lines = Cramped(3), list[str]()
    portions = Portions(lines.append)
    for count in (10, 2, 7):
        images = torch.arange(count * 2).reshape(count, 2)
        assert torch.equal(portions.answer(cramped, images), images * 2)
    assert cramped.sizes == [10, 5, 3, 3, 3, 1, 2, 3, 3, 1]
    assert lines == [
        f"note: memory does not suffice for the answers to {many} images at once; {few} at a time are answered"
        for many, few in ((10, 5), (5, 3))
    ]


def test_one_image_too_large_is_an_error_and_another_failure_stays_one() -> None:
    with pytest.raises(EdgeError, match="memory does not suffice for training"):
        Portions().answer(Cramped(0), torch.zeros(5, 2))

    def broken(_: Tensor) -> Tensor:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes cannot"):
        Portions().answer(broken, torch.zeros(5, 2))
