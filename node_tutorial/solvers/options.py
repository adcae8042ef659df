"""What `odeint`'s options say, read and checked once: a dictionary becomes an `Options`."""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .control import CONTROLLERS, Controller, Norm, Tolerance

# The names by what takes them. dtype: of the clock, for torchdiffeq's sake; ours is always a
# Python float.
GRID = ("step_size", "grid_constructor", "interp", "perturb", "norm", "max_num_evaluations")
LIMITS = ("first_step", "min_step", "max_step", "max_num_steps", "safety", "ifactor", "dfactor")
STEPS = (*LIMITS, "norm", "controller", "dtype", "step_t", "jump_t", "max_num_evaluations")

_TINY = 5e-324  # the smallest positive number: "greater than zero"
_BOUNDS = {
    "first_step": (_TINY, math.inf),
    "min_step": (0.0, math.inf),
    "max_step": (_TINY, math.inf),
    "safety": (_TINY, 1.0),
    "ifactor": (1.0, math.inf),
    "dfactor": (_TINY, 1 - 1e-9),
    "max_num_steps": (1, math.inf),
    "max_num_evaluations": (1, math.inf),
}


class Options(NamedTuple):
    """The options of one solve, checked; `odeint` says what they do.

    What a method alone takes, such as max_order of Adams methods, is in `of_method`, as given.
    """

    norm: Norm | None = None
    first_step: float | None = None
    min_step: float = 0.0
    max_step: float = math.inf
    max_num_steps: float | None = None
    max_num_evaluations: float = math.inf
    safety: float = 0.9
    ifactor: float = 10.0
    dfactor: float = 0.2
    controller: str | Controller | None = None
    step_t: tuple[float, ...] = ()
    jump_t: tuple[float, ...] = ()
    step_size: float | None = None
    grid_constructor: Callable | None = None
    interp: str | None = None
    perturb: bool = False
    of_method: Mapping[str, Any] = MappingProxyType({})


NONE_GIVEN = Options()
_FIELDS = frozenset(Options._fields)


def read_options(options: dict | None, known: Iterable[str], method: str) -> Options:
    """The options as an `Options`; None as a value is as good as no option.

    Raises:
        TypeError: if options is no dictionary, or a value of a wrong type.
        ValueError: for a name that is not known, with the names that are; for a value out of its
            bounds, or two that contradict each other.
    """
    given = check_names(options, known, method)
    if not given:
        return NONE_GIVEN
    given.pop("dtype", None)
    for name, value in given.items():
        if name in _BOUNDS:
            given[name] = _number(name, value, *_BOUNDS[name])
        elif name in ("step_t", "jump_t"):
            given[name] = _stop_times(name, value)
    if given.get("max_num_steps") == math.inf:
        del given["max_num_steps"]
    if "norm" in given and not callable(given["norm"]):
        raise TypeError(
            f"options['norm'] must be a function of the state, got {given['norm']!r} "
            "('seminorm' is one of adjoint_options)"
        )
    if given.get("min_step", 0.0) > given.get("max_step", math.inf):
        raise ValueError(
            f"options: min_step = {given['min_step']} must not exceed max_step = "
            f"{given['max_step']}"
        )
    stops = (*given.get("step_t", ()), *given.get("jump_t", ()))
    if len(set(stops)) < len(stops):
        twice = next(s for s in stops if stops.count(s) > 1)
        raise ValueError(
            f"options: {twice:.6g} stands twice in step_t and jump_t; name each time once"
        )
    if "step_size" in given:
        if "grid_constructor" in given:
            raise ValueError("options: give step_size or grid_constructor, not both")
        if not float(given["step_size"]) > 0:
            raise ValueError(
                "options['step_size'] must be a positive number, got "
                f"{given['step_size']!r} (also for decreasing t)"
            )
        given["step_size"] = float(given["step_size"])
    if given.get("interp") not in (None, "linear", "cubic"):
        raise ValueError(f"options['interp'] must be 'linear' or 'cubic', got {given['interp']!r}")
    if "perturb" in given:
        given["perturb"] = bool(given["perturb"])
    of_method = {name: given.pop(name) for name in list(given) if name not in _FIELDS}
    return Options(**given, of_method=of_method)


