"""Lesson 16: the long runs, a quarter of an hour on one core.

Diffusion on scikit-learn's digits, 8 by 8 pixels; `digit_nets` has the nets and their training.

- reference: the measures (data/two_samples.py) of real images against others, and of "models" whose
  faults are known;
- U-Net, MLP: the net of each seed, sampled with few and many evaluations by each of SAMPLERS; its
  loss, and a bound on the bits of a pixel;
- guided: a U-Net that knows labels: measures over the weight of the guidance.

The U-Net of seed 0 and the guided one are stored, in a byte for each parameter.
"""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...course.packed import packed, unpacked
from ...course.runs import Check, Run, Runs, short
from ...data.pixels import LEVELS, SIDE, STD, Judged, counted, counts, judge, nearest_labels, spread
from ...data.two_samples import Comparison, compare, nearest, null_band
from ...models.diffusion import Diffusion, bits_per_dimension
from ...models.gaussian_paths import GaussianPath
from ...models.samplers import (
    Samples,
    ancestral,
    ddim,
    dpm_solver,
    heun,
    probability_flow,
    reverse_sde,
)
from ...models.time_grids import even, karras, to_data
from .digit_nets import (
    AVERAGE,
    BATCH,
    CLASSES,
    DROP,
    RATES,
    ROUNDS,
    STEPS,
    Setting,
    loss_on,
    make,
    train,
)

SEEDS = (0, 1, 2)
STEP_COUNTS = (1, 2, 4, 8, 16, 32, 64)
GUIDANCE = (0.0, 1.0, 2.0, 3.0, 5.0, 9.0)
GUIDED_STEPS = 32
SPLITS = 40  # of the real images, for what two sets of them give
SHOWN = 20  # images of each kind
BITS_TOLERANCE = 1e-4


def karras_to_data(path: GaussianPath, steps: int) -> Tensor:
    """EDM's times, of which the last is 0; 2 steps or more."""
    return to_data(karras(path, steps - 1))


class Sampler(NamedTuple):
    """A function of models/samplers.py, a grid of models/time_grids.py, and numbers of steps."""

    sample: Callable[..., Samples]
    grid: Callable[[GaussianPath, int], Tensor] = even
    steps: tuple[int, ...] = STEP_COUNTS


# A step of the probability flow by Heun's or the midpoint method takes two evaluations, one of EDM
# too, but for the last.
SAMPLERS = {
    "reverse SDE": Sampler(reverse_sde, steps=(*STEP_COUNTS, 128)),
    "ancestral": Sampler(ancestral, steps=(*STEP_COUNTS, 128)),
    "DDIM": Sampler(ddim),
    "DPM-Solver++": Sampler(dpm_solver),
    "Heun": Sampler(partial(probability_flow, method="heun2"), steps=STEP_COUNTS[:-1]),
    "midpoint": Sampler(partial(probability_flow, method="midpoint"), steps=STEP_COUNTS[:-1]),
    "EDM": Sampler(heun, grid=karras_to_data, steps=STEP_COUNTS[1:-1]),
}
SHOWN_SAMPLERS = ("ancestral", "DDIM", "Heun")
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4)  # of dopri5 on the probability flow


def samples(model: Diffusion, sampler: str, steps: int, seed: int = 0, **options: Any) -> Samples:
    """As many images as there are test images, (450, 1, 8, 8) of dark dots; one noise for all
    samplers and numbers of steps.
    """
    sample, grid, _ = SAMPLERS[sampler]
    return _sampled(model, grid(model.path, steps), seed, sampler=sample, **options)


def adaptive(model: Diffusion, tolerance: float, seed: int = 0) -> Samples:
    """The same by dopri5."""
    ends = even(model.path, 1)
    options = {"sampler": probability_flow, "rtol": tolerance, "atol": tolerance}
    return _sampled(model, ends, seed, **options)


def _sampled(model: Diffusion, times: Tensor, seed: int, **options: Any) -> Samples:
    chance = torch.Generator().manual_seed(1000 + seed)
    found = model.sample(len(counts().test_images), times, generator=chance, **options)
    return found._replace(x=counted(found.x))


