"""Continuous normalizing flows: noise becomes data by following a learned field, and the density is
known on the way.

    dy/dt = f(t, y),   y(0) = z from N(0, I),   y(end) = x
    log p_t(y(t)) = log N(z; 0, I) - integral from 0 to t of tr(df/dy) ds

The map y(0) -> y(t) is invertible whatever f is (paths do not cross), and where the field spreads
points apart the density falls: the instantaneous change of variables. The integral is solved beside
y, in the same evaluations of f. Its trace takes D backward passes (exact), or a few (Hutchinson's
estimate, see trace.py), with noise that is drawn once for a solve.

Sources: Chen, Rubanova, Bettencourt, Duvenaud 2018, arXiv 1806.07366, section 4 and appendix A;
Grathwohl, Chen, Bettencourt, Sutskever, Duvenaud 2019, "FFJORD", arXiv 1810.01367; the penalties:
Finlay, Jacobsen, Nurbekyan, Oberman 2020, "How to train your neural ODE", arXiv 2002.02798.
"""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .flows import Flow, Flowed, Sampled, normal_log_prob
from .integrals import BesideIntegrals, norm_of_first, slope_and_products
from .neural_ode import Cost, NeuralODE
from .sizes import check_points, check_sizes
from .trace import NOISES, draw_noise, estimate_from, exact_from, total, unit_vectors

TRACES = ("exact", *NOISES)


class Path(NamedTuple):
    """A flow along its way: states y (T, ..., D), and (T, ...) the map's log_det, or log_prob."""

    y: Tensor
    log: Tensor


class Penalized(NamedTuple):
    """log_prob (...), and what the paths to the noise cost (...): energy, Jacobian's norm."""

    log_prob: Tensor
    kinetic: Tensor
    frobenius: Tensor


