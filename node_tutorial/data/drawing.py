"""Random numbers that are the same on every machine: drawn on the CPU, whatever torch's default is.

A generator with a seed belongs to one device, and the same seed gives other numbers on another.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

Arguments = ParamSpec("Arguments")
Made = TypeVar("Made")


def drawn_on_cpu(make: Callable[Arguments, Made]) -> Callable[Arguments, Made]:
    """`make`, run with the CPU as default device; tensors of its result go to torch's default."""

    @wraps(make)
    def on_default(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Made:
        with torch.device("cpu"):
            made = make(*args, **kwargs)
        return _moved(made, torch.get_default_device())

    return on_default


def _moved(made: Any, device: torch.device) -> Any:
    if isinstance(made, Tensor):
        return made.to(device)
    if isinstance(made, tuple) and hasattr(made, "_fields"):
        return type(made)(*(_moved(part, device) for part in made))
    if isinstance(made, (list, tuple)):
        return type(made)(_moved(part, device) for part in made)
    return made
