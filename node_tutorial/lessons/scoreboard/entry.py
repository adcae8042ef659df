"""Lesson 19: a model of yours on the scoreboard, by the protocol of all others.

    scoreboard.enter(make)      make() -> a torch module, untrained, with
                                    loss(x)      a scalar, of points x (B, 2)
                                    sample(n)    n points (n, 2)
                                    log_prob(x)  (B,), if it has one

It gets what the others got: the moons, six trials, the same budget in seconds at the price of its
updates, three seeds, the same rule and the same measures.
"""

import copy
import inspect
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from . import runs
from .families import FAMILIES, Board, Family, board
from .measures import in_plane, trial_score
from .trainings import BATCH, PRICES, Price, trained

RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)  # the six trials, for a model of one size
ROUNDS = 25  # of the clock
WHERE = "moons"
REFERENCE = "flow matching"  # whose price is known


class Entry(NamedTuple):
    """A model on the board: its measures by seed, as of the families, and how it was trained."""

    name: str
    rate: float
    price: float
    updates: int
    numbers: dict[str, list[float]]
    trials: list[float]
    share: float


def enter(
    make: Callable[[], nn.Module] | nn.Module, name: str = "yours", share: float = 1.0
) -> Entry:
    """Train a model on the moons as the families were trained, and measure it.

    It takes about half a minute on a quiet core; then draw it: `figures.plane_figure(entry)`.

    Args:
        make: a function that makes the untrained model (see the module); or the model, of which
            copies are trained.
        name: by which it is shown.
        share: of the budget, to see quickly whether all works; what it finds then is not to be
            compared.

    Raises:
        TypeError: for what is neither, or a model without loss or sample. ValueError: for a loss,
            samples or a density that cannot be, or a share outside of (0, 1]. All say what to do.
    """
    if not isinstance(share, (int, float)) or not 0 < share <= 1:
        raise ValueError(
            f"share must be above 0 and at most 1, the part of the budget, got {share}"
        )
    family = _family(_maker(make))
    where = board(WHERE)
    _check(family.make(where, 0), where)
    price = priced(family, where)
    seconds = share * runs.TRIAL[WHERE]
    scores = []
    for rate in RATES:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "diverged", RuntimeWarning)
            found = trained(family, where, 0, rate, 0, seconds, Price(price))
        scores.append(trial_score(family, found.model, where, None))
    rate = RATES[int(np.argmin(scores))]
    rows = []
    for seed in runs.SEEDS:
        found = trained(family, where, 0, rate, seed, share * runs.SECONDS[WHERE], Price(price))
        if found.updates == 0:
            raise ValueError(
                f"no update could be made at the rate {rate}: the loss or its gradient is not "
                "finite; look for a log, a root or a division of what can be 0"
            )
        _check_points(family.draw(found.model, where, 8, None))
        rows.append(in_plane(family, found.model, where, seed))
        _check_density(rows[-1])
    numbers = {key: [row[key] for row in rows] for key in rows[0]}
    return Entry(name, rate, price, found.updates, numbers, scores, share)


def priced(family: Family, where: Board) -> float:
    """Milliseconds of an update on the quiet core of the protocol: timed by turns with a net whose
    price there is known.
    """
    both = {name: _updates(entered, where) for name, entered in _pair(family).items()}
    spent: dict[str, list[float]] = {name: [] for name in both}
    for _ in range(ROUNDS):
        for name, update in both.items():
            begun = time.thread_time()
            update()
            spent[name].append(time.thread_time() - begun)
    ratio = np.median(spent["entered"][5:]) / np.median(spent["reference"][5:])
    return float(ratio * PRICES["plane"][REFERENCE][0].update)


def _pair(family: Family) -> dict[str, Family]:
    return {"entered": family, "reference": FAMILIES[REFERENCE]}