class CNF(Flow):
    """A continuous normalizing flow (see the module), with the calls of all flows (flows.py).

    Args:
        func: the field, a module, t 0-d and y (..., D) -> (..., D), in which every row moves by
            itself, for instance `TimedMLP(2, 64, 64, 2)`, whose `with_trace` makes the exact trace
            cheap. With a context it gets (y, context) (..., D + C), and returns (..., D).
        size: D.
        end: the time at which the data are; the noise is at 0.
        trace: "exact", or Hutchinson's estimate with noise "rademacher" or "gaussian".
        probes: of the estimate, how many vectors for a row.
        redraw: draw them anew at every evaluation instead of once a solve. A mistake, here to be
            looked at: the solver takes the noise for an error, and shortens its steps. (Only
            "direct" can differentiate it.)
        method, rtol, atol, gradient, options: of the solver, as for `NeuralODE`. A density that
            comes from a few large fixed steps need not be one: it can be trained to be too good to
            be true.

    Shapes: x, z (B, D), context (C,) or (B, C).

    Raises:
        TypeError, ValueError: as `NeuralODE`; ValueError for an unknown trace, sizes and probes
            that are no positive integers, an end that is not positive, or tolerances with more than
            one number.

        >>> from node_tutorial.models import TimedMLP
        >>> flow = CNF(TimedMLP(2, 32, 2))
        >>> flow.log_prob(torch.zeros(5, 2)).shape, flow.sample(3).shape
        (torch.Size([5]), torch.Size([3, 2]))
        >>> flow.push(torch.zeros(5, 2), torch.linspace(0, 1, 11)).y.shape
        torch.Size([11, 5, 2])
    """

    def __init__(
        self,
        func: nn.Module,
        size: int = 2,
        *,
        end: float = 1.0,
        trace: str = "exact",
        probes: int = 1,
        redraw: bool = False,
        rtol: Any = 1e-5,
        atol: Any = 1e-5,
        **solver: Any,
    ) -> None:
        super().__init__()
        check_sizes(size=size, probes=probes)
        if trace not in TRACES:
            raise ValueError(f"trace must be one of {', '.join(TRACES)}, got {trace!r}")
        if not end > 0:
            raise ValueError(
                f"end must be positive, the time from the noise to the data, such as 1.0, got {end}"
            )
        for name, tolerance in (("rtol", rtol), ("atol", atol)):
            if torch.as_tensor(tolerance).dim():
                raise ValueError(
                    f"{name} must be one number, for the points and their densities, got "
                    f"{tolerance}"
                )
        self.solver = {"rtol": rtol, "atol": atol, **solver}
        # In a tuple, so that it is no part of this module.
        self._last = (NeuralODE(func, **self.solver),)
        self.func = func
        self.size = size
        self.end = float(end)
        self.trace = trace
        self.probes = probes
        self.redraw = redraw

    @property
    def stats(self) -> Cost:
        """`Cost` of the last solve: evaluations of the field, forward and, so far, backward."""
        return self._last[0].stats

    def path(self, y: Tensor, t: Tensor, context: Tensor | None = None) -> Path:
        """States (T, B, D) at times t (T,) from y (B, D) at t[0]; log |det dy(t)/dy(t[0])| (T, B).

        The times increase or decrease; none need be 0 or `end`.

        Raises:
            SolveError: if the solve cannot go on. ValueError: if y is not (..., D).
        """
        return Path(*self._solve(y, t, context, 1))

    def push(self, z: Tensor, t: Tensor, context: Tensor | None = None) -> Path:
        """Where the noise z (B, D) has come at times t (T,): (T, B, D), and log p_t there (T, B).

        Raises:
            ValueError: if t does not begin at 0.
        """
        if float(t[0]) != 0:
            raise ValueError(
                f"t must begin at 0, where the noise is, got t[0] = {float(t[0]):g}; use path for "
                "others"
            )
        states, log_det = self.path(z, t, context)
        return Path(states, normal_log_prob(z) - log_det)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Flowed:
        """From the data x to the noise z, and log |det dz/dx|."""
        y, log_det = self.path(x, _times(x, self.end, 0.0), context)
        return Flowed(y[-1], log_det[-1])

    def inverse(self, z: Tensor, context: Tensor | None = None) -> Flowed:
        """From the noise z to the data x, and log |det dx/dz|."""
        y, log_det = self.path(z, _times(z, 0.0, self.end), context)
        return Flowed(y[-1], log_det[-1])

    def log_prob(
        self, x: Tensor, context: Tensor | None = None, *, time: float | None = None
    ) -> Tensor:
        """log p(x) in nats, (B, D) -> (B,); with `time`, of the density then, not at `end`."""
        check_points(x, self.size)
        time = self.end if time is None else float(time)
        if time == 0:
            return normal_log_prob(x)
        y, log_det = self.path(x, _times(x, time, 0.0), context)
        return normal_log_prob(y[-1]) + log_det[-1]

    def penalized(self, x: Tensor, context: Tensor | None = None) -> Penalized:
        """log p(x), and the integrals of |f|^2 and |df/dy|_F^2 along the path of x, all (B,).

        The Jacobian's norm is exact with the exact trace, else Hutchinson's estimate by the probes
        of the trace. As in regularization.py, neither has a part in the error that chooses the
        steps.
        """
        y, log_det, kinetic, frobenius = self._solve(x, _times(x, self.end, 0.0), context, 3)
        return Penalized(normal_log_prob(y[-1]) + log_det[-1], -kinetic[-1], -frobenius[-1])

    def sample(self, n: int, context: Tensor | None = None) -> Tensor:
        """n draws, (n, D), for one context (C,), or for each of (n, C). No trace is computed."""
        z = self.noise(n)
        return self._solve(z, _times(z, 0.0, self.end), context, 0)[0][-1]

    def sample_with_log_prob(self, n: int, context: Tensor | None = None) -> Sampled:
        """n draws x (n, D) and log p(x) (n,), for fits by KL(q || p): one solve for both."""
        z = self.noise(n)
        x, log_det = self.inverse(z, context)
        return Sampled(x, normal_log_prob(z) - log_det)

    def _solve(self, y: Tensor, t: Tensor, context: Tensor | None, integrals: int) -> list[Tensor]:
        """The states at the times t, and as many integrals: of trace, |f|^2, |df/dy|_F^2."""
        check_points(y, self.size)
        state = [y, *[y.new_zeros(y.shape[:-1])] * integrals]
        if context is not None:  # part of the state, so that every gradient mode reaches it
            state.append(context.to(y).expand(*y.shape[:-1], context.shape[-1]))
        options = dict(self.solver.get("options") or {})
        if integrals > 1:
            options["norm"] = norm_of_first(2, options.get("norm"))  # y and log_det
        # A field for this solve alone: an earlier one's backward pass may be yet to come, and needs
        # its own noise.
        field = _WithIntegrals(self, y, integrals, context is not None)
        ode = NeuralODE(field, **{**self.solver, "options": options})
        self._last = (ode,)
        return list(ode(tuple(state), t)[: 1 + integrals])

    def extra_repr(self) -> str:
        return f"size={self.size}, end={self.end:g}, trace={self.trace!r}, {self.solver}"


def _times(y: Tensor, *t: float) -> Tensor:
    return torch.tensor(t, dtype=y.dtype, device=y.device)


class _WithIntegrals(BesideIntegrals):
    """The field of (y, log_det, kinetic, frobenius, context), with as many of the three integrals
    as asked for, and a context if there is one.
    """

    def __init__(self, flow: CNF, y: Tensor, integrals: int, conditional: bool) -> None:
        super().__init__()
        self.func = flow.func
        self.integrals = integrals
        self.conditional = conditional
        self.exact = flow.trace == "exact"
        self.draw = unit_vectors if self.exact else partial(draw_noise, flow.trace, flow.probes)
        self.redraw = flow.redraw
        self.vectors = self.draw(y) if integrals else ()

    def forward(self, t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        y = state[0]
        context = state[-1:] if self.conditional else ()
        still = tuple(torch.zeros_like(c) for c in context)
        if not self.integrals:
            return self.func(t, _joined(y, context)), *still
        with_trace = getattr(self.func, "with_trace", None)
        if self.exact and self.integrals == 1 and with_trace is not None:
            both = with_trace(t, _joined(y, context))
            if both is not None:
                return *both, *still
        vectors = self.draw(y) if self.redraw else self.vectors
        dy, rows = slope_and_products(lambda t, y: self.func(t, _joined(y, context)), t, y, vectors)
        slopes = [exact_from(rows) if self.exact else estimate_from(rows, vectors)]
        if self.integrals > 1:
            share = 1 if self.exact else len(rows)
            slopes += [dy.square().sum(-1), total([row.square().sum(-1) for row in rows]) / share]
        return dy, *slopes, *still


def _joined(y: Tensor, context: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([y, *context], -1) if context else y
