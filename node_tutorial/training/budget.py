"""A budget of work that is counted at its price: so much for an update, and where the number of
evaluations grows in training, so much for each of them.

A busy machine then takes longer, and finds the same. With fit(..., seconds=...), where the clock
counts, it makes fewer updates.

    work = Work(4000.0, Price(2.4, 0.36))  # milliseconds, as measured once on a quiet core
    fit(model, loss, work.most, schedule=lambda _: cosine()(work.share), on_step=work.count)
"""

import math
from typing import Any, NamedTuple

from .state import History


class Price(NamedTuple):
    """Of an update, and of an evaluation in it, forward with its share of the way back."""

    update: float
    evaluation: float = 0.0


class Work:
    """What a training has used of a budget, in the unit of the price; for one call of fit.

    Attributes:
        used: so far. The update that exceeds the budget is the last.
    """

    def __init__(self, budget: float, price: Price) -> None:
        self.budget = budget
        self.price = price
        self.used = 0.0

    @property
    def share(self) -> float:
        """Of the budget, that is used: the place in the training, below 1 at every update."""
        return self.used / self.budget

    @property
    def most(self) -> int:
        """How many updates it can be, if none has an evaluation."""
        return math.ceil(self.budget / self.price.update)

    def count(self, model: Any, history: History) -> bool:
        """Add the newest update; whether the budget is used up. It is the `on_step` of fit."""
        nfe = history.columns.get("nfe", [0.0])[-1]  # a model without a solver has none
        self.used += self.price.update + self.price.evaluation * nfe
        return self.used >= self.budget
