"""The program of a compiled solve: the loop of `integrate.py` over tensors.

It is a function of tensors around a `while_loop`; `solve.py` compiles and calls it. A call takes up
to `rows` steps, and writes them into buffers: row n of ys, fs, ts holds the state, slope and time
before step n, row n + 1 those behind it. A longer solve takes several calls.

Inside a step of size h the solution is a polynomial, y(t + theta h) = y + sum_p theta^p c_p. The
coefficients are written down with every step, and the output times are served from them behind the
loop.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch._higher_order_ops.while_loop import while_loop_op

from ..runge_kutta import Dense, RungeKutta, Step
from ..tableaus import Tableau
from .fields import arranged

UNDERFLOW, TOO_MANY_STEPS, NOT_FINITE = 1, 2, 3  # why a loop ended early

# The numbers that a program is given: a vector in this order, then the stops, then the output
# times.
SETTINGS = "direction min_step max_step safety ifactor dfactor max_steps".split()
# The numbers that the loop carries, and a call returns, as one vector: a tensor for each would be
# made anew in every step, at the price of some evaluations of a small field. accepted: steps of the
# calls before, n: of this one; first: attempts until one was accepted; ratio, h: of the last
# attempt; previous: ratio, for the PI controller.
CLOCK = "accepted n stop code attempts first served since t size ratio h previous".split()


class Plan(NamedTuple):
    """What a program is compiled for, besides the field and the shapes."""

    tableau: Tableau
    adaptive: bool
    controller: str  # "I" or "PI"
    parts: tuple[int, ...]  # numbers of entries of a tuple state's parts, else ()
    dense: Dense
    inside: bool  # output times may lie inside steps
    wants_t: bool  # gradients with respect to t are wanted
    points: int  # number of output times
    rows: int  # the most steps that one call takes

    @property
    def passes_slope(self) -> bool:
        """Whether a step passes its last slope on to the next one."""
        return self.tableau.fsal or self.tableau.carry_last or self.adds_slope

    @property
    def adds_slope(self) -> bool:
        """Whether f(t1, y1) has to be evaluated for the interpolation."""
        return (
            self.inside
            and self.dense == "cubic"
            and not (self.tableau.fsal or self.tableau.carry_last)
        )

    @property
    def degree(self) -> int:
        """Of the polynomial inside a step; 0 where none is needed."""
        if not self.inside:
            return 0
        return (
            {"linear": 1, "cubic": 3}[self.dense]
            if isinstance(self.dense, str)
            else max(map(len, self.dense))
        )


def while_loop(
    going: Callable, body: Callable, carried: dict, buffers: dict, constants: dict, used: Sequence
) -> dict:
    """carried = body(carried, buffers, constants, used) while going(..); the body may write into
    the buffers.
    """
    names, groups = list(carried), (list(buffers), list(constants))

    def unpacked(f: Callable) -> Callable:
        def flat(*args: Tensor) -> tuple:
            rest = iter(args)
            c = {name: next(rest) for name in names}
            b, k = ({name: next(rest) for name in group} for group in groups)
            return f(c, b, k, tuple(rest))

        return flat

    def flat_body(c: dict, b: dict, k: dict, used: tuple) -> tuple:
        after = body(c, b, k, used)
        inputs = {id(x) for x in c.values()}
        # What a loop returns must not be what it was given.
        return tuple(
            after[name].clone() if id(after[name]) in inputs else after[name] for name in names
        )

    additional = (*buffers.values(), *constants.values(), *used)
    changed = ",".join(str(len(names) + i) for i in range(len(buffers)))
    values = while_loop_op(
        unpacked(going),
        unpacked(flat_body),
        tuple(carried.values()),
        additional,
        mutated_arg_indices=changed,
    )
    return dict(zip(names, values))


def take_step(
    plan: Plan, f: Callable, t: Tensor, h: Tensor, y: Tensor, f0: Tensor
) -> tuple[Step, list[Tensor]]:
    """A step, and the coefficients c_1 .. c_P of the solution inside it."""
    step = RungeKutta(plan.tableau).step(f, t, y, h, f0 if plan.passes_slope else None)
    if plan.adds_slope:
        step.f1 = f((t + h).to(y.dtype), step.y1)
    if not plan.inside:
        return step, []
    scale = h.to(y.dtype)
    if isinstance(plan.dense, str):
        rise = step.y1 - y
        if plan.dense == "linear":
            return step, [rise]
        assert step.f1 is not None
        first, last = scale * step.stages[0], scale * step.f1
        return step, [first, 3 * rise - 2 * first - last, first + last - 2 * rise]
    columns = itertools.zip_longest(*plan.dense, fillvalue=0.0)
    return step, [
        scale * sum(w * k for w, k in zip(column, step.stages) if w) for column in columns
    ]


def forward_program(plan: Plan, field: Callable) -> Callable:
    """The program of the solve; field(t, y, *used).

    (y, f, outputs (T, *), ys (rows + 1, *), fs (rows + 1, *), ts (rows + 1,), cs (rows * degree,
    *), settings, clock, rtol, atol, *used) -> (outputs, row (T,), theta (T,), slopes (T, *),
    clock). It writes into ys, fs, ts and cs, and fills in the outputs that its steps reach: theta
    says how far inside which row's step they lie, slopes are dy/dt there. In the first call the
    slope f, and a size of 0, are yet to be found.
    """

    def attempt(c: dict, b: dict, k: dict, used: tuple) -> dict:
        c, s = named(c["clock"]), named(k["settings"], SETTINGS)
        d, t, stops, times = s["direction"], c["t"], *ahead(k["settings"])
        n, end = c["n"].long(), row_of(stops, c["stop"].long())
        room = d * (end - t)
        size = torch.minimum(torch.maximum(c["size"], s["min_step"]), s["max_step"])
        lands = size >= room
        h = d * torch.minimum(size, room)
        stuck = t + h == t
        y, f = row_of(b["ys"], n), row_of(b["fs"], n)
        step, inner = take_step(plan, lambda t, y: field(t, y, *used), t, h, y, f)
        assert step.error is not None
        ratio = _norm(plan, step.error / _scale(k, y, step.y1))
        accept, factor = _decide(plan, s, ratio, c["previous"])
        smallest = h.abs() <= s["min_step"]
        accept = (accept | (smallest & (ratio < math.inf))) & ~stuck
        after = factor * h.abs()
        t1 = torch.where(lands, end, t + h)
        write(b, n, t1, step, inner)
        attempts = c["attempts"] + (~stuck).double()
        served = torch.where(accept, (d * (times - t1) <= 0).sum(), c["served"])
        since = torch.where(served > c["served"], attempts, c["since"])
        late = accept & (attempts - since >= s["max_steps"]) & (served < times.numel())
        c |= {
            "n": c["n"] + accept.double(),
            "stop": c["stop"] + (accept & lands).double(),
            "code": torch.where(
                stuck | (~accept & smallest), UNDERFLOW, torch.where(late, TOO_MANY_STEPS, 0)
            ),
            "attempts": attempts,
            "first": torch.where(c["n"] + c["accepted"] == 0, attempts, c["first"]),
            "served": served,
            "since": since,
            "t": torch.where(accept, t1, t),
            "size": torch.where(accept & (size > room), torch.maximum(size, after), after),
            "ratio": torch.where(stuck, c["ratio"], ratio),
            "h": h,
            "previous": torch.where(accept, ratio.clamp(min=1e-10), c["previous"]),
        }
        return {"clock": packed(c)}

    def fixed(c: dict, b: dict, k: dict, used: tuple) -> dict:
        c, (stops, _) = named(c["clock"]), ahead(k["settings"])
        n, end = c["n"].long(), row_of(stops, c["stop"].long())
        y, f = row_of(b["ys"], n), row_of(b["fs"], n)
        step, inner = take_step(plan, lambda t, y: field(t, y, *used), c["t"], end - c["t"], y, f)
        write(b, n, end, step, inner)
        return {"clock": packed(c | {"n": c["n"] + 1, "stop": c["stop"] + 1, "t": end})}

    def write(b: dict, n: Tensor, t1: Tensor, step: Step, inner: list[Tensor]) -> None:
        for name, x in (("ts", t1), ("ys", step.y1), ("fs", step.f1)):
            if x is not None:
                put(b[name], n + 1, x)
        for i, x in enumerate(inner):
            put(b["cs"], n * len(inner) + i, x)

    def going(c: dict, b: dict, k: dict, used: tuple) -> Tensor:
        c, (stops, _) = named(c["clock"]), ahead(k["settings"])
        return (c["n"] < plan.rows) & (c["stop"] < stops.numel()) & (c["code"] == 0)

    def ahead(settings: Tensor) -> tuple[Tensor, Tensor]:
        """The stops and the output times."""
        return settings[len(SETTINGS) : -plan.points], settings[-plan.points :]

    def program(
        y: Tensor,
        f: Tensor,
        outputs: Tensor,
        ys: Tensor,
        fs: Tensor,
        ts: Tensor,
        cs: Tensor,
        settings: Tensor,
        clock: Tensor,
        rtol: Tensor,
        atol: Tensor,
        *used: Tensor,
    ) -> tuple:
        used = arranged(used)
        k = {"settings": settings, "rtol": rtol, "atol": atol}
        c, (stops, times) = named(clock), ahead(settings)
        c |= {"accepted": c["accepted"] + c["n"], "n": torch.zeros_like(c["n"])}
        t, first, before = c["t"], c["accepted"] + c["attempts"] == 0, c["served"]
        if plan.passes_slope or plan.adaptive:
            f0 = field(t.to(y.dtype), y, *used)
            f = torch.where(first, f0, f)
        if plan.adaptive:
            c["code"] = torch.where(first & ~torch.isfinite(f).all(), NOT_FINITE, c["code"])
            guess = _initial_size(
                plan, lambda t, y: field(t, y, *used), t, y, f0, stops[-1], settings[0], k
            )
            c["size"] = torch.where(first & (c["size"] == 0), guess, c["size"])
        zero = torch.zeros((), dtype=torch.int64)
        for buffer, x in ((ys, y), (fs, f), (ts, t)):
            put(buffer, zero, x)
        buffers = {"ys": ys, "fs": fs, "ts": ts} | ({"cs": cs} if plan.inside else {})
        body = attempt if plan.adaptive else fixed
        c = named(while_loop(going, body, {"clock": packed(c)}, buffers, k, used)["clock"])
        d, n = settings[0], c["n"]
        served = (d * (times - c["t"]) <= 0).sum()

        # Serve the output times. One on the boundary of two steps belongs to the first of them.
        ends = torch.where(torch.arange(plan.rows) < n, d * ts[1:], math.inf)
        row = torch.searchsorted(ends, d * times).clamp(max=plan.rows - 1)
        h = ts[row + 1] - ts[row]
        theta = (times - ts[row]) / h
        column = (-1, *[1] * y.dim())
        index = torch.arange(len(times))
        new = ((index >= before) & (index < served)).view(column)
        outputs = torch.where((first & (index == 0)).view(column), y, outputs)
        values, slopes = ys[row + 1], y.new_zeros(())
        if plan.inside:
            x, inner = (
                theta.to(y.dtype).view(column),
                [cs[row * plan.degree + p] for p in range(plan.degree)],
            )
            values = torch.where(
                theta.view(column) < 1, ys[row] + x * _polynomial(inner, x), values
            )
            if plan.wants_t:
                slopes = _polynomial([(p + 1) * c_p for p, c_p in enumerate(inner)], x) / h.to(
                    y.dtype
                ).view(column)
        return torch.where(new, values, outputs), row, theta, slopes, packed(c | {"served": served})

    return program


def named(numbers: Tensor, names: Sequence[str] = CLOCK) -> dict[str, Tensor]:
    return dict(zip(names, numbers[: len(names)].unbind()))


def packed(c: dict[str, Tensor]) -> Tensor:
    """The inverse of `named`. (A chain of conditions becomes one loop; `stack` makes a tensor for
    each number.)
    """
    numbers, index = c[CLOCK[0]], torch.arange(len(CLOCK))
    for i, name in enumerate(CLOCK[1:], 1):
        numbers = torch.where(index == i, c[name].double(), numbers)
    return numbers


def _polynomial(coefficients: Sequence[Tensor], x: Tensor) -> Tensor:
    """sum_p coefficients_p x^p, by Horner's rule."""
    total = coefficients[-1]
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total


