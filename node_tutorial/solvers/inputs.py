"""Checks and normal forms of what `odeint` is given: every refusal names the argument, its value,
and the remedy.
"""

import difflib
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from .control import CONTROLLERS, Controller, Norm, Tolerance, largest, rms_norm
from .integrate import Log, Stats

State = Tensor | tuple[Tensor, ...]


def check_times(t: Any, name: str = "t") -> list[float]:
    """The times as floats.

    Raises:
        TypeError: unless t is a floating-point tensor.
        ValueError: unless it is 1-d, not empty, finite, and strictly increasing or decreasing.
    """
    if not isinstance(t, Tensor):
        raise TypeError(
            f"{name} must be a tensor of times, got {type(t).__name__}; use torch.tensor([...])"
        )
    if not t.is_floating_point():
        raise TypeError(
            f"{name} must be of floating point, got {t.dtype}; use {name}.double() or "
            "torch.linspace"
        )
    if t.dim() != 1:
        raise ValueError(
            f"{name} must be one dimensional, (T,), got shape {tuple(t.shape)}; use "
            f"{name}.reshape(-1)"
        )
    times = t.tolist()
    if not times:
        raise ValueError(
            f"{name} is empty; its first entry is the initial time, the others are the output times"
        )
    if not all(map(math.isfinite, times)):
        raise ValueError(f"{name} must be finite, got {_short(times)}")
    steps = [b - a for a, b in itertools.pairwise(times)]
    if steps and not (all(s > 0 for s in steps) or all(s < 0 for s in steps)):
        i = next(i for i, s in enumerate(steps) if s == 0 or (s > 0) != (steps[0] > 0))
        raise ValueError(
            f"{name} must be strictly increasing or decreasing, but {name}[{i}] = {times[i]:.6g} "
            "is followed by "
            f"{times[i + 1]:.6g}; sort it, and drop duplicates, with torch.unique({name})"
        )
    return times


def check_state(y0: Any) -> tuple[Tensor, list[torch.Size] | None]:
    """The state as one tensor, and the shapes of its parts if it was a tuple (then it is flat).

    Raises:
        TypeError: unless y0 is a tensor, or a tuple of tensors of one dtype, real or complex
            floating point.
        ValueError: if it is not finite.
    """
    parts = y0 if isinstance(y0, tuple) else (y0,)
    for i, part in enumerate(parts):
        name = f"y0[{i}]" if isinstance(y0, tuple) else "y0"
        if not isinstance(part, Tensor):
            hint = "use tuple(y0)" if isinstance(y0, list) else f"use torch.as_tensor({name})"
            raise TypeError(
                f"{name} must be a tensor (y0: a tensor or a tuple of them), got "
                f"{type(part).__name__}; {hint}"
            )
        if not (part.is_floating_point() or part.is_complex()):
            raise TypeError(
                f"{name} must be of floating point, got {part.dtype}; use {name}.float() or "
                f"{name}.double()"
            )
        if not torch.isfinite(part).all():
            raise ValueError(
                f"{name} is not finite: it holds NaN or inf; look at torch.isfinite({name})"
            )
    if not parts:
        raise ValueError("y0 is an empty tuple; it needs at least one tensor")
    if len({part.dtype for part in parts}) > 1:
        raise TypeError(
            "the tensors of y0 must have one dtype, got "
            f"{', '.join(str(p.dtype) for p in parts)}; cast them"
        )
    if isinstance(y0, tuple):
        return torch.cat([part.reshape(-1) for part in parts]), [part.shape for part in parts]
    return y0, None


def unflatten(y: Tensor, shapes: Sequence[torch.Size] | None) -> State:
    """Split the last dimension of a flat state (..., N) into tensors (..., *shape); without shapes,
    y itself.
    """
    if shapes is None:
        return y
    parts = y.split([shape.numel() for shape in shapes], dim=-1)
    return tuple(
        part.reshape((*y.shape[:-1], *shape)) for part, shape in zip(parts, shapes, strict=True)
    )


def counted_field(
    func: Callable, y0: Tensor, shapes: Sequence[torch.Size] | None, stats: Stats
) -> Callable:
    """f(t, y) on the flat state; it counts its evaluations, and checks the output of the first."""
    checked = False

    def f(t: Tensor, y: Tensor) -> Tensor:
        nonlocal checked
        stats.nfe += 1
        dy = func(t, y if shapes is None else unflatten(y, shapes))
        if not checked:
            _check_slope(dy, y, shapes)
            checked = True
        if shapes is not None:
            dy = torch.cat([part.reshape(-1) for part in dy])
        return (
            dy if dy.dtype == y.dtype else dy.to(y.dtype)
        )  # a slope of less precision, as torchdiffeq

    f.quadrature = getattr(func, "quadrature", 0)  # type: ignore[attr-defined]  # see `Newton`
    return f


