"""Lesson 23: the forecasts from rolling origins, scored and stored; ten minutes on one core.

`tasks` has the series and what is observed of them, `baselines` and `nets` the forecasters and how
each chooses its setting. Of every forecaster are stored its choice, its scores by horizon (in the
units of the data), and the forecasts themselves in half precision; of nets those of the first seed,
and the scores of all three.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...course.runs import Check, Run, Runs
from ...data.forecast_scores import calibration, crps_gaussian, interval_coverage, mase
from . import nets
from .baselines import CANDIDATES, Forecast, choose
from .nets import NETS, Recurrent, rehearse, train, windows
from .tasks import GAPS, KEEP, TASKS, Task, task

SEEDS = (0, 1, 2)
LEVEL = 0.95  # of the bands
BETWEEN = 1.959964  # standard deviations
BLOCKS = 6  # of the future, each of its own events: does a forecaster win in most of them?
LEVELS = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
MODELS = (*CANDIDATES, *NETS)


class Setting(NamedTuple):
    """A forecaster on a series."""

    task: str
    model: str

    @property
    def name(self) -> str:
        return f"{self.task}/{self.model}"


def band(forecast: Forecast) -> tuple[Tensor, Tensor]:
    """Where LEVEL of the values should lie: low and high (O, H)."""
    return forecast.mean - BETWEEN * forecast.std, forecast.mean + BETWEEN * forecast.std


def scores(task: Task, forecast: Forecast) -> dict[str, Any]:
    """By horizon, in the units of the data: RMSE, CRPS, MASE (of one step's naive forecast) and the
    coverage of the band; and the mean CRPS in BLOCKS parts of the future, over all horizons.
    """
    error = task.truth - forecast.mean
    crps = task.seen.scale * crps_gaussian(task.truth, *forecast)
    found = {
        "rmse": task.seen.scale * error.square().mean(0).sqrt(),
        "crps": crps.mean(0),
        "mase": mase(error, task.full[: task.seen.past]),
        "coverage": interval_coverage(task.truth, *band(forecast)),
        "blocks": torch.stack([part.mean() for part in crps.tensor_split(BLOCKS)]),
    }
    return {name: _rounded(values) for name, values in found.items()}


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 4) for value in values.tolist()]


def _baseline(setting: Setting, seeds: tuple[int, ...]) -> dict[str, Any]:
    todo = task(setting.task)
    candidates = CANDIDATES[setting.model]
    choice = choose(todo, candidates)
    forecast = candidates[choice](todo)
    place = list(candidates).index(choice)
    return {"choice": place, **scores(todo, forecast), **_halved(forecast)}


def _net(setting: Setting, seeds: tuple[int, ...]) -> dict[str, Any]:
    todo = task(setting.task)
    choice = rehearse(setting.model, todo)
    rows = []
    arrays: dict[str, np.ndarray] = {}
    for seed in seeds:
        net = train(NETS[setting.model][choice.setting], todo, choice.rate, choice.steps, seed)
        forecast = nets.forecast(net, todo, choice)
        row = scores(todo, forecast)
        if not isinstance(net, Recurrent):
            with torch.no_grad():
                own = net.own_band(windows(todo, todo.origins)).double()
            claimed = band(Forecast(forecast.mean, own))
            row["own coverage"] = _rounded(interval_coverage(todo.truth, *claimed))
        rows.append(row)
        arrays = arrays or _halved(forecast)
    found = {name: [row[name] for row in rows] for name in rows[0]}
    place = list(NETS[setting.model]).index(choice.setting)
    return {"choice": place, "rate": choice.rate, "steps": choice.steps} | found | arrays


def _halved(forecast: Forecast) -> dict[str, np.ndarray]:
    """In half precision; a std that is the same from all origins is one row."""
    mean, std = forecast
    if bool((std == std[:1]).all()):
        std = std[:1]
    return {"mean": mean.numpy().astype(np.float16), "std": std.numpy().astype(np.float16)}


def found(name: str, model: str, what: str) -> Tensor:
    """What is stored of a forecaster on a series: by horizon, (H,), or of a net (seeds, H)."""
    return torch.tensor(RUNS.numbers()[Setting(name, model).name][what], dtype=torch.float64)


def setting_of(name: str, model: str) -> str:
    """The name of the setting that a forecaster chose in the rehearsal."""
    settings = [*CANDIDATES.get(model, NETS.get(model, ()))]
    return settings[RUNS.numbers()[Setting(name, model).name]["choice"]]


def arma_without_shift() -> float:
    """The RMSE of ARMA a year ahead, in degrees, if El Nino's halves had the same mean.

    What is subtracted is not known at the origins: it is no forecast, but says why ARMA fails.
    """
    todo = task("El Nino")
    x = todo.full.clone()
    x[todo.seen.past :] -= x[todo.seen.past :].mean()
    shifted = todo._replace(full=x, seen=todo.seen._replace(x=x))
    forecast = CANDIDATES["ARMA"][setting_of("El Nino", "ARMA")](shifted)
    return scores(shifted, forecast)["rmse"][-1]


def skill(name: str, model: str, what: str = "crps") -> list[float]:
    """The mean of a score over all horizons, over that of damped persistence; of nets by seed.
    Below 1 it is better.
    """
    rows = torch.atleast_2d(found(name, model, what)).mean(1)
    return (rows / found(name, "damped persistence", what).mean()).tolist()


def blocks_won(name: str, model: str) -> list[int]:
    """In how many of the BLOCKS of the future its CRPS is below that of damped persistence."""
    rows = torch.atleast_2d(found(name, model, "blocks"))
    return (rows < found(name, "damped persistence", "blocks")).sum(1).tolist()


def stored(name: str, model: str) -> Forecast:
    """The stored forecasts of a series, in units of its past."""
    key = Setting(name, model).name
    mean, std = (
        torch.tensor(RUNS.arrays()[f"{key}/{what}"].astype(np.float64)) for what in ("mean", "std")
    )
    return Forecast(mean, std.expand_as(mean))


def shares_below(name: str, model: str, horizon: int) -> Tensor:
    """The share of the values below each of the LEVELS' quantiles of the stored forecasts."""
    mean, std = (part[:, horizon - 1] for part in stored(name, model))
    return calibration(task(name).truth[:, horizon - 1], mean, std, LEVELS)


def verify() -> Iterator[Check]:
    """The stored forecasts scored again; they are of half precision."""
    for setting in SETTINGS:
        again = scores(task(setting.task), stored(*setting))["rmse"]
        kept = found(*setting, "rmse")
        last = (kept[0] if kept.dim() == 2 else kept)[-1].item()
        yield Check(f"{setting.name}: rmse", again[-1], last, 2e-3 * last)


SETTINGS = [Setting(name, model) for name in TASKS for model in MODELS]

RUNS = Runs(
    "forecasts",
    protocol={
        "KEEP": KEEP,
        "GAPS": GAPS,
        "LEVEL": LEVEL,
        "BLOCKS": BLOCKS,
        "WINDOW": nets.WINDOW,
        "MOST_STEPS": nets.MOST_STEPS,
        "EVERY": nets.EVERY,
        "BATCH": nets.BATCH,
        "RATES": nets.RATES,
        "CLIP": nets.CLIP,
        "DRAWS": nets.DRAWS,
    },
    results={
        setting.name: Run(_net, setting, SEEDS)
        if setting.model in NETS
        else Run(_baseline, setting)
        for setting in SETTINGS
    },
    verify=verify,
)
