"""Operations that run faster in another form: narrow matrix products, sums with a bias, tanh.

A small field is a chain of small products with a tanh between them. Inductor calls a library for
every product, and the library cannot be fused with what surrounds it; written as a sum of products,
a narrow one is fused. `REWRITTEN` maps operations of torch to these forms; `trace` puts them in.
A function here returns NotImplemented where the operation is better left as it is.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

LANES = 16  # numbers in a vector of the processor
FEW = 4  # columns or rows of a narrow matrix
SMALL = 2**14  # multiplications of a small product


def product(a: Tensor, b: Tensor) -> Any:
    """a @ b of small matrices, one of them narrow, as sums: they are fused with what comes before
    and after.

    (Measured: a solve and its gradient with the net 2-50-2 take 0.31 ms inside the programs instead
    of 0.63 with batch 1, 0.66 instead of 1.07 with batch 20. For larger products the library is
    faster: a solve with the net 4-20-4, batch 1000, took 1.67 ms instead of 1.14.) Only in single
    precision: there, rounding shows anyway.
    """
    if not _is_small(a, b):
        return NotImplemented
    # A few outer products, column by column of a, ..
    if a.shape[1] <= FEW:
        return sum(a[:, i : i + 1] * b[i] for i in range(a.shape[1]))
    # .. or a few inner ones: then a has few rows, or b few columns.
    return (a.unsqueeze(1) * b.t().unsqueeze(0)).sum(2)


def _is_small(a: Tensor, b: Tensor) -> bool:
    columns = b.shape[1]
    return (
        a.dtype == torch.float32
        and min(*a.shape, columns) <= FEW
        and 0 < a.numel() * columns <= SMALL
    )


def product_plus_bias(
    bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1
) -> Any:
    """bias + a @ b in two operations: the sum is fused with what follows it, and the bias not
    copied first.

    (Measured: a third of the time for (1000, 4) @ (4, 20), half for (20, 2) @ (2, 50).) But a row
    that fills the vectors of the processor badly would make all that follows a loop over such rows:
    then the operation stays as it is.
    """
    columns = b.shape[1]
    if alpha == beta == 1 and _is_small(a, b):
        return product(a, b) + bias
    if alpha != 1 or beta != 1 or -(-columns // LANES) * LANES > 1.5 * columns:
        return NotImplemented
    # A difference, because inductor makes one `addmm` of a sum again.
    return torch.mm(a, b) - (-bias)


def tanh(x: Tensor) -> Any:
    """tanh in single precision: 1 - 2 / (exp(2x) + 1), near 0 a polynomial (of Moshier's Cephes
    library).

    Its relative error is at most 2.6e-7, four times that of torch's. (Measured, 65536 numbers:
    inductor's tanh takes 97 us, one in terms of exp 24 us.)
    """
    if x.dtype != torch.float32:
        return NotImplemented
    # Near 0 the difference of two numbers close to 1 would lose digits: x + x^3 p(x^2) does not.
    z = x * x
    series: Any = -5.70498872745e-3
    for coefficient in (2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1):
        series = series * z + coefficient
    return torch.where(x.abs() < 0.625, x + x * z * series, 1 - 2 / (torch.exp(2 * x) + 1))


REWRITTEN: dict[Any, Callable] = {
    torch.ops.aten.mm.default: product,
    torch.ops.aten.addmm.default: product_plus_bias,
    torch.ops.aten.tanh.default: tanh,
}


def arranged(used: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The same tensors; of a narrow matrix a copy whose columns are contiguous, for `product` goes
    along them.
    """

    def narrow(x: Tensor) -> bool:
        return x.dim() == 2 and x.shape[1] <= FEW < x.shape[0] and x.dtype == torch.float32

    return tuple(x.t().contiguous().t() if narrow(x) else x for x in used)
