"""Couplings: which noise belongs to which data, before a flow is fitted to the pairs.

Every joint law of (x0, x1) with the right margins is a coupling. Flow matching may use any; the
fewer of the lines from x0 to x1 cross, the straighter is the flow.

    independent    any x0 with any x1
    optimal        within a batch, so that the sum of |x1 - x0|^2 is least (an assignment problem)

A third kind needs no function: pairs that are given, such as those that a flow has solved for
(reflow, see flow_matching.py).

A batch is not the population. Where source and target are the same N(0, 1), the best pairing costs
nothing, but that of B draws each costs `paired_cost(B)` on average, about 1/B: points are moved
that should have stayed. And an assignment takes about B^3 operations.

Sources: Pooladian et al. 2023, "Multisample flow matching", arXiv 2304.14772; Tong et al. 2023,
"Improving and generalizing flow-based generative models with minibatch optimal transport", arXiv
2302.00482.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from .sizes import check_sizes

Coupling = Callable[[Tensor, Tensor], Tensor]

WIDE = 9.0  # standard deviations beyond which order statistics have no mass
POINTS = 4001  # of the quadrature


def independent(x0: Tensor, x1: Tensor) -> Tensor:
    """The order (B,) that leaves two batches (B, ...) as they were drawn."""
    return torch.arange(len(x0), device=x0.device)


@torch.no_grad()
def optimal(x0: Tensor, x1: Tensor) -> Tensor:
    """The order (B,) of x0 for which the mean of |x1 - x0[order]|^2 is least.

    By `scipy.optimize.linear_sum_assignment`, exactly.

        >>> x0, x1 = torch.tensor([[0.0], [5.0]]), torch.tensor([[6.0], [1.0]])
        >>> optimal(x0, x1)
        tensor([1, 0])
    """
    from scipy.optimize import linear_sum_assignment  # here, because it takes a quarter second

    a = x0.detach().reshape(len(x0), -1).double().cpu()
    b = x1.detach().reshape(len(x1), -1).double().cpu()
    # |a|^2 and |b|^2 are the same for every pairing: what counts is the product.
    return torch.as_tensor(linear_sum_assignment(-(b @ a.T).numpy())[1], device=x0.device)


COUPLINGS: dict[str, Coupling] = {"independent": independent, "optimal": optimal}


def coupling(kind: str) -> Coupling:
    """One of COUPLINGS: (x0, x1) -> the order (B,) in which x0 is taken.

    Raises:
        ValueError: for a name that is none of them.
    """
    if kind not in COUPLINGS:
        raise ValueError(
            f"coupling must be one of {', '.join(COUPLINGS)}, got {kind!r}; pairs that are given "
            "go to the loss as they are: loss(x1, x0)"
        )
    return COUPLINGS[kind]


def cost(x0: Tensor, x1: Tensor) -> Tensor:
    """The mean of |x1 - x0|^2 over pairs (B, ...), 0-d."""
    _check_pairs(x0, x1)
    return (x1 - x0).reshape(len(x0), -1).square().sum(1).mean()


def paired_cost(batch: int) -> float:
    """The expected cost of the best pairing of B draws from N(0, 1) with B others: 2, 1.36, ...

    On a line the best pairing is by rank. With X_(i) the i-th of B in order,

        E (X_(i) - Y_(i))^2 = 2 Var X_(i),      so that the mean is 2 - (2/B) sum_i (E X_(i))^2.

    E X_(i) is integrated by the trapezoidal rule, to ten digits.

        >>> [round(paired_cost(B), 6) for B in (1, 2, 4)]
        [2.0, 1.36338, 0.852171]
    """
    from scipy.special import betaln, log_ndtr

    check_sizes(batch=batch)
    x = np.linspace(-WIDE, WIDE, POINTS)
    rank = np.arange(1, batch + 1)[:, None]
    # The density of X_(i): that of the beta distribution (i, B - i + 1) at Phi(x), times phi(x).
    log_density = (rank - 1) * log_ndtr(x) + (batch - rank) * log_ndtr(-x)
    log_density += -(x**2) / 2 - np.log(2 * np.pi) / 2 - betaln(rank, batch - rank + 1)
    means = (np.exp(log_density) * x).sum(1) * (x[1] - x[0])
    return float(2 - 2 * np.mean(means**2))


def gaussian_map(covariance0: Tensor, covariance1: Tensor) -> Tensor:
    """The matrix A (D, D) of optimal transport x -> A x from N(0, C0) to N(0, C1).

        A = C0^(-1/2) (C0^(1/2) C1 C0^(1/2))^(1/2) C0^(-1/2),

    the only symmetric positive one with A C0 A = C1 (Peyre, Cuturi 2019, "Computational optimal
    transport", arXiv 1803.00567, remark 2.31). The cost is tr((A - 1) C0 (A - 1)).

        >>> gaussian_map(torch.eye(1), 4 * torch.eye(1))
        tensor([[2.]])
    """
    root = _power(covariance0, 0.5)
    inverse = _power(covariance0, -0.5)
    return inverse @ _power(root @ covariance1 @ root, 0.5) @ inverse


def _power(matrix: Tensor, exponent: float) -> Tensor:
    values, axes = torch.linalg.eigh(matrix)
    if values.min() <= 0:
        raise ValueError(f"covariances must be positive, got one with the eigenvalues {values}")
    return axes @ torch.diag(values**exponent) @ axes.mT


def _check_pairs(x0: Tensor, x1: Tensor) -> None:
    if x0.shape != x1.shape:
        raise ValueError(
            "x0 and x1 must be pairs, of one shape (B, ...), got "
            f"{tuple(x0.shape)} and {tuple(x1.shape)}"
        )
