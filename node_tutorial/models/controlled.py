"""Controlled equations, dz = f(z) dX: the state moves where the path X moves.

Along a path with a slope it is an ODE, dz/ds = f(z) dX/ds, and `odeint` solves it. f(z) is a
matrix: one row for each entry of z, one column for each channel of X.

Source: Kidger, Morrill, Foster, Lyons 2020, "Neural controlled differential equations for irregular
time series", arXiv 2005.08926.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ..solvers.methods.registry import find_method
from ..solvers.odeint import odeint
from .control_paths import ControlPath
from .fields import MLP
from .sizes import check_sizes


def cdeint(
    field: Callable[[Tensor], Tensor],
    z0: Tensor,
    path: ControlPath,
    s: Tensor | None = None,
    *,
    method: str = "dopri5",
    options: dict[str, Any] | None = None,
    **tolerances: Any,
) -> Tensor:
    """Solve dz = field(z) dX along a path, z = z0 at its first knot.

    Where X has kinks, dz/ds jumps. So an adaptive method never steps across a knot, and one with a
    fixed step makes one step from each knot to the next.

    Args:
        field: (..., H) -> (..., H, C), the matrix f(z).
        z0: (..., H).
        path: X, with C channels, and rows that fit z0.
        s: (S,), where to look, increasing, the first knot first; None for both ends.
        method, tolerances: as for `odeint`; of the methods those whose step depends on nothing that
            was before it. Multistep and reversible ones carry slopes across kinks.
        options: of the method, in place of the steps from knot to knot.

    Returns:
        (S, ..., H). Differentiable with respect to z0, the path, and what field uses.

    Raises:
        ValueError: for a method with a memory or a loop of its own, if s does not begin at the
            first knot or goes beyond the last one, or if field(z0) is no matrix that fits z0 and
            the path.

        >>> import torch
        >>> from node_tutorial.models.control_paths import linear
        >>> corner = linear(torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]))
        >>> cdeint(lambda z: torch.eye(2), torch.zeros(2), corner)[-1]
        tensor([1.0000, 1.0000])
    """
    knots = path.knots
    if s is None:
        s = knots[[0, -1]]
    if s[0] != knots[0] or s[-1] > knots[-1]:
        raise ValueError(
            f"s must begin at the first knot, {float(knots[0]):g}, and end at or before the last, "
            f"{float(knots[-1]):g}; got {float(s[0]):g} to {float(s[-1]):g}"
        )
    channels = path.coefficients.shape[-1]
    wanted = (*z0.shape, channels)
    got = tuple(field(z0).shape)
    if got != wanted:
        raise ValueError(
            f"field must map z {tuple(z0.shape)} to one column for each of {channels} channels, "
            f"{wanted}, got {got}"
        )
    kind = find_method(method)
    if not kind.replayable:
        raise ValueError(
            f"method {method!r} is not for cdeint: along a path with kinks each step must depend "
            "on its own beginning alone, as in Runge-Kutta methods (a Method with replayable=True)"
        )
    if options is None:
        if kind.takes_fixed_steps({}):
            # perturb: the slope at the end of a step is that before the knot, not that after it.
            options = {"grid_constructor": lambda func, y, t: knots, "perturb": True}
        else:
            options = {"jump_t": knots[1:-1]}

    def along(s: Tensor, z: Tensor) -> Tensor:
        return (field(z) @ path.slope(s)[..., None]).squeeze(-1)

    return odeint(along, z0, s, method=method, options=options, **tolerances)


class NeuralCDE(nn.Module):
    """y = out(z at the end), dz = f(z) dX, z(0) = start(X(0)), with nets `start`, `f` and `out`.

    f is a net with one hidden layer and tanh at its end: so |dz| is at most a constant times |dX|,
    and z cannot explode within one step.

    Args:
        channels: C, of the path, the time included.
        hidden: H, entries of z.
        outputs: entries of y.
        width: of the hidden layer of f.
        method: of `cdeint`. The default, midpoint, looks at f twice in each interval.

    Shapes: a path with coefficients (4, B, K, C) -> (B, outputs).

    Source: Kidger et al. 2020, arXiv 2005.08926, section 3.

        >>> import torch
        >>> from node_tutorial.models.control_paths import linear
        >>> NeuralCDE(3, 8, 2)(linear(torch.randn(5, 20, 3))).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        outputs: int,
        *,
        width: int = 32,
        method: str = "midpoint",
    ) -> None:
        super().__init__()
        check_sizes(channels=channels, hidden=hidden, outputs=outputs, width=width)
        self.channels = channels
        self.start = nn.Linear(channels, hidden)
        self.field = MLP(hidden, width, hidden * channels)
        self.out = nn.Linear(hidden, outputs)
        self.method = method

    def matrix(self, z: Tensor) -> Tensor:
        """f(z): (..., H) -> (..., H, C)."""
        return self.field(z).tanh().unflatten(-1, (-1, self.channels))

    def first(self, path: ControlPath) -> Tensor:
        """z at the first knot, (B, H); in the precision of the path, whatever autocast makes."""
        x0 = path.at(path.knots[0])
        return self.start(x0).to(x0.dtype)

    def states(self, path: ControlPath) -> Tensor:
        """z at all knots, (K + 1, B, H)."""
        return cdeint(self.matrix, self.first(path), path, path.knots, method=self.method)

    def forward(self, path: ControlPath) -> Tensor:
        return self.out(cdeint(self.matrix, self.first(path), path, method=self.method)[-1])
