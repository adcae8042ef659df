"""The trace of a field's Jacobian: how fast a flow expands.

    d/dt log |det dy(t)/dy(0)| = tr(df/dy)

Autograd gives products e^T df/dy, one backward pass through the field each. The exact trace takes D
of them, one for each unit vector. Hutchinson's estimate takes a few, or one: for random e with mean
0 and E[e e^T] = 1,

    E[e^T A e] = tr A
    Var[e^T A e] = 2 (|S|_F^2 - sum_i S_ii^2)    for random signs ("rademacher")
    Var[e^T A e] = 2 |S|_F^2                     for Gaussian e,               S = (A + A^T) / 2

so signs are never worse, and exact for a diagonal A.

Sources: Chen, Rubanova, Bettencourt, Duvenaud 2018, arXiv 1806.07366, theorem 1; Hutchinson 1989,
"A stochastic estimator of the trace of the influence matrix", Commun. Stat. Simul. 18; Grathwohl et
al. 2019, FFJORD, arXiv 1810.01367, section 3.1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

NOISES = ("rademacher", "gaussian")


def exact_trace(dy: Tensor, y: Tensor) -> Tensor:
    """tr(df/dy) = sum_i d(dy_i)/dy_i, by D backward passes; in nats per unit of time.

    Args:
        dy: f(t, y), (..., D), computed from y by autograd, row by row.
        y: (..., D), requires gradients.

    Returns:
        (...). It can be differentiated further where gradients are enabled.

        >>> y = torch.tensor([[2.0, 3.0]], requires_grad=True)
        >>> exact_trace(y**3, y)  # 3 y_1^2 + 3 y_2^2
        tensor([39.], grad_fn=<AddBackward0>)
    """
    return exact_from(products(dy, y, unit_vectors(y)))


def hutchinson_trace(dy: Tensor, y: Tensor, noise: Tensor) -> Tensor:
    """An unbiased estimate of tr(df/dy): the mean over the probes e of e^T df/dy e.

    Args:
        dy, y: as for `exact_trace`.
        noise: the probes, (P, ..., D), see `draw_noise`. In an ODE it has to stay the same during a
            solve: with new noise at every evaluation the field is no function of time and state,
            and no step size satisfies the solver.

    Returns:
        (...).

        >>> y = torch.tensor([[2.0, 3.0]], requires_grad=True)
        >>> noise = draw_noise("rademacher", 1, y)
        >>> hutchinson_trace(y**3, y, noise).item()  # the Jacobian is diagonal
        39.0
    """
    return estimate_from(products(dy, y, noise), noise)


def draw_noise(kind: str, probes: int, y: Tensor) -> Tensor:
    """Probes e (P, *y.shape) for `hutchinson_trace`, new for every row of y: signs, or Gaussian.

    Raises:
        ValueError: for a kind that is not in NOISES.
    """
    if kind not in NOISES:
        raise ValueError(f"the noise must be one of {', '.join(NOISES)}, got {kind!r}")
    noise = y.new_empty(probes, *y.shape)
    return noise.normal_() if kind == "gaussian" else noise.bernoulli_(0.5).mul_(2).sub_(1)


def unit_vectors(y: Tensor) -> list[Tensor]:
    """The D unit vectors, each (..., D) like y."""
    return [row.expand_as(y) for row in torch.eye(y.shape[-1], dtype=y.dtype, device=y.device)]


def products(dy: Tensor, y: Tensor, vectors: Sequence[Tensor] | Tensor) -> list[Tensor]:
    """e^T df/dy (..., D) for each of the vectors e (..., D)."""
    if not dy.requires_grad:  # a constant field
        return [torch.zeros_like(y) for _ in vectors]
    again = torch.is_grad_enabled()
    return [
        torch.autograd.grad(
            dy, y, e, create_graph=again, retain_graph=True, materialize_grads=True
        )[0]
        for e in vectors
    ]


def exact_from(rows: list[Tensor]) -> Tensor:
    """The trace from the rows of the Jacobian."""
    return total([row[..., i] for i, row in enumerate(rows)])


def estimate_from(rows: list[Tensor], vectors: Sequence[Tensor] | Tensor) -> Tensor:
    """The estimate of the trace from the products e^T df/dy, and the vectors e."""
    return total([(row * e).sum(-1) for row, e in zip(rows, vectors)]) / len(rows)


def total(parts: list[Tensor]) -> Tensor:
    """Their sum, without the 0 that `sum` begins with."""
    first, *rest = parts
    for part in rest:
        first = first + part
    return first
