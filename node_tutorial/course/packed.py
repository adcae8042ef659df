"""The parameters of a net in a byte each: half of float16's size, and nearly the same net.

Each row of a matrix (or kernel) has a scale, 1/127 of its largest entry, and its entries are whole
multiples of that. Vectors are kept in float16.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def packed(state: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """A state_dict of float tensors as two arrays: "bytes" int8, "halves" float16."""
    halves: list[Tensor] = []
    whole: list[Tensor] = []
    for value in state.values():
        if value.dim() < 2:
            halves.append(value.detach().flatten())
            continue
        rows = value.detach().flatten(1)
        scale = (rows.abs().amax(1) / 127).half().float().clamp(min=1e-7)
        halves.append(scale)
        whole.append((rows / scale[:, None]).round().clamp(-127, 127).flatten())
    return {
        "bytes": torch.cat(whole).numpy().astype(np.int8),
        "halves": torch.cat(halves).numpy().astype(np.float16),
    }


def unpacked(
    whole: np.ndarray, halves: np.ndarray, like: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The state_dict again, from both arrays; `like` is one of the same net.

    Raises:
        ValueError: if the net has another number of parameters.
    """
    bytes_left = torch.tensor(whole, dtype=torch.float32)
    halves_left = torch.tensor(halves, dtype=torch.float32)
    state = {}
    for name, value in like.items():
        matrix = value.dim() >= 2
        taken = len(value) if matrix else value.numel()
        first, halves_left = halves_left[:taken], halves_left[taken:]
        if matrix:
            entries, bytes_left = bytes_left[: value.numel()], bytes_left[value.numel() :]
            if len(entries) < value.numel() or len(first) < taken:
                break
            first = entries.reshape(len(value), -1) * first[:, None]
        if first.numel() < value.numel():
            break
        state[name] = first.reshape(value.shape)
    if len(bytes_left) or len(halves_left) or len(state) < len(like):
        raise ValueError(
            f"these {len(whole)} bytes and {len(halves)} halves are of another net than the one "
            f"with {sum(value.numel() for value in like.values())} parameters"
        )
    return state
