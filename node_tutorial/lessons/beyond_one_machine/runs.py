"""Lesson 21: the long runs, about ten minutes of processor time.

- flow: a CNF, trained; its parameters at SNAPSHOTS;
- batches: evaluations of many batches, of several sizes, and over the training;
- net: an ODE-Net, trained; evaluations in each epoch, and of many batches afterwards;
- cures: what they gain and cost; draws: one of them with other points;
- late: the end of the training with other solvers;
- price: what a step of the paper's MNIST run takes on a core;
- same: one training in 1, 2 and 4 processes; scaling: what its updates take there, on the clock,
  for which the cores should be quiet, and of the processor.
"""

import time
import timeit
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from ...course.runs import Check, Run, Runs, short
from ...data.densities import kl_gap, two_moons
from ...models import CNF, ConvField, ODENet
from . import cures, worker
from .cures import GROUPS, RANKS, SHARE
from .workload import (
    CHANNELS,
    EPOCHS,
    IMAGES,
    LATE,
    POINTS,
    RATE,
    SNAPSHOTS,
    STEPS,
    TOLERANCE,
    batches_of,
    batches_of_images,
    field,
    fixed,
    train,
    trained_net,
)

SIZES = {1: 2000, 16: 4000, 128: 1000}  # points of a batch: batches
OVER_TIME = 500  # batches of 16 points at each of SNAPSHOTS
NET_BATCHES = 400
HELD_OUT = 4000
ENDINGS: dict[str, tuple[str, int]] = {  # method and equal steps, 0: adaptive
    "adaptive": ("dopri5", 0),
    "RK4, 8 steps": ("rk4_classic", 8),
    "Euler, 5 steps": ("euler", 5),
    "Euler, 32 steps": ("euler", 32),
}
MNIST_BATCH = 128
MNIST_CHANNELS = 64
REPEATS = 25
PROCESSES = (1, 2, 4)
SAME_UPDATES = 10


class Scaled(NamedTuple):
    """A training: points in an update, of each process or of all together; updates."""

    points: int
    updates: int
    each: bool = False


SCALED = {"small": Scaled(64, 12), "large": Scaled(4096, 5), "weak": Scaled(1024, 6, each=True)}


