"""Lesson 18: the long runs, ten minutes on one core.

- pixels: three causal nets on scikit-learn's digits, 17 levels, 64 pixels in raster order: bits for
  a pixel on the test images, beside models that only count;
- rings: a GAN on eight Gaussians for each way of training, with the same nets, updates and tuning.

The Transformer of seed 0 is stored, in a byte for each parameter.
"""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ...course.packed import packed, unpacked
from ...course.runs import Check, Run, Runs
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
STEPS = {"Transformer": 1500, "masked MLP": 700, "GRU": 600}
GROUPS = torch.tensor([1, 6, 11, 16])  # where a group of levels begins; 0 is one of its own
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


class Causal(NamedTuple):
    """A net on pixels, and its number of updates."""

    name: str
    steps: int


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


def train_pixels(setting: Causal, seed: int) -> tuple[Autoregressive, float]:
    """A net after its updates, and the seconds of the processor that they took."""
    torch.manual_seed(seed)
    model = Autoregressive(NETS[setting.name]())
    x = pixels().x
    chance = torch.Generator().manual_seed(seed)

    def batches(step: int) -> Tensor:
        return x[torch.randint(len(x), (BATCH,), generator=chance)]

    history = fit(
        model,
        lambda model, x: model.loss(x),
        setting.steps,
        lr=RATE,
        schedule=schedules.cosine(setting.steps),
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


def judged_pixels(setting: Causal, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Bits on the test and the training images, of each seed; of the Transformer also weights."""
    name = setting.name
    found: dict[str, Any] = {"bits": [], "train bits": [], "seconds": []}
    for seed in seeds:
        model, seconds = train_pixels(setting, seed)
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

    uniform: 17 equal levels. One histogram for all pixels; 64, one for each. Two neighbors: one for
    each pair of levels of the pixels to the left and above. Place, neighbors: one for each place
    and pair, the neighbors' levels in five groups.
    """
    x, test = pixels()
    found = {"uniform": math.log2(LEVELS)}
    found["one histogram"] = _coded(_counts(x.flatten()[None]), test.flatten()[None])
    found["64 histograms"] = _coded(_counts(x.T), test.T)
    found["two neighbors"] = _looked_up(_context(x, LEVELS), x, _context(test, LEVELS), test)
    groups, test_groups = (torch.bucketize(each, GROUPS, right=True) for each in (x, test))
    contexts = (len(GROUPS) + 2) ** 2
    each_place = contexts * torch.arange(SIZE)
    found["place, neighbors"] = _looked_up(
        each_place + _context(groups, len(GROUPS) + 1),
        x,
        each_place + _context(test_groups, len(GROUPS) + 1),
        test,
    )
    return found


def _counts(x: Tensor) -> Tensor:
    """Probabilities of the levels in each row (R, n), (R, LEVELS)."""
    table = torch.stack([torch.bincount(row, minlength=LEVELS) for row in x]).double() + 0.5
    return table / table.sum(1, keepdim=True)


def _coded(p: Tensor, x: Tensor) -> float:
    return float(-p.log2().gather(1, x).mean())


def _looked_up(context: Tensor, x: Tensor, test_context: Tensor, test: Tensor) -> float:
    """Bits of test with a histogram for each context."""
    table = torch.full((int(context.max().maximum(test_context.max())) + 1, LEVELS), 0.5).double()
    table.index_put_((context.flatten(), x.flatten()), torch.ones(1).double(), accumulate=True)
    logs = (table / table.sum(1, keepdim=True)).log2()
    return float(-logs[test_context.flatten(), test.flatten()].mean())


def _context(x: Tensor, levels: int) -> Tensor:
    """The levels to the left and above of each pixel as one number; outside is a level more."""
    images = x.unflatten(1, (SIDE, SIDE))
    left = nn.functional.pad(images[:, :, :-1], (1, 0), value=levels)
    above = nn.functional.pad(images[:, :-1], (0, 0, 1, 0), value=levels)
    return (left * (levels + 1) + above).flatten(1)


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


FAST = 1e-2
WAYS = {
    "non-saturating": Setting(),
    "ten times the rate": Setting(rate=FAST),
    "minimax": Setting("minimax"),
    "non-saturating, R1": Setting(penalty="R1", weight=0.1),
    "least squares": Setting("least squares"),
    "hinge": Setting("hinge"),
    "Wasserstein, no penalty": Setting("wasserstein", discriminator_steps=5),
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


def verify() -> Iterator[Check]:
    """The stored Transformer measured again; its weights are rounded."""
    row = RUNS.numbers()["pixels/Transformer"]
    again = bits(transformer(), pixels().test)
    yield Check("Transformer: bits", again, row["bits"][0], 0.01)


RUNS = Runs(
    "gans_and_autoregression",
    protocol={
        "BATCH": BATCH,
        "RATE": RATE,
        "GAN_STEPS": GAN_STEPS,
        "GAN_BATCH": GAN_BATCH,
        "BETAS": BETAS,
        "SAMPLES": SAMPLES,
        "WIDTH": WIDTH,
    },
    results={
        "rings/null": Run(null_energy, "", tuple(range(10))),
        **{f"rings/{name}": Run(judged_way, name, SEEDS) for name in WAYS},
        **{
            f"pixels/{name}": Run(judged_pixels, Causal(name, steps), SEEDS)
            for name, steps in STEPS.items()
        },
    },
    verify=verify,
)
