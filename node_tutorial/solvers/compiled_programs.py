"""The program of a compiled solve: the loop of `integrate.py` over tensors.

It is a function of tensors around a `while_loop`; `compiled.py` compiles and calls it. A call takes up to `rows` steps,
and writes them into buffers: row n of ys, fs, ts holds the state, slope and time before step n, row n + 1 those behind
it. A longer solve takes several calls.

Inside a step of size h the solution is a polynomial, y(t + theta h) = y + sum_p theta^p c_p. The coefficients are
written down with every step, and the output times are served from them behind the loop.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch._higher_order_ops.while_loop import while_loop_op

from .runge_kutta import Dense, RungeKutta, Step
from .tableaus import Tableau

UNDERFLOW, TOO_MANY_STEPS, NOT_FINITE = 1, 2, 3  # why a loop ended early

# The numbers that a call is given and returns: vectors in this order.
SETTINGS = "direction min_step max_step safety ifactor dfactor max_steps".split()
COUNTS = "accepted attempts first served since stop code".split()  # first: attempts until one was accepted
CLOCK = "t size ratio h previous".split()  # ratio, h: of the last attempt; previous: ratio, for the PI controller


class Plan(NamedTuple):
    """What a program is compiled for, besides the field and the shapes."""

    tableau: Tableau
    adaptive: bool
    controller: str  # "I" or "PI"
    parts: tuple[int, ...]  # numbers of entries of a tuple state's parts, else ()
    dense: Dense
    inside: bool  # output times may lie inside steps
    wants_t: bool  # gradients with respect to t are wanted
    rows: int  # the most steps that one call takes

    @property
    def passes_slope(self) -> bool:
        """Whether a step passes its last slope on to the next one."""
        return self.tableau.fsal or self.tableau.carry_last or self.adds_slope

    @property
    def adds_slope(self) -> bool:
        """Whether f(t1, y1) has to be evaluated for the interpolation."""
        return self.inside and self.dense == "cubic" and not (self.tableau.fsal or self.tableau.carry_last)

    @property
    def degree(self) -> int:
        """Of the polynomial inside a step; 0 where none is needed."""
        if not self.inside:
            return 0
        return {"linear": 1, "cubic": 3}[self.dense] if isinstance(self.dense, str) else max(map(len, self.dense))


def while_loop(going: Callable, body: Callable, carried: dict, buffers: dict, constants: dict, used: Sequence) -> dict:
    """carried = body(carried, buffers, constants, used) while going(..); the body may write into the buffers."""
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
        return tuple(after[name].clone() if id(after[name]) in inputs else after[name] for name in names)

    additional = (*buffers.values(), *constants.values(), *used)
    changed = ",".join(str(len(names) + i) for i in range(len(buffers)))
    values = while_loop_op(
        unpacked(going), unpacked(flat_body), tuple(carried.values()), additional, mutated_arg_indices=changed
    )
    return dict(zip(names, values))


def take_step(plan: Plan, f: Callable, t: Tensor, h: Tensor, y: Tensor, f0: Tensor) -> tuple[Step, list[Tensor]]:
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
    return step, [scale * sum(w * k for w, k in zip(column, step.stages) if w) for column in columns]


def forward_program(plan: Plan, field: Callable) -> Callable:
    """The program of the solve; field(t, y, *used).

    (y, f, outputs (T, *), ys (rows + 1, *), fs (rows + 1, *), ts (rows + 1,), cs (rows, degree, *), times (T,), stops,
    settings, counts, clock, rtol, atol, *used) -> (outputs, row (T,), theta (T,), slopes (T, *), counts, clock).
    It writes into ys, fs, ts and cs, and fills in the outputs that its steps reach: theta says how far inside which
    row's step they lie, slopes are dy/dt there. In the first call the slope f, and a size of 0, are yet to be found.
    """

    def attempt(c: dict, b: dict, k: dict, used: tuple) -> dict:
        s = dict(zip(SETTINGS, k["settings"].unbind()))
        d, t, y = s["direction"], c["t"], c["y"]
        end = row_of(k["stops"], c["stop"])
        room = d * (end - t)
        size = torch.minimum(torch.maximum(c["size"], s["min_step"]), s["max_step"])
        lands = size >= room
        h = d * torch.minimum(size, room)
        stuck = t + h == t
        step, inner = take_step(plan, lambda t, y: field(t, y, *used), t, h, y, c["f"])
        assert step.error is not None
        ratio = _norm(plan, step.error / _scale(k, y, step.y1))
        accept, factor = _decide(plan, s, ratio, c["previous"])
        smallest = h.abs() <= s["min_step"]
        accept = (accept | (smallest & (ratio < math.inf))) & ~stuck
        after = factor * h.abs()
        t1 = torch.where(lands, end, t + h)
        write(b, c["n"], t1, step, inner)
        attempts = c["attempts"] + (~stuck).long()
        served = torch.where(accept, (d * (k["times"] - t1) <= 0).sum(), c["served"])
        since = torch.where(served > c["served"], attempts, c["since"])
        late = accept & (attempts - since >= s["max_steps"]) & (served < k["times"].numel())
        code = torch.where(stuck | (~accept & smallest), UNDERFLOW, torch.where(late, TOO_MANY_STEPS, 0))
        return {
            "n": c["n"] + accept.long(),
            "stop": c["stop"] + (accept & lands).long(),
            "code": code,
            "t": torch.where(accept, t1, t),
            "y": torch.where(accept, step.y1, y),
            "f": c["f"] if step.f1 is None else torch.where(accept, step.f1, c["f"]),
            "attempts": attempts,
            "first": torch.where(c["n"] + k["accepted"] == 0, attempts, c["first"]),
            "served": served,
            "since": since,
            "size": torch.where(accept & (size > room), torch.maximum(size, after), after),
            "ratio": torch.where(stuck, c["ratio"], ratio),
            "h": h,
            "previous": torch.where(accept, ratio.clamp(min=1e-10), c["previous"]),
        }

    def fixed(c: dict, b: dict, k: dict, used: tuple) -> dict:
        end = row_of(k["stops"], c["stop"])
        step, inner = take_step(plan, lambda t, y: field(t, y, *used), c["t"], end - c["t"], c["y"], c["f"])
        write(b, c["n"], end, step, inner)
        f1 = c["f"] if step.f1 is None else step.f1
        return {"n": c["n"] + 1, "stop": c["stop"] + 1, "code": c["code"], "t": end, "y": step.y1, "f": f1}

    def write(b: dict, n: Tensor, t1: Tensor, step: Step, inner: list[Tensor]) -> None:
        for name, x in (("ts", t1), ("ys", step.y1), ("fs", step.f1)):
            if x is not None:
                put(b[name], n + 1, x)
        if inner:
            put(b["cs"], n, torch.stack(inner))

    def going(c: dict, b: dict, k: dict, used: tuple) -> Tensor:
        return (c["n"] < plan.rows) & (c["stop"] < k["stops"].numel()) & (c["code"] == 0)

    def program(
        y: Tensor, f: Tensor, outputs: Tensor, ys: Tensor, fs: Tensor, ts: Tensor, cs: Tensor,
        times: Tensor, stops: Tensor, settings: Tensor, counts: Tensor, clock: Tensor, rtol: Tensor, atol: Tensor,
        *used: Tensor,
    ) -> tuple:  # fmt: skip
        k = {"times": times, "stops": stops, "settings": settings, "rtol": rtol, "atol": atol}
        count, time = dict(zip(COUNTS, counts.long().unbind())), dict(zip(CLOCK, clock.unbind()))
        t, code = time["t"], count["code"]
        first = count["accepted"] + count["attempts"] == 0
        if plan.passes_slope or plan.adaptive:
            f0 = field(t.to(y.dtype), y, *used)
            f = torch.where(first, f0, f)
        if plan.adaptive:
            code = torch.where(first & ~torch.isfinite(f).all(), NOT_FINITE, code)
            guess = _initial_size(plan, lambda t, y: field(t, y, *used), t, y, f0, stops[-1], k)
            time["size"] = torch.where(first & (time["size"] == 0), guess, time["size"])
        zero = torch.zeros_like(code)
        for buffer, x in ((ys, y), (fs, f), (ts, t)):
            put(buffer, zero, x)
        c = {"n": zero, "stop": count["stop"], "code": code, "t": t, "y": y, "f": f}
        if plan.adaptive:
            k["accepted"] = count["accepted"]
            c |= {name: count[name] for name in ("attempts", "first", "served", "since")}
            c |= {name: time[name] for name in ("size", "ratio", "h", "previous")}
        buffers = {"ys": ys, "fs": fs, "ts": ts} | ({"cs": cs} if plan.inside else {})
        c = while_loop(going, attempt if plan.adaptive else fixed, c, buffers, k, used)
        d, n = settings[0], c["n"]
        served = (d * (times - c["t"]) <= 0).sum()

        # Serve the output times. One on the boundary of two steps belongs to the first of them.
        ends = torch.where(torch.arange(plan.rows) < n, d * ts[1:], math.inf)
        row = torch.searchsorted(ends, d * times).clamp(max=plan.rows - 1)
        h = ts[row + 1] - ts[row]
        theta = (times - ts[row]) / h
        column = (-1, *[1] * y.dim())
        index = torch.arange(len(times))
        new = ((index >= count["served"]) & (index < served)).view(column)
        outputs = torch.where((first & (index == 0)).view(column), y, outputs)
        values, slopes = ys[row + 1], y.new_zeros(())
        if plan.inside:
            x, inner = theta.to(y.dtype).view(column), cs[row].unbind(1)
            values = torch.where(theta.view(column) < 1, ys[row] + x * _polynomial(inner, x), values)
            if plan.wants_t:
                slopes = _polynomial([(p + 1) * c_p for p, c_p in enumerate(inner)], x) / h.to(y.dtype).view(column)
        after = c | {"served": served, "accepted": count["accepted"] + n}
        counts = torch.stack([after.get(name, count[name]) for name in COUNTS]).double()
        clock = torch.stack([after.get(name, time[name]) for name in CLOCK])
        return torch.where(new, values, outputs), row, theta, slopes, counts, clock

    return program


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
    largest = states[0].abs() if len(states) == 1 else torch.maximum(states[0].abs(), states[1].abs())
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


def _initial_size(plan: Plan, f: Callable, t: Tensor, y: Tensor, f0: Tensor, end: Tensor, k: dict) -> Tensor:
    """As `initial_step` of `control.py`."""
    d, order, scale = k["settings"][0], plan.tableau.order, _scale(k, y)
    d0, d1 = _norm(plan, y / scale), _norm(plan, f0 / scale)
    h0 = torch.minimum(torch.where((d0 < 1e-5) | (d1 < 1e-5), 1e-6, 0.01 * d0 / d1), d * (end - t))
    f1 = f((t + d * h0).to(y.dtype), y + (d * h0).to(y.dtype) * f0)
    d2 = _norm(plan, (f1 - f0) / scale) / h0
    steepest = torch.maximum(d1, d2)
    h1 = torch.where(
        steepest <= 1e-15, torch.maximum(h0 * 1e-3, torch.full_like(h0, 1e-6)), (0.01 / steepest) ** (1 / order)
    )
    return torch.where(torch.isfinite(d2), torch.minimum(100 * h0, h1), h0)