def flow_job(settings: None, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The parameters at SNAPSHOTS, in half precision."""
    torch.manual_seed(seeds[0])
    history, kept = train(CNF(field(), **TOLERANCE), 0, STEPS, seeds[0])
    loss = [float(np.mean(history["loss"][k : k + 20])) for k in range(0, STEPS, 20)]
    return {"loss": np.round(loss, 4).tolist(), "parameters": np.stack(kept)}


def snapshot(step: int) -> np.ndarray:
    """The stored parameters at one of SNAPSHOTS."""
    return RUNS.arrays()["flow/parameters"][SNAPSHOTS.index(step)]


def batches_job(settings: None, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Evaluations (number, 2) for each of SIZES after the training, and (SNAPSHOTS, number, 2)."""
    last = field(snapshot(STEPS))
    sizes = {
        f"of {size}": batches_of(last, size, number, seeds[0]) for size, number in SIZES.items()
    }
    over_time = [batches_of(field(snapshot(k)), SHARE, OVER_TIME, seeds[0]) for k in SNAPSHOTS]
    return {**sizes, "over time": np.stack(over_time)}


def net_job(settings: None, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Means over each epoch of evaluations forward and backward; (NET_BATCHES, 2) afterwards."""
    net, history = trained_net(seeds[0])
    rows = {
        name: np.reshape(history[column], (EPOCHS, -1)).mean(1).round(2).tolist()
        for name, column in (("forward", "nfe"), ("backward", "nfe_backward"))
    }
    return {**rows, "of 32": batches_of_images(net, NET_BATCHES, seeds[0])}


def cures_job(settings: None, seeds: tuple[int, ...]) -> dict[str, Any]:
    """`cures.measure` after the training."""
    generator = torch.Generator().manual_seed(seeds[0])
    points = two_moons().sample(GROUPS * RANKS * SHARE, generator)
    found = cures.measure(field(snapshot(STEPS)), points)
    return {name: {key: short(x) for key, x in row.items()} for name, row in found.items()}


def draws_job(settings: None, seeds: tuple[int, ...]) -> dict[str, Any]:
    """`cures.repeated` after the training, by seed of the points; "before" is LATE."""
    found: dict[str, Any] = {}
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        points = two_moons().sample(GROUPS * RANKS * SHARE, generator)
        rows = cures.repeated(field(snapshot(STEPS)), field(snapshot(LATE)), points)
        for name, row in rows.items():
            for key in ("step", "efficiency", "error"):
                found.setdefault(name, {}).setdefault(key, []).append(short(row[key]))
    return found


def late_job(ending: tuple[str, int], seeds: tuple[int, ...]) -> dict[str, Any]:
    """By seed of the draws: the gap to the density (nats) after the updates LATE to STEPS, by a
    tight solve; what the solver itself reports; evaluations of an update, forward.
    """
    density = two_moons()
    x = density.sample(HELD_OUT, torch.Generator().manual_seed(10)).double()
    rows: dict[str, list[float]] = {"kl": [], "own": [], "nfe": []}
    for seed in seeds:
        func = field(snapshot(LATE))
        method, steps = ending
        flow = fixed(func, method, steps) if steps else CNF(func, **TOLERANCE)
        history, _ = train(flow, LATE, STEPS, seed)
        double = func.double().requires_grad_(False)
        tight = CNF(double, rtol=1e-6, atol=1e-6)
        own = fixed(double, method, steps) if steps else CNF(double, **TOLERANCE)
        rows["kl"].append(short(kl_gap(density, tight.log_prob, x, batch=2000).kl))
        rows["own"].append(short(kl_gap(density, own.log_prob, x, batch=2000).kl))
        rows["nfe"].append(short(float(np.mean(history["nfe"]))))
    return rows


def price_job(settings: None, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Milliseconds of one core, each the least of REPEATS: an evaluation of the field with 128
    images; an evaluation with its vector-Jacobian product, as the adjoint makes; all around the
    block, forward and backward.
    """
    torch.manual_seed(seeds[0])
    func = ConvField(MNIST_CHANNELS)
    net = ODENet(MNIST_CHANNELS, halvings=2, field=func, method="euler", options={"step_size": 1.0})
    images = torch.randn(MNIST_BATCH, 1, 28, 28)
    labels = torch.randint(10, (MNIST_BATCH,))
    x = net.stem(images).detach()
    t = torch.tensor(0.5)
    v = torch.randn_like(x)
    parameters = list(func.parameters())

    def evaluation() -> None:
        with torch.no_grad():
            func(t, x)

    def with_product() -> None:
        y = x.requires_grad_()
        torch.autograd.grad(func(t, y), [y, *parameters], v)

    def around() -> None:
        cross_entropy(net.head(net.stem(images)), labels).backward()

    def least(f: Callable[[], None]) -> float:
        spent = timeit.repeat(f, timer=time.process_time, number=1, repeat=REPEATS)
        return short(1000 * min(spent))

    return {
        "evaluation": least(evaluation),
        "with product": least(with_product),
        "around": least(around),
        "state": list(x.shape),
        "parameters": sum(p.numel() for p in net.parameters()),
    }


def same_job(solver: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """By number of processes: the loss of the last update, and the largest difference of a
    parameter from those of one process.
    """
    job = worker.Job(solver, POINTS, SAME_UPDATES)
    found = {n: worker.start(n, job) for n in PROCESSES}
    alone = found[1].parameters
    return {
        "loss": {str(n): float(row.loss[-1]) for n, row in found.items()},
        "apart": {str(n): float(np.abs(row.parameters - alone).max()) for n, row in found.items()},
    }


def scaling_job(settings: Scaled, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Least milliseconds of an update with equal steps, by number of processes with one thread:
    "clock", and "processor", of rank 0. "1 x 2" is one process with two threads.
    """
    clock: dict[str, float] = {}
    processor: dict[str, float] = {}

    def measure(name: str, number: int, threads: int = 1) -> None:
        rows = settings.points * (number if settings.each else 1)
        job = worker.Job("RK4", rows, settings.updates)
        found = worker.start(number, job, threads)
        clock[name] = short(found.fastest)
        processor[name] = short(found.processor)

    for n in PROCESSES:
        measure(str(n), n)
    measure("1 x 2", 1, threads=2)
    return {"clock": clock, "processor": processor}


def verify() -> Iterator[Check]:
    """Some batches again: their mean number of evaluations."""
    stored = RUNS.arrays()["batches/of 16"]
    again = batches_of(field(snapshot(STEPS)), 16, 60, 0)
    for way, name in enumerate(("forward", "backward")):
        before = float(stored[:60, way].mean())
        yield Check(f"evaluations {name}", float(again[:, way].mean()), before, 2.0)


RUNS = Runs(
    "beyond_one_machine",
    protocol={
        "TOLERANCE": TOLERANCE,
        "STEPS": STEPS,
        "SNAPSHOTS": SNAPSHOTS,
        "POINTS": POINTS,
        "RATE": RATE,
        "CHANNELS": CHANNELS,
        "EPOCHS": EPOCHS,
        "IMAGES": IMAGES,
        "SIZES": SIZES,
        "RANKS": RANKS,
        "SHARE": SHARE,
        "GROUPS": GROUPS,
    },
    results={
        "flow": Run(flow_job, None),
        "batches": Run(batches_job, None),
        "cures": Run(cures_job, None),
        "draws": Run(draws_job, None, (1, 2, 3, 7)),
        **{f"late/{name}": Run(late_job, row, (1, 2, 3)) for name, row in ENDINGS.items()},
        "net": Run(net_job, None),
        "price": Run(price_job, None),
        **{f"same/{solver}": Run(same_job, solver) for solver in ("RK4", "adaptive")},
        **{f"scaling/{name}": Run(scaling_job, row) for name, row in SCALED.items()},
    },
    verify=verify,
)


def measured_work(size: int = SHARE) -> np.ndarray:
    """Evaluations of stored batches of so many points, both ways together."""
    return RUNS.arrays()[f"batches/of {size}"].sum(1)


def line_of_points() -> tuple[float, float]:
    """(a, b): milliseconds of an update a + b (points of a rank), fitted to the processor time of
    all SCALED trainings in PROCESSES, by least squares of the relative errors.
    """
    points, spent = [], []
    for name, row in SCALED.items():
        found = RUNS.numbers()[f"scaling/{name}"]["processor"]
        for n in PROCESSES:
            points.append(row.points / (1 if row.each else n))
            spent.append(found[str(n)])
    slope, start = np.polyfit(points, spent, 1, w=1 / np.array(spent))
    return float(start), float(slope)
