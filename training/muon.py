"""Muon: steps whose singular values are all alike, so that no direction of a convolution is left behind.

Reference: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. PyTorch's own takes
matrices only; here the weights of a convolution (O, I, H, W) are the matrix (O, I * H * W).
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from training.network import fast_type

_QUINTIC = (3.4445, -4.7750, 2.0315)  # of the reference: steepest at zero, so that few iterations suffice
_ITERATIONS = 3


class Muon(torch.optim.Optimizer):
    """For convolutions that a normalisation follows: their scale has no effect, and is reset at every step.

    The norm of the weights is the square root of how many outputs they have, which is about that of a step as well:
    `lr` is the share by which a step turns them.
    """

    def __init__(self, convolutions: Iterable[Tensor], lr: float, momentum: float = 0.6) -> None:
        super().__init__(convolutions, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no closure is ever called
        """Take one step with the gradients that are there."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight.grad)
                state["momentum"].mul_(group["momentum"]).add_(weight.grad)
                ahead = weight.grad.add(state["momentum"], alpha=group["momentum"])  # Nesterov
                weight.mul_(len(weight) ** 0.5 / weight.norm())
                turn = orthogonal(ahead.reshape(len(ahead), -1)).view(ahead.shape)
                weight.add_(turn, alpha=-group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    """Return about the nearest matrix with orthonormal rows or columns, whichever are fewer, by Newton-Schulz.

    Singular values end between 0.7 and 1.2, which does for a step. All iterations are polynomials of the Gram matrix,
    so that they are computed on it alone, and only their product is applied to the long sides.
    """
    linear, cubic, quintic = _QUINTIC
    wide = len(matrix) <= matrix.shape[1]
    x = matrix if wide else matrix.T
    x = (x / (x.norm() + 1e-7)).to(fast_type())
    gram = (x @ x.T).float()
    product = one = torch.eye(len(x))
    for _ in range(_ITERATIONS):
        factor = linear * one + cubic * gram + quintic * gram @ gram
        product = factor @ product
        gram = factor @ gram @ factor
    result: Tensor = (product.to(x.dtype) @ x).float()
    return result if wide else result.T
