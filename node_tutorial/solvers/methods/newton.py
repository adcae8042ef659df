"""Newton's method for the stages of an implicit step.

For m stages that depend on each other, the slopes k_1 .. k_m obey

    k_i = f(t_i, y_i),     y_i = base_i + h sum_j a_ij k_j.

Simplified Newton takes one Jacobian J = df/dy for all of them, and solves

    (I - h A (x) J) delta = f(t_i, y_i) - k_i,     k <- k + delta.

J is kept for as long as the iteration converges quickly, from stage to stage and from step to step;
the LU factors of the matrix for as long as h stays about the same. Two corrections give the rate of
convergence, theta; the error left is theta / (1 - theta) times the last correction.

A batch is many small systems. Which dimensions of the state are the batch is not asked but found
out: J is computed as if the rows of the state did not see each other (as many vector-Jacobian
products as a row has entries, in one call of `torch.func.vmap`), and one more product, with a
vector that is not special, tells whether that is so. A field with an attribute `_n_integrals` = q
does not depend on the last q entries of the (flat) state: integrals, such as the parameters'
gradients in the adjoint method. They have no part in the Jacobian, and are evaluated once more at
the end.

Source: Hairer, Wanner, "Solving Ordinary Differential Equations II", 2nd ed., IV.8.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..runge_kutta import Field, Time, WeightedSum
from ..statistics import Stats

_MAX_ITERS = 10
_SLOW = 0.1  # a rate above it asks for a new Jacobian at the next step
_NEAR = 0.1  # how far h may move, relatively, from the one that the factors were made for
_WIDEST = 5000  # entries of a row: its Jacobian has 25 million, and takes 5000 products
# The error of the iteration that is allowed, relative to that of a step. 0.01 was tried: it shows
# in kvaerno3's error.
_KAPPA = 0.003

Rows = tuple[tuple[float, ...], ...]  # the part of a tableau's a that couples the m stages, (m, m)


class Newton:
    """The linear algebra of one solve: the Jacobian, the factors, and the rate that was seen last.

    Args:
        rtol, atol: the iteration stops at 0.003 (atol + rtol |y|), or at rounding.
        stats: where Jacobians, factorizations and iterations are counted.
    """

    def __init__(self, rtol: Any, atol: Any, stats: Stats) -> None:
        self.rtol = rtol
        self.atol = atol
        self.stats = stats
        self.jacobian: Tensor | None = None  # (R, d, d): R blocks, which do not see each other
        self.slow = False
        self.has_graph = False  # whether f's output has a gradient of its own, as of parameters
        self._rate = 0.5
        self._factors: tuple = ()
        self._factors_for: tuple[Rows, float] | None = None

    def linearize(self, f: Field, t: Tensor, y: Tensor) -> None:
        """A new Jacobian, at (t, y)."""
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            dy = f(t, y)
        self.jacobian = self._differentiate(f, dy, y)
        self.slow = False
        self._factors_for = None

    def _differentiate(self, f: Field, dy: Tensor, y: Tensor) -> Tensor:
        """df/dy in blocks (R, d, d), as small as the field allows and no smaller than before."""
        self.stats.jacobians += 1
        size = y.numel() - getattr(f, "_n_integrals", 0)
        widths = [size]
        if size == y.numel() and size:
            # A row is: the last dimension, or all but the first, or everything. A flat state may be
            # a batch of numbers.
            last = y.shape[-1] if y.dim() > 1 else 1
            all_but_first = size // max(1, len(y)) if y.dim() else 1
            widths = sorted({last, all_but_first, size})
        known = 0 if self.jacobian is None else self.jacobian.shape[-1]
        widths = [d for d in widths if d >= known]
        for d in widths:
            if d > _WIDEST:
                raise ValueError(
                    "an implicit method needs the Jacobian of func, and the entries of this "
                    f"state of shape {tuple(y.shape)} depend on each other in rows of {d}, more "
                    f"than {_WIDEST}; use an explicit method"
                )
            jacobian, independent = _block_jacobian(
                dy, y, (size // d if d else 1, d), check=d < size
            )
            if independent:
                break
        return jacobian

    def solve(
        self,
        f: Field,
        times: Sequence[Tensor],
        bases: Sequence[Tensor],
        h: float,
        a: Rows,
        guess: Sequence[Tensor],
    ) -> list[Tensor] | None:
        """The slopes of m coupled stages; None if the iteration does not converge.

        Args:
            times, bases: t_i and base_i of the m stages.
            h: the step.
            a: how the stages depend on each other, m rows of m numbers.
            guess: m slopes to start from.
        """
        y = bases[0]
        stages = [WeightedSum(row) for row in a]
        quadrature = getattr(f, "_n_integrals", 0)
        allowed = self.rtol * y.abs() + self.atol
        rounding = 8 * torch.finfo(y.dtype).eps * y.abs() + torch.finfo(y.dtype).tiny
        reach = h * max(max(map(abs, row)) for row in a)  # how much a slope's error moves a state
        weight = reach / torch.maximum(_KAPPA * allowed, rounding)
        if self._factors_for is None or h != self._factors_for[1]:
            self._rate = 0.5  # that of another step size says nothing
        factors = self._factorize(h, a)
        k = list(guess)
        size = rate = math.nan
        for n in range(_MAX_ITERS):
            self.stats.newton += 1
            slopes = [f(t, row.advance(b, h, k)) for t, b, row in zip(times, bases, stages)]
            self.has_graph = self.has_graph or any(s.requires_grad for s in slopes)
            residual = [s.detach() - x for s, x in zip(slopes, k)]
            delta = self._solve_linear(factors, residual)
            k = [x + d for x, d in zip(k, delta)]
            before = size
            size = _largest([weight * d for d in delta])
            if not math.isfinite(size):
                return None
            if n:
                rate = size / before if before else 0.0
                # The first two corrections may be of one size.
                if rate >= 1 and size > 1 and (n > 1 or rate > 2):
                    return None
            left = size * (self._rate if n == 0 else rate / max(1e-3, 1 - rate))
            if left <= 1:
                if n:
                    self.slow = self.slow or rate > _SLOW
                    self._rate = rate / max(1e-3, 1 - rate)
                self._rate = max(self._rate, 1e-10) ** 0.8  # trust the last rate less and less
                if quadrature:
                    ends = [
                        f(t, row.advance(b, h, k))[-quadrature:]
                        for t, b, row in zip(times, bases, stages)
                    ]
                    k = [torch.cat([x[:-quadrature], end.detach()]) for x, end in zip(k, ends)]
                return k
        return None

    def polish(
        self,
        f: Field,
        times: Sequence[Tensor],
        bases: Sequence[Tensor],
        h: Time,
        a: Rows,
        k: Sequence[Tensor],
    ) -> list[Tensor]:
        """One exact Newton step from k, with the Jacobian of every stage,

            k + (I - h a_ij J_i)^-1 (f(t_i, y_i) - k_i).

        At a solution it changes nothing, but its derivative with respect to all that f, the bases
        and h depend on is that of the solution, by the implicit function theorem; k itself is a
        constant in it.
        """
        known = self.jacobian
        assert known is not None
        k = [x.detach() for x in k]
        slopes = []
        jacobians: list[Tensor] = []
        for t, b, row in zip(times, bases, a):
            with torch.enable_grad():
                y = WeightedSum(row).advance(b, h, k)
                y = y if y.requires_grad else y.detach().requires_grad_()
                dy = f(t, y)
            slopes.append(dy)
            jacobians.append(self._differentiate(f, dy, y))
            if jacobians[-1].shape != known.shape:
                # The rows see each other from this stage on: begin again.
                self.jacobian = jacobians[-1]
                self._factors_for = None
                return self.polish(f, times, bases, h, a, k)
        size = float(h.detach() if isinstance(h, Tensor) else h)
        factors = self._factor(torch.stack(jacobians), a, size)
        delta = self._solve_linear(factors, [s - x for s, x in zip(slopes, k)])
        return [x + d for x, d in zip(k, delta)]

    def filter(self, error: Tensor, h: float, gamma: float) -> Tensor:
        """(I - h gamma J)^-1 error: stiff parts, overrated, put right (HW II, (8.20))."""
        return self._solve_linear(self._factorize(h, ((gamma,),)), [error])[0]

    def _factorize(self, h: float, a: Rows) -> tuple:
        """The factors of I - h A (x) J, new ones only if h has moved."""
        assert self.jacobian is not None
        known = self._factors_for
        if known is None or known[0] != a or abs(h - known[1]) > _NEAR * abs(known[1]):
            self._factors = self._factor(self.jacobian.expand(len(a), *self.jacobian.shape), a, h)
            self._factors_for = (a, h)
        return self._factors

    def _factor(self, jacobians: Tensor, a: Rows, h: float) -> tuple:
        """LU factors of I - h (a_ij J_i), (R, m d, m d), from m Jacobians (R, d, d)."""
        self.stats.factorizations += 1
        m, rows, d, _ = jacobians.shape
        weights = torch.tensor(a, dtype=jacobians.dtype, device=jacobians.device) * -h
        matrix = torch.einsum("ij,irkl->rikjl", weights, jacobians).reshape(rows, m * d, m * d)
        matrix.diagonal(dim1=-2, dim2=-1).add_(1)
        # A singular matrix gives inf, and the iteration fails.
        return torch.linalg.lu_factor_ex(matrix)[:2]

    def _solve_linear(self, factors: tuple, residual: Sequence[Tensor]) -> list[Tensor]:
        """delta from the residual, m tensors of the state's shape."""
        assert self.jacobian is not None
        m = len(residual)
        rows, d, _ = self.jacobian.shape
        flat = torch.stack([r.reshape(-1) for r in residual])
        core = flat[:, : rows * d].reshape(m, rows, d).transpose(0, 1).reshape(rows, m * d)
        delta = _LinearSolve.apply(*factors, core).reshape(rows, m, d)
        delta = delta.transpose(0, 1).reshape(m, -1)
        if rows * d < flat.shape[1]:  # quadratures: the field does not depend on them
            delta = torch.cat([delta, flat[:, rows * d :]], dim=1)
        return [x.reshape(residual[0].shape) for x in delta]


