"""What a training is made of: its history, its batches, and all that it needs to go on again."""

import copy
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn


@dataclass
class History:
    """What happened, one entry per step: history["loss"] is a list of floats.

    Columns: "loss", before the step's update; "seconds", since the start; "gradient", the Euclidean
    norm of the whole gradient, before clipping; "nfe" and "nfe_backward", where model has parts
    with `stats`, such as NeuralODE: the evaluations of their last solves; and whatever else the
    loss function returned.

    Attributes:
        steps: how many were asked for, None with a budget of seconds; len(history) were made.
        status: "finished", "interrupted", "diverged", or "stopped" by on_step.
        message: where, why, and what to try, unless finished.
        best_step: with fit(..., best=...), the step whose parameters were kept.
        seconds: the budget of the processor's seconds, None with steps.
        spent: the processor's seconds for batches, losses, gradients and updates.
        evaluations: with fit(..., evaluate=...), by name what it returned, and "step", how many
            steps had been made then.
    """

    steps: int | None
    columns: dict[str, list[float]] = field(default_factory=lambda: {"loss": []})
    status: str = "running"
    message: str = ""
    best_step: int | None = None
    seconds: float | None = None
    spent: float = 0.0
    evaluations: dict[str, list[float]] = field(default_factory=lambda: {"step": []})

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.columns:
            raise KeyError(f"no column {name!r}; there are {', '.join(self.columns)}")
        return self.columns[name]

    def __len__(self) -> int:
        return len(self.columns["loss"])

    def __repr__(self) -> str:
        ends = f", loss {self['loss'][0]:.4g} -> {self['loss'][-1]:.4g}" if len(self) else ""
        return f"History({self.status}: {self.made}{ends})"

    @property
    def share(self) -> float:
        """How much of the steps, or of the seconds, is used; from 1 on the training is over."""
        if self.seconds is not None:
            return self.spent / self.seconds
        return len(self) / (self.steps or 1)

    @property
    def made(self) -> str:
        """In words: "3 of 10 steps", "3 steps in 0.5 of 2 s"."""
        if self.seconds is None:
            return f"{len(self)} of {self.steps} steps"
        return f"{len(self)} steps in {self.spent:.3g} of {self.seconds:g} s"

    def append(self, entry: dict[str, float]) -> None:
        """Add a step. Raises ValueError unless it has the columns of the steps before."""
        if not len(self):
            self.columns.update({name: [] for name in entry})
        if entry.keys() != self.columns.keys():
            raise ValueError(
                "the loss function must return the same names at every step; step "
                f"{len(self)} records {', '.join(entry)}, the steps before "
                f"{', '.join(self.columns)}"
            )
        for name, value in entry.items():
            self.columns[name].append(value)

    def append_evaluation(self, entry: dict[str, float]) -> None:
        """Add an evaluation after the newest step. Raises ValueError unless it has the names of
        those before.
        """
        before = self.evaluations.keys() - {"step"}
        if "step" in entry or (self.evaluations["step"] and entry.keys() != before):
            raise ValueError(
                "evaluate must return the same names every time, none of them 'step'; after step "
                f"{len(self)} it returned {', '.join(entry)}, before "
                f"{', '.join(sorted(before)) or 'nothing'}"
            )
        for name, value in {"step": len(self), **entry}.items():
            self.evaluations.setdefault(name, []).append(value)


