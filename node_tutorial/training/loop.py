"""The training loop.

A step is four lines: batch, loss, gradient, update. The rest is for when that goes wrong, and
`ranks` for trainings in several processes, see `distributed.py`.
"""

import math
import os
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..solvers.errors import NotFinite, SolveError
from .distributed import Ranks, connect
from .schedules import Schedule
from .state import History, Run, averaged, random_states, set_random_states, uninterrupted


def fit(
    model: nn.Module,
    loss: Callable[[Any, Any], Any],
    steps: int | None = None,
    *,
    seconds: float | None = None,
    lr: float | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    schedule: Schedule | None = None,
    batches: Callable[[int], Any] | None = None,
    clip: float | None = None,
    seed: int | None = None,
    best: str | None = None,
    average: float | None = None,
    checkpoint: str | os.PathLike | None = None,
    save_every: float = 30.0,
    evaluate: Callable[[Any], dict[str, float]] | None = None,
    evaluate_every: int | None = None,
    on_step: Callable[[Any, History], Any] | None = None,
    progress: bool = True,
) -> History:
    """Train model, in place and in training mode, until `steps` steps are made, or `seconds` used.

    The place in the training, which schedule and loss may depend on, is the number of the step,
    0 to steps - 1; with a budget of seconds it is the share of it that is used, from 0 to 1.

    Args:
        model: any module; it is given to loss.
        loss: loss(model, batch) -> scalar tensor, or (scalar tensor, {name: number}).
        steps: updates in all; a resumed training makes what is left of them.
        seconds: in place of steps, in one process, a budget: the processor's time of this thread
            for batches, losses, gradients and updates. The step that exceeds it is the last. With
            torch.set_num_threads(1) that is all of the work; other threads are not counted.
        lr, optimizer: the learning rate of Adam, 1e-3 if None; or an optimizer of model's
            parameters, with its own.
        schedule: schedule(place) multiplies the learning rate; see `schedules`. (A checkpoint
            holds no function: a training that is resumed follows the one that is given then.)
        batches: batches(step) -> batch; without it, batch is the place.
        clip: the largest norm of a gradient; a longer one is shortened to it.
        seed: of torch's generators, set before the first step.
        best: a column of the history; in the end model has the parameters for which it was
            smallest.
        average: d, such as 0.999: while the newest parameters are trained, a moving average of them
            is kept, over about 1 / (1 - d) updates (see `averaged` in state.py). `evaluate` sees
            the average, and in the end model has it; loss and on_step see the newest. Buffers are
            not averaged.
        checkpoint: a file. If it exists, the training goes on from it, bit for bit as if it had not
            been cut short (where loss and batches follow from the step and from torch's
            generators; how many steps a budget is enough for, no file can know). It is written
            every `save_every` seconds, when interrupted, and at the end.
        evaluate: evaluate(model) -> {name: number}, recorded in `history.evaluations`: at the end,
            and with evaluate_every before the first step and after every so many. It is called in
            evaluation mode and without gradients. The training goes on as if it had not been, and
            its time is not taken from the budget.
        on_step: on_step(model, history), after each update; if it returns True, the training stops.
        progress: show a bar.

    In several processes, which torchrun has started, loss must be a mean over the rows of a batch.
    Batches that have a method part, as `Minibatches` do, are shared; without, each process computes
    the loss of the whole batch, with random numbers of its own. All get the same History. `nfe` and
    `nfe_backward` are those of the process with the most. The bar and on_step are for rank 0,
    evaluate is called by all. The checkpoint is for all, on a file system that they share; it may
    be taken up by another number of processes. A process that is interrupted or diverges stops all;
    one that ends otherwise ends all, after rank 0 has written the checkpoint.

    Returns:
        History. Interrupted (by Ctrl-C, or the notebook's stop button), it returns what is there,
        and model has the parameters of the last whole step. If a solve fails, or the loss or its
        gradient is not finite, it stops, and model gets its last good parameters back. Both give a
        RuntimeWarning, and set `status` and `message`. With `average`, "parameters" is here the
        average until then.

    Raises:
        TypeError, ValueError: for arguments that cannot be right, for a loss that is none, and for
            a checkpoint of another training.
        RuntimeError: in several processes, if another one has ended.
    """
    _check(model, loss, lr, optimizer, clip, save_every)
    _check_average(average, best)
    _check_budget(steps, seconds)
    _check_evaluation(evaluate, evaluate_every)
    ranks = None
    if connect():
        _check_processes(seconds)
        ranks = Ranks(model, partial(_evaluate, loss), _FAILURES)
    if optimizer is None:
        optimizer = torch.optim.Adam(
            (p for p in model.parameters() if p.requires_grad), lr=1e-3 if lr is None else lr
        )
    rates = [group["lr"] for group in optimizer.param_groups]
    settings = {"optimizer": type(optimizer).__name__, "clip": clip, "seed": seed, "best": best}
    settings["budget"] = "of steps" if seconds is None else "of seconds"
    if average is not None:
        settings["average"] = average
    for i, group in enumerate(optimizer.param_groups):
        settings |= {
            f"{name} of group {i}": value for name, value in group.items() if name != "params"
        }
    run = Run(
        model,
        optimizer,
        History(steps, seconds=seconds),
        {name: repr(value) for name, value in settings.items()},
    )
    run.average = None if average is None else run.parameters()
    file = None if checkpoint is None else _file(checkpoint)
    if seed is not None:
        torch.manual_seed(seed)
    if file and file.exists():
        run.load(file)
    if ranks:
        ranks.part_noise(run.noise_of_others)
        ranks.hold_signals()
    history = run.history
    groups = optimizer.param_groups
    solvers: list[Any] = [
        part for part in model.modules() if hasattr(getattr(part, "stats", None), "nfe")
    ]

    model.train()
    good = run.snapshot()  # the newest parameters whose loss and gradient are finite
    good_average = run.average  # of them and those before
    start = (-1, good, random_states())  # what a step began with
    saved = time.perf_counter()
    begun = saved - (history["seconds"][-1] if len(history) else 0.0)
    bar = _bar(history, progress and (ranks is None or ranks.rank == 0))
    try:
        while history.share < 1:
            step = len(history)
            if evaluate and evaluate_every and step % evaluate_every == 0:
                _record_evaluation(evaluate, run)
            start = (step, run.snapshot(), random_states())
            clock = _processor()
            place = step if seconds is None else history.share
            for group, rate in zip(groups, rates):
                group["lr"] = rate * schedule(place) if schedule else rate
            try:
                with torch.enable_grad():
                    if ranks:
                        batch = ranks.part(batches, step) if batches else place
                        entry = ranks.backward(batch, optimizer.zero_grad)
                    else:
                        value, entry = _evaluate(loss, model, batches(step) if batches else place)
                        optimizer.zero_grad()
                        value.backward()
                entry["gradient"] = _gradient_norm(model, entry["loss"], clip)
            except _FAILURES as problem:
                bad = len(history) > 0
                cause = ranks.first_problem(problem) if ranks else problem
                model.load_state_dict(good if bad else start[1])
                run.average = good_average
                history.status = "diverged"
                history.message = _why(cause, run, bad, groups[0]["lr"], clip)
                break
            if solvers:
                entry.setdefault("nfe", sum(part.stats.nfe for part in solvers))
                entry.setdefault(
                    "nfe_backward", sum(getattr(part.stats, "nfe_backward", 0) for part in solvers)
                )
            if ranks:
                entry = ranks.agreed(entry, time.perf_counter() - saved >= save_every)
            with uninterrupted():
                history.append({**entry, "seconds": time.perf_counter() - begun})
                good = start[1]
                good_average = run.average
                run.keep_best(best, good)
                optimizer.step()
                if average is not None and run.average is not None:
                    run.average = averaged(run.average, model, average, step)
                history.spent += _processor() - clock
            bar.set_postfix_str(f"loss {entry['loss']:.3g}", refresh=False)
            bar.update(_shown(history) - bar.n)
            stop = on_step and _asks_to_stop(on_step, run, ranks)
            if stop:
                history.status = "stopped"
                history.message = f"on_step returned True after step {step}"
                break
            due = ranks.due if ranks else time.perf_counter() - saved >= save_every
            if file and due:
                _save(run, file, ranks)
                saved = time.perf_counter()
        else:
            if evaluate:
                _record_evaluation(evaluate, run)
            history.status = "finished"
    except KeyboardInterrupt:
        if start[0] == len(history):  # within a step: undo what it did to buffers, random numbers
            model.load_state_dict(start[1])
            set_random_states(start[2])
        history.status = "interrupted"
        history.message = _how_to_go_on(run, file)
    except Exception as error:
        if ranks is None:
            raise
        if start[0] == len(history):
            model.load_state_dict(start[1])
            set_random_states(start[2])
        if file and ranks.rank == 0 and len(history):
            run.noise_of_others = []  # they can no longer be asked
            run.save(file)
        ranks.raise_for_all(error, history.made)
    finally:
        if ranks:
            ranks.release_signals()
        bar.close()
        optimizer.zero_grad()
        for group, rate in zip(groups, rates):
            group["lr"] = rate
    if file and history.status != "diverged":
        _save(run, file, ranks)
    if ranks:
        set_random_states(ranks.of_first(random_states()))
    if run.best is not None:
        model.load_state_dict(run.best)
    if run.average is not None:
        run.set_parameters(run.average)
    if history.status in ("diverged", "interrupted"):
        warnings.warn(history.message, RuntimeWarning, stacklevel=2)
    if ranks:
        ranks.pass_on(history.status == "interrupted")
    return history


