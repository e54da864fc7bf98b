"""What pretraining and fine-tuning have in common: how the rate rises and falls, and the average that is kept."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from training.network import Network


def share(step: int, steps: int, warm: float, start: float = 0.0) -> float:
    """Return the share of its highest rate that step `step` from 0 of `steps` is taken at.

    The rate rises over the share `warm` of all steps, from the share `start` of its height, and falls to zero.

    >>> [share(step, 8, warm=0.5) for step in range(8)]
    [0.0, 0.25, 0.5, 0.75, 1.0, 0.75, 0.5, 0.25]
    """
    rising = max(1, int(warm * steps))
    return min(start + (1 - start) * step / rising, max(0.0, (steps - step) / max(1, steps - rising)))


class Descent:
    """Optimizers of one network that go downhill together, each at its own rate, all by the schedule of `share`."""

    def __init__(
        self,
        network: Network,
        optimizers: Sequence[torch.optim.Optimizer],
        steps: int,
        warm: float,
        start: float = 0.0,
    ) -> None:
        self._network = network
        self._optimizers = optimizers
        self._schedules = [
            torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: share(step, steps, warm, start))
            for optimizer in optimizers
        ]

    def step(self, loss: Tensor) -> None:
        """Take one step down the gradient of `loss`, a scalar."""
        self._network.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        for optimizer, schedule in zip(self._optimizers, self._schedules, strict=True):
            optimizer.step()
            schedule.step()


class Average:
    """The exponential average of a network's weights: better calibrated than the last step's."""

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self._decay = decay
        self._steps = 0

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """Move the average towards the present weights; early steps count more, or the start would linger."""
        self._steps += 1
        decay = min(self._decay, self._steps / (self._steps + 10))
        for mean, now in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - decay)
            else:
                mean.copy_(now)
