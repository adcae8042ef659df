"""The training loop. A step is four lines: batch, loss, gradient, update. The rest is for when that
goes wrong.
"""

import math
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..solvers.errors import SolveError
from .state import History, Run, random_states, set_random_states, uninterrupted


def fit(
    model: nn.Module,
    loss: Callable,
    steps: int,
    *,
    lr: float | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    schedule: Callable[[int], float] | None = None,
    batches: Callable[[int], Any] | None = None,
    clip: float | None = None,
    seed: int | None = None,
    best: str | None = None,
    checkpoint: str | os.PathLike | None = None,
    save_every: float = 30.0,
    on_step: Callable[[nn.Module, History], Any] | None = None,
    progress: bool = True,
) -> History:
    """Train model, in place and in training mode, until `steps` steps are made.

    Args:
        model: any module; it is given to loss.
        loss: loss(model, batch) -> scalar tensor, or (scalar tensor, {name: number}).
        steps: updates in all; a resumed training makes what is left of them.
        lr, optimizer: the learning rate of Adam, 1e-3 if None; or an optimizer of model's
            parameters, with its own.
        schedule: schedule(step) multiplies the learning rate.
        batches: batches(step) -> batch; without it, batch is the step.
        clip: the largest norm of a gradient; a longer one is shortened to it.
        seed: of torch's generators, set before the first step.
        best: a column of the history; in the end model has the parameters for which it was
            smallest.
        checkpoint: a file. If it exists, the training goes on from it, bit for bit as if it had not
            been cut short (where loss and batches follow from the step and from torch's
            generators). It is written every `save_every` seconds, when interrupted, and at the end.
        on_step: on_step(model, history), after each update; if it returns True, the training stops.
        progress: show a bar.

    Returns:
        History. Interrupted (by Ctrl-C, or the notebook's stop button), it returns what is there,
        and model has the parameters of the last whole step. If a solve fails, or the loss or its
        gradient is not finite, it stops, and model gets its last good parameters back. Both give a
        RuntimeWarning, and set `status` and `message`.

    Raises:
        TypeError, ValueError: for arguments that cannot be right, for a loss that is none, and for
            a checkpoint of another training.
    """
    _check(model, loss, steps, lr, optimizer, clip, save_every)
    if optimizer is None:
        optimizer = torch.optim.Adam(
            (p for p in model.parameters() if p.requires_grad), lr=1e-3 if lr is None else lr
        )
    rates = [group["lr"] for group in optimizer.param_groups]
    settings = {"optimizer": type(optimizer).__name__, "clip": clip, "seed": seed, "best": best}
    for i, group in enumerate(optimizer.param_groups):
        settings |= {
            f"{name} of group {i}": value for name, value in group.items() if name != "params"
        }
    run = Run(
        model, optimizer, History(steps), {name: repr(value) for name, value in settings.items()}
    )
    file = None if checkpoint is None else _file(checkpoint)
    if seed is not None:
        torch.manual_seed(seed)
    if file and file.exists():
        run.load(file)
    history, groups = run.history, optimizer.param_groups
    solvers: list[Any] = [
        part for part in model.modules() if hasattr(getattr(part, "stats", None), "nfe")
    ]

    model.train()
    good = run.snapshot()  # the newest parameters whose loss and gradient are finite
    start = (-1, good, random_states())  # what a step began with
    saved = time.perf_counter()
    begun = saved - (history["seconds"][-1] if len(history) else 0.0)
    bar = _bar(steps, len(history), progress)
    try:
        for step in range(len(history), steps):
            start = (step, run.snapshot(), random_states())
            for group, rate in zip(groups, rates):
                group["lr"] = rate * schedule(step) if schedule else rate
            try:
                with torch.enable_grad():
                    value, entry = _evaluate(loss, model, batches(step) if batches else step)
                    optimizer.zero_grad()
                    value.backward()
                entry["gradient"] = _gradient_norm(model, clip)
            except (SolveError, _NotFinite) as problem:
                bad = len(history) > 0 and not isinstance(problem, _GradientNotFinite)
                model.load_state_dict(good if bad else start[1])
                history.status, history.message = (
                    "diverged",
                    _why(problem, history, bad, groups[0]["lr"], clip),
                )
                break
            if solvers:
                entry.setdefault("nfe", sum(part.stats.nfe for part in solvers))
                entry.setdefault(
                    "nfe_backward", sum(getattr(part.stats, "nfe_backward", 0) for part in solvers)
                )
            with uninterrupted():
                history.append({**entry, "seconds": time.perf_counter() - begun})
                good = start[1]
                run.keep_best(best, good)
                optimizer.step()
            bar.set_postfix_str(f"loss {entry['loss']:.3g}", refresh=False)
            bar.update()
            if on_step and on_step(model, history) is True:
                history.status, history.message = (
                    "stopped",
                    f"on_step returned True after step {step}",
                )
                break
            if file and time.perf_counter() - saved >= save_every:
                run.save(file)
                saved = time.perf_counter()
        else:
            history.status = "finished"
    except KeyboardInterrupt:
        if start[0] == len(
            history
        ):  # within a step: undo what it did to buffers and random numbers
            model.load_state_dict(start[1])
            set_random_states(start[2])
        history.status, history.message = "interrupted", _how_to_go_on(history, file)
    finally:
        bar.close()
        optimizer.zero_grad()
        for group, rate in zip(groups, rates):
            group["lr"] = rate
    if file and history.status != "diverged":
        run.save(file)
    if run.best is not None:
        model.load_state_dict(run.best)
    if history.status in ("diverged", "interrupted"):
        warnings.warn(history.message, RuntimeWarning, stacklevel=2)
    return history


