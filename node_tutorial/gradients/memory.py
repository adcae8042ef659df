"""Memory on any device: the bytes that autograd saves for the backward pass; the most in use."""

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass
class Kept:
    """What was saved so far: the bytes of every distinct storage, once."""

    storages: dict[tuple[torch.device, int], int] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(self.storages.values())


@contextmanager
def bytes_kept(exclude: Iterable[Tensor] = ()) -> Iterator[Kept]:
    """Count the bytes that operations inside the `with` block save for their backward passes.

        with bytes_kept(exclude=model.parameters()) as kept:
            loss = model(x).sum()
        kept.bytes

    Args:
        exclude: tensors that exist anyway, such as parameters and inputs.

    A storage that is saved twice, or seen through several views, counts once.
    """
    known = {_key(x) for x in exclude}
    kept = Kept()
    alive: list[
        Tensor
    ] = []  # so that no storage is freed, and its address given to another, while we count

    def pack(x: Tensor) -> Tensor:
        if _key(x) not in known:
            kept.storages[_key(x)] = x.untyped_storage().nbytes()
            alive.append(x.detach())
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        yield kept


def _key(x: Tensor) -> tuple[torch.device, int]:
    return x.device, x.untyped_storage().data_ptr()


class PeakBytes(TorchDispatchMode):
    """The most bytes alive at one time, among tensors that operations inside the `with` block make.

    with PeakBytes() as meter:
        loss = model(x).sum()
        loss.backward()
    meter.peak
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = self.now = 0
        self._alive: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {
            x.untyped_storage()._cdata for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)
        }
        for x in tree_leaves(out):
            if not isinstance(x, Tensor):
                continue
            storage = x.untyped_storage()
            if storage._cdata in given or storage._cdata in self._alive:
                continue  # a view, or written in place
            self._alive[storage._cdata] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._freed, storage._cdata)
        return out

    def _freed(self, key: int) -> None:
        self.now -= self._alive.pop(key)
