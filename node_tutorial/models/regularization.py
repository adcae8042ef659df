"""Penalties for paths that are expensive to follow: kinetic energy, Jacobian's norm, a random end.

Many fields carry the data to where the loss is small. These ask for one whose paths are short,
even, and alike:

    kinetic    =  integral of |f(t, y(t))|^2 dt         least for straight lines, at constant speed
    frobenius  =  integral of |df/dy (t, y(t))|_F^2 dt  zero where all paths have the same velocity

    y, kinetic, frobenius = model(y0, t)                    # model: a RegularizedODE
    loss = misfit(y[-1]) + 0.01 * kinetic.mean() + 0.01 * frobenius.mean()

Both integrals are solved beside y, in the same evaluations of f. They have no part in the error
that chooses the steps, so that the solve takes the same steps as without them. They are positive in
both directions of time.

Sources: Finlay, Jacobsen, Nurbekyan, Oberman 2020, "How to train your neural ODE", arXiv 2002.02798
(its code takes means over the dimensions instead of sums, and half the kinetic energy; it leaves
the integrals out of the error too); Ghosh, Behl, Dupont, Torr, Namboodiri 2020, "STEER", arXiv
2006.10711 (the random end time).
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .integrals import BesideIntegrals, norm_of_first, slope_and_products
from .neural_ode import NeuralODE


class Regularized(NamedTuple):
    """What a `RegularizedODE` returns: states y (T, ..., D); kinetic, frobenius (...), over all t.

    frobenius is None unless it was asked for.
    """

    y: Tensor
    kinetic: Tensor
    frobenius: Tensor | None


class RegularizedODE(NeuralODE):
    """A `NeuralODE` that also returns what its paths cost, see the module's docstring.

    Args:
        func: the vector field, t and y (..., D) -> (..., D), in which every row of y moves by
            itself.
        jacobian: also estimate the Jacobian's norm. It takes a vector-Jacobian product at every
            evaluation, and second derivatives in training.
        **solver: method, rtol, atol, gradient, options, as for `NeuralODE`.

    The Jacobian's norm is estimated as |e^T df/dy|^2 with random signs e, drawn for each row at
    each solve and kept during it: since the mean of e e^T is 1, its mean is |df/dy|_F^2
    (Hutchinson). For less noise, average some calls.

    Returns `Regularized`. Raises TypeError and ValueError as `NeuralODE`, and TypeError for a tuple
    y0.

        >>> from node_tutorial.models import MLP, VectorField
        >>> model = RegularizedODE(VectorField(MLP(2, 32, 2)))
        >>> y, kinetic, frobenius = model(torch.ones(5, 2), torch.linspace(0, 1, 11))
        >>> y.shape, kinetic.shape, frobenius.shape
        (torch.Size([11, 5, 2]), torch.Size([5]), torch.Size([5]))
    """

    func: "_WithPenalties"

    def __init__(self, func: nn.Module, *, jacobian: bool = True, **solver: Any) -> None:
        super().__init__(func, **solver)
        self.func = _WithPenalties(func)
        self.jacobian = jacobian
        options = self.options or {}
        self.options = {**options, "norm": norm_of_first(1, options.get("norm"))}

    def forward(self, y0: Any, t: Tensor) -> Regularized:
        """As `NeuralODE`, with the penalties over the whole span of t (T,)."""
        if not isinstance(y0, Tensor):
            raise TypeError(f"y0 must be one tensor (..., D), got {type(y0).__name__}")
        nothing = y0.new_zeros(y0.shape[:-1])
        sign = 1 if t[-1] > t[0] else -1
        # A field for this solve alone: an earlier one's backward pass may be yet to come, and needs
        # its own signs.
        field = _WithPenalties(self.func.func)
        field.signs = torch.randint_like(y0, 2) * 2 - 1 if self.jacobian else None
        state = (y0, nothing, nothing) if self.jacobian else (y0, nothing)
        tolerances = [_for_parts(x, state) for x in (self.rtol, self.atol)]
        y, kinetic, *frobenius = self._solve(field, state, t, *tolerances)
        norm = sign * frobenius[0][-1] if frobenius else None
        return Regularized(y, sign * kinetic[-1], norm)


def _for_parts(tolerance: Any, state: tuple[Tensor, ...]) -> Any:
    """A tolerance for y, one number or one for each entry, as one for (y, integrals ..), whose
    errors do not count.
    """
    if not isinstance(tolerance, Tensor) or tolerance.numel() == 1:
        return tolerance
    try:
        spread = tolerance.expand(state[0].shape).reshape(-1)
    except RuntimeError:
        return tolerance  # the solver says what is wrong with it
    return (spread, *[1.0] * (len(state) - 1))


class _WithPenalties(BesideIntegrals):
    """The field of (y, kinetic, frobenius), the last one only where there are signs."""

    def __init__(self, func: nn.Module) -> None:
        super().__init__()
        self.func = func
        self.signs: Tensor | None = None

    def forward(self, t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        y = state[0]
        if self.signs is None:
            slope = self.func(t, y)
            return slope, slope.square().sum(-1)
        slope, (pulled,) = slope_and_products(self.func, t, y, [self.signs])
        return slope, slope.square().sum(-1), pulled.square().sum(-1)


def random_end(t: Tensor, spread: float) -> Tensor:
    """The times t, the last one moved by a random amount, uniform from -spread to spread ("STEER").

    For training: what must hold at a random time has to hold, and go on holding, around t[-1].
    Evaluate at t itself.

    Args:
        t: (T,) times, increasing.
        spread: b of the paper, positive and smaller than the last interval of t.

    Raises:
        ValueError: for another spread.

    Source: Ghosh, Behl, Dupont, Torr, Namboodiri 2020, arXiv 2006.10711.

        >>> _ = torch.manual_seed(0)
        >>> random_end(torch.tensor([0.0, 1.0]), 0.5)
        tensor([0.0000, 0.9963])
    """
    last = float(t[-1] - t[-2])
    if not 0 < spread < last:
        raise ValueError(
            f"spread must be positive and less than the last interval of t, {last:g}, got {spread}"
        )
    return torch.cat([t[:-1], t[-1:] + spread * (2 * torch.rand_like(t[-1:]) - 1)])
