"""The program of a compiled gradient: the recorded steps of `forward.py`, redone and
differentiated.

Inside a step the solution is y + sum_p theta^p c_p, so an output with the cotangent g adds theta^p
g to the cotangent of c_p. These sums, the moments, are formed first; then each step, from the last
to the first, is redone, and its vector-Jacobian product taken, as in `gradients/replay.py`.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .fields import arranged
from .forward import Plan, put, row_of, take_step, while_loop


def pull_program(plan: Plan, field: Callable, wanted: Sequence[bool]) -> Callable:
    """The vector-Jacobian product of one step: (t, h, y, f0, of_y1, of_f1, of_c (degree, *), *used)
    -> list of those of y, f0, t, h, *used; None stands for what is not wanted, or zero.
    """

    def pull(
        t: Tensor,
        h: Tensor,
        y: Tensor,
        f0: Tensor,
        of_y1: Tensor,
        of_f1: Tensor,
        of_c: Tensor,
        *used: Tensor,
    ):
        with torch.enable_grad():
            t, h = (x.detach().requires_grad_(plan.wants_t) for x in (t, h))
            y, f0 = y.detach().requires_grad_(), f0.detach().requires_grad_(plan.passes_slope)
            used = tuple(x.detach().requires_grad_(w) for x, w in zip(used, wanted))
            step, inner = take_step(plan, lambda t, y: field(t, y, *used), t, h, y, f0)
            pairs = [
                (step.y1, of_y1),
                (step.f1 if plan.passes_slope else None, of_f1),
                *zip(inner, of_c.unbind()),
            ]
            return _products(pairs, (y, f0, t, h, *used))

    return pull


def start_program(plan: Plan, field: Callable, wanted: Sequence[bool]) -> Callable:
    """The vector-Jacobian product of the field: (t, y, of_f, *used) -> list of those of y, t,
    *used, or None.
    """

    def pull(t: Tensor, y: Tensor, of_f: Tensor, *used: Tensor) -> list[Tensor | None]:
        with torch.enable_grad():
            t, y = t.detach().requires_grad_(plan.wants_t), y.detach().requires_grad_()
            used = tuple(x.detach().requires_grad_(w) for x, w in zip(used, wanted))
            return _products([(field(t.to(y.dtype), y, *used), of_f)], (y, t, *used))

    return pull


def _products(pairs: Sequence, inputs: Sequence[Tensor]) -> list[Tensor | None]:
    """The gradients with respect to those inputs that require them, None for the others."""
    kept = [(x, g) for x, g in pairs if x is not None and x.requires_grad]
    wanted = [x for x in inputs if x.requires_grad]
    if not kept:
        return [None] * len(inputs)
    outputs, cotangents = zip(*kept)
    found = iter(torch.autograd.grad(outputs, wanted, cotangents, allow_unused=True))
    return [next(found) if x.requires_grad else None for x in inputs]


def backward_program(
    plan: Plan, pull: Callable, pull_start: Callable, wanted: Sequence[bool]
) -> Callable:
    """The program that pulls the cotangents of the outputs back through the steps of one call of
    the forward program.

    (numbers, grad (T, *), of_y, of_f, row (T,), theta (T,), moments, ys, fs, ts, of_times (rows,
    2), *used) -> (of_y, of_f, of_t0, *of_used): the cotangents of the state and slope behind the
    steps, and before them; of t[0], as an argument of the first slope; of the used tensors that are
    wanted. Numbers: of steps, the first output that they serve and the first that they do not, and
    whether this is the first call. It writes the cotangents of t and h of every step into of_times.
    The moments (rows, degree + 2, *), those of y0, c_1 .. c_P and y1, must be zero at these steps.
    `pull` and `pull_start` are `pull_program` and `start_program`, traced.
    """

    def serve(c: dict, b: dict, k: dict, used: tuple) -> dict:
        row, x = row_of(k["row"], c["i"]), row_of(k["theta"], c["i"])
        inside, power = torch.where(x < 1, 1.0, 0.0), torch.arange(plan.degree + 2)
        weights = 1 - inside
        for p in range(plan.degree + 1):
            weights = torch.where(power == p, inside * x**p, weights)
        g = weights.to(k["grad"].dtype).view(-1, *[1] * (k["grad"].dim() - 1)) * row_of(
            k["grad"], c["i"]
        )
        put(b["moments"], row, row_of(b["moments"], row) + g)
        return {"i": c["i"] + 1}

    def replay(c: dict, b: dict, k: dict, used: tuple) -> dict:
        m = c["n"] - 1
        y, t, moments = row_of(k["ys"], m), row_of(k["ts"], m), row_of(k["moments"], m)
        h = row_of(k["ts"], c["n"]) - t
        f0 = row_of(k["fs"], m) if plan.passes_slope else c["f"]
        found = pull(t, h, y, f0, c["y"] + moments[-1], c["f"], moments[1:-1], *used)
        of_y, of_f, of_t, of_h = (
            torch.zeros_like(x) if g is None else g for x, g in zip((y, f0, t, h), found)
        )
        if plan.wants_t:
            put(b["of_times"], m, torch.stack([of_t, of_h]))
        return {
            "n": m,
            "y": of_y + moments[0],
            "f": of_f if plan.passes_slope else c["f"],
        } | summed(c, found[4:])

    def summed(c: dict, found: Sequence[Tensor | None]) -> dict:
        wanted_ones = [g for g, w in zip(found, wanted) if w]
        return {i: c[i] if g is None else c[i] + g for i, g in enumerate(wanted_ones)}

    def program(
        numbers: Tensor,
        grad: Tensor,
        of_y: Tensor,
        of_f: Tensor,
        row: Tensor,
        theta: Tensor,
        moments: Tensor,
        ys: Tensor,
        fs: Tensor,
        ts: Tensor,
        of_times: Tensor,
        *used: Tensor,
    ) -> tuple:
        n, begin, end, first = numbers.unbind()
        k = {"row": row, "theta": theta, "grad": grad, "end": end}
        c = while_loop(
            lambda c, b, k, used: c["i"] < k["end"],
            serve,
            {"i": begin},
            {"moments": moments},
            k,
            (),
        )
        c = {
            "n": n + c["i"] - end,
            "y": of_y,
            "f": of_f,
        }  # n; a loop whose result is not used would be left out
        c |= dict(enumerate(torch.zeros_like(x) for x, w in zip(used, wanted) if w))
        k = {"ys": ys, "fs": fs, "ts": ts, "moments": moments}
        used = arranged(used)
        buffers = {"of_times": of_times} if plan.wants_t else {}
        c = while_loop(lambda c, b, k, used: c["n"] > 0, replay, c, buffers, k, used)
        of_t0 = torch.zeros_like(ts[0])
        if plan.passes_slope:  # the first slope is func(t[0], y0)
            of_y0, of_t, *found = pull_start(
                ts[0], ys[0], torch.where(first > 0, c["f"], 0.0), *used
            )
            c["y"] = c["y"] if of_y0 is None else c["y"] + of_y0
            of_t0 = of_t0 if of_t is None else of_t0 + of_t
            c |= summed(c, found)
        of_y = c["y"] + torch.where(first > 0, grad[0], 0.0)
        return of_y, c["f"], of_t0, *(c[i] for i in range(sum(wanted)))

    return program
