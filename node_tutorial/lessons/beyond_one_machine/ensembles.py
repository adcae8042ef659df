"""Lesson 21: trainings that share nothing, and what they take on the two cores of a laptop.

What other processes run stands here: a function that is defined in a notebook cannot be found by
them.
"""

import time
from typing import NamedTuple

import torch
from joblib import Parallel, delayed
from torch import nn

from ...data.densities import two_moons
from ...models import CNF
from .workload import RATE, TOLERANCE, field


def member(seed: int, updates: int = 20) -> float:
    """The last loss of a short training of the lesson's CNF, in a process of its own or not.

    Seed, points and threads come with the call, so that it does not matter who makes it.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    flow = CNF(field(), **TOLERANCE)
    optimizer = torch.optim.Adam(flow.parameters(), lr=RATE)
    density = two_moons()
    loss = torch.zeros(())
    for _ in range(updates):
        optimizer.zero_grad()
        loss = -flow.log_prob(density.sample(64)).mean()
        loss.backward()
        optimizer.step()
    return float(loss.detach())


class Size(NamedTuple):
    """A net and its work: the width of two hidden layers, and rows in an update."""

    width: int
    rows: int


SMALL = Size(64, 64)
LARGE = Size(1024, 1024)
TASKS = 4


def task(size: Size, threads: int, seconds: float) -> float:
    """Milliseconds of an update, each on so many threads, for some seconds."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(2, size.width),
        nn.Tanh(),
        nn.Linear(size.width, size.width),
        nn.Tanh(),
        nn.Linear(size.width, 2),
    )
    x = torch.randn(size.rows, 2)
    updates = 0
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds:
        net(x).square().mean().backward()
        updates += 1
    return 1000 * (time.perf_counter() - begin) / updates


def rate(size: Size, processes: int, threads: int, seconds: float = 2.0) -> float:
    """Updates in a second, of all processes together."""
    with Parallel(n_jobs=processes, backend="loky" if processes > 1 else "sequential") as pool:
        pool(delayed(task)(size, threads, 0.2) for _ in range(processes))  # they start
        spent = pool(delayed(task)(size, threads, seconds) for _ in range(processes))
    return sum(1000 / ms for ms in spent)
