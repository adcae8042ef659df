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


def leading_error(A, n):
    # One layer, by its eigenvalues l: log(1 + h l) = h l - h^2 l^2 / 2 + ... There are n layers,
    # and h = 1/n. The eigenvalues of A A are the l^2, so their sum is a trace.
    return -(A @ A).trace() / (2 * n)


def _layers_minus_exact(A: Tensor, n: int) -> Tensor:
    layer = torch.eye(len(A), dtype=A.dtype) + A / n
    return n * torch.linalg.slogdet(layer).logabsdet - A.trace()


register(
    Exercise(
        "15.1",
        "What thin layers miss",
        kind=function((_A, 10), (_A, 40), (_B, 20), (_DIAGONAL, 10)),
        solution=leading_error,
        mistakes=[
            Mistake(
                "exact minus layers",
                lambda A, n: (A @ A).trace() / (2 * n),
                "The size is right. Which is larger for a diagonal A, the layers' log|det| or the "
                "exact one? log(1 + u) lies below u.",
            ),
            Mistake(
                "squares of the entries",
                lambda A, n: -(A**2).sum() / (2 * n),
                "Those are the squares of all entries. For a symmetric A they add up to the same; "
                "a rotation has other eigenvalues than they say.",
            ),
            Mistake(
                "squares of the diagonal",
                lambda A, n: -(A.diagonal() ** 2).sum() / (2 * n),
                "Right for a diagonal A. Otherwise its entries are no eigenvalues.",
            ),
            Mistake(
                "square of the trace",
                lambda A, n: -(A.trace() ** 2) / (2 * n),
                "You squared the sum of the eigenvalues. Each has an error of its own: "
                "which sum is that?",
            ),
            Mistake(
                "factor",
                lambda A, n: -(A @ A).trace() / n,
                "Twice too much. What is the second term of the series of log(1 + u)?",
            ),
            Mistake(
                "one layer only",
                lambda A, n: -(A @ A).trace() / (2 * n**2),
                "That is the error of one layer. There are n.",
            ),
            Mistake(
                "all of the error",
                _layers_minus_exact,
                "That is all of the error at this n, by a determinant. "
                "Asked is its first term alone, the one that falls like 1/n.",
            ),
        ],
        hints=[
            "A determinant is a product of eigenvalues: log det(1 + h A) is a sum of log(1 + h l). "
            "How does log(1 + u) go on after u?",
            "One layer misses the sum of all h^2 l^2 / 2. How many layers are there, "
            "and what is h?",
            "If l is an eigenvalue of A, of which matrix is l^2 one? "
            "Its trace is the sum; no eigenvalue has to be computed. "
            "(Computed ones may be complex; the sum of their squares is real: take `.real`.)",
        ],
        otherwise=(
            "Multiply the errors printed above by n: they tend to a number. "
            "Which number does A have that for a diagonal A is a sum of squares?"
        ),
        meaning=(
            "For real eigenvalues the layers claim less volume than the flow, for a rotation "
            "(imaginary ones, negative squares) more: Euler's circles are spirals. Who moves by "
            "Euler steps, but counts the trace, is wrong by this. Section 5 shows what a training "
            "makes of that."
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
