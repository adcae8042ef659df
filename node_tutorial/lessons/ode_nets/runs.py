"""Lesson 07: the nets on digits, their training, what is measured of them. Long runs:
benchmarks/ode_nets.py.
"""

import copy
import math
import time
import timeit
from functools import lru_cache, partial
from typing import Any, NamedTuple

import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import nn
from torch.nn.functional import cross_entropy

from ... import MLP, Minibatches, NeuralODE, fit
from ...course.runs import load
from ...data.digits import FOLDS, digits
from ...models import ConvField, ODENet, ResNet
from ...models.resnet import downsampling

CHANNELS, EPOCHS, BATCH = 32, 8, 32
TOLERANCE: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-3}
RK4: dict[str, Any] = {
    "method": "rk4_classic",
    "options": {"step_size": 0.5},
}  # two steps of four evaluations


def _linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def _mlp():
    return nn.Sequential(nn.Flatten(), MLP(64, 256, 256, 10, activation=nn.SiLU))


def _flat():
    """No block, and a classifier that knows where in the image a feature is: no mean over the
    positions.
    """
    return nn.Sequential(
        downsampling(1, CHANNELS, 1), nn.SiLU(), nn.Flatten(), nn.Linear(CHANNELS * 16, 10)
    )


def one_step():
    """An ODE-Net's field as a single residual block: one step of Euler's method."""
    return ODENet(CHANNELS, method="euler", options={"step_size": 1.0})


def _field(**options):
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
}
STORED = {
    "ODE-Net": NETS["ODE-Net"],
    "ReLU": _field(activation=nn.ReLU),
    "no norms": FIELDS["no norms, SiLU"],
}


class Trained(NamedTuple):
    """A trained net, its `History`, the processor's seconds, and wrong answers among the test
    images.
    """

    net: nn.Module
    history: object
    seconds: float
    wrong: int


def train(make, fold=0, seed=0, epochs=EPOCHS, on_step=None):
    """Make a net and train it on all digits but those of a fold: Adam, learning rate falling to 0
    along a cosine.

    The rate is 0.003, for the linear classifier 0.03, each the best of 0.001, 0.003, 0.01, 0.03 on
    fold 0.
    """
    split = digits(fold)
    torch.manual_seed(seed)
    net = make()
    batches = Minibatches(split.images, split.labels, size=BATCH, seed=seed)
    steps = epochs * batches.per_epoch
    begin = time.thread_time()
    history = fit(
        net,
        lambda net, batch: cross_entropy(net(batch[0]), batch[1]),
        steps,
        lr=0.03 if make is _linear else 0.003,
        schedule=lambda step: (1 + math.cos(math.pi * step / steps)) / 2,
        batches=batches,
        on_step=on_step,
        progress=False,
    )
    return Trained(net, history, time.thread_time() - begin, wrong(net, fold))


def table(seeds=(0, 1, 2), names=NETS):
    """Train every net with every seed on every fold: parameters; wrong answers and seconds, by seed
    and fold.
    """
    rows = {}
    for name in names:
        runs = [[train(NETS[name], fold, seed) for fold in range(FOLDS)] for seed in seeds]
        rows[name] = {
            "parameters": count(runs[0][0].net),
            "wrong": [[run.wrong for run in row] for row in runs],
            "seconds": [[round(run.seconds, 1) for run in row] for row in runs],
        }
    return rows


def count(net):
    """The number of parameters."""
    return sum(p.numel() for p in net.parameters())


@torch.no_grad()
def wrong(net, fold=0):
    """How many test images of a fold a net takes for another digit."""
    split = digits(fold)
    return int((net(split.test_images).argmax(1) != split.test_labels).sum())


@torch.no_grad()
def solve_with(net, images, **solver):
    """The scores (B, classes) of an ODE-Net with another solver, and the evaluations that it took."""
    block = NeuralODE(net.block.func, **solver)
    x = net.stem(images)
    scores = net.head(block(x, torch.tensor([0.0, 1.0], dtype=x.dtype))[-1])
    return scores, block.stats.nfe


@torch.no_grad()
def pooled(net, features):
    """What the classifier's linear layer sees of features (T, B, C, h, w): means over positions (T,
    B, C).
    """
    return net.head[0](features).mean((-2, -1))


def flat_map(net, features):
    """Two coordinates (T, B, 2) of what the classifier sees: the directions that best separate the
    classes at the end.

    (Linear discriminant analysis of the last `pooled` features, for the test set of fold 0.)
    """
    seen = pooled(net, features)
    fitted = LinearDiscriminantAnalysis(n_components=2).fit(seen[-1].numpy(), test_set()[1].numpy())
    return (
        torch.from_numpy(fitted.transform(seen.flatten(0, 1).numpy()))
        .reshape(*seen.shape[:2], 2)
        .float()
    )


def costs(net, images, labels, tols):
    """An ODE-Net with the adjoint, at tolerances (n,): what Figure 3 shows, from name to values
    (n,).

    "nfe", "backward": evaluations. "seconds": of the forward pass. "distance": root mean square of
    the scores' errors.
    """
    double = copy.deepcopy(net).double()
    exact, _ = solve_with(double, images.double(), method="dopri8", rtol=1e-10, atol=1e-10)
    found: dict[str, list] = {"nfe": [], "backward": [], "seconds": [], "distance": []}
    for tol in tols:
        block = NeuralODE(net.block.func, rtol=tol, atol=tol, gradient="adjoint")
        x, t = net.stem(images), torch.tensor([0.0, 1.0])
        with torch.no_grad():
            found["seconds"].append(min(timeit.repeat(partial(block, x, t), number=1, repeat=7)))
        scores = net.head(block(x, t)[-1])
        torch.autograd.grad(cross_entropy(scores, labels), list(net.parameters()))
        found["nfe"].append(block.stats.nfe)
        found["backward"].append(block.stats.nfe_backward)
        found["distance"].append(float((scores.detach() - exact).square().mean().sqrt()))
    return found


def fixed(method, steps):
    """Keyword arguments for a number of equal steps."""
    return {"method": method, "options": {"step_size": 1 / steps}}


@lru_cache(maxsize=1)
def results():
    """What benchmarks/ode_nets.py stored."""
    return load("ode_nets.json")


@lru_cache(maxsize=3)
def stored(name):
    """A trained net from the file: of fold 0, seed 0, with weights rounded to half precision. In
    evaluation mode.
    """
    arrays, net = load("ode_nets.npz"), STORED[name]()
    net.load_state_dict(
        {k: torch.tensor(arrays[f"{name}/{k}"], dtype=torch.float32) for k in net.state_dict()}
    )
    return net.eval()


@lru_cache(maxsize=1)
def test_set():
    """Images (450, 1, 8, 8) and labels of fold 0."""
    split = digits()
    return split.test_images, split.test_labels
