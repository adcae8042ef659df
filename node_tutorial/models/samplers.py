"""Samplers: from noise to data, by calling a denoiser again and again.

A denoiser says what x_t = alpha x_0 + sigma eps is made of: denoise(t, x) -> Denoised(x0, eps), the
means of x_0 and eps, given x. A net that was trained is one (`Diffusion.denoiser`); for a mixture
of Gaussians, or a set of points, the exact one is known (`exact_denoiser`). So a sampler can be
looked at alone, with no error of learning in it. Every sampler here is called alike,

    samples = sampler(denoise, path, x, times, ...)     x of the density at times[0], say noise
    samples.x, samples.nfe                              at times[-1], after so many calls

and all solve one of two equations backward in time (Song et al. 2021, arXiv 2011.13456):

    dx = (f x - (1 + noise^2) g^2 s / 2) dt + noise g dw,     s = score = -eps / sigma

With noise = 0 it is the probability flow, an ODE; with noise = 1 the reverse SDE; with any noise
the densities p_t are the same. In the variables x / alpha and r = sigma / alpha the ODE is

    d(x / alpha) / dr = eps

where f is gone. `ddim` is Euler's method for this form, `heun` is Heun's, and `dpm_solver` a
two-step method with log r for the time. Their times may end at 0, where sigma is 0 (unless the
path has some left): the last step is then the guess x0.

`times` are made by a grid of time_grids.py, such as even(path, 16) or to_data(karras(path, 15));
its names can be imported from here, too.

A step of `ddim`, `ancestral`, `reverse_sde` or `dpm_solver` calls the denoiser once, one of `heun`
twice (but for the last), one of `predictor_corrector` once more for each correction, and
`probability_flow` calls it as often as its method wants.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from ..solvers.odeint import odeint
from .gaussian_paths import At, Denoised, GaussianPath
from .sizes import check_sizes
from .time_grids import GRIDS, Grid, even, geometric, karras, quadratic, time_of, to_data, uniform
from .walks import (
    Counted,
    Denoiser,
    Samples,
    Step,
    Walk,
    cast,
    checked_times,
    ends_of,
    forward_std,
    kicked,
    weighted,
)

__all__ = [
    "GRIDS",
    "SAMPLERS",
    "Denoiser",
    "Grid",
    "Mixture",
    "Samples",
    "ancestral",
    "ddim",
    "dpm_solver",
    "even",
    "exact_denoiser",
    "forward_sde",
    "geometric",
    "heun",
    "karras",
    "langevin",
    "predictor_corrector",
    "probability_flow",
    "quadratic",
    "reverse_sde",
    "time_of",
    "to_data",
    "uniform",
    "velocity_field",
]

CHURN = math.sqrt(2) - 1  # the most by which a step of `heun` raises sigma / alpha


class Mixture(Protocol):
    """What `exact_denoiser` asks of a density; data.GaussianMixture is one."""

    @property
    def size(self) -> int: ...

    def denoised(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]: ...


def exact_denoiser(mixture: Mixture, path: GaussianPath) -> Denoiser:
    """E[x_0 | x_t] and E[eps | x_t] for data from a mixture of Gaussians.

    x (B, ...) has as many entries in each row as the mixture has dimensions, in any shape; t is
    0-d, or one time for each row, (B, 1, ..., 1).

        >>> from node_tutorial.data import gaussian_mixture
        >>> from node_tutorial.models.gaussian_paths import constant
        >>> denoise = exact_denoiser(gaussian_mixture([1.0], torch.zeros(1), 0.3), constant())
        >>> denoise(torch.tensor(0.5), torch.ones(4, 1)).x0.shape
        torch.Size([4, 1])
    """

    def denoise(t: Tensor, x: Tensor) -> Denoised:
        if x[0].numel() != mixture.size:
            raise ValueError(
                f"x must have {mixture.size} entries in each row, as the mixture has dimensions, "
                f"got shape {tuple(x.shape)}"
            )
        t = torch.as_tensor(t).to(x)
        at = path.at(t.reshape(-1, 1) if t.dim() else t)
        parts = mixture.denoised(x.flatten(1), at.alpha, at.sigma)
        return Denoised(*(part.reshape(x.shape) for part in parts))

    return denoise


# -- samplers --------------------------------------------------------------------------------------


def ddim(
    denoise: Denoiser,
    path: GaussianPath,
    x: Tensor,
    times: Tensor,
    *,
    eta: float = 0.0,
    generator: torch.Generator | None = None,
    keep: bool = False,
) -> Samples:
    """Denoising diffusion implicit models: keep the guess, and give it the noise of the next time.

        x_s = alpha_s x0 + sqrt(sigma_s^2 - c^2) eps + c z,   z from N(0, I)
        c = eta (sigma_s / sigma_t) sqrt(sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2)

    With eta = 0 no noise is drawn, and this is Euler's method for d(x / alpha)/d(sigma / alpha) =
    eps. With eta = 1 it is the ancestral sampler of DDPM.

    Args:
        denoise, path: see the module.
        x: (B, ...), at times[0].
        times: (N + 1,), decreasing, in [0, 1].
        eta: from 0 to 1.
        generator: of the noise, of torch's default device, the CPU.
        keep: return the states at all times, too.

    Raises:
        ValueError: for times that do not decrease or leave [0, 1], an eta outside of [0, 1], an x
            that is no batch of floats, or a denoiser that returns another shape.

    Source: Song, Meng, Ermon 2021, arXiv 2010.02502, equations 12 and 16.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"eta must be in [0, 1], from no noise to DDPM's, got {eta}")
    walk = Walk(denoise, path, x, times, keep)
    for step in walk:
        parts = walk.ask(step.t)
        c = eta * step.posterior_std
        walk.go_to(kicked(_rest(step, parts, c), c, generator))
    return walk.samples


