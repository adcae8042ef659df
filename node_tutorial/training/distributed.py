"""One training in several processes, which torchrun starts; `fit` does the rest by itself:

    torchrun --nproc-per-node 2 train.py

Every process, a rank, has the whole model, computes loss and gradient of its rows of the batch, and
makes the same update. The gradient is averaged by torch's DistributedDataParallel, over gloo on
CPUs and nccl on GPUs. A loss that is a mean over rows has then the gradient of the whole batch,

    sum over ranks of n_r / n gradient_r,        n_r of its n rows on rank r,

to rounding with fixed steps; with adaptive ones to the tolerance, since the steps of each rank
follow its own rows.

DistributedDataParallel is told to `find_unused_parameters`: a parameter that this step's loss does
not reach has no gradient to wait for. Without it the ranks would wait for ever, or fail at the step
after; with it the graph of the loss is walked once a step before the backward pass.
"""

import atexit
import math
import os
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..solvers.errors import SolveError
from .state import random_states, set_random_states

REASON = "node_tutorial: why a rank has ended"
LARGEST = ("gradient", "nfe", "nfe_backward")  # the first is the same everywhere
_store: Any = None  # in which a rank that ends leaves word


def rank() -> int:
    """The number of this process, from 0; 0 too where it is the only one."""
    return dist.get_rank() if connect() else 0


def processes() -> int:
    """How many processes train together: 1, unless torchrun has started more."""
    return dist.get_world_size() if connect() else 1


def wait_for_all() -> None:
    """Return when all processes have called it."""
    if connect():
        dist.barrier()


def connect() -> bool:
    """Are there several processes? Those of torchrun find each other when this is called first."""
    global _store
    if not dist.is_available():
        return False
    if not dist.is_initialized():
        if not dist.is_torchelastic_launched() or os.environ.get("WORLD_SIZE", "1") == "1":
            return False
        # Its functions have the group as a default argument. Imported later, as by
        # DistributedDataParallel, they would keep it and its threads alive, see `_leave`.
        import torch.distributed.nn.functional  # noqa: F401

        _store, rank, size = next(dist.rendezvous("env://"))
        _store.set_timeout(timedelta(minutes=30))
        dist.init_process_group(store=_store, rank=rank, world_size=size)
        atexit.register(_leave)
    return dist.get_world_size() > 1


def _leave() -> None:
    """Before the interpreter ends: a process that ends with the group's threads at work may abort
    ("terminate called without an active exception", seen in 3 of 8 runs of a lesson).
    """
    global _store
    if dist.is_initialized():
        dist.destroy_process_group()
    _store = None


