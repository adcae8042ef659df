"""Lesson 08: the classifier of disk and annulus, how it is trained, and the runs that are stored,
half an hour on one core.

Three groups, all with dopri5 at tolerance 1e-3, batches of 64, two hidden layers of 32 units, a
field with time:
- paper: as in config.json of Dupont et al. (relu, learning rate 1e-3, 30 epochs), without and with
  5 extra dimensions;
- ours: tanh, learning rate 5e-3 falling linearly to 0, 30 epochs; plain, with each
  penalty, and with two together;
- wedge: as ours, but the points at angles from 0 to pi/5 are left out in training.

In float64. Another machine gives other last digits, and after some hundred updates other numbers;
what the lesson says about them is asserted with bounds.
"""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from ...course.runs import Check, Run, Runs
from ...data import disk_in_annulus
from ...models import MLP, AugmentedODE, RegularizedODE, VectorField, random_end
from ...training import History, Minibatches, fit, linear
from ...training.precision import default_dtype

TOLERANCE = 1e-3
EPOCHS = 30
BATCH = 64
WEDGE = math.pi / 5
SPAN = torch.tensor([0.0, 1.0], dtype=torch.float64)
FRAMES = (  # updates, after which the parameters are stored
    *(0, 20, 40, 60, 80, 100, 125, 150, 175, 200),
    *(250, 300, 350, 400, 500, 600, 700, 800, 960),
)
MEASURES = (
    *("loss", "accuracy", "test_loss", "test_accuracy"),
    *("nfe", "nfe_tight", "kinetic", "frobenius"),
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
    "both": [Setting(kinetic=weight, jacobian=weight) for weight in (1e-3, 1e-2, 1e-1)],
}
FILMED = [Setting(extra) for extra in (0, 1, 5)]  # whose parameters are stored along the way
NUMBER_OF_SEEDS = (
    dict.fromkeys(FILMED, 5)
    | {Setting(extra, paper=True): 10 for extra in (0, 5)}
    | {Setting(extra, wedge=True): 5 for extra in (0, 1)}
    | {
        setting._replace(extra=extra): 3
        for row in PENALTIES.values()
        for setting in row
        for extra in (0, 1)
    }
)


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

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.ode(x, SPAN)[-1])


def in_wedge(x: Tensor) -> Tensor:
    """Which of the points x (N, 2) are at an angle from 0 to pi/5."""
    angle = torch.atan2(x[:, 1], x[:, 0])
    return (angle >= 0) & (angle <= WEDGE)


def train(
    setting: Setting,
    seed: int,
    on_step: Callable[[Any, History], Any] | None = None,
    steps: int | None = None,
) -> tuple[Classifier, History, Tensor, Tensor]:
    """Train a classifier: (model, history, x, label). In float64, so that it depends little on the
    machine.
    """
    with default_dtype(torch.float64):
        x, label = disk_in_annulus(seed=seed)
        if setting.wedge:
            x, label = x[~in_wedge(x)], label[~in_wedge(x)]
        torch.manual_seed(seed)
        model = Classifier(setting.extra, nn.ReLU if setting.paper else nn.Tanh)
        batches = Minibatches(x, label, size=BATCH, seed=seed)
        steps = steps or EPOCHS * batches.per_epoch
        history = fit(
            model,
            _loss(model, setting),
            steps,
            lr=1e-3 if setting.paper else 5e-3,
            schedule=None if setting.paper else linear(steps),
            batches=batches,
            on_step=on_step,
            progress=False,
        )
    return model, history, x, label


def _loss(model: Classifier, setting: Setting) -> Callable[[Classifier, Any], Any]:
    """The Huber loss of the labels (as Dupont et al.), and the weighted penalties."""
    penalized = None
    if setting.kinetic or setting.jacobian:
        penalized = RegularizedODE(
            model.ode.func, rtol=TOLERANCE, atol=TOLERANCE, jacobian=setting.jacobian > 0
        )

    def loss(model: Classifier, batch: tuple[Tensor, Tensor]) -> Any:
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
def measure(
    model: Classifier, x: Tensor, label: Tensor, test_x: Tensor, test_label: Tensor
) -> list[float]:
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


# -- what is stored --------------------------------------------------------------------------------


def run(setting: Setting, seeds: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Train with several seeds: means of loss and NFE over each epoch (seeds, EPOCHS), MEASURES
    (seeds, 8), and the parameters of the first seed (frames, P).
    """
    columns: dict[str, list] = {"loss": [], "nfe": [], "measures": []}
    frames: list[np.ndarray] = []

    def film(model: Classifier, history: History) -> None:
        if len(history) in FRAMES:
            frames.append(_vector(model))

    for seed in seeds:
        first = seed == seeds[0]
        filmed = first and setting in FILMED
        if filmed:
            frames.append(_vector(_untrained(setting, seed)))
        model, history, x, label = train(setting, seed, film if filmed else None)
        if first and not filmed:
            frames.append(_vector(model))
        for name in ("loss", "nfe"):
            columns[name].append([np.mean(part) for part in np.array_split(history[name], EPOCHS)])
        test_x, test_label = _new_points(setting, seed)
        columns["measures"].append(measure(model, x, label, test_x, test_label))
    found = {name: np.array(values, dtype=np.float32) for name, values in columns.items()}
    if not (setting.paper or setting.wedge):
        found["parameters"] = np.array(frames, dtype=np.float16)
    return found


def _new_points(setting: Setting, seed: int) -> tuple[Tensor, Tensor]:
    """Points (8000, 2) that no training sees, and their labels; of a wedge, those inside it."""
    with default_dtype(torch.float64):
        x, label = disk_in_annulus(2000, 6000, seed=1000 + seed)
    return (x[in_wedge(x)], label[in_wedge(x)]) if setting.wedge else (x, label)


def make() -> dict[str, np.ndarray]:
    """Train everything, and store nothing: name of an array -> array."""
    found = {name: run.make(run.settings, run.seeds) for name, run in RUNS.results.items()}
    return {f"{name}/{key}": array for name, row in found.items() for key, array in row.items()}


def verify() -> Iterator[Check]:
    """The loss on new points of the filmed models; their parameters are of half precision."""
    for setting in FILMED:
        x, label = _new_points(setting, 0)
        with torch.no_grad():
            loss = smooth_l1_loss(model_of(setting)(x), label).item()
        before = float(measures(setting)["test_loss"][0])
        yield Check(f"{setting.name}: test_loss", loss, before, max(0.1 * before, 2e-4))


def stored() -> dict[str, np.ndarray]:
    """The stored runs: name of an array -> array."""
    return RUNS.arrays()


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


def _untrained(setting: Setting, seed: int) -> Classifier:
    with default_dtype(torch.float64):
        torch.manual_seed(seed)
        return Classifier(setting.extra)


def _vector(model: Classifier) -> np.ndarray:
    return parameters_to_vector(model.parameters()).detach().numpy()


RUNS = Runs(
    "limits_of_flows",
    protocol={
        "TOLERANCE": TOLERANCE,
        "EPOCHS": EPOCHS,
        "BATCH": BATCH,
        "WEDGE": WEDGE,
        "FRAMES": FRAMES,
        "MEASURES": MEASURES,
    },
    results={
        setting.name: Run(run, setting, tuple(range(number)))
        for setting, number in NUMBER_OF_SEEDS.items()
    },
    verify=verify,
)
