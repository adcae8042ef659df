"""Lesson 22: the nets, how they are trained, and what is measured of them."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ... import odeint
from ...data.pde import burgers_exact, heat_exact
from ...data.systems import oscillator, oscillator_exact
from ...models.pinn import PINN, Condition, Marched, derivative, march, ode_net, polish
from ...training import cosine, fit

PERIOD = 2 * math.pi
START = torch.tensor([1.0, 0.0], dtype=torch.float64)  # of y' = (y2, -y1); the solution is cos t
RATE = 3e-3
ADAM = 500  # updates for each period of the interval
POLISH = 300  # of L-BFGS, also for each period
POINTS = 60  # also for each period
EVERY = 50  # updates from one measurement to the next
FRAMES = 40  # times for each period, at which a solution is stored
NU = {"0.1/π": 0.1 / math.pi, "0.01/π": 0.01 / math.pi}
HEAT_END = 0.1
OMEGA = 1.7  # of the inverse problem
NOISE = 0.05
SEEN = 6.0  # the end of its data


class Trained(NamedTuple):
    """How a training went: loss and error before it, every EVERY updates of Adam, and after L-BFGS;
    and the processor's seconds, those of the measurements left out.
    """

    losses: list[float]
    errors: list[float]
    seconds: float


Loss = Callable[[PINN, int], Tensor]


def train(
    net: PINN,
    points: int,
    adam: int,
    polished: int,
    *,
    rate: float = RATE,
    loss: Loss | None = None,
    measure: Callable[[PINN], float] | None = None,
) -> Trained:
    """Adam with new points in every update and a rate that falls to 0, then L-BFGS on fixed points.

    loss: in place of the mean square of the residual; L-BFGS always takes the latter.
    measure: the error, recorded beside the residual's mean square.
    """

    losses: list[float] = []
    errors: list[float] = []

    def note(net: PINN) -> dict[str, float]:
        if measure:
            losses.append(mean_residual(net))
            errors.append(measure(net))
        return {}

    history = fit(
        net,
        loss or (lambda net, step: net.loss(*net.points(points))),
        adam,
        lr=rate,
        schedule=cosine(adam),
        evaluate=note,
        evaluate_every=EVERY,
        progress=False,
    )
    start = time.thread_time()
    if polished:
        polish(net, net.points(points), polished)
    seconds = history.spent + time.thread_time() - start
    note(net)
    return Trained(losses, errors, seconds)


def fresh(net: PINN, points: int) -> tuple[Tensor, ...]:
    """Points that no training sees: always the same ones."""
    return net.points(points, torch.Generator().manual_seed(99))


def mean_residual(net: PINN, points: int = 1000) -> float:
    """The mean square of the residual at points that no training sees."""
    return float(net.residuals(*fresh(net, points)).detach().square().mean())


# -- the oscillator --------------------------------------------------------------------------------

SOFT = "soft"
BOUNDED = "hard, factor 1 - exp(-t)"
LINEAR = "hard, factor t"
KINDS = (SOFT, BOUNDED)


def swing(kind: str, first: float, last: float, y0: Tensor, weight: float = 1.0) -> PINN:
    """A net for the oscillator on an interval, with one of KINDS of start values, or LINEAR."""
    if kind != LINEAR:
        return ode_net(oscillator, y0, first, last, hard=kind == BOUNDED, weight=weight)
    return PINN(
        lambda y, t: derivative(y, t) - oscillator(t, y),
        [(first, last)],
        trial=lambda n, t: y0 + (t - first) * n,
        size=2,
    ).to(y0)


def over(periods: int) -> Tensor:
    """The times (n, 1) at which solutions are stored and compared."""
    return torch.linspace(0, periods * PERIOD, FRAMES * periods + 1, dtype=torch.float64)[:, None]


def swing_exact(periods: int) -> Tensor:
    """(cos t, -sin t) at `over(periods)`."""
    return oscillator_exact(over(periods)[:, 0], START)


@torch.no_grad()
def relative_error(net: nn.Module, periods: int) -> float:
    """|y - exact| / |exact|, root mean squares over the times of `over`."""
    exact = swing_exact(periods)
    return float((net(over(periods)) - exact).norm() / exact.norm())


def residual_size(net: PINN | Marched, periods: int) -> np.ndarray:
    """|r(t)| (n,) at `over(periods)`."""
    t = over(periods).requires_grad_()
    y = net(t)
    return (derivative(y, t) - oscillator(t, y)).detach().norm(dim=-1).numpy()


def whole(kind: str, periods: int, seed: int, times: float, weight: float) -> PINN:
    """One net for all of the interval; `times` as many updates as usual."""
    torch.manual_seed(seed)
    net = swing(kind, 0.0, periods * PERIOD, START, weight)
    train(net, POINTS * periods, round(ADAM * periods * times), round(POLISH * periods * times))
    return net


def marched(kind: str, periods: int, seed: int, weight: float) -> Marched:
    """A net for each period, each from where the last one ended."""
    torch.manual_seed(seed)
    return march(
        lambda first, last, y0: swing(kind, first, last, y0, weight),
        lambda net: train(net, POINTS, ADAM, POLISH),
        torch.arange(periods + 1, dtype=torch.float64) * PERIOD,
        START,
    )


def causal_loss(epsilon: float, points: int) -> Loss:
    """The mean of w_i r_i^2 over times in order, w_i = exp(-epsilon * sum of all earlier r_j^2).

    Wang, Sankaran, Perdikaris 2022: a time counts once all times before it are solved.
    """

    return lambda net, step: causal_loss_at(net, net.points(points)[0], epsilon)[0]


def causal_loss_at(net: PINN, t: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """The same at times t (n, 1), and the least weight."""
    squares = net.residuals(t.sort(0).values).square().mean(-1)
    weights = torch.exp(-epsilon * (squares.cumsum(0) - squares)).detach()
    return (weights * squares).mean(), weights.min()


# -- heat ------------------------------------------------------------------------------------------


def heat_residual(u: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """u_t - u_xx."""
    return derivative(u, t) - derivative(derivative(u, x), x)


def heat_net(hard: bool, weight: float = 1.0) -> PINN:
    """A net for the heat equation up to t = 0.1; soft: start and both ends at 50 points each."""
    domain = [(0.0, 1.0), (0.0, HEAT_END)]
    if hard:
        net = PINN(
            heat_residual,
            domain,
            trial=lambda n, x, t: torch.sin(math.pi * x) + t * x * (1 - x) * n,
        )
        return net.double()
    x = torch.linspace(0, 1, 50, dtype=torch.float64)[:, None]
    t = x * HEAT_END
    conditions = [
        Condition((x, torch.zeros_like(x)), torch.sin(math.pi * x), weight),
        Condition((torch.zeros_like(t), t), torch.zeros_like(t), weight),
        Condition((torch.ones_like(t), t), torch.zeros_like(t), weight),
    ]
    return PINN(heat_residual, domain, conditions=conditions).double()


@torch.no_grad()
def heat_error(net: nn.Module) -> float:
    """The largest error at t = 0.1."""
    x = torch.linspace(0, 1, 101, dtype=torch.float64)[:, None]
    t = torch.full_like(x, HEAT_END)
    return float((net(x, t) - heat_exact(x, t)).abs().max())


# -- Burgers ---------------------------------------------------------------------------------------


def burgers_net(nu: float) -> PINN:
    """A net for Burgers' equation on [-1, 1] x [0, 1], with hard start and ends."""
    return PINN(
        lambda u, x, t: (
            derivative(u, t) + u * derivative(u, x) - nu * derivative(derivative(u, x), x)
        ),
        [(-1.0, 1.0), (0.0, 1.0)],
        trial=lambda n, x, t: -torch.sin(math.pi * x) + t * (1 - x**2) * n,
    ).double()


