"""Lesson 13: key frames of simulated walks, the latent models that learn them, what is measured.

The data: clips of 3 seconds in two styles, at frames SPACING seconds apart. Of every clip KEYS
frames are seen, with noise: the first, the last, and others at random places. When in its cycle a
walker is at the first frame is random. All walk at one speed.

The models are lesson 12's latent ODEs, whose latent is (z, c): z moves by a field that is learned;
c, one number, stays what it is, and may hold the style. They differ in the field of z:

    first order     z' = f(z, c)
    second order    z = (q, v),   q' = v,   v' = a(q, v, c)

All have about as many parameters, the same number of updates, three rates to choose from, and the
same seeds. Float32 on one thread, RK4 with one step for each frame; what is learned is measured in
float64 with small tolerances, by roll-outs from the latent at the first frame.

What was tried: fields in units of a second do not learn to turn (a net's first guess is of size 1,
a walk needs 5 a second), so all are multiplied by PACE. The first frame is always seen, and read
last; an encoder that takes the frames as a set (lesson 11) finds the phase much later. The noise of
the likelihood is fixed: where it was learned, it grew until the mean pose explained everything.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...data.gait import ANGLES, LEFT_HIP, MARCH, STROLL, walk
from ...data.motion import jerk, period, slide
from ...models.fields import MLP, VectorField
from ...models.latent_ode import LatentODE
from ...models.ode_rnn import GRUWithGaps
from ...models.vae import gaussian_kl, reparameterize
from ...training import fit

PERIOD = 1.2  # seconds, of one cycle
STYLES = (STROLL, MARCH)
SPEED = STROLL.stride / PERIOD
SPACING = 0.1  # seconds between two frames
FRAMES = 31
KEYS = 12  # frames that are seen, of each clip
NOISE = 0.05  # radians, of every angle
TRAIN = 1024  # clips
TEST = 32
BATCH = 64
WIDTH = 32  # of the decoder's two layers
ENCODER = 32
PACE = 5.0  # a second
LIKELIHOOD = 0.1  # radians: the standard deviation that the models take the noise to have
CLIP = 1.0  # the longest gradient
RATES = (0.003, 0.006, 0.012)
SHORTEST = 3  # frames, at the beginning of a training
HELD_OUT_SEED = 99
VALIDATION_SEED = 98


class Field(NamedTuple):
    """Attributes: order; size: numbers that move; hidden: width of the net."""

    order: int
    size: int
    hidden: int


FIELDS = {
    "second order, 1 + 1": Field(2, 2, 86),
    "first order, 2": Field(1, 2, 72),
    "second order, 2 + 2": Field(2, 4, 58),
    "first order, 4": Field(1, 4, 46),
    "first order, 1": Field(1, 1, 100),
}


class Clips(NamedTuple):
    """Key frames and the truth.

    Attributes:
        t: of all frames, (FRAMES,).
        x: angles, (B, FRAMES, 9), with noise.
        mask: like x; True where a frame is seen.
        phase: of the left leg at the first frame, (B,).
        style: 0 or 1, the place in STYLES, (B,).
    """

    t: Tensor
    x: Tensor
    mask: Tensor
    phase: Tensor
    style: Tensor


@lru_cache(maxsize=8)
def clips(n: int, seed: int) -> Clips:
    """n clips, half of them in each style."""
    chance = torch.Generator().manual_seed(seed)
    t = SPACING * torch.arange(FRAMES, dtype=torch.float64)
    phase = 2 * math.pi * torch.rand(n, generator=chance, dtype=torch.float64)
    style = torch.arange(n) % 2
    clean = truth(t, phase, style)
    x = clean + NOISE * torch.randn(clean.shape, generator=chance, dtype=torch.float64)
    lot = torch.rand(n, FRAMES, generator=chance)
    lot[:, [0, -1]] = -1.0
    seen = lot.argsort(1).argsort(1) < KEYS
    return Clips(t.float(), x.float(), seen[..., None].expand_as(x), phase, style)


def truth(t: Tensor, phase: Tensor, style: Tensor) -> Tensor:
    """The angles (B, T, 9) at times t (T,) of walkers with phases and styles (B,)."""
    rows = zip(phase.tolist(), style.tolist(), strict=True)
    return torch.stack([walk(t, PERIOD, STYLES[k], phase=p) for p, k in rows])


class WithStyle(nn.Module):
    """The field of (z, c): z moves by `func`, which sees both, PACE times as fast; c stays.

    Args:
        func: maps (z, c) (..., size + 1) to z' (..., size), of first order, or to v' (..., size /
            2), of second.
        order, size: of z.

    Attributes:
        speed: 1; with another one, set after the training, it goes the same way faster.
    """

    def __init__(self, func: nn.Module, order: int, size: int) -> None:
        super().__init__()
        self.func = func
        self.order = order
        self.size = size
        self.speed = 1.0

    def forward(self, t: Tensor, state: Tensor) -> Tensor:
        slope = self.func(t, state)
        if self.order == 2:
            slope = torch.cat([state[..., self.size // 2 : self.size], slope], -1)
        return torch.cat([self.speed * PACE * slope, torch.zeros_like(state[..., -1:])], -1)


def untrained(name: str) -> LatentODE:
    """A model whose latent moves by one of FIELDS."""
    order, size, hidden = FIELDS[name]
    func = VectorField(MLP(size + 1, hidden, size // order))
    model = LatentODE(
        len(ANGLES),
        size + 1,
        GRUWithGaps(len(ANGLES), ENCODER),
        WithStyle(func, order, size),
        decoder=MLP(size + 1, WIDTH, WIDTH, len(ANGLES)),
        noise=LIKELIHOOD,
        method="rk4_classic",
    )
    model.log_noise.requires_grad_(False)
    return model


def minus_bound(model: LatentODE, data: Clips, rows: Tensor, frames: int) -> Tensor:
    """Minus the ELBO of the first frames of some clips, per frame and its mean, 0-d; the encoder
    sees the whole clips.
    """
    x, mask = data.x[rows], data.mask[rows]
    mean, std = model.encode(data.t, x, mask)
    z = model.latents(reparameterize(mean, std), data.t)
    fits = model.log_prob(x[:, :frames], mask[:, :frames], z[:, :frames])
    return (gaussian_kl(mean, std).sum(-1) - fits).mean() / frames


def horizon(step: int, steps: int) -> int:
    """Frames that are looked at: few at first, all from two thirds of the training on."""
    return max(SHORTEST, min(FRAMES, round(FRAMES * (0.15 + 1.3 * step / steps))))


def trained(name: str, rate: float, seed: int, steps: int) -> LatentODE:
    """One training."""
    torch.manual_seed(seed)
    model = untrained(name)
    model.ode.compiled = True  # more than twice as quick, and the same numbers
    data = clips(TRAIN, seed)
    fit(
        model,
        lambda model, batch: minus_bound(model, data, *batch),
        steps,
        lr=rate,
        schedule=lambda step: min(1, step / 50) * (1 - step / steps) ** 0.5,
        batches=lambda step: (torch.randint(TRAIN, (BATCH,)), horizon(step, steps)),
        clip=CLIP,
        progress=False,
    )
    return model


@torch.no_grad()
def validation(model: LatentODE) -> float:
    """The mean squared error of the key frames of other clips, by which a rate is chosen."""
    model.ode.compiled = False
    data = clips(8 * TEST, VALIDATION_SEED)
    off = model(data.t, data.x, data.mask) - data.x
    return float(off[data.mask].square().mean())


# -- what is measured ------------------------------------------------------------------------------

FINE = 0.02  # seconds between two times of a roll-out
CYCLES = 10  # so long are the roll-outs
REFINEMENTS = 100  # steps of Adam, for `refined`


class Measured(NamedTuple):
    """Of roll-outs of CYCLES cycles, from the key frames of held-out clips of 2.5 cycles.

    Attributes:
        within, beyond: root mean square error of the angles, in radians, in the clip's time and
            after it.
        period: median period after the clip, 0 where fewer than half of the clips have one.
        periodic: share of the clips that have a period within 2 % of the true one.
        swing: range of the left hip in the last two cycles over the true one.
        slide: share of its way by which the lower foot slides after the clip, mean over the clips.
        jerk: over the true one, after the clip.
        refined: `within`, with the latent at the first frame refined for every clip by itself.
        refined_beyond: `beyond`, so.
        curve: root mean square error in each half second.
    """

    within: float
    beyond: float
    period: float
    periodic: float
    swing: float
    slide: float
    jerk: float
    refined: float
    refined_beyond: float
    curve: list[float]


def times() -> Tensor:
    """Of a roll-out, (601,)."""
    n = round(CYCLES * PERIOD / FINE)
    return FINE * torch.arange(n + 1, dtype=torch.float64)


def held_out() -> tuple[Clips, Tensor, Tensor]:
    """TEST clips that no model has seen, the times of a roll-out, and the true angles at these."""
    data = clips(TEST, HELD_OUT_SEED)
    t = times()
    return data, t, truth(t, data.phase, data.style)


def precise(model: LatentODE) -> LatentODE:
    """The model in float64, solved with small tolerances."""
    model = model.double().eval()
    model.ode.compiled = False
    model.ode.method = "dopri5"
    model.ode.rtol = 1e-6
    model.ode.atol = 1e-6
    return model


def encoded(model: LatentODE, data: Clips) -> Tensor:
    """The means (B, L) of the latent at the first frame, float64."""
    with torch.no_grad():
        return model.encode(data.t.double(), data.x.double(), data.mask).mean


def refined(model: LatentODE, data: Clips, z0: Tensor) -> Tensor:
    """The likeliest latents (B, L) of every clip by itself, by REFINEMENTS steps from z0."""
    z = z0.clone().requires_grad_()
    optimizer = torch.optim.Adam([z], lr=0.03)
    t = data.t.double()
    method = model.ode.method
    model.ode.method = "rk4_classic"
    for _ in range(REFINEMENTS):
        optimizer.zero_grad()
        fits = model.log_likelihood(z, t, data.x.double(), data.mask)
        (z.square().sum() / 2 - fits.sum()).backward(inputs=[z])
        optimizer.step()
    model.ode.method = method
    return z.detach()


def measured(model: LatentODE) -> Measured:
    """See `Measured`; model as from `precise`."""
    data, t, true = held_out()
    z0 = encoded(model, data)
    z1 = refined(model, data, z0)
    with torch.no_grad():
        y = model.decode(z0, t)
        again = model.decode(z1, t)
    end = round(float(data.t[-1]) / FINE)
    square = (y - true).square().mean(-1)
    better = (again - true).square().mean(-1)
    later = t[end:]
    periods = [_period(later, row[end:, LEFT_HIP]) for row in y]
    found = [p for p in periods if p is not None]
    near = [abs(p / PERIOD - 1) < 0.02 for p in found]
    last = slice(-round(2 * PERIOD / FINE), None)
    swing = y[:, last, LEFT_HIP].amax(1) - y[:, last, LEFT_HIP].amin(1)
    whole = true[:, last, LEFT_HIP].amax(1) - true[:, last, LEFT_HIP].amin(1)
    half = round(0.5 / FINE)
    return Measured(
        within=_root(square[:, : end + 1]),
        beyond=_root(square[:, end + 1 :]),
        period=float(torch.tensor(found).median()) if len(found) >= TEST / 2 else 0.0,
        periodic=sum(near) / TEST,
        swing=float((swing / whole).mean()),
        slide=sum(slide(later, row[end:], SPEED) for row in y) / TEST,
        jerk=sum(jerk(later, a[end:]) / jerk(later, b[end:]) for a, b in zip(y, true)) / TEST,
        refined=_root(better[:, : end + 1]),
        refined_beyond=_root(better[:, end + 1 :]),
        curve=[_root(square[:, i : i + half]) for i in range(0, len(t) - 1, half)],
    )


def error(angles: Tensor, true: Tensor) -> float:
    """The root mean square error, in radians."""
    return _root((angles - true).square())


def _root(square: Tensor) -> float:
    return float(square.mean().sqrt())


def _period(t: Tensor, x: Tensor) -> float | None:
    """None where x has none."""
    try:
        return period(t, x)
    except ValueError:
        return None
