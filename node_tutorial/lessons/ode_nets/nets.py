"""Lesson 07: the nets on digits, and how they are trained."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ... import MLP, History, Minibatches, fit
from ...data.digits import digits
from ...models import ConvField, ODENet, ResNet
from ...models.resnet import downsampling
from ...training import cosine

CHANNELS = 32
EPOCHS = 8
BATCH = 32
TOLERANCE: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-3}
RK4: dict[str, Any] = {  # two steps of four evaluations
    "method": "rk4_classic",
    "options": {"step_size": 0.5},
}


def _linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), MLP(64, 256, 256, 10, activation=nn.SiLU))


def _flat() -> nn.Module:
    """No block, and a classifier that knows where in the image a feature is: no mean over the
    positions.
    """
    return nn.Sequential(
        downsampling(1, CHANNELS, 1), nn.SiLU(), nn.Flatten(), nn.Linear(CHANNELS * 16, 10)
    )


def one_step() -> ODENet:
    """An ODE-Net's field as a single residual block: one step of Euler's method."""
    return ODENet(CHANNELS, method="euler", options={"step_size": 1.0})


def _field(**options: Any) -> Callable[[], ODENet]:
    """An ODE-Net with another field."""
    return lambda: ODENet(
        CHANNELS, field=ConvField(CHANNELS, **options), gradient="adjoint", **TOLERANCE
    )


NETS = {
    "linear": _linear,
    "MLP": _mlp,
    "no block": lambda: ResNet(CHANNELS, blocks=0),
    "no block, flat head": _flat,
    "one block": lambda: ResNet(CHANNELS, blocks=1),
    "ResNet": lambda: ResNet(CHANNELS, blocks=6),
    "RK-Net": lambda: ODENet(CHANNELS, **RK4),
    "ODE-Net": lambda: ODENet(CHANNELS, gradient="adjoint", **TOLERANCE),
}
FIELDS = {
    "norms, SiLU": NETS["ODE-Net"],
    "no norms, SiLU": _field(normalize=False),
    "no norms, ReLU": _field(normalize=False, activation=nn.ReLU),
    "norms, ReLU": _field(activation=nn.ReLU),  # as in the authors' odenet_mnist.py
}
STORED = {
    "ODE-Net": NETS["ODE-Net"],
    "ReLU": FIELDS["norms, ReLU"],
    "no norms": FIELDS["no norms, SiLU"],
}


class Trained(NamedTuple):
    """A trained net, its `History`, the processor's seconds, and wrong answers among the test
    images.
    """

    net: Any
    history: History
    seconds: float
    wrong: int


def train(
    make: Callable[[], nn.Module],
    fold: int = 0,
    seed: int = 0,
    epochs: int = EPOCHS,
    evaluate: Callable[[Any], dict[str, float]] | None = None,
) -> Trained:
    """Make a net and train it on all digits but those of a fold: Adam, learning rate falling to 0
    along a cosine.

    The rate is 0.003, for the linear classifier 0.03, each the best of 0.001, 0.003, 0.01, 0.03 on
    fold 0. evaluate: as for `fit`, after every epoch.
    """
    split = digits(fold)
    torch.manual_seed(seed)
    net = make()
    batches = Minibatches(split.images, split.labels, size=BATCH, seed=seed)
    steps = epochs * batches.per_epoch
    history = fit(
        net,
        lambda net, batch: cross_entropy(net(batch[0]), batch[1]),
        steps,
        lr=0.03 if make is _linear else 0.003,
        schedule=cosine(steps),
        batches=batches,
        evaluate=evaluate,
        evaluate_every=batches.per_epoch if evaluate else None,
        progress=False,
    )
    return Trained(net, history, history.spent, wrong(net, fold))


def count(net: nn.Module) -> int:
    """The number of parameters."""
    return sum(p.numel() for p in net.parameters())


@torch.no_grad()
def wrong(net: nn.Module, fold: int = 0) -> int:
    """How many test images of a fold a net takes for another digit."""
    split = digits(fold)
    return int((net(split.test_images).argmax(1) != split.test_labels).sum())