def _updates(family: Family, where: Board) -> Callable[[], None]:
    """A function that makes one update of a new model."""
    model = family.make(where, 0)
    optimizer = torch.optim.Adam(model.parameters(), 1e-5)

    def update() -> None:
        assert where.density is not None
        loss = family.loss(model, where, where.density.sample(BATCH[True]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return update


def _maker(make: Any) -> Callable[[], nn.Module]:
    if isinstance(make, nn.Module):
        model = make
        return lambda: copy.deepcopy(model)
    if isinstance(make, type) and not issubclass(make, nn.Module):
        raise TypeError(f"make must make an nn.Module, got the class {make.__name__}")
    if isinstance(make, type):
        try:
            inspect.signature(make).bind()
        except TypeError as error:
            raise TypeError(
                f"make() is called without arguments, and {make.__name__} needs some ({error}): "
                f"give a function, lambda: {make.__name__}(...)"
            ) from error
    if not callable(make):
        raise TypeError(
            "make must be a function that makes your untrained model, or the model, got "
            f"{type(make).__name__}"
        )
    return make


def _family(make: Callable[[], nn.Module]) -> Family:
    """The functions of a family from the methods of a model."""
    has_density = _has_density(make())
    return Family(
        lambda where, size: make(),
        lambda model, where, x: _first(model.loss(x)),
        lambda model, where, n, steps: _drawn(model, n),
        (lambda model, where, x: model.log_prob(x)) if has_density else None,
        (RATES, ()),
    )


def _has_density(model: Any) -> bool:
    return callable(getattr(model, "log_prob", None))


@contextmanager
def _dtype_of(model: Any) -> Iterator[None]:
    """Noise that is drawn without a dtype gets that of the parameters: a model is measured in
    float64, and torch.randn(n, 2) has to fit its layers there, too.
    """
    before = torch.get_default_dtype()
    first = next((p.dtype for p in model.parameters() if p.is_floating_point()), before)
    torch.set_default_dtype(first)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _drawn(model: Any, n: int) -> Any:
    """Samples of a model, as it makes them."""
    with _dtype_of(model):
        return _points(model.sample(n))


def _first(loss: Any) -> Tensor:
    """The loss, where it comes with something to record."""
    return loss[0] if isinstance(loss, tuple) else loss


def _points(found: Any) -> Tensor:
    """The samples, where they come with their cost."""
    return found.x if hasattr(found, "x") and not isinstance(found, Tensor) else found


def _check(model: Any, where: Board) -> None:
    """Raise what says what is missing, before anything is trained."""
    is_module = isinstance(model, nn.Module)
    if not is_module:
        raise TypeError(
            f"make() must return an nn.Module, got {type(model).__name__}; its parameters are "
            "what is trained"
        )
    for method, what in (
        ("loss", "loss(x) -> a scalar to be minimized, for points x (B, 2)"),
        ("sample", "sample(n) -> n points (n, 2)"),
    ):
        if not callable(getattr(model, method, None)):
            raise TypeError(
                f"{type(model).__name__} has no method {method}; the scoreboard calls {what}: add "
                "it, or enter a small class that has it and holds your model"
            )
    assert where.density is not None
    x = where.density.sample(8)
    loss = _first(model.loss(x))
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
        raise ValueError(
            "loss(x) must return one number that depends on the parameters, a 0-d tensor with a "
            f"gradient, got {_what(loss)}; use .mean(), and no .item() or .detach()"
        )
    if not loss.isfinite():
        raise ValueError(f"loss(x) of the untrained model must be finite, got {loss.item()}")
    with torch.no_grad():
        drawn = _drawn(model, 8)
    if not isinstance(drawn, Tensor) or drawn.shape != (8, 2):
        raise ValueError(f"sample(8) must return points (8, 2), got {_what(drawn)}")
    _check_points(drawn)
    _check_double(model, x)
    if _has_density(model):
        log_prob = model.log_prob(x)
        if not isinstance(log_prob, Tensor) or log_prob.shape != (8,):
            raise ValueError(
                "log_prob(x) must return one number for each point, (8,) for x (8, 2), got "
                f"{_what(log_prob)}; without a likelihood leave the method out"
            )


def _check_points(drawn: Tensor) -> None:
    if not drawn.isfinite().all():
        raise ValueError("sample(n) must return finite points, got some that are nan or inf")


def _check_double(model: nn.Module, x: Tensor) -> None:
    """Models are measured in float64: try it before all is trained."""
    measured = copy.deepcopy(model).double()
    try:
        with torch.no_grad():
            _drawn(measured, 8)
            if _has_density(measured):
                measured.log_prob(x.double())  # type: ignore[operator]
    except RuntimeError as error:
        raise ValueError(
            "the model is measured in float64, after model.double(), and fails there: "
            f"{error}; make noise and constants in the dtype of the parameters, as in "
            "torch.randn(n, 2).to(self.weight)"
        ) from error


def _check_density(row: dict[str, float]) -> None:
    """A KL below 0 by more than chance is no KL."""
    if "kl" in row and not row["kl"] >= -3 * row["kl error"]:
        raise ValueError(
            f"log_prob is no log density: KL(p || q) is {row['kl']:.2f} nats, and it is never "
            "below 0; does exp(log_prob) integrate to 1? Look for a constant that is missing"
        )


def _what(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return type(value).__name__