def ancestral(
    denoise: Denoiser,
    path: GaussianPath,
    x: Tensor,
    times: Tensor,
    *,
    variance: str = "posterior",
    generator: torch.Generator | None = None,
    keep: bool = False,
) -> Samples:
    """DDPM's sampler: a draw of x_s as if the guess x0 were the data.

    Given x_t and x_0, x_s is Gaussian. Its mean is that of `ddim` with eta = 1, and its variance
    sigma_s^2 / sigma_t^2 (sigma_t^2 - (alpha_t / alpha_s)^2 sigma_s^2).

    Args:
        variance: "posterior", that one; or "forward", without the factor sigma_s^2 / sigma_t^2,
            that of the forward step: Ho et al.'s other choice. Where steps are few it is too much.
            A step to time 0 adds none.
        others, errors: as for `ddim`; a ValueError for another variance.

    Source: Ho, Jain, Abbeel 2020, arXiv 2006.11239, equations 6, 7 and section 3.2.
    """
    if variance not in ("posterior", "forward"):
        raise ValueError(f"variance must be 'posterior' or 'forward', got {variance!r}")
    walk = Walk(denoise, path, x, times, keep)
    for step in walk:
        parts = walk.ask(step.t)
        c = step.posterior_std
        x = _rest(step, parts, c)
        forward = variance == "forward" and float(step.after.sigma) > 0
        walk.go_to(kicked(x, step.forward_std if forward else c, generator))
    return walk.samples


