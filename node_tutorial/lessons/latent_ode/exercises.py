"""Exercises of lesson 12. A solution that is a function has the signature of the lesson's stub."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ... import odeint
from ...course.answers import array, function
from ...course.exercises import Exercise, Mistake, register


def masked_log_prob(x, mask, mean, sigma):
    entries = -(((x - mean) / sigma) ** 2) / 2 - math.log(sigma) - math.log(2 * math.pi) / 2
    return torch.where(mask, entries, 0.0).sum()


def _entries(x: Tensor, mean: Tensor, sigma: float) -> Tensor:
    return -(((x - mean) / sigma) ** 2) / 2 - math.log(sigma) - math.log(2 * math.pi) / 2


def _case(
    x: Sequence, mask: Sequence, mean: Sequence, sigma: float
) -> tuple[Tensor, Tensor, Tensor, float]:
    """Arguments of `masked_log_prob`, from lists."""
    observed = torch.tensor(x, dtype=torch.float64)
    return observed, torch.tensor(mask), torch.tensor(mean, dtype=torch.float64), sigma


register(
    Exercise(
        "12.1",
        "The log-likelihood of what was observed",
        kind=function(
            _case([1.0, 7.0, -0.5, 7.0], [True, False, True, False], [0.8, 0.3, -0.1, 2.0], 0.3),
            _case(
                [[0.2, 0.0], [0.0, 1.5]],
                [[True, False], [False, True]],
                [[0.0, 1.0], [0.4, 1.0]],
                0.7,
            ),
        ),
        solution=masked_log_prob,
        mistakes=[
            Mistake(
                "no mask",
                lambda x, mask, mean, sigma: _entries(x, mean, sigma).sum(),
                "You count all entries. Where the mask is False, x means nothing.",
            ),
            Mistake(
                "zero instead of nothing",
                lambda x, mask, mean, sigma: _entries(torch.where(mask, x, 0.0), mean, sigma).sum(),
                "You set x to 0 where it is hidden, and then count it as if 0 had been observed. "
                "Mask the logarithms.",
            ),
            Mistake(
                "no error, but still a term",
                lambda x, mask, mean, sigma: _entries(
                    torch.where(mask, x, mean), mean, sigma
                ).sum(),
                "The squares are masked, but hidden entries still count with -log σ - log(2π) / "
                "2. Mask the whole.",
            ),
            Mistake(
                "a mean",
                lambda x, mask, mean, sigma: _entries(x, mean, sigma)[mask].mean(),
                "You take a mean over the observed entries. "
                "Log-likelihoods of independent entries add up.",
            ),
            Mistake(
                "constant forgotten",
                lambda x, mask, mean, sigma: (
                    -(((x - mean) / sigma) ** 2)[mask].sum() / 2 - mask.sum() * math.log(sigma)
                ),
                "Nearly. The density of a Gaussian has the factor 1 / sqrt(2π), too.",
            ),
            Mistake(
                "sigma forgotten",
                lambda x, mask, mean, sigma: (_entries(x, mean, sigma) + math.log(sigma))[
                    mask
                ].sum(),
                "The density of a Gaussian has the factor 1 / σ. Without it, "
                "a large σ would cost nothing.",
            ),
        ],
        hints=[
            "First write the logarithm of the density for every entry, "
            "as if all had been observed.",
            "log N(x; m, σ²) = -(x - m)² / (2σ²) - log σ - log(2π) / 2.",
            "`torch.where(mask, entries, 0.0).sum()` leaves out what is hidden.",
        ],
        otherwise="Write the log-density for each entry, and add up those that are observed.",
        meaning=(
            "The mask decides which terms exist. `torch.where` is safer than `entries * mask`: "
            "where x is NaN, NaN * 0 is still NaN. A series with few observations has a short "
            "sum, and the KL term then weighs more: the posterior stays near the prior, and "
            "the band is wide."
        ),
    )
)


def first_weights() -> list[float]:
    forward = backward = 0.0
    # Observation 0 is read first when reading forward, last when reading backward.
    for place in range(10):
        forward = 0.8 * forward + 0.2 * (place == 0)
        backward = 0.8 * backward + 0.2 * (place == 9)
    return [forward, backward]


register(
    Exercise(
        "12.2",
        "Why the encoder reads backward",
        kind=array(2, "two numbers: [weight when reading forward, weight when reading backward]"),
        solution=first_weights,
        rtol=0.01,
        mistakes=[
            Mistake(
                "swapped",
                [0.2, 0.2 * 0.8**9],
                "Swapped: what is read last has been forgotten least. Which observation is read "
                "last, going backward?",
            ),
            Mistake(
                "one step of forgetting too many",
                [0.2 * 0.8**10, 0.2 * 0.8],
                "One factor too many: of an observation that was just read nothing is forgotten, "
                "its weight is 0.2.",
            ),
            Mistake(
                "the factor 0.2 left out",
                [0.8**9, 1.0],
                "That is what is left of it. It entered with the factor 0.2.",
            ),
            Mistake(
                "no forgetting",
                [0.2, 0.2],
                "Each later observation multiplies what is there by 0.8. How many are later, "
                "in each direction?",
            ),
        ],
        hints=[
            "Write the rule down for three observations, and multiply out.",
            "The observation that was read k steps before the end has been "
            "multiplied by 0.8 k times.",
            "Going forward, nine observations are read after the first one. Going backward, none.",
        ],
        otherwise=(
            "Follow one observation: it enters with 0.2, "
            "and each one read after it multiplies by 0.8."
        ),
        meaning=(
            "Near t = 0 the backward reader knows seven times as much, and z(0) is what we "
            "ask for. A GRU can learn to forget less, so that this is a head start and no "
            "law. An encoder that reads forward is natural where the latent of the *last* "
            "time is asked for."
        ),
    )
)


def log_prob(rate, t, end):
    integral = odeint(
        lambda s, y: rate(s), torch.zeros((), dtype=torch.float64), torch.tensor([0.0, end])
    )[-1]
    return rate(t).log().sum() - integral


def _integral(rate: Callable[[Tensor], Tensor], end: float) -> Tensor:
    s = torch.linspace(0, end, 2001, dtype=torch.float64)
    return torch.trapezoid(rate(s), s)


def _growing(t: Tensor) -> Tensor:
    return 0.5 + 0.4 * t


def _waving(t: Tensor | float) -> Tensor:
    if not isinstance(t, Tensor):  # one keeps its precision
        t = torch.tensor(t, dtype=torch.float64)
    return 2.0 + 1.5 * torch.sin(t)


register(
    Exercise(
        "12.3",
        "The log-density of events",
        kind=function(
            (_growing, torch.tensor([1.0, 2.5, 4.0], dtype=torch.float64), 6.0),
            (_waving, torch.tensor([0.5, 1.0, 2.0, 7.5], dtype=torch.float64), 9.0),
        ),
        solution=log_prob,
        rtol=1e-3,
        mistakes=[
            Mistake(
                "the integral left out",
                lambda rate, t, end: rate(t).log().sum(),
                "The chance that nothing happened in all the other time is missing. Without it, a "
                "huge rate is best.",
            ),
            Mistake(
                "integral up to the last event",
                lambda rate, t, end: rate(t).log().sum() - _integral(rate, float(t[-1])),
                "You integrate up to the last event. The time from there to `end`, in which "
                "nothing happened, counts.",
            ),
            Mistake(
                "sign",
                lambda rate, t, end: rate(t).log().sum() + _integral(rate, end),
                "The sign of the integral: the chance of no event is exp(-integral).",
            ),
            Mistake(
                "no logarithm",
                lambda rate, t, end: rate(t).sum() - _integral(rate, end),
                "It is a log-density: the rates at the events are multiplied, "
                "so their logarithms add up.",
            ),
            Mistake(
                "rate at the end times the time",
                lambda rate, t, end: rate(t).log().sum() - rate(torch.tensor(end)) * end,
                "rate(end) * end is the integral of a constant rate only.",
            ),
        ],
        hints=[
            "Two parts: something about the events, and something about all the time in "
            "which there was none.",
            "The second part is an integral from 0 to end: an ODE with the right-hand side "
            "rate(t), from 0.",
            "`odeint(lambda s, y: rate(s), torch.zeros((), dtype=torch.float64), "
            "torch.tensor([0.0, end]))[-1]`",
        ],
        otherwise=(
            "Try what you can do by hand: a constant rate, and no event at all. "
            "What is the chance of that?"
        ),
        meaning=(
            "The solver finds the integral at the accuracy that you ask for. In a latent ODE "
            "the rate depends on z, and the integral is one more entry of the same state: "
            "one solve gives both."
        ),
    )
)


def table_ratios() -> list[float]:
    rnn = [0.3937, 0.3202, 0.1813]
    latent_ode = [0.1642, 0.1502, 0.1346]
    return [a / b for a, b in zip(rnn, latent_ode)]


_RNN = np.array([0.3937, 0.3202, 0.1813])
_LATENT = np.array([0.1642, 0.1502, 0.1346])

register(
    Exercise(
        "12.4",
        "The paper's advantage",
        kind=array(3, "three numbers, for 30, 50 and 100 observations"),
        solution=table_ratios,
        rtol=4e-3,
        mistakes=[
            Mistake(
                "upside down",
                _LATENT / _RNN,
                "Upside down: how many times as large is the RNN's error?",
            ),
            Mistake(
                "differences",
                _RNN - _LATENT,
                "Those are differences. A factor does not depend on the unit of x.",
            ),
            Mistake(
                "squares",
                (_RNN / _LATENT) ** 2,
                "Those are ratios of mean squares. The table has their roots.",
            ),
            Mistake(
                "reversed",
                (_RNN / _LATENT)[::-1].copy(),
                "The right numbers in reverse order: 30 comes first.",
            ),
            Mistake(
                "percent",
                100 * (_RNN / _LATENT - 1),
                "Those are percentages by which it is larger. Give the factors themselves.",
            ),
        ],
        hints=[
            "Divide the RNN's row of the table by the latent ODE's.",
            "`torch.tensor([0.3937, ...]) / torch.tensor([0.1642, ...])`",
        ],
        otherwise=(
            "For each of the three columns: the RNN's error divided by that of the latent ODE."
        ),
        meaning=(
            "The fewer the observations, the more the prior knowledge helps that the points lie on "
            "one smooth path of one autonomous field. With 100 of 100 the advantage is a third. "
            "Compare the factors measured here."
        ),
    )
)
