"""Lesson 11: how its continuous-time VAE is trained.

Data: 64 oscillations with omega = 1.7 over 10 units of time, 30 observations each, noise 0.1.
Model: Oscillator, a linear decoder, a set encoder that sees t <= 4, tsit5 at tolerance 1e-2,
float32. Adam, lr 0.02, for the field's own constants 0.06; in the last stage both fall linearly to
0. "curriculum": 100 steps on t <= 2, 60 on t <= 4, 100 on all. "whole": 260 steps on all.

The model's noise is held at 0.2. Were it learned from the first step, it would soon be as large as
the data: an encoder that knows nothing yet explains nothing, and then has no reason to learn
(posterior collapse).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...data import Batch, collate, oscillations
from ...models import ContinuousVAE, Oscillator
from ...models.continuous_vae import SetEncoder
from ...models.vae import Posterior
from ...training import fit, linear
from .physics import LinearVAE

Stages = Sequence[tuple[float, int]]  # pairs of a horizon and of the steps on the data until then

STAGES: dict[str, Stages] = {
    "curriculum": ((2.0, 100), (4.0, 60), (10.0, 100)),
    "whole": ((10.0, 260),),
}
STAGES_EXACT: dict[str, Stages] = {  # with the exact posterior
    "curriculum": ((2.0, 40), (4.0, 20), (10.0, 40)),
    "whole": ((10.0, 100),),
}
# Far below the noise, and half as dear as tolerances of 1e-3.
LOOSE: dict[str, Any] = {"method": "tsit5", "rtol": 1e-2, "atol": 1e-2}


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


def up_to(series: Iterable[tuple[Tensor, Tensor]], horizon: float) -> Batch:
    """The observations until a horizon."""
    return collate([(t[t <= horizon], x[t <= horizon]) for t, x in series])


def train(
    model: ContinuousVAE, series: Sequence[tuple[Tensor, Tensor]], stages: Stages, lr: float = 0.02
) -> list[float]:
    """Train on series up to one horizon after the other; returns omega at every step, if the field
    has it.

    The constants of the field learn three times as fast as the rest, at 3 lr.
    """
    omegas: list[float] = []
    constants = list(model.ode.parameters())
    own = {id(p) for p in constants}
    others = [p for p in model.parameters() if p.requires_grad and id(p) not in own]

    def loss(model: ContinuousVAE, batch: Batch) -> Tensor:
        if isinstance(model.ode.func, Oscillator):
            omegas.append(model.ode.func.omega.item())
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
    return omegas


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


def run(start: float, kind: str, seed: int = 0) -> tuple[ContinuousVAE, list[float]]:
    """Train from omega = start with the stages of `kind`: the model that it gives, and omega at
    every step and after the last.
    """
    model = new_model(start, seed)
    torch.manual_seed(seed)
    omegas = train(model, oscillations(64, 30)[0], STAGES[kind])
    return model, [*omegas, _omega(model)]


def run_exact(start: float, kind: str) -> tuple[LinearVAE, list[float]]:
    """The same with the exact posterior as encoder: a LinearVAE, tolerance 1e-3, lr 0.03, noise
    learned from 0.2.
    """
    torch.manual_seed(0)
    model = LinearVAE(Oscillator(start), noise=0.2, rtol=1e-3, atol=1e-3)
    omegas = train(model, oscillations(64, 30)[0], STAGES_EXACT[kind], lr=0.03)
    return model, [*omegas, _omega(model)]


def _omega(model: ContinuousVAE) -> float:
    assert isinstance(model.ode.func, Oscillator)
    return model.ode.func.omega.item()
