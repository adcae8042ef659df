"""Lesson 12: the nets on spirals, how they are trained and judged. The long run:
benchmarks/latent_ode.py.

The protocol is that of Chen et al. 2018, section 5.1, as far as they state it (see
`data.two_spirals`): 1000 spirals of 100 points; 30, 50 or all 100 of them observed, with noise;
judged by the error on the 100 points beyond, without noise. Here they are those of 200 other
spirals. All nets have 25 hidden units and GRU cells, and the same 1000 updates.
"""

import math
import time
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...course.runs import load
from ...data import Batch, collate, thin, two_spirals
from ...data.two_spirals import Spirals
from ...models import ODERNN, GRUWithGaps, LatentODE
from ...models.vae import GaussianHead, gaussian_kl, gaussian_log_prob, reparameterize
from ...training import History, Minibatches, fit

HIDDEN, LATENT, NOISE = 25, 4, 0.3
TRAIN, TEST = 1000, 200  # spirals
STEPS, BATCH, RATE, CLIP = 1000, 100, 0.01, 10.0
COUNTS, SEEDS = (30, 50, 100), (0, 1, 2)
PAPER = {"RNN": (0.3937, 0.3202, 0.1813), "latent ODE": (0.1642, 0.1502, 0.1346)}  # Table 2
FEWEST, MOST = 2, 40  # observations of a series in `sparse`


class Data(NamedTuple):
    """Spirals, and what is observed of them: `batch`, whose times are `spirals.t[places]` (where
    the mask is True).
    """

    spirals: Spirals
    batch: Batch
    places: Tensor


class ForwardEncoder(nn.Module):
    """As `RecurrentEncoder`, but it reads the series from its first time to its last: to see what
    that costs.
    """

    def __init__(self, net: GRUWithGaps, latent: int) -> None:
        super().__init__()
        self.net, self.head = net, GaussianHead(net.hidden, latent)
        net.output = nn.Identity()

    def forward(self, t: Tensor, x: Tensor, mask: Tensor | None, t0: float):
        return self.head(self.net(t, x, mask).state[:, -1])


class Forecaster(nn.Module):
    """A recurrent net that predicts each point from those before it, and the noise about its
    predictions.
    """

    def __init__(self, net: GRUWithGaps) -> None:
        super().__init__()
        self.net, self.log_noise = net, nn.Parameter(torch.tensor(math.log(NOISE)))


Model = LatentODE | Forecaster


def _latent(net, forward=False):
    model = LatentODE(2, LATENT, net, noise=NOISE)
    if forward:
        model.encoder = ForwardEncoder(net, LATENT)
    return model


def _ode_rnn():
    return ODERNN(2, HIDDEN, method="midpoint")


MODELS = {
    "RNN": lambda: Forecaster(GRUWithGaps(2, HIDDEN)),
    "latent ODE": lambda: _latent(GRUWithGaps(2, HIDDEN)),
    "ODE-RNN": lambda: Forecaster(_ode_rnn()),
}
ENCODERS = {
    "GRU, backward": lambda: _latent(GRUWithGaps(2, HIDDEN)),
    "GRU, forward": lambda: _latent(GRUWithGaps(2, HIDDEN), forward=True),
    "ODE-RNN, backward": lambda: _latent(_ode_rnn()),
}


def _data(spirals, series):
    batch = collate(series)
    return Data(
        spirals,
        batch,
        torch.searchsorted(spirals.t, batch.t.contiguous()).clamp(max=len(spirals.t) - 1),
    )


def thinned(n: int, keep: int, seed: int) -> Data:
    """n spirals with `keep` of their 100 points observed."""
    spirals = two_spirals(n, noise=NOISE, seed=seed)
    return _data(spirals, thin(spirals.t, spirals.x, keep, seed=seed))


def sparse(n: int, seed: int, versions: int = 1) -> Data:
    """n spirals, each with 2 to 40 observations, and with a gap of up to half of the time;
    `versions` of each.
    """
    spirals, chance = two_spirals(n, noise=NOISE, seed=seed), torch.Generator().manual_seed(seed)
    points, series = len(spirals.t), []
    for x in spirals.x.repeat(versions, 1, 1):
        number = int(torch.randint(FEWEST, MOST + 1, (1,), generator=chance))
        width, begin = (
            (torch.rand(2, generator=chance) * torch.tensor([points / 2, points])).long().tolist()
        )
        order = torch.randperm(points, generator=chance)
        kept = order[(order < begin) | (order >= begin + width)][:number].sort().values
        series.append((spirals.t[kept], x[kept]))
    return _data(spirals, series)


def loss(model: Model, batch: tuple, grid: Tensor) -> Tensor:
    """Minus the bound of a latent ODE, or minus the log-likelihood of a forecaster; per series, its
    mean.

    Every series has its own times, all from one grid: one solve through the grid, with one clock,
    serves all of them.
    """
    t, x, mask, places = batch
    if isinstance(model, Forecaster):
        entries = gaussian_log_prob(x, model.net(t, x, mask).prediction, model.log_noise.exp())
        return -torch.where(mask, entries, 0.0)[:, 1:].sum((1, 2)).mean()
    mean, std = model.encode(t, x, mask)
    z = model.latents(reparameterize(mean, std), grid)
    z = z.gather(1, places[..., None].expand(-1, -1, z.shape[2]))
    return (gaussian_kl(mean, std).sum(1) - model.log_prob(x, mask, z)).mean()


