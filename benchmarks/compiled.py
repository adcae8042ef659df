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
import statistics
import time

import torch
import torch.compiler.config
import torchdiffeq
from libraries import compiled, drop_in
from solvers import CASES, Case, Field, by_turns, machine, relative_error, seconds, task

import node_tutorial

COLUMNS = (
    "case",
    "mode",
    "compile (s)",
    "torchdiffeq (ms)",
    "plain (ms)",
    "compiled (ms)",
    "over torchdiffeq",
    "over plain",
    "over torchdiffeq cold",
    "difference",
    "pays after",
)


def measure(name: str, case: Case, rounds: int, repeats: int) -> None:
    """Print the rows of one case: the solve, and the solve with its gradient."""
    torch.manual_seed(0)
    f = Field(*case.widths)
    y0 = torch.randn(case.batch, case.widths[0], requires_grad=True)
    t = torch.linspace(0, case.end, case.points)
    makers = {
        "torchdiffeq": drop_in(torchdiffeq),
        "plain": drop_in(node_tutorial),
        "compiled": compiled,
    }
    solvers = {label: make("backprop", f, case) for label, make in makers.items()}
    spent = {}  # seconds to compile, by mode
    for mode in ("forward", "backprop"):
        runs = {label: task(mode, solver, f, y0, t) for label, solver in solvers.items()}
        spent[mode] = seconds(runs["compiled"])
        error = relative_error(runs["compiled"](), runs["plain"]())
        times, cold = by_turns(runs, rounds, repeats, time.thread_time)
        found = {label: statistics.median(values) for label, values in times.items()}
        ratios = (ratio(times, "torchdiffeq"), ratio(times, "plain"), ratio(cold, "torchdiffeq"))
        gain = found["plain"] - found["compiled"]
        pays_after = f"{sum(spent.values()) / gain:.0f}" if mode == "backprop" and gain > 0 else "-"
        cells = [name, mode, f"{spent[mode]:.1f}"]
        cells += [f"{1e3 * x:.2f}" for x in found.values()]
        cells += [f"{x:.1f}" for x in ratios]
        cells += [f"{error:.0e}", pays_after]
        print("|", " | ".join(cells), "|", flush=True)


def ratio(times: dict[str, list[float]], label: str) -> float:
    """How many times faster the compiled solve is."""
    return statistics.median(a / b for a, b in zip(times[label], times["compiled"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--repeats", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.compiler.config.force_disable_caches = True
    print(machine() + "\n")
    print("|", " | ".join(COLUMNS), "|\n|" + " --- |" * len(COLUMNS))
    for name in [arguments.case] if arguments.case else CASES:
        measure(name, CASES[name], arguments.rounds, arguments.repeats)


if __name__ == "__main__":
    main()
