"""Lesson 23: forecasts without nets, each with a band of its own.

climatology, persistence and the seasonal naive forecast are one line each; the others are models of
statsmodels in state-space form, fitted by likelihood, which know what to do where nothing is
observed:

    damped persistence   AR(1): phi^h times the last value; the variance grows to the climate's
    ARIMA                an ARMA(p, q), p up to 10, q up to 2
    ETS                  exponential smoothing, with a season where there is one, with or without a
                         damped trend

Which p and q, which trend: the rehearsal says, in which the last quarter of the past plays the
future. (AIC was tried and chose (3, 2) for El Nino, an RMSE of 3.7 degrees a year ahead: months
whose means were subtracted have means of exactly zero in the past, and a moving average can learn
that.) Parameters are those of the whole past. The state at an origin is that of everything observed
before it.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...data.forecast_scores import ahead, crps_gaussian
from .tasks import Forecast, Task, rehearsal

Candidate = Callable[[Task], Forecast]


def naive(task: Task, lag: int) -> Forecast:
    """The value at the same phase of a season of `lag` steps, the last that was observed before the
    origin; 1: persistence. Its std is that of its errors in the past, at each horizon.
    """
    past = torch.arange(lag, task.seen.past - task.horizon + 1)
    error = ahead(task.seen.x[: task.seen.past], past, task.horizon) - _last(task, past, lag)
    std = error.square().nanmean(0).sqrt()
    mean = _last(task, task.origins, lag)
    return Forecast(mean, std.expand_as(mean))


def _last(task: Task, origins: Tensor, lag: int) -> Tensor:
    """For each origin and horizon the last value observed at the same phase; 0 without one."""
    last = torch.zeros(lag, dtype=torch.float64)
    by_place = []
    for place, value in enumerate(task.seen.x):
        by_place.append(last.clone())
        if not value.isnan():
            last[place % lag] = value
    by_place.append(last)
    phase = (origins[:, None] + torch.arange(task.horizon)) % lag
    return torch.stack(by_place)[origins].gather(1, phase)


def climatology(task: Task) -> Forecast:
    """The mean of the past (of the calendar month), and the std about it: in our units 0 and 1."""
    mean = torch.zeros(len(task.origins), task.horizon, dtype=torch.float64)
    return Forecast(mean, torch.ones_like(mean))


def state_space(result: Any, origins: Tensor, horizon: int) -> Forecast:
    """Forecasts from every origin of a series that a state-space model of statsmodels has filtered,
    with NaN where nothing was observed, and with parameters of the past.

    With the state's mean a and covariance P as predicted for the origin, the design Z, transition T
    and noise R Q R': mean Z a and variance Z P Z', then a -> T a and P -> T P T' + R Q R'.
    """
    design, transition = result.model.ssm["design"], result.model.ssm["transition"]
    select, noise = result.model.ssm["selection"], result.model.ssm["state_cov"]
    added = select @ noise @ select.T
    offset = result.model.ssm["obs_intercept"].squeeze()
    places = origins.numpy()
    a = result.filter_results.predicted_state[:, places].T
    p = result.filter_results.predicted_state_cov[:, :, places].transpose(2, 0, 1)
    own = float(result.model.ssm["obs_cov"].squeeze())
    means, variances = [], []
    for _ in range(horizon):
        means.append(a @ design[0] + offset)
        variances.append(np.einsum("i,oij,j->o", design[0], p, design[0]) + own)
        a = a @ transition.T
        p = transition @ p @ transition.T + added
    stack = [torch.tensor(np.stack(column, 1)) for column in (means, variances)]
    return Forecast(stack[0], stack[1].sqrt())


def _arma(p: int, q: int) -> Candidate:
    """An ARMA(p, q) of the series less its season, as SARIMAX fits it."""

    def forecast(task: Task) -> Forecast:
        from statsmodels.tsa.api import SARIMAX

        x = task.seen.x.numpy()
        fitted = _fit(SARIMAX(x[: task.seen.past], order=(p, 0, q)))
        return state_space(fitted.apply(x), task.origins, task.horizon)

    return forecast


def _ets(damped_trend: bool) -> Candidate:
    """Exponential smoothing of the values as they are, season and all; it begins with the mean and
    the season of the past.
    """

    def forecast(task: Task) -> Forecast:
        from statsmodels.tsa.statespace.exponential_smoothing import ExponentialSmoothing

        center = task.seen.center / task.seen.scale
        x = (task.seen.x + center).numpy()
        begin: dict[str, Any] = {"initial_level": float(center.mean())}
        if damped_trend:
            begin["initial_trend"] = 0.0
        if task.seasonal:
            # The library wants the season latest first: its last number is that of the first entry.
            season = center[: task.period].flip(0) - center[: task.period].mean()
            begin |= {"seasonal": task.period, "initial_seasonal": season.numpy()}

        def model(values: np.ndarray) -> Any:
            return ExponentialSmoothing(
                values,
                trend=damped_trend,
                damped_trend=damped_trend,
                initialization_method="known",  # "estimated" fails where first values are missing
                concentrate_scale=False,  # else the variance is that of all that it ever reads
                **begin,
            )

        early = model(x[: task.seen.past])
        begin_fit = [*early.start_params[:-1], 1.0]  # theirs for the variance is NaN if x has one
        fitted = model(x).filter(_fit(early, begin_fit).params)
        mean, std = state_space(fitted, task.origins, task.horizon)
        return Forecast(mean - ahead(center, task.origins, task.horizon), std)

    return forecast


def _fit(model: Any, start: Sequence[float] | None = None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an optimizer that stops early: the rehearsal judges
        return model.fit(start, disp=0, maxiter=200)


CANDIDATES: dict[str, dict[str, Candidate]] = {
    "climatology": {"": climatology},
    "persistence": {"": lambda task: naive(task, 1)},
    "seasonal naive": {"": lambda task: naive(task, task.period)},
    "damped persistence": {"": _arma(1, 0)},
    "AR": {f"p = {p}": _arma(p, 0) for p in range(1, 11)},
    "ARMA": {f"p = {p}, q = {q}": _arma(p, q) for p in range(11) for q in (1, 2)},
    "ETS": {"level": _ets(False), "damped trend": _ets(True)},
}


def loss(task: Task, forecast: Forecast) -> float:
    """The mean CRPS over origins and horizons, of what was observed."""
    return float(crps_gaussian(task.truth, *forecast).nanmean())


def choose(task: Task, candidates: dict[str, Candidate]) -> str:
    """The candidate that is best in the rehearsal."""
    if len(candidates) == 1:
        return next(iter(candidates))
    trial = rehearsal(task)
    return min(candidates, key=lambda name: loss(trial, candidates[name](trial)))
