"""Lesson 18: the long runs, fourteen minutes on one core.

- pixels: three causal nets on scikit-learn's digits, 17 levels, 64 pixels in raster order: bits for
  a pixel on the test images, beside models that only count. Each net gets the same: 30 seconds of
  the processor a training, five learning rates with seed 0, and the best of them with two seeds
  more. The rate, and the moment at which a training is stopped, are those with the least bits on
  200 training images that are held out; the test images have no say. (With 40 seconds the
  Transformer was stopped at 600 to 650 updates, too, with the same bits.)
- rings: a GAN on eight Gaussians for each way of training, with the same nets, updates and tuning.

The Transformer of seed 0 is stored, in a byte for each parameter.
"""

import copy
import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ...course.packed import packed, unpacked
from ...course.runs import Check, Run, Runs
from ...data import gaussians
from ...data.pixels import LEVELS, SIDE, counts
from ...data.two_samples import energy_distance
from ...models import GAN, MLP, Autoregressive, MaskedMLP, Recurrent, Transformer, modes
from ...models.causal_nets import CausalNet
from ...training import History, fit

SEEDS = (0, 1, 2)
SIZE = SIDE * SIDE
# -- pixels
BATCH = 64
SECONDS = 30.0  # of the processor, a training
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
HELD_OUT = 200
AVERAGE = 0.99
EVERY = {"Transformer": 20, "masked MLP": 100, "GRU": 25}  # updates between looks, about a second
GROUPS = torch.tensor([1, 6, 11, 16])  # where a group of levels begins; 0 is one of its own
# -- rings
LATENT = 2
WIDTH = 64
GAN_STEPS = 4000  # updates in all, of one player at a time
GAN_BATCH = 256
GAN_RATE = 1e-3
BETAS = (0.5, 0.9)
SAMPLES = 4000
RADIUS = 4 / math.sqrt(2)
STD = 0.5 / math.sqrt(2)


class Pixels(NamedTuple):
    """Dark dots (N, 64), whole numbers from 0 to 16: to train, to stop and to test with."""

    x: Tensor
    held_out: Tensor
    test: Tensor


@lru_cache(maxsize=1)
def pixels() -> Pixels:
    split = counts()
    mixed = torch.randperm(len(split.images), generator=torch.Generator().manual_seed(0))
    x = split.images.flatten(1).long()[mixed]
    return Pixels(x[HELD_OUT:], x[:HELD_OUT], split.test_images.flatten(1).long())


NETS: dict[str, Callable[[], CausalNet]] = {
    "Transformer": lambda: Transformer(SIZE, LEVELS, width=64, depth=2, heads=4),
    "masked MLP": lambda: MaskedMLP(SIZE, LEVELS, (256, 256), width=4),
    "GRU": lambda: Recurrent(SIZE, LEVELS, width=128),
}


class Trained(NamedTuple):
    """A net as it was when its bits on the held-out images were least.

    Attributes:
        held_out: these bits.
        updates: of the whole training; stopped: those made at that moment.
        seconds: of the processor.
    """

    model: Autoregressive
    held_out: float
    updates: int
    stopped: int
    seconds: float


def train_pixels(name: str, rate: float, seed: int, seconds: float = SECONDS) -> Trained:
    """A training of a net, looked at now and then."""
    torch.manual_seed(seed)
    model = Autoregressive(NETS[name]())
    x = pixels().x
    chance = torch.Generator().manual_seed(seed)
    best: dict[str, Any] = {"bits": math.inf}

    def batches(step: int) -> Tensor:
        return x[torch.randint(len(x), (BATCH,), generator=chance)]

    def look(model: Autoregressive) -> dict[str, float]:
        found = bits(model, pixels().held_out)
        if found < best["bits"]:
            best.update(bits=found, state=copy.deepcopy(model.state_dict()))
        return {"bits": found}

    history = fit(
        model,
        lambda model, x: model.loss(x),
        seconds=seconds,
        lr=rate,
        batches=batches,
        clip=1.0,
        average=AVERAGE,
        evaluate=look,
        evaluate_every=EVERY[name],
        progress=False,
    )
    model.load_state_dict(best["state"])
    looks = history.evaluations
    stopped = int(looks["step"][int(np.argmin(looks["bits"]))])
    return Trained(model.eval(), best["bits"], len(history), stopped, history.spent)


@torch.no_grad()
def bits(model: Autoregressive, x: Tensor) -> float:
    """The mean bits of a pixel."""
    return float(torch.cat([model.bits(part) for part in x.split(150)]).mean())


