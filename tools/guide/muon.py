"""The Muon optimizer: momentum whose update is evened out over the directions of each matrix.

It learns more from each token than AdamW, which counts where tokens are computed on two cores.
See https://kellerjordan.github.io/posts/muon/ for the method and its coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

import torch
from torch import Tensor

from guide.network import HALF_IS_FAST

_MOMENTUM = 0.95
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class Muon:
    """The optimizer of all matrices but the embedding."""

    def __init__(
        self, weights: Sequence[Tensor], rate: float, decay: float, pool: Executor
    ) -> None:
        """Start with no momentum; `pool` computes the updates of several matrices at once."""
        self.momentum = [torch.zeros_like(weight) for weight in weights]
        self._weights = weights
        self._rate = rate
        self._decay = decay
        self._pool = pool

    def step(self, share: float) -> None:
        """Update the matrices by their gradients, at a share of the full rate."""
        rate = self._rate * share
        list(self._pool.map(lambda at: self._update(at, rate), range(len(self._weights))))

    @torch.no_grad()
    def _update(self, at: int, rate: float) -> None:
        weight, momentum = self._weights[at], self.momentum[at]
        gradient = weight.grad
        assert gradient is not None
        momentum.lerp_(gradient, 1 - _MOMENTUM)
        update = orthogonal(gradient.lerp(momentum, _MOMENTUM))
        # The size of an update by AdamW, so that both may go by like rates.
        scale = 0.2 * max(weight.shape) ** 0.5
        weight.mul_(1 - rate * self._decay).add_(update, alpha=-rate * scale)


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix of the same directions with all singular values near 1 (Newton-Schulz)."""
    a, b, c = _COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).to(torch.bfloat16 if HALF_IS_FAST else torch.float32)
    x = x / (x.norm() + 1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    evened: Tensor = (x.T if tall else x).to(matrix.dtype)
    return evened
