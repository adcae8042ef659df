"""Lesson 12: events of a Poisson process, drawn from a rate, and their likelihood under another
one.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...models import MLP, NeuralODE, VectorField
from ...models.latent_ode import WithIntensity


def wave(t: Tensor) -> Tensor:
    """The rate 2 + 1.5 sin t of the toy example, in events per unit of time."""
    return 2 + 1.5 * torch.sin(t)


class Line(NamedTuple):
    """The rate level + slope t, in events per unit of time."""

    level: float
    slope: float

    def at(self, t: Tensor) -> Tensor:
        """The rates at times t."""
        return self.level + self.slope * t

    def integral(self, end: float) -> float:
        """From 0 to end: the expected number of events."""
        return self.level * end + self.slope * end**2 / 2


def draw_events(
    rate: Callable[[Tensor], Tensor], end: float, highest: float, seed: int = 0
) -> Tensor:
    """The times (n,) of events from 0 to end, at the rate rate(t), which is nowhere above
    `highest`.

    Candidates come at the rate `highest`; each is kept with the chance rate / highest (Lewis,
    Shedler 1979, "Simulation of nonhomogeneous Poisson processes by thinning", Naval Research
    Logistics Quarterly 26).
    """
    chance = torch.Generator().manual_seed(seed)
    number = int(torch.poisson(torch.tensor(highest * end), generator=chance))
    t = end * torch.rand(number, generator=chance, dtype=torch.float64).sort().values
    return t[torch.rand(number, generator=chance, dtype=torch.float64) * highest < rate(t)]


class LatentRate(nn.Module):
    """One latent path for all sequences, its start and its law, and the rate that follows from it.

    Shapes: t (S,) -> log rates (S,), and the integral of the rate from t[0] to t[-1], 0-d.
    """

    def __init__(self, latent: int = 3, hidden: int = 16) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.randn(latent))
        self.log_intensity = MLP(latent, hidden, 1)
        self.ode = NeuralODE(
            WithIntensity(VectorField(MLP(latent, hidden, latent)), self.log_intensity)
        )

    def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
        state = self.ode(torch.cat([self.start, torch.zeros(1)]), t)
        return self.log_intensity(state[:, :-1])[:, 0], state[-1, -1]