@torch.no_grad()
def burgers_error(net: nn.Module, nu: float) -> float:
    """Relative L2 error over x and t."""
    t, x = torch.cartesian_prod(
        torch.linspace(0, 1, 51, dtype=torch.float64),
        torch.linspace(-1, 1, 201, dtype=torch.float64),
    ).split(1, -1)
    exact = burgers_exact(x, t, nu)
    return float((net(x, t) - exact).norm() / exact.norm())


# -- the inverse problem ---------------------------------------------------------------------------


class Spring(nn.Module):
    """u'' / omega^2 + u, with omega to be learned; over omega^2, so that it keeps its size."""

    def __init__(self, omega: float) -> None:
        super().__init__()
        self.log_omega = nn.Parameter(torch.tensor(math.log(omega), dtype=torch.float64))

    @property
    def omega(self) -> float:
        return float(self.log_omega.detach().exp())

    def forward(self, u: Tensor, t: Tensor) -> Tensor:
        return derivative(derivative(u, t), t) / self.log_omega.exp() ** 2 + u


def observations(seed: int) -> tuple[Tensor, Tensor]:
    """Ten times in [0, 6] and cos(1.7 t) with noise of standard deviation 0.05, (10, 1) each."""
    chance = torch.Generator().manual_seed(seed)
    t = SEEN * torch.rand(10, 1, generator=chance, dtype=torch.float64)
    noise = torch.randn(10, 1, generator=chance, dtype=torch.float64)
    return t, torch.cos(OMEGA * t) + NOISE * noise


def spring_net(t: Tensor, data: Tensor, omega: float) -> PINN:
    """A net for the data and the equation together; omega is where the search starts."""
    net = PINN(Spring(omega), [(0.0, SEEN)], conditions=[Condition((t,), data)])
    return net.double()


def omega_of(net: PINN) -> float:
    """Its omega."""
    assert isinstance(net.residual, Spring)
    return net.residual.omega


def timed(what: Callable[[], float]) -> tuple[float, float]:
    """A result, and the processor's seconds for it."""
    start = time.thread_time()
    found = what()
    return found, time.thread_time() - start


def by_solver(t: Tensor, data: Tensor, omega: float) -> float:
    """omega by least squares through odeint: omega and the start (u, u') are what is fitted."""
    order = t[:, 0].argsort()
    times = torch.cat([t.new_zeros(1), t[order, 0]])
    unknown = torch.tensor([math.log(omega), 1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([unknown], max_iter=60, line_search_fn="strong_wolfe")

    def field(t: Tensor, y: Tensor) -> Tensor:
        return torch.stack([y[1], -((2 * unknown[0]).exp()) * y[0]])

    def closure() -> Tensor:
        optimizer.zero_grad()
        y = odeint(field, unknown[1:], times, rtol=1e-5, atol=1e-6)
        loss = (y[1:, 0] - data[order, 0]).square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    return float(unknown[0].detach().exp())


def misfit(t: Tensor, data: Tensor, omega: Tensor) -> Tensor:
    """Sum of squares (n,) that the best a cos(omega t) + b sin(omega t) leaves, for omega (n,)."""
    phase = omega[:, None] * t[:, 0]
    waves = torch.stack([phase.cos(), phase.sin()], -1)
    found = torch.linalg.lstsq(waves, data.expand(len(omega), *data.shape)).solution
    return (waves @ found - data).square().sum((-2, -1))


def by_formula(t: Tensor, data: Tensor) -> float:
    """The omega of the least misfit, of 4000 between 0.2 and 4."""
    omega = torch.linspace(0.2, 4, 4000, dtype=torch.float64)
    return float(omega[misfit(t, data, omega).argmin()])
