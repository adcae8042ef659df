"""Times solves and their gradients against other libraries; prints a table in Markdown.

    python benchmarks/solvers.py [--quick] [--case NAME] [--rounds N] [--threads N]

Everyone solves with dopri5 at the same tolerance. One round runs every library once, in turn; a
ratio is taken within a round, so that a slow moment of the machine slows both. The table shows the
median of the ratios and their quartiles. R, the overhead ratio, is the time of a solve over that of
its evaluations alone: for the forward solve NFE calls of the field without a graph; for backprop
NFE calls and the backward pass through them; for the adjoint the calls of the forward solve, and
those of the backward solve with a vector-Jacobian product each. Evaluations are counted, and errors
against a reference (dopri8 in double precision, rtol 1e-10) are measured, in runs of their own.
"""

import argparse
import gc
import platform
import statistics
import time
from pathlib import Path
from typing import NamedTuple

import torch
import torchdiffeq
from libraries import installed
from torch import nn

MODES = ("forward", "backprop", "adjoint")
REPEATS = 20  # of a bare call, so that the clock can see it


class Case(NamedTuple):
    widths: tuple[int, int]  # of the state and of the hidden layer
    batch: int
    end: float
    points: int  # output times
    rtol: float
    rounds: int = 15


CASES = {
    "mlp": Case((2, 50), 20, 3.0, 10, 1e-6),
    "single": Case((2, 50), 1, 3.0, 10, 1e-6),
    "latent": Case((4, 20), 1000, 3.0, 20, 1e-3),
    "wide": Case((64, 256), 256, 3.0, 10, 1e-5),
}


class Field(nn.Module):
    """A net with one hidden layer; it counts its evaluations."""

    def __init__(self, state: int, hidden: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(state, hidden), nn.Tanh(), nn.Linear(hidden, state))
        for p in self.net.parameters():
            nn.init.normal_(p, std=1.2 / p.shape[-1] ** 0.5)
        self.nfe = 0

    def forward(self, t, y):
        self.nfe += 1
        return self.net(y)


def task(mode, solver, f, y0, t):
    """What is timed: the states, or the gradients of the sum of their squares."""

    def run():
        with torch.set_grad_enabled(mode != "forward"):
            y = solver(y0, t)
            if mode == "forward" or isinstance(y, list):
                return y
            middle = f.nfe
            gradients = torch.autograd.grad((y**2).sum(), (y0, *f.parameters()))
            run.forward_nfe = middle
            return list(gradients)

    return run


def seconds(run, clock=time.perf_counter):
    start = clock()
    run()
    return clock() - start


def by_turns(runs, rounds, repeats, clock):
    """Seconds of each run, by rounds: medians of some in a row, and the first of the row."""
    gc.collect()
    gc.freeze()
    times = {label: [] for label in runs}
    cold = {label: [] for label in runs}
    for _ in range(rounds):
        for label, run in runs.items():
            first, *others = (seconds(run, clock) for _ in range(1 + repeats))
            cold[label].append(first)
            times[label].append(statistics.median(others))
    return times, cold


def relative_error(result, exact):
    """The largest error over the largest value; of several tensors, the worst."""
    pairs = zip(result, exact) if isinstance(result, list) else [(result, exact)]
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in pairs)


def bare_calls(f, y0, t):
    """REPEATS evaluations alone: without a graph; with one, and back; each with its product."""
    start = t[0]

    def forward():
        with torch.no_grad():
            for _ in range(REPEATS):
                f(start, y0)

    def backprop():
        y = y0
        for _ in range(REPEATS):
            y = f(start, y)
        torch.autograd.grad(y.sum(), (y0, *f.parameters()))

    def adjoint():
        for _ in range(REPEATS):
            dy = f(start, y0)
            torch.autograd.grad(dy, (y0, *f.parameters()), dy)

    return {"forward": forward, "backprop": backprop, "adjoint": adjoint}


def measure(name, case, rounds):
    """Print the rows of one case."""
    torch.manual_seed(0)
    f = Field(*case.widths)
    y0 = torch.randn(case.batch, case.widths[0], requires_grad=True)
    t = torch.linspace(0, case.end, case.points)
    exact_f = Field(*case.widths).double()
    exact_y0 = y0.detach().double().requires_grad_()
    exact_f.load_state_dict(f.state_dict())
    for mode in MODES:

        def tight(y, t):
            return torchdiffeq.odeint(
                exact_f, y, t.double(), method="dopri8", rtol=1e-10, atol=1e-10
            )

        exact = task("forward" if mode == "forward" else "backprop", tight, exact_f, exact_y0, t)()
        start = y0.detach() if mode == "forward" else y0
        runs = {
            library: task(mode, solver, f, start, t)
            for library, solver in installed(mode, f, case).items()
        }
        errors, nfe = {}, {}
        for library, run in runs.items():
            run()  # warm up
            f.nfe = 0
            run.forward_nfe = None
            errors[library] = relative_error(run(), exact)
            nfe[library] = (
                (f.nfe, 0)
                if run.forward_nfe is None
                else (run.forward_nfe, f.nfe - run.forward_nfe)
            )
        timed = runs | {("bare", kind): run for kind, run in bare_calls(f, y0, t).items()}
        times = {key: [] for key in timed}
        for _ in range(rounds):
            for key, run in timed.items():
                times[key].append(seconds(run))
        bare = {kind: statistics.median(times["bare", kind]) / REPEATS for kind in MODES}
        for library in runs:
            ratios = [a / b for a, b in zip(times["torchdiffeq"], times[library])]
            low, middle, high = statistics.quantiles(ratios, n=4)
            first, second = nfe[library]
            ms = 1e3 * statistics.median(times[library])
            floor = 1e3 * (
                first * bare["backprop" if mode == "backprop" else "forward"]
                + second * bare["adjoint"]
            )
            cells = [name, mode, library, f"{ms:.2f}", f"{middle:.2f} ({low:.2f}-{high:.2f})"]
            cells += [
                f"{ms / floor:.2f}" if first else "-",
                f"{first} + {second}" if second else f"{first or '-'}",
            ]
            print("|", " | ".join([*cells, f"{errors[library]:.1e}"]), "|", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="three rounds")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(machine() + "\n")
    print("| case | mode | library | ms | times faster than torchdiffeq | R | NFE | error |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in [arguments.case] if arguments.case else CASES:
        measure(
            name, CASES[name], arguments.rounds or (3 if arguments.quick else CASES[name].rounds)
        )


def machine():
    """What the measurement ran on."""
    cpu = [
        line.split(":")[1].strip()
        for line in _lines("/proc/cpuinfo")
        if line.startswith("model name")
    ]
    processor = cpu[0] if cpu else platform.processor()
    n = torch.get_num_threads()
    threads = f"{n} thread{'s' * (n > 1)}"
    python = f"Python {platform.python_version()}"
    return f"{processor}, torch {torch.__version__}, {threads}, {python}, float32"


def _lines(path):
    return Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []


if __name__ == "__main__":
    main()
