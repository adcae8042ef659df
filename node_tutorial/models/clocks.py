"""Series with irregular times: what they look like, and the states of a latent ODE at them."""

import torch
from torch import Tensor

from ..solvers.odeint import solve
from .neural_ode import NeuralODE


def check_series(t: Tensor, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The times (B, T) and the mask (B, T, D) of series x (B, T, D), from t (T,) or (B, T) and
    mask, or None for all.

    Raises:
        TypeError: if mask is not boolean.
        ValueError: for other shapes, or times that are not strictly increasing.
    """
    if x.dim() != 3:
        raise ValueError(
            f"x must be series (B, T, D), got shape {tuple(x.shape)}; use x[..., None] if D is 1"
        )
    if t.shape not in (x.shape[1:2], x.shape[:2]):
        raise ValueError(
            f"t must have shape {tuple(x.shape[1:2])} or {tuple(x.shape[:2])} for x of shape "
            f"{tuple(x.shape)}, got {tuple(t.shape)}"
        )
    if mask is None:
        mask = torch.ones_like(x, dtype=torch.bool)
    if mask.dtype != torch.bool:
        raise TypeError(
            f"mask must be boolean, True where x is observed, got {mask.dtype}; use mask.bool()"
        )
    if mask.shape != x.shape:
        raise ValueError(
            f"mask must have the shape of x, {tuple(x.shape)}, got {tuple(mask.shape)}; for one "
            "entry per time use mask[..., None].expand_as(x)"
        )
    t = t.expand(x.shape[:2])
    bad = ~(t.diff(dim=1) > 0).all(1)
    if bad.any():
        row = int(bad.nonzero()[0, 0])
        raise ValueError(
            f"t must be strictly increasing in every row, row {row} is not; sort it, or drop "
            "duplicates"
        )
    return t, mask


def states_at(ode: NeuralODE, z0: Tensor, t: Tensor, t0: float) -> Tensor:
    """The states (B, T, L) at the times t, from z(t0) = z0 (B, L).

    Times t (T,) for all rows are solved with one clock and `ode` itself; times t (B, T), one row
    for each row of z0, with one clock per row, which takes an adaptive explicit method and the
    gradient "direct".

    Raises:
        ValueError: for times before t0, and as `solve`.
    """
    if (t < t0).any():
        raise ValueError(
            f"t must not be before t0 = {t0:g}, the time of the latent z0, got {float(t.min()):g}"
        )
    t = t.detach() if t.dim() == 1 else t.detach().double()
    begin = torch.full_like(t[..., :1], t0)
    if t.dim() == 1:
        if t[0] == t0:
            return ode(z0, t).transpose(0, 1)
        return ode(z0, torch.cat([begin, t]))[1:].transpose(0, 1)
    if ode.gradient != "direct":
        raise ValueError(
            "times t of shape (B, T) are solved with one clock per row, with gradient='direct'; "
            f"got {ode.gradient!r}. Use times (T,) for all rows: node_tutorial.data.union_grid"
        )
    # Solve row by row from t0. A row whose first time is t0 needs no time before it: it gets one
    # behind, not used.
    late = t[:, :1] > t0
    behind = t[:, -1:] + 1e-9 * (1 + t[:, -1:].abs())
    grid = torch.where(late, torch.cat([begin, t], 1), torch.cat([t, behind], 1))
    z = solve(
        ode.func,
        z0,
        grid,
        rtol=ode.rtol,
        atol=ode.atol,
        method=ode.method,
        options=ode.options,
        per_sample=True,
    ).y
    return torch.where(late[..., None], z[:, 1:], z[:, :-1])