def _largest(parts: Sequence[Tensor]) -> float:
    """The largest rms norm of a row, the last dimension."""
    if len(parts) == 1 and parts[0].dim() < 2:
        return torch.linalg.vector_norm(parts[0]).item() / math.sqrt(max(1, parts[0].numel()))
    x = torch.stack(list(parts))
    if not x.numel():
        return 0.0
    width = x.shape[-1] if x.dim() > 1 else 1
    norms = torch.linalg.vector_norm(x.reshape(-1, width), dim=1)
    return norms.max().item() / math.sqrt(width)


class _LinearSolve(torch.autograd.Function):
    """x = M^-1 r from the factors of M, differentiable with respect to r; M is a constant."""

    @staticmethod
    def forward(ctx: Any, lu: Tensor, pivots: Tensor, r: Tensor) -> Tensor:
        ctx.save_for_backward(lu, pivots)
        return torch.linalg.lu_solve(lu, pivots, r.unsqueeze(-1)).squeeze(-1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple:
        if torch.is_grad_enabled():  # create_graph=True; a second derivative would need that of M
            raise RuntimeError(
                "a solve by an implicit method can be differentiated once only; leave "
                "create_graph=True out, or use an explicit method"
            )
        lu, pivots = ctx.saved_tensors
        of_r = torch.linalg.lu_solve(lu, pivots, grad.unsqueeze(-1), adjoint=True)
        return None, None, of_r.squeeze(-1)


def _block_jacobian(
    dy: Tensor, y: Tensor, blocks: tuple[int, int], check: bool
) -> tuple[Tensor, bool]:
    """df/dy (R, d, d), if R blocks of d entries do not see each other; and if so, where checked."""
    rows, d = blocks
    basis = torch.eye(d, dtype=y.dtype, device=y.device)
    basis = basis.unsqueeze(1).expand(d, rows, d).reshape(d, rows * d)
    basis = torch.nn.functional.pad(basis, (0, y.numel() - rows * d))
    if check:
        probe = torch.arange(1, y.numel() + 1, dtype=y.dtype, device=y.device).sqrt().cos()
        basis = torch.cat([basis, probe.unsqueeze(0)])
    vjps = _vjps(dy, y, basis.reshape(-1, *y.shape)).reshape(len(basis), -1)
    jacobian = vjps[:d, : rows * d].reshape(d, rows, d).transpose(0, 1)
    if not check:
        return jacobian, True
    probe = probe.reshape(rows, d)
    off = (vjps[d] - torch.einsum("ri,rij->rj", probe, jacobian).reshape(-1)).abs()
    # Column by column: a stiff row must not hide how two others see each other.
    size = torch.einsum("ri,rij->rj", probe.abs(), jacobian.abs()).reshape(-1)
    return jacobian, bool((off <= 1000 * torch.finfo(y.dtype).eps * size).all())


def _vjps(dy: Tensor, y: Tensor, cotangents: Tensor) -> Tensor:
    """One vector-Jacobian product for each cotangent (n, *shape)."""
    if not dy.requires_grad:
        return torch.zeros_like(cotangents)

    def vjp(v: Tensor) -> Tensor:
        return torch.autograd.grad(dy, y, v, retain_graph=True, materialize_grads=True)[0]

    try:
        return torch.func.vmap(vjp)(cotangents)
    except RuntimeError:  # an operation of func that cannot be vectorized
        return torch.stack([vjp(v) for v in cotangents])
