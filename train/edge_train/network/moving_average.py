"""An exponential moving average of the weights, which is validated and kept in place of the last ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from edge_train.network.held_values import copied
from edge_train.network.network import Network


class MovingAverage:
    """The average of a network's weights and statistics over its steps (Polyak and Juditsky 1992).

    After step n the older part weighs min(`decay`, (1 + n) / (10 + n)): a full decay of 0.999 would remember the
    random beginning of a short run. What is frozen stays bit-identical.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.decay = decay
        self._model = AveragedModel(copied(network), multi_avg_fn=self._blend, use_buffers=True)
        self._model.update_parameters(network)

    @property
    def network(self) -> Network:
        """The averaged network."""
        averaged = self._model.module
        assert isinstance(averaged, Network)
        return averaged

    def update(self, network: Network) -> None:
        """Take in the weights after one more step."""
        self._model.update_parameters(network)

    def state_dict(self) -> dict[str, Tensor]:
        """What `load_state_dict` takes."""
        return dict(self._model.state_dict())

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a saved average. Raises RuntimeError where it does not fit."""
        self._model.load_state_dict(state)

    @torch.no_grad()
    def _blend(self, averaged: Sequence[Tensor], current: Sequence[Tensor], steps: Tensor | int) -> None:
        done = int(steps)
        share = 1 - min(self.decay, (1 + done) / (10 + done))
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, share)
            else:
                mean.copy_(value)