def reverse_sde(
    denoise: Denoiser,
    path: GaussianPath,
    x: Tensor,
    times: Tensor,
    *,
    noise: float = 1.0,
    generator: torch.Generator | None = None,
    keep: bool = False,
) -> Samples:
    """The SDE of the module, by Euler and Maruyama: steps of length h = t - s back in time.

        x_s = x_t - (f x - (1 + noise^2) g^2 score / 2) h + noise g sqrt(h) z,   z from N(0, I)

    Args:
        noise: 1: the reverse SDE; 0: Euler's method, in t, for the probability flow; more than 1:
            more noise, and a stronger pull of the score against it.
        others, errors: as for `ddim`; a ValueError for a noise below 0.

    Source: Song et al. 2021, arXiv 2011.13456, equation 6; with noise: Karras et al. 2022, arXiv
    2206.00364, equation 6.
    """
    if not 0 <= noise < math.inf:
        raise ValueError(f"noise must be 0 or more, 1 for the reverse SDE, got {noise}")
    walk = Walk(denoise, path, x, times, keep)
    for step in walk:
        walk.go_to(_euler_maruyama(step, walk.x, walk.ask(step.t), noise, generator))
    return walk.samples


def predictor_corrector(
    denoise: Denoiser,
    path: GaussianPath,
    x: Tensor,
    times: Tensor,
    *,
    corrections: int = 1,
    snr: float = 0.16,
    generator: torch.Generator | None = None,
    keep: bool = False,
) -> Samples:
    """A step of `reverse_sde`, then steps of `langevin` at the time that it has come to.

    The step changes the time, with an error. The corrections leave the time as it is, and pull the
    points back to p_s. At sigma = 0 there are none.

    Args:
        corrections: of each step, 1 or more.
        snr: their size, see `langevin`.
        others, errors: as for `ddim`.

    Source: Song et al. 2021, arXiv 2011.13456, algorithms 2 to 5.
    """
    check_sizes(corrections=corrections)
    walk = Walk(denoise, path, x, times, keep)
    for step in walk:
        x = _euler_maruyama(step, walk.x, walk.ask(step.t), 1.0, generator)
        if float(step.after.sigma) > 0:
            x = langevin(walk.ask, path, x, step.s, steps=corrections, snr=snr, generator=generator)
        walk.go_to(x)
    return walk.samples


