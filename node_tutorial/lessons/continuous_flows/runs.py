"""Lesson 15: the long runs, about a quarter of an hour on a quiet core.

The flows and how they are trained stand in `trainings`, what is measured of them in `measures`.

- trap: a CNF on the moons, `TRAP_STEPS` updates, through coarse fixed steps or an adaptive solver;
- sweep: these two under many solvers;
- variant, price: the adaptive one with three seeds, also with Hutchinson's estimate, or with
  Finlay's penalties; and what an evaluation takes then;
- tried, data: maximum likelihood on four densities. Each flow is tried with every rate and width,
  one short training each; with what was best on validation points it is trained with every seed;
- tried target, target: the same for KL(q || p) to the energies U1 to U3, without data, at one size;
  U1 also without annealing, once.

The lesson shows medians and ranges of the seeds, and says that a flow wins only where ranges are
`apart`. Another machine gets other numbers after some hundred updates.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.utils import vector_to_parameters

from ...course.runs import Check, Run, Runs, middle
from ...data.densities import Density, kl_gap, two_moons
from ...data.targets import target
from ...models import CNF, TimedMLP
from . import measures
from .measures import (
    EULER,
    HELD_OUT,
    PICTURE,
    SWEEP,
    VALIDATION,
    accurate,
    as_bytes,
    both_ways,
    euler,
    held_out,
    picture,
    reverse_gap,
    solved,
    validation,
    vector,
)
from .trainings import (
    BATCH,
    CLIP,
    COSTS,
    DENSITIES,
    HONEST,
    RATES,
    SIZE,
    TARGET_COSTS,
    TARGET_RATES,
    TOLERANCE,
    TRAPPED,
    VARIANTS,
    WIDTHS,
    Setting,
    Trained,
    field,
    likelihood,
    penalized,
    reverse_kl,
    targeted,
    train,
    untrained,
)

SECONDS = 6.0  # of a training on data, on a quiet core
TRIAL = 1.5
TARGET_SECONDS = 2.0
TARGET_TRIAL = 0.5
SEEDS = (1, 2, 3)  # the trials have seed 0
TRAP_STEPS = 500
TRAP_LR = 5e-3
PRICE_ROUNDS = 40
TARGETS = (1, 2, 3)
DRAWS = 4000  # by which a fit to an energy is measured
FLOWS = tuple(COSTS)


class Fit(NamedTuple):
    """A flow of FLOWS on one of DENSITIES."""

    density: str
    flow: str


class Target(NamedTuple):
    """A planar flow or a CNF, fitted to an energy, without data."""

    number: int
    flow: str
    annealed: bool = True


class Chosen(NamedTuple):
    """What did best in the trials."""

    width: int
    rate: float


def fitted(density: Density, flow: str, chosen: Chosen, seed: int, seconds: float) -> Trained:
    """One training on data."""
    torch.manual_seed(seed)
    model = untrained(flow, chosen.width)
    cost = COSTS[flow][chosen.width]
    return train(model, likelihood(density), chosen.rate, 1000 * seconds, cost)


def tried_job(setting: Fit, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The NLL on validation points after a short training with each of WIDTHS and its RATES."""
    density = DENSITIES[setting.density]()
    x = validation(density)

    def trial(width: int, rate: float) -> float:
        trained = _even_if_diverged(
            lambda: fitted(density, setting.flow, Chosen(width, rate), seeds[0], TRIAL)
        )
        return kl_gap(density, accurate(trained.model).log_prob, x, batch=2000).cross_entropy

    return {
        "nll": [[round(trial(width, rate), 4) for rate in RATES[setting.flow]] for width in WIDTHS]
    }


