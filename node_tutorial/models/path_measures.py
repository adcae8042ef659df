"""Densities of whole paths of dX = f dt + g dW, and how far apart two laws of paths are.

Two equations with the same g are told apart by their drifts alone, f_P and f_Q. By Girsanov's
theorem

    KL(P || Q) = 1/2 E_P integral ((f_P - f_Q) / g)^2 dt

Two equations with different g are never confused: a path, seen finely enough, shows its g by its
squared steps, and the divergence is infinite.

Sources: Girsanov 1960; Li, Wong, Chen, Duvenaud 2020, arXiv 2001.01328, section 5 (as the bound of
a latent SDE).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

Coefficient = Callable[[Tensor, Tensor], Tensor]


def path_kl(
    drift: Coefficient, other: Coefficient, diffusion: Coefficient, x: Tensor, t: Tensor
) -> Tensor:
    """1/2 of the integral of ((f_P - f_Q) / g)^2 dt along each path: its mean over paths of `drift`
    is KL(paths of `drift` || paths of `other`), both with this g.

    For Euler-Maruyama's paths at their own steps it is exactly the divergence of their laws.

    Args:
        drift, other, diffusion: f_P, f_Q and g, (t 0-d, x) -> shaped as x.
        x: (T, B, ..., D), paths of `drift`; the last dimension is summed over.
        t: (T,), their times, increasing.

    Returns:
        (B, ...).

    Raises:
        ValueError: for times that do not fit x or do not increase, or a diffusion that is somewhere
            0 or not finite.
    """
    _check(x, t)
    total = torch.zeros_like(x[0].sum(-1))
    for now, h, state in zip(t[:-1], t.diff(), x[:-1]):
        g = _noise(diffusion, now, state)
        difference = (drift(now, state) - other(now, state)) / g
        total = total + difference.square().sum(-1) * h / 2
    return total


def transition_log_prob(drift: Coefficient, diffusion: Coefficient, x: Tensor, t: Tensor) -> Tensor:
    """log p(x_1, .., x_T given x_0), with a step of Euler and Maruyama between two observations:

        sum of log N(x_(k + 1); x_k + f h, g^2 h)

    Args, errors: as for `path_kl`; x are the observations, of any origin. Returns (B, ...).
    """
    _check(x, t)
    total = torch.zeros_like(x[0].sum(-1))
    for now, h, state, following in zip(t[:-1], t.diff(), x[:-1], x[1:]):
        variance = _noise(diffusion, now, state).square() * h
        off = following - state - drift(now, state) * h
        log = -(off.square() / variance + variance.log() + math.log(2 * math.pi)) / 2
        total = total + log.expand_as(x[0]).sum(-1)
    return total


def _check(x: Tensor, t: Tensor) -> None:
    if t.dim() != 1 or x.dim() < 3 or len(t) != len(x) or len(t) < 2:
        raise ValueError(
            f"x must be (T, B, ..., D) and t (T,), at least two times; got {tuple(x.shape)} and "
            f"{tuple(t.shape)}"
        )
    if not (t.diff() > 0).all():
        raise ValueError("t must increase")


def _noise(diffusion: Coefficient, t: Tensor, x: Tensor) -> Tensor:
    """g(t, x), if there is a density."""
    g = diffusion(t, x)
    if not bool((g.isfinite() & (g != 0)).all()):
        raise ValueError(
            "diffusion must be finite and not 0: without noise no drift explains another's path"
        )
    return g
