"""What an implicit solve says between its stops: polynomials that are as good as the tolerance.

Where a problem is stiff, a step may be far longer than its polynomial can follow: the error at its
end is small whatever its length. (Measured on y' = -1e6 (y - cos t) - sin t with kvaerno5 at a
tolerance of 1e-4: an error of 4e-9 at the ends of the steps, and of 0.46 between them.) So a
polynomial is compared, before it is read, with the method itself: a step from the same start to a
place inside. If both differ by more than the tolerance, that shorter step takes the place of the
longer one, and so on; then the rest of the way is taken in the same manner.
"""

import torch

from .control import Tolerance
from .integrate import Segment
from .runge_kutta import Dense, Field, Stepper, end_slope, interpolate

# Of the comparisons. (In the middle a quartic may be right where it is nowhere else. At 0.3 alone,
# errors of up to 30 tolerances were not seen.)
_PLACES = (0.7, 0.3)
_LONGER = 2.0  # how much longer than the last piece the next one is tried
_SHORTEST = 1e-4  # of a step: a piece so short is read as it is
_ELSEWHERE = 1e3  # tolerances from the end of the step: that is another solution


def pieces(
    segment: Segment, f: Field, stepper: Stepper, tol: Tolerance, dense: Dense, jump: bool = False
) -> list[Segment]:
    """The step, or shorter ones in its place, whose dense output is within the tolerance.

    Args:
        segment: the step.
        f: the field, which is evaluated again.
        stepper: of the method, for steps that may not fail.
        tol: of the solve.
        dense: the output that the segment is read with, see `interpolate`.
        jump: whether f jumps at the end of the step.

    Raises:
        RuntimeError: if f leads elsewhere than it did in the solve.
    """
    begin, t1, whole = segment
    step = whole
    lands = True  # the step ends at t1
    found: list[Segment] = []
    with torch.set_grad_enabled(torch.is_grad_enabled() and whole.y1.requires_grad):
        while True:
            if dense == "cubic":
                end_slope(step, f)
            good = True
            for place in _PLACES:
                inner = stepper.step(f, step.t, step.y0, place * step.h, step.stages[0])
                off = (inner.y1 - interpolate(step, [place], dense)[0]).detach()
                ratio = tol.error_ratio(off, step.y0.detach(), step.y1.detach())
                good = good and ratio <= 1
            if not good and abs(float(inner.h)) > _SHORTEST * abs(t1 - begin):
                step = inner
                lands = False
                continue
            end = t1 if lands else begin + float(step.h)
            found.append(Segment(begin, end, step))
            if lands:
                break
            begin = end
            now = step.t + step.h
            rest = whole.t + whole.h - now
            lands = abs(float(rest)) <= 1.1 * _LONGER * abs(float(step.h))  # leave no crumb
            size = rest if lands else _LONGER * step.h
            step = stepper.step(f, now, step.y1, size, step.f1, jump and lands)
        off = (step.y1 - whole.y1).detach()
    if not tol.error_ratio(off, whole.y0.detach(), whole.y1.detach()) <= _ELSEWHERE:
        raise RuntimeError(
            "func does not return what it did when the ODE was solved: between the steps of an "
            "implicit method it is evaluated again. Is it random, or was it changed in between?"
        )
    return found
