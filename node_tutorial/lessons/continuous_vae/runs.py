"""Lesson 11: how its continuous-time VAE is trained.

Data: 64 oscillations with omega = 1.7 over 10 units of time, 30 observations each, noise 0.1.
Model: Oscillator, a linear decoder, a set encoder that sees t <= 4, tsit5 at tolerance 1e-2,
float32. Adam, lr 0.02, for the field's own constants 0.06; in the last stage both fall linearly to
0. "curriculum": 100 steps on t <= 2, 60 on t <= 4, 100 on all. "whole": 260 steps on all.

The model's noise is held at 0.2. Learned from the first step it ends four to seven times too large,
and the paths are worse: an encoder that knows nothing yet explains nothing, and what is called
noise is not explained later. `over_seeds` shows it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...course.runs import Run, Runs
from ...data import Batch, collate, oscillations
from ...models import ContinuousVAE, Oscillator
from ...models.continuous_vae import SetEncoder
from ...models.vae import Posterior
from ...training import fit, linear
from .physics import END, LinearVAE, path_errors

NOISE = 0.1  # behind the data
Stages = Sequence[tuple[float, int]]  # pairs of a horizon and of the steps on the data until then

STAGES: dict[str, Stages] = {
    "curriculum": ((2.0, 100), (4.0, 60), (10.0, 100)),
    "whole": ((10.0, 260),),
}
STAGES_EXACT: dict[str, Stages] = {  # with the exact posterior
    "curriculum": ((2.0, 40), (4.0, 20), (10.0, 100)),
    "whole": ((10.0, 160),),
}
# Far below the noise, and half as dear as tolerances of 1e-3.
LOOSE: dict[str, Any] = {"method": "tsit5", "rtol": 1e-2, "atol": 1e-2}
CLOSE: dict[str, Any] = {"method": "tsit5", "rtol": 1e-3, "atol": 1e-3}


class Way(NamedTuple):
    """A way to train with a net as encoder: its STAGES, and whether the noise is learned from the
    first step.
    """

    stages: str
    learn_noise: bool


SEEDS = (0, 1, 2, 3, 4)
WAYS = {
    "all data at once": Way("whole", False),
    "growing horizon": Way("curriculum", False),
    "growing, noise learned": Way("curriculum", True),
}


class EarlyEncoder(nn.Module):
    """A SetEncoder that sees the observations up to t0 + window only."""

    def __init__(self, window: float = 4.0) -> None:
        super().__init__()
        self.inner = SetEncoder(1, 2)
        self.window = window

    def forward(self, t: Tensor, x: Tensor, mask: Tensor | None, t0: float) -> Posterior:
        mask = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
        early = t.expand(x.shape[:2]) <= t0 + self.window
        return self.inner(t, x, mask & early[..., None], t0)


class Trace(NamedTuple):
    """What training does to the constants, at every step and after the last: omega (empty for a
    field that has none) and the model's noise.
    """

    omega: list[float]
    noise: list[float]

    def add(self, model: ContinuousVAE) -> None:
        """One more entry, from the model as it is."""
        self.noise.append(model.log_noise.exp().item())
        if isinstance(model.ode.func, Oscillator):
            self.omega.append(model.ode.func.omega.item())


def up_to(series: Iterable[tuple[Tensor, Tensor]], horizon: float) -> Batch:
    """The observations until a horizon."""
    return collate([(t[t <= horizon], x[t <= horizon]) for t, x in series])


def train(
    model: ContinuousVAE, series: Sequence[tuple[Tensor, Tensor]], stages: Stages, lr: float = 0.02
) -> Trace:
    """Train on series up to one horizon after the other.

    The constants of the field learn three times as fast as the rest, at 3 lr.
    """
    trace = Trace([], [])
    constants = list(model.ode.parameters())
    own = {id(p) for p in constants}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in own]

    def loss(model: ContinuousVAE, batch: Batch) -> Tensor:
        trace.add(model)
        return model.loss(*batch)

    for i, (horizon, steps) in enumerate(stages):
        last = i == len(stages) - 1
        groups = [{"params": others, "lr": lr}, {"params": constants, "lr": 3 * lr}]
        fit(
            model,
            loss,
            steps,
            optimizer=torch.optim.Adam(groups),
            schedule=linear(steps) if last else None,
            batches=_always(up_to(series, horizon)),
            progress=False,
        )
    trace.add(model)
    return trace


def _always(batch: Batch) -> Callable[[int], Batch]:
    return lambda step: batch


def new_model(omega: float, seed: int = 0) -> ContinuousVAE:
    """The model of the docstring above, in float32, untrained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ContinuousVAE(
            1,
            2,
            Oscillator(omega),
            encoder=EarlyEncoder(),
            decoder=nn.Linear(2, 1),
            noise=0.2,
            **LOOSE,
        )
    model.log_noise.requires_grad_(False)
    return model


def run(
    start: float, kind: str, seed: int = 0, learn_noise: bool = False
) -> tuple[ContinuousVAE, Trace]:
    """Train from omega = start with the stages of `kind`."""
    model = new_model(start, seed)
    model.log_noise.requires_grad_(learn_noise)
    torch.manual_seed(seed)
    return model, train(model, oscillations(64, 30)[0], STAGES[kind])


class Ends(NamedTuple):
    """Where trainings with a net as encoder end, an entry for each of SEEDS: omega, the model's
    noise, and the root mean square error of the decoded series up to END.
    """

    omega: list[float]
    noise: list[float]
    error: list[float]


def over_seeds(anew: bool = False) -> dict[str, Ends]:
    """For each of WAYS, from omega = 3: what is stored; or trained anew, which takes a minute."""
    if anew:
        return {name: _ends(way) for name, way in WAYS.items()}
    return {name: Ends(**RUNS.numbers()[name]) for name in WAYS}


def _ends(way: Way) -> Ends:
    ends = [_end(way, seed) for seed in SEEDS]
    omega, noise, error = (list(column) for column in zip(*ends))
    return Ends(omega, noise, error)


def _end(way: Way, seed: int) -> tuple[float, float, float]:
    model, trace = run(3.0, way.stages, seed, way.learn_noise)
    series, starts = oscillations(64, 30)
    model.ode.rtol = model.ode.atol = 1e-5
    t = torch.linspace(0, END, 201)
    with torch.no_grad():
        paths = model(*collate(series), t)[..., 0]
    return trace.omega[-1], trace.noise[-1], path_errors(t, paths, starts)[0]


def _measured(way: Way, seeds: tuple[int, ...]) -> dict[str, list[float]]:
    """The `Ends` of a way, over SEEDS."""
    columns = _ends(way)._asdict()
    return {name: [round(value, 4) for value in ends] for name, ends in columns.items()}


def run_exact(start: float, kind: str) -> tuple[LinearVAE, Trace]:
    """The same with the exact posterior as encoder: a LinearVAE, tolerance 1e-3, lr 0.03, noise
    learned from 0.2.
    """
    torch.manual_seed(0)
    model = LinearVAE(Oscillator(start), noise=0.2, **CLOSE)
    return model, train(model, oscillations(64, 30)[0], STAGES_EXACT[kind], lr=0.03)


RUNS = Runs(
    "continuous_vae",
    protocol={"STAGES": STAGES, "LOOSE": LOOSE},
    results={name: Run(_measured, way, SEEDS) for name, way in WAYS.items()},
)
