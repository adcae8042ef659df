"""What a solve cost, and the steps that it tried."""

from dataclasses import dataclass
from typing import NamedTuple


class Attempt(NamedTuple):
    """One attempted step of size h from t, its error over the tolerance, and the verdict."""

    t: float
    h: float
    error_ratio: float
    accepted: bool


@dataclass
class Stats:
    """What a solve cost."""

    nfe: int = 0  # evaluations of the vector field
    accepted: int = 0
    rejected: int = 0
    jacobians: int = 0  # of implicit methods: df/dy,
    factorizations: int = 0  # of I - h A (x) df/dy,
    newton: int = 0  # and iterations of Newton's method