def _check_slope(dy: Any, y: Tensor, shapes: Sequence[torch.Size] | None) -> None:
    if shapes is not None and not isinstance(dy, (tuple, list)):
        raise TypeError(
            f"func(t, y) must return a tuple of {len(shapes)} tensors, as y0 is, got "
            f"{type(dy).__name__}"
        )
    parts, wanted = ([dy], [y.shape]) if shapes is None else (list(dy), list(shapes))
    if len(parts) != len(wanted):
        raise ValueError(
            f"func(t, y) must return {len(wanted)} tensors, as y0 has, got {len(parts)}"
        )
    for i, (part, shape) in enumerate(zip(parts, wanted, strict=True)):
        name = "func(t, y)" if shapes is None else f"func(t, y)[{i}]"
        if not isinstance(part, Tensor):
            raise TypeError(
                f"{name} must be a tensor, got {type(part).__name__}; use torch.stack or "
                "torch.as_tensor"
            )
        if part.shape != shape:
            raise ValueError(
                f"{name} has shape {tuple(part.shape)}, but the state it is the derivative of has "
                "shape "
                f"{tuple(shape)}; they must be equal (broadcasting would change the state's shape)"
            )
        if torch.promote_types(part.dtype, y.dtype) != y.dtype:
            raise TypeError(
                f"{name} is {part.dtype}, but the state is {y.dtype}; cast one of them, for "
                "instance "
                f"y0.to({part.dtype}) or func.to(y0.dtype)"
            )
        if part.device != y.device:
            raise ValueError(
                f"{name} is on {part.device}, but the state is on {y.device}; move one of them "
                "with .to(...)"
            )


def check_options(options: dict | None, known: Iterable[str], method: str) -> dict:
    """A copy of the options.

    Raises:
        ValueError: for a name that the method does not know, with the names that it does.
    """
    if options is not None and not isinstance(options, dict):
        raise TypeError(
            f"options must be a dict, such as {{'step_size': 0.1}}, got {type(options).__name__}"
        )
    options = {name: value for name, value in (options or {}).items() if value is not None}
    for name in options:
        if name not in known:
            known = sorted(known)
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


def uncompiled(reason: str) -> str:
    """The one warning."""
    return f"this solve is not compiled, but runs as without options['compile']: {reason}"


def make_tolerance(
    rtol: float | Tensor, atol: float | Tensor, y0: Tensor, norm: Norm, options: dict
) -> Tolerance:
    """The tolerance of an adaptive solve, from checked rtol and atol."""
    eps = torch.finfo(y0.dtype).eps
    low_r, low_a = (float(tol.min()) if isinstance(tol, Tensor) else tol for tol in (rtol, atol))
    if low_r < eps / 100 and low_a < eps / 100 * max(_largest(y0), 1e-30):
        raise ValueError(
            f"rtol = {low_r:.1e} and atol = {low_a:.1e} are below what {y0.dtype} resolves (eps = "
            f"{eps:.1e}): "
            f"no step could meet them. Raise them (rtol >= {10 * eps:.0e})"
            + ("" if eps < 1e-10 else ", or use y0.double()")
        )
    numbers = {
        name: _number(options, name, low, high) for name, low, high in _LIMITS if name in options
    }
    if numbers.get("min_step", 0.0) > numbers.get("max_step", math.inf):
        raise ValueError(
            f"options: min_step = {options['min_step']} must not exceed max_step = "
            f"{options['max_step']}"
        )
    steps = {
        name: numbers[name] for name in ("first_step", "min_step", "max_step") if name in numbers
    }
    return Tolerance(rtol, atol, norm, **steps)


def _largest(y: Tensor) -> float:
    return y.detach().abs().max().item() if y.numel() else 0.0


_TINY = 5e-324  # the smallest positive number: "greater than zero"
_LIMITS = (
    *(("first_step", _TINY, math.inf), ("min_step", 0.0, math.inf), ("max_step", _TINY, math.inf)),
    *(
        ("safety", _TINY, 1.0),
        ("ifactor", 1.0, math.inf),
        ("dfactor", _TINY, 1 - 1e-9),
        ("max_num_steps", 1, math.inf),
    ),
)