def bits(model: Diffusion) -> float:
    """A bound on the bits of a pixel of the test images, by the probability flow; one probe of the
    trace and one noise on the pixels for each image.
    """
    chance = torch.Generator().manual_seed(0)
    x = spread(counts().test_images, chance)
    torch.manual_seed(0)  # of the probes
    log_prob = model.log_prob(x, trace="rademacher", rtol=BITS_TOLERANCE, atol=BITS_TOLERANCE)
    return bits_per_dimension(log_prob, SIDE**2, 1 / STD).mean().item()


# -- what is stored --------------------------------------------------------------------------------


def reference(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Of each measure: mean and standard deviation between two sets of real images; what the
    measures say of training images, copies of them, a model without eights, and a Gaussian; and
    the bits of a pixel of that.
    """
    split = counts()
    chance = torch.Generator().manual_seed(seeds[0])
    n = len(split.test_images)
    train_images, labels = split.images, split.labels
    real = torch.cat([train_images, split.test_images])
    band = null_band(compare, real, n, SPLITS, chance)
    null = {
        key: [short(values.mean()), short(values.std())]
        for key, values in zip(Comparison._fields, band.T)
    }
    away = nearest(split.test_images, train_images).median()
    null["nearest"] = [short(away), 0.0]
    spread_train, spread_test = (
        spread(images, chance).flatten(1).double() for images in (train_images, split.test_images)
    )
    gaussian = torch.distributions.MultivariateNormal(
        spread_train.mean(0), torch.cov(spread_train.T)
    )

    def some(x: Tensor) -> Tensor:
        return x[torch.randperm(len(x), generator=chance)[:n]]

    rows = {
        "training images": some(train_images),
        "copies": train_images[torch.randint(len(train_images), (n,), generator=chance)],
        "no eights": some(train_images[labels != 8]),
        "a Gaussian": counted(_drawn(gaussian, n, chance)).reshape(split.test_images.shape),
    }
    gaussian_bits = bits_per_dimension(gaussian.log_prob(spread_test), SIDE**2, 1 / STD).mean()
    return {
        "null": null,
        **{name: _row(judge(images)) for name, images in rows.items()},
        "bits": {"a Gaussian": short(gaussian_bits), "uniform": short(math.log2(LEVELS))},
    }


def _drawn(
    normal: torch.distributions.MultivariateNormal, n: int, chance: torch.Generator
) -> Tensor:
    z = torch.randn(n, len(normal.loc), generator=chance, dtype=torch.float64)
    return (normal.loc + z @ normal.scale_tril.T).float()


def judged(setting: Setting, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Train a net; its losses, bits and samples. With parameters and images for the first seed of
    the U-Net.
    """
    (seed,) = seeds
    split = counts()
    model, history = train(setting, seed)
    found: dict[str, Any] = {
        "seconds": round(history.spent),
        "loss": short(loss_on(model, split.test_images)),
        "train loss": short(loss_on(model, split.images)),
        "bits": short(bits(model)),
        "samplers": {
            name: _columns([samples(model, name, steps, seed) for steps in sampler.steps])
            for name, sampler in SAMPLERS.items()
        },
    }
    found["samplers"]["dopri5"] = _columns([adaptive(model, tol, seed) for tol in TOLERANCES])
    if setting == Setting() and seed == SEEDS[0]:
        for name in SHOWN_SAMPLERS:
            for steps in SAMPLERS[name].steps:
                found[f"images {name} {steps}"] = _shown(samples(model, name, steps, seed).x)
        found |= packed(model.state_dict())
    return found


def _columns(found: list[Samples]) -> dict[str, list]:
    rows = [_row(judge(each.x)) for each in found]
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    return {"nfe": [each.nfe for each in found], **columns}


def guided(setting: Setting, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Train a U-Net with labels; measures for each weight of GUIDANCE, and "right", the share of
    images whose nearest training image has the label that was asked for; images; parameters.
    """
    (seed,) = seeds
    split = counts()
    model, history = train(setting, seed)
    labels = split.test_labels
    found: dict[str, Any] = {
        "seconds": round(history.spent),
        "loss": short(loss_on(model, split.test_images, labels)),
    }
    rows = []
    for weight in GUIDANCE:
        x = samples(model, "DDIM", GUIDED_STEPS, seed, label=labels, guidance=weight).x
        right = (nearest_labels(x) == labels).double().mean()
        rows.append({**_row(judge(x)), "right": short(right)})
        found[f"images {weight:g}"] = _shown(_each_twice(x, labels))
    found |= {key: [row[key] for row in rows] for key in rows[0]}
    return found | packed(model.state_dict())


def _each_twice(x: Tensor, labels: Tensor) -> Tensor:
    """The first two images of each label, (20, 1, 8, 8)."""
    return torch.cat([x[labels == digit][:2] for digit in range(CLASSES)])


def _row(found: Judged) -> dict[str, float]:
    return {key: short(value) for key, value in found._asdict().items()}


def _shown(images: Tensor) -> np.ndarray:
    return images[:SHOWN, 0].numpy().astype(np.uint8)


NETS = {"U-Net": Setting(), "MLP": Setting("MLP")}
GUIDED = Setting(labels=True)


@lru_cache(maxsize=2)
def stored(name: str) -> Diffusion:
    """The stored U-Net of seed 0, "U-Net" or "guided"; in evaluation mode."""
    key, setting = {"U-Net": ("U-Net/0", NETS["U-Net"]), "guided": ("guided", GUIDED)}[name]
    model = make(setting)
    whole, halves = (RUNS.arrays()[f"{key}/{part}"] for part in ("bytes", "halves"))
    model.load_state_dict(unpacked(whole, halves, model.state_dict()))
    return model.eval().requires_grad_(False)


def over_seeds(net: str, sampler: str, measure: str) -> np.ndarray:
    """A measure of one of NETS for each number of steps, (seeds, numbers); "nfe" gives their
    evaluations. sampler: one of SAMPLERS, or "dopri5".
    """
    rows = [RUNS.numbers()[f"{net}/{seed}"]["samplers"][sampler][measure] for seed in SEEDS]
    return np.array(rows)


def verify() -> Iterator[Check]:
    """The stored nets measured again; their weights are rounded."""
    split = counts()
    row = RUNS.numbers()["U-Net/0"]
    model = stored("U-Net")
    yield Check("U-Net: loss", loss_on(model, split.test_images), row["loss"], 0.01)
    place = SAMPLERS["DDIM"].steps.index(16)
    again = judge(samples(model, "DDIM", 16).x)
    for key in ("energy", "precision", "recall"):
        value = row["samplers"]["DDIM"][key][place]
        yield Check(f"U-Net: {key}", getattr(again, key), value, 0.06)
    loss = loss_on(stored("guided"), split.test_images, split.test_labels)
    yield Check("guided: loss", loss, RUNS.numbers()["guided"]["loss"], 0.01)


RUNS = Runs(
    "diffusion",
    protocol={
        "STEPS": STEPS,
        "BATCH": BATCH,
        "AVERAGE": AVERAGE,
        "RATES": RATES,
        "DROP": DROP,
        "ROUNDS": ROUNDS,
        "STEPS OF SAMPLERS": {name: sampler.steps for name, sampler in SAMPLERS.items()},
        "TOLERANCES": TOLERANCES,
        "GUIDANCE": GUIDANCE,
        "GUIDED_STEPS": GUIDED_STEPS,
        "SPLITS": SPLITS,
        "BITS_TOLERANCE": BITS_TOLERANCE,
    },
    results={
        "reference": Run(reference, "reference"),
        "U-Net/0": Run(judged, NETS["U-Net"], (0,)),
        "guided": Run(guided, GUIDED),
        **{f"{name}/{seed}": Run(judged, NETS[name], (seed,)) for name in NETS for seed in SEEDS},
    },
    verify=verify,
)
