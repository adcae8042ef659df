"""Lesson 21: trainings that share nothing.

What other processes run stands here: a function that is defined in a notebook cannot be found by
them.
"""

import torch

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
