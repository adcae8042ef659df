"""The methods by name, and the options that each takes."""

import difflib
from typing import Any

from .. import tableaus
from ..tableaus import Tableau
from . import implicit_tableaus
from .adams import Adams
from .reversible import REVERSIBLE, Reversible
from .scipy_solver import solve_with_scipy
from .symplectic import SPLITTINGS

METHODS: dict[str, Any] = {t.name: t for t in (*tableaus.FIXED, *tableaus.ADAPTIVE)}
METHODS |= {t.name: t for t in (*implicit_tableaus.FIXED, *implicit_tableaus.ADAPTIVE)}
METHODS |= {
    "explicit_adams": Adams,
    "implicit_adams": Adams,
    "fixed_adams": Adams,
    "scipy_solver": solve_with_scipy,
}
METHODS |= SPLITTINGS | REVERSIBLE

GRID_OPTIONS = "step_size grid_constructor interp perturb norm".split()
ADAMS_OPTIONS = "max_iters max_order".split()
# dtype: of the clock, for torchdiffeq's sake; ours is always a Python float.
STEP_OPTIONS = "first_step min_step max_step max_num_steps safety ifactor dfactor norm controller dtype".split()
STOP_OPTIONS = "step_t jump_t".split()
SCIPY_OPTIONS = "solver min_step max_step norm".split()


def register_method(tableau: Tableau) -> Tableau:
    """Make a Runge-Kutta method known to `odeint` under its name. Returns the tableau.

    To register the same tableau again changes nothing.

    Raises:
        ValueError: if the name belongs to another method.
    """
    if METHODS.get(tableau.name, tableau) != tableau:
        raise ValueError(
            f"method {tableau.name!r} exists already, with other coefficients; choose another name"
        )
    METHODS[tableau.name] = tableau
    return tableau


def check_method(method: str | None) -> str:
    """The name of a method; dopri5 for None. Raises ValueError if there is none of that name."""
    method = "dopri5" if method is None else method
    if not isinstance(method, str) or method not in METHODS:
        close = difflib.get_close_matches(str(method), METHODS, 1)
        guess = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"unknown method {method!r}.{guess} It must be one of {', '.join(METHODS)}"
        )
    return method


def takes_fixed_steps(method: str, options: dict | None) -> bool:
    """Whether the steps follow a grid: always, unless the method estimates errors and no grid is
    given.
    """
    kind = METHODS[method]
    if not isinstance(kind, Tableau) or kind.error is None:
        return True
    return bool({"step_size", "grid_constructor"} & set(options or {}))


def known_options(method: str, options: dict | None) -> list[str]:
    """The options that the method takes; an adaptive method takes those of a grid too, but not both
    kinds at once.
    """
    kind = METHODS[method]
    if kind is solve_with_scipy:
        return SCIPY_OPTIONS
    if kind is Adams:
        return GRID_OPTIONS + ADAMS_OPTIONS
    if isinstance(
        kind, Reversible
    ):  # perturb would have each step see a slope of its own, and forget its past
        return [name for name in GRID_OPTIONS if name != "perturb"]
    return (
        GRID_OPTIONS
        if takes_fixed_steps(method, options)
        else STEP_OPTIONS + STOP_OPTIONS + GRID_OPTIONS
    )
