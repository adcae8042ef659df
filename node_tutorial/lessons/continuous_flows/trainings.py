"""Lesson 15: the flows that are compared, and how they are trained.

All trainings are in float32 on one thread, with batches of 256 new points, Adam, and a learning
rate that falls linearly to 0.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor, nn

from ...data.densities import Density, gaussians, pinwheel, two_circles, two_moons
from ...models import CNF, PlanarFlow, RealNVP, TimedMLP
from ...training import fit, linear
from .measures import euler

BATCH = 256
CLIP = 10.0
TOLERANCE: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-3}
SIZES = (2, 8, 32)  # planar layers, or hidden units of the CNF, as in figure 4 of Chen et al.

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
    "Gaussian": Setting(trace="gaussian"),
    "penalties": Setting(kinetic=0.01, jacobian=0.01),
}


def models() -> dict[str, Callable[[], nn.Module]]:
    """Name -> function that makes an untrained model, of those that are compared on data."""
    return {
        "planar": lambda: PlanarFlow(2, 64),
        "RealNVP": lambda: RealNVP(2, 8, (64, 64)),
        "CNF": lambda: CNF(field(), **TOLERANCE),
    }


def targeted(name: str, size: int) -> nn.Module:
    """An untrained model of figure 4: so many planar layers, or a CNF with so many hidden units."""
    if name == "planar":
        return PlanarFlow(2, size, closed="sample")
    return CNF(field(size), **TOLERANCE)


class Trained(NamedTuple):
    """A trained model, its loss and NFE at every update, and the processor's seconds it took."""

    model: Any
    loss: list[float]
    nfe: list[int]
    seconds: float


def train(
    model: nn.Module,
    loss: Callable[[Any, float], Tensor],
    lr: float,
    *,
    seconds: float | None = None,
    steps: int | None = None,
) -> Trained:
    """Minimize loss(model, share) until the processor's time or the updates are used up; share of
    them is gone.
    """
    history = fit(
        model,
        loss,
        steps,
        seconds=seconds,
        lr=lr,
        schedule=linear(steps or 1.0),
        batches=(lambda step: step / steps) if steps else None,
        clip=CLIP,
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
    Rezende and Mohamed 2015 do it (section 6.1). Without that, both models settle on one of the two
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
