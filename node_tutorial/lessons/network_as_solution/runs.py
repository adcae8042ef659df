"""Lesson 22: the long runs, some seven minutes on a quiet core.

The nets and how they are trained stand in `trainings`.

- tried weight, tried heat: by which weights and rates are chosen, with a seed of their own, and by
  the exact error: more than one has in earnest;
- whole: the oscillator over 1 to 5 periods by one net, by kind of its start values; longer: with
  twice the updates; causal: with weights that respect causality;
- march: the same by one net a period, each from where the last one ended;
- heat, burgers: the two equations with partial derivatives;
- inverse: omega from ten noisy points, by a net, through a solver, and by the formula.

Another machine gets other numbers after some hundred updates: the lesson relies on relations.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ...course.runs import Check, Run, Runs, middle, short
from ...models.pinn import PINN, Marched, polish
from . import trainings as made
from .trainings import BOUNDED, KINDS, LINEAR, NU, SOFT, mean_residual, relative_error

SEEDS = (1, 2, 3)  # the trials have seed 0
PERIODS = (1, 2, 3, 4, 5)
WEIGHTS = (0.01, 0.1, 1.0, 10.0, 100.0)  # of soft start values
HEAT_WEIGHTS = (1.0, 10.0, 100.0)  # of soft start and ends
RATES = (1e-3, 3e-3, 1e-2)  # of the heat equation's nets
HEAT_POINTS = 200
HEAT_ADAM = 300
HEAT_POLISH = 150
BURGERS_POINTS = 500
BURGERS_ADAM = 1000
BURGERS_POLISH = 500
EPSILONS = (1.0, 10.0)
STARTS = (1.0, 2.0, 3.0)  # for omega
DATA_SEEDS = (1, 2, 3, 4, 5, 6)  # of its ten points
INVERSE_POINTS = 100
INVERSE_ADAM = 500
INVERSE_POLISH = 300


class Swing(NamedTuple):
    """The oscillator over so many periods; kind is one of KINDS, or LINEAR."""

    kind: str
    periods: int
    times: float = 1.0  # updates, over the usual ones


class Burgers(NamedTuple):
    """Burgers' equation with a viscosity of NU, and so many points."""

    nu: str
    points: int = BURGERS_POINTS


def swing_row(net: PINN | Marched, periods: int) -> dict[str, Any]:
    """What is measured of a solution: mean square of the residual, error, y and |r| over time."""
    with torch.no_grad():
        y = net(made.over(periods))
    size = made.residual_size(net, periods)
    return {
        "loss": float(np.mean(size**2) / 2),  # of two components
        "error": relative_error(net, periods),
        "y": y.numpy().astype(np.float32),
        "r": size.astype(np.float32),
    }


def tried_weight_job(weights: tuple[float, ...], seeds: tuple[int, ...]) -> dict[str, Any]:
    """The error over one period with soft start values, by their weight."""
    errors = []
    for weight in weights:
        torch.manual_seed(seeds[0])
        net = made.swing(SOFT, 0.0, made.PERIOD, made.START, weight)
        made.train(net, made.POINTS, made.ADAM, made.POLISH)
        errors.append(relative_error(net, 1))
    return {"error": _rounded(errors)}


def weight_of(kind: str) -> float:
    """Of its start values: for soft ones, what was best in the trials."""
    if kind != SOFT:
        return 1.0
    return WEIGHTS[int(np.argmin(table()["tried weight"]["error"]))]


def whole_job(setting: Swing, seeds: tuple[int, ...]) -> dict[str, Any]:
    """One net for all periods, with each seed, and the solution of the seed in the middle."""
    weight = weight_of(setting.kind)
    rows = []
    for seed in seeds:
        net = made.whole(setting.kind, setting.periods, seed, setting.times, weight)
        rows.append(swing_row(net, setting.periods))
    shown = rows[middle([row["error"] for row in rows])]
    return {**_by_key(rows, "loss", "error"), "y": shown["y"], "r": shown["r"]}