def row_of(buffer: Tensor, row: Tensor) -> Tensor:
    return buffer.index_select(0, row.view(1)).squeeze(0)


def put(buffer: Tensor, row: Tensor, x: Tensor) -> None:
    buffer.index_copy_(0, row.view(1), x.unsqueeze(0))


def _scale(k: dict, *states: Tensor) -> Tensor:
    """As `Tolerance.scale`."""
    largest = (
        states[0].abs() if len(states) == 1 else torch.maximum(states[0].abs(), states[1].abs())
    )
    return largest * k["rtol"] + k["atol"]


def _norm(plan: Plan, x: Tensor) -> Tensor:
    """As `make_norm`: root mean square; of a tuple state the largest of its parts."""
    norms = [
        p.square().sum().sqrt().double() / math.sqrt(p.numel())
        for p in (x.split(plan.parts) if plan.parts else [x])
        if p.numel()
    ]
    return torch.stack(norms).amax() if len(norms) > 1 else norms[0]


def _decide(plan: Plan, s: dict, ratio: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
    """As the controllers of `control.py`."""
    accept, finite, order = ratio <= 1, ratio < math.inf, plan.tableau.order
    if plan.controller == "PI":
        bounded = ratio.clamp(min=1e-10)
        ideal = s["safety"] * torch.where(
            accept, bounded ** (-0.7 / order) * previous ** (0.4 / order), bounded ** (-1 / order)
        )
        factor = torch.minimum(s["ifactor"], torch.maximum(ideal, s["dfactor"]))
        factor = torch.where(accept, factor, factor.clamp(max=1.0))
    else:
        ideal = s["safety"] * ratio ** (-1 / order)  # infinite for 0
        least = torch.where(ratio < 1, 1.0, s["dfactor"])
        factor = torch.minimum(s["ifactor"], torch.maximum(ideal, least))
    return accept, torch.where(finite, factor, s["dfactor"])


def _initial_size(
    plan: Plan, f: Callable, t: Tensor, y: Tensor, f0: Tensor, end: Tensor, d: Tensor, k: dict
) -> Tensor:
    """As `initial_step` of `control.py`."""
    order, scale = plan.tableau.order, _scale(k, y)
    d0, d1 = _norm(plan, y / scale), _norm(plan, f0 / scale)
    h0 = torch.minimum(torch.where((d0 < 1e-5) | (d1 < 1e-5), 1e-6, 0.01 * d0 / d1), d * (end - t))
    f1 = f((t + d * h0).to(y.dtype), y + (d * h0).to(y.dtype) * f0)
    d2 = _norm(plan, (f1 - f0) / scale) / h0
    steepest = torch.maximum(d1, d2)
    h1 = torch.where(
        steepest <= 1e-15,
        torch.maximum(h0 * 1e-3, torch.full_like(h0, 1e-6)),
        (0.01 / steepest) ** (1 / order),
    )
    return torch.where(torch.isfinite(d2), torch.minimum(100 * h0, h1), h0)
