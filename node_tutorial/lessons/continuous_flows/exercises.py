"""Exercises of lesson 15."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ...course.answers import array, function
from ...course.exercises import Exercise, Mistake, register

_A = torch.tensor([[0.5, 2.0], [-1.0, 0.25]], dtype=torch.float64)
_B = torch.tensor([[-1.0, 3.0, 0.0], [0.5, 0.2, -1.0], [0.0, 0.3, -0.4]], dtype=torch.float64)
_DIAGONAL = torch.tensor([[2.0, 0.0], [0.0, -0.5]], dtype=torch.float64)


def log_det(A, T):
    return T * A.trace()


register(
    Exercise(
        "15.1",
        "The log-determinant of a linear flow",
        kind=function((_A, 1.0), (_A, 2.0), (_B, 0.5), (_DIAGONAL, 3.0)),
        solution=log_det,
        mistakes=[
            Mistake(
                "determinant of A",
                lambda A, T: T * torch.linalg.det(A),
                "That is the determinant of A, the field. "
                "The volume is changed by the map, exp(T A).",
            ),
            Mistake(
                "log of the determinant of A",
                lambda A, T: T * torch.linalg.slogdet(A).logabsdet,
                "You took log |det A|, as for one layer y = A x. "
                "Here A y is a velocity, and the map is exp(T A).",
            ),
            Mistake(
                "exponential left in",
                lambda A, T: torch.exp(T * A.trace()),
                "That is the determinant of the map. Asked is its logarithm.",
            ),
            Mistake(
                "time forgotten",
                lambda A, T: A.trace(),
                "Right after one unit of time. How does it grow with T?",
            ),
            Mistake(
                "one Euler step",
                lambda A, T: (
                    torch.linalg.slogdet(torch.eye(len(A), dtype=A.dtype) + T * A).logabsdet
                ),
                "That is one Euler step, the layer y + T A y. Let the number of layers grow.",
            ),
            Mistake(
                "sign of the density",
                lambda A, T: -T * A.trace(),
                "That is what is added to the log-density. The volume changes the other way.",
            ),
            Mistake(
                "all entries",
                lambda A, T: T * A.sum(),
                "You summed all entries of A. "
                "Only those on the diagonal spread points apart; a rotation has others.",
            ),
        ],
        hints=[
            "For a diagonal A the axes are stretched by exp(T a_11), exp(T a_22), ...",
            "The determinant is the product of the stretchings, "
            "its logarithm the sum of their logarithms.",
            "The trace is the same in every basis; so what holds for a diagonal A holds for all.",
        ],
        otherwise="Compare with `torch.linalg.slogdet(torch.linalg.matrix_exp(T * A)).logabsdet`.",
        meaning=(
            "det exp(T A) = exp(T tr A). No determinant had to be computed: D entries instead of "
            "D**3 operations. A rotation has the trace 0, and keeps every volume."
        ),
    )
)


def log_density(log_start, integral, backward):
    # Backward the solver goes from data to noise: its integral of tr(df/dy), from 1 to 0, is
    # log |det dz/dx| already.
    return log_start + integral if backward else log_start - integral


def _keyed(when_forward: float, when_backward: float) -> Callable[[float, float, bool], float]:
    """A wrong answer, log_start plus a multiple of the integral."""
    return lambda log_start, integral, backward: (
        log_start + (when_backward if backward else when_forward) * integral
    )


_SIGNS = [(-1.0, 0.7, False), (-2.5, -0.3, False), (-1.0, -0.7, True), (-2.0, 0.4, True)]

register(
    Exercise(
        "15.2",
        "The sign, both ways",
        kind=function(*_SIGNS),
        solution=log_density,
        mistakes=[
            Mistake(
                "minus both ways",
                _keyed(-1, -1),
                "Right for the forward solve. "
                "Backward, the integral runs from 1 to 0: it has the other sign already.",
            ),
            Mistake(
                "plus both ways",
                _keyed(1, 1),
                "Right for the backward solve. "
                "Forward: where the field spreads points apart, what happens to p?",
            ),
            Mistake(
                "both reversed",
                _keyed(1, -1),
                "Both are reversed. Take y' = y: "
                "forward the points spread, the trace is 1, the density falls.",
            ),
            Mistake(
                "integral forgotten",
                _keyed(0, 0),
                "That is the density of the noise alone. "
                "How much have the points been spread on the way?",
            ),
            Mistake(
                "sizes instead of signs",
                lambda log_start, integral, backward: log_start - abs(integral),
                "The integral has a sign that matters: a field can also press points together.",
            ),
        ],
        hints=[
            "In both cases log p(x) = log N(z) - (integral of the trace "
            "from 0 to 1, along the path).",
            "An integral from 1 to 0 is minus the integral from 0 to 1.",
        ],
        otherwise="Take y' = y in one dimension: x = e z, and x has the standard deviation e.",
        meaning=(
            "Forward log N(z) - I, backward log N(z) + I', with I' = -I. "
            "In the package I' is log_det of a flow."
        ),
    )
)


def variances(A):
    S = (A + A.T) / 2
    norm = (S**2).sum()
    diagonal = (S.diagonal() ** 2).sum()
    return torch.stack([2 * (norm - diagonal), 2 * norm])


def _of(
    signs: Callable[[Tensor], Tensor], gaussian: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    """A wrong answer, from formulas for the two variances."""
    return lambda A: torch.stack([signs(A), gaussian(A)])


def _S(A: Tensor) -> Tensor:
    return (A + A.T) / 2


register(
    Exercise(
        "15.3",
        "The variance of one probe",
        kind=function((_A,), (_B,), (_DIAGONAL,), returns=array((2,), "two numbers, signs first")),
        solution=variances,
        mistakes=[
            Mistake(
                "not symmetrized",
                _of(
                    lambda A: 2 * ((A**2).sum() - (A.diagonal() ** 2).sum()),
                    lambda A: 2 * (A**2).sum(),
                ),
                "e^T A e does not see the part of A that turns: "
                "it is e^T S e, with S = (A + A^T) / 2. Use S.",
            ),
            Mistake(
                "diagonal kept for signs",
                _of(lambda A: 2 * (_S(A) ** 2).sum(), lambda A: 2 * (_S(A) ** 2).sum()),
                "For signs e_i**2 = 1 always: the diagonal of S adds no variance.",
            ),
            Mistake(
                "order",
                _of(
                    lambda A: 2 * (_S(A) ** 2).sum(),
                    lambda A: 2 * ((_S(A) ** 2).sum() - (_S(A).diagonal() ** 2).sum()),
                ),
                "The two are in the wrong order: signs first, then Gaussian noise.",
            ),
            Mistake(
                "factor 2",
                lambda A: variances(A) / 2,
                "A factor is missing: S_ij and S_ji stand at the same product e_i e_j.",
            ),
            Mistake(
                "standard deviations",
                lambda A: variances(A).sqrt(),
                "Those are standard deviations. Asked are variances, their squares.",
            ),
            Mistake(
                "trace subtracted",
                _of(
                    lambda A: 2 * ((_S(A) ** 2).sum() - A.trace() ** 2),
                    lambda A: 2 * (_S(A) ** 2).sum(),
                ),
                "You subtract the square of the trace. "
                "Subtract the sum of the squares of the diagonal.",
            ),
        ],
        hints=[
            "e^T A e = e^T S e with the symmetric part S. "
            "Write it as a sum over i and j of S_ij e_i e_j.",
            "Signs: the terms with i = j are constant; "
            "those with i < j are 2 S_ij e_i e_j, with variance 4 S_ij**2.",
            "Gaussian noise has the same terms with i < j, "
            "and S_ii e_i**2 besides, of variance 2 S_ii**2.",
        ],
        otherwise=(
            "Estimate them: `e = torch.randn(100_000, len(A)).double()`, "
            "then `((e @ A) * e).sum(1).var()`."
        ),
        meaning=(
            "Signs are never worse, and exact for a diagonal Jacobian. "
            "P probes divide the variance by P."
        ),
    )
)


def impossible() -> list[float]:
    # A mean NLL cannot be below the entropy, but for chance: compare in standard errors.
    entropy = math.log(32)
    reported = [(3.52, 0.01), (3.30, 0.01), (3.45, 0.02), (2.10, 0.03)]
    return [1.0 if nll < entropy - 3 * error else 0.0 for nll, error in reported]


register(
    Exercise(
        "15.4",
        "Too good to be true",
        kind=array((4,), "a list of four, 1 for impossible, 0 for possible"),
        solution=impossible,
        mistakes=[
            Mistake(
                "all below the entropy",
                [0, 1, 1, 1],
                "One of those is below by less than its standard error: "
                "a finite sample of points does that by chance.",
            ),
            Mistake(
                "only the gross one",
                [0, 0, 0, 1],
                "One more lies many standard errors below the entropy, log 32 nats.",
            ),
            Mistake(
                "upside down", [1, 0, 1, 0], "A high NLL is bad, but possible. How low can it get?"
            ),
            Mistake(
                "nothing", [0, 0, 0, 0], "Compute the entropy first: the density is constant, 1/32."
            ),
            Mistake(
                "in bits",
                [1, 1, 1, 1],
                "log2 gives bits. The NLLs are in nats; take the natural logarithm.",
            ),
        ],
        hints=[
            "Uniform on an area of 32: "
            "p = 1/32, so that -log p is the same everywhere. That is the entropy.",
            "The mean of -log q over the data is at least the entropy, "
            "but for the chance of which points were drawn.",
            "Subtract the entropy, divide by the standard error. "
            "Below -3 it is no chance any more.",
        ],
        otherwise=(
            "What can the mean of -log q not fall below, whatever q is? "
            "And how far below it may an estimate fall by chance?"
        ),
        meaning=(
            "Two cannot be densities. "
            "Look at their mass, and at a tight solver, before anything else."
        ),
    )
)