def _number(options: dict, name: str, low: float, high: float) -> float:
    try:
        value = float(options[name])
    except (TypeError, ValueError):
        raise TypeError(f"options[{name!r}] must be a number, got {options[name]!r}") from None
    if not low <= value <= high:
        bounds = "positive" if (low, high) == (_TINY, math.inf) else f"from {low:.3g} to {high:.3g}"
        raise ValueError(
            f"options[{name!r}] must be {bounds}, got {value} (steps are positive for decreasing "
            "t too)"
        )
    return value


def check_tolerance(
    name: str, tol: Any, y0: Tensor, shapes: Sequence[torch.Size] | None
) -> float | Tensor:
    """rtol or atol as a number, or a tensor that broadcasts to the state; one number per part of a
    tuple state is fine.

    Raises:
        TypeError, ValueError: if it is no number, negative, NaN, of an unsuitable shape, or
            requires gradients.
    """
    if (
        type(tol) is float and tol >= 0
    ):  # most often; the rest takes as long as an evaluation of a small field
        return tol
    try:
        if isinstance(tol, (tuple, list)):
            if shapes is None or len(tol) != len(shapes):
                raise ValueError(
                    f"{name} has {len(tol)} entries; give one number, or one per tensor of a "
                    "tuple y0"
                )
            real = y0.dtype.to_real()
            tol = torch.cat(
                [torch.as_tensor(x, dtype=real).expand(s.numel()) for x, s in zip(tol, shapes)]
            )
        tensor = torch.as_tensor(tol)
    except (TypeError, RuntimeError):
        raise TypeError(f"{name} must be a number such as 1e-6, or a tensor, got {tol!r}") from None
    if tensor.requires_grad:
        raise ValueError(f"{name} must not require gradients; use {name}.detach()")
    if not bool((tensor >= 0).all()):
        raise ValueError(f"{name} must be zero or positive, got {tol}")
    if tensor.numel() == 1:
        return float(tensor)
    try:
        torch.broadcast_to(tensor, y0.shape)
    except RuntimeError:
        message = f"{name} of shape {tuple(tensor.shape)} does not broadcast to the state's shape {tuple(y0.shape)}"
        raise ValueError(message) from None
    return tensor.to(y0.device, y0.dtype.to_real())


def make_norm(norm: Norm | None, shapes: Sequence[torch.Size] | None) -> Norm:
    """The norm over the state: the user's, on the state as the user knows it; else rms; for tuples
    the largest rms.
    """
    if shapes is None:
        return norm or rms_norm
    user = norm or (lambda parts: largest(map(rms_norm, parts)))
    return lambda x: user(unflatten(x, shapes))  # type: ignore[arg-type]


def make_controller(options: dict, default: str = "I") -> Controller:
    """The step-size controller that the options name ("I", "PI") or are."""
    controller = options.get("controller", default)
    if callable(controller):
        return controller
    if controller not in CONTROLLERS:
        raise ValueError(
            f"options['controller'] must be one of {sorted(CONTROLLERS)} or a function, got "
            f"{controller!r}"
        )
    limits = {
        name: float(options[name]) for name in ("safety", "ifactor", "dfactor") if name in options
    }
    return CONTROLLERS[controller](**limits)


def add_callbacks(
    log: Log, func: Any, shapes: Sequence[torch.Size] | None, supported: Iterable[str]
) -> list[str]:
    """Attach func's callback_step, callback_accept_step, callback_reject_step (t, y, |h|); return
    the unsupported.
    """
    unsupported = []
    for name, slot in _CALLBACKS.items():
        callback = getattr(func, name, None)
        if callback is None:
            continue
        if name not in supported:
            unsupported.append(name)
            continue

        def call(t: float, y: Tensor, h: float, callback: Callable = callback) -> None:
            real = y.dtype.to_real()
            callback(
                torch.tensor(t, dtype=real), unflatten(y, shapes), torch.tensor(abs(h), dtype=real)
            )

        setattr(log, slot, call)
    return unsupported


_CALLBACKS = {
    "callback_step": "on_step",
    "callback_accept_step": "on_accept",
    "callback_reject_step": "on_reject",
}


def _short(values: list) -> str:
    return str(values if len(values) <= 6 else [*values[:3], "...", *values[-2:]])
