"""Lesson 07: the nets on digits, their training, what is measured of them, and the long runs.

The long runs, half an hour on one core:

- table: every net on every fold with every seed: wrong answers, processor's seconds of training;
- solvers: nets trained with few steps of Euler's method, and the ODE-Net, on all folds: wrong
  answers with the solver that they were trained with, and with an accurate one;
- growth: evaluations during a longer training, for three fields: forward, backward, and forward at
  a tight tolerance;
- three trained nets, in half precision, and what they answer under many solvers; the same answers
  of one Euler step; what a ResNet makes of the test images between its blocks.
"""

import copy
import timeit
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ... import MLP, History, Minibatches, NeuralODE, fit
from ...course.runs import Check, Run, Runs
from ...data.digits import FOLDS, digits
from ...models import ConvField, ODENet, ResNet
from ...models.resnet import downsampling
from ...training import cosine

CHANNELS = 32
EPOCHS = 8
BATCH = 32
TOLERANCE: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-3}
RK4: dict[str, Any] = {  # two steps of four evaluations
    "method": "rk4_classic",
    "options": {"step_size": 0.5},
}
SEEDS = (0, 1, 2)
LONG = 24  # epochs of `growth`
TIGHT = {"rtol": 1e-6, "atol": 1e-6}
FIXED = (1, 2, 4, 8, 16, 32)  # steps of the dial
TOLERANCES = [10 ** (-k / 2) for k in range(0, 13)]  # of the dial, 1 to 1e-6, two a decade
METHODS = ("euler", "rk4_classic", "bosh3", "dopri5", "dopri8")  # of the dial


def _linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), MLP(64, 256, 256, 10, activation=nn.SiLU))


def _flat() -> nn.Module:
    """No block, and a classifier that knows where in the image a feature is: no mean over the
    positions.
    """
    return nn.Sequential(
        downsampling(1, CHANNELS, 1), nn.SiLU(), nn.Flatten(), nn.Linear(CHANNELS * 16, 10)
    )


def one_step() -> ODENet:
    """An ODE-Net's field as a single residual block: one step of Euler's method."""
    return ODENet(CHANNELS, method="euler", options={"step_size": 1.0})


def _field(**options: Any) -> Callable[[], ODENet]:
    """An ODE-Net with another field."""
    return lambda: ODENet(
        CHANNELS, field=ConvField(CHANNELS, **options), gradient="adjoint", **TOLERANCE
    )


NETS = {
    "linear": _linear,
    "MLP": _mlp,
    "no block": lambda: ResNet(CHANNELS, blocks=0),
    "no block, flat head": _flat,
    "one block": lambda: ResNet(CHANNELS, blocks=1),
    "ResNet": lambda: ResNet(CHANNELS, blocks=6),
    "RK-Net": lambda: ODENet(CHANNELS, **RK4),
    "ODE-Net": lambda: ODENet(CHANNELS, gradient="adjoint", **TOLERANCE),
}
FIELDS = {
    "norms, SiLU": NETS["ODE-Net"],
    "no norms, SiLU": _field(normalize=False),
    "no norms, ReLU": _field(normalize=False, activation=nn.ReLU),
}
STORED = {
    "ODE-Net": NETS["ODE-Net"],
    "ReLU": _field(activation=nn.ReLU),
    "no norms": FIELDS["no norms, SiLU"],
}


class Trained(NamedTuple):
    """A trained net, its `History`, the processor's seconds, and wrong answers among the test
    images.
    """

    net: Any
    history: History
    seconds: float
    wrong: int


