"""Lesson 21: how far the gradient of a batch in equal parts is from that of the whole batch."""

from typing import NamedTuple

import numpy as np
import torch

from ...data.densities import two_moons
from ...models import CNF
from .runs import snapshot
from .workload import POINTS, TIGHT, field, fixed, gradient

PARTS = (2, 4)
RK4_STEPS = 8


class Apart(NamedTuple):
    """Distances between gradients over the size of the exact one, the largest of some batches: in
    each of PARTS against the whole; the whole against an exact solve.
    """

    parts: list[float]
    own: float


def apart(step: int, tolerance: float | None, draws: int = 2) -> Apart:
    """In double precision, after `step` updates (one of SNAPSHOTS) of the lesson's CNF, for batches
    of POINTS points: adaptive at a tolerance, or with RK4's equal steps if it is None.
    """
    func = field(snapshot(step)).double()
    if tolerance is None:
        flow = fixed(func, "rk4_classic", RK4_STEPS)
    else:
        flow = CNF(func, rtol=tolerance, atol=tolerance)
    tight = CNF(func, **TIGHT)
    rows = []
    for seed in range(draws):
        points = two_moons().sample(POINTS, torch.Generator().manual_seed(seed)).double()
        whole = gradient(flow, points)
        exact = gradient(tight, points)
        means = [np.mean([gradient(flow, p) for p in points.chunk(n)], axis=0) for n in PARTS]
        distances = [np.linalg.norm(found - whole) for found in means]
        distances.append(np.linalg.norm(whole - exact))
        rows.append(np.array(distances) / np.linalg.norm(exact))
    largest = np.max(rows, axis=0).tolist()
    return Apart(largest[:-1], largest[-1])
