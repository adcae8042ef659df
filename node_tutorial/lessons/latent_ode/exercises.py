"""Exercises of lesson 12. A solution that is a function has the signature of the lesson's stub."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ... import odeint
from ...course.answers import Behavior, agree, array, function
from ...course.exercises import Exercise, Mistake, register


def masked_log_prob(x, mask, mean, sigma):
    x = torch.where(mask, x, 0.0)
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


def _mask_problem(answer: Behavior) -> str | None:
    """Values first; then a hidden NaN, in the value and in the gradient for the means."""
    probes = Behavior(masked_log_prob, answer.probes, answer.returns)
    if not agree(answer, probes, rtol=1e-4, atol=1e-9):
        return "Write the log-density for each entry, and add up those that are observed."
    x, mask, mean, sigma = _case([1.0, math.nan], [True, False], [0.0, 0.0], 0.3)
    mean.requires_grad_(True)
    value = torch.as_tensor(answer(x, mask, mean, sigma))
    if not value.isfinite():
        return (
            "Right where hidden entries are numbers. Where x is NaN, your value is NaN: NaN * 0 is "
            "NaN. Choose by the mask, do not multiply by it."
        )
    if not value.requires_grad:  # no tensor, or no graph: there is no gradient to be wrong
        return None
    (gradient,) = torch.autograd.grad(value, mean)
    if not gradient.isfinite().all():
        return (
            "The value is right, and its gradient is NaN where x is: `torch.where` at the end "
            "hides the NaN going forward, but going backward 0 times NaN is NaN. "
            "Nothing may be computed with a hidden x: put a number in its place first."
        )
    return None


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
                "sigma squared",
                lambda x, mask, mean, sigma: _entries(x, mean, sigma**2)[mask].sum(),
                "You treat σ² as the standard deviation. σ is that; `Normal` wants it, too.",
            ),
            Mistake(
                "minus",
                lambda x, mask, mean, sigma: -_entries(x, mean, sigma)[mask].sum(),
                "That is minus the log-likelihood, what a training makes small.",
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
            "`torch.where(mask, entries, 0.0).sum()` leaves out what is hidden. "
            "If x may be NaN there, replace it in the same way before you compute.",
        ],
        otherwise="Write the log-density for each entry, and add up those that are observed.",
        check=_mask_problem,
        meaning=(
            "The mask decides which terms exist. A hidden NaN spoils neither the value nor the "
            "gradient, since nothing is computed with it. (`entries * mask` would give NaN; "
            "`torch.where` at the end only, a right value and a gradient of NaN.) A series with "
            "few observations has a short sum, and the KL term then weighs more: the posterior "
            "stays near the prior, and the band is wide."
        ),
    )
)


def coverage(paths, truth):
    low, high = torch.quantile(paths, torch.tensor([0.05, 0.95], dtype=paths.dtype), dim=0)
    return ((low < truth) & (truth < high)).double().mean()


def _paths(shape: tuple[int, ...], skew: float) -> Tensor:
    """101 paths, so that the quantiles are entries: no rule of interpolation decides."""
    level = torch.linspace(0, 1, 101, dtype=torch.float64)
    order = torch.randperm(101, generator=torch.Generator().manual_seed(3))
    spread = (level**skew)[order].reshape(-1, *[1] * len(shape))
    size = 1 + torch.arange(math.prod(shape), dtype=torch.float64).reshape(shape) / 10
    return spread * size


def _truth(shape: tuple[int, ...], skew: float, levels: Sequence[float]) -> Tensor:
    """Values at those levels of `_paths`, one after another."""
    size = 1 + torch.arange(math.prod(shape), dtype=torch.float64).reshape(shape) / 10
    cycle = torch.tensor(levels, dtype=torch.float64).repeat(math.prod(shape))
    return size * cycle[: math.prod(shape)].reshape(shape) ** skew


def _share_between(low: float, high: float) -> Callable[[Tensor, Tensor], Tensor]:
    def share(paths: Tensor, truth: Tensor) -> Tensor:
        ends = paths.quantile(torch.tensor([low, high], dtype=paths.dtype), dim=0)
        return ((ends[0] < truth) & (truth < ends[1])).double().mean()

    return share


_nine_of_ten = _share_between(0.05, 0.95)
# Levels of the truth that tell the mistakes apart: two are beyond the ends of all paths.
_LEVELS = (0.033, 0.073, 0.215, 0.505, 0.735, 0.877, 0.923, 0.967, 1.07, 1.2)

register(
    Exercise(
        "12.2",
        "Is the promise kept?",
        kind=function(
            (_paths((10,), 1.0), _truth((10,), 1.0, _LEVELS)),
            (_paths((3, 4, 2), 2.5), _truth((3, 4, 2), 2.5, _LEVELS[::-1])),
        ),
        solution=coverage,
        mistakes=[
            Mistake(
                "from the lowest to the highest path",
                lambda paths, truth: (
                    ((paths.amin(0) < truth) & (truth < paths.amax(0))).double().mean()
                ),
                "You take all paths, from the lowest to the highest. The band is to leave out one "
                "of ten draws.",
            ),
            Mistake(
                "one of ten left out at each side",
                _share_between(0.1, 0.9),
                "You leave out one of ten at each side: that band promises eight of ten.",
            ),
            Mistake(
                "one band for all times",
                lambda paths, truth: (
                    ((paths.quantile(0.05) < truth) & (truth < paths.quantile(0.95)))
                    .double()
                    .mean()
                ),
                "You take one band for all times and numbers together. Each has its own: give "
                "`quantile` the dimension of the draws.",
            ),
            Mistake(
                "one side only",
                lambda paths, truth: (truth < paths.quantile(0.95, dim=0)).double().mean(),
                "You test one side. A value below the band is outside of it, too.",
            ),
            Mistake(
                "mean and standard deviation",
                lambda paths, truth: ((truth - paths.mean(0)).abs() < paths.std(0)).double().mean(),
                "Mean plus or minus one standard deviation holds two thirds of a Gaussian, "
                "not nine of ten of the draws.",
            ),
            Mistake(
                "percent",
                lambda paths, truth: 100 * _nine_of_ten(paths, truth),
                "That is in percent. Give the share, between 0 and 1.",
            ),
            Mistake(
                "the number, not the share",
                lambda paths, truth: _nine_of_ten(paths, truth) * truth.numel(),
                "You count how many are inside. Divide by how many there are.",
            ),
            Mistake(
                "outside",
                lambda paths, truth: 1 - _nine_of_ten(paths, truth),
                "That is the share outside of the band.",
            ),
        ],
        hints=[
            "For each time: between which two values do nine of ten paths lie, leaving out as many "
            "above as below?",
            "`torch.quantile(paths, q, dim=0)` goes through the draws, for each time by itself.",
            "The mean of a tensor of True and False, as numbers, is a share: "
            "`inside.double().mean()`.",
        ],
        otherwise=(
            "The share of the entries of `truth` that lie between the 5 % and the 95 % quantile of "
            "the paths at their place."
        ),
        meaning=(
            "This is all that it takes to check a band, of any model, wherever the truth becomes "
            "known later. It judges many series: nine of ten truths of *one* path at one time mean "
            "little, since neighboring times are right or wrong together."
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
                "minus log p",
                lambda rate, t, end: _integral(rate, end) - rate(t).log().sum(),
                "That is minus log p, what a training makes small.",
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


def state_after(func, cell, t, x, h):
    h = cell(x[0], h)
    for i in range(1, len(t)):
        h = odeint(func, h, t[i - 1 : i + 1])[-1]
        h = cell(x[i], h)
    return h


def _moved(func: Callable, h: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """h of time begin, at time end."""
    return odeint(func, h, torch.stack([begin, end]))[-1]


def _jump_before_move(func, cell, t, x, h):
    for i in range(len(t) - 1):
        h = _moved(func, cell(x[i], h), t[i], t[i + 1])
    return h


def _moved_first(func, cell, t, x, h):
    for i in range(1, len(t)):
        h = cell(x[i], _moved(func, h, t[i - 1], t[i]))
    return h


def _never_moves(func, cell, t, x, h):
    for value in x:
        h = cell(value, h)
    return h


def _one_euler_step(func, cell, t, x, h):
    h = cell(x[0], h)
    for i in range(1, len(t)):
        h = cell(x[i], h + (t[i] - t[i - 1]) * func(t[i - 1], h))
    return h


def _clock_restarts(func, cell, t, x, h):
    h = cell(x[0], h)
    for i in range(1, len(t)):
        h = cell(x[i], _moved(func, h, torch.zeros_like(t[0]), t[i] - t[i - 1]))
    return h


def _from_the_start(func, cell, t, x, h):
    first = h = cell(x[0], h)
    for i in range(1, len(t)):
        h = cell(x[i], _moved(func, first, t[i - 1], t[i]))
    return h


def _reads_backward(func, cell, t, x, h):
    return state_after(func, cell, t, x.flip(0), h)


def _turning(t: Tensor, h: Tensor) -> Tensor:
    return torch.stack([h[1] - 0.3 * h[0], -h[0]]) * (1 + 0.8 * torch.cos(t))


def _mixing(x: Tensor, h: Tensor) -> Tensor:
    return 0.5 * h + torch.tanh(x + 0.3 * h.flip(0))


def _decay(t: Tensor, h: Tensor) -> Tensor:
    return -h


def _adding(x: Tensor, h: Tensor) -> Tensor:
    return h + x


def _numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


register(
    Exercise(
        "12.4",
        "A state that moves and jumps",
        kind=function(
            (
                _decay,
                _adding,
                _numbers(0.0, 0.7, 1.0),
                _numbers(1.0, 2.0, -1.0)[:, None],
                _numbers(0.5),
            ),
            (
                _turning,
                _mixing,
                _numbers(0.4, 0.5, 1.7, 2.9),
                torch.stack([_numbers(1.0, -0.5, 0.3, 2.0), _numbers(0.2, 0.9, -1.0, 0.1)], 1),
                _numbers(0.6, -0.4),
            ),
            returns=array((None,), "the state, a tensor of the shape of h"),
        ),
        solution=state_after,
        rtol=2e-3,
        atol=1e-4,
        mistakes=[
            Mistake(
                "the last reading left out",
                _jump_before_move,
                "The last observation is never read: after the last move comes one more jump.",
            ),
            Mistake(
                "the first reading left out",
                _moved_first,
                "The first observation is never read: the cell reads it before the first move.",
            ),
            Mistake(
                "no move",
                _never_moves,
                "Your state waits between the observations. That is an RNN without time: "
                "`func` is not used.",
            ),
            Mistake(
                "one Euler step",
                _one_euler_step,
                "One Euler step for each gap is too coarse. Let `odeint` take as many steps as it "
                "needs.",
            ),
            Mistake(
                "the clock restarts",
                _clock_restarts,
                "You solve from 0 to the gap. `func` may depend on t: solve from t[i - 1] to t[i].",
            ),
            Mistake(
                "each move from the first state",
                _from_the_start,
                "Each move begins where the last jump ended. Yours begins at the first state, "
                "so that what was read in between is lost.",
            ),
            Mistake(
                "values in reverse order",
                _reads_backward,
                "The values come in reverse order, the times do not.",
            ),
        ],
        hints=[
            "Read, move, read, move, .., read: one reading more than there are moves.",
            "A move from t[i - 1] to t[i]: `odeint(func, h, t[i - 1 : i + 1])[-1]`.",
            "A reading: `h = cell(x[i], h)`.",
        ],
        otherwise=(
            "The state jumps at each observation, h = cell(x[i], h), and from each to the next it "
            "solves dh/dt = func(t, h). The answer is the state after the last jump."
        ),
        meaning=(
            "That is the whole of algorithm 1 of Rubanova et al. A prediction for any time is "
            "out(h) on the way there. With func = 0 it is an RNN, without the cell an ODE."
        ),
    )
)
