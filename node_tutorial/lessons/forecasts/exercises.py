"""Exercises of lesson 23: a band that must grow, a leak, and a forecast that beats two rivals."""

import math

import numpy as np
import torch

from ...course.answers import Behavior, Kind, WrongKind, array, function
from ...course.exercises import Exercise, Mistake, register
from ...data.forecast_scores import ahead
from . import alarm_exercises  # noqa: F401  (it registers 23.1 and 23.3)
from .tasks import task


def coverage(phi, h):
    # Errors have the variance 1 + phi^2 + .. + phi^(2 (h - 1)), the band is made for 1.
    variance = sum(phi ** (2 * k) for k in range(h))
    return math.erf(1.96 / math.sqrt(2 * variance))


def _within(variance):
    return lambda phi, h: math.erf(1.96 / math.sqrt(2 * variance(phi, h)))


register(
    Exercise(
        "23.2",
        "What a band of one width holds",
        kind=function((0.9, 1), (0.9, 5), (0.9, 20), (0.5, 3), (-0.8, 4)),
        solution=coverage,
        rtol=5e-4,
        mistakes=[
            Mistake(
                "a constant band keeps its promise",
                lambda phi, h: math.erf(1.96 / math.sqrt(2)),
                "That is what it holds one step ahead. Further ahead the error has collected more "
                "innovations than one.",
            ),
            Mistake(
                "a random walk",
                _within(lambda phi, h: h),
                "You add the innovations without damping. An innovation of k steps ago has shrunk "
                "by phi, k times.",
            ),
            Mistake(
                "the climate's variance",
                _within(lambda phi, h: 1 / (1 - phi**2)),
                "That is the limit of far horizons. How much of it has been collected after h "
                "steps?",
            ),
            Mistake(
                "one term too many",
                _within(lambda phi, h: sum(phi ** (2 * k) for k in range(h + 1))),
                "One innovation too many: one step ahead there is a single one, and the band holds "
                "0.95.",
            ),
            Mistake(
                "phi not squared",
                _within(lambda phi, h: abs(sum(phi**k for k in range(h)))),
                "You add standard deviations. Variances of independent innovations add.",
            ),
            Mistake(
                "variance in place of its root",
                lambda phi, h: math.erf(
                    1.96 / math.sqrt(2) / sum(phi ** (2 * k) for k in range(h))
                ),
                "The band is a length: compare it with the standard deviation of the error, not "
                "with its variance.",
            ),
            Mistake(
                "root of two left out",
                lambda phi, h: math.erf(1.96 / math.sqrt(sum(phi ** (2 * k) for k in range(h)))),
                "P(|z| < k) is erf(of what)? Try h = 1, where 0.95 must come out.",
            ),
            Mistake(
                "the growing band",
                lambda phi, h: math.erf(
                    1.96 * math.sqrt(sum(phi ** (2 * k) for k in range(h)) / 2)
                ),
                "Yours grows with h, but a band of one width holds less and less: the standard "
                "deviation belongs below.",
            ),
        ],
        hints=[
            "The error h steps ahead is a sum of h innovations. What has become of each by then?",
            "Its variance is 1 + phi^2 + phi^4 + .., h terms.",
            "P(|error| < 1.96) is erf(1.96 / (sqrt(2) std)), with std the root of that sum.",
        ],
        otherwise="Start with h = 1, which must give 0.95; then ask for the variance of the error "
        "two steps ahead.",
        meaning="For phi = 0.9 it falls from 95 % to 61 % twenty steps ahead, and hardly further: "
        "the variance has a limit. A band must grow with the horizon up to the climate's, not "
        "forever.",
    )
)


# -- 23.4: a forecaster is a function (x, n) -> 12 values, which may not depend on x[n:] ---------


def leaks(f, x, n):
    spoiled = x.clone()
    spoiled[n:] = torch.randn(len(x) - n)  # another future
    return bool((f(spoiled, n) != f(x, n)).any())


def _last(x, n):
    return x[n - 1].repeat(12)


def _season(x, n):
    return x[n - 12 : n]


def _zero(x, n):
    return torch.zeros(12)


def _scaled_by_the_past(x, n):
    return x[:n].mean() + 0.5 * (x[n - 1] - x[:n].mean()).repeat(12)


def _by_place(x, n):
    return torch.full((12,), float(n % 12))


def _ahead(forecaster):
    """Says what is wrong where the future is cut off."""

    def ahead_of(x, n):
        if len(x) < n + 13:
            raise ValueError(
                "this forecaster asks for what is not there yet, so it leaks, but your test must "
                "say so: keep the length of x, and put other numbers into x[n:]"
            )
        return forecaster(x, n)

    return ahead_of


@_ahead
def _smooth(x, n):
    return torch.stack([x[k - 2 : k + 3].mean() for k in range(n, n + 12)])


@_ahead
def _interpolate(x, n):
    return x[n - 1] + (x[n + 12] - x[n - 1]) * torch.arange(1, 13) / 13


