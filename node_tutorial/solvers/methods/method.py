"""What a method is to the solver: `Method`. A new kind of method is one file that makes one.

A method that a Butcher tableau describes needs nothing of this: give `register_method` the
`Tableau`, which `tableau_method` (in registry.py) makes a `Method` of. For any other kind

1. write what takes its steps: an object with `order` and `step(f, t, y, h, f0, before_end)`, which
   returns a `Step` (`Stepper` in runge_kutta.py; `stage_times` there makes the times for f). A new
   one is made for every solve, so that it may keep a history;
2. say what it is: `Method("my_method", order=2, stepper=lambda setup: MyStepper())`;
3. register it: `register_method(...)`; or, in this package, add it to the list in registry.py.

Its docstring gives formula and source, the fields below say what else it can do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..options import GRID, STEPS, Options
from ..runge_kutta import Dense, Field, Stepper, Time
from ..statistics import Stats

ReversibleState = tuple[Tensor, ...]  # of a reversible method: y first, a slope last


class Setup(NamedTuple):
    """What a stepper is made for: one solve."""

    rtol: float | Tensor
    atol: float | Tensor
    stats: Stats  # to count in: Jacobians and the like; evaluations of f are counted already
    adaptive: bool  # whether a step that fails will be tried shorter
    options: Options  # in `of_method` those that the method alone takes, as given


@dataclass(frozen=True)
class Method:
    """A method of `odeint`.

    Args:
        name: under which `odeint` knows it.
        order: p; the global error is O(h^p). 0 where it is chosen on the way.
        stepper: makes, from a `Setup`, what takes the steps of one solve.
        solve: instead of a stepper, for methods with a loop of their own:
            solve(setup, f, y0, times) -> the states (n, *y0.shape) at the first n times, and why it
            stopped there, "" if it did not.
        adaptive: its steps estimate their error, so that their sizes can be chosen.
        implicit: it needs df/dy by autograd, hence real states; its default controller is PI.
        separable: it needs dq/dt = v(t, p), dp/dt = a(t, q).
        dense: its output between the steps, see `interpolate`.
        own_clocks: t and h may have one entry per sample, for `per_sample`; with `adaptive` and a
            dense output by rows only.
        replayable: a step depends on (t, y, h, f0) alone, so that it can be taken again by itself.
        inverse: inverse(f, t, h, state at t + h) -> state at t; the stepper has the state, in
            `state`, which is None before the first step.
        options: the names of the options that it takes on a fixed grid; with `adaptive` also those
            of `options.STEPS`.
        check: check(name, y0, shapes) raises TypeError or ValueError for states that it cannot
            take. y0 is flat where shapes, those of a tuple's parts, are given.

    Raises:
        TypeError, ValueError: for fields that cannot be right.
    """

    name: str
    order: int
    stepper: Callable[[Setup], Stepper] | None = None
    solve: Callable[[Setup, Field, Tensor, list[float]], tuple[Tensor, str]] | None = None
    adaptive: bool = False
    implicit: bool = False
    separable: bool = False
    dense: Dense = "cubic"
    own_clocks: bool = False
    replayable: bool = False
    inverse: Callable[[Field, Time, Time, ReversibleState], ReversibleState] | None = None
    options: Sequence[str] = GRID
    check: Callable[[str, Tensor, Sequence[torch.Size] | None], None] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise TypeError(f"a Method's name must be a string such as 'rk4', got {self.name!r}")
        if not isinstance(self.order, int) or self.order < 0:
            raise ValueError(
                f"method {self.name!r}: order must be a whole number, 0 if it is chosen on the "
                f"way, got {self.order!r}"
            )
        if callable(self.stepper) == callable(self.solve):
            raise TypeError(
                f"method {self.name!r} needs a stepper, stepper(setup) -> an object with step(f, "
                "t, y, h, f0, before_end), or else a solve(setup, f, y0, times); got stepper="
                f"{self.stepper!r} and solve={self.solve!r}"
            )
        if isinstance(self.dense, str) and self.dense not in ("cubic", "linear"):
            raise ValueError(
                f"method {self.name!r}: dense must be 'cubic', 'linear' or rows of coefficients, "
                f"got {self.dense!r}"
            )
        if self.own_clocks and (isinstance(self.dense, str) or not self.adaptive):
            raise ValueError(
                f"method {self.name!r}: own_clocks needs adaptive=True and a dense output by rows"
            )

    def takes_fixed_steps(self, given: Mapping[str, Any] | None) -> bool:
        """Whether the steps follow a grid: as given, or since the method estimates no errors."""
        return not self.adaptive or bool({"step_size", "grid_constructor"} & set(given or {}))

    def known_options(self, given: Mapping[str, Any] | None) -> Sequence[str]:
        """The options that the method takes; an adaptive one takes those of a grid too, but not
        both kinds at once.
        """
        if self.takes_fixed_steps(given):
            return self.options
        return (*STEPS, *self.options)


def check_real(name: str, y0: Tensor, shapes: Sequence[torch.Size] | None) -> None:
    """Raise TypeError for a complex state, or one of half precision."""
    if y0.dtype in (torch.float16, torch.bfloat16):
        raise TypeError(
            f"method {name!r} is implicit and solves linear systems, which torch does not do in "
            f"{y0.dtype}; use y0.float()"
        )
    if y0.is_complex():
        raise TypeError(
            f"method {name!r} is implicit and takes real states only, got {y0.dtype}; use "
            "torch.view_as_real(y0), and the same inside func"
        )
