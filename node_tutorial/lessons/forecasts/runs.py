"""Lesson 23: the forecasts from rolling origins, scored and stored; 15 minutes on one core.

`tasks` has the series and what is observed of them, `baselines` and `nets` the forecasters and how
each chooses its setting. Of every forecaster are stored its choice, its scores by horizon (in the
units of the data), and the forecasts themselves in half precision; of nets those of the first seed,
with the scores of all three, and their CRPS by origin.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...course.runs import Check, Run, Runs
from ...data.forecast_scores import calibration, crps_gaussian, interval_coverage, mase
from . import nets
from .baselines import CANDIDATES, choose
from .nets import NETS, Recurrent, rehearse, train, windows
from .tasks import GAPS, KEEP, MASKS, TASKS, Forecast, Task, task

SEEDS = (0, 1, 2)
LEVEL = 0.95  # of the bands
BETWEEN = 1.959964  # standard deviations
RESAMPLES = 2000  # of the future, for an interval about a ratio
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
    coverage of the band.
    """
    error = task.truth - forecast.mean
    found = {
        "rmse": task.seen.scale * error.square().mean(0).sqrt(),
        "crps": task.seen.scale * crps_gaussian(task.truth, *forecast).mean(0),
        "mase": mase(task.truth, forecast.mean, task.full[: task.seen.past]),
        "coverage": interval_coverage(task.truth, *band(forecast)),
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
    return _trained(setting, choice, seeds)


def _trained(setting: Setting, choice: nets.Choice, seeds: tuple[int, ...]) -> dict[str, Any]:
    todo = task(setting.task)
    rows = []
    by_origin = []
    arrays: dict[str, np.ndarray] = {}
    for seed in seeds:
        net = train(NETS[setting.model][choice.setting], todo, choice.rate, choice.steps, seed)
        forecast = nets.forecast(net, todo)
        by_origin.append(crps_gaussian(todo.truth, *forecast).mean(1))
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
    arrays["by origin"] = torch.stack(by_origin).numpy().astype(np.float16)
    return {"choice": place, "rate": choice.rate, "steps": choice.steps} | found | arrays


def _halved(forecast: Forecast) -> dict[str, np.ndarray]:
    """In half precision; a std that is the same from all origins is one row."""
    mean, std = forecast
    if bool((std == std[:1]).all()):
        std = std[:1]
    return {"mean": mean.numpy().astype(np.float16), "std": std.numpy().astype(np.float16)}


class Thinned(NamedTuple):
    """A forecaster on all thinnings of a series."""

    task: str
    model: str


def _thinned(setting: Thinned, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The mean CRPS of a forecaster on each of the MASKS, in units of what was seen of the past.

    What is cheap rehearses on each; GRU, ODE-RNN and latent ODE keep the setting that they chose on
    the first.
    """
    crps = []
    for mask in MASKS:
        todo = task(setting.task, mask)
        if setting.model in CANDIDATES:
            candidates = CANDIDATES[setting.model]
            forecast = candidates[choose(todo, candidates)](todo)
        else:
            choice = (
                rehearse(setting.model, todo)
                if setting.model == "oscillators"
                else chosen(setting.task, setting.model)
            )
            make = NETS[setting.model][choice.setting]
            forecast = nets.forecast(train(make, todo, choice.rate, choice.steps, seeds[0]), todo)
        crps.append(float(crps_gaussian(todo.truth, *forecast).mean()))
    return {"crps": [round(value, 4) for value in crps]}


def chosen(name: str, model: str) -> nets.Choice:
    """What a net chose in the rehearsal."""
    row = RUNS.numbers()[Setting(name, model).name]
    return nets.Choice(setting_of(name, model), row["rate"], row["steps"], math.nan)


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


def by_mask(name: str, model: str) -> list[float]:
    """The mean CRPS over that of damped persistence, on each of the MASKS."""
    mine, rival = (
        torch.tensor(RUNS.numbers()[f"masks/{name}/{which}"]["crps"], dtype=torch.float64)
        for which in (model, "damped persistence")
    )
    return (mine / rival).tolist()


def by_origin(name: str, model: str) -> Tensor:
    """The CRPS at each origin, the mean over the horizons, (seeds, O); a baseline has one seed."""
    if model in NETS:
        kept = RUNS.arrays()[f"{Setting(name, model).name}/by origin"]
        return torch.tensor(kept.astype(np.float64))
    return crps_gaussian(task(name).truth, *stored(name, model)).mean(1)[None]


def interval(name: str, model: str, rival: str = "damped persistence") -> tuple[float, float]:
    """Where the ratio of two mean CRPS lies in 95 % of RESAMPLES futures.

    Neighboring origins share most of what comes after them, so blocks of them are drawn, as long as
    a few events (60 months, 22 years), from a future that is closed to a circle; and of nets three
    of the three seeds.

    Source: Politis, Romano 1992, "A circular block-resampling procedure for stationary data".
    """
    rows = {which: by_origin(name, which) for which in (model, rival)}
    count = rows[model].shape[1]
    block = 60 if task(name).seasonal else 22
    chance = torch.Generator().manual_seed(0)
    begin = torch.randint(count, (RESAMPLES, -(-count // block)), generator=chance)
    places = ((begin[..., None] + torch.arange(block)).flatten(1) % count)[:, :count]
    means = {}
    for which, values in rows.items():
        seeds = torch.randint(len(values), (RESAMPLES, len(values)), generator=chance)
        per_seed = torch.stack([row[places].mean(1) for row in values], 1)
        means[which] = per_seed.gather(1, seeds).mean(1)
    ratio = (means[model] / means[rival]).sort().values
    return float(ratio[RESAMPLES // 40]), float(ratio[-RESAMPLES // 40 - 1])


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
PLAIN = ("climatology", "seasonal naive", "damped persistence", "AR")
THINNED = [Thinned("El Nino, thinned", model) for model in PLAIN] + [
    Thinned("sunspots, thinned", model) for model in (*PLAIN, *NETS)
]

RUNS = Runs(
    "forecasts",
    protocol={
        "KEEP": KEEP,
        "MASKS": MASKS,
        "GAPS": GAPS,
        "LEVEL": LEVEL,
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
    }
    | {f"masks/{row.task}/{row.model}": Run(_thinned, row) for row in THINNED},
    verify=verify,
)
