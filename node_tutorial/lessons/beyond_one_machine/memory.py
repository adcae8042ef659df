"""Lesson 21: what a solve keeps for its gradient, by gradient mode and size of the batch."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ...gradients.memory import PeakBytes, bytes_kept
from ...models import ConvField, NeuralODE
from .workload import CHANNELS, TOLERANCE

MODES = ("direct", "activations anew", "replay", "checkpoint", "adjoint")


class Anew(nn.Module):
    """A field of which only the input is kept: inside, all is computed again on the way back."""

    def __init__(self, func: nn.Module) -> None:
        super().__init__()
        self.func = func

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        return checkpoint(self.func, t, x, use_reentrant=False)


class Memory(NamedTuple):
    """Megabytes kept between the two ways; the most at one time on both; the gradient."""

    kept: float
    peak: float
    gradient: Tensor


def measure(mode: str, images: int) -> Memory:
    """One of MODES, for so many images as they enter lesson 07's block: (images, 32, 4, 4)."""
    torch.manual_seed(0)
    func = ConvField(CHANNELS)
    solver: dict[str, Any] = {**TOLERANCE, "gradient": mode}
    if mode == "activations anew":
        block = NeuralODE(Anew(func), **{**solver, "gradient": "direct"})
    else:
        block = NeuralODE(func, **solver)
    x = torch.randn(images, CHANNELS, 4, 4)
    parameters = list(func.parameters())
    t = torch.tensor([0.0, 1.0])
    with bytes_kept(exclude=[x, *parameters]) as kept:
        loss = block(x, t)[-1].square().mean()
    with PeakBytes() as meter:
        loss = block(x, t)[-1].square().mean()
        found = torch.autograd.grad(loss, parameters)
    return Memory(kept.bytes / 2**20, meter.peak / 2**20, torch.cat([g.flatten() for g in found]))