class Minibatches:
    """batches(step): some rows of tensors, in a random order in which every row comes once per
    epoch.

    The order follows from seed and step alone, so that an interrupted training goes on as if it had
    not been.

    Args:
        *tensors: of equal length in their first dimension, (N, ...).
        size: rows per batch; the last batch of an epoch may be smaller.

        >>> batches = Minibatches(torch.arange(5), torch.arange(5) ** 2, size=2)
        >>> batches.per_epoch
        3
        >>> x, square = batches(0)
        >>> x.shape, bool((square == x**2).all())
        (torch.Size([2]), True)
    """

    def __init__(self, *tensors: Tensor, size: int, seed: int = 0) -> None:
        lengths = [len(x) for x in tensors]
        if not lengths or len(set(lengths)) > 1 or not lengths[0]:
            raise ValueError(
                "Minibatches needs tensors of one length, (N, ...) with N > 0; got lengths "
                f"{lengths}"
            )
        if not (isinstance(size, int) and size > 0):
            raise ValueError(f"size must be a positive integer, such as 64, got {size!r}")
        self.tensors = tensors
        self.size = size
        self.seed = seed
        self.per_epoch = -(-lengths[0] // size)
        self._epoch = -1
        self._order = torch.empty(0)

    def __call__(self, step: int) -> tuple[Tensor, ...]:
        return self.part(step, 0, 1)[0]

    def part(self, step: int, rank: int, size: int) -> tuple[tuple[Tensor, ...], float]:
        """The rows of the batch that the process `rank` of `size` takes, and their share of all.

        They follow each other as in the batch, and differ by one in number at most. A process for
        which none is left gets the first row, and the share 0.
        """
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            chance = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            self._epoch = epoch
            self._order = torch.randperm(len(self.tensors[0]), generator=chance)
        first = place * self.size
        count = min(self.size, len(self._order) - first)
        start, end = (first - (-i * count // size) for i in (rank, rank + 1))  # rounded up
        share = (end - start) / count
        rows = self._order[start:end] if share else self._order[first : first + 1]
        return tuple(x[rows.to(x.device)] for x in self.tensors), share


@dataclass
class Run:
    """All of a training that can be stored."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    history: History
    settings: dict[str, str]
    best: dict[str, Any] | None = None
    average: dict[str, Tensor] | None = None  # of the parameters, by name; see `averaged`
    noise_of_others: list[list[Tensor]] = field(default_factory=list)  # of rank 1, 2, ...

    def snapshot(self) -> dict[str, Any]:
        """A copy of the model's parameters and buffers."""
        state = self.model.state_dict()
        return {
            k: v.detach().clone() if isinstance(v, Tensor) else copy.deepcopy(v)
            for k, v in state.items()
        }

    def keep_best(self, column: str | None, snapshot: dict[str, Any]) -> None:
        """Keep a snapshot if the newest value of the column is its smallest."""
        if column is None:
            return
        values = self.history[column]
        best = self.history.best_step
        if best is None or values[-1] < values[best]:
            self.history.best_step = len(values) - 1
            self.best = snapshot

    def parameters(self) -> dict[str, Tensor]:
        """A copy of the model's parameters."""
        return {name: p.detach().clone() for name, p in self.model.named_parameters()}

    def set_parameters(self, values: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, p in self.model.named_parameters():
                p.copy_(values[name])

    @contextmanager
    def with_average(self) -> Iterator[None]:
        """Until the block is left, the model has the averaged parameters, if there are any."""
        if self.average is None:
            yield
            return
        newest = self.parameters()
        try:
            with uninterrupted():
                self.set_parameters(self.average)
            yield
        finally:
            with uninterrupted():
                self.set_parameters(newest)

    def save(self, file: Path) -> None:
        """Write everything; at no time is there half a file."""
        stored = {
            "history": vars(self.history),
            "best": self.best,
            "average": self.average,
            "settings": self.settings,
            "random": random_states(),
            "random of others": self.noise_of_others,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        with whole_file(file) as out:
            torch.save(stored, out)

    def load(self, file: Path) -> None:
        """Go back to what was saved. Raises ValueError if it is not of this training."""
        remedy = f"delete {file} to start anew, or give another name"
        try:
            stored = torch.load(file, map_location="cpu", weights_only=True)
            history = History(**stored["history"])
        except Exception as error:
            raise ValueError(
                f"{file} is no checkpoint of fit ({type(error).__name__}: {error}); {remedy}"
            ) from error
        for name in sorted(self.settings.keys() | stored["settings"].keys()):
            before, now = stored["settings"].get(name), self.settings.get(name)
            if before != now:
                raise ValueError(
                    f"{file} was made with {name} = {before}, now it is {now}; change that back, "
                    f"or {remedy}"
                )
        wanted = self.history
        if wanted.steps is not None and len(history) > wanted.steps:
            raise ValueError(
                f"{file} holds {len(history)} steps, more than steps = {wanted.steps}; {remedy}"
            )
        if wanted.seconds is not None and (history.seconds or 0) > wanted.seconds:
            raise ValueError(
                f"{file} is of a training of {history.seconds:g} seconds, more than seconds = "
                f"{wanted.seconds:g}; {remedy}"
            )
        try:
            self.model.load_state_dict(stored["model"])
            self.optimizer.load_state_dict(stored["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise ValueError(f"{file} was made with another model; {remedy}. {error}") from error
        history.steps = wanted.steps
        history.seconds = wanted.seconds
        history.status = "running"
        history.message = ""
        self.history = history
        self.best = stored["best"]
        self.average = stored.get("average")
        self.noise_of_others = stored.get("random of others", [])
        set_random_states(stored["random"])


def averaged(
    average: dict[str, Tensor], model: nn.Module, decay: float, updates: int
) -> dict[str, Tensor]:
    """The moving average of the parameters after another update; the old one stays as it is.

        average <- d average + (1 - d) parameters,   d = min(decay, (1 + updates) / (10 + updates))

    `updates` counts those that were made before. The smaller d of the first hundreds lets go of
    where the training began; with d = 0.999 alone, a third of it is left after a thousand updates.

    Source: Polyak, Juditsky 1992; with this d in the code of Song et al. 2021 (score_sde,
    models/ema.py), after TensorFlow's ExponentialMovingAverage.
    """
    d = min(decay, (1 + updates) / (10 + updates))
    return {
        name: torch.lerp(average[name], p.detach(), 1 - d) for name, p in model.named_parameters()
    }


@contextmanager
def whole_file(file: Path) -> Iterator[BinaryIO]:
    """A new file to write to, which takes the place of `file` when the block has ended well."""
    new = file.with_name(file.name + ".new")
    with open(new, "wb") as out:
        yield out
        out.flush()
        os.fsync(out.fileno())
    os.replace(new, file)


def random_states() -> list[Tensor]:
    """The states of torch's generators: the CPU's, and those of the GPUs if these are in use."""
    return [
        torch.get_rng_state(),
        *(torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []),
    ]


def set_random_states(states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    if states[1:]:
        torch.cuda.set_rng_state_all(states[1:])


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back until the block is left: what is in it is done wholly or not at all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list = []
    handler = signal.signal(signal.SIGINT, lambda *arguments: held.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if held and callable(handler):
        handler(*held[0])
