"""Series with irregular times: what they look like, and the states of a latent ODE at them."""

from typing import Any

import torch
from torch import Tensor

from ..solvers.odeint import solve
from .neural_ode import NeuralODE


def check_series(
    t: Tensor, x: Tensor, mask: Tensor | None = None, features: int | None = None
) -> tuple[Tensor, Tensor]:
    """The times (B, T) and the mask (B, T, D) of series x (B, T, D), from t (T,) or (B, T) and
    mask, or None for all.

    Raises:
        TypeError: unless t and x are tensors, and mask a boolean one.
        ValueError: for other shapes, another D than `features`, no times, times that are not
            strictly increasing, or NaN where x is observed.
    """
    _check_tensor("t", t)
    _check_tensor("x", x)
    if x.dim() != 3:
        raise ValueError(
            f"x must be series (B, T, D), got shape {tuple(x.shape)}; use x[..., None] if D is 1"
        )
    if t.shape not in (x.shape[1:2], x.shape[:2]):
        raise ValueError(
            f"t must have shape {tuple(x.shape[1:2])} or {tuple(x.shape[:2])} for x of shape "
            f"{tuple(x.shape)}, got {tuple(t.shape)}"
        )
    if not x.shape[1]:
        raise ValueError(f"x must have one time or more, got shape {tuple(x.shape)}")
    if features not in (None, x.shape[2]):
        raise ValueError(
            f"x must have {features} entries at each time, (B, T, {features}), got shape "
            f"{tuple(x.shape)}"
        )
    if mask is None:
        mask = torch.ones_like(x, dtype=torch.bool)
    _check_tensor("mask", mask)
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
    if (x.isnan() & mask).any():
        raise ValueError("x holds NaN where it counts as observed; give mask=~x.isnan()")
    return t, mask


def _check_tensor(name: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{name} must be a tensor, got {type(value).__name__}; use torch.as_tensor({name})"
        )


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
    t = t.detach() if t.dim() == 1 else _precise(t.detach())
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
    behind = t[:, -1:] + max(1e-9, 4 * torch.finfo(t.dtype).eps) * (1 + t[:, -1:].abs())
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


def _precise(t: Tensor) -> Tensor:
    """t in float64, or as it is on a device that has none: Apple's GPUs."""
    try:
        return t.double()
    except TypeError:
        return t
