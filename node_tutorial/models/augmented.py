"""A neural ODE with more dimensions than its data: room in which paths can pass each other."""

from typing import Any

import torch
from torch import Tensor, nn

from .neural_ode import NeuralODE


class AugmentedODE(NeuralODE):
    """A `NeuralODE` that starts at (x, 0) instead of x: with p entries more than the data has.

        y(t_0) = (x, 0, .., 0)  or, with a lift,  (x, lift(x));
        dy/dt = func(t, y),  y in R^(D + p)

    Args:
        func: the vector field on D + p dimensions, for instance
            `VectorField(MLP(D + p, 32, D + p))`.
        extra: p, the number of zeros; or a module that maps x (..., D) to the p entries (..., p),
            for instance `nn.Linear(D, p)`, which is trained along.
        **solver: method, rtol, atol, gradient, options, as for `NeuralODE`.

    Shapes: x (..., D), t (T,) -> (T, ..., D + p).

    Raises:
        TypeError, ValueError: if extra is neither a module nor an integer that is zero or more; and
            as `NeuralODE`.

    Sources: Dupont, Doucet, Teh 2019, "Augmented neural ODEs", arXiv 1904.01681 (zeros); Massaroli,
    Poli, Park, Yamashita, Asama 2020, "Dissecting neural ODEs", arXiv 2002.08071 (a lift:
    "input-layer augmentation").

        >>> from node_tutorial.models import MLP, VectorField
        >>> model = AugmentedODE(VectorField(MLP(3, 32, 3)), 1)
        >>> model(torch.ones(5, 2), torch.linspace(0, 1, 11)).shape
        torch.Size([11, 5, 3])
    """

    def __init__(self, func: nn.Module, extra: int | nn.Module, **solver: Any) -> None:
        super().__init__(func, **solver)
        if not isinstance(extra, nn.Module):
            if isinstance(extra, bool) or not isinstance(extra, int):
                raise TypeError(
                    "extra must be the number of zeros to append, or a module that computes the "
                    f"entries to append, such as nn.Linear(2, 1), got {extra!r}"
                )
            if extra < 0:
                raise ValueError(
                    f"extra must be zero or more, the number of zeros to append, got {extra}"
                )
        self.extra = extra

    def augment(self, x: Tensor) -> Tensor:
        """The state at t_0, (..., D + p), of the data x (..., D)."""
        added = (
            x.new_zeros(*x.shape[:-1], self.extra) if isinstance(self.extra, int) else self.extra(x)
        )
        return torch.cat([x, added], dim=-1)

    def forward(self, y0: Any, t: Tensor) -> Any:
        """The states (T, ..., D + p) at the times t (T,), for the data y0 = x (..., D)."""
        return super().forward(self.augment(y0), t)