def _save(run: Run, file: Path, ranks: Ranks | None) -> None:
    """Write the checkpoint; of several processes rank 0 does, with the random numbers of all."""
    run.noise_of_others = ranks.noise_of_others() if ranks else []
    if ranks is None or ranks.rank == 0:
        run.save(file)


def _asks_to_stop(on_step: Callable, run: Run, ranks: Ranks | None) -> bool:
    """Call on_step, of several processes on rank 0 alone."""
    if ranks is None:
        return on_step(run.model, run.history) is True
    return ranks.of_first(ranks.rank == 0 and on_step(run.model, run.history) is True)


def _processor() -> float:
    """Seconds of the processor for this thread; the process's would count those of a notebook's
    other threads as well (measured: 1.2 s instead of 0.2 beside a busy one).
    """
    return time.thread_time()


def _record_evaluation(evaluate: Callable[[Any], dict[str, float]], run: Run) -> None:
    """Evaluate, unless it has been done after this step; leave mode, random numbers and newest
    parameters alone.
    """
    model = run.model
    history = run.history
    if history.evaluations["step"][-1:] == [len(history)]:
        return
    states = random_states()
    try:
        with run.with_average(), torch.no_grad():
            found = evaluate(model.eval())
    finally:
        model.train()
        set_random_states(states)
    if not isinstance(found, dict):
        raise TypeError(
            "evaluate(model) must return {name: number}, such as {'accuracy': 0.9}, got "
            f"{type(found).__name__}"
        )
    history.append_evaluation({name: float(value) for name, value in found.items()})


