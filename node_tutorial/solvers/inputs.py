"""Checks of what `odeint` is given: every refusal names the argument, its value, and the remedy."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from .control import Norm, largest, rms_norm
from .errors import NotFinite, too_many_evaluations
from .integrate import Log

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
            f"is followed by {times[i + 1]:.6g}; sort it, and drop duplicates, with "
            f"torch.unique({name})"
        )
    return times


def check_state(y0: Any) -> tuple[Tensor, list[torch.Size] | None]:
    """The state as one tensor, and the shapes of its parts if it was a tuple (then it is flat).

    Raises:
        TypeError: unless y0 is a tensor, or a tuple of tensors of one dtype, real or complex
            floating point.
        NotFinite: a ValueError, if it is not finite.
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
            raise NotFinite(
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
    """A flat state (..., N) as a tuple of tensors (..., *shape); without shapes, y itself."""
    if shapes is None:
        return y
    parts = y.split([shape.numel() for shape in shapes], dim=-1)
    return tuple(
        part.reshape((*y.shape[:-1], *shape)) for part, shape in zip(parts, shapes, strict=True)
    )


def counted_field(
    func: Callable, y0: Tensor, shapes: Sequence[torch.Size] | None, log: Log
) -> Callable:
    """f(t, y) on the flat state; it counts its evaluations in the log, checks the first output.

    A func may fill the same buffer at every call, and return it. A step needs several slopes at
    once, so that these are copied then. The second call tells; it overwrites the slope of the
    first, of which a copy is given out therefore.

    It raises SolveError when the log allows no more evaluations.
    """
    stats = log.stats
    new = True  # fewer than two evaluations so far
    first: Tensor | None = None
    copies = False

    def f(t: Tensor, y: Tensor) -> Tensor:
        nonlocal new, first, copies
        if stats.nfe >= log.max_evaluations:
            raise too_many_evaluations(log.max_evaluations, float(t.max()))
        stats.nfe += 1
        if new and first is None:
            first = dy = _first_slope(func, t, y, shapes)
            new = shapes is None  # the parts of a tuple are copied in any case
            copied = True
        else:
            dy = func(t, y if shapes is None else unflatten(y, shapes))
            if new:
                copies = _share_memory(first, dy)
                new = False
                first = None
            copied = copies
        if copied and shapes is None:
            dy = dy.clone()
        if shapes is not None:
            dy = torch.cat([part.reshape(-1) for part in dy])
        # A slope of less precision is fine, as with torchdiffeq.
        return dy if dy.dtype == y.dtype else dy.to(y.dtype)

    f._n_integrals = getattr(func, "_n_integrals", 0)  # type: ignore[attr-defined]  # see `Newton`
    return f


def _first_slope(func: Callable, t: Tensor, y: Tensor, shapes: Sequence[torch.Size] | None) -> Any:
    """func(t, y) for the first time, checked."""
    version = None if y.is_inference() else y._version
    dy = func(t, unflatten(y, shapes))
    if version is not None and y._version != version:
        raise ValueError(
            "func(t, y) changes y in place, which is the solver's (and y0 itself at first); "
            "leave y as it is: y.relu() for y.relu_(), or begin with y = y.clone()"
        )
    _check_slope(dy, y, shapes)
    return dy


def _share_memory(a: Any, b: Any) -> bool:
    """Whether two slopes, both alive, lie in the same place."""
    try:
        return a is b or a.data_ptr() == b.data_ptr()
    except (RuntimeError, AttributeError):  # in torch.func's transforms a tensor has no place
        return False


def _check_slope(dy: Any, y: Tensor, shapes: Sequence[torch.Size] | None) -> None:
    if shapes is not None and not isinstance(dy, (tuple, list)):
        raise TypeError(
            f"func(t, y) must return a tuple of {len(shapes)} tensors, as y0 is, got "
            f"{type(dy).__name__}"
        )
    if (
        shapes is None
        and isinstance(dy, Tensor)
        and (dy.shape, dy.dtype, dy.device) == (y.shape, y.dtype, y.device)
    ):
        return  # as it should be; the rest takes as long as a step
    parts = [dy] if shapes is None else list(dy)
    wanted = [y.shape] if shapes is None else list(shapes)
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
                f"shape {tuple(shape)}; they must be equal (broadcasting would change the state's "
                "shape)"
            )
        if torch.promote_types(part.dtype, y.dtype) != y.dtype:
            raise TypeError(
                f"{name} is {part.dtype}, but the state is {y.dtype}; cast one of them, for "
                f"instance y0.to({part.dtype}) or func.to(y0.dtype)"
            )
        if part.device != y.device:
            raise ValueError(
                f"{name} is on {part.device}, but the state is on {y.device}; move one of them "
                "with .to(...)"
            )


def uncompiled(reason: str) -> str:
    """The one warning."""
    return f"this solve is not compiled, but runs as without options['compile']: {reason}"


def uncached_casts(x: Any) -> AbstractContextManager:
    """Under autocast of x's device, cast weights anew at every evaluation in the block.

    autocast keeps the cast weights, and backpropagation adds the gradients of all evaluations in
    these, in half precision: of 800 evaluations with bfloat16 the sum was 30 % off, now 0.2 %.
    """
    device = x.device.type if isinstance(x, Tensor) else ""
    if device not in ("cpu", "cuda") or not torch.is_autocast_enabled(device):
        return nullcontext()
    return torch.autocast(device, torch.get_autocast_dtype(device), cache_enabled=False)


def check_tolerance(
    name: str, tol: Any, y0: Tensor, shapes: Sequence[torch.Size] | None
) -> float | Tensor:
    """rtol or atol as a number, or a tensor that broadcasts to the state; one number per part of a
    tuple state is fine.

    Raises:
        TypeError, ValueError: if it is no number, negative, NaN, of an unsuitable shape, or
            requires gradients.
    """
    # Most often it is a float; the rest takes as long as an evaluation of a small field.
    if type(tol) is float and tol > 0:
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
    if name == "atol":  # an entry that is 0, with an error of 0: their ratio shall be 0, not NaN
        tensor = tensor.to(torch.float64).clamp(min=torch.finfo(y0.dtype).tiny)
    if tensor.numel() == 1:
        return float(tensor)
    try:
        torch.broadcast_to(tensor, y0.shape)
    except RuntimeError:
        raise ValueError(
            f"{name} of shape {tuple(tensor.shape)} does not broadcast to the state's shape "
            f"{tuple(y0.shape)}"
        ) from None
    return tensor.to(y0.device, y0.dtype.to_real())


def make_norm(norm: Norm | None, shapes: Sequence[torch.Size] | None) -> Norm:
    """The norm: the user's, on the state as the user knows it; else rms, of a tuple the largest."""
    if shapes is None:
        return norm or rms_norm
    user = norm or (lambda parts: largest(map(rms_norm, parts)))
    return lambda x: user(unflatten(x, shapes))  # type: ignore[arg-type]


def add_callbacks(
    log: Log, func: Any, shapes: Sequence[torch.Size] | None, supported: Iterable[str]
) -> list[str]:
    """Attach func's callbacks (t, y, |h|) to the log; return the names of unsupported ones."""
    unsupported = []
    for name, slot in CALLBACKS.items():
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


CALLBACKS = {
    "callback_step": "on_step",
    "callback_accept_step": "on_accept",
    "callback_reject_step": "on_reject",
}


def _short(values: list) -> str:
    return str(values if len(values) <= 6 else [*values[:3], "...", *values[-2:]])
