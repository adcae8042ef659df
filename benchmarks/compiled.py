"""When a compiled solve pays: seconds to compile against time saved per solve; a table in Markdown.

    python benchmarks/compiled.py [--case NAME] [--rounds N] [--repeats N]

The cases and the loss are those of solvers.py; dopri5, float32, one thread. Compile: seconds on the
clock, with empty caches, of the program of the solve, and of the second one of its gradient. In one
round torchdiffeq, the plain and the compiled solver take turns, and each solves several times in a
row, as a training does. The first solve of a row finds the processor's caches full of what the
others left there; the median of the rest is the time of a round. Times are medians over the rounds,
of the processor's time, a ratio is the median of the ratios within rounds. Cold: the ratio of the
first solves of the rows. Pays after: so many solves with gradient until the saved time is that
spent on both programs. Python's garbage collector is told to leave alone what compiling left; else
it is met by the same solver in every round, for every round makes the same garbage.
"""

import argparse
import gc
import statistics
import time

import torch
import torch._inductor.config
import torchdiffeq
from libraries import compiled, drop_in
from solvers import CASES, Field, machine, relative_error, seconds, task

import node_tutorial


def measure(name, case, rounds, repeats):
    torch.manual_seed(0)
    f = Field(*case.widths)
    y0, t = (
        torch.randn(case.batch, case.widths[0], requires_grad=True),
        torch.linspace(0, case.end, case.points),
    )
    makers = {
        "torchdiffeq": drop_in(torchdiffeq),
        "plain": drop_in(node_tutorial),
        "compiled": compiled,
    }
    solvers = {label: make("backprop", f, case) for label, make in makers.items()}
    found, spent = {}, {}
    for mode in ("forward", "backprop"):
        runs = {label: task(mode, solver, f, y0, t) for label, solver in solvers.items()}
        spent[mode] = seconds(runs["compiled"])
        error = relative_error(runs["compiled"](), runs["plain"]())
        gc.collect()
        gc.freeze()
        times, cold = {label: [] for label in runs}, {label: [] for label in runs}
        for _ in range(rounds):
            for label, run in runs.items():
                first, *others = (seconds(run, time.thread_time) for _ in range(1 + repeats))
                cold[label].append(first)
                times[label].append(statistics.median(others))
        found[mode] = {label: statistics.median(values) for label, values in times.items()}
        gain = found[mode]["plain"] - found[mode]["compiled"]
        total = sum(spent.values())
        cells = [
            name,
            mode,
            f"{spent[mode]:.1f}",
            *(f"{1e3 * x:.2f}" for x in found[mode].values()),
        ]
        cells += [
            f"{ratio(values, label):.1f}"
            for values, label in ((times, "torchdiffeq"), (times, "plain"), (cold, "torchdiffeq"))
        ]
        cells += [f"{error:.0e}"]
        cells += [f"{total / gain:.0f}" if mode == "backprop" and gain > 0 else "-"]
        print("|", " | ".join(cells), "|", flush=True)


def ratio(times, label):
    """How many times faster the compiled solve is."""
    return statistics.median(a / b for a, b in zip(times[label], times["compiled"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--repeats", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch._inductor.config.force_disable_caches = True
    print(machine() + "\n")
    columns = "case, mode, compile (s), torchdiffeq (ms), plain (ms), compiled (ms), over torchdiffeq, over plain, "
    columns += "over torchdiffeq cold, difference, pays after"
    print("|", columns.replace(", ", " | "), "|\n|" + " --- |" * 11)
    for name in [arguments.case] if arguments.case else CASES:
        measure(name, CASES[name], arguments.rounds, arguments.repeats)


if __name__ == "__main__":
    main()
