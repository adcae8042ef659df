"""Lesson 07: the long runs, half an hour on one core.

- table: every net on every fold with every seed: wrong answers, processor's seconds of training;
- solvers: nets trained with few steps of Euler's method, and the ODE-Net, on all folds: wrong
  answers with the solver that they were trained with, and with an accurate one;
- growth: evaluations during a longer training, for four fields: forward, backward, and forward at
  a tight tolerance;
- three trained nets, in half precision, and what they answer under many solvers; the same answers
  of one Euler step; what a ResNet makes of the test images between its blocks.

`nets` has the nets and their training, `measures` what is measured of them.
"""

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch

from ...course.runs import Check, Run, Runs
from ...data.digits import FOLDS, digits
from ...models import ODENet
from .measures import (
    FIXED,
    METHODS,
    TOLERANCES,
    dial,
    fixed,
    flat_map,
    solve_with,
    test_set,
)
from .measures import costs as costs  # for the notebook
from .measures import difference as difference
from .measures import path_of as path_of
from .measures import roughness as roughness
from .nets import (
    BATCH,
    CHANNELS,
    EPOCHS,
    FIELDS,
    NETS,
    RK4,
    STORED,
    TOLERANCE,
    count,
    one_step,
    train,
)
from .nets import wrong as wrong

SEEDS = (0, 1, 2)
LONG = 24  # epochs of `growth`
TIGHT = {"rtol": 1e-6, "atol": 1e-6}