def data_job(setting: Fit, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Train with what was best, with each seed; the measures by seed, and the middle one's picture
    and, of a CNF, parameters.
    """
    density = DENSITIES[setting.density]()
    chosen = best(setting)
    x = held_out(density)
    rows, kept = [], []
    for seed in seeds:
        trained = fitted(density, setting.flow, chosen, seed, SECONDS)
        flow = accurate(trained.model)
        gap = kl_gap(density, flow.log_prob, x, batch=2000)
        p, mass = picture(flow.log_prob, density.bounds)
        row = {"kl": gap.kl, "error": gap.standard_error, "nll": gap.cross_entropy, "mass": mass}
        row |= _effort(trained)
        arrays = {"picture": as_bytes(p, density)}
        if isinstance(flow, CNF):
            row |= both_ways(flow.func, x[:1000])
            arrays["parameters"] = vector(flow.func)
        rows.append(row)
        kept.append(arrays)
    return {
        "width": chosen.width,
        "rate": chosen.rate,
        "parameters_number": _count(untrained(setting.flow, chosen.width)),
        "entropy": density.entropy,
        **_by_key(rows),
        **kept[middle([row["kl"] for row in rows])],
    }


def drawn(setting: Target, rate: float, seed: int, seconds: float) -> Trained:
    """One fit to an energy."""
    torch.manual_seed(seed)
    return train(
        targeted(setting.flow),
        reverse_kl(target(setting.number), setting.annealed),
        rate,
        1000 * seconds,
        TARGET_COSTS[setting.flow],
    )


def tried_target_job(setting: Target, seeds: tuple[int, ...]) -> dict[str, Any]:
    """KL(q || p) after a short training with each of TARGET_RATES."""
    density = target(setting.number)

    def trial(rate: float) -> float:
        trained = _even_if_diverged(lambda: drawn(setting, rate, seeds[0], TARGET_TRIAL))
        return reverse_gap(accurate(trained.model), density, VALIDATION, seed=2)[0]

    return {"kl": [round(trial(rate), 4) for rate in TARGET_RATES]}


def target_job(setting: Target, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Fit with the rate that was best, with each seed; the measures by seed, the middle one's
    picture.
    """
    density = target(setting.number)
    rate = best_rate(setting)
    rows, pictures = [], []
    for seed in seeds:
        trained = drawn(setting, rate, seed, TARGET_SECONDS)
        flow = accurate(trained.model)
        kl, error = reverse_gap(flow, density, DRAWS, seed=1)
        p, mass = picture(flow.log_prob, density.bounds)
        rows.append({"kl": kl, "error": error, "mass": mass, **_effort(trained)})
        pictures.append(as_bytes(p, density))
    shown = pictures[middle([row["kl"] for row in rows])]
    image = {"picture": shown} if setting.annealed else {}
    return {"rate": rate, **_by_key(rows), **image}


def best(setting: Fit) -> Chosen:
    """Width and rate of the lowest NLL on validation points."""
    nll = np.array(table()[f"tried/{setting.density}/{setting.flow}"]["nll"])
    row, column = np.unravel_index(nll.argmin(), nll.shape)
    return Chosen(WIDTHS[row], RATES[setting.flow][column])


def best_rate(setting: Target) -> float:
    """That of the lowest gap in the trials, which are annealed."""
    kl = table()[f"tried target/{setting.number}/{setting.flow}"]["kl"]
    return TARGET_RATES[int(np.argmin(kl))]


def _even_if_diverged(training: Callable[[], Trained]) -> Trained:
    """A trial with too high a rate is judged by its last good parameters."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "diverged", RuntimeWarning)
        return training()


def _effort(trained: Trained) -> dict[str, float]:
    """Updates, evaluations in each (0 for flows without a solver), the processor's seconds."""
    steps = len(trained.loss)
    return {"steps": steps, "nfe": float(np.mean(trained.nfe)), "seconds": trained.seconds}


def _by_key(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    return {key: [round(float(row[key]), 5) for row in rows] for key in rows[0]}


def _count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def on_moons(setting: Setting, seed: int) -> Trained:
    """A CNF that is trained on the moons for `TRAP_STEPS` updates."""
    torch.manual_seed(seed)
    flow = CNF(field(), trace=setting.trace, **setting.solver)
    return train(flow, penalized(two_moons(), setting), TRAP_LR, TRAP_STEPS)


def trap_job(setting: Setting, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The field of `on_moons`; what it reports itself ("own"), and what a tight solver says."""
    density = two_moons()
    trained = on_moons(setting, seeds[0])
    func = trained.model.func
    numbers = _evaluations(trained)
    weights = vector(func)
    x = held_out(density, 4000)
    for name, flow in (("own", solved(func, **setting.solver)), ("tight", solved(func))):
        gap = kl_gap(density, flow.log_prob, x, batch=2000)
        numbers[f"{name}_kl"] = gap.kl
        numbers[f"{name}_error"] = gap.standard_error
        numbers[f"{name}_nll"] = gap.cross_entropy
        numbers[f"{name}_mass"] = picture(flow.log_prob, density.bounds)[1]
        numbers[f"{name}_nfe"] = flow.stats.nfe
    return {**_rounded(numbers), "parameters": weights}


def variant_job(setting: Setting, seeds: tuple[int, ...]) -> dict[str, Any]:
    """By seed: the gap of `on_moons` by a tight solver, its evaluations, and Finlay's integrals."""
    density = two_moons()
    x = held_out(density, 2000)
    rows = []
    for seed in seeds:
        trained = on_moons(setting, seed)
        flow = solved(trained.model.func)
        with torch.no_grad():
            found = flow.penalized(x)
            flow.log_prob(x[:1000])
        gaps = density.log_prob(x) - found.log_prob
        rows.append(
            {
                "kl": float(gaps.mean()),
                "error": float(gaps.std() / len(x) ** 0.5),
                "nfe_tight": flow.stats.nfe,
                "kinetic": float(found.kinetic.mean()),
                "frobenius": float(found.frobenius.mean()),
                **_evaluations(trained),
            }
        )
    return _by_key(rows)


def _evaluations(trained: Trained) -> dict[str, float]:
    """Of an update: in the first, and the mean of the last 50."""
    return {"nfe_first": trained.nfe[0], "nfe_last": float(np.mean(trained.nfe[-50:]))}


def price_job(settings: dict[str, Setting], seeds: tuple[int, ...]) -> dict[str, Any]:
    """Milliseconds of an evaluation in training, forward with its share of the way back.

    Of the stored honest field with each of VARIANTS by turns, so that a busy machine is the same
    for all; medians of `PRICE_ROUNDS`.
    """
    density = two_moons()
    torch.manual_seed(seeds[0])
    values = arrays()[f"{_trap(HONEST)}/parameters"]
    flows = {
        name: CNF(restored(values).float().requires_grad_(), trace=setting.trace, **setting.solver)
        for name, setting in settings.items()
    }
    spent: dict[str, list[float]] = {name: [] for name in flows}
    for _ in range(PRICE_ROUNDS):
        for name, flow in flows.items():
            trained = train(flow, penalized(density, settings[name]), 1e-12, 1)
            spent[name].append(1000 * trained.seconds / trained.nfe[0])
    return {name: round(float(np.median(rows)), 4) for name, rows in spent.items()}


def sweep_job(setting: Setting, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The stored field of a trap under many solvers."""
    rows = measures.sweep(restored(arrays()[f"{_trap(setting)}/parameters"]))
    pictures = np.array(rows.pop("picture"))
    numbers = {key: np.round(values, 5).tolist() for key, values in rows.items()}
    return {**numbers, "picture": pictures}


def _rounded(numbers: dict[str, float]) -> dict[str, Any]:
    return {key: round(float(value), 5) for key, value in numbers.items()}


def _trap(setting: Setting) -> str:
    return f"trap/{setting.name}"


def _runs() -> dict[str, Run]:
    """Name of a result -> run, the important ones first; the sweeps read the traps, and what is
    trained with every seed what was tried.
    """
    traps = {_trap(setting): Run(trap_job, setting) for setting in (TRAPPED, HONEST)}
    sweeps = {
        f"sweep/{name}": Run(sweep_job, setting)
        for name, setting in (("honest", HONEST), ("trapped", TRAPPED))
    }
    fits = [Fit(density, flow) for density in DENSITIES for flow in FLOWS]
    targets = [Target(number, flow) for number in TARGETS for flow in TARGET_COSTS]
    alone = [Target(1, flow, annealed=False) for flow in TARGET_COSTS]
    return (
        traps
        | sweeps
        | {_of("tried", *fit): Run(tried_job, fit) for fit in fits}
        | {_of("data", *fit): Run(data_job, fit, SEEDS) for fit in fits}
        | {_of("variant", name): Run(variant_job, row, SEEDS) for name, row in VARIANTS.items()}
        | {"price": Run(price_job, VARIANTS)}
        | {_of("tried target", *row[:2]): Run(tried_target_job, row) for row in targets}
        | {_of("target", *row[:2]): Run(target_job, row, SEEDS) for row in targets}
        | {
            _of("target", *row[:2], "without annealing"): Run(target_job, row, SEEDS[:1])
            for row in alone
        }
    )


def _of(*parts: object) -> str:
    return "/".join(map(str, parts))


# -- what is stored --------------------------------------------------------------------------------


def restored(values: np.ndarray, *hidden: int) -> TimedMLP:
    """A field with stored parameters, in float64, that needs no gradients."""
    func = field(*hidden).double().requires_grad_(False)
    vector_to_parameters(torch.from_numpy(values.astype(np.float64)), func.parameters())
    return func


def stored_field(density: str) -> TimedMLP:
    """The stored field of one of DENSITIES, of the seed in the middle, in float64."""
    width = table()[f"data/{density}/CNF"]["width"]
    return restored(arrays()[f"data/{density}/CNF/parameters"], width, width)


@lru_cache(maxsize=4)
def stored_cnf(density: str) -> CNF:
    """Its CNF."""
    return CNF(stored_field(density), rtol=1e-5, atol=1e-5)


def verify() -> Iterator[Check]:
    """The stored CNFs measured again, in half precision; one row of each sweep."""
    for density in DENSITIES:
        p = DENSITIES[density]()
        row = table()[f"data/{density}/CNF"]
        flow = CNF(stored_field(density), rtol=1e-4, atol=1e-4)
        gap = kl_gap(p, flow.log_prob, held_out(p, 4000))
        seed = middle(row["kl"])
        within = 4 * (gap.standard_error + row["error"][seed])
        yield Check(f"{density}: kl", gap.kl, row["kl"][seed], within)
    x = held_out(two_moons(), 1000)
    for name, setting in (("honest", HONEST), ("trapped", TRAPPED)):
        row = table()[f"sweep/{name}"]
        func = restored(arrays()[f"{_trap(setting)}/parameters"])
        for place, solver in ((4, TOLERANCE), (len(SWEEP) + EULER.index(5), euler(5))):
            flow = CNF(func, **solver)
            with torch.no_grad():
                nll = float(-flow.log_prob(x).mean())
            yield Check(f"sweep/{name}: nll", nll, row["nll"][place], 0.02)
            yield Check(f"sweep/{name}: nfe", flow.stats.nfe, row["nfe"][place], 0)


def compared(density: str, flow: str, anew: bool = False) -> dict[str, Any]:
    """A flow on a density, with every seed: what `data_job` found; or trained anew, in a minute."""
    name = _of("data", density, flow)
    run = RUNS.results[name]
    return run.make(run.settings, run.seeds) if anew else table()[name]


def apart(better: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether every gap of one fit is below all of the other, by more than chance in measuring.

    The worst gap of `better` and the best of `other` must differ by more than two standard errors
    of their difference. Both are measured on the same points, so this is rather too strict.
    """
    worst, its_error = max(zip(better["kl"], better["error"]))
    best, error = min(zip(other["kl"], other["error"]))
    return best - worst > 2 * math.hypot(its_error, error)


def table() -> dict[str, dict[str, Any]]:
    """The stored numbers: name of a result -> {name: value}."""
    return RUNS.numbers()


def arrays() -> dict[str, np.ndarray]:
    """The stored arrays, by "name of a result/name"."""
    return RUNS.arrays()


RUNS = Runs(
    "continuous_flows",
    protocol={
        "SECONDS": SECONDS,
        "TRIAL": TRIAL,
        "TARGET_SECONDS": TARGET_SECONDS,
        "TARGET_TRIAL": TARGET_TRIAL,
        "COSTS": COSTS,
        "TARGET_COSTS": TARGET_COSTS,
        "WIDTHS": WIDTHS,
        "SIZE": SIZE,
        "DRAWS": DRAWS,
        "RATES": RATES,
        "TARGET_RATES": TARGET_RATES,
        "BATCH": BATCH,
        "CLIP": CLIP,
        "TRAP_STEPS": TRAP_STEPS,
        "TRAP_LR": TRAP_LR,
        "PRICE_ROUNDS": PRICE_ROUNDS,
        "TOLERANCE": TOLERANCE,
        "HELD_OUT": HELD_OUT,
        "VALIDATION": VALIDATION,
        "PICTURE": PICTURE,
        "SWEEP": SWEEP,
        "EULER": EULER,
    },
    results=_runs(),
    verify=verify,
)
