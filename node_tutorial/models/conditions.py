"""What a denoiser is told besides x: the time, from 0 to 1, and perhaps a class."""

import math

import torch
from torch import Tensor, nn

from .sizes import check_sizes

FREQUENCIES = 16
SLOWEST = 0.25  # periods from t = 0 to t = 1: a quarter of a wave, which tells all times apart
FASTEST = 8.0


class Conditions(nn.Module):
    """Time and class as one vector: an MLP of sines and cosines of t, plus a vector for each class.

        w_k = 2 pi 0.25 ... 2 pi 8, a geometric sequence of 16
        c = W_2 silu(W_1 (cos w_k t, sin w_k t) + b_1) + b_2 + e_label

    The sinusoids of DDPM (Ho et al. 2020, appendix B, after Vaswani et al. 2017) are made for whole
    numbers up to 1000: of a time between 0 and 1 they see next to nothing. These are made for it.
    None is so fast that a solver with a few steps would miss how the field changes.

    Args:
        size: E, entries of the vector.
        classes: how many; 0 for none. A label equal to `classes` means "no class", as does None.

    Shapes: t 0-d, or (B, 1, ..., 1) with one time for each sample; label (B,) of int64 -> (1, E) or
    (B, E).

    Raises:
        ValueError: for a size below 1, classes below 0, and at a call for labels that are not
            (B,) whole numbers from 0 to `classes`, or for any label without classes.

        >>> conditions = Conditions(64, classes=10)
        >>> conditions(torch.tensor(0.5), torch.tensor([3, 10]), batch=2).shape
        torch.Size([2, 64])
    """

    frequencies: Tensor

    def __init__(self, size: int = 64, classes: int = 0) -> None:
        super().__init__()
        check_sizes(size=size)
        check_sizes(0, classes=classes)
        self.classes = classes
        powers = torch.linspace(math.log(SLOWEST), math.log(FASTEST), FREQUENCIES)
        self.register_buffer("frequencies", 2 * math.pi * powers.exp(), persistent=False)
        self.time = nn.Sequential(
            nn.Linear(2 * FREQUENCIES, size), nn.SiLU(), nn.Linear(size, size)
        )
        self.label = nn.Embedding(classes + 1, size) if classes else None

    def forward(self, t: Tensor, label: Tensor | None = None, *, batch: int = 1) -> Tensor:
        t = torch.as_tensor(t).to(self.frequencies)
        if t.numel() not in (1, batch):
            raise ValueError(
                f"t must be one time, or one for each of the {batch} samples, (B, 1, ..., 1), got "
                f"shape {tuple(t.shape)}"
            )
        angles = t.reshape(-1, 1) * self.frequencies
        code = self.time(torch.cat([angles.cos(), angles.sin()], dim=1))
        if self.label is None:
            if label is not None:
                raise ValueError(
                    "a label was given to a net without classes; make the net with classes=10 for "
                    "labels from 0 to 9"
                )
            return code
        if label is None:
            label = torch.full((batch,), self.classes, device=code.device)
        self._check(label, batch)
        return code + self.label(label.to(code.device))

    def _check(self, label: Tensor, batch: int) -> None:
        if label.dtype != torch.int64 or label.shape != (batch,):
            raise ValueError(
                f"label must be int64 of shape ({batch},), one for each sample, got {label.dtype} "
                f"of shape {tuple(label.shape)}"
            )
        if label.min() < 0 or label.max() > self.classes:
            raise ValueError(
                f"label must be from 0 to {self.classes - 1}, or {self.classes} for no class, got "
                f"{label.min().item()} to {label.max().item()}"
            )