class _NotFinite(Exception):
    """The loss is NaN or infinite."""


class _GradientNotFinite(_NotFinite):
    """The loss is finite, its gradient is not."""


def _evaluate(loss: Callable, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, float]]:
    """The loss, and what is to be recorded of it."""
    value = loss(model, batch)
    value, others = value if isinstance(value, tuple) and len(value) == 2 else (value, {})
    if not isinstance(value, Tensor) or not isinstance(others, dict):
        wrong = type(others if isinstance(value, Tensor) else value).__name__
        raise TypeError(
            "loss(model, batch) must return a scalar tensor, or (scalar tensor, "
            f"{{name: number}}), got {wrong}; "
            "return the tensor itself, without .item()"
        )
    if value.numel() != 1:
        raise ValueError(
            f"the loss must be one number, got shape {tuple(value.shape)}; use .mean() or .sum()"
        )
    if not value.requires_grad:
        raise ValueError(
            "the loss does not depend on any parameter through autograd; look for "
            "torch.no_grad(), .detach(), .item(), "
            "or a model other than the one that loss is given"
        )
    taken = sorted({"loss", "seconds", "gradient"} & others.keys())
    if taken:
        raise ValueError(
            f"the loss function returns {taken[0]!r}, a name that fit itself uses; choose another"
        )
    number = value.item()
    if not math.isfinite(number):
        raise _NotFinite(f"the loss is {number}")
    return value, {
        "loss": number,
        **{name: float(torch.as_tensor(other).detach()) for name, other in others.items()},
    }


def _gradient_norm(model: nn.Module, clip: float | None) -> float:
    """The norm of all gradients together; if it exceeds clip, they are shortened to that."""
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    if not gradients:
        raise ValueError(
            "the loss depends on no parameter of model; is it computed from the model that loss "
            "is given?"
        )
    norm = torch.nn.utils.get_total_norm(gradients)
    number = norm.item()
    if not math.isfinite(number):
        raise _GradientNotFinite("the loss is finite, but its gradient is not")
    if clip is not None:
        torch.nn.utils.clip_grads_with_norm_(model.parameters(), clip, norm)
    return number


def _why(problem: Exception, history: History, bad: bool, lr: float, clip: float | None) -> str:
    """What is said of a training that diverged; `bad`: the last update spoiled the parameters."""
    where = f"diverged at step {len(history)}: {str(problem).rstrip('.')}. "
    if isinstance(problem, _GradientNotFinite):
        return where + (
            "The model keeps the parameters of this step. Look in the loss and the model for "
            "sqrt, log, norm or "
            "division at 0; torch.autograd.set_detect_anomaly(True) names the operation."
        )
    if not bad:
        return (
            where
            + "No update has been made yet: look at the data, and call loss(model, batch) by itself."
        )
    clipping = ", gradient clipping (clip=1.0)" if clip is None else ""
    return where + (
        f"The model has the parameters of step {len(history) - 1} again, where the loss was "
        f"{history['loss'][-1]:.4g}. "
        f"Try: a smaller lr (it was {lr:.2g}){clipping}, a shorter time span at first."
    )


def _how_to_go_on(history: History, file: Path | None) -> str:
    how = (
        f"The same call goes on from there, exactly; {file} holds all that it needs."
        if file
        else "Another call of fit goes on from there with a fresh optimizer; with checkpoint='file.pt' it is exact."
    )
    return f"interrupted after {len(history)} of {history.steps} steps; the model has their parameters. {how}"


def _bar(steps: int, done: int, shown: bool) -> Any:
    from tqdm.auto import tqdm  # here, because in a notebook it loads ipywidgets

    return tqdm(total=steps, initial=done, disable=not shown, unit="step")


def _check(
    model: Any, loss: Any, steps: Any, lr: Any, optimizer: Any, clip: Any, save_every: Any
) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module, got {type(model).__name__}")
    trained = {id(p) for p in model.parameters() if p.requires_grad}
    if not trained:
        raise ValueError(
            "model has no parameter that requires a gradient: there is nothing to train"
        )
    if not callable(loss):
        raise TypeError(
            f"loss must be a function loss(model, batch), got {type(loss).__name__}; do not call it"
        )
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps must be a positive integer, the number of updates, got {steps!r}")
    for name, value in (("lr", lr), ("clip", clip)):
        if value is not None and not (isinstance(value, (int, float)) and 0 < value < math.inf):
            raise ValueError(f"{name} must be a positive number, got {value!r}")
    if not isinstance(save_every, (int, float)) or not save_every >= 0:
        raise ValueError(f"save_every must be seconds, zero or more, got {save_every!r}")
    if optimizer is None:
        return
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(
            "optimizer must be one of torch.optim, made with model.parameters(), got "
            f"{type(optimizer).__name__}"
        )
    if lr is not None:
        raise ValueError(
            f"lr = {lr} and an optimizer are given, which has a learning rate already; give one "
            "of the two"
        )
    if not trained & {id(p) for group in optimizer.param_groups for p in group["params"]}:
        raise ValueError("optimizer holds no parameter of model; make it with model.parameters()")


def _file(checkpoint: Any) -> Path:
    file = Path(checkpoint)
    if not file.parent.is_dir():
        raise ValueError(
            f"checkpoint = {str(checkpoint)!r}: the folder {file.parent} does not exist; create "
            "it first"
        )
    return file
