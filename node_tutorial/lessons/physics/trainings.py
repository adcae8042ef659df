"""Lesson 09: the nets that are compared, their data, how they are trained, and what is measured.

All trainings are in float32 on one thread, with Adam and a learning rate that falls linearly to 0.
All nets of a system have the same budget, and are tuned with the same effort. The budget is in
seconds, but what is counted is updates at their price on a quiet core (`COSTS`): a busy machine
takes longer, and finds the same.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...data.mechanics import Arm
from ...data.systems import oscillator, pendulum, pendulum_energy
from ...models import HamiltonianNet, LagrangianNet, VectorField
from ...models.fields import MLP
from ...solvers.odeint import odeint
from ...solvers.runge_kutta import RungeKutta
from ...solvers.tableaus import RK4_CLASSIC
from ...training import fit

ARM = Arm()
PATHS = 25  # to learn from, and as many held out
TIMES = 21  # observations of a path
FRICTION = 0.05
NOISE = 0.1  # of each observed number, of spring and pendulum
BATCH = 128
CLIP = 10.0
WINDOW = 4  # observations that are predicted from one, in training on states
RATES = (0.003, 0.01, 0.03)
RK4 = RungeKutta(RK4_CLASSIC)
KINDS = ("derivatives", "states")
NETS = ("plain", "Hamiltonian", "Lagrangian")
DAMPED_NETS = ("plain", "Hamiltonian", "Hamiltonian, friction")
ARM_NETS = ("plain", "Hamiltonian, velocities", "Hamiltonian, momenta", "Lagrangian")
COSTS = {  # milliseconds of an update on a quiet core, measured by turns in one process
    "derivatives": {
        "plain": 0.6,
        "Hamiltonian": 1.1,
        "Hamiltonian, friction": 1.1,
        "Lagrangian": 3.1,
    },
    "states": {"plain": 3.2, "Hamiltonian": 9.2, "Lagrangian": 41.0},
    "arm": {
        "plain": 0.6,
        "Hamiltonian, velocities": 1.15,
        "Hamiltonian, momenta": 1.15,
        "Lagrangian": 3.4,
    },
}

Field = Callable[..., Tensor]  # (t, y) -> dy/dt


class System(NamedTuple):
    """What is to be learned.

    Attributes:
        field, energy: the true ones.
        starts: n and a generator -> states (n, D) at rest.
        spacing: seconds between two observations.
        noise: standard deviation of an observed number.
        horizon, step: of the long paths that are measured, by RK4.
    """

    field: Field
    energy: Callable[[Tensor], Tensor]
    starts: Callable[[int, torch.Generator], Tensor]
    spacing: float
    noise: float
    horizon: float
    step: float


def _at_rest(low: float, high: float) -> Callable[[int, torch.Generator], Tensor]:
    def starts(n: int, chance: torch.Generator) -> Tensor:
        q = low + (high - low) * torch.rand(n, generator=chance, dtype=torch.float64)
        sign = torch.randint(2, (n,), generator=chance) * 2 - 1
        return torch.stack([q * sign, torch.zeros(n, dtype=torch.float64)], -1)

    return starts


def _hanging(n: int, chance: torch.Generator) -> Tensor:
    q = 2 * torch.rand(n, 2, generator=chance, dtype=torch.float64) - 1
    q = q + torch.tensor([-math.pi / 2, 0.0])
    return torch.cat([q, torch.zeros(n, 2, dtype=torch.float64)], -1)


def spring_energy(y: Tensor) -> Tensor:
    """(q^2 + p^2) / 2, (..., 2) -> (...)."""
    return y.square().sum(-1) / 2


def damped_pendulum(t: float | Tensor, y: Tensor) -> Tensor:
    """A pendulum with friction: y1' = y2, y2' = -sin y1 - FRICTION y2; y (..., 2)."""
    return torch.stack([y[..., 1], -torch.sin(y[..., 0]) - FRICTION * y[..., 1]], -1)


LONG = 20 * 2 * math.pi  # twenty periods of small swings
SYSTEMS = {
    "spring": System(oscillator, spring_energy, _at_rest(0.5, 1.5), 0.4, NOISE, LONG, 0.2),
    "pendulum": System(pendulum, pendulum_energy, _at_rest(0.5, 2.5), 0.4, NOISE, LONG, 0.2),
    "damped": System(damped_pendulum, pendulum_energy, _at_rest(0.5, 2.5), 0.4, NOISE, LONG, 0.2),
    "arm": System(ARM.field, ARM.energy, _hanging, 0.1, 0.0, 10.0, 0.02),
}


class Data(NamedTuple):
    """Paths: observed and true states, true slopes, each (PATHS, TIMES, D)."""

    seen: Tensor
    true: Tensor
    slopes: Tensor


@lru_cache(maxsize=8)
def observed(name: str, seed: int) -> Data:
    """Of a system, PATHS paths, with noise."""
    system = SYSTEMS[name]
    chance = torch.Generator().manual_seed(seed)
    start = system.starts(PATHS, chance)
    t = system.spacing * torch.arange(TIMES, dtype=torch.float64)
    true = odeint(system.field, start, t, rtol=1e-9, atol=1e-9).transpose(0, 1)
    seen = true + system.noise * torch.randn(true.shape, generator=chance, dtype=torch.float64)
    return Data(seen.float(), true.float(), system.field(0.0, true).float())


def canonical(y: Tensor) -> Tensor:
    """The arm's states (q, w) as (q, p)."""
    q, w = y.chunk(2, -1)
    return torch.cat([q, ARM.momentum(q, w)], -1)