def train(
    make: Callable[[], nn.Module],
    fold: int = 0,
    seed: int = 0,
    epochs: int = EPOCHS,
    evaluate: Callable[[Any], dict[str, float]] | None = None,
) -> Trained:
    """Make a net and train it on all digits but those of a fold: Adam, learning rate falling to 0
    along a cosine.

    The rate is 0.003, for the linear classifier 0.03, each the best of 0.001, 0.003, 0.01, 0.03 on
    fold 0. evaluate: as for `fit`, after every epoch.
    """
    split = digits(fold)
    torch.manual_seed(seed)
    net = make()
    batches = Minibatches(split.images, split.labels, size=BATCH, seed=seed)
    steps = epochs * batches.per_epoch
    history = fit(
        net,
        lambda net, batch: cross_entropy(net(batch[0]), batch[1]),
        steps,
        lr=0.03 if make is _linear else 0.003,
        schedule=cosine(steps),
        batches=batches,
        evaluate=evaluate,
        evaluate_every=batches.per_epoch if evaluate else None,
        progress=False,
    )
    return Trained(net, history, history.spent, wrong(net, fold))


def count(net: nn.Module) -> int:
    """The number of parameters."""
    return sum(p.numel() for p in net.parameters())


@torch.no_grad()
def wrong(net: nn.Module, fold: int = 0) -> int:
    """How many test images of a fold a net takes for another digit."""
    split = digits(fold)
    return int((net(split.test_images).argmax(1) != split.test_labels).sum())


@torch.no_grad()
def solve_with(net: Any, images: Tensor, **solver: Any) -> tuple[Tensor, int]:
    """The scores (B, classes) of an ODE-Net with another solver, and the evaluations it took."""
    block = NeuralODE(net.block.func, **solver)
    x = net.stem(images)
    scores = net.head(block(x, torch.tensor([0.0, 1.0], dtype=x.dtype))[-1])
    return scores, block.stats.nfe


@torch.no_grad()
def pooled(net: Any, features: Tensor) -> Tensor:
    """What the classifier's linear layer sees of features (T, B, C, h, w): means over positions
    (T, B, C).
    """
    return net.head[0](features).mean((-2, -1))


def flat_map(net: Any, features: Tensor) -> Tensor:
    """Two coordinates (T, B, 2) of what the classifier sees: the directions that best separate the
    classes at the end.

    (Linear discriminant analysis of the last `pooled` features, for the test set of fold 0.)
    """
    seen = pooled(net, features)
    fitted = LinearDiscriminantAnalysis(n_components=2).fit(seen[-1].numpy(), test_set()[1].numpy())
    flat = torch.from_numpy(fitted.transform(seen.flatten(0, 1).numpy()))
    return flat.reshape(*seen.shape[:2], 2).float()


def costs(net: Any, images: Tensor, labels: Tensor, tols: list[float]) -> dict[str, list[float]]:
    """An ODE-Net with the adjoint, at tolerances (n,): what Figure 3 shows, from name to values
    (n,).

    "nfe", "backward": evaluations. "seconds": of the forward pass. "distance": root mean square of
    the scores' errors.
    """
    double = copy.deepcopy(net).double()
    exact, _ = solve_with(double, images.double(), method="dopri8", rtol=1e-10, atol=1e-10)
    found: dict[str, list] = {"nfe": [], "backward": [], "seconds": [], "distance": []}
    for tol in tols:
        block = NeuralODE(net.block.func, rtol=tol, atol=tol, gradient="adjoint")
        x = net.stem(images)
        t = torch.tensor([0.0, 1.0])
        with torch.no_grad():
            found["seconds"].append(min(timeit.repeat(partial(block, x, t), number=1, repeat=7)))
        scores = net.head(block(x, t)[-1])
        torch.autograd.grad(cross_entropy(scores, labels), list(net.parameters()))
        found["nfe"].append(block.stats.nfe)
        found["backward"].append(block.stats.nfe_backward)
        found["distance"].append(float((scores.detach() - exact).square().mean().sqrt()))
    return found


def fixed(method: str, steps: int) -> dict[str, Any]:
    """Keyword arguments for a number of equal steps."""
    return {"method": method, "options": {"step_size": 1 / steps}}


