"""Exercises of lesson 16: score, reverse step, loss floor, DDIM step, signal left."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ...course.answers import Behavior, array, function
from ...course.exercises import Exercise, Mistake, register

# Of a mixture: weights, means, standard deviations.
_HUMPS = (
    torch.tensor([0.3, 0.7], dtype=torch.float64),
    torch.tensor([-1.0, 1.5], dtype=torch.float64),
    torch.tensor([0.2, 0.4], dtype=torch.float64),
)
_THREE = (
    torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64),
    torch.tensor([-2.0, 0.3, 1.0], dtype=torch.float64),
    torch.tensor([0.5, 0.1, 0.8], dtype=torch.float64),
)


def score(x, alpha, sigma, weights, means, stds):
    variances = alpha**2 * stds**2 + sigma**2
    away = x - alpha * means
    heights = weights * torch.exp(-(away**2) / (2 * variances)) / variances.sqrt()
    responsibilities = heights / heights.sum()
    return (responsibilities * -away / variances).sum()


def _of_humps(x: Tensor, weights: Tensor, means: Tensor, stds: Tensor) -> Tensor:
    """The score of a mixture without noise."""
    return score(x, 1.0, 0.0, weights, means, stds)


def _score(
    shrink_means: bool = True,
    noise: bool = True,
    power: float = 1.0,
    by_weights: bool = False,
    slope_of_p: float = 0.0,
    shrink_variances: int = 2,
    normalized: bool = True,
) -> Callable[..., Tensor]:
    """A wrong score; every flag is one mistake."""

    def wrong(x, alpha, sigma, weights, means, stds):
        variances = alpha**shrink_variances * stds**2 + (sigma**2 if noise else 0)
        away = x - (alpha if shrink_means else 1) * means
        heights = weights * torch.exp(-(away**2) / (2 * variances))
        if normalized:
            heights = heights / variances.sqrt()
        shares = weights if by_weights else heights
        total = slope_of_p or shares.sum()
        return (shares / total * -away / variances**power).sum()

    return wrong


register(
    Exercise(
        "16.1",
        "The score of a noised mixture",
        kind=function(
            (0.2, 0.6, 0.8, *_HUMPS),
            (-0.5, 0.9, 0.44, *_HUMPS),
            (0.1, 0.5, 0.3, *_THREE),
            (1.2, 0.95, 0.2, *_THREE),
        ),
        solution=score,
        mistakes=[
            Mistake(
                "weights for responsibilities",
                _score(by_weights=True),
                "You average the pulls by the weights, the same everywhere. Near one hump only "
                "that hump should pull: average by the probability that x came from it.",
            ),
            Mistake(
                "1/std for 1/variance",
                _score(power=0.5),
                "The derivative of -(x - m)**2 / (2 v) is -(x - m) / v, "
                "with the variance v and not its root.",
            ),
            Mistake(
                "means not shrunk",
                _score(shrink_means=False),
                "The humps of x_t are not where those of x_0 are: "
                "alpha shrinks their means as well.",
            ),
            Mistake(
                "noise forgotten",
                _score(noise=False),
                "Your humps are as narrow as the shrunk data. Noise widens each of them.",
            ),
            Mistake(
                "sign",
                lambda *args: -score(*args),
                "Your arrows point away from the humps. "
                "The score is the gradient of log p: it points uphill.",
            ),
            Mistake(
                "gradient of p",
                _score(slope_of_p=math.sqrt(2 * math.pi)),
                "That is p', the derivative of p. The score is that of log p, which is p' / p.",
            ),
            Mistake(
                "gradient of p, without its 2 pi",
                _score(slope_of_p=1.0),
                "That is the derivative of p, up to a factor. "
                "Divide by p: the score is that of log p, and the factor cancels.",
            ),
            Mistake(
                "no normalizer",
                _score(normalized=False),
                "Your humps are all equally high. A Gaussian's density has the factor 1 / sqrt(v): "
                "a narrow hump is a high one, and has the larger share near its mean.",
            ),
            Mistake(
                "alpha s^2",
                _score(shrink_variances=1),
                "alpha multiplies x_0, and so the standard deviation s. "
                "What does that do to the variance?",
            ),
            Mistake(
                "standard deviations added",
                lambda x, alpha, sigma, weights, means, stds: _of_humps(
                    x, weights, alpha * means, alpha * stds + sigma
                ),
                "Of independent terms the variances add, and not the standard deviations.",
            ),
        ],
        hints=[
            "alpha x_0 + sigma eps of one Gaussian is Gaussian: "
            "mean alpha m, variance alpha**2 s**2 + sigma**2.",
            "The score of one Gaussian is -(x - mean) / variance. "
            "A mixture's is an average of these, with shares that depend on x.",
            "The share of a hump is its weight times its density at x, "
            "divided by the sum of these.",
        ],
        otherwise=(
            "Compare with autograd: `log_p = (weights * normal densities).sum().log()` "
            "at an x that requires a gradient."
        ),
        meaning=(
            "An exact score, and so a denoiser without any error of learning. "
            "In D dimensions the same formula holds, and for a training set the humps have width 0."
        ),
    )
)


_LEAVE_Z_OUT = "You left the noise in. Asked is the mean of the step: leave z out, its mean is 0."


def step_back(x, score, f, g, h):
    sde = x - (f * x - g**2 * score) * h
    ode = x - (f * x - g**2 * score / 2) * h
    return torch.stack([sde, ode])


def _steps(sde: float, ode: float, power: int = 2, forward: bool = False) -> Callable[..., Tensor]:
    """A wrong step: what the scores are multiplied by."""

    def wrong(x, score, f, g, h):
        h = -h if forward else h
        return torch.stack([x - (f * x - c * g**power * score) * h for c in (sde, ode)])

    return wrong


def _draws_nothing(
    right: Callable[..., Tensor],
    probes: Sequence[tuple[Any, ...]],
    drawn: str,
    wrong: str,
) -> Callable[[Behavior], str | None]:
    """A check: called twice with the same numbers, an answer gives the same, and the right one.

    drawn: what to say if it does not; wrong: what to say of any other answer that is not right.
    """

    def check(answer: Behavior) -> str | None:
        for probe in probes:
            first, again, exact = (_flat(f(*probe)) for f in (answer, answer, right))
            if not torch.equal(first, again):
                return drawn
            if first.shape != exact.shape or not torch.allclose(first, exact, rtol=1e-4, atol=1e-9):
                return wrong
        return None

    return check


def _flat(value: Any) -> Tensor:
    return torch.as_tensor(value, dtype=torch.float64).reshape(-1)


def _as_tensors(*values: float) -> tuple[Tensor, ...]:
    return tuple(torch.tensor(value, dtype=torch.float64) for value in values)


_STEPS = (
    _as_tensors(0.7, -0.4, -2.5, 2.2, 0.05),
    _as_tensors(-1.2, 1.5, -0.4, 0.6, 0.1),
    _as_tensors(2.0, -0.1, 0.0, 3.0, 0.02),
)

register(
    Exercise(
        "16.2",
        "A step back in time",
        kind=function(
            *_STEPS,
            returns=array((2,), "two numbers: reverse SDE, probability flow"),
        ),
        solution=step_back,
        check=_draws_nothing(
            step_back,
            _STEPS,
            drawn=_LEAVE_Z_OUT,
            wrong="Two numbers, x - (...) h, with the brackets of both equations of section 3.",
        ),
        mistakes=[
            Mistake(
                "+ g^2 score",
                _steps(-1, -0.5),
                "With your sign the score pushes points away from where the density is high. "
                "Going back in time it has to gather them.",
            ),
            Mistake(
                "g^2 in both",
                _steps(1, 1),
                "The SDE also draws noise, which spreads the points; the ODE draws none. "
                "So its pull has to be weaker. By how much?",
            ),
            Mistake(
                "half in both",
                _steps(0.5, 0.5),
                "The ODE is right. The reverse SDE draws noise besides, "
                "and needs more pull against it.",
            ),
            Mistake(
                "exchanged",
                _steps(0.5, 1),
                "The two are exchanged: the one that draws noise needs the stronger pull.",
            ),
            Mistake(
                "g for g^2",
                _steps(1, 0.5, power=1),
                "Check the units: g sqrt(h) z is a length, so g**2 h score is one, and g h score "
                "is not.",
            ),
            Mistake(
                "noise without z",
                lambda x, score, f, g, h: (
                    step_back(x, score, f, g, h)
                    + torch.tensor([1.0, 0.0], dtype=torch.float64) * g * h**0.5
                ),
                _LEAVE_Z_OUT,
            ),
            Mistake(
                "h on the score only",
                lambda x, score, f, g, h: torch.stack(
                    [x + f * x * h + c * g**2 * score * h for c in (1, 0.5)]
                ),
                "dt = -h multiplies the drift, too: f x changes its sign as well.",
            ),
            Mistake(
                "half of the whole drift",
                lambda x, score, f, g, h: torch.stack(
                    [x - c * (f * x - g**2 * score) * h for c in (1, 0.5)]
                ),
                "Only the score is halved for the flow; f x is the same in both.",
            ),
            Mistake(
                "forward in time",
                _steps(1, 0.5, forward=True),
                "You went forward: dx = (...) dt with dt = +h. Back in time dt is -h.",
            ),
        ],
        hints=[
            "Reverse SDE: dx = (f x - g**2 score) dt + g dw; "
            "probability flow: dx = (f x - g**2 score / 2) dt.",
            "From t to t - h, dt is -h. The noise is left out here.",
        ],
        meaning=(
            "One family: a pull of (1 + n**2)/2 g**2 score, and noise n g sqrt(h) z. "
            "n = 0 is the flow, n = 1 the SDE; any n has the same densities."
        ),
    )
)


def best_loss(s):
    # At time t the best guess leaves alpha^2 s^2 / (alpha^2 s^2 + sigma^2) of eps's variance 1;
    # its mean over t, with alpha = cos(pi t / 2), sigma = sin(pi t / 2), is this.
    return s / (1 + s)


register(
    Exercise(
        "16.4",
        "The best possible loss",
        kind=function((0.3,), (1.0,), (2.0,), (0.05,)),
        solution=best_loss,
        mistakes=[
            Mistake(
                "zero",
                lambda s: 0.0,
                "With loss 0 the net would know the noise exactly. "
                "But the same x_t comes from many pairs of x_0 and noise.",
            ),
            Mistake(
                "s^2",
                lambda s: s**2,
                "That is the variance of the data. Asked is what is left of the variance of eps, "
                "which is 1, when x_t is known.",
            ),
            Mistake(
                "middle of the path",
                lambda s: s**2 / (1 + s**2),
                "That is the loss at t = 1/2, where alpha = sigma. Average it over t.",
            ),
            Mistake(
                "of x_0",
                lambda s: s**2 / (1 + s),
                "That is what is left of x_0. Asked is what is left of eps. x_t is known, so "
                "alpha times the error of x_0 is sigma times that of eps.",
            ),
            Mistake(
                "explained instead of left",
                lambda s: 1 / (1 + s),
                "That is the part of eps that x_t tells. The loss is what it does not tell.",
            ),
            Mistake(
                "one",
                lambda s: 1.0,
                "That is the loss of a net that returns 0. x_t tells something about the noise.",
            ),
        ],
        hints=[
            "For Gaussians the best guess is linear: the covariance of eps and x, which is sigma, "
            "over the variance of x, times x: E[eps | x] = sigma x / (alpha**2 s**2 + sigma**2).",
            "What is left is 1 - sigma**2 / (alpha**2 s**2 + sigma**2), at each t.",
            "The mean over t of s**2 cos**2 / (s**2 cos**2 + sin**2), "
            "by tan as a new variable; or compute it for a few s and guess.",
        ],
        otherwise=(
            "Near? Then compute it exactly. Else begin with one t: what does x tell of eps, if "
            "both are Gaussian? The first hint has it."
        ),
        meaning=(
            "A loss that stops falling has not failed: it has arrived. "
            "Draw the floor into the figure wherever it is known."
        ),
    )
)


def ddim_step(x, eps, alpha, sigma, alpha_next, sigma_next):
    x0 = (x - sigma * eps) / alpha
    return alpha_next * x0 + sigma_next * eps


_DDIM = (
    (0.7, -0.4, 0.6, 0.8, 0.8, 0.6),
    (-1.1, 0.3, 0.2, 0.98, 0.5, 0.866),
    (0.4, 1.2, 1.0, 5.0, 1.0, 2.0),
)


register(
    Exercise(
        "16.3",
        "A step of DDIM",
        kind=function(*_DDIM),
        solution=ddim_step,
        check=_draws_nothing(
            ddim_step,
            _DDIM,
            drawn="Called twice with the same numbers, your function answers differently: it draws "
            "fresh noise. With eta = 0 the noise of the next time is the eps that was found.",
            wrong="Two tests: with the old numbers for the next ones x must come back; with "
            "alpha_next = 1 and sigma_next = 0 the guess x0 = (x - sigma eps) / alpha.",
        ),
        mistakes=[
            Mistake(
                "eps not rescaled",
                lambda x, eps, alpha, sigma, alpha_next, sigma_next: (
                    alpha_next * (x - sigma * eps) / alpha + sigma * eps
                ),
                "You add the noise of the old time. The next point has less: sigma_next.",
            ),
            Mistake(
                "noise left out",
                lambda x, eps, alpha, sigma, alpha_next, sigma_next: (
                    alpha_next * (x - sigma * eps) / alpha
                ),
                "You keep no noise at all. x at the next time is alpha_next x_0 + ...",
            ),
            Mistake(
                "alpha-bar for its root",
                lambda x, eps, alpha, sigma, alpha_next, sigma_next: (
                    alpha_next**2 * (x - sigma**2 * eps) / alpha**2 + sigma_next**2 * eps
                ),
                "You squared: alpha and sigma here are already the roots, of alpha-bar and of "
                "1 - alpha-bar.",
            ),
            Mistake(
                "not divided by alpha",
                lambda x, eps, alpha, sigma, alpha_next, sigma_next: (
                    alpha_next * (x - sigma * eps) + sigma_next * eps
                ),
                "x - sigma eps is alpha x_0, and not yet x_0.",
            ),
            Mistake(
                "x-bar",
                lambda x, eps, alpha, sigma, alpha_next, sigma_next: (
                    x / alpha + (sigma_next / alpha_next - sigma / alpha) * eps
                ),
                "You returned x-bar = x / alpha at the next time. Asked is x: a factor is missing.",
            ),
            Mistake(
                "r turned round",
                lambda x, eps, alpha, sigma, alpha_next, sigma_next: (
                    alpha_next * (x / alpha + (sigma / alpha - sigma_next / alpha_next) * eps)
                ),
                "The step of r is the new one minus the old: r falls, and noise goes out.",
            ),
            Mistake(
                "rescaled, then changed",
                lambda x, eps, alpha, sigma, alpha_next, sigma_next: (
                    alpha_next / alpha * x + (sigma_next - sigma) * eps
                ),
                "You rescaled x, and then took out the old noise. "
                "But the noise in x was rescaled, too.",
            ),
            Mistake(
                "x for x-bar",
                lambda x, eps, alpha, sigma, alpha_next, sigma_next: (
                    x + (sigma_next / alpha_next - sigma / alpha) * eps
                ),
                "You made the step of x-bar, but began with x, and returned x-bar. "
                "Begin with x / alpha.",
            ),
            Mistake(
                "x for x-bar, and back",
                lambda x, eps, alpha, sigma, alpha_next, sigma_next: (
                    alpha_next * (x + (sigma_next / alpha_next - sigma / alpha) * eps)
                ),
                "You made the step of x-bar, but began with x. What is x-bar, in terms of x?",
            ),
            Mistake(
                "x kept",
                lambda x, eps, alpha, sigma, alpha_next, sigma_next: x + (sigma_next - sigma) * eps,
                "That is right where alpha does not change. Here x has to grow, too: "
                "go through x_0.",
            ),
        ],
        hints=[
            "Two lines: first solve x = alpha x_0 + sigma eps for x_0.",
            "Then put x_0 and the same eps together again, with the numbers of the next time.",
        ],
        meaning=(
            "It is Euler's method for d(x / alpha) / d(sigma / alpha) = eps. "
            "All of lesson 02 applies: Heun's method in these variables is EDM's sampler."
        ),
    )
)


def signal_left(betas):
    # x_t = sqrt(1 - beta) x_(t-1) + sqrt(beta) noise: each step keeps 1 - beta of the power.
    return torch.prod(1 - torch.as_tensor(betas))


_BETAS = tuple(torch.linspace(1e-4, 0.02, steps, dtype=torch.float64) for steps in (50, 100, 1000))

register(
    Exercise(
        "16.5",
        "Was T large enough?",
        kind=function(*((betas,) for betas in _BETAS), (torch.tensor([0.1, 0.3, 0.5]).double(),)),
        solution=signal_left,
        mistakes=[
            Mistake(
                "1 - sum of betas",
                lambda betas: 1 - betas.sum(),
                "For many steps that is negative. "
                "Each step keeps a share of what the steps before it have left.",
            ),
            Mistake(
                "product of betas",
                lambda betas: betas.prod(),
                "beta is the share that is lost. What is kept of the signal's power in a step?",
            ),
            Mistake(
                "the root",
                lambda betas: (1 - betas).prod().sqrt(),
                "That is alpha, the factor of x_0. Asked is alpha-bar, its square.",
            ),
            Mistake(
                "what is lost",
                lambda betas: 1 - (1 - betas).prod(),
                "That is the variance of the noise, 1 - alpha-bar.",
            ),
            Mistake(
                "exp of the sum",
                lambda betas: torch.exp(-betas.sum()),
                "Near, if all betas are small. Exactly it is a product.",
            ),
            Mistake(
                "last step alone",
                lambda betas: 1 - betas[-1],
                "That is the last step's share. Every step takes its own.",
            ),
        ],
        hints=[
            "One step: x_t = sqrt(1 - beta) x_(t-1) + sqrt(beta) z. "
            "What is the factor of x_0 after two steps?",
            "alpha-bar is the square of that factor: the product of all 1 - beta.",
        ],
        otherwise="One step leaves the share 1 - beta of the power. And the next one?",
        meaning=(
            "The paper's thousand steps leave 4.0e-5 of the power, fifty of the same betas 0.60: "
            "the noise that a sampler starts from is then never reached. Betas belong to a number "
            "of steps, alpha(t) does not."
        ),
    )
)
