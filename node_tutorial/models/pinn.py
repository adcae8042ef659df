"""A network as the solution: u(x, t) is a net, trained until it satisfies the equation.

A physics-informed network (PINN) has no solver. Its loss is the mean square of the residual, what
is left when u is put into the equation, over points of the domain:

    u' = f(t, u)            residual u' - f(t, u)
    u_t = u_xx              residual u_t - u_xx

Start and boundary values are either built into u (hard: u = u0 + t N(t)), or stand in the loss
(soft: + weight (u(0) - u0)^2). **The loss is not the error**: with residual r(t), the error of
u' = lambda u is the integral of e^(lambda (T - s)) r(s) ds, see `error_from_residual`.

Sources: Lagaris, Likas, Fotiadis 1998, "Artificial neural networks for solving ordinary and partial
differential equations", IEEE Trans. Neural Networks 9(5) (hard values); Raissi, Perdikaris,
Karniadakis 2019, "Physics-informed neural networks", J. Comput. Phys. 378; Krishnapriyan et al.
2021, "Characterizing possible failure modes in physics-informed neural networks", arXiv 2109.01050
(marching); Wang, Sankaran, Perdikaris 2022, "Respecting causality is all you need for training
physics-informed neural networks", arXiv 2203.07404 (weights).
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .fields import MLP
from .sizes import check_sizes

NODES = 64  # of the quadrature in `error_from_residual`
Equation = Callable[..., Tensor]  # residual(u, *coordinates) -> (n, ...)
Trial = Callable[..., Tensor]  # trial(net's output (n, D), *coordinates) -> (n, D)


class Condition(NamedTuple):
    """Soft values: u at `coordinates`, each (m, 1), is to be `values` (m, D), with a weight.

    Start values, boundary values and measurements are all of this kind.
    """

    coordinates: tuple[Tensor, ...]
    values: Tensor
    weight: float = 1.0


class PINN(nn.Module):
    """A net that is to solve an equation.

    Args:
        residual: residual(u, *coordinates) -> what is left of the equation, of any shape (n, ...);
            u (n, D), its derivatives by `derivative`. An nn.Module is trained with the net: its
            parameters are the unknown coefficients of an inverse problem.
        domain: (first, last) of each coordinate, such as ((0, 1), (0, 2)). The net sees each
            scaled to [-1, 1]: without it, long domains saturate tanh.
        trial: makes u of the net's output and the coordinates, so that values are hard:
            `lambda n, t: 1 + t**2 * n` has u(0) = 1 and u'(0) = 0. None: the output itself.
        conditions: soft values.
        size: D, the components of u.
        hidden: widths of the hidden layers; tanh, since relu has no second derivative.

    Shapes: coordinates (n, 1) each -> u (n, D).

    Raises:
        ValueError: for a domain that is no interval, sizes that are no positive integers, or
            coordinates of another number or shape.

        >>> decay = PINN(lambda u, t: derivative(u, t) + u, [(0, 2)], trial=lambda n, t: 1 + t * n)
        >>> decay(torch.zeros(1, 1))
        tensor([[1.]], grad_fn=<AddBackward0>)
    """

    low: Tensor
    high: Tensor

    def __init__(
        self,
        residual: Equation,
        domain: Sequence[tuple[float, float]],
        *,
        trial: Trial | None = None,
        conditions: Sequence[Condition] = (),
        size: int = 1,
        hidden: tuple[int, ...] = (32, 32, 32),
    ) -> None:
        super().__init__()
        check_sizes(size=size)
        _check_domain(domain)
        self.residual = residual
        self.trial = trial
        self.conditions = tuple(conditions)
        self.net = MLP(len(domain), *hidden, size)
        low, high = torch.tensor(domain, dtype=torch.get_default_dtype()).unbind(-1)
        self.register_buffer("low", low)
        self.register_buffer("high", high)

    def forward(self, *coordinates: Tensor) -> Tensor:
        self._check_coordinates(coordinates)
        together = torch.cat(coordinates, -1)
        scaled = 2 * (together - self.low) / (self.high - self.low) - 1
        out = self.net(scaled)
        return out if self.trial is None else self.trial(out, *coordinates)

    def points(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, ...]:
        """n random points of the domain, one of each of n strips along every coordinate (a Latin
        hypercube): coordinates (n, 1) each.
        """
        check_sizes(n=n)
        drawn = []
        for low, high in zip(self.low, self.high):
            strip = torch.randperm(n, generator=generator) + torch.rand(n, generator=generator)
            drawn.append((low + (high - low) * (strip / n).to(low))[:, None])
        return tuple(drawn)

    def residuals(self, *coordinates: Tensor) -> Tensor:
        """What is left of the equation at coordinates (n, 1) each, (n, ...)."""
        seen = tuple(one.detach().requires_grad_() for one in coordinates)
        with torch.enable_grad():
            return self.residual(self(*seen), *seen)

    def loss(self, *coordinates: Tensor) -> Tensor:
        """Mean square of the residual at these points, and that of each condition times its weight,
        summed (0-d).
        """
        total = self.residuals(*coordinates).square().mean()
        for where, values, weight in self.conditions:
            u = self(*(one.to(self.low) for one in where))
            total = total + weight * (u - values.to(u)).square().mean()
        return total

    def _check_coordinates(self, coordinates: tuple[Tensor, ...]) -> None:
        number = len(self.low)
        shapes = [tuple(one.shape) for one in coordinates]
        if len(shapes) != number or any(len(s) != 2 or s != (shapes[0][0], 1) for s in shapes):
            raise ValueError(
                f"a net on {number} coordinate{'s' * (number > 1)} needs {number} of shape (n, 1), "
                f"got {shapes or 'none'}; a vector t becomes one by t[:, None]"
            )


class Marched(nn.Module):
    """Solutions of one coordinate, one after the other: `pieces[i]` on [times[i], times[i + 1]].

    Shapes: t (n, 1) -> u (n, D).
    """

    times: Tensor

    def __init__(self, pieces: Sequence[nn.Module], times: Tensor) -> None:
        super().__init__()
        self.pieces = nn.ModuleList(pieces)
        self.register_buffer("times", times)

    def forward(self, t: Tensor) -> Tensor:
        which = torch.searchsorted(self.times[1:-1], t[:, 0].detach().contiguous(), right=True)
        parts = [piece(t[which == i]) for i, piece in enumerate(self.pieces)]
        return torch.cat(parts)[which.argsort(stable=True).argsort()]


def march(
    make: Callable[[float, float, Tensor], PINN],
    train: Callable[[PINN], object],
    times: Tensor,
    y0: Tensor,
) -> Marched:
    """One net for each of the intervals of times (n + 1,), each starting where the last one ended.

    Errors flow forward in time, but the loss of one net over a long interval sees all times at
    once; a series of short ones does what a solver does (Krishnapriyan et al. 2021: sequence to
    sequence).

    Args:
        make: make(first, last, y0 (D,)) -> a net for [first, last].
        train: train(net), in place.
        times: increasing.
        y0: state (D,) at times[0].
    """
    if times.dim() != 1 or len(times) < 2 or not (times.diff() > 0).all():
        raise ValueError(f"times must be two or more, increasing, got {times.tolist()}")
    pieces: list[PINN] = []
    for first, last in itertools.pairwise(times.tolist()):
        pieces.append(make(first, last, y0))
        train(pieces[-1])
        with torch.no_grad():
            y0 = pieces[-1](times.new_full((1, 1), last))[0]
    return Marched(pieces, times)


def ode_net(
    field: Callable[[Tensor, Tensor], Tensor],
    y0: Tensor,
    first: float,
    last: float,
    *,
    hard: bool = True,
    weight: float = 1.0,
    hidden: tuple[int, ...] = (32, 32, 32),
) -> PINN:
    """A net for y' = field(t, y), y(first) = y0 (D,), on [first, last].

    Args:
        field: as for odeint; t (n, 1), y (n, D). An nn.Module is trained with the net.
        hard: y = y0 + (1 - e^(first - t)) N(t); else N(t), with weight (N(first) - y0)^2, the mean
            over D, in the loss. The factor is bounded: with t - first in its place, N would have
            to be (y - y0) / (t - first), which is large here and small there, and long intervals
            train much worse. It assumes a unit of time in which the solution changes.

        >>> net = ode_net(lambda t, y: -y, torch.ones(1), 0.0, 2.0)
        >>> net(torch.zeros(1, 1))
        tensor([[1.]], grad_fn=<AddBackward0>)
    """
    if y0.dim() != 1:
        raise ValueError(f"y0 must be one state (D,), got shape {tuple(y0.shape)}")
    start = Condition((y0.new_full((1, 1), first),), y0[None], weight)
    return PINN(
        _ODEResidual(field),
        [(first, last)],
        trial=(lambda n, t: y0 + (1 - torch.exp(first - t)) * n) if hard else None,
        conditions=() if hard else (start,),
        size=len(y0),
        hidden=hidden,
    ).to(y0)


class _ODEResidual(nn.Module):
    """y' - field(t, y); a module, so that the field's parameters are trained."""

    def __init__(self, field: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.field = field

    def forward(self, y: Tensor, t: Tensor) -> Tensor:
        return derivative(y, t) - self.field(t, y)


def derivative(u: Tensor, x: Tensor) -> Tensor:
    """The derivative of u with respect to one coordinate x (n, 1), of the shape of u (n, D).

    Each row of u depends on its own row of x only. It can be differentiated again.

    Raises:
        ValueError: for other shapes; if x does not require a gradient, or u was not computed from
            it.

        >>> x = torch.tensor([[2.0]], requires_grad=True)
        >>> derivative(derivative(x**3, x), x)
        tensor([[12.]], grad_fn=<CatBackward0>)
    """
    if u.dim() != 2 or x.shape != (len(u), 1):
        raise ValueError(
            f"u must be (n, D) and x (n, 1), got {tuple(u.shape)} and {tuple(x.shape)}; a vector t "
            "becomes one by t[:, None]"
        )
    if not x.requires_grad:
        raise ValueError(
            "x does not require a gradient; make it with requires_grad=True before u is computed"
        )
    slopes = []
    for column in u.unbind(-1):
        slope = None
        if column.requires_grad:
            (slope,) = torch.autograd.grad(column.sum(), x, create_graph=True, allow_unused=True)
        if slope is None:
            raise ValueError(
                "a component of u was not computed from this very tensor x; if it is constant in "
                "x, its derivative is 0, and can be left out"
            )
        slopes.append(slope)
    return torch.cat(slopes, -1)


def polish(model: PINN, coordinates: tuple[Tensor, ...], updates: int) -> None:
    """Up to so many L-BFGS updates on fixed points, in place.

    Adam comes near; a quasi-Newton method with a line search gets the last digits. It stops by
    itself where nothing is left to gain.
    """
    check_sizes(updates=updates)
    optimizer = torch.optim.LBFGS(
        [p for p in model.parameters() if p.requires_grad],
        max_iter=updates,
        max_eval=2 * updates,
        history_size=50,
        tolerance_grad=1e-12,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = model.loss(*coordinates)
        loss.backward()
        return loss

    optimizer.step(closure)
    optimizer.zero_grad()


def error_from_residual(
    residual: Callable[[Tensor], Tensor], rate: float, end: float | Tensor
) -> Tensor:
    """e(T), the integral over [0, T] of e^(rate (T - s)) r(s) ds, by Gauss and Legendre.

    This is the error at T = `end` of a u with u' = rate u + r(t) and the right u(0), exactly:
    e = u - exact solves e' = rate e + r, e(0) = 0. So |e| <= max|r| (e^(rate T) - 1) / rate.

    Args:
        residual: r(s), elementwise, for s in float64 of any shape.
        end: one time, or a tensor of them, 0 or later; the errors have its shape.

        >>> error_from_residual(lambda s: 1e-3 * torch.ones_like(s), 5.0, 2.0)
        tensor(4.4051, dtype=torch.float64)
    """
    last = torch.as_tensor(end, dtype=torch.float64)[..., None]
    if not (last >= 0).all():
        raise ValueError(f"end must be 0 or later, got {float(last.min()):g}")
    at, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(NODES))
    s = last * (at + 1) / 2
    return (torch.exp(rate * (last - s)) * residual(s) * weights * last / 2).sum(-1)


def _check_domain(domain: Sequence[tuple[float, float]]) -> None:
    for i, pair in enumerate(domain):
        if len(tuple(pair)) != 2 or not -math.inf < pair[0] < pair[1] < math.inf:
            raise ValueError(
                f"domain[{i}] must be (first, last) with first < last, both finite, got {pair!r}"
            )
    if not len(domain):
        raise ValueError("domain must have an interval for each coordinate, such as [(0, 1)]")
