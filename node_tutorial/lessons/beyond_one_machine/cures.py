"""Lesson 21: what can be done about ranks that wait, measured with the same points for all.

RANKS ranks solve SHARE points each. A step takes as long as the rank with the most evaluations, so
its efficiency is mean / largest. Beside it stands what the cure costs: evaluations of a step, and
the relative error of the step's gradient, against a tight solve in double precision.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ...models import CNF
from .workload import TIGHT, TOLERANCE, adaptive, fixed, gradient, work

RANKS = 16
SHARE = 16  # points of a rank
GROUPS = 16  # steps that are measured
RK4_STEPS = 8
POWER = 5  # dopri5: its evaluations grow like tolerance^(-1/5)
LOOSEST = 30.0  # by this factor a tolerance is changed at most


class Dealt(NamedTuple):
    """Of some steps (S,) with RANKS ranks: evaluations (S, RANKS), and gradients (S, P)."""

    work: np.ndarray
    gradients: np.ndarray


def measure(func: nn.Module, points: Tensor) -> dict[str, dict[str, Any]]:
    """All cures with points (GROUPS * RANKS * SHARE, 2), by name, each as `judged`."""
    groups = points.reshape(GROUPS, RANKS, SHARE, 2)
    double = copy.deepcopy(func).double()
    tight = CNF(double, **TIGHT)
    exact = np.stack([gradient(tight, group.flatten(0, 1).double()) for group in groups])
    alone = [work(adaptive(func), x[None]) for x in points]
    both_ways = np.array([row[:2] for row in alone]).reshape(GROUPS, RANKS, SHARE, 2)
    effort = both_ways.sum(-1).ravel()
    own = np.stack([found for *_, found in alone]).reshape(GROUPS, RANKS * SHARE, -1).mean(1)

    as_dealt = solved(groups, lambda k, rank: adaptive(func))
    shared_out = solved(dealt_like_cards(groups, effort), lambda k, rank: adaptive(func))
    bins = torch.from_numpy(np.argsort(effort, kind="stable"))
    alike = points[bins].reshape(GROUPS, RANKS * SHARE, 2)
    bucketed = solved(
        dealt_like_cards(alike.reshape(groups.shape), effort[bins.numpy()]),
        lambda k, rank: adaptive(func),
    )
    of_alike = np.stack([gradient(tight, group.double()) for group in alike])
    tolerances = for_equal_work(as_dealt.work)
    equalized = with_tolerances(func, groups, tolerances)
    rows = effort.reshape(GROUPS, RANKS, SHARE)
    equal = solved(groups, lambda k, rank: fixed(func, "rk4_classic", RK4_STEPS), on_the_way_back=2)
    return {
        "as dealt": judged(as_dealt, exact, exact),
        "tolerance per batch": judged(equalized, exact, exact)
        | {"loosest": float(tolerances.max()), "tightest": float(tolerances.min())},
        "clocks, in lockstep": judged(Dealt(in_lockstep(both_ways), own), exact, exact),
        "clocks, the done dropped": judged(Dealt(rows.mean(2), own), exact, exact),
        "dealt like cards": judged(shared_out, exact, exact),
        "buckets": judged(bucketed, of_alike, exact),
        "RK4, equal steps": judged(equal, exact, exact),
    }


def repeated(func: nn.Module, before: nn.Module, points: Tensor) -> dict[str, dict[str, Any]]:
    """Whether a tolerance for each batch gains, with other points (GROUPS * RANKS * SHARE, 2): from
    its work with the same field, and from that with the field as it was `before`.
    """
    groups = points.reshape(GROUPS, RANKS, SHARE, 2)
    tight = CNF(copy.deepcopy(func).double(), **TIGHT)
    exact = np.stack([gradient(tight, group.flatten(0, 1).double()) for group in groups])
    as_dealt = solved(groups, lambda k, rank: adaptive(func))
    rows = {"as dealt": as_dealt}
    seen_before = solved(groups, lambda k, rank: adaptive(before)).work
    for name, seen in (("seen just now", as_dealt.work), ("seen before", seen_before)):
        rows[name] = with_tolerances(func, groups, for_equal_work(seen))
    return {name: judged(row, exact, exact) for name, row in rows.items()}


def in_lockstep(both_ways: np.ndarray) -> np.ndarray:
    """What a rank waits for if each of its points has its own steps: evaluations (..., points, 2)
    forward and backward; the last point on the way there, and the last on the way back.
    """
    return both_ways.max(-2).sum(-1)


def solved(groups: Tensor, flow_of: Callable[[int, int], CNF], on_the_way_back: int = 0) -> Dealt:
    """Every rank's part, solved by flow_of(step, rank).

    on_the_way_back: a solve with equal steps reports only its evaluations forward, and the way back
        goes through each of them; with 2 they count twice.
    """
    counts = np.zeros(groups.shape[:2], dtype=int)
    found = []
    for k, group in enumerate(groups):
        parts = []
        for rank, x in enumerate(group):
            forward, backward, part = work(flow_of(k, rank), x)
            counts[k, rank] = on_the_way_back * forward or forward + backward
            parts.append(part)
        found.append(np.mean(parts, axis=0))
    return Dealt(counts, np.stack(found))


def with_tolerances(func: nn.Module, groups: Tensor, tolerances: np.ndarray) -> Dealt:
    """Every rank's part, solved with its own of tolerances (S, RANKS)."""
    return solved(groups, lambda k, rank: adaptive(func, tolerances[k, rank]))


def dealt_like_cards(groups: Tensor, effort: np.ndarray) -> Tensor:
    """The same points in the same steps: sorted by effort (N,), and dealt to the ranks in turn,
    there and back.
    """
    steps, ranks, share, _ = groups.shape
    turns = np.arange(ranks * share).reshape(share, ranks)
    turns[1::2] = turns[1::2, ::-1].copy()  # there and back, so that no rank has every largest
    out = []
    for points, efforts in zip(groups.flatten(1, 2), effort.reshape(steps, -1)):
        order = np.argsort(-efforts, kind="stable")
        out.append(points[torch.from_numpy(order[turns].T.copy())])
    return torch.stack(out)


def for_equal_work(counts: np.ndarray) -> np.ndarray:
    """The tolerance of each batch with which its work would be the median of all: evaluations grow
    like tolerance^(-1/POWER).
    """
    factor = (counts / np.median(counts)) ** POWER
    return TOLERANCE["rtol"] * np.clip(factor, 1 / LOOSEST, LOOSEST)


def judged(dealt: Dealt, exact: np.ndarray, usual: np.ndarray) -> dict[str, Any]:
    """Means over the steps.

    "rank", "step": evaluations of a rank, and of the one that all wait for. "efficiency": mean over
    largest. "error": of the gradient, relative to its size, a root mean square over the steps.
    "scatter": the distance of the steps' exact gradients from their mean, relative to that of the
    `usual` ones.
    """
    error = np.linalg.norm(dealt.gradients - exact, axis=1)
    size = np.linalg.norm(exact, axis=1)
    return {
        "rank": float(dealt.work.mean()),
        "step": float(dealt.work.max(1).mean()),
        "efficiency": float(dealt.work.mean() / dealt.work.max(1).mean()),
        "error": float(np.sqrt(np.mean(error**2) / np.mean(size**2))),
        "scatter": float(_scatter(exact) / _scatter(usual)),
    }


def _scatter(gradients: np.ndarray) -> float:
    return float(np.sqrt(np.mean((gradients - gradients.mean(0)) ** 2)))
