"""Lesson 17: the long runs of digits, ten minutes on one core; `runs` has those in the plane.

`digit_nets` has the nets and their training: that of lesson 16, with the straight path. The flow of
each seed is solved with few and many evaluations by each of SOLVERS, and by an adaptive one at
TOLERANCES; "reflow" does so after one reflow. The U-Net of seed 0 and its reflow are stored, in
a byte for each parameter.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...course.packed import packed, unpacked
from ...course.runs import Check, Run, short
from ...data.pixels import SIDE, STD, Judged, counted, counts, judge, spread
from ...models import FlowMatching
from ...models.diffusion import bits_per_dimension
from ...models.flow_matching import way
from .digit_nets import (
    AVERAGE,
    BATCH,
    PAIR_STEPS,
    PAIRS,
    RATES,
    ROUNDS,
    STEPS,
    Setting,
    loss_on,
    make,
    train,
)

SEEDS = dict.fromkeys(("U-Net", "MLP", "reflow"), (0, 1, 2))  # those of seed 0 are stored
NFE = (1, 2, 4, 8, 16, 32, 64)
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4)
SHOWN = 20  # images of each kind
BITS_TOLERANCE = 1e-4
WAYS = 100  # paths, for their energy


class Solver(NamedTuple):
    """A method of `odeint`, and the evaluations of its steps."""

    method: str
    stages: int


SOLVERS = {
    "Euler": Solver("euler", 1),
    "midpoint": Solver("midpoint", 2),
    "Heun": Solver("heun2", 2),
}


def affordable(solver: str) -> list[int]:
    """Those of NFE that are a whole number of steps."""
    return [nfe for nfe in NFE if nfe >= SOLVERS[solver].stages]


def samples(model: FlowMatching, solver: str, nfe: int, seed: int = 0) -> Tensor:
    """As many images as there are test images, (450, 1, 8, 8) of dark dots; one noise for all
    solvers.
    """
    method, stages = SOLVERS[solver]
    return counted(model.move(_noise(seed), steps=nfe // stages, method=method).x)


def adaptive(model: FlowMatching, tolerance: float, seed: int = 0) -> tuple[Tensor, int]:
    """The same by dopri5, and its evaluations."""
    found = model.move(_noise(seed), rtol=tolerance, atol=tolerance)
    return counted(found.x), found.nfe


def bits(model: FlowMatching) -> float:
    """A bound on the bits of a pixel of the test images; one probe of the trace and one noise on
    the pixels for each image.
    """
    chance = torch.Generator().manual_seed(0)
    x = spread(counts().test_images, chance)
    torch.manual_seed(0)  # of the probes
    with torch.no_grad():
        log_prob = model.log_prob(x, trace="rademacher", rtol=BITS_TOLERANCE, atol=BITS_TOLERANCE)
    return bits_per_dimension(log_prob, SIDE**2, 1 / STD).mean().item()


def _noise(seed: int) -> Tensor:
    chance = torch.Generator().manual_seed(1000 + seed)
    return torch.randn(counts().test_images.shape, generator=chance)


# -- what is stored --------------------------------------------------------------------------------


def judged(setting: Setting, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Train a flow; its losses, bits and samples; energy and cost of its paths (see `way`). With
    parameters and images for the first seed of the U-Net.
    """
    (seed,) = seeds
    split = counts()
    model, history = train(setting.net, seed, setting.reflows)
    paths = way(model.velocity, _noise(seed)[:WAYS], rtol=1e-4, atol=1e-4)
    found: dict[str, Any] = {
        "seconds": round(history.spent),
        "loss": short(loss_on(model, split.test_images)),
        "train loss": short(loss_on(model, split.images)),
        "bits": short(bits(model)),
        "energy of paths": short(paths.energy.mean()),
        "cost of paths": short(paths.cost.mean()),
        "solvers": {name: _over_nfe(model, name, seed) for name in SOLVERS},
    }
    rows = [adaptive(model, tolerance, seed) for tolerance in TOLERANCES]
    found["solvers"]["dopri5"] = _columns([nfe for _, nfe in rows], [x for x, _ in rows])
    if setting.net == "U-Net" and seed == SEEDS["U-Net"][0]:
        for nfe in NFE:
            found[f"images Euler {nfe}"] = _shown(samples(model, "Euler", nfe, seed))
        found |= packed(model.state_dict())
    return found


def _over_nfe(model: FlowMatching, solver: str, seed: int) -> dict[str, list]:
    each = affordable(solver)
    return _columns(each, [samples(model, solver, nfe, seed) for nfe in each])


def _columns(nfe: list[int], images: list[Tensor]) -> dict[str, list]:
    rows: list[Judged] = [judge(x) for x in images]
    measures = {key: [short(getattr(row, key)) for row in rows] for key in Judged._fields}
    return {"nfe": nfe, **measures}


def _shown(images: Tensor) -> np.ndarray:
    return images[:SHOWN, 0].numpy().astype(np.uint8)


def restored(arrays: Mapping[str, np.ndarray], name: str) -> FlowMatching:
    """The stored flow of seed 0, "U-Net" or "reflow", of the arrays of RUNS."""
    model = make("U-Net")
    whole, halves = (arrays[f"digits/{name}/0/{part}"] for part in ("bytes", "halves"))
    model.load_state_dict(unpacked(whole, halves, model.state_dict()))
    return model.eval().requires_grad_(False)


def verify(
    numbers: Mapping[str, dict[str, Any]], arrays: Mapping[str, np.ndarray]
) -> Iterator[Check]:
    """The stored flows measured again; their weights are rounded."""
    for name in ("U-Net", "reflow"):
        model = restored(arrays, name)
        row = numbers[f"digits/{name}/0"]
        yield Check(
            f"digits, {name}: loss", loss_on(model, counts().test_images), row["loss"], 0.01
        )
        again = judge(samples(model, "Euler", 16))
        euler = row["solvers"]["Euler"]
        for key in ("energy", "precision", "recall"):
            stored = euler[key][euler["nfe"].index(16)]
            yield Check(f"digits, {name}: {key}", getattr(again, key), stored, 0.06)


NETS = {"U-Net": Setting(), "MLP": Setting("MLP"), "reflow": Setting(reflows=1)}
RESULTS = {
    f"digits/{name}/{seed}": Run(judged, setting, (seed,))
    for seed in SEEDS["U-Net"]
    for name, setting in NETS.items()  # a reflow after the flow that it goes on from
    if seed in SEEDS[name]
}
PROTOCOL = {
    "DIGITS": {
        "STEPS": STEPS,
        "BATCH": BATCH,
        "AVERAGE": AVERAGE,
        "RATES": RATES,
        "ROUNDS": ROUNDS,
        "PAIRS": PAIRS,
        "PAIR_STEPS": PAIR_STEPS,
        "NFE": NFE,
        "TOLERANCES": TOLERANCES,
        "BITS_TOLERANCE": BITS_TOLERANCE,
        "WAYS": WAYS,
    }
}