def langevin(
    denoise: Denoiser,
    path: GaussianPath,
    x: Tensor,
    t: float | Tensor,
    *,
    steps: int = 1,
    snr: float = 0.16,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Langevin steps at one time t: x + size score + sqrt(2 size) z, which have p_t as their end.

    The size is 2 (snr sigma)^2, as Song et al.'s, 2 (snr |z| / |score|)^2, with 1 / sigma for the
    usual length of a score. p_t is kept only as far as steps are small.

    Raises:
        ValueError: for an snr that is not positive, or a time with sigma = 0.
    """
    check_sizes(steps=steps)
    if not 0 < snr < math.inf:
        raise ValueError(f"snr must be positive, such as 0.16, got {snr}")
    t = torch.as_tensor(t, dtype=torch.float64)
    sigma = path.at(t).sigma
    if not float(sigma) > 0:
        raise ValueError(f"t must have sigma > 0, where the score is finite, got t = {float(t):g}")
    size = 2 * (snr * sigma) ** 2
    for _ in range(steps):
        eps = denoise(t.to(x), x).eps
        x = kicked(x - cast(x, size / sigma) * eps, (2 * size).sqrt(), generator)
    return x


def heun(
    denoise: Denoiser,
    path: GaussianPath,
    x: Tensor,
    times: Tensor,
    *,
    churn: float = 0.0,
    generator: torch.Generator | None = None,
    keep: bool = False,
) -> Samples:
    """EDM's sampler: Heun's method for d(x / alpha)/dr = eps, r = sigma / alpha; order 2.

    With churn, noise is added before each of the N steps, which raises r by the factor 1 +
    min(churn / N, 0.41), and is then removed by the step. A step to r = 0 is one of Euler's, as
    `ddim` makes them.

    Args:
        churn: 0 or more; 0 draws no noise. At the first of the times r stays below its value at
            time 1.
        others, errors: as for `ddim`; a ValueError where alpha is 0.

    Source: Karras et al. 2022, arXiv 2206.00364, algorithms 1 and 2, with S_tmin = 0, S_tmax
    infinite and S_noise = 1.
    """
    if not 0 <= churn < math.inf:
        raise ValueError(f"churn must be 0 or more, got {churn}")
    walk = Walk(denoise, path, x, times, keep)
    _check_some_data(path, walk.times)
    gamma = min(churn / (len(walk.times) - 1), CHURN)
    for step in walk:
        t = step.t
        at = step.before
        x = walk.x / cast(walk.x, at.alpha)
        r = at.sigma / at.alpha
        if gamma > 0:
            t, at = _raised(path, step.before, gamma)
            more = (at.sigma / at.alpha).square() - r.square()
            x = kicked(x, more.clamp(min=0).sqrt(), generator)
            r = at.sigma / at.alpha
        r_after = step.after.sigma / step.after.alpha
        h = cast(x, r_after - r)
        slope = walk.ask(t, x * cast(x, at.alpha)).eps
        if float(r_after) > 0:
            there = (x + h * slope) * cast(x, step.after.alpha)
            slope = (slope + walk.ask(step.s, there).eps) / 2
        walk.go_to((x + h * slope) * cast(x, step.after.alpha))
    return walk.samples


def dpm_solver(
    denoise: Denoiser,
    path: GaussianPath,
    x: Tensor,
    times: Tensor,
    *,
    generator: torch.Generator | None = None,
    keep: bool = False,
) -> Samples:
    """DPM-Solver++(2M): the linear part exactly, x0 as a line through its last two values; order 2.

    With l = log(alpha / sigma), h = l_s - l_t and h' the step before:

        x_s = (sigma_s / sigma_t) x_t + alpha_s (1 - e^-h) D
        D = x0 + h / (2 h') (x0 - x0 before)

    The first step and a step to sigma = 0 have D = x0: they are `ddim`'s.

    Args:
        generator: not used; all samplers are called alike.
        others, errors: as for `ddim`; a ValueError where alpha is 0.

    Source: Lu et al. 2022, "DPM-Solver++", arXiv 2211.01095, algorithm 2.
    """
    walk = Walk(denoise, path, x, times, keep)
    _check_some_data(path, walk.times)
    before = None
    h_before = torch.tensor(math.inf)
    for step in walk:
        x0 = walk.ask(step.t).x0
        h = (step.after.alpha / step.after.sigma).log() - (
            step.before.alpha / step.before.sigma
        ).log()
        guess = x0
        if before is not None and float(step.after.sigma) > 0:
            guess = x0 + cast(x0, h / (2 * h_before)) * (x0 - before)
        walk.go_to(
            weighted(
                walk.x,
                (step.after.sigma / step.before.sigma, walk.x),
                (-step.after.alpha * torch.expm1(-h), guess),
            )
        )
        before = x0
        h_before = h
    return walk.samples


def probability_flow(
    denoise: Denoiser,
    path: GaussianPath,
    x: Tensor,
    times: Tensor,
    *,
    method: str = "dopri5",
    rtol: float = 1e-4,
    atol: float = 1e-4,
    options: dict[str, Any] | None = None,
    generator: torch.Generator | None = None,
    keep: bool = False,
) -> Samples:
    """The probability flow dx/dt = alpha' x0 + sigma' eps by `odeint`, with any of its methods.

    One with a fixed step makes one step between two times; an adaptive one chooses its own, and
    the times between say only where it is looked at.

    Args:
        times: as for `ddim`; they may also increase, from data to noise. Where sigma' is infinite,
            as for `constant` and `linear` at time 0, the flow cannot be followed.
        method, rtol, atol, options: as for `odeint`.
        generator: not used; all samplers are called alike.
        others, errors: as for `ddim`; SolveError, if the solve cannot go on.

    Source: Song et al. 2021, arXiv 2011.13456, equation 13.
    """
    times = checked_times(times, x, either_way=True)
    slopes = path.at(times).sigma_slope
    if not slopes.isfinite().all():
        raise ValueError(
            f"times must have finite sigma', which the {path.name!r} path has not at "
            f"{float(times[~slopes.isfinite()][0]):g}; end at path.first = {path.first:g}"
        )
    ask = Counted(denoise)
    states = odeint(
        velocity_field(ask, path),
        x,
        times.to(x.device),
        method=method,
        rtol=rtol,
        atol=atol,
        options=options,
    )
    return Samples(states[-1], ask.nfe, states if keep else None)


def velocity_field(denoise: Denoiser, path: GaussianPath) -> Callable[[Tensor, Tensor], Tensor]:
    """The probability flow's field (t, x) -> dx/dt = alpha' x0 + sigma' eps, for any solver."""

    def field(t: Tensor, x: Tensor) -> Tensor:
        return _velocity(path.at(t.double()), x, denoise(t.to(x), x))

    return field


def forward_sde(
    path: GaussianPath,
    x: Tensor,
    times: Tensor,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Paths of the forward SDE, from x (B, ...) at times[0], at increasing times: (T, B, ...).

    No solver: x_s given x_t is Gaussian, of mean (alpha_s / alpha_t) x_t and variance sigma_s^2 -
    (alpha_s / alpha_t)^2 sigma_t^2.
    """
    times = checked_times(times, x, either_way=True)
    if times[1] < times[0]:
        raise ValueError(
            f"times must increase, from data to noise, got {ends_of(times)}; use times.flip(0)"
        )
    at = path.at(times)
    states = [x]
    for k in range(1, len(times)):
        t, s = At(*(part[k - 1] for part in at)), At(*(part[k] for part in at))
        kept = cast(x, s.alpha / t.alpha) * states[-1]
        states.append(kicked(kept, forward_std(t, s), generator))
    return torch.stack(states)


def _velocity(at: At, x: Tensor, parts: Denoised) -> Tensor:
    """alpha' x0 + sigma' eps, which is f x - g^2 score / 2."""
    return weighted(x, (at.alpha_slope, parts.x0), (at.sigma_slope, parts.eps))


def _rest(step: Step, parts: Denoised, c: Tensor) -> Tensor:
    """x_s without its noise c z: alpha_s x0 + sqrt(sigma_s^2 - c^2) eps."""
    eps_share = (step.after.sigma**2 - c**2).clamp(min=0).sqrt()
    return weighted(parts.x0, (step.after.alpha, parts.x0), (eps_share, parts.eps))


def _euler_maruyama(
    step: Step, x: Tensor, parts: Denoised, noise: float, generator: torch.Generator | None
) -> Tensor:
    at = step.before
    h = step.t - step.s
    moved = x - cast(x, h) * _velocity(at, x, parts)
    if noise == 0:
        return moved
    pull = noise**2 * at.noise_square / (2 * at.sigma) * h
    return kicked(
        moved - cast(x, pull) * parts.eps, noise * (at.noise_square * h).sqrt(), generator
    )


def _raised(path: GaussianPath, at: At, gamma: float) -> tuple[Tensor, At]:
    """The time at which sigma / alpha is larger by the factor 1 + gamma, at most 1."""
    t = time_of(path, (1 + gamma) * at.sigma / at.alpha)
    return t, path.at(t)


def _check_some_data(path: GaussianPath, times: Tensor) -> None:
    at = path.at(times[0])
    if not float(at.alpha) > 1e-9:
        raise ValueError(
            f"times must begin where alpha > 0, but the {path.name!r} path has alpha = "
            f"{float(at.alpha):.1g} at {float(times[0]):g}; begin at path.last = {path.last:g}"
        )


SAMPLERS: dict[str, Callable[..., Samples]] = {
    "ancestral": ancestral,
    "ddim": ddim,
    "reverse SDE": reverse_sde,
    "probability flow": probability_flow,
    "predictor-corrector": predictor_corrector,
    "heun": heun,
    "dpm-solver": dpm_solver,
}
