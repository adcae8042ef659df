"""Equations of fractional order: the slope depends on the whole past.

    D^alpha y = f(t, y),   y(t0) = y0   (and y'(t0) for alpha > 1),   0 < alpha < 2

with Caputo's derivative, in three forms that say the same (n the next integer above alpha):

    1/Gamma(n - alpha) int_t0^t (t - s)^(n - alpha - 1) y^(n)(s) ds = f(t, y)
    y = y0 + (t - t0) y'(t0) + 1/Gamma(alpha) int_t0^t (t - s)^(alpha - 1) f(s, y(s)) ds

and, Gruenwald and Letnikov's, as the limit of a backward difference of y - y0 of order alpha over
the whole past. Each gives methods:

                                                           order of the error at a fixed time
                                                           smooth y             E_alpha(-t^alpha)
    rectangle          second form, f piecewise constant   1                    1
    adams              second form, f piecewise linear,    min(2, 1 + alpha)    1 + alpha
                       by prediction and correction
    l1                 first form, y piecewise linear      2 - alpha            1
    gl                 backward difference                 1                    1
    l1_explicit, gl_explicit                               1                    1

For adams it is D^alpha y that must be smooth. 1 + alpha is reached slowly if alpha is small: 1.4
was measured for 0.3, at 1000 steps. The explicit methods, adams among them, want h^alpha |df/dy| to
be small; for an order near 0 no step h makes it so, and an implicit one must be taken.

Most solutions are like E_alpha(-t^alpha): their slope is infinite at t0, and the largest error, at
the first steps, falls with the order alpha only. On a graded mesh (`graded`), fine there, l1 has
2 - alpha for the largest error. alpha = 1 gives Euler's method (rectangle, l1_explicit,
gl_explicit), the implicit one of Euler (l1, gl), and a trapezoidal rule with one correction (adams:
like Heun's method, but the prediction sums up slopes from t0 on).

What the past costs, for N steps:

    full           sums over all of it: N^2/2 products
    short          l1 and gl: no further back than a length L. The derivative is then wrong by up to
                   M L^-alpha / Gamma(1 - alpha): forgetting is expensive. M is max|y - y0| for gl,
                   and max y - min y for l1
    exponentials   the kernel as a sum of some hundred exponentials, of which each has one number to
                   remember: N products with them, to a relative 1e-10; rectangle, adams, l1, for
                   alpha < 1

Sources: Diethelm, Ford, Freed 2002, "A predictor-corrector approach for the numerical solution of
fractional differential equations", Nonlinear Dynamics 29 (adams), and 2004, "Detailed error
analysis for a fractional Adams method", Numerical Algorithms 36; Oldham, Spanier 1974, "The
fractional calculus" (l1); Podlubny 1999, "Fractional differential equations" (gl, short memory);
Stynes, O'Riordan, Gracia 2017, SIAM J. Numer. Anal. 55 (graded meshes); Jiang, Zhang, Zhang, Zhang
2017, Commun. Comput. Phys. 21 (exponentials).
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .errors import SolveError
from .inputs import check_state, check_times, counted_field
from .integrate import Log
from .methods.newton import Newton
from .statistics import Stats

METHODS = ("adams", "rectangle", "l1", "l1_explicit", "gl", "gl_explicit")
MEMORIES = ("full", "short", "exponentials")
PRECISION = 1e-11  # of the sum of exponentials, relative
NEWTON = 1e-12  # tolerance of the implicit methods' equations
MOST_JACOBIANS = 30  # in one step, where one for many iterations is too few

Field = Callable[[Tensor, Tensor], Tensor]


def fdeint(
    func: Field,
    y0: Tensor,
    t: Tensor,
    alpha: float | Tensor,
    *,
    slope0: Tensor | None = None,
    method: str = "adams",
    memory: str = "full",
    length: float | None = None,
    stats: Stats | None = None,
) -> Tensor:
    """Solve D^alpha y = func(t, y), y(t[0]) = y0, with Caputo's derivative.

    Args:
        func: the right-hand side: t a 0-d tensor, y like y0; returns a tensor like y0.
        y0: the state at t[0], real, of any shape; () and an empty batch are shapes, too.
        t: (N + 1,) times, increasing: the mesh of the method, all of it. `graded` makes one that
            is fine at the start; gl needs equal steps.
        alpha: the order, a number or a 0-d tensor, which may require a gradient.
        slope0: y'(t[0]), shape of y0; needed for alpha > 1 and only there.
        method: one of METHODS. Those without "explicit" solve an equation at every step, by
            Newton's method, except rectangle and adams.
        memory: one of MEMORIES.
        length: of the short memory, in units of t.
        stats: a `Stats` to which evaluations of func and Newton's work are added.

    Returns:
        Tensor (N + 1, *y0.shape), differentiable with respect to y0, slope0, alpha and whatever
        func uses, by automatic differentiation through the steps (its memory grows as N^2 with the
        full past, as N with the others).

    Raises:
        TypeError, ValueError: for inputs that cannot be right, or do not go together.
        SolveError: if the solution is not finite, or Newton's method fails.

        >>> t = torch.linspace(0, 1, 201, dtype=torch.float64)
        >>> y = fdeint(lambda t, y: -y, torch.ones(1, dtype=torch.float64), t, 0.5)
        >>> round(float(y[-1]), 3)  # E_0.5(-1) = 0.4276
        0.428
    """
    times = check_times(t)
    state, shapes = check_state(y0)
    if shapes is not None or state.is_complex():
        raise TypeError("y0 must be one real tensor; join the parts of a tuple with torch.cat")
    order = _check_order(alpha, slope0, y0, method)
    rounding = torch.finfo(t.dtype).eps * max(map(abs, times))
    _check_method(method, memory, length, order, times, rounding)
    if t.requires_grad:
        raise ValueError(
            "t gets no gradient, for the mesh is part of the method; use t.detach(), and scale the "
            "right-hand side to learn a time"
        )
    if len(times) > 1 and times[1] < times[0]:
        raise ValueError(
            "t must be increasing: a fractional equation has a beginning, and is not the same "
            "backward"
        )
    stats = Stats() if stats is None else stats
    order = order.to(torch.float64)
    mesh = t.detach().to("cpu", torch.float64)
    if not state.numel():
        return state.expand(len(times), *state.shape)
    f = counted_field(func, state, None, Log(stats=stats))
    slope0 = None if slope0 is None else slope0.to(state)
    solver = {"adams": _adams, "rectangle": _rectangle}.get(method)
    if solver is not None:
        steps = solver(f, state, t, mesh, order, slope0, memory)
    else:
        implicit = None if method.endswith("explicit") else Newton(NEWTON, NEWTON, stats)
        past = _gl if method.startswith("gl") else _l1
        steps = past(f, state, t, mesh, order, slope0, memory, length, implicit)
    y = torch.stack(steps)
    stats.accepted += len(times) - 1
    if not torch.isfinite(y).all():
        good = torch.isfinite(y).reshape(len(y), -1).all(1)
        first = int(good.logical_not().nonzero()[0])
        raise SolveError(
            f"the solution is not finite at t = {times[first]:.6g}, step {first} of method "
            f"{method!r}; take shorter steps there, an implicit method (l1, gl), or end earlier"
        )
    return y


def graded(end: float, steps: int, power: float, *, start: float = 0.0) -> Tensor:
    """A mesh (steps + 1,), float64, of t_n = start + (end - start) (n / steps)^power.

    For y with y' like t^(alpha - 1) and method l1, power = (2 - alpha)/alpha is the best (Stynes et
    al. 2017, corollary 5.1).

    Raises:
        ValueError: for no steps, a power below 1, an end that is not after the start, or a power
            so large that the first steps vanish in rounding.

        >>> graded(1.0, 4, 2.0)
        tensor([0.0000, 0.0625, 0.2500, 0.5625, 1.0000], dtype=torch.float64)
    """
    if steps != int(steps) or steps < 1 or not 1 <= power < math.inf or not start < end < math.inf:
        raise ValueError(
            "steps must be 1 or more, power 1 or more, and end after start, got "
            f"steps={steps}, power={power}, end={end}, start={start}"
        )
    share = torch.linspace(0, 1, int(steps) + 1, dtype=torch.float64)
    mesh = start + (end - start) * share**power
    if not bool((mesh[1:] > mesh[:-1]).all()):
        raise ValueError(
            f"with power={power} and steps={steps} the first steps vanish in rounding; take a "
            "smaller power, or start=0"
        )
    return mesh


def gl_weights(alpha: float | Tensor, n: int) -> Tensor:
    """w_0 .. w_n, the coefficients of (1 - x)^alpha: w_k = (1 - (alpha + 1)/k) w_(k-1); float64.

    >>> gl_weights(0.5, 3)
    tensor([ 1.0000, -0.5000, -0.1250, -0.0625], dtype=torch.float64)
    """
    alpha = torch.as_tensor(alpha, dtype=torch.float64)
    k = torch.arange(1, n + 1, dtype=torch.float64)
    return torch.cat([alpha.new_ones(1), torch.cumprod(1 - (alpha + 1) / k, 0)])


def l1_weights(alpha: float | Tensor, n: int) -> Tensor:
    """b_0 .. b_n = (k + 1)^(1 - alpha) - k^(1 - alpha), of equal steps; float64.

    >>> l1_weights(0.5, 2)
    tensor([1.0000, 0.4142, 0.3178], dtype=torch.float64)
    """
    alpha = torch.as_tensor(alpha, dtype=torch.float64)
    k = torch.arange(n + 2, dtype=torch.float64)
    powers = _power(k, 1 - alpha)
    return powers[1:] - powers[:-1]


def exponentials(b: float | Tensor, shortest: float, longest: float) -> tuple[Tensor, Tensor]:
    """Rates (n,) and weights (n,), float64: t^-b is the sum of weights e^(-rates t), to a relative
    PRECISION, for 0 < b < 1 and t from `shortest` to `longest`.

        t^-b = 1/Gamma(b) int e^(-t e^u + b u) du

    by the trapezoidal rule. The slowest, whose e^(-r t) is 1 all the time, are one, of rate 0.

    Raises:
        ValueError: for b outside of (0, 1), or times that are not positive and in order.

        >>> rates, weights = exponentials(0.5, 0.01, 10.0)
        >>> round(float((weights * torch.exp(-4 * rates)).sum()), 10)
        0.5
    """
    b = torch.as_tensor(b, dtype=torch.float64)
    if not 0 < float(b.detach()) < 1 or not 0 < shortest <= longest < math.inf:
        raise ValueError(
            "b must be between 0 and 1, and 0 < shortest <= longest, got "
            f"b={float(b.detach()):g}, shortest={shortest}, longest={longest}"
        )
    step = math.pi**2 / (-math.log(PRECISION) + 4)
    low = math.log(PRECISION / longest)
    high = math.log(-math.log(PRECISION / 100) / shortest)
    u = torch.arange(low, high + step, step, dtype=torch.float64)
    # Those below u[0] are a geometric series.
    still = torch.exp(b * (u[0] - step)) / (1 - torch.exp(-b * step))
    weights = step * torch.cat([still.reshape(1), torch.exp(b * u)]) / _gamma(b)
    return torch.cat([u.new_zeros(1), u.exp()]), weights


def caputo(y: Tensor, t: Tensor, alpha: float | Tensor) -> Tensor:
    """Caputo's derivative of order 0 < alpha <= 1 of values y (N + 1, ...) at increasing times t
    (N + 1,), at t[1:], (N, ...), as if y were piecewise linear (L1); of order 1 it is the slope.

    Raises:
        TypeError: for values or times that are not real tensors of floating point numbers.
        ValueError: for an order outside of (0, 1], times that do not increase, fewer than two of
            them, or values that are not as many.

        >>> t = torch.linspace(0, 1, 11, dtype=torch.float64)
        >>> float(caputo(t, t, 0.5)[-1])  # 2/sqrt(pi)
        1.128379...
    """
    alpha = torch.as_tensor(alpha, dtype=torch.float64)
    if not 0 < float(alpha.detach()) <= 1:
        raise ValueError(f"alpha must be above 0 and at most 1, got {float(alpha.detach()):g}")
    if len(check_times(t)) < 2 or t[1] < t[0]:
        raise ValueError(f"t must be increasing, with two times or more, got {t}")
    if not isinstance(y, Tensor) or not y.is_floating_point():
        raise TypeError(
            "y must be a real tensor of floating point numbers, got "
            f"{y.dtype if isinstance(y, Tensor) else type(y).__name__}; use y.double()"
        )
    if len(y) != len(t):
        raise ValueError(f"y must have one value for each of the {len(t)} times, got {len(y)}")
    slopes = _times(1 / (t[1:] - t[:-1]), y[1:] - y[:-1])
    past = _FullMemory(t.detach().to(torch.float64), 1 - alpha)
    return torch.stack([past.all_of(slopes[:n], n) for n in range(1, len(t))])


def riemann_liouville(y: Tensor, t: Tensor, alpha: float | Tensor) -> Tensor:
    """As `caputo`, of Riemann and Liouville: that of a constant is not 0, but y(t0) (t -
    t0)^-alpha / Gamma(1 - alpha) more.

        >>> t = torch.linspace(0, 1, 11, dtype=torch.float64)
        >>> float(riemann_liouville(torch.ones_like(t), t, 0.5)[-1])  # 1/sqrt(pi)
        0.564189...
    """
    alpha = torch.as_tensor(alpha, dtype=torch.float64)
    of_the_change = caputo(y, t, alpha)  # which looks at what is given
    start = (t[1:] - t[0]) ** -alpha / _gamma(1 - alpha)
    return of_the_change + _times(start, y[:1].expand_as(y[1:]))


def _rectangle(
    f: Field, y0: Tensor, t: Tensor, mesh: Tensor, alpha: Tensor, slope0: Tensor | None, memory: str
) -> list[Tensor]:
    past = _memory(memory, mesh, alpha)
    y = y0
    steps = [y]
    for n in range(1, len(mesh)):
        past.add(f(t[n - 1], y))
        y = _start(y0, slope0, t, n) + past.whole()
        steps.append(y)
    return steps


def _adams(
    f: Field, y0: Tensor, t: Tensor, mesh: Tensor, alpha: Tensor, slope0: Tensor | None, memory: str
) -> list[Tensor]:
    constant = _memory(memory, mesh, alpha)
    linear = _memory(memory, mesh, alpha, linear=True)
    y = y0
    steps = [y]
    slope = f(t[0], y) if len(mesh) > 1 else y
    for n in range(1, len(mesh)):
        start = _start(y0, slope0, t, n)
        constant.add(slope)
        guess = f(t[n], start + constant.whole())
        linear.add(slope, guess)
        y = start + linear.whole()
        steps.append(y)
        if n + 1 < len(mesh):
            before = slope
            slope = f(t[n], y)
            linear.change(before, slope)  # evaluated where the step ends
    return steps


def _l1(
    f: Field,
    y0: Tensor,
    t: Tensor,
    mesh: Tensor,
    alpha: Tensor,
    slope0: Tensor | None,
    memory: str,
    length: float | None,
    newton: Newton | None,
) -> list[Tensor]:
    past = _memory(memory, mesh, 1 - alpha, length=length)
    y = y0
    steps = [y]
    for n in range(1, len(mesh)):
        h = mesh[n] - mesh[n - 1]
        reach = _gamma(2 - alpha) * h**alpha
        base = y if n == 1 else y - _times(reach, past.before(n))
        before = y
        y = _step(f, t[n - 1], t[n], y, base, reach, newton)
        steps.append(y)
        past.add((y - before) / h.to(y))
    return steps


def _gl(
    f: Field,
    y0: Tensor,
    t: Tensor,
    mesh: Tensor,
    alpha: Tensor,
    slope0: Tensor | None,
    memory: str,
    length: float | None,
    newton: Newton | None,
) -> list[Tensor]:
    N = len(mesh) - 1
    weights = gl_weights(alpha, N)
    h = (mesh[-1] - mesh[0]) / max(N, 1)
    kept = N if length is None or not N else max(1, round(min(N, length / float(h))))
    reach = h**alpha
    y = y0
    steps = [y]
    away: list[Tensor] = [torch.zeros_like(y)]  # y less its start
    for n in range(1, N + 1):
        start = _start(y0, slope0, t, n)
        recent = away[-kept:]
        sums = _weighted(weights[1 : len(recent) + 1].flip(0), recent)
        y = _step(f, t[n - 1], t[n], y, start - sums, reach, newton)
        steps.append(y)
        away.append(y - start)
    return steps


def _step(
    f: Field,
    before: Tensor,
    now: Tensor,
    y: Tensor,
    base: Tensor,
    reach: Tensor,
    newton: Newton | None,
) -> Tensor:
    """base + reach f, at the step's start, or with Newton's method at its end."""
    if newton is None:
        return base + _times(reach, f(before, y))
    with torch.no_grad():
        guess = f(before, y)
        found = None
        if newton.jacobian is not None and not newton.slow:
            found = newton.solve(f, [now], [base], float(reach), ONE, [guess])
        if found is None:
            newton.linearize(f, now, y)
            found = newton.solve(f, [now], [base], float(reach), ONE, [guess])
        if found is None:
            found = _converged(f, now, base, reach, newton, guess)
    if found is None:
        raise SolveError(
            f"Newton's method does not converge at t = {float(now):.6g}; take shorter steps, or "
            "look whether func is smooth there"
        )
    if torch.is_grad_enabled() and (newton.has_graph or base.requires_grad or reach.requires_grad):
        found = newton.polish(f, [now], [base], reach.to(base), ONE, found)
    return base + _times(reach, found[0])


def _converged(
    f: Field, now: Tensor, base: Tensor, reach: Tensor, newton: Newton, slope: Tensor
) -> list[Tensor] | None:
    """Newton's method with a new Jacobian at every iteration, where one Jacobian was too few: the
    first steps are long, of h^alpha.
    """
    before = math.inf
    for _ in range(MOST_JACOBIANS):
        (new,) = newton.polish(f, [now], [base], reach.to(base), ONE, [slope])
        moved = float(((new - slope) * reach.to(base)).abs().max())
        slope = new.detach()
        y = base + _times(reach, slope)
        least = max(NEWTON, 8 * torch.finfo(y.dtype).eps) * (1 + float(y.abs().max()))
        if not math.isfinite(moved):
            return None
        if moved <= least or (moved <= 1e3 * least and moved >= before):
            newton.slow = True  # the Jacobian at hand is that of this step's start
            return [slope]
        before = moved
    return None


ONE = ((1.0,),)  # an implicit step of one stage, as the rows of a tableau


def _start(y0: Tensor, slope0: Tensor | None, t: Tensor, n: int) -> Tensor:
    return y0 if slope0 is None else y0 + (t[n] - t[0]).to(y0) * slope0


class _FullMemory:
    """I^order of a function that is constant, or linear, between the times of a mesh:

        1/Gamma(order) int_t0^t (t - s)^(order - 1) f(s) ds

    `add` appends an interval with its value, or the values at its ends; `whole` is the integral up
    to the end of the last one; `before(n)` what the intervals so far are at time n, later.
    """

    def __init__(
        self, mesh: Tensor, order: Tensor, linear: bool = False, length: float | None = None
    ) -> None:
        self.mesh = mesh
        self.order = order
        self.linear = linear
        self.length = length
        self.left: list[Tensor] = []
        self.right: list[Tensor] = []

    def add(self, left: Tensor, right: Tensor | None = None) -> None:
        self.left.append(left)
        if right is not None:
            self.right.append(right)

    def change(self, left: Tensor, right: Tensor) -> None:
        """Put other values in the last interval."""
        self.left[-1] = left
        self.right[-1] = right

    def whole(self) -> Tensor:
        return self.before(len(self.left))

    def before(self, n: int) -> Tensor:
        first = self._first(n)
        if not self.linear:
            return _weighted(self._constant(n)[first:], self.left[first:])
        left, right = self._linear(n)
        return _weighted(left, self.left) + _weighted(right, self.right)

    def all_of(self, values: Tensor, n: int) -> Tensor:
        """At time n, of values (n, ...) at hand."""
        self.left = list(values)
        return self.whole()

    def _first(self, n: int) -> int:
        if self.length is None:
            return 0
        return int((self.mesh[: len(self.left)] < self.mesh[n] - self.length * (1 + 1e-9)).sum())

    def _back(self, n: int) -> tuple[Tensor, Tensor]:
        """Of every interval: how far back from time n it begins, and the log of the share of this
        that lies after it. Through the log, the weights keep their digits where an interval is
        short against its age, as the first ones of a graded mesh.
        """
        ends = self.mesh[: len(self.left) + 1]
        far = self.mesh[n] - ends
        wide = (ends[1:] - ends[:-1]) / far[:-1]
        share = torch.where(
            wide < 0.5, torch.log1p(-wide.clamp(max=0.5)), (far[1:] / far[:-1]).log()
        )
        return far[:-1], share

    def _constant(self, n: int) -> Tensor:
        far, share = self._back(n)
        return far**self.order * _lost(share, self.order) / _gamma(self.order + 1)

    def _linear(self, n: int) -> tuple[Tensor, Tensor]:
        far, share = self._back(n)
        p = self.order
        wide = -torch.expm1(share)
        both = _lost(share, p)
        right = both - 1 + _lost(share, p + 1) / ((p + 1) * wide)
        scale = far**p / _gamma(p + 1)
        return scale * (both - right), scale * right


class _Exponentials:
    """As `_FullMemory`, but for all intervals except the last with a sum of exponentials as kernel:
    what each remembers shrinks by e^(-r h) in a step.
    """

    def __init__(self, mesh: Tensor, order: Tensor, linear: bool = False) -> None:
        self.mesh = mesh
        self.order = order
        self.linear = linear
        self.count = 0
        self.last: tuple[Tensor, ...] = ()
        self.kept: Any = None  # (number of rates, ...), at the start of the last interval
        least = float((mesh[1:] - mesh[:-1]).min())
        self.rates, weights = exponentials(1 - order, least, float(mesh[-1] - mesh[0]))
        self.weights = weights / _gamma(order)

    def add(self, left: Tensor, right: Tensor | None = None) -> None:
        if self.last:
            self._keep()
        self.last = (left,) if right is None else (left, right)
        self.count += 1

    def change(self, left: Tensor, right: Tensor) -> None:
        self.last = (left, right)

    def whole(self) -> Tensor:
        n = self.count
        h = self.mesh[n] - self.mesh[n - 1]
        recent = _FullMemory(torch.stack([h * 0, h]), self.order, self.linear)
        recent.add(*self.last)
        return recent.whole() if self.kept is None else recent.whole() + self._far(self.kept, h)

    def before(self, n: int) -> Tensor:
        self._keep()
        self.last = ()
        return self._far(self.kept, self.mesh[n] - self.mesh[n - 1])

    def _far(self, kept: Tensor, h: Tensor) -> Tensor:
        return _weighted(self.weights * torch.exp(-self.rates * h), kept)

    def _keep(self) -> None:
        """Take the last interval into what the exponentials remember, at its end."""
        h = self.mesh[self.count] - self.mesh[self.count - 1]
        z = self.rates * h
        safe = z.clamp(min=1e-3)
        # int e^(-r u) du over the interval, and with the weight u/h of its left value.
        zeroth = torch.where(
            z < 1e-3, h * (1 - z / 2 + z**2 / 6 - z**3 / 24), -h * torch.expm1(-safe) / safe
        )
        parts = [zeroth]
        if self.linear:
            first = torch.where(
                z < 1e-3,
                h * (0.5 - z / 3 + z**2 / 8 - z**3 / 30),
                h * (-torch.expm1(-safe) - safe * torch.exp(-safe)) / safe**2,
            )
            parts = [first, zeroth - first]
        new = sum(_outer(part, value) for part, value in zip(parts, self.last))
        self.kept = new if self.kept is None else _times(torch.exp(-z), self.kept) + new


def _memory(
    memory: str, mesh: Tensor, order: Tensor, linear: bool = False, length: float | None = None
) -> Any:
    if memory == "exponentials" and len(mesh) > 1:
        return _Exponentials(mesh, order, linear)
    return _FullMemory(mesh, order, linear, length)


def _weighted(weights: Tensor, values: Sequence[Tensor] | Tensor) -> Tensor:
    """Sum of weights (n,) times values (n, ...)."""
    stack = values if isinstance(values, Tensor) else torch.stack(list(values))
    return torch.tensordot(weights.to(stack), stack, dims=1)


def _times(weight: Tensor, value: Tensor) -> Tensor:
    """weight () times value, or weights (n,) times the rows of values (n, ...)."""
    weight = weight.to(value)
    return weight.reshape(weight.shape + (1,) * (value.dim() - weight.dim())) * value


def _outer(weights: Tensor, value: Tensor) -> Tensor:
    """(n,), (...) -> (n, ...)."""
    return _times(weights, value.expand(len(weights), *value.shape))


def _power(x: Tensor, exponent: Tensor) -> Tensor:
    """x^exponent, and 0 at 0 whatever the exponent, without the gradient's log 0."""
    safe = torch.where(x > 0, x, torch.ones_like(x))
    return torch.where(x > 0, safe**exponent, torch.zeros_like(x))