def check_names(options: dict | None, known: Iterable[str], method: str) -> dict:
    """A copy of the options, without those that are None.

    Raises:
        TypeError: if options is no dictionary.
        ValueError: for a name that the method does not know, with the names that it does.
    """
    if options is not None and not isinstance(options, dict):
        raise TypeError(
            f"options must be a dict, such as {{'step_size': 0.1}}, got {type(options).__name__}"
        )
    options = {name: value for name, value in (options or {}).items() if value is not None}
    for name in options:
        if name not in known:
            known = sorted(set(known))
            close = difflib.get_close_matches(str(name), known, 1)
            guess = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(
                f"unknown option {name!r} for method {method!r}.{guess} It takes: "
                f"{', '.join(known)}"
            )
    return options


def take_compile(options: Any) -> tuple[Any, bool]:
    """The options without "compile", and whether that is wanted."""
    if not isinstance(options, dict) or "compile" not in options:
        return options, False
    compiled = options["compile"]
    if compiled not in (True, False, None):
        raise ValueError(f"options['compile'] must be True or False, got {compiled!r}")
    return {name: value for name, value in options.items() if name != "compile"}, bool(compiled)


def make_tolerance(
    rtol: float | Tensor, atol: float | Tensor, y0: Tensor, norm: Norm, options: Options
) -> Tolerance:
    """The tolerance of an adaptive solve, from checked rtol and atol."""
    eps = torch.finfo(y0.dtype).eps
    low_r = float(rtol.min()) if isinstance(rtol, Tensor) else rtol
    low_a = float(atol.min()) if isinstance(atol, Tensor) else atol
    # float16 ends at 65504: a state divided by a small tolerance would overflow.
    least = max(eps / 100, 8 / torch.finfo(y0.dtype).max)
    if low_r < least and low_a < least * max(_largest(y0), 1e-30):
        remedy = "" if eps < 1e-10 else ", or use y0.double()"
        raise ValueError(
            f"rtol = {low_r:.1e} and atol = {low_a:.1e} are below what {y0.dtype} resolves (eps = "
            f"{eps:.1e}): no step could meet them. Raise them (rtol >= {10 * eps:.0e}){remedy}"
        )
    return Tolerance(rtol, atol, norm, options.first_step, options.min_step, options.max_step)


def make_controller(options: Options, default: str) -> Controller:
    """The step-size controller that the options name ("I", "PI") or are."""
    controller = options.controller or default
    if callable(controller):
        return controller
    if controller not in CONTROLLERS:
        raise ValueError(
            f"options['controller'] must be one of {sorted(CONTROLLERS)} or a function, got "
            f"{controller!r}"
        )
    limits = {name: getattr(options, name) for name in ("safety", "ifactor", "dfactor")}
    given = {name: value for name, value in limits.items() if value != getattr(NONE_GIVEN, name)}
    return CONTROLLERS[controller](**given)


def _largest(y: Tensor) -> float:
    return y.detach().abs().max().item() if y.numel() else 0.0


def _stop_times(name: str, value: Any) -> tuple[float, ...]:
    times = torch.as_tensor(value, dtype=torch.float64).reshape(-1)
    if times.requires_grad:
        raise ValueError(
            f"options[{name!r}] gets no gradient: use .detach(); or make the time an output time, "
            "or an event"
        )
    if bool(times.isnan().any()):
        raise ValueError(f"options[{name!r}] holds NaN; it must hold times")
    return tuple(times.tolist())


def _number(name: str, value: Any, low: float, high: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"options[{name!r}] must be a number, got {value!r}") from None
    if not low <= number <= high:
        bounds = "positive" if (low, high) == (_TINY, math.inf) else f"from {low:.3g} to {high:.3g}"
        raise ValueError(
            f"options[{name!r}] must be {bounds}, got {number} (steps are positive for "
            "decreasing t too)"
        )
    return number