def untrained(system: str, net: str) -> nn.Module:
    """A field of NETS, or for the arm of ARM_NETS; about as many parameters each."""
    size = 2 if system == "arm" else 1
    width = 48 if system == "arm" else 32
    if net == "plain":
        return VectorField(MLP(2 * size, width, width, 2 * size))
    if net.startswith("Hamiltonian"):
        return HamiltonianNet(size, (width, width), friction=net.endswith("friction"))
    width = 34 if system == "arm" else 22
    return LagrangianNet(size, (width, width))


def slope_loss(field: nn.Module, y: Tensor, slopes: Tensor) -> Tensor:
    """The mean squared error of the field at states y (N, D)."""
    return (field(torch.tensor(0.0), y) - slopes).square().mean()


def window_loss(field: nn.Module, windows: Tensor, spacing: float) -> Tensor:
    """The mean squared error of a solve from the first state of windows (N, WINDOW + 1, D)."""
    t = spacing * torch.arange(windows.shape[1])
    y = odeint(field, windows[:, 0], t, method="rk4_classic")
    return (y[1:].transpose(0, 1) - windows[:, 1:]).square().mean()


def loss_of(system: str, kind: str, net: str, data: Data) -> Callable[[nn.Module, Tensor], Tensor]:
    """loss(field, indices of examples); `examples` counts these."""
    if kind == "states":
        windows = data.seen.unfold(1, WINDOW + 1, 1).transpose(-1, -2).flatten(0, 1)
        spacing = SYSTEMS[system].spacing
        return lambda field, rows: window_loss(field, windows[rows], spacing)
    y, slopes = data.seen.flatten(0, 1), data.slopes.flatten(0, 1)
    if net == "Hamiltonian, momenta":
        y = canonical(y)
        slopes = ARM.canonical_field(0.0, y)
    return lambda field, rows: slope_loss(field, y[rows], slopes[rows])


def examples(kind: str) -> int:
    """How many there are in the data of a system."""
    return PATHS * (TIMES - WINDOW if kind == "states" else TIMES)