def _scaled_by_all(x, n):
    return x.mean() + 0.5 * (x[n - 1] - x.mean()).repeat(12)


@_ahead
def _order(x, n):
    return x[n - 1] + 0.01 * x[n:].argsort()[:12]


@_ahead
def _slight(x, n):
    return x[n - 1].repeat(12) + 0.01 * x[n + 7]


@_ahead
def _late(x, n):
    return torch.cat([x[n - 1].repeat(11), x[n + 11 : n + 12]])


HONEST = (_last, _season, _zero, _scaled_by_the_past, _by_place)


@_ahead
def _next(x, n):
    return x[n - 1].repeat(12) + 0.5 * (x[n] - x[n - 1])


LEAKING = (_smooth, _interpolate, _scaled_by_all, _order, _slight, _late, _next)
_SERIES = torch.sin(torch.arange(60.0) / 3) + torch.cos(torch.arange(60.0) ** 2)


def _truth(answer):
    if isinstance(answer, (torch.Tensor, np.ndarray)) and math.prod(answer.shape) != 1:
        raise WrongKind("expected True or False, got more than one of them; use .any().")
    try:
        value = float(answer)
    except (TypeError, ValueError):
        value = math.nan
    if value not in (0.0, 1.0):
        raise WrongKind(f"expected True or False, got {type(answer).__name__}.")
    return value


_TRUTH = Kind(_truth, "True or False", ["a text", [1.0, 2.0], 3.0])


def _changed(change, compare=lambda a, b: (a != b).any()):
    """A wrong test: of forecasts from x and from a changed x."""

    def wrong(forecaster, x, n):
        return bool(compare(forecaster(change(x.clone(), n), n), forecaster(x, n)))

    return wrong


def _another_future(x, n):
    x[n:] = x[n:].flip(0) - 2 * torch.arange(len(x) - n) ** 2
    return x


def _other(x, n):
    x[n:] = x[n:].flip(0)
    return x


def _next_only(x, n):
    x[n] += 1
    return x


def _everything(x, n):
    return x + torch.arange(1.0, len(x) + 1)


def _shifted(x, n):
    x[n:] += 1
    return x


def _too_good(forecaster, x, n):
    return bool((forecaster(x, n) - x[n : n + 12]).square().mean() < 0.5)


register(
    Exercise(
        "23.4",
        "Find the leak",
        kind=function(
            *((one, _SERIES, 30) for one in (*HONEST, *LEAKING)), returns=_TRUTH, wanted="your test"
        ),
        solution=leaks,
        mistakes=[
            Mistake(
                "only the next value is changed",
                _changed(_next_only),
                "You change x[n] alone. A leak may look further ahead: change all of x[n:].",
            ),
            Mistake(
                "the past is changed, too",
                _changed(_everything),
                "You accuse honest forecasters: yours also changes the past, x[:n], which they may "
                "use.",
            ),
            Mistake(
                "a shift of the whole future",
                _changed(_shifted),
                "You change the future too little, or all of it by one number. A forecaster that "
                "looks which month will be the warmest does not notice. Put quite other numbers "
                "there, unlike each other.",
            ),
            Mistake(
                "the first value only",
                _changed(_another_future, lambda a, b: a[0] != b[0]),
                "You compare one of the twelve values. One forecaster leaks in its last one only.",
            ),
            Mistake(
                "loosely compared",
                _changed(_other, lambda a, b: (a - b).abs().max() > 0.05),
                "A slight leak gets past you. An honest forecast does not change at all: compare "
                "exactly.",
            ),
            Mistake(
                "no copy",
                lambda forecaster, x, n: False,
                "Yours never finds a leak. Did you change x itself, so that you compare two equal "
                "forecasts? Copy it first: `x.clone()`. Or did you compare with what came? A leak "
                "need not give that back: change the future, and see whether the forecast moves.",
            ),
            Mistake(
                "everybody",
                lambda forecaster, x, n: True,
                "Yours accuses everybody, also who says zero whatever x is.",
            ),
            Mistake(
                "too good to be true",
                _too_good,
                "You judge by the error. A forecaster may leak and be bad, or be good and honest. "
                "Ask what its forecast depends on.",
            ),
        ],
        hints=[
            "A forecast made at n cannot depend on what comes from n on. So what happens to it if "
            "that is replaced?",
            "Copy x (`x.clone()`), put random numbers into `x[n:]` of the copy, and forecast both.",
            "Leaks may be late or slight: change all of x[n:], and compare exactly, all twelve "
            "values.",
        ],
        otherwise="Some are judged wrongly. Do you change all of x[n:], nothing of x[:n], and "
        "compare all twelve values exactly?",
        meaning="One of them only took its mean from the whole series, one only smoothed: these "
        "two leaks are easily made, and no error that is too good gives them away. The test is "
        "three lines; run it on every forecaster of yours.",
    )
)


# -- 23.5: beat persistence and climatology -----------------------------------------------------