def _lost(share: Tensor, exponent: Tensor) -> Tensor:
    """1 - e^(share exponent), also for a share of -inf, without the gradient's 0 inf."""
    inside = share > -math.inf
    safe = torch.where(inside, share, torch.zeros_like(share))
    return torch.where(inside, -torch.expm1(safe * exponent), torch.ones_like(share))


def _gamma(x: Tensor) -> Tensor:
    """Gamma(x) for x > 0, differentiable."""
    return torch.exp(torch.lgamma(x))


def _check_order(alpha: float | Tensor, slope0: Tensor | None, y0: Tensor, method: str) -> Tensor:
    try:
        if isinstance(alpha, (str, bool)):
            raise TypeError
        order = (
            alpha if isinstance(alpha, Tensor) else torch.tensor(float(alpha), dtype=torch.float64)
        )
    except (TypeError, ValueError):
        raise TypeError(f"alpha must be a number or a 0-d tensor, got {alpha!r}") from None
    if order.is_complex():
        raise TypeError(f"alpha must be real, got {alpha!r}")
    if order.dim() or not 0 < float(order.detach()) < 2:
        raise ValueError(
            f"alpha must be one number between 0 and 2, got {alpha!r}; for whole orders from 2 on "
            "use odeint with a system of first order"
        )
    if float(order.detach()) > 1 and slope0 is None:
        raise ValueError(
            f"alpha = {float(order.detach()):g} is above 1: slope0, y'(t[0]), must be given, such "
            "as torch.zeros_like(y0)"
        )
    if float(order.detach()) <= 1 and slope0 is not None:
        raise ValueError(
            f"slope0 is for alpha above 1, got alpha = {float(order.detach()):g}; leave it out"
        )
    if slope0 is not None and not isinstance(slope0, Tensor):
        raise TypeError(f"slope0 must be a tensor like y0, got {type(slope0).__name__}")
    if slope0 is not None and slope0.shape != y0.shape:
        raise ValueError(
            f"slope0 must have the shape of y0, {tuple(y0.shape)}, got {tuple(slope0.shape)}"
        )
    if method in ("l1", "l1_explicit") and float(order.detach()) > 1:
        raise ValueError(f"method {method!r} is for alpha up to 1; use 'adams' or 'gl'")
    return order


