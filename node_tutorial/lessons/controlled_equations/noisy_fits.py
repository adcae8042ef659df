"""Lesson 24: two stochastic equations learned from paths, with and without what keeps the noise.

A ball between two wells, dX = 4 (X - X^3) dt + 0.8 dW from X = 0, fully observed: a net for the
drift, and a number for the noise, by the squared distance of paths, or by their likelihood.

A latent Ornstein-Uhlenbeck path, dX = -X dt + sigma dW from 0, seen five times with noise: the
posterior as an equation with another drift, by the bound, or by reconstruction alone. For this one
the likelihood has a formula, and so has the posterior: its drift is linear in X and in what was
observed. So the guide is linear, too: a table with a row for each step.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from ...models import MLP
from ...models.path_measures import transition_log_prob
from ...solvers.sdeint import sdeint
from ...training import History, fit

PATHS = 256  # of the ball
WELL_END = 2.0
WELL_STEPS = 40
WELL_NOISE = 0.8
WELL_UPDATES = 400
RATE = 0.02

SERIES = 200  # of the latent path
LATENT_STEPS = 80
LATENT_END = 2.0
SEEN = 16  # steps from one observation to the next
THETA = 1.0
SIGMA = 0.5
BLUR = 0.2  # standard deviation of the noise of an observation
LATENT_UPDATES = 600
LATENT_RATE = 0.05
SCALE = 5.0  # of the guide's parameters: it has to become steep before an observation
START = 1.0  # of the noise that is learned, in all fits


def white_noise(t: Tensor, shape: tuple[int, ...], chance: torch.Generator) -> Tensor:
    """A Brownian path (T, *shape) at the times t, new at each call."""
    steps = torch.randn(len(t) - 1, *shape, generator=chance)
    steps = steps * t.diff().sqrt().reshape(-1, *[1] * len(shape))
    return torch.cat([torch.zeros(1, *shape), steps.cumsum(0)])


# -- the ball between two wells, fully observed ---------------------------------------------------


def well_times() -> Tensor:
    """The times (T,) at which the ball is observed."""
    return torch.linspace(0, WELL_END, WELL_STEPS + 1)


def wells(n: int, seed: int, every: int = 8) -> Tensor:
    """Paths (T, n, 1) of the ball at every so many steps; at 8, its observations are."""
    chance = torch.Generator().manual_seed(seed)
    t = torch.linspace(0, WELL_END, 8 * WELL_STEPS + 1)
    w = white_noise(t, (n, 1), chance)
    x = sdeint(
        lambda t, x: 4 * (x - x**3),
        lambda t, x: torch.full_like(x, WELL_NOISE),
        torch.zeros(n, 1),
        t,
        lambda t: w,
    )
    return x[::every]


def sigma_by_steps(every: int) -> float:
    """The most likely sigma of PATHS paths at every so many steps, where the drift is known."""
    x = wells(PATHS, 0, every)[..., 0]
    h = WELL_END / WELL_STEPS * every / 8
    off = x.diff(dim=0) - 4 * (x - x**3)[:-1] * h
    return float((off.square().mean() / h).sqrt())


class Ball(nn.Module):
    """dX = net(X) dt + sigma dW."""

    def __init__(self) -> None:
        super().__init__()
        self.net = MLP(1, 24, 1)
        self.log_sigma = nn.Parameter(torch.tensor(math.log(START)))

    def drift(self, t: Tensor, x: Tensor) -> Tensor:
        return self.net(x)

    def diffusion(self, t: Tensor, x: Tensor) -> Tensor:
        return self.log_sigma.exp().expand_as(x)

    def paths(self, n: int, chance: torch.Generator) -> Tensor:
        """n paths (T, n, 1) from 0, at the times of the data."""
        t = well_times()
        w = white_noise(t, (n, 1), chance)
        return sdeint(self.drift, self.diffusion, torch.zeros(n, 1), t, lambda t: w)


def fit_ball(by: str, seed: int, updates: int = WELL_UPDATES) -> tuple[Ball, list[float]]:
    """The ball, fitted "by distance" from the paths of the data, or "by likelihood"; and sigma
    after each update.
    """
    data = wells(PATHS, seed)
    t = well_times()
    chance = torch.Generator().manual_seed(seed + 1)
    torch.manual_seed(seed)
    ball = Ball()
    sigmas: list[float] = []

    def loss(ball: Ball, _: int) -> Tensor:
        if by == "by distance":
            return (ball.paths(PATHS, chance) - data).square().mean()
        return -transition_log_prob(ball.drift, ball.diffusion, data, t).mean() / WELL_STEPS

    def note(ball: Ball, history: History) -> None:
        sigmas.append(float(ball.log_sigma.detach().exp()))

    fit(ball, loss, updates, lr=RATE, on_step=note, progress=False)
    return ball, sigmas


# -- the latent path -------------------------------------------------------------------------------


class Blurred(NamedTuple):
    """t (T,), the steps; y (n, O), what was seen of each path, at every SEEN-th of them."""

    t: Tensor
    y: Tensor


def blurred(n: int, seed: int) -> Blurred:
    """Observations of latent paths, of the very chain that the model has: Euler's steps."""
    chance = torch.Generator().manual_seed(seed)
    t = torch.linspace(0, LATENT_END, LATENT_STEPS + 1)
    w = white_noise(t, (n,), chance)
    x = sdeint(lambda t, x: -THETA * x, lambda t, x: SIGMA + 0 * x, torch.zeros(n), t, lambda t: w)
    seen = x[SEEN::SEEN].T
    return Blurred(t, seen + BLUR * torch.randn(seen.shape, generator=chance))