def judged_pixels(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Of each rate with the first seed the bits on the held-out images. Of the best of them, for
    each seed: bits on the test and on the training images, seconds, updates, and at which of them
    it was stopped. Of the Transformer also the weights.
    """
    tried = {rate: train_pixels(name, rate, seeds[0]) for rate in RATES}
    rate = min(tried, key=lambda rate: tried[rate].held_out)
    found: dict[str, Any] = {
        "rate": rate,
        "held out": {str(rate): one.held_out for rate, one in tried.items()},
        "parameters": sum(p.numel() for p in NETS[name]().parameters()),
    }
    chosen = [tried[rate], *(train_pixels(name, rate, seed) for seed in seeds[1:])]
    found["bits"] = [bits(one.model, pixels().test) for one in chosen]
    found["train bits"] = [bits(one.model, pixels().x) for one in chosen]
    for key in ("seconds", "updates", "stopped"):
        found[key] = [getattr(one, key) for one in chosen]
    if name == "Transformer":
        found["by pixel"] = _by_pixel(chosen[0].model)
        found.update(packed(chosen[0].model.net.state_dict()))
    return found


@torch.no_grad()
def _by_pixel(model: Autoregressive) -> list[float]:
    """The mean bits of each pixel on the test images, in raster order."""
    logs = torch.cat([model.log_factors(part) for part in pixels().test.split(150)])
    return [round(float(b), 4) for b in -logs.mean(0) / math.log(2)]


def counted_bits(x: Tensor) -> dict[str, float]:
    """Bits of a pixel on the test images of models that count in images x (N, 64), each count plus
    one half.

    uniform: 17 equal levels. One histogram for all pixels; 64, one for each. Two neighbors: one for
    each pair of levels of the pixels to the left and above. Place, neighbors: one for each place
    and pair, the neighbors' levels in five groups.
    """
    test = pixels().test
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
    arrays = RUNS.arrays()
    whole, halves = (arrays[f"pixels/Transformer/{part}"] for part in ("bytes", "halves"))
    model.net.load_state_dict(unpacked(whole, halves, model.net.state_dict()))
    return model.eval()


class Counted(NamedTuple):
    """Draws x (3, 64) with their log_prob (3,), and the places that passed through the net."""

    x: Tensor
    log_prob: Tensor
    places: int


def counted_draw(cached: bool) -> Counted:
    """Three draws of the stored Transformer, with the memory of keys and values or without."""
    model = transformer()
    before = model.net.cost
    drawn = model.sample(3, cached=cached, generator=torch.Generator().manual_seed(1))
    return Counted(drawn.x, drawn.log_prob.sum(1), model.net.cost - before)


# -- rings -----------------------------------------------------------------------------------------


class Setting(NamedTuple):
    """A way to train a GAN."""

    loss: str = "non-saturating"
    penalty: str | None = None
    weight: float = 0.0
    discriminator_steps: int = 1
    rate: float = GAN_RATE  # of the discriminator
    generator_rate: float = GAN_RATE


FAST = Setting(rate=3e-4, generator_rate=1e-2)  # a generator that outruns its discriminator
WAYS = {
    "non-saturating": Setting(),
    "minimax": Setting("minimax"),
    "least squares": Setting("least squares"),
    "hinge": Setting("hinge"),
    "R1": Setting(penalty="R1", weight=0.1),
    "fast generator": FAST,
    "fast, R1": FAST._replace(penalty="R1", weight=0.1),
    # All modes with seeds 0, 1, 2; of seeds 0 to 6 with five, the others have 7 and 3.
    "fast, R1 x 100": FAST._replace(penalty="R1", weight=10.0),
    # All modes with seeds 0 to 9; with 10 steps of D only four of seeds 0 to 6 have all.
    "fast, 20 steps of D": FAST._replace(discriminator_steps=20),
    "Wasserstein, free": Setting("wasserstein", discriminator_steps=5),
    "Wasserstein, penalty": Setting("wasserstein", "gradient", 1.0, 5),
}
USUAL = ("non-saturating", "minimax", "least squares", "hinge", "R1")  # of the same rates
FILMED = ("fast generator", "fast, 20 steps of D")
MOMENTS = (1500, 2000, 2500, 3000, 3500, 4000)


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


def train_gan(
    setting: Setting, seed: int, steps: int = GAN_STEPS, **more: Any
) -> tuple[GAN, History]:
    """A GAN after its updates, and their history."""
    gan = make_gan(setting, seed)
    ring = gaussians(8)
    chance = torch.Generator().manual_seed(seed)
    players = {gan.generator: setting.generator_rate, gan.discriminator: setting.rate}
    groups = [{"params": one.parameters(), "lr": rate} for one, rate in players.items()]
    history = fit(
        gan,
        lambda gan, x: gan.loss(x),
        steps,
        optimizer=torch.optim.Adam(groups, betas=BETAS),
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


def judged_way(setting: Setting, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Of each seed; the discriminator's loss is the mean of the last hundred updates. Of seed 0
    also samples (n, 400, 2): of those FILMED at MOMENTS, of others at the last of them.
    """
    filmed = setting in [WAYS[name] for name in FILMED]
    moments = MOMENTS if filmed else MOMENTS[-1:]
    rows = []
    found: dict[str, Any] = {}
    for seed in seeds:
        film: list[np.ndarray] = []
        gan, history = train_gan(setting, seed, on_step=_camera(film, moments))
        tail = np.mean(history["discriminator"][-100:])
        rows.append({**judged_gan(gan, seed), "discriminator": float(tail)})
        if seed == 0:
            found["film"] = np.stack(film)
    return {**{key: [row[key] for row in rows] for key in rows[0]}, **found}


def _camera(film: list[np.ndarray], moments: tuple[int, ...]) -> Callable[[GAN, History], None]:
    """Appends samples to the film at these moments."""

    def look(gan: GAN, history: History) -> None:
        if len(history) in moments:
            with torch.no_grad():
                sample = gan.sample(400, torch.Generator().manual_seed(7))
            film.append(sample.numpy().astype(np.float16))

    return look


def ring_lines() -> list[str]:
    """What is stored of the ways, from the least seed to the largest, a line for each; and how far
    off they are, in standard deviations of true draws.
    """
    numbers = RUNS.numbers()
    null, mean = (numbers["rings/null"][key] for key in ("std", "mean"))

    def spread(name: str, key: str, form: str, unit: float = 1.0) -> str:
        values = sorted(value / unit for value in numbers[f"rings/{name}"][key])
        return f"{values[0]:{form}} to {values[-1]:{form}}"

    lines = [f"two sets of true draws are off by {mean:.4f}, sd {null:.4f}"]
    for name in WAYS:
        off = spread(name, "energy", ".2g")
        times = spread(name, "energy", ".0f", null)
        loss = spread(name, "discriminator", ".4g")
        modes = spread(name, "modes", ".0f")
        near = spread(name, "near", ".2f")
        found = f"modes {modes}, near one {near}, off by {off} ({times} sd)"
        lines.append(f"{name:20s} {found}, D's loss {loss}")
    return lines


def fresh_loss(name: str, steps: int = 300) -> float:
    """The loss of a discriminator that is trained anew against the stored samples of a way, which
    stay as they are: half of them to train, the others to judge.
    """
    torch.manual_seed(0)
    ring = gaussians(8)
    samples = torch.tensor(RUNS.arrays()[f"rings/{name}/film"][-1].astype(np.float32))
    train, judge = samples[torch.randperm(len(samples))].chunk(2)
    net = MLP(2, WIDTH, WIDTH, 1, activation=nn.ReLU)

    def loss(net: MLP, fake: Tensor) -> Tensor:
        real = ring.sample(len(fake)).float()
        return softplus(-net(real)).mean() + softplus(net(fake)).mean()

    fit(net, lambda net, step: loss(net, train), steps, lr=GAN_RATE, progress=False)
    with torch.no_grad():
        return float(torch.stack([loss(net, judge) for _ in range(20)]).mean())


def hops() -> np.ndarray:
    """By how much the middle of the fast generator's samples moves from moment to moment."""
    middles = RUNS.arrays()["rings/fast generator/film"].astype(float).mean(1)
    return np.linalg.norm(np.diff(middles, axis=0), axis=1)


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
        "SECONDS": SECONDS,
        "RATES": RATES,
        "HELD_OUT": HELD_OUT,
        "AVERAGE": AVERAGE,
        "GAN_STEPS": GAN_STEPS,
        "GAN_BATCH": GAN_BATCH,
        "BETAS": BETAS,
        "SAMPLES": SAMPLES,
        "WIDTH": WIDTH,
    },
    results={
        "rings/null": Run(null_energy, "", tuple(range(10))),
        **{f"rings/{name}": Run(judged_way, way, SEEDS) for name, way in WAYS.items()},
        **{f"pixels/{name}": Run(judged_pixels, name, SEEDS) for name in NETS},
    },
    verify=verify,
)
