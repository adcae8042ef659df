"""Lesson 21: the work whose size depends on the data: a CNF on two moons, and an ODE-Net on digits.

The work of a batch is what an adaptive solver decides: evaluations of the field, forward and in the
adjoint's solve backward. On many ranks each solves its own part of the points, so each has a count
of its own, and at the gradient's sum all wait for the largest.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ...data.densities import two_moons
from ...data.digits import digits
from ...models import CNF, ODENet, TimedMLP
from ...training import History, Minibatches, cosine, fit

TOLERANCE: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-3}
TIGHT: dict[str, Any] = {"rtol": 1e-7, "atol": 1e-7}
STEPS = 600  # updates of the CNF
LATE = 400  # from here on the end of the training is tried with other solvers
SNAPSHOTS = (0, 50, 200, LATE, STEPS)
POINTS = 256  # in an update, of all ranks together
RATE = 5e-3
CLIP = 10.0
CHANNELS = 32
EPOCHS = 8
IMAGES = 32  # in an update of the ODE-Net


def field(values: np.ndarray | None = None) -> TimedMLP:
    """The CNF's field; with stored parameters, or new."""
    func = TimedMLP(2, 64, 64, 2)
    if values is not None:
        vector_to_parameters(torch.from_numpy(values.astype(np.float32)), func.parameters())
    return func


def vector(func: nn.Module) -> np.ndarray:
    """Its parameters, in half precision."""
    return parameters_to_vector(func.parameters()).detach().numpy().astype(np.float16)


def adaptive(func: nn.Module, tolerance: float = TOLERANCE["rtol"]) -> CNF:
    """A CNF that counts its evaluations on both ways."""
    return CNF(func, rtol=tolerance, atol=tolerance, gradient="adjoint")


def fixed(func: nn.Module, method: str, steps: int) -> CNF:
    """A CNF with equal steps, differentiated through them."""
    return CNF(func, method=method, options={"step_size": 1 / steps})


def train(flow: CNF, first: int, last: int, seed: int) -> tuple[History, list[np.ndarray]]:
    """The updates first to last of a training with STEPS updates by maximum likelihood; the
    parameters at SNAPSHOTS between them.
    """
    density = two_moons()
    kept = [vector(flow.func)]

    def keep(model: Any, history: History) -> None:
        if first + len(history) in SNAPSHOTS:
            kept.append(vector(model.func))

    history = fit(
        flow,
        lambda model, _: -model.log_prob(density.sample(POINTS)).mean(),
        last - first,
        lr=RATE,
        schedule=lambda step: 1 - (first + step) / STEPS,
        clip=CLIP,
        seed=seed,
        on_step=keep,
        progress=False,
    )
    return history, kept


def gradient(flow: CNF, x: Tensor) -> np.ndarray:
    """Of the mean of -log p(x), as one vector."""
    parameters = list(flow.func.parameters())
    found = torch.autograd.grad(-flow.log_prob(x).mean(), parameters)
    return torch.cat([g.reshape(-1) for g in found]).double().numpy()


def work(flow: CNF, x: Tensor) -> tuple[int, int, np.ndarray]:
    """Evaluations forward and backward of one batch, and its gradient."""
    found = gradient(flow, x)
    return flow.stats.nfe, flow.stats.nfe_backward, found


def batches_of(func: nn.Module, size: int, number: int, seed: int) -> np.ndarray:
    """(number, 2): evaluations forward and backward of batches with `size` new points each."""
    flow = adaptive(func)
    density = two_moons()
    generator = torch.Generator().manual_seed(seed)
    rows = [work(flow, density.sample(size, generator))[:2] for _ in range(number)]
    return np.array(rows, dtype=np.int16)


def trained_net(seed: int) -> tuple[ODENet, History]:
    """Lesson 07's ODE-Net after its training on digits."""
    split = digits()
    torch.manual_seed(seed)
    net = ODENet(CHANNELS, gradient="adjoint", **TOLERANCE)
    batches = Minibatches(split.images, split.labels, size=IMAGES, seed=seed)
    steps = EPOCHS * batches.per_epoch
    history = fit(
        net,
        lambda net, batch: cross_entropy(net(batch[0]), batch[1]),
        steps,
        lr=0.003,
        schedule=cosine(steps),
        batches=batches,
        progress=False,
    )
    return net, history


def batches_of_images(net: ODENet, number: int, seed: int) -> np.ndarray:
    """(number, 2): evaluations forward and backward of batches of IMAGES training images."""
    split = digits()
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(number):
        chosen = torch.randperm(len(split.images), generator=generator)[:IMAGES]
        net.zero_grad()
        cross_entropy(net(split.images[chosen]), split.labels[chosen]).backward()
        rows.append((net.block.stats.nfe, net.block.stats.nfe_backward))
    return np.array(rows, dtype=np.int16)
