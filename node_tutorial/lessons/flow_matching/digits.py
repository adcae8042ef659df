"""The stored digits of lesson 17, as the lesson reads them."""

from functools import lru_cache

import numpy as np

from ...models import FlowMatching
from .digits_runs import SEEDS, restored
from .runs import RUNS


@lru_cache(maxsize=2)
def stored(name: str) -> FlowMatching:
    """The stored U-Net of seed 0, "U-Net" or, after one reflow, "reflow"; in evaluation mode."""
    return restored(RUNS.arrays(), name)


def over_seeds(net: str, solver: str, measure: str) -> np.ndarray:
    """A measure for each number of evaluations, (seeds, numbers); "nfe" gives these. net: "U-Net",
    "MLP" or "reflow"; solver: one of SOLVERS, or "dopri5".
    """
    rows = [
        RUNS.numbers()[f"digits/{net}/{seed}"]["solvers"][solver][measure] for seed in SEEDS[net]
    ]
    return np.array(rows)


def found(net: str, what: str) -> list[float]:
    """A number of each seed: "loss", "train loss", "bits", "seconds", "energy of paths", ..."""
    return [RUNS.numbers()[f"digits/{net}/{seed}"][what] for seed in SEEDS[net]]
