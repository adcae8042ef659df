"""The Ising model on a small grid, by enumeration: a joint distribution known in full.

    p(s) = exp(J sum over neighbors of s_i s_j) / Z,   s_i = -1 or 1

Tokens are 0 for -1 and 1 for 1, entries in raster order. With up to 16 spins all 2^n states are
listed, so probabilities, conditionals in any order, and the entropy are exact.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .drawing import drawn_on_cpu

MOST_SPINS = 16


@dataclass(frozen=True)
class Ising:
    """The model on rows x columns spins.

    Attributes:
        rows, columns: of the grid, up to MOST_SPINS spins.
        coupling: J; positive: neighbors like to be equal.

        >>> model = Ising(2, 2, 0.5)
        >>> round(float(model.log_prob(torch.ones(4, dtype=torch.int64))), 6)
        -1.297642
    """

    rows: int = 2
    columns: int = 2
    coupling: float = 0.5

    def __post_init__(self) -> None:
        if not 1 <= self.size <= MOST_SPINS or self.rows < 1:
            raise ValueError(
                f"rows * columns must be from 1 to {MOST_SPINS}, got {self.rows} * {self.columns}"
            )

    @property
    def size(self) -> int:
        """n, the number of spins."""
        return self.rows * self.columns

    @cached_property
    def states(self) -> Tensor:
        """All tokens (2^n, n), int64, counting up with the last entry fastest."""
        return torch.tensor(list(itertools.product((0, 1), repeat=self.size)))

    @cached_property
    def log_partition(self) -> float:
        """log Z."""
        return float(self._energies(self.states).logsumexp(0))

    @cached_property
    def entropy(self) -> float:
        """-E log p, in nats."""
        log_p = self.log_prob(self.states)
        return float(-(log_p.exp() * log_p).sum())

    @property
    def entropy_of_independent_spins(self) -> float:
        """n log 2, by symmetry the cross-entropy of the best model without dependence, in nats."""
        return self.size * math.log(2)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p in nats of tokens (..., n) -> (...), float64."""
        return self._energies(x) - self.log_partition

    def conditional(self, known: dict[int, int], entry: int, value: int) -> float:
        """p(x_entry = value | x_i = v for i, v in known), by a sum over the states.

        >>> round(Ising().conditional({0: 1}, 1, 1), 6)
        0.768172
        """
        p = self.log_prob(self.states).exp()
        fits = torch.ones(len(p), dtype=torch.bool)
        for place, known_value in known.items():
            fits &= self.states[:, place] == known_value
        both = fits & (self.states[:, entry] == value)
        return float(p[both].sum() / p[fits].sum())

    @drawn_on_cpu
    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n independent draws (n, rows * columns), int64."""
        p = self.log_prob(self.states).exp()
        return self.states[torch.multinomial(p, n, replacement=True, generator=generator)]

    def _energies(self, x: Tensor) -> Tensor:
        spins = (2 * x - 1).double().unflatten(-1, (self.rows, self.columns))
        across = (spins[..., 1:] * spins[..., :-1]).sum((-2, -1))
        down = (spins[..., 1:, :] * spins[..., :-1, :]).sum((-2, -1))
        return self.coupling * (across + down)
