"""Lesson 15: the flows that are compared, how they are trained, and what is tried for each.

All trainings are in float32 on one thread, with batches of 256 new points, Adam, and a learning
rate that falls linearly to 0.

All flows have the same budget, and are tuned with the same effort. The budget is in seconds, but
what is counted is work, at its price on a quiet core (`COSTS`): updates, and of a CNF also
evaluations, since their number grows in training. So a busy machine takes longer, and finds the
same.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor, nn

from ...data.densities import Density, gaussians, pinwheel, two_circles, two_moons
from ...models import CNF, PlanarFlow, RealNVP, TimedMLP
from ...training import Price, Work, fit, linear
from .measures import euler

BATCH = 256
CLIP = 10.0
TOLERANCE: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-3}
WIDTHS = (32, 64)  # planar layers, or hidden units in each layer of RealNVP's nets or of the field
SIZE = 32  # planar layers, or hidden units of the CNF, the largest of figure 4 of Chen et al.
RATES = {  # learning rates with which a flow is tried: as many for each, as far apart
    "planar": (0.03, 0.1, 0.3),
    "RealNVP": (0.003, 0.01, 0.03),
    "CNF": (0.01, 0.03, 0.1),
}
TARGET_RATES = (0.01, 0.03, 0.1)


UPDATES = Price(1.0)  # counts them
# In milliseconds on a quiet core, measured with all flows by turns in one process. Medians; of the
# CNF a line through those at each number of evaluations.
COSTS = {
    "planar": {32: Price(3.6), 64: Price(5.9)},
    "RealNVP": {32: Price(3.3), 64: Price(4.3)},
    "CNF": {32: Price(2.4, 0.36), 64: Price(3.6, 0.53)},
}
TARGET_COSTS = {"planar": Price(3.5), "CNF": Price(3.7, 0.14)}

DENSITIES: dict[str, Callable[[], Density]] = {
    "moons": two_moons,
    "circles": two_circles,
    "Gaussians": gaussians,
    "pinwheel": pinwheel,
}


def field(*hidden: int) -> TimedMLP:
    """The field of the lesson's CNFs: tanh, and the time as one more entry of every layer."""
    return TimedMLP(2, *(hidden or (64, 64)), 2)


class Setting(NamedTuple):
    """How a CNF is trained on the moons: Euler's steps (0: adaptive), the trace, weights of
    penalties.
    """

    steps: int = 0
    trace: str = "exact"
    kinetic: float = 0.0
    jacobian: float = 0.0

    @property
    def name(self) -> str:
        return ",".join(f"{key}={value}" for key, value in self._asdict().items())

    @property
    def solver(self) -> dict[str, Any]:
        return euler(self.steps) if self.steps else TOLERANCE


HONEST = Setting()
TRAPPED = Setting(steps=5)
VARIANTS = {
    "exact trace": HONEST,
    "Rademacher": Setting(trace="rademacher"),
    "penalties": Setting(kinetic=0.01, jacobian=0.01),
}


def untrained(flow: str, width: int) -> nn.Module:
    """A flow of COSTS, of one of WIDTHS, to be fitted to data."""
    if flow == "planar":
        return PlanarFlow(2, width)
    if flow == "RealNVP":
        return RealNVP(2, 8, (width, width))
    return CNF(field(width, width), **TOLERANCE)


def targeted(flow: str) -> nn.Module:
    """A flow of TARGET_COSTS, to be fitted to an energy."""
    if flow == "planar":
        return PlanarFlow(2, SIZE, closed="sample")
    return CNF(field(SIZE), **TOLERANCE)


class Trained(NamedTuple):
    """A trained model, its loss and NFE at every update, and the processor's seconds it took."""

    model: Any
    loss: list[float]
    nfe: list[int]
    seconds: float


def train(
    model: nn.Module,
    loss: Callable[[Any, float], Tensor],
    rate: float,
    budget: float,
    cost: Price = UPDATES,
) -> Trained:
    """Minimize loss(model, share) until the budget, of updates or of what `cost` counts, is used
    up; share of it is gone.
    """
    work = Work(budget, cost)
    history = fit(
        model,
        loss,
        work.most,
        lr=rate,
        schedule=lambda _: linear()(work.share),
        batches=lambda _: work.share,
        clip=CLIP,
        on_step=work.count,
        progress=False,
    )
    nfe = [int(n) for n in history.columns.get("nfe", [0] * len(history))]
    return Trained(model, history["loss"], nfe, history.spent)


def likelihood(density: Density) -> Callable[[Any, float], Tensor]:
    """The loss of maximum likelihood, with new points for every update."""
    return lambda model, share: -model.log_prob(density.sample(BATCH)).mean()


def reverse_kl(density: Density, annealed: bool = True) -> Callable[[Any, float], Tensor]:
    """KL(q || p) = E_q[log q(x) - log p(x)], with new samples for every update.

    annealed: let the weight of log p grow from 0.01 to 1 in the first half of the training, as
    Rezende and Mohamed 2015 do it (section 6.1). Without that, a CNF settles on one of the two
    crescents of U1.
    """

    def loss(model: Any, share: float) -> Tensor:
        x, log_q = model.sample_with_log_prob(BATCH)
        weight = min(1.0, 0.01 + 2 * share) if annealed else 1.0
        return (log_q - weight * density.log_prob(x)).mean()

    return loss


def penalized(density: Density, setting: Setting) -> Callable[[Any, float], Tensor]:
    """Maximum likelihood with Finlay's penalties on the paths."""
    if not setting.kinetic and not setting.jacobian:
        return likelihood(density)

    def loss(model: Any, share: float) -> Tensor:
        log_prob, kinetic, frobenius = model.penalized(density.sample(BATCH))
        return (setting.kinetic * kinetic + setting.jacobian * frobenius - log_prob).mean()

    return loss