def march_job(kind: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The same by one net a period: by seed and number of periods."""
    by_seed: list[list[dict[str, Any]]] = []
    for seed in seeds:
        net = made.marched(kind, PERIODS[-1], seed, weight_of(kind))
        by_seed.append([swing_row(net, periods) for periods in PERIODS])
    shown = by_seed[middle([rows[-1]["error"] for rows in by_seed])][-1]
    keys = ("loss", "error")
    return {
        **{key: [_rounded([row[key] for row in rows]) for rows in by_seed] for key in keys},
        "y": shown["y"],
        "r": shown["r"],
    }


def causal_job(epsilon: float, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Three periods by one net, with causal weights in Adam's updates; then L-BFGS as usual."""
    periods = 3
    points = made.POINTS * periods
    rows = []
    for seed in seeds:
        torch.manual_seed(seed)
        net = made.swing(BOUNDED, 0.0, periods * made.PERIOD, made.START)
        loss = made.causal_loss(epsilon, points)
        made.train(net, points, made.ADAM * periods, 0, loss=loss)
        (t,) = made.fresh(net, points)
        weighted, least = made.causal_loss_at(net, t, epsilon)
        row = {
            "weighted": float(weighted.detach()),
            "least weight": float(least),
            "loss": mean_residual(net),
            "error": relative_error(net, periods),
        }
        polish(net, net.points(points), made.POLISH * periods)
        row["polished loss"] = mean_residual(net)
        row["polished error"] = relative_error(net, periods)
        rows.append(row)
    return _by_key(rows, *rows[0])


def tried_heat_job(setting: tuple[bool, float], seeds: tuple[int, ...]) -> dict[str, Any]:
    """The error at t = 0.1 with each of RATES, for a hard or soft net with a weight."""
    hard, weight = setting
    return {
        "error": _rounded([_heat(hard, weight, rate, seeds[0]) for rate in RATES]),
    }


def heat_job(hard: bool, seeds: tuple[int, ...]) -> dict[str, Any]:
    """With what was best in the trials, and each seed."""
    chosen = best_heat(hard)
    errors = [_heat(hard, *chosen, seed) for seed in seeds]
    return {"weight": chosen[0], "rate": chosen[1], "error": _rounded(errors)}


def heat_soft_job(weight: float, seeds: tuple[int, ...]) -> dict[str, Any]:
    """With larger weights than what was best in the trials, which had one seed."""
    return {"error": _rounded([_heat(False, weight, made.RATE, seed) for seed in seeds])}


def best_heat(hard: bool) -> tuple[float, float]:
    """Weight and rate of the least error in the trials."""
    weights = (1.0,) if hard else HEAT_WEIGHTS
    table = {
        (weight, rate): error
        for weight in weights
        for rate, error in zip(RATES, table_of(f"tried heat/{_heat_name(hard, weight)}")["error"])
    }
    return min(table, key=lambda key: table[key])


def _heat(hard: bool, weight: float, rate: float, seed: int) -> float:
    """The error."""
    torch.manual_seed(seed)
    net = made.heat_net(hard, weight)
    made.train(net, HEAT_POINTS, HEAT_ADAM, HEAT_POLISH, rate=rate)
    return made.heat_error(net)


def burgers_job(setting: Burgers, seeds: tuple[int, ...]) -> dict[str, Any]:
    """With each seed: error, the residual's mean square at new points, and at those of L-BFGS; the
    parameters of the seed in the middle.
    """
    rows, kept = [], []
    nu = NU[setting.nu]
    for seed in seeds:
        torch.manual_seed(seed)
        net = made.burgers_net(nu)
        made.train(net, setting.points, BURGERS_ADAM, 0)
        points = net.points(setting.points)
        polish(net, points, BURGERS_POLISH)
        at = float(net.residuals(*points).detach().square().mean())
        rows.append(
            {
                "error": made.burgers_error(net, nu),
                "loss at its points": at,
                "loss": mean_residual(net, 4000),
            }
        )
        kept.append(parameters_to_vector(net.parameters()).detach().numpy().astype(np.float32))
    shown = middle([row["error"] for row in rows])
    return {**_by_key(rows, *rows[0]), "parameters": kept[shown]}


def inverse_job(starts: tuple[float, ...], seeds: tuple[int, ...]) -> dict[str, Any]:
    """omega by seed of the data, and by where the search starts; and the seconds of each way."""
    net_omega, net_seconds, solver_omega, solver_seconds, formula = [], [], [], [], []
    for seed in seeds:
        t, data = made.observations(seed)
        formula.append(made.by_formula(t, data))
        for omega in starts:
            torch.manual_seed(seed)
            net = made.spring_net(t, data, omega)
            trained = made.train(net, INVERSE_POINTS, INVERSE_ADAM, INVERSE_POLISH)
            net_omega.append(made.omega_of(net))
            net_seconds.append(trained.seconds)
            found, seconds = made.timed(partial(made.by_solver, t, data, omega))
            solver_omega.append(found)
            solver_seconds.append(seconds)
    shape = (len(seeds), len(starts))
    return {
        "net": np.reshape(_rounded(net_omega), shape).tolist(),
        "solver": np.reshape(_rounded(solver_omega), shape).tolist(),
        "formula": _rounded(formula),
        "net seconds": _rounded(net_seconds),
        "solver seconds": _rounded(solver_seconds),
    }


def _rounded(values: Any) -> list[float]:
    return [short(value) for value in values]


def _by_key(rows: list[dict[str, Any]], *keys: str) -> dict[str, list[float]]:
    return {key: _rounded(row[key] for row in rows) for key in keys}


def _heat_name(hard: bool, weight: float) -> str:
    return "hard" if hard else f"soft, weight {weight:g}"


def _runs() -> dict[str, Run]:
    """Name of a result -> run, the important ones first."""
    heat = [(True, 1.0), *((False, weight) for weight in HEAT_WEIGHTS)]
    return (
        {f"march/{BOUNDED}": Run(march_job, BOUNDED, SEEDS)}
        | {
            f"whole/{BOUNDED}/{periods}": Run(whole_job, Swing(BOUNDED, periods), SEEDS)
            for periods in PERIODS
        }
        | {"burgers/0.1/π": Run(burgers_job, Burgers("0.1/π"), SEEDS)}
        | {f"tried heat/{_heat_name(*row)}": Run(tried_heat_job, row) for row in heat}
        | {f"heat/{name}": Run(heat_job, name == "hard", SEEDS) for name in ("hard", "soft")}
        | {
            f"heat/soft, weight {weight:g}": Run(heat_soft_job, weight, SEEDS)
            for weight in (100.0, 1000.0)
        }
        | {"inverse": Run(inverse_job, STARTS, DATA_SEEDS)}
        | {"burgers/0.01/π": Run(burgers_job, Burgers("0.01/π"), SEEDS)}
        | {"tried weight": Run(tried_weight_job, WEIGHTS)}
        | {f"march/{SOFT}": Run(march_job, SOFT, SEEDS)}
        | {
            f"whole/{SOFT}/{periods}": Run(whole_job, Swing(SOFT, periods), SEEDS)
            for periods in PERIODS
        }
        | {f"causal/{epsilon:g}": Run(causal_job, epsilon, SEEDS) for epsilon in EPSILONS}
        | {f"whole/{LINEAR}/3": Run(whole_job, Swing(LINEAR, 3), SEEDS)}
        | {"longer": Run(whole_job, Swing(BOUNDED, 3, 2.0), SEEDS)}
        | {"longer, four periods": Run(whole_job, Swing(BOUNDED, 4, 2.0), SEEDS)}
        | {"more points": Run(burgers_job, Burgers("0.01/π", 2000), SEEDS[:1])}
    )


# -- what is stored --------------------------------------------------------------------------------


def table() -> dict[str, dict[str, Any]]:
    """What is stored, arrays aside, by result."""
    return RUNS.numbers()


def table_of(name: str) -> dict[str, Any]:
    """One of them."""
    return table()[name]


def arrays() -> dict[str, np.ndarray]:
    """The stored arrays, by "result/key"."""
    return RUNS.arrays()


def stored_burgers(nu: str) -> PINN:
    """The stored net of a viscosity, in float64."""
    net = made.burgers_net(NU[nu])
    values = torch.from_numpy(arrays()[f"burgers/{nu}/parameters"].astype(np.float64))
    vector_to_parameters(values, net.parameters())
    return net.requires_grad_(False)


def verify() -> Iterator[Check]:
    """The stored nets of Burgers' equation measured again, and errors from the stored solutions."""
    for nu in NU:
        row = table()[f"burgers/{nu}"]
        stored = row["error"][middle(row["error"])]
        error = made.burgers_error(stored_burgers(nu), NU[nu])
        yield Check(f"burgers {nu}: error", error, stored, 1e-3 * stored + 1e-6)
    for kind in KINDS:
        for periods in PERIODS:
            name = f"whole/{kind}/{periods}"
            y = torch.from_numpy(arrays()[f"{name}/y"])
            exact = made.swing_exact(periods)
            error = float((y - exact).norm() / exact.norm())
            row = table()[name]["error"]
            stored = row[middle(row)]
            yield Check(f"{name}: error", error, stored, 1e-3 * stored + 1e-6)


RUNS = Runs(
    "network_as_solution",
    protocol={
        "RATE": made.RATE,
        "ADAM": made.ADAM,
        "POLISH": made.POLISH,
        "POINTS": made.POINTS,
        "HEAT": (HEAT_POINTS, HEAT_ADAM, HEAT_POLISH, RATES),
        "BURGERS": (BURGERS_ADAM, BURGERS_POLISH),
        "INVERSE": (INVERSE_POINTS, INVERSE_ADAM, INVERSE_POLISH, made.OMEGA, made.NOISE),
    },
    results=_runs(),
    verify=verify,
)
