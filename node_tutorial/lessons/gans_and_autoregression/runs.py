"""Lesson 18: the long runs, ten minutes on one core.

- pixels: three causal nets on scikit-learn's digits, 17 levels, 64 pixels in raster order: bits for
  a pixel on the test images, beside models that only count;
- rings: a GAN on eight Gaussians for each way of training, with the same nets, updates and tuning.

The Transformer of seed 0 is stored, in a byte for each parameter.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ...course.packed import packed, unpacked
from ...course.runs import Run, Runs
from ...data import gaussians
from ...data.pixels import LEVELS, SIDE, counts
from ...data.two_samples import energy_distance
from ...models import GAN, MLP, Autoregressive, MaskedMLP, Recurrent, Transformer, modes
from ...models.causal_nets import CausalNet
from ...training import fit, schedules

SEEDS = (0, 1, 2)
SIZE = SIDE * SIDE
# -- pixels
BATCH = 64
RATE = 2e-3
STEPS = {"Transformer": 1000, "masked MLP": 2000, "GRU": 700}
# -- rings
LATENT = 2
WIDTH = 64
GAN_STEPS = 4000  # updates of either player
GAN_BATCH = 256
GAN_RATE = 1e-3
BETAS = (0.5, 0.9)
SAMPLES = 4000
RADIUS = 4 / math.sqrt(2)
STD = 0.5 / math.sqrt(2)


class Pixels(NamedTuple):
    """Dark dots (N, 64), whole numbers from 0 to 16, to train and to test with."""

    x: Tensor
    test: Tensor


@lru_cache(maxsize=1)
def pixels() -> Pixels:
    split = counts()
    return Pixels(split.images.flatten(1).long(), split.test_images.flatten(1).long())


NETS: dict[str, Callable[[], CausalNet]] = {
    "Transformer": lambda: Transformer(SIZE, LEVELS, width=64, depth=2, heads=4),
    "masked MLP": lambda: MaskedMLP(SIZE, LEVELS, (256, 256), width=4),
    "GRU": lambda: Recurrent(SIZE, LEVELS, width=128),
}


def train_pixels(name: str, seed: int) -> tuple[Autoregressive, float]:
    """A net after its updates, and the seconds of the processor that they took."""
    torch.manual_seed(seed)
    model = Autoregressive(NETS[name]())
    x = pixels().x
    chance = torch.Generator().manual_seed(seed)

    def batches(step: int) -> Tensor:
        return x[torch.randint(len(x), (BATCH,), generator=chance)]

    history = fit(
        model,
        lambda model, x: model.loss(x),
        STEPS[name],
        lr=RATE,
        schedule=schedules.cosine(STEPS[name]),
        batches=batches,
        clip=1.0,
        average=0.99,
        progress=False,
    )
    return model, history.spent


@torch.no_grad()
def bits(model: Autoregressive, x: Tensor) -> float:
    """The mean bits of a pixel."""
    return float(torch.cat([model.bits(part) for part in x.split(150)]).mean())


def judged_pixels(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Bits on the test and the training images, of each seed; of the Transformer also weights."""
    found: dict[str, Any] = {"bits": [], "train bits": [], "seconds": []}
    for seed in seeds:
        model, seconds = train_pixels(name, seed)
        found["bits"].append(bits(model, pixels().test))
        found["train bits"].append(bits(model, pixels().x))
        found["seconds"].append(seconds)
        if name == "Transformer" and seed == 0:
            found["by pixel"] = _by_pixel(model)
            found.update(packed(model.net.state_dict()))
    found["parameters"] = sum(p.numel() for p in NETS[name]().parameters())
    return found


@torch.no_grad()
def _by_pixel(model: Autoregressive) -> list[float]:
    """The mean bits of each pixel on the test images, in raster order."""
    logs = torch.cat([model.log_factors(part) for part in pixels().test.split(150)])
    return [round(float(b), 4) for b in -logs.mean(0) / math.log(2)]


def counted_bits() -> dict[str, float]:
    """Bits of a pixel on the test images of models that count in the training images, each count
    plus one half.

    uniform: 17 equal levels; one histogram for all pixels; 64 histograms, one for each pixel; and
    neighbors: for each pair of levels of the pixels to the left and above, a histogram.
    """
    x, test = pixels()
    found = {"uniform": math.log2(LEVELS)}
    found["one histogram"] = _coded(_counts(x.flatten()[None]), test.flatten()[None])
    found["64 histograms"] = _coded(_counts(x.T), test.T)
    before, before_test = _context(x), _context(test)
    table = torch.full(((LEVELS + 1) ** 2, LEVELS), 0.5, dtype=torch.float64)
    table.index_put_((before.flatten(), x.flatten()), torch.ones(1).double(), accumulate=True)
    logs = (table / table.sum(1, keepdim=True)).log2()
    found["two neighbors"] = float(-logs[before_test.flatten(), test.flatten()].mean())
    return found


def _counts(x: Tensor) -> Tensor:
    """Probabilities of the levels in each row (R, n), (R, LEVELS)."""
    table = torch.stack([torch.bincount(row, minlength=LEVELS) for row in x]).double() + 0.5
    return table / table.sum(1, keepdim=True)