class Ranks:
    """What a step of `fit` asks of the other processes. Each makes one, at the same time.

    Args:
        model: gets the parameters and buffers of rank 0.
        evaluate: evaluate(model, batch) -> (loss, {name: number}).
        failures: the exceptions that say that it could not be evaluated.
    """

    def __init__(
        self,
        model: nn.Module,
        evaluate: Callable[[nn.Module, Any], tuple[Tensor, dict[str, float]]],
        failures: tuple[type[Exception], ...],
    ) -> None:
        from torch.distributed.tensor import DTensor  # here, because it takes a second

        if any(isinstance(p, DTensor) for p in model.parameters()):
            raise TypeError(
                "model is sharded, and fit gives every process the whole model: take it before "
                "fully_shard, or write the loop yourself, see docs/many_machines.md"
            )
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        self.failures = failures
        self.loss = _Loss(model, evaluate, failures)
        self.parallel = DistributedDataParallel(self.loss, find_unused_parameters=True)
        self.weight = 1.0
        self.due = False
        self.held: list[int] = []
        self._handlers: dict[int, Any] = {}

    # ---------------------------------------------------------------- a step

    def part(self, batches: Callable[[int], Any], step: int) -> Any:
        """This rank's rows, where batches can tell them; else all that batches returns."""
        split = getattr(batches, "part", None)
        if split is None:
            self.weight = 1 / self.size
            return batches(step)
        batch, self.weight = split(step, self.rank, self.size)
        return batch

    def backward(self, batch: Any, zero_grad: Callable[[], None]) -> dict[str, float]:
        """Leave the gradient of the whole batch in the parameters; what this rank records.

        Where a rank fails, the gradient is NaN on all of them: no message of its own is needed.
        """
        value = self.parallel(batch)
        zero_grad()
        try:
            # DistributedDataParallel divides the sum over ranks by their number.
            (value * (self.weight * self.size)).backward()
        except self.failures as problem:  # the others wait in theirs
            raise RuntimeError(f"the backward pass failed: {problem}") from problem
        return self.loss.entry

    def first_problem(self, own: Exception) -> Exception:
        """After a gradient that is not finite, on all ranks: what the first of them met."""
        met: list[Any] = [None] * self.size
        dist.all_gather_object(met, self.loss.problem and str(self.loss.problem))
        found = [(text, rank) for rank, text in enumerate(met) if text]
        return SolveError(f"on rank {found[0][1]}, {found[0][0]}") if found else own

    def agreed(self, entry: dict[str, float], due: bool) -> dict[str, float]:
        """What all ranks record: the means over the whole batch, see LARGEST for the others.

        due: on rank 0, whether it is time for a checkpoint; for all it is `self.due` then.

        Raises KeyboardInterrupt, on all ranks, if one was asked to stop.
        """
        mine = torch.tensor(
            [bool(self.held), due, self.weight, *entry.values()], dtype=torch.float64
        )
        rows = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(rows, mine)
        stop, dues, weights, *columns = torch.stack(rows, dim=1)
        if stop.any():
            raise KeyboardInterrupt
        self.due = bool(dues[0])
        return {
            name: float(column.max() if name in LARGEST else weights @ column)
            for name, column in zip(entry, columns)
        }

    def of_first(self, value: Any) -> Any:
        """Rank 0's value."""
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    # ---------------------------------------------------------------- random numbers

    def part_noise(self, stored: list[list[Tensor]]) -> None:
        """Let every rank draw numbers of its own: those that go on from a checkpoint, else from
        new seeds. Rank 0 draws what a single process would.
        """
        if self.rank > len(stored):
            torch.manual_seed(int(torch.randint(2**40, ())) + self.rank)
        elif self.rank:
            set_random_states(stored[self.rank - 1])

    def noise_of_others(self) -> list[list[Tensor]]:
        """The states of the generators of rank 1 and so on, for a checkpoint."""
        states: list[Any] = [None] * self.size
        dist.all_gather_object(states, random_states())
        return states[1:]

    # ---------------------------------------------------------------- the end

    def hold_signals(self) -> None:
        """From now on, Ctrl-C and SIGTERM, with which torchrun and SLURM end a job, wait for
        `agreed`, so that all ranks stop after the same step.
        """
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(
                    number, lambda number, frame: self.held.append(number)
                )

    def release_signals(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def pass_on(self, interrupted: bool) -> None:
        """Raise the signal that was held back, unless it was a Ctrl-C that has been obeyed."""
        if signal.SIGTERM in self.held:
            signal.raise_signal(signal.SIGTERM)
        elif self.held and not interrupted:
            signal.raise_signal(signal.SIGINT)

    def raise_for_all(self, error: Exception, made: str) -> NoReturn:
        """After an error on this rank alone, or because another one is gone: say the first reason.

        Raises RuntimeError, or the error itself if it is of this rank, or nothing else is known.
        """
        why = f"rank {self.rank}: {type(error).__name__}: {error}"
        first = why
        if _store is not None:
            try:
                first = _store.compare_set(REASON, "", why).decode()
            except RuntimeError:  # torchrun itself has ended
                pass
        if first == why and not isinstance(error, RuntimeError):
            raise error
        if first == why and "onnection" in why:
            first += " That process was ended from outside, or the memory was full."
        raise RuntimeError(
            f"the training has ended after {made}, for all {self.size} processes. First {first}"
        ) from error


class _Loss(nn.Module):
    """What DistributedDataParallel wraps: its forward pass is the loss, however that uses model.

    A loss that cannot be evaluated becomes NaN times every parameter. So this rank takes part in
    the exchange of the gradient, and all have NaN after it.
    """

    def __init__(
        self, model: nn.Module, evaluate: Callable, failures: tuple[type[Exception], ...]
    ) -> None:
        super().__init__()
        self.model = model
        self.evaluate = evaluate
        self.failures = failures
        # With find_unused_parameters torch warns, in every run, where all parameters are used.
        self.unused = nn.Parameter(next(model.parameters()).new_zeros(()))
        self.entry: dict[str, float] = {}
        self.problem: Exception | None = None

    def forward(self, batch: Any) -> Tensor:
        self.problem = None
        try:
            value, self.entry = self.evaluate(self.model, batch)
        except self.failures as problem:
            self.problem = problem
            self.entry = {"loss": math.nan}
            trained = [p for p in self.model.parameters() if p.requires_grad]
            value = torch.stack([p.abs().sum() for p in trained]).sum() * math.nan
        return value