def _check_method(
    method: str,
    memory: str,
    length: float | None,
    order: Tensor,
    times: list[float],
    rounding: float,
) -> None:
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if memory not in MEMORIES:
        raise ValueError(f"memory must be one of {', '.join(MEMORIES)}, got {memory!r}")
    if (memory == "short") != (length is not None):
        raise ValueError(
            "memory='short' needs length, how far back in units of t, and only that does; got "
            f"memory={memory!r}, length={length!r}"
        )
    if length is not None and not length > 0:
        raise ValueError(f"length must be positive, got {length!r}")
    if memory == "short" and method in ("adams", "rectangle"):
        raise ValueError(
            f"method {method!r} sums slopes, which do not fade: a short memory would lose the past "
            "itself; use 'l1' or 'gl', or memory='exponentials'"
        )
    if memory == "exponentials" and (method.startswith("gl") or float(order.detach()) >= 1):
        raise ValueError(
            "memory='exponentials' is for alpha below 1 and methods adams, rectangle and l1, got "
            f"alpha = {float(order.detach()):g}, method {method!r}; use memory='full'"
        )
    if method.startswith("gl") and len(times) > 2:
        steps = [b - a for a, b in itertools.pairwise(times)]
        if max(steps) - min(steps) > max(1e-4 * max(steps), 4 * rounding):
            raise ValueError(
                f"method {method!r} needs equal steps, got steps from {min(steps):.6g} to "
                f"{max(steps):.6g}; use 'l1' or 'adams' on this mesh"
            )