_TWELVE = array((12,), "twelve numbers, one for each month ahead")
_HISTORY = (torch.sin(torch.arange(90) / 7) + torch.cos(torch.arange(90) ** 2 / 3)).double()


def forecast(history):
    # Damped persistence: as far as the last value, less and less.
    phi = (history[1:] * history[:-1]).sum() / history[:-1].square().sum()
    return phi ** torch.arange(1, 13) * history[-1]


def _factor(history):
    return (history[1:] * history[:-1]).sum() / history[:-1].square().sum()


def _errors(answer: Behavior) -> tuple[torch.Tensor, torch.Tensor]:
    todo = task("El Nino")
    origins = todo.origins
    made = [torch.as_tensor(_TWELVE(answer(todo.seen.x[:n].clone()))) for n in origins.tolist()]
    error = torch.stack(made) - ahead(todo.full, origins, 12)
    rivals = torch.stack([todo.full[origins - 1][:, None] - ahead(todo.full, origins, 12)])
    return error, torch.cat([rivals, -ahead(todo.full, origins, 12)[None]])


# Over the better rival at each month damped persistence has 0.94 in the mean and 0.99 at most with
# phi of the first half, 0.96 and 1.025 with that of each history. The better rival itself has 1.
_MEAN_RATIO, _MOST_RATIO = 0.97, 1.03


def _beats_both(answer: Behavior) -> str | None:
    """Its RMSE over the smaller one of the two, in the mean over the horizons and at most."""
    error, rivals = _errors(answer)
    mine = error.square().mean(0).sqrt()
    persistence, climatology = rivals.square().mean(1).sqrt()
    if not mine.isfinite().all():
        return "Some of your forecasts are not finite."
    lost = []
    for name, rival in (("persistence", persistence), ("climatology", climatology)):
        months = [str(h + 1) for h in range(12) if mine[h] > _MOST_RATIO * rival[h]]
        if months:
            lost.append(f"to {name} at {', '.join(months)}")
    if lost:
        return (
            f"You lose {'; '.join(lost)} months ahead. One month ahead your RMSE is "
            f"{float(mine[0]):.2f}, a year ahead {float(mine[-1]):.2f} (in units of the past)."
        )
    ratio = float((mine / torch.minimum(persistence, climatology)).mean())
    if ratio > _MEAN_RATIO:
        return (
            f"You lose to neither, but hardly beat them: the mean ratio is {ratio:.3f}. Between "
            "the two ends both rivals are wrong. What is right there?"
        )
    return None


register(
    Exercise(
        "23.5",
        "Beat two rivals at once",
        kind=function((_HISTORY,), (_HISTORY[:70],), returns=_TWELVE, wanted="your forecast"),
        solution=forecast,
        check=_beats_both,
        mistakes=[
            Mistake(
                "horizons from 0",
                lambda history: _factor(history) ** torch.arange(12) * history[-1],
                "Your first forecast is not damped: the horizons are 1 to 12, not 0 to 11.",
            ),
            Mistake(
                "persistence",
                lambda history: history[-1].repeat(12),
                "That is persistence itself. It loses to climatology far ahead: the last value is "
                "forgotten by then.",
            ),
            Mistake(
                "climatology",
                lambda history: torch.zeros(12),
                "That is climatology itself. It loses to persistence near the origin: it does not "
                "look at the last value.",
            ),
            Mistake(
                "the mean of the history",
                lambda history: history.mean().repeat(12),
                "That is climatology again, with a mean that moves. Near the origin the last value "
                "says more.",
            ),
            Mistake(
                "one factor for all horizons",
                lambda history: _factor(history) * history[-1].repeat(12),
                "You damp all horizons alike. The memory of the last value fades month by month.",
            ),
            Mistake(
                "a line through the last two",
                lambda history: history[-1] + (history[-1] - history[-2]) * torch.arange(1, 13),
                "A line runs away: twelve steps along the slope of one month.",
            ),
            Mistake(
                "the better rival at each month",
                lambda history: torch.cat([history[-1].repeat(6), torch.zeros(6)]),
                "That is the better rival at each month, so you tie with it and beat neither. The "
                "last value is not forgotten from one month to the next: it fades.",
            ),
            Mistake(
                "the last year again",
                lambda history: history[-12:],
                "The season is subtracted already: what the last year had beyond it does not come "
                "back.",
            ),
        ],
        hints=[
            "Near the origin persistence is hard to beat, far from it climatology. Which forecast "
            "is like the one there and like the other here?",
            "Multiply the last value by a factor that falls with the horizon, from nearly 1 to "
            "nearly 0.",
            "`phi ** torch.arange(1, 13) * history[-1]`, where phi is the correlation of a month "
            "with the month before.",
        ],
        meaning="Do not stop here: the twelfth month ahead is a tie with climatology, and whoever "
        "tries twenty recipes against one test part has begun to fit it. Settings are chosen in a "
        "rehearsal.",
    )
)