class _NotFinite(Exception):
    """The loss is NaN or infinite."""


class _GradientNotFinite(_NotFinite):
    """The loss is finite, its gradient is not."""


_FAILURES = (SolveError, NotFinite, _NotFinite)  # of a training that diverges


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


def _gradient_norm(model: nn.Module, loss: float, clip: float | None) -> float:
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
        raise _GradientNotFinite(f"the loss is {loss:.4g}, but its gradient is not finite")
    if clip is not None:
        torch.nn.utils.clip_grads_with_norm_(model.parameters(), clip, norm)
    return number


def _why(problem: Exception, run: Run, bad: bool, lr: float, clip: float | None) -> str:
    """What is said of a training that diverged; `bad`: the last update spoiled the parameters."""
    history = run.history
    where = f"diverged at step {len(history)}: {str(problem).rstrip('.')}. "
    cause = ""
    if isinstance(problem, _GradientNotFinite):
        cause = (
            " Or look in the loss and the model for sqrt, log, norm or division at 0; "
            "torch.autograd.set_detect_anomaly(True) names the operation."
        )
    if not bad:
        return where + (
            "No update has been made yet: look at the data, and call loss(model, batch) by itself."
            f"{cause}"
        )
    clipping = ", gradient clipping (clip=1.0)" if clip is None else ""
    which = "parameters of" if run.average is None else "average of the parameters until"
    return where + (
        f"The model has the {which} step {len(history) - 1} again, where the loss was "
        f"{history['loss'][-1]:.4g}. Try: a smaller lr (it was {lr:.2g}){clipping}, a "
        f"shorter time span at first.{cause}"
    )