def on_all_folds(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """One of NETS: its parameters; wrong answers and seconds, by seed and fold."""
    runs = [[train(NETS[name], fold, seed) for fold in range(FOLDS)] for seed in seeds]
    return {
        "parameters": count(runs[0][0].net),
        "wrong": [[run.wrong for run in row] for row in runs],
        "seconds": [[round(run.seconds, 1) for run in row] for row in runs],
    }


SOLVERS: dict[str, dict[str, Any]] = {
    "1 Euler step": fixed("euler", 1),
    "2 Euler steps": fixed("euler", 2),
    "4 Euler steps": fixed("euler", 4),
    "dopri5 at 1e-3": TOLERANCE,
}


def with_another_solver(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """An ODE-Net trained with one of SOLVERS: wrong answers with that, and with an accurate one."""
    make = partial(ODENet, CHANNELS, **SOLVERS[name])
    own, accurate = [], []
    for seed in seeds:
        runs = [train(make, fold, seed) for fold in range(FOLDS)]
        own.append([run.wrong for run in runs])
        accurate.append([_accurately(run.net, fold) for fold, run in enumerate(runs)])
    return {"own": own, "accurate": accurate}


def _accurately(net: ODENet, fold: int) -> int:
    split = digits(fold)
    scores, _ = solve_with(net, split.test_images, rtol=1e-5, atol=1e-5)
    return int((scores.argmax(1) != split.test_labels).sum())


def growth(name: str, seeds: tuple[int, ...]) -> dict[str, list]:
    """One of FIELDS: means over each epoch of NFE forward and backward; NFE at 1e-6 of 64 test
    images after it; wrong answers.
    """
    images = test_set()[0][:64]
    rows: dict[str, list] = {"forward": [], "backward": [], "tight": [], "wrong": []}

    def tight(net: ODENet) -> dict[str, float]:
        return {"nfe": solve_with(net, images, **TIGHT)[1]}

    for seed in seeds:
        trained = train(FIELDS[name], 0, seed, LONG, tight)
        for key, column in (("forward", "nfe"), ("backward", "nfe_backward")):
            epochs = np.reshape(trained.history[column], (LONG, -1))
            rows[key].append(epochs.mean(1).round(2).tolist())
        rows["tight"].append([int(nfe) for nfe in trained.history.evaluations["nfe"][1:]])
        rows["wrong"].append(trained.wrong)
    return rows


def net_and_dial(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """One of STORED, in half precision, and the dial of that."""
    net = train(STORED[name], seed=seeds[0]).net
    weights = {key: value.numpy().astype(np.float16) for key, value in net.state_dict().items()}
    return {**dial(_restored(name, weights)), **weights}


def one_step_and_dial(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The dial of a net that was trained with one Euler step."""
    return dial(train(one_step, seed=seeds[0]).net)


@torch.no_grad()
def between_blocks(name: str, seeds: tuple[int, ...]) -> dict[str, np.ndarray]:
    """A ResNet's features of the test images as `flat_map` (7, 450, 2), and scores (7, 450, 10)."""
    with torch.enable_grad():
        net = train(NETS[name], seed=seeds[0]).net.eval()
    features = net.features(test_set()[0])
    return {
        "map": flat_map(net, features).numpy().astype(np.float16),
        "scores": torch.stack([net.head(x) for x in features]).numpy().astype(np.float16),
    }


# -- what is stored --------------------------------------------------------------------------------


def results(anew: bool = False) -> dict[str, dict[str, Any]]:
    """The stored numbers: "table", "solvers", "growth", each by name; "dial", with its "steps",
    "tolerances", and "nets" by name.

    anew: not those that are stored; everything is trained again, and nothing stored.
    """
    runs = RUNS.results
    numbers = (
        {name: run.make(run.settings, run.seeds) for name, run in runs.items()}
        if anew
        else RUNS.numbers()
    )
    found: dict[str, dict[str, Any]] = {
        part: {name: numbers[f"{part}/{name}"] for name in names}
        for part, names in (("table", NETS), ("solvers", SOLVERS), ("growth", FIELDS))
    }
    found["dial"] = {
        "steps": list(FIXED),
        "tolerances": [float(f"{tol:.3g}") for tol in TOLERANCES],
        "nets": {
            name: {method: numbers[name][method] for method in METHODS}
            for name in (*STORED, "one Euler step")
        },
    }
    return found


@lru_cache(maxsize=3)
def stored(name: str) -> Any:
    """A trained net from the file: of fold 0, seed 0, with weights rounded to half precision. In
    evaluation mode.
    """
    keys = STORED[name]().state_dict()
    return _restored(name, {key: RUNS.arrays()[f"{name}/{key}"] for key in keys})


def _restored(name: str, weights: dict[str, np.ndarray]) -> Any:
    net = STORED[name]()
    net.load_state_dict(
        {key: torch.tensor(value, dtype=torch.float32) for key, value in weights.items()}
    )
    return net.eval()


def verify() -> Iterator[Check]:
    """Stored nets answer as their stored dial says, at one tolerance."""
    images, labels = test_set()
    place = TOLERANCES.index(1e-3)
    for name in STORED:
        row = RUNS.numbers()[name]["dopri5"]
        scores, nfe = solve_with(stored(name), images, rtol=1e-3, atol=1e-3)
        errors = int((scores.argmax(1) != labels).sum())
        yield Check(f"{name}: nfe", nfe, row["nfe"][place], 6)
        yield Check(f"{name}: wrong", errors, row["wrong"][place], 1)


RUNS = Runs(
    "ode_nets",
    protocol={
        "CHANNELS": CHANNELS,
        "EPOCHS": EPOCHS,
        "BATCH": BATCH,
        "TOLERANCE": TOLERANCE,
        "RK4": RK4,
        "LONG": LONG,
        "TIGHT": TIGHT,
        "FIXED": FIXED,
        "TOLERANCES": TOLERANCES,
        "METHODS": METHODS,
    },
    results={
        **{f"table/{name}": Run(on_all_folds, name, SEEDS) for name in NETS},
        **{f"solvers/{name}": Run(with_another_solver, name, SEEDS) for name in SOLVERS},
        **{f"growth/{name}": Run(growth, name, SEEDS) for name in FIELDS},
        **{name: Run(net_and_dial, name) for name in STORED},
        "one Euler step": Run(one_step_and_dial, "one Euler step"),
        "ResNet": Run(between_blocks, "ResNet"),
    },
    verify=verify,
)
