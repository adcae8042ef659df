"""Checks of sizes that models are made with, and of the points that they are given."""

from numbers import Integral
from typing import Any

from torch import Tensor


def check_sizes(least: int = 1, **sizes: int) -> None:
    """Raise a ValueError that names the first size below `least`, or that is no integer."""
    for name, size in sizes.items():
        if not is_count(size, least):
            raise ValueError(f"{name} must be an integer of {least} or more, got {size!r}")


def check_points(x: Tensor, size: int) -> None:
    """Raise a ValueError unless x is (..., size): else it might broadcast, to a wrong answer."""
    if x.shape[-1:] != (size,):
        raise ValueError(
            f"points must have {size} entries, (..., {size}), got shape {tuple(x.shape)}"
        )


def check_draws(draws: int) -> None:
    """Raise a ValueError unless draws, a number of samples, is an integer of one or more."""
    if not is_count(draws, 1):
        raise ValueError(f"draws must be an integer of 1 or more, got {draws!r}")


def is_count(value: Any, least: int) -> bool:
    """Whether this is an integer of Python or numpy, no truth value, of `least` or more."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        return False
    return int(value) >= least
