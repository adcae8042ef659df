"""The same loop with one clock per sample: every row of a batch takes steps of its own.

With one clock for all, the hardest row sets everybody's step. Here t and h have one entry per row,
the step itself is the very code of `runge_kutta.py`, and a row solved in a batch equals the row
solved alone. Evaluations are still made for the whole batch at once: rows that have arrived take
steps of size 0.

The clocks, and all that is decided row by row, are on the CPU in double precision, which not every
device has; the states stay where they are.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from . import inputs
from .control import Tolerance
from .errors import SolveError, check_finite
from .integrate import UNLIMITED, Log
from .methods.method import Method, Setup
from .options import LIMITS, Options, make_tolerance, read_options
from .runge_kutta import Dense, Step, Stepper
from .solution import Solution
from .statistics import Attempt


def solve_per_sample(
    func: Callable,
    y0: Any,
    t: Tensor,
    rtol: Any,
    atol: Any,
    method: Method,
    options: dict | None,
    record: bool,
) -> Solution:
    """Solve every row of y0 (B, ...) with its own clock, at times t, (T,) for all or (B, T).

    Args:
        func: f(t, y) with t of shape (B, 1, ..., 1), so that it broadcasts against y (B, ...).
        method: with `own_clocks`.
        others: as `solve`.

    Returns:
        Solution with y (B, T, ...); stats.accepted and stats.rejected are tensors (B,); `steps`, if
        recorded, holds attempts whose entries are tensors (B,), with h = 0 for rows that had
        arrived.

    Raises:
        ValueError, TypeError: for unsuitable inputs.
        SolveError: if any row cannot go on; y of its `solution` is NaN where it was not reached.
    """
    if not method.own_clocks:
        raise ValueError(
            "per_sample=True needs an explicit adaptive Runge-Kutta method with dense output, such "
            f"as 'dopri5' (fixed steps are equal), got {method.name!r}"
        )
    flat, shapes = inputs.check_state(y0)
    if shapes is not None or flat.dim() < 1:
        raise TypeError(
            "per_sample=True needs y0 as one tensor (B, ...), whose rows are the samples; use "
            "torch.cat"
        )
    times, direction = _check_times(t, flat)
    known = (*LIMITS, "max_num_evaluations")
    settings = read_options(options, known, f"{method.name} with per_sample=True")
    rtol = inputs.check_tolerance("rtol", rtol, flat, None)
    atol = inputs.check_tolerance("atol", atol, flat, None)
    tol = make_tolerance(rtol, atol, flat, inputs.make_norm(None, None), settings)
    log = Log(attempts=[] if record else None, max_evaluations=settings.max_num_evaluations)
    f = inputs.counted_field(func, flat, None, log)
    assert method.stepper is not None
    stepper = method.stepper(Setup(rtol, atol, log.stats, True, settings))
    found: list[tuple[Tensor, Tensor]] = []
    try:
        _march(f, flat, times, direction, stepper, method.dense, tol, log, settings, found)
    except SolveError as error:
        y = flat.new_full((times.numel(), *flat.shape[1:]), math.nan)
        for places, states in found:
            y[places.to(y.device)] = states.detach()
        y = y.reshape(*times.shape, *flat.shape[1:])
        error.solution = Solution(t, y, log.stats, log.attempts)
        raise
    order = torch.cat([places for places, _ in found]).argsort().to(flat.device)
    y = torch.cat([states for _, states in found])[order]
    return Solution(t, y.reshape(*times.shape, *flat.shape[1:]), log.stats, log.attempts)


def _check_times(t: Any, y: Tensor) -> tuple[Tensor, int]:
    """The times (B, T) in float64, and their direction."""
    if isinstance(t, Tensor) and t.dim() == 2:
        if t.shape[0] != y.shape[0]:
            raise ValueError(
                f"t has {t.shape[0]} rows of times, y0 has {y.shape[0]} rows; they must be as many"
            )
        rows = [inputs.check_times(row, f"t[{i}]") for i, row in enumerate(t)]
    else:
        rows = [inputs.check_times(t)] * len(y)
    if t.requires_grad:
        raise ValueError(
            "per_sample=True gives no gradients with respect to t; use t.detach(), or one clock "
            "for all"
        )
    signs = {1 if row[-1] > row[0] else -1 for row in rows if len(row) > 1}
    if len(signs) > 1:
        raise ValueError(
            "the rows of t must all increase or all decrease; solve the two kinds separately"
        )
    n_times = t.shape[-1]
    matrix = torch.tensor(rows, dtype=torch.float64).reshape(len(y), n_times)
    return matrix, signs.pop() if signs else 1


def _march(
    f: Callable,
    y: Tensor,
    times: Tensor,
    direction: int,
    method: Stepper,
    dense: Dense,
    tol: Tolerance,
    log: Log,
    options: Options,
    found: list[tuple[Tensor, Tensor]],
) -> None:
    """Solve, and append to `found` places in the flattened (B, T), and the states there."""
    batch, n_times = times.shape
    max_steps = options.max_num_steps or UNLIMITED
    column = (-1, *[1] * (y.dim() - 1))  # a number per row, shaped to broadcast against y

    def wide(x: Tensor) -> Tensor:
        """Numbers of the clocks as the states need them."""
        x = x if x.dtype == torch.bool else x.to(y.dtype.to_real())
        return x.reshape(column).to(y.device)

    def norms(x: Tensor) -> Tensor:
        lengths = torch.linalg.vector_norm(x.reshape(batch, -1), dim=1).cpu().double()
        return lengths / math.sqrt(max(1, x[0].numel()))

    accepted = torch.zeros(batch, dtype=torch.long)
    rejected = torch.zeros_like(accepted)
    log.stats.accepted = accepted  # type: ignore[assignment]
    log.stats.rejected = rejected  # type: ignore[assignment]
    found.append((torch.arange(batch) * n_times, y))
    if not batch or n_times == 1:
        return
    t = times[:, 0]
    end = times[:, -1]
    ordered = (direction * times).contiguous()
    since_output = torch.zeros_like(accepted)
    pending = torch.ones_like(accepted)  # index of the next output of each row
    lost = torch.zeros_like(t, dtype=torch.bool)
    f0 = f(wide(t), y)
    check_finite(f0, "the vector field func(t[:, 0], y0)", float(t[0]))
    size = _first_steps(f, t, y, f0, direction, method.order, tol, wide, norms, (end - t).abs())

    while bool((t != end).any()):
        # Propose and try. Rows that have arrived take a step of size 0.
        size = size.clamp(tol.min_step, tol.max_step)
        room = (end - t).abs()
        lands = size >= room
        h = direction * torch.minimum(size, room)
        stuck = ((t + h == t) | h.isnan() | lost) & (t != end)
        if stuck.any():
            row = int(stuck.nonzero()[0, 0])
            raise SolveError(
                f"underflow in dt: row {row} of the batch, at t = {float(t[row]):.9g}, needs "
                f"steps below {float(h[row]):.3g}. Solve it alone, odeint(func, y0[{row}], t), for "
                "a closer diagnosis; or raise rtol and atol."
            )
        step = method.step(f, wide(t), y, wide(h), f0)

        # Judge, every row for itself.
        with torch.no_grad():
            assert step.error is not None
            active = t != end
            ratio = norms(step.error / tol.scale(y, step.y1))
            overflowed = active & ~ratio.isfinite()
        if overflowed.any():
            # Their NaN would pass through torch.where into every gradient: again, with these rows
            # at rest.
            rest = torch.where(overflowed, torch.zeros_like(h), h)
            step = method.step(f, wide(t), y, wide(rest), f0)
        with torch.no_grad():
            accept, factor = _decide(ratio, method.order, options)
            accept = (accept | ((h.abs() <= tol.min_step) & ratio.isfinite())) & active
            accepted += accept
            rejected += ~accept & active
            # Not finite, and may not become shorter.
            lost = ~accept & active & (h.abs() <= tol.min_step)
            since_output += active
        if log.attempts is not None:
            log.attempts.append(Attempt(t, h, ratio, accept))  # type: ignore[arg-type]

        # Read off all the outputs that lie within the accepted steps.
        t1 = torch.where(lands, end, t + h)
        reached = torch.searchsorted(ordered, (direction * t1)[:, None], right=True)[:, 0]
        due = torch.where(accept, reached - pending, torch.zeros_like(pending))
        rows = torch.repeat_interleave(due)  # each row as many times as it has outputs
        if len(rows):
            place = torch.arange(len(rows)) - (due.cumsum(0) - due)[rows]
            columns = pending[rows] + place
            theta = ((times[rows, columns] - t[rows]) / h[rows]).clamp(max=1.0)
            states = _inside(step, rows.to(y.device), wide(theta), dense)
            found.append((rows * n_times + columns, states))
            pending = pending + due
            since_output = since_output * (due == 0)
        if (since_output >= max_steps).any():
            raise SolveError(
                f"max_num_steps exceeded: {max_steps:.0f} steps between two output times; raise "
                "rtol and atol, or options={'max_num_steps': ...}"
            )

        # Move.
        moved = wide(accept)
        t = torch.where(accept, t1, t)
        y = torch.where(moved, step.y1, y)
        f1 = step.f1
        if f1 is None and bool((accept & (t != end)).any()):  # else nobody needs a new slope
            f1 = f(wide(t), y)
        if f1 is not None:
            f0 = torch.where(moved, f1, f0)
        size = factor * h.abs()
        size = torch.where(active, size, torch.ones_like(size))


def _first_steps(
    f: Callable,
    t: Tensor,
    y: Tensor,
    f0: Tensor,
    direction: int,
    order: int,
    tol: Tolerance,
    wide: Callable,
    norms: Callable,
    room: Tensor,
) -> Tensor:
    """`control.initial_step` for every row (HNW I, II.4)."""
    if tol.first_step:
        return torch.full_like(t, tol.first_step)
    with torch.no_grad():
        scale = tol.scale(y)
        d0 = norms(y / scale)
        d1 = norms(f0 / scale)
        tiny = (d0 < 1e-5) | (d1 < 1e-5)
        h0 = torch.where(tiny, torch.full_like(t, 1e-6), 0.01 * d0 / d1).minimum(room)
        f1 = f(wide(t + direction * h0), y + wide(direction * h0) * f0)
        d2 = norms((f1 - f0) / scale) / h0
        steepest = torch.maximum(d1, d2)
        flat = (h0 * 1e-3).clamp(min=1e-6)
        h1 = torch.where(steepest <= 1e-15, flat, (0.01 / steepest) ** (1 / order))
        return torch.where(d2.isfinite(), torch.minimum(100 * h0, h1), h0)


def _decide(ratio: Tensor, order: int, limits: Options) -> tuple[Tensor, Tensor]:
    """`control.integral` for every row."""
    accept = ratio <= 1
    shortest = torch.full_like(ratio, limits.dfactor)
    least = torch.where(ratio < 1, torch.ones_like(ratio), shortest)
    factor = torch.maximum(limits.safety * ratio ** (-1 / order), least).clamp(max=limits.ifactor)
    return accept, torch.where(ratio.isfinite(), factor, shortest)


def _inside(step: Step, rows: Tensor, theta: Tensor, dense: Dense) -> Tensor:
    """The states of some rows at t + theta h, by the dense output; exactly y1 where theta is 1."""
    assert isinstance(step.h, Tensor) and not isinstance(dense, str)
    y0 = step.y0[rows]
    h = step.h[rows]
    weights = [sum(p * theta ** (power + 1) for power, p in enumerate(row)) for row in dense]
    y = y0 + h * sum(w * k[rows] for w, k in zip(weights, step.stages, strict=True))
    return torch.where(theta == 1, step.y1[rows], y)
