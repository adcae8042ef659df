"""Lesson 11: how its continuous-time VAE is trained.

Data: 64 oscillations with omega = 1.7 over 10 units of time, 30 observations each, noise 0.1.
Model: Oscillator, a linear decoder, a set encoder that sees t <= 4, tsit5 at tolerance 1e-2,
float32. Adam, lr 0.02, for the field's own constants 0.06; in the last stage both fall linearly to
0. "curriculum": 100 steps on t <= 2, 60 on t <= 4, 100 on all. "whole": 260 steps on all.

The model's noise is held at 0.2. Were it learned from the first step, it would soon be as large as
the data: an encoder that knows nothing yet explains nothing, and then has no reason to learn
(posterior collapse).
"""

from typing import Any

import torch
from torch import nn

from ...data import collate, oscillations
from ...models import ContinuousVAE, Oscillator
from ...models.continuous_vae import SetEncoder
from ...training import fit
from .physics import LinearVAE

STAGES = {
    "curriculum": ((2.0, 100), (4.0, 60), (10.0, 100)),
    "whole": ((10.0, 260),),
}  # (horizon, steps)
STAGES_EXACT = {
    "curriculum": ((2.0, 40), (4.0, 20), (10.0, 40)),
    "whole": ((10.0, 100),),
}  # with the exact posterior
LOOSE: dict[str, Any] = {
    "method": "tsit5",
    "rtol": 1e-2,
    "atol": 1e-2,
}  # far below the noise, and half as dear as 1e-3


class EarlyEncoder(nn.Module):
    """A SetEncoder that sees the observations up to t0 + window only."""

    def __init__(self, window=4.0):
        super().__init__()
        self.inner, self.window = SetEncoder(1, 2), window

    def forward(self, t, x, mask, t0):
        mask = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
        early = t.expand(x.shape[:2]) <= t0 + self.window
        return self.inner(t, x, mask & early[..., None], t0)


def up_to(series, horizon):
    """The observations until a horizon, as a Batch."""
    return collate([(t[t <= horizon], x[t <= horizon]) for t, x in series])


def train(model, series, stages, *, lr=0.02, on_step=None):
    """Train a ContinuousVAE on series up to one horizon after the other; returns omega at every
    step.

    stages: pairs (horizon, steps). The constants of the field learn three times as fast as the
    rest.
    """
    constants, omegas = list(model.ode.parameters()), []
    others = [
        p for p in model.parameters() if p.requires_grad and all(p is not c for c in constants)
    ]

    def loss(model, batch):
        if hasattr(model.ode.func, "omega"):
            omegas.append(model.ode.func.omega.item())
        return model.loss(*batch)

    for i, (horizon, steps) in enumerate(stages):
        batch, last = up_to(series, horizon), i == len(stages) - 1
        fit(
            model,
            loss,
            steps,
            optimizer=torch.optim.Adam(
                [{"params": others, "lr": lr}, {"params": constants, "lr": 3 * lr}]
            ),
            schedule=_falling(steps) if last else None,
            batches=_always(batch),
            on_step=on_step,
            progress=False,
        )
    return omegas


def _falling(steps):
    return lambda step: 1 - step / steps


def _always(batch):
    return lambda step: batch


def new_model(omega, seed=0):
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


def run(start, kind, seed=0):
    """Train from omega = start with the stages of `kind`: the model that it gives, and omega at
    every step.
    """
    model = new_model(start, seed)
    torch.manual_seed(seed)
    omegas = train(model, oscillations(64, 30)[0], STAGES[kind])
    return model, [*omegas, model.ode.func.omega.item()]


def run_exact(start, kind, seed=0):
    """The same with the exact posterior as encoder: a LinearVAE, tolerance 1e-3, lr 0.03, noise
    learned from 0.2.
    """
    torch.manual_seed(seed)
    model = LinearVAE(Oscillator(start), noise=0.2, rtol=1e-3, atol=1e-3)
    omegas = train(model, oscillations(64, 30)[0], STAGES_EXACT[kind], lr=0.03)
    return model, [*omegas, model.ode.func.omega.item()]  # type: ignore[operator]