@lru_cache(maxsize=1)
def test_set() -> tuple[Tensor, Tensor]:
    """Images (450, 1, 8, 8) and labels of fold 0."""
    split = digits()
    return split.test_images, split.test_labels


# -- the long runs ---------------------------------------------------------------------------------


def on_all_folds(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """One of NETS: its parameters; wrong answers and seconds, by seed and fold."""
    runs = [[train(NETS[name], fold, seed) for fold in range(FOLDS)] for seed in seeds]
    return {
        "parameters": count(runs[0][0].net),
        "wrong": [[run.wrong for run in row] for row in runs],
        "seconds": [[round(run.seconds, 1) for run in row] for row in runs],
    }


def table() -> dict[str, dict[str, Any]]:
    """The stored table, made anew: name of a net -> `on_all_folds`."""
    return {name: on_all_folds(name, SEEDS) for name in NETS}


SOLVERS: dict[str, dict[str, Any]] = {
    "1 Euler step": fixed("euler", 1),
    "2 Euler steps": fixed("euler", 2),
    "4 Euler steps": fixed("euler", 4),
    "dopri5 at 1e-3": TOLERANCE,
}


def with_another_solver(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """An ODE-Net trained with one of SOLVERS: wrong answers with that, and with an accurate one."""
    make = partial(ODENet, CHANNELS, **SOLVERS[name])
    own, accurate = [], []
    for seed in seeds:
        runs = [train(make, fold, seed) for fold in range(FOLDS)]
        own.append([run.wrong for run in runs])
        accurate.append([_accurately(run.net, fold) for fold, run in enumerate(runs)])
    return {"own": own, "accurate": accurate}


def _accurately(net: ODENet, fold: int) -> int:
    split = digits(fold)
    scores, _ = solve_with(net, split.test_images, rtol=1e-5, atol=1e-5)
    return int((scores.argmax(1) != split.test_labels).sum())


def growth(name: str, seeds: tuple[int, ...]) -> dict[str, list]:
    """One of FIELDS: means over each epoch of NFE forward and backward; NFE at 1e-6 of 64 test
    images after it; wrong answers.
    """
    images = test_set()[0][:64]
    rows: dict[str, list] = {"forward": [], "backward": [], "tight": [], "wrong": []}

    def tight(net: ODENet) -> dict[str, float]:
        return {"nfe": solve_with(net, images, **TIGHT)[1]}

    for seed in seeds:
        trained = train(FIELDS[name], 0, seed, LONG, tight)
        for key, column in (("forward", "nfe"), ("backward", "nfe_backward")):
            epochs = np.reshape(trained.history[column], (LONG, -1))
            rows[key].append(epochs.mean(1).round(2).tolist())
        rows["tight"].append([int(nfe) for nfe in trained.history.evaluations["nfe"][1:]])
        rows["wrong"].append(trained.wrong)
    return rows


def net_and_dial(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """One of STORED, in half precision, and the dial of that."""
    net = train(STORED[name], seed=seeds[0]).net
    weights = {key: value.numpy().astype(np.float16) for key, value in net.state_dict().items()}
    return {**dial(_restored(name, weights)), **weights}


def one_step_and_dial(name: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """The dial of a net that was trained with one Euler step."""
    return dial(train(one_step, seed=seeds[0]).net)


def dial(net: ODENet) -> dict[str, dict[str, list]]:
    """What a net says of the test images under many solvers: method -> evaluations, wrong answers,
    and what differs from an accurate solve: how many answers, and the scores, root mean square.
    """
    images, labels = test_set()
    exact, _ = solve_with(net, images, rtol=1e-7, atol=1e-7, method="dopri5")
    rows = {}
    for method in METHODS:
        settings = [fixed(method, n) for n in FIXED]
        if method not in ("euler", "rk4_classic"):
            settings = [{"method": method, "rtol": tol, "atol": tol} for tol in TOLERANCES]
        row: dict[str, list] = {"nfe": [], "wrong": [], "changed": [], "distance": []}
        for setting in settings:
            scores, nfe = solve_with(net, images, **setting)
            row["nfe"].append(nfe)
            row["wrong"].append(int((scores.argmax(1) != labels).sum()))
            row["changed"].append(int((scores.argmax(1) != exact.argmax(1)).sum()))
            row["distance"].append(float(f"{(scores - exact).square().mean().sqrt():.3g}"))
        rows[method] = row
    return rows


@torch.no_grad()
def between_blocks(name: str, seeds: tuple[int, ...]) -> dict[str, np.ndarray]:
    """A ResNet's features of the test images as `flat_map` (7, 450, 2), and scores (7, 450, 10)."""
    with torch.enable_grad():
        net = train(NETS[name], seed=seeds[0]).net.eval()
    features = net.features(test_set()[0])
    return {
        "map": flat_map(net, features).numpy().astype(np.float16),
        "scores": torch.stack([net.head(x) for x in features]).numpy().astype(np.float16),
    }


# -- what is stored --------------------------------------------------------------------------------


def results() -> dict[str, dict[str, Any]]:
    """The stored numbers: "table", "solvers", "growth", each by name; "dial", with its "steps",
    "tolerances", and "nets" by name.
    """
    numbers = RUNS.numbers()
    found: dict[str, dict[str, Any]] = {
        part: {name: numbers[f"{part}/{name}"] for name in names}
        for part, names in (("table", NETS), ("solvers", SOLVERS), ("growth", FIELDS))
    }
    found["dial"] = {
        "steps": list(FIXED),
        "tolerances": [float(f"{tol:.3g}") for tol in TOLERANCES],
        "nets": {name: numbers[name] for name in (*STORED, "one Euler step")},
    }
    return found


@lru_cache(maxsize=3)
def stored(name: str) -> Any:
    """A trained net from the file: of fold 0, seed 0, with weights rounded to half precision. In
    evaluation mode.
    """
    keys = STORED[name]().state_dict()
    return _restored(name, {key: RUNS.arrays()[f"{name}/{key}"] for key in keys})


def _restored(name: str, weights: dict[str, np.ndarray]) -> Any:
    net = STORED[name]()
    net.load_state_dict(
        {key: torch.tensor(value, dtype=torch.float32) for key, value in weights.items()}
    )
    return net.eval()


def verify() -> Iterator[Check]:
    """Stored nets answer as their stored dial says, at one tolerance."""
    images, labels = test_set()
    place = TOLERANCES.index(1e-3)
    for name in STORED:
        row = RUNS.numbers()[name]["dopri5"]
        scores, nfe = solve_with(stored(name), images, rtol=1e-3, atol=1e-3)
        errors = int((scores.argmax(1) != labels).sum())
        yield Check(f"{name}: nfe", nfe, row["nfe"][place], 6)
        yield Check(f"{name}: wrong", errors, row["wrong"][place], 1)


RUNS = Runs(
    "ode_nets",
    protocol={
        "CHANNELS": CHANNELS,
        "EPOCHS": EPOCHS,
        "BATCH": BATCH,
        "TOLERANCE": TOLERANCE,
        "RK4": RK4,
        "LONG": LONG,
        "TIGHT": TIGHT,
        "FIXED": FIXED,
        "TOLERANCES": TOLERANCES,
        "METHODS": METHODS,
    },
    results={
        **{f"table/{name}": Run(on_all_folds, name, SEEDS) for name in NETS},
        **{f"solvers/{name}": Run(with_another_solver, name, SEEDS) for name in SOLVERS},
        **{f"growth/{name}": Run(growth, name, SEEDS) for name in FIELDS},
        **{name: Run(net_and_dial, name) for name in STORED},
        "one Euler step": Run(one_step_and_dial, "one Euler step"),
        "ResNet": Run(between_blocks, "ResNet"),
    },
    verify=verify,
)