def trained(system: str, kind: str, net: str, rate: float, seed: int, seconds: float) -> nn.Module:
    """One training, with the budget in seconds of a quiet core."""
    torch.manual_seed(seed)
    field = untrained(system, net)
    data = observed(system, seed)
    steps = updates(system, kind, net, seconds)
    count = examples(kind)
    fit(
        field,
        loss_of(system, kind, net, data),
        steps,
        lr=rate,
        schedule=lambda step: 1 - step / steps,
        batches=lambda _: torch.randint(count, (BATCH,)),
        clip=CLIP,
        progress=False,
    )
    return field


def updates(system: str, kind: str, net: str, seconds: float) -> int:
    """As many as a budget pays for."""
    cost = COSTS["arm" if system == "arm" else kind][net]
    return round(1000 * seconds / cost)


@torch.no_grad()
def validation(system: str, kind: str, net: str, field: nn.Module) -> float:
    """The loss on all examples of other paths, by which a rate is chosen."""
    loss = loss_of(system, kind, net, observed(system, VALIDATION_SEED))
    return float(loss(field, torch.arange(examples(kind))))


# -- what is measured ------------------------------------------------------------------------------


class Measured(NamedTuple):
    """Of a trained field, on held-out paths.

    Attributes:
        slope: mean squared error of the field, at true states.
        energy: mean squared error of the true energy along the learned paths, over all times,
            against that along the true paths.
        learned: the same of the net's own energy; None without one.
        state: mean squared error of the positions over the first tenth of the time.
        curve: mean squared error of the true energy at each of CURVE times.
    """

    slope: float
    energy: float
    learned: float | None
    state: float
    curve: list[float]


CURVE = 101
LARGEST = 1e6  # what has flown away counts as this
HELD_OUT_SEED = 99
VALIDATION_SEED = 98


@torch.no_grad()
def measured(system: str, net: str, field: nn.Module) -> Measured:
    """See `Measured`. The field is turned to float64."""
    field = field.double()
    about = SYSTEMS[system]
    momenta = net == "Hamiltonian, momenta"
    slope = field_error(system, net, field)
    start = observed(system, HELD_OUT_SEED).true[:, 0].double()
    t = torch.linspace(0, about.horizon, CURVE, dtype=torch.float64)
    path = roll_out(field, canonical(start) if momenta else start, t, about.step)
    true = odeint(about.field, start, t, rtol=1e-9, atol=1e-9)
    energy = ARM.hamiltonian if momenta else about.energy
    level = about.energy(true)
    error = _capped((energy(path) - level).square())
    own = None
    if isinstance(field, HamiltonianNet | LagrangianNet):
        own = float(_capped((field.energy(path) - field.energy(path[0])).square()).mean())
    size = start.shape[1] // 2
    early = CURVE // 10 + 1
    state = _capped((path[:early, :, :size] - true[:early, :, :size]).square()).mean()
    return Measured(slope, float(error.mean()), own, float(state), error.mean(1).tolist())


@torch.no_grad()
def field_error(system: str, net: str, field: nn.Module) -> float:
    """The mean squared error of a field in float64, at true states of held-out paths."""
    y = observed(system, HELD_OUT_SEED).true.flatten(0, 1).double()
    slopes = SYSTEMS[system].field(0.0, y)
    if net == "Hamiltonian, momenta":
        y = canonical(y)
        slopes = ARM.canonical_field(0.0, y)
    now = torch.tensor(0.0, dtype=torch.float64)
    return float((field(now, y) - slopes).square().mean())


def roll_out(field: Field, start: Tensor, t: Tensor, step: float) -> Tensor:
    """States (T, N, D) by RK4 with a fixed step, also where they fly away: NaN then, where `odeint`
    would refuse.
    """
    steps = math.ceil(float(t[1] - t[0]) / step)
    h = float(t[1] - t[0]) / steps
    y = start
    path = [y]
    for _ in t[1:]:
        for _ in range(steps):
            y = RK4.step(field, 0.0, y, h).y1
        path.append(y)
    return torch.stack(path)


def _capped(x: Tensor) -> Tensor:
    return x.nan_to_num(LARGEST, LARGEST, LARGEST).clip(max=LARGEST)
