"""The nets for digits of lesson 17, and their training: as that of lesson 16, with the straight
path and velocities.

The updates see the same images and as many draws of times and noise; all settings are those of
lesson 16 (a test compares them). Reflow goes on from a trained flow, for as many updates again, on
pairs that this flow has solved for.
"""

import copy
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...data.pixels import SIDE, counts, spread
from ...models import FlowMatching, ResidualMLP, UNet
from ...training import History, Minibatches, cosine, fit

STEPS = 2000
BATCH = 128
AVERAGE = 0.995  # of fit
RATES = {"U-Net": 2e-3, "MLP": 1e-3}  # of Adam; they fall along a cosine to 0
ROUNDS = 8  # of noise and times, for the loss on images
PAIRS = 10_000  # for reflow
PAIR_STEPS = 16  # of Heun's method, for each of them


class Setting(NamedTuple):
    """A net, and how often its flow is straightened."""

    net: str = "U-Net"
    reflows: int = 0


def make(net: str) -> FlowMatching:
    """The model, untrained, with the straight path and independent pairs."""
    nets: dict[str, Callable[[], nn.Module]] = {
        "U-Net": UNet,
        "MLP": lambda: ResidualMLP(SIDE * SIDE),
    }
    return FlowMatching(nets[net](), (1, SIDE, SIDE))


@lru_cache(maxsize=2)  # a reflow is trained after the flow that it goes on from
def train(net: str, seed: int, reflows: int = 0) -> tuple[FlowMatching, History]:
    """Train on the 1347 training images; the model has the averaged parameters.

    reflows: how often the flow is trained further, on pairs that the one before has solved for
    (Liu, Gong, Liu 2023, arXiv 2209.03003, algorithm 1).
    """
    if not reflows:
        torch.manual_seed(seed)
        batches = Minibatches(counts().images, size=BATCH, seed=seed)
        return _fitted(make(net), net, seed, batches, lambda model, x: model.loss(spread(x[0])))
    model = copy.deepcopy(train(net, seed, reflows - 1)[0])
    chance = torch.Generator().manual_seed(seed)
    pairs = model.pairs(PAIRS, generator=chance, steps=PAIR_STEPS, method="heun2")
    batches = Minibatches(pairs.x0, pairs.x1, size=BATCH, seed=seed)
    return _fitted(model, net, seed, batches, lambda model, batch: model.loss(batch[1], batch[0]))


def _fitted(
    model: FlowMatching,
    net: str,
    seed: int,
    batches: Minibatches,
    loss: Callable[[FlowMatching, tuple[Tensor, ...]], Tensor],
) -> tuple[FlowMatching, History]:
    history = fit(
        model,
        loss,
        STEPS,
        lr=RATES[net],
        schedule=cosine(STEPS),
        batches=batches,
        average=AVERAGE,
        seed=seed,
        progress=False,
    )
    return model.eval(), history


@torch.no_grad()
def loss_on(model: FlowMatching, images: Tensor) -> float:
    """The loss for each pixel of dark dots (N, 1, 8, 8), the mean over ROUNDS of noise."""
    chance = torch.Generator().manual_seed(0)
    losses = [model.loss(spread(images, chance), generator=chance) for _ in range(ROUNDS)]
    return torch.stack(losses).mean().item() / SIDE**2