def _coded(p: Tensor, x: Tensor) -> float:
    return float(-p.log2().gather(1, x).mean())


def _context(x: Tensor) -> Tensor:
    """The levels to the left and above of each pixel as one number; outside is a level more."""
    images = x.unflatten(1, (SIDE, SIDE))
    left = nn.functional.pad(images[:, :, :-1], (1, 0), value=LEVELS)
    above = nn.functional.pad(images[:, :-1], (0, 0, 1, 0), value=LEVELS)
    return (left * (LEVELS + 1) + above).flatten(1)


@lru_cache(maxsize=1)
def transformer() -> Autoregressive:
    """The stored one."""
    model = Autoregressive(NETS["Transformer"]())
    stored = (RUNS.arrays()[f"pixels/Transformer/{part}"] for part in ("bytes", "halves"))
    model.net.load_state_dict(unpacked(*stored, model.net.state_dict()))
    return model.eval()


# -- rings -----------------------------------------------------------------------------------------


class Setting(NamedTuple):
    """A way to train a GAN."""

    loss: str = "non-saturating"
    penalty: str | None = None
    weight: float = 0.0
    discriminator_steps: int = 1
    rate: float = GAN_RATE


WAYS = {
    "minimax": Setting("minimax"),
    "non-saturating": Setting(),
    "non-saturating, R1": Setting(penalty="R1", weight=0.1),
    "least squares": Setting("least squares"),
    "hinge": Setting("hinge"),
    "Wasserstein, penalty": Setting("wasserstein", "gradient", 1.0, 5),
}


@lru_cache(maxsize=1)
def centers() -> Tensor:
    angle = 2 * math.pi * torch.arange(8) / 8
    return RADIUS * torch.stack([angle.cos(), angle.sin()], 1)


def make_gan(setting: Setting, seed: int) -> GAN:
    """The nets of a seed."""
    torch.manual_seed(seed)
    relu = nn.ReLU
    return GAN(
        MLP(LATENT, WIDTH, WIDTH, 2, activation=relu),
        MLP(2, WIDTH, WIDTH, 1, activation=relu),
        LATENT,
        loss=setting.loss,
        penalty=setting.penalty,
        weight=setting.weight,
        discriminator_steps=setting.discriminator_steps,
    )


def train_gan(setting: Setting, seed: int, steps: int = GAN_STEPS, **more: Any) -> Any:
    """A GAN after its updates, and their history."""
    gan = make_gan(setting, seed)
    ring = gaussians(8)
    chance = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(gan.parameters(), lr=setting.rate, betas=BETAS)
    history = fit(
        gan,
        lambda gan, x: gan.loss(x),
        steps,
        optimizer=optimizer,
        batches=lambda step: ring.sample(GAN_BATCH, chance).float(),
        progress=False,
        **more,
    )
    return gan, history


@torch.no_grad()
def judged_gan(gan: GAN, seed: int) -> dict[str, float]:
    """Modes found, the share near one, and the energy distance to draws of the ring."""
    chance = torch.Generator().manual_seed(100 + seed)
    made = gan.sample(SAMPLES, chance)
    real = gaussians(8).sample(SAMPLES, chance)
    found = modes(made, centers(), STD)
    distance = float(energy_distance(made, real))
    return {"modes": found.found, "near": found.near, "energy": distance}


def judged_way(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Of each seed; the discriminator's loss is the mean of the last hundred updates."""
    rows = []
    found: dict[str, Any] = {}
    for seed in seeds:
        gan, history = train_gan(WAYS[name], seed)
        tail = np.mean(history["discriminator"][-100:])
        rows.append({**judged_gan(gan, seed), "discriminator": float(tail)})
        if seed == 0:
            with torch.no_grad():
                sample = gan.sample(400, torch.Generator().manual_seed(7))
            found["samples"] = sample.numpy().astype(np.float16)
    return {**{key: [row[key] for row in rows] for key in rows[0]}, **found}


def null_energy(_: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The energy distance of two sets of draws of the ring, for each seed."""
    ring = gaussians(8)
    values = []
    for seed in seeds:
        chance = torch.Generator().manual_seed(seed)
        one, other = (ring.sample(SAMPLES, chance) for _ in range(2))
        values.append(float(energy_distance(one, other)))
    return {"energy": values, "mean": float(np.mean(values)), "std": float(np.std(values))}


RUNS = Runs(
    "gans_and_autoregression",
    protocol={
        "BATCH": BATCH,
        "RATE": RATE,
        "STEPS": STEPS,
        "GAN_STEPS": GAN_STEPS,
        "GAN_BATCH": GAN_BATCH,
        "BETAS": BETAS,
        "SAMPLES": SAMPLES,
        "WIDTH": WIDTH,
    },
    results={
        "rings/null": Run(null_energy, "", tuple(range(10))),
        **{f"rings/{name}": Run(judged_way, name, SEEDS) for name in WAYS},
        "pixels/Transformer": Run(judged_pixels, "Transformer", SEEDS),
        "pixels/masked MLP": Run(judged_pixels, "masked MLP", SEEDS),
        "pixels/GRU": Run(judged_pixels, "GRU", SEEDS),
    },
)
