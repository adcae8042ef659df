"""Memory kept for the backward pass, measured on any device: the bytes of what autograd saves."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor


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
    alive: list[Tensor] = []  # so that no storage is freed, and its address given to another, while we count

    def pack(x: Tensor) -> Tensor:
        if _key(x) not in known:
            kept.storages[_key(x)] = x.untyped_storage().nbytes()
            alive.append(x.detach())
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        yield kept


def _key(x: Tensor) -> tuple[torch.device, int]:
    return x.device, x.untyped_storage().data_ptr()