def evidence(data: Blurred, sigma: Tensor) -> Tensor:
    """log p(y), (n,), exactly: y is Gaussian."""
    h = LATENT_END / LATENT_STEPS
    places = torch.arange(SEEN, LATENT_STEPS + 1, SEEN, dtype=torch.float64)
    first = torch.minimum(places[:, None], places)
    apart = (places[:, None] - places).abs()
    a = 1 - THETA * h
    covariance = sigma.double() ** 2 * h * a**apart * (1 - a ** (2 * first)) / (1 - a**2)
    covariance = covariance + BLUR**2 * torch.eye(len(places), dtype=torch.float64)
    none = torch.zeros(len(places), dtype=torch.float64)
    return MultivariateNormal(none, covariance).log_prob(data.y.double())


def least_gap(sigma: float) -> float:
    """By how much the bound is below log p(y) with the best of all guides that have this sigma, in
    nats for a series.

    The exact posterior steps with a variance v below sigma^2 h, for it knows what comes. A guide
    can have its mean, and pays KL = (r - 1 - log r) / 2 with r = sigma^2 h / v. The shorter the
    steps, the nearer is r to 1.
    """
    h = LATENT_END / LATENT_STEPS
    a = 1 - THETA * h
    step = sigma**2 * h
    known = 0.0  # the precision that all later observations give to X at this step
    gap = 0.0
    for k in range(LATENT_STEPS, 0, -1):
        if k % SEEN == 0:
            known += 1 / BLUR**2
        ratio = 1 + step * known
        gap += (ratio - 1 - math.log(ratio)) / 2
        known = a**2 * known / ratio
    return gap


def best_sigmas(data: Blurred) -> tuple[float, float]:
    """The sigma with the largest evidence, and that with the highest bound that a guide can have,
    on a grid of 0.001.
    """
    grid = torch.arange(0.2, 0.9, 0.001)
    log_prob = torch.stack([evidence(data, s).mean() for s in grid])
    highest = log_prob - torch.tensor([least_gap(float(s)) for s in grid])
    return float(grid[log_prob.argmax()]), float(grid[highest.argmax()])


class Guided(nn.Module):
    """The posterior of a latent path as an equation: drift -theta x + sigma u, and the same sigma.

    u_k = B_k y - c_k x at step k. The mean of u^2 dt / 2 along its paths is its KL from the prior.
    """

    def __init__(self, seen: int) -> None:
        super().__init__()
        self.toward = nn.Parameter(torch.zeros(LATENT_STEPS, seen))
        self.back = nn.Parameter(torch.zeros(LATENT_STEPS))
        self.log_sigma = nn.Parameter(torch.tensor(math.log(START)))

    def terms(self, data: Blurred, chance: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """For each series, from one path: log p(y given the path), 1/2 of the integral of u^2, and
        that of u dW. Of the last the mean is 0.
        """
        h = LATENT_END / LATENT_STEPS
        sigma = self.log_sigma.exp()
        pull = SCALE * self.toward @ data.y.T
        noise = math.sqrt(h) * torch.randn(LATENT_STEPS, len(data.y), generator=chance)
        x = torch.zeros(len(data.y))
        kl = torch.zeros(len(data.y))
        kicks = torch.zeros(len(data.y))
        log_prob = torch.zeros(len(data.y))
        for k in range(LATENT_STEPS):
            u = pull[k] - SCALE * self.back[k] * x
            kl = kl + u.square() * h / 2
            kicks = kicks + u * noise[k]
            x = x + (sigma * u - THETA * x) * h + sigma * noise[k]
            if (k + 1) % SEEN == 0:
                off = (data.y[:, (k + 1) // SEEN - 1] - x) / BLUR
                log_prob = log_prob - off.square() / 2 - math.log(BLUR * math.sqrt(2 * math.pi))
        return log_prob, kl, kicks


def fit_guided(
    kl: bool, seed: int, updates: int = LATENT_UPDATES
) -> tuple[Guided, Blurred, list[float]]:
    """The guided path, fitted by the bound, or without its KL; the data; the track of sigma."""
    data = blurred(SERIES, seed)
    chance = torch.Generator().manual_seed(seed + 1)
    guided = Guided(data.y.shape[1])
    sigmas: list[float] = []

    def loss(guided: Guided, step: int) -> Tensor:
        log_prob, price, _ = guided.terms(data, chance)
        return -(log_prob - price).mean() if kl else -log_prob.mean()

    def note(guided: Guided, history: History) -> None:
        sigmas.append(float(guided.log_sigma.detach().exp()))

    fit(guided, loss, updates, lr=LATENT_RATE, on_step=note, progress=False)
    return guided, data, sigmas


@torch.no_grad()
def bound(guided: Guided, data: Blurred, seed: int, draws: int = 20) -> float:
    """The bound per series, a mean over draws of log p(y given the path) - log q / p of the path.

    The logarithm is 1/2 of the integral of u^2 plus that of u dW; the second does not change the
    mean, and takes away a part of the spread.
    """
    chance = torch.Generator().manual_seed(seed)
    parts = [torch.stack(guided.terms(data, chance)) for _ in range(draws)]
    log_prob, kl, kicks = torch.stack(parts).mean((0, 2))
    return float(log_prob - kl - kicks)