def _how_to_go_on(run: Run, file: Path | None) -> str:
    how = "Another call of fit goes on from there with a fresh optimizer"
    how += "; with checkpoint='file.pt' it is exact."
    if file:
        how = f"The same call goes on from there, exactly; {file} holds all that it needs."
    which = "their parameters" if run.average is None else "the average of the parameters"
    done = f"interrupted after {run.history.made}; the model has {which}."
    return f"{done} {how}"


def _bar(history: History, shown: bool) -> Any:
    """A bar of the steps, or of the percents of the budget."""
    from tqdm.auto import tqdm  # here, because in a notebook it loads ipywidgets

    total = 100 if history.steps is None else history.steps
    unit = "%" if history.steps is None else "step"
    return tqdm(total=total, initial=_shown(history), disable=not shown, unit=unit)


def _shown(history: History) -> int:
    """What the bar shows: steps, or whole percents."""
    return len(history) if history.steps is not None else min(100, int(100 * history.share))


def _check_budget(steps: Any, seconds: Any) -> None:
    if (steps is None) == (seconds is None):
        given = "neither" if steps is None else f"steps = {steps!r} and seconds = {seconds!r}"
        raise ValueError(
            f"give steps, the number of updates, or seconds, a budget of time; got {given}"
        )
    if steps is not None and not (isinstance(steps, int) and steps >= 1):
        raise ValueError(f"steps must be a positive integer, the number of updates, got {steps!r}")
    if seconds is not None and not _is_positive(seconds):
        raise ValueError(
            f"seconds must be a positive number, the processor's time to use, got {seconds!r}"
        )


def _check_processes(seconds: Any) -> None:
    if seconds is not None:
        raise ValueError(
            f"seconds = {seconds!r} is a budget of one process, and here are several; give steps"
        )


def _check_evaluation(evaluate: Any, every: Any) -> None:
    if evaluate is not None and not callable(evaluate):
        raise TypeError(
            f"evaluate must be a function evaluate(model), got {type(evaluate).__name__}; do not "
            "call it"
        )
    if every is None:
        return
    if evaluate is None:
        raise ValueError(f"evaluate_every = {every!r} without evaluate: give a function, too")
    if not (isinstance(every, int) and every >= 1):
        raise ValueError(f"evaluate_every must be a positive integer, of steps, got {every!r}")


def _check_average(average: Any, best: str | None) -> None:
    if average is None:
        return
    if not (_is_positive(average) and average < 1):
        raise ValueError(
            f"average must be a number between 0 and 1, such as 0.999, got {average!r}; None "
            "for no average"
        )
    if best is not None:
        raise ValueError(
            f"best = {best!r} is measured of the newest parameters, but average = {average} ends "
            "with the mean of many; give one of the two"
        )


def _is_positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 < value < math.inf


def _check(model: Any, loss: Any, lr: Any, optimizer: Any, clip: Any, save_every: Any) -> None:
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
    for name, value in (("lr", lr), ("clip", clip)):
        if value is not None and not _is_positive(value):
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
    if isinstance(optimizer, torch.optim.LBFGS):
        raise TypeError(
            "LBFGS evaluates the loss several times in one update, which fit does not: call "
            "optimizer.step(closure) in a loop of your own"
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