def train(
    make, data: Data, seed: int = 0, steps: int = STEPS, on_step=None
) -> tuple[Model, History]:
    """Make a model and train it: Adam, its rate falling from 0.01 to 0 along a cosine."""
    torch.manual_seed(seed)
    model = make()
    history = fit(
        model,
        lambda model, batch: loss(model, batch, data.spirals.t),
        steps,
        lr=RATE,
        schedule=lambda step: (1 + math.cos(math.pi * step / steps)) / 2,
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


def errors(x: Tensor, clean: Tensor) -> Tensor:
    """The root mean square error (B,) of each predicted series x (B, S, 2)."""
    return (x - clean).square().mean((1, 2)).sqrt()


def turning(x: Tensor) -> Tensor:
    """Twice the area (B,) that the line from the center to x (B, S, 2) sweeps; positive for
    counter-clockwise.
    """
    a, b = x[:, :-1], x[:, 1:]
    return (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]).sum(1)


def angle(x: Tensor) -> Tensor:
    """The angle (B,) through which x (B, S, 2) turns about the center, in radians."""
    a, b = x[:, :-1], x[:, 1:]
    return torch.atan2(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0], (a * b).sum(-1)).sum(1)


@torch.no_grad()
def coverage(model: LatentODE, data: Data, draws: int = 100) -> tuple[float, float]:
    """The share of the clean numbers that are within the band of nine of ten draws: at the 100
    points, and beyond.
    """
    times = torch.cat([data.spirals.t, data.spirals.later])
    low, high = model.paths(*data.batch, times, draws).quantile(torch.tensor([0.05, 0.95]), dim=0)
    inside = ((low < data.spirals.clean) & (data.spirals.clean < high)).double()
    points = len(data.spirals.t)
    return float(inside[:, :points].mean()), float(inside[:, points:].mean())


def judge(model: Model, data: Data) -> dict[str, float]:
    """What is measured of a trained model, on spirals that it has not seen.

    "beyond": root mean square error on the 100 points beyond; "median": of the errors of single
    spirals; "wrong": the share of spirals that are continued in the wrong sense. A latent ODE also:
    "within", the error at the 100 points themselves; "covers", "covers beyond": `coverage`. A
    forecaster also: "strided", where it steps with the mean gap of its training instead of point by
    point.
    """
    spirals, batch, _ = data
    points = len(spirals.t)
    after = spirals.clean[:, points:]
    x = predict(model, batch, spirals.later)
    each = errors(x, after)
    found = {
        "beyond": each.square().mean().sqrt().item(),
        "median": each.median().item(),
        "wrong": (turning(x) * turning(after) < 0).double().mean().item(),
    }
    if isinstance(model, Forecaster):
        stride = max(1, round(points / batch.x.shape[1]))
        x = predict(model, batch, spirals.later[stride - 1 :: stride])
        found["strided"] = errors(x, after[:, stride - 1 :: stride]).square().mean().sqrt().item()
    else:
        within = errors(predict(model, batch, spirals.t), spirals.clean[:, :points])
        found["within"] = within.square().mean().sqrt().item()
        found["covers"], found["covers beyond"] = coverage(model, data)
    return found


def run(name: str, keep: int, seed: int) -> tuple[Model, dict[str, float]]:
    """One entry of the long run: a model of MODELS with `keep` observations, trained and judged."""
    begin = time.thread_time()
    model, history = train(MODELS[name], thinned(TRAIN, keep, seed), seed)
    seconds = time.thread_time() - begin
    found = judge(model, thinned(TEST, keep, 10_000 + seed))
    found |= {"noise": model.log_noise.exp().item(), "loss": sum(history["loss"][-50:]) / 50}
    return model, {key: float(f"{value:.4g}") for key, value in found.items()} | {
        "seconds": round(seconds)
    }


@lru_cache(maxsize=1)
def results() -> dict:
    """What benchmarks/latent_ode.py stored."""
    return load("latent_ode.json")


def found(name: str, count: int, what: str) -> list[float]:
    """A number of `judge` of the stored runs of a model with `count` observations, over the seeds."""
    table = results()["runs"]
    keys = [f"{name}/{count}/{seed}" for seed in SEEDS]
    return [table[key][what] for key in keys if key in table]


@lru_cache(maxsize=8)
def stored(name: str) -> Model:
    """A trained net from the file: one of MODELS (30 observations, seed 0) or of ENCODERS (trained
    on `sparse`).
    """
    arrays, model = load("latent_ode.npz"), (MODELS | ENCODERS)[name]()
    model.load_state_dict(
        {k: torch.tensor(arrays[f"{name}/{k}"], dtype=torch.float32) for k in model.state_dict()}
    )
    return model.eval().requires_grad_(False)
