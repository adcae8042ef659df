"""The methods by name: `METHODS` for readers and users, `find_method` for the solver."""

import difflib
import functools
from typing import Any

from .. import tableaus
from ..runge_kutta import RungeKutta
from ..tableaus import Tableau
from . import implicit_tableaus, long_tableaus
from .adams import ADAMS
from .implicit import ImplicitRungeKutta
from .method import Method, check_real
from .reversible import REVERSIBLE_METHODS
from .scipy_solver import SCIPY_SOLVER
from .symplectic import SYMPLECTIC

_ALL: tuple[Tableau | Method, ...] = (
    *tableaus.FIXED,
    *tableaus.ADAPTIVE,
    *long_tableaus.ADAPTIVE,
    *implicit_tableaus.FIXED,
    *implicit_tableaus.ADAPTIVE,
    *ADAMS,
    SCIPY_SOLVER,
    *SYMPLECTIC,
    *REVERSIBLE_METHODS,
)
METHODS: dict[str, Any] = {method.name: method for method in _ALL}


def register_method(method: Tableau | Method) -> Tableau | Method:
    """Make a method known to `odeint` under its name. Returns it.

    To register the same method again changes nothing.

    Args:
        method: a `Tableau`, of an explicit or implicit Runge-Kutta method; or, of any other kind, a
            `Method` (methods/method.py).

    Raises:
        TypeError: for anything else.
        ValueError: if the name belongs to another method.
    """
    given: object = method  # whatever it is annotated with
    if not isinstance(given, (Tableau, Method)):
        alone = ", a name alone" if isinstance(given, str) else ""
        raise TypeError(
            "register_method(method): method must be a Tableau, such as Tableau('mine', 2, c=(0, "
            "1/2), a=((), (1/2,)), b=(0, 1)), or a Method, such as Method('mine', 2, "
            f"stepper=make_stepper); got {given!r}{alone}"
        )
    if METHODS.get(method.name, method) != method:
        other = "coefficients" if isinstance(method, Tableau) else "steps"
        raise ValueError(
            f"method {method.name!r} exists already, with other {other}; choose another name"
        )
    METHODS[method.name] = method
    return method


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


def find_method(name: str | None) -> Method:
    """The `Method` of that name; dopri5 for None. Raises ValueError if there is none."""
    method = METHODS[check_method(name)]
    return tableau_method(method) if isinstance(method, Tableau) else method


@functools.lru_cache(maxsize=256)
def tableau_method(tableau: Tableau) -> Method:
    """What a tableau is to the solver: its dense output is cubic where it has none of its own."""
    dense = tableau.dense or "cubic"
    adaptive = tableau.error is not None
    if tableau.implicit:
        return Method(
            tableau.name,
            tableau.order,
            lambda setup: ImplicitRungeKutta(
                tableau, setup.rtol, setup.atol, setup.stats, setup.adaptive
            ),
            adaptive=adaptive,
            implicit=True,
            dense=dense,
            replayable=True,
            check=check_real,
        )
    stepper = RungeKutta(tableau)  # which keeps no state: one serves all solves
    return Method(
        tableau.name,
        tableau.order,
        lambda setup: stepper,
        adaptive=adaptive,
        dense=dense,
        own_clocks=adaptive and not isinstance(dense, str),
        replayable=True,
    )
