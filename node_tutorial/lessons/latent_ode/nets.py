"""Lesson 12: the nets on spirals, and how they are trained.

All nets have 25 hidden units and GRU cells, and the same 1000 updates.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...data import Batch
from ...models import ODERNN, GRUWithGaps, LatentODE
from ...models.latent_ode import ForwardEncoder
from ...models.vae import Posterior, gaussian_kl, gaussian_log_prob, reparameterize
from ...training import History, Minibatches, cosine, fit
from .spirals import NOISE, Data

HIDDEN = 25
LATENT = 4
STEPS = 1000
BATCH = 100
RATE = 0.01
CLIP = 10.0


class Forecaster(nn.Module):
    """A recurrent net that predicts each point from those before it, and the noise about its
    predictions.
    """

    def __init__(self, net: GRUWithGaps) -> None:
        super().__init__()
        self.net = net
        self.log_noise = nn.Parameter(torch.tensor(math.log(NOISE)))


Model = LatentODE | Forecaster


def _latent(net: GRUWithGaps, forward: bool = False) -> LatentODE:
    model = LatentODE(2, LATENT, net, noise=NOISE)
    if forward:
        model.encoder = ForwardEncoder(net, LATENT)  # to see what that costs
    return model


def _ode_rnn() -> ODERNN:
    return ODERNN(2, HIDDEN, method="midpoint")


MODELS: dict[str, Callable[[], Model]] = {
    "RNN": lambda: Forecaster(GRUWithGaps(2, HIDDEN)),
    "latent ODE": lambda: _latent(GRUWithGaps(2, HIDDEN)),
    "ODE-RNN": lambda: Forecaster(_ode_rnn()),
}
ENCODERS: dict[str, Callable[[], Model]] = {
    "GRU, backward": lambda: _latent(GRUWithGaps(2, HIDDEN)),
    "GRU, forward": lambda: _latent(GRUWithGaps(2, HIDDEN), forward=True),
    "ODE-RNN, backward": lambda: _latent(_ode_rnn()),
}


def loss(model: Model, batch: tuple, grid: Tensor) -> Tensor:
    """Minus the bound of a latent ODE, or minus the log-likelihood of a forecaster; per series, its
    mean.

    Every series has its own times, all from one grid: one solve through the grid, with one clock,
    serves all of them.
    """
    t, x, mask, _ = batch
    if isinstance(model, Forecaster):
        entries = gaussian_log_prob(x, model.net(t, x, mask).prediction, model.log_noise.exp())
        return -torch.where(mask, entries, 0.0)[:, 1:].sum((1, 2)).mean()
    return minus_bound(model, model.encode(t, x, mask), batch, grid).mean()


def minus_bound(model: LatentODE, q: Posterior, batch: tuple, grid: Tensor) -> Tensor:
    """KL(q || N(0, I)) minus log p(x | z(0)) for a draw z(0) from q, (B,); `batch` as in `loss`."""
    _, x, mask, places = batch
    z = model.latents(reparameterize(*q), grid)
    z = z.gather(1, places[..., None].expand(-1, -1, z.shape[2]))
    return gaussian_kl(*q).sum(1) - model.log_prob(x, mask, z)


def train(
    make: Callable[[], Model],
    data: Data,
    seed: int = 0,
    steps: int = STEPS,
    on_step: Callable[[Any, History], Any] | None = None,
) -> tuple[Model, History]:
    """Make a model and train it: Adam, its rate falling from 0.01 to 0 along a cosine."""
    torch.manual_seed(seed)
    model = make()
    history = fit(
        model,
        lambda model, batch: loss(model, batch, data.spirals.t),
        steps,
        lr=RATE,
        schedule=cosine(steps),
        batches=Minibatches(*data.batch, data.places, size=BATCH, seed=seed),
        clip=CLIP,
        on_step=on_step,
        progress=False,
    )
    return model, history


@torch.no_grad()
def predict(model: Model, batch: Batch, times: Tensor) -> Tensor:
    """The points (B, S, 2) at times (S,) from what is observed. A forecaster can do so after the
    observations only.
    """
    return (
        model.net.forecast(*batch, times) if isinstance(model, Forecaster) else model(*batch, times)
    )
