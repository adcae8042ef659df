"""What the samplers of samplers.py are made of: steps from time to time, and points that take them.

    walk = Walk(denoise, path, x, times, keep)
    for step in walk:                         step.t, step.s, and the path at both
        parts = walk.ask(step.t)              one call of the denoiser, counted
        walk.go_to(...)                       the points at step.s
    return walk.samples

Times are float64 on the CPU, points have any dtype and device.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .gaussian_paths import At, Denoised, GaussianPath

Denoiser = Callable[[Tensor, Tensor], Denoised]


class Samples(NamedTuple):
    """What a sampler made.

    Attributes:
        x: (B, ...), at the last of the times.
        nfe: evaluations of the net for each sample.
        states: (T, B, ...) at all the times, if asked for by keep=True.
    """

    x: Tensor
    nfe: int
    states: Tensor | None = None


class Step(NamedTuple):
    """A step from the time t down to s, and the path at both."""

    t: Tensor
    s: Tensor
    before: At
    after: At

    @property
    def forward_std(self) -> Tensor:
        """Of x_t, given x_s."""
        return forward_std(self.after, self.before)

    @property
    def posterior_std(self) -> Tensor:
        """Of x_s, given x_t and x_0."""
        return self.forward_std * self.after.sigma / self.before.sigma


class Counted:
    """A denoiser that counts its calls, and checks what comes back."""

    def __init__(self, denoise: Denoiser) -> None:
        self.denoise = denoise
        self.nfe = 0

    def __call__(self, t: Tensor, x: Tensor) -> Denoised:
        # A denoiser that calls its net more than once for an x says so.
        self.nfe += getattr(self.denoise, "evaluations", 1)
        parts = self.denoise(t, x)
        if parts[0].shape != x.shape or parts[1].shape != x.shape:
            raise ValueError(
                f"denoise(t, x) must return x0 and eps of x's shape {tuple(x.shape)}, got "
                f"{tuple(parts[0].shape)} and {tuple(parts[1].shape)}"
            )
        return Denoised(*parts)


class Walk:
    """The points on their way: iterate over the steps; ask, and go on, in each."""

    def __init__(
        self, denoise: Denoiser, path: GaussianPath, x: Tensor, times: Tensor, keep: bool
    ) -> None:
        self.times = checked_times(times, x)
        self.path = path
        self.x = x
        self._counted = Counted(denoise)
        self._states = [x] if keep else None

    def __iter__(self) -> Iterator[Step]:
        at = [self.path.at(t) for t in self.times]
        for k in range(len(self.times) - 1):
            yield Step(self.times[k], self.times[k + 1], at[k], at[k + 1])

    def ask(self, t: Tensor, x: Tensor | None = None) -> Denoised:
        """What x, or else the points now, are made of at time t."""
        x = self.x if x is None else x
        return self._counted(t.to(x), x)

    def go_to(self, x: Tensor) -> None:
        """The points are x now."""
        self.x = x
        if self._states is not None:
            self._states.append(x)

    @property
    def samples(self) -> Samples:
        states = None if self._states is None else torch.stack(self._states)
        return Samples(self.x, self._counted.nfe, states)


def forward_std(t: At, s: At) -> Tensor:
    """The standard deviation of x at the later time s, given x at t."""
    return (s.sigma**2 - (s.alpha / t.alpha * t.sigma) ** 2).clamp(min=0).sqrt()


def weighted(like: Tensor, *terms: tuple[Tensor, Tensor]) -> Tensor:
    """The sum of numbers times tensors, in the dtype of the tensors."""
    return sum(cast(like, number) * tensor for number, tensor in terms)  # type: ignore[return-value]


def cast(x: Tensor, number: Tensor) -> Tensor:
    """A number of float64 in x's dtype: times are kept in full, points need not be."""
    return number.to(x)


def kicked(x: Tensor, std: Tensor, generator: torch.Generator | None) -> Tensor:
    """x + std z, z from N(0, I), drawn on the CPU; nothing is drawn for std = 0."""
    if float(std) == 0:
        return x
    z = torch.randn(x.shape, generator=generator, dtype=x.dtype, device="cpu")
    return x + cast(x, std) * z.to(x.device)


def checked_times(times: Tensor, x: Tensor, either_way: bool = False) -> Tensor:
    """The times as float64 on the CPU, if times and x can be right."""
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.dim() < 2:
        got = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"x must be a batch of points, a float tensor (B, ...), got {got}")
    times = torch.as_tensor(times, dtype=torch.float64, device="cpu")
    if times.dim() != 1 or len(times) < 2:
        raise ValueError(
            f"times must be two or more, (N + 1,), got shape {tuple(times.shape)}; a grid makes "
            "them, such as uniform(path, 20)"
        )
    if not (times.isfinite().all() and times.min() >= 0 and times.max() <= 1):
        raise ValueError(f"times must be in [0, 1], data at 0, noise at 1, got {ends_of(times)}")
    ahead = times.diff() > 0
    right_way = not ahead.any() or (either_way and ahead.all())
    if not right_way or (times.diff() == 0).any():
        raise ValueError(
            f"times must decrease strictly, from noise to data, got {ends_of(times)}; use "
            "torch.unique(times).flip(0)"
        )
    return times


def ends_of(times: Tensor) -> str:
    """The first two times and the last, for messages."""
    return f"{float(times[0]):g}, {float(times[1]):g}, ..., {float(times[-1]):g}"
