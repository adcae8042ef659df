"""Lesson 08: the classifier of disk and annulus, how it is trained, and the runs that are stored
with the course.

    python benchmarks/limits_of_flows.py          trains all of them again (about half an hour), and
    stores them

Three groups, all with dopri5 at tolerance 1e-3, batches of 64, two hidden layers of 32 units, a
field with time:
- paper: as in config.json of Dupont et al. (relu, learning rate 1e-3, 30 epochs), without and with
  5 extra dimensions;
- ours: tanh, learning rate 5e-3 falling linearly to 0, 30 epochs; plain and with each penalty;
- wedge: as ours, but the points at angles from 0 to pi/5 are left out in training.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.functional import smooth_l1_loss
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ...course.runs import load
from ...data import disk_in_annulus
from ...models import MLP, AugmentedODE, RegularizedODE, VectorField, random_end
from ...training import Minibatches, fit
from ...training.precision import default_dtype

TOLERANCE, EPOCHS, WEDGE = 1e-3, 30, math.pi / 5
SPAN = torch.tensor([0.0, 1.0], dtype=torch.float64)
FRAMES = (
    0,
    20,
    40,
    60,
    80,
    100,
    125,
    150,
    175,
    200,
    250,
    300,
    350,
    400,
    500,
    600,
    700,
    800,
    960,
)  # updates
MEASURES = (
    "loss",
    "accuracy",
    "test_loss",
    "test_accuracy",
    "nfe",
    "nfe_tight",
    "kinetic",
    "frobenius",
)


class Setting(NamedTuple):
    """What a run differs in: extra dimensions, the paper's protocol or ours, weights of penalties,
    a wedge left out.
    """

    extra: int = 0
    paper: bool = False
    kinetic: float = 0.0
    jacobian: float = 0.0
    spread: float = 0.0
    wedge: bool = False

    @property
    def name(self) -> str:
        return ",".join(f"{key}={value:g}" for key, value in self._asdict().items())


PENALTIES = {
    "kinetic energy": [Setting(kinetic=weight) for weight in (1e-3, 1e-2, 1e-1)],
    "Jacobian": [Setting(jacobian=weight) for weight in (1e-3, 1e-2, 1e-1)],
    "random end": [Setting(spread=spread) for spread in (0.1, 0.3, 0.6)],
}
FILMED = [Setting(extra) for extra in (0, 1, 5)]  # whose parameters are stored along the way
RUNS = dict.fromkeys(FILMED, 5)  # setting: number of seeds
RUNS |= {Setting(extra, paper=True): 10 for extra in (0, 5)}
RUNS |= {Setting(extra, wedge=True): 5 for extra in (0, 1)}
RUNS |= {
    setting._replace(extra=extra): 3
    for row in PENALTIES.values()
    for setting in row
    for extra in (0, 1)
}


class Classifier(nn.Module):
    """x (N, 2) -> (N, 1): the flow from t = 0 to 1, read out linearly. Negative: disk; positive:
    annulus.
    """

    def __init__(self, extra: int = 0, activation: type[nn.Module] = nn.Tanh) -> None:
        super().__init__()
        dims = 2 + extra
        field = VectorField(MLP(dims + 1, 32, 32, dims, activation=activation), time=True)
        self.ode = AugmentedODE(field, extra, rtol=TOLERANCE, atol=TOLERANCE)
        self.readout = nn.Linear(dims, 1)

    def forward(self, x):
        return self.readout(self.ode(x, SPAN)[-1])


def in_wedge(x):
    """Which of the points x (N, 2) are at an angle from 0 to pi/5."""
    angle = torch.atan2(x[:, 1], x[:, 0])
    return (angle >= 0) & (angle <= WEDGE)


def train(setting: Setting, seed: int, on_step=None, steps: int | None = None):
    """Train a classifier: (model, history, x, label). In float64, so that it depends little on the
    machine.
    """
    with default_dtype(torch.float64):
        x, label = disk_in_annulus(seed=seed)
        if setting.wedge:
            x, label = x[~in_wedge(x)], label[~in_wedge(x)]
        torch.manual_seed(seed)
        model = Classifier(setting.extra, nn.ReLU if setting.paper else nn.Tanh)
        batches = Minibatches(x, label, size=64, seed=seed)
        steps = steps or EPOCHS * batches.per_epoch
        schedule = None if setting.paper else lambda step: 1 - step / steps
        lr = 1e-3 if setting.paper else 5e-3
        loss = _loss(model, setting)
        options = {"lr": lr, "schedule": schedule, "on_step": on_step}
        history = fit(model, loss, steps, batches=batches, progress=False, **options)
    return model, history, x, label


def _loss(model, setting):
    """The Huber loss of the labels (as Dupont et al.), and the weighted penalties."""
    penalized = None
    if setting.kinetic or setting.jacobian:
        solver = {"rtol": TOLERANCE, "atol": TOLERANCE, "jacobian": setting.jacobian > 0}
        penalized = RegularizedODE(model.ode.func, **solver)

    def loss(model, batch):
        x, label = batch
        t = random_end(SPAN, setting.spread) if setting.spread else SPAN
        if penalized is None:
            return smooth_l1_loss(model.readout(model.ode(x, t)[-1]), label)
        path = penalized(model.ode.augment(x), t)
        cost = setting.kinetic * path.kinetic.mean()
        if setting.jacobian:
            cost = cost + setting.jacobian * path.frobenius.mean()
        return smooth_l1_loss(model.readout(path.y[-1]), label) + cost, {"nfe": penalized.stats.nfe}

    return loss


@torch.no_grad()
def measure(model, x, label, test_x, test_label) -> list[float]:
    """MEASURES of a trained model: on its training points, and on new ones."""
    values = []
    for points, labels in ((x, label), (test_x, test_label)):
        output = model(points)
        values += [
            smooth_l1_loss(output, labels).item(),
            ((output > 0) == (labels > 0)).double().mean().item(),
        ]
    start = model.ode.augment(test_x)
    tight = RegularizedODE(model.ode.func, rtol=1e-6, atol=1e-6)
    path = tight(start, SPAN)
    return [
        *values,
        model.ode.stats.nfe,
        tight.stats.nfe,
        path.kinetic.mean().item(),
        path.frobenius.mean().item(),
    ]


def run(setting: Setting, seeds: int) -> dict[str, np.ndarray]:
    """Train with several seeds and return what is stored of it; the parameters are those of the
    first seed.
    """
    columns: dict[str, list] = {"loss": [], "nfe": [], "measures": []}
    frames: list[np.ndarray] = []

    def film(model, history):
        if len(history) in FRAMES:
            frames.append(_vector(model))

    for seed in range(seeds):
        filmed = seed == 0 and setting in FILMED
        if filmed:
            frames.append(_vector(_untrained(setting, seed)))
        model, history, x, label = train(setting, seed, film if filmed else None)
        if seed == 0 and not filmed:
            frames.append(_vector(model))
        for name in ("loss", "nfe"):
            columns[name].append([np.mean(part) for part in np.array_split(history[name], EPOCHS)])
        with default_dtype(torch.float64):
            test_x, test_label = disk_in_annulus(2000, 6000, seed=1000 + seed)
        if setting.wedge:
            test_x, test_label = test_x[in_wedge(test_x)], test_label[in_wedge(test_x)]
        columns["measures"].append(measure(model, x, label, test_x, test_label))
    stored = {name: np.array(values, dtype=np.float32) for name, values in columns.items()}
    if not (setting.paper or setting.wedge):
        stored["parameters"] = np.array(frames, dtype=np.float16)
    return stored


def make(report=print) -> dict[str, np.ndarray]:
    """Train everything: name of an array -> array."""
    arrays = {}
    for setting, seeds in RUNS.items():
        for name, array in run(setting, seeds).items():
            arrays[f"{setting.name}/{name}"] = array
        medians = np.median(arrays[f"{setting.name}/measures"].astype(float), axis=0)
        report(f"{setting.name}: {medians.round(4).tolist()}")
    return arrays


@lru_cache(maxsize=1)
def stored() -> dict[str, np.ndarray]:
    """The stored runs: name of an array -> array."""
    return load("limits_of_flows.npz")


def measures(setting: Setting, runs: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
    """MEASURES of the runs of a setting, by name: arrays (seeds,)."""
    table = (runs or stored())[f"{setting.name}/measures"]
    return dict(zip(MEASURES, table.T))


@lru_cache(maxsize=128)
def model_of(setting: Setting, frame: int = -1) -> Classifier:
    """The classifier of the first seed, at one of FRAMES where it was filmed, in float64."""
    values = stored()[f"{setting.name}/parameters"][frame].astype(np.float64)
    model = Classifier(setting.extra).double().requires_grad_(False)
    vector_to_parameters(torch.from_numpy(values), model.parameters())
    return model


def _untrained(setting, seed):
    with default_dtype(torch.float64):
        torch.manual_seed(seed)
        return Classifier(setting.extra)


def _vector(model):
    return parameters_to_vector(model.parameters()).detach().numpy()
