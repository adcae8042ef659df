"""The compiled solve beside diffrax, both jitted, in one run; a table in Markdown.

    python benchmarks/beside_diffrax.py [--case NAME] [--mode MODE] [--rounds N] [--repeats N]

Needs jax and diffrax, of which the package knows nothing. The cases and the loss are those of
solvers.py: dopri5, an I controller with the same limits, float32, the same tolerance. Both run on
one processor: the script binds itself to one before it loads jax, whose thread pools are as large
as the number of processors that it finds; and XLA is told not to split an operation.

In one round the libraries take turns, and each solves several times in a row, as a training does.
The first solve of a row finds the processor's caches full of what the others left there; the median
of the rest is the time of a round. A ratio is the median of the ratios within rounds; cold: of the
first solves of the rows. Each library holds its arrays before the clock starts. Error: the largest
one over the largest value, against dopri8 in double precision with a tolerance of 1e-10; of several
gradients, the worst.
"""

import argparse
import os
import statistics
import time

if hasattr(os, "sched_setaffinity"):  # before jax counts the processors
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import torch
import torchdiffeq
from libraries import compiled, drop_in, with_diffrax
from solvers import CASES, MODES, Case, Field, by_turns, machine, relative_error, task

COLUMNS = (
    "case",
    "mode",
    "torchdiffeq (ms)",
    "compiled",
    "diffrax",
    "compiled over diffrax (quartiles)",
    "cold",
    "errors: torchdiffeq, compiled, diffrax",
)
MAKERS = {"torchdiffeq": drop_in(torchdiffeq), "compiled": compiled, "diffrax": with_diffrax}


def measure(name: str, case: Case, mode: str, rounds: int, repeats: int) -> None:
    """Print the row of one case and mode."""
    torch.manual_seed(0)
    f = Field(*case.widths)
    y0 = torch.randn(case.batch, case.widths[0], requires_grad=True)
    t = torch.linspace(0, case.end, case.points)
    exact = reference(case, f, y0, t, mode)
    runs = {}
    for label, make in MAKERS.items():
        solver = make(mode, f, case)
        runs[label] = solver.prepared(y0, t) if label == "diffrax" else task(mode, solver, f, y0, t)
    errors = {}
    for label, run in runs.items():
        run()
        result = run()
        errors[label] = relative_error(
            run.as_torch(result) if label == "diffrax" else result, exact
        )
    # The time of the process: jax may compute in a thread of its own.
    times, cold = by_turns(runs, rounds, repeats, time.process_time)
    cells = [name, mode, f"{1e3 * statistics.median(times['torchdiffeq']):.2f}"]
    cells += [f"{middle(times, 'torchdiffeq', label):.1f}" for label in ("compiled", "diffrax")]
    ratios = [a / b for a, b in zip(times["diffrax"], times["compiled"])]
    low, median, high = statistics.quantiles(ratios, n=4)
    cells += [f"{median:.2f} ({low:.2f}-{high:.2f})", f"{middle(cold, 'diffrax', 'compiled'):.2f}"]
    cells += [", ".join(f"{errors[label]:.1e}" for label in MAKERS)]
    print("|", " | ".join(cells), "|", flush=True)


def reference(case, f, y0, t, mode):
    exact_f = Field(*case.widths).double()
    exact_f.load_state_dict(f.state_dict())
    exact_y0 = y0.detach().double().requires_grad_()

    def tight(y, t):
        return torchdiffeq.odeint(exact_f, y, t.double(), method="dopri8", rtol=1e-10, atol=1e-10)

    return task("forward" if mode == "forward" else "backprop", tight, exact_f, exact_y0, t)()


def middle(times: dict[str, list[float]], slow: str, fast: str) -> float:
    return statistics.median(a / b for a, b in zip(times[slow], times[fast]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--mode", choices=MODES)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--repeats", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    load = " ".join(f"{x:.1f}" for x in os.getloadavg())
    print(f"{machine()}, load {load}\n")
    print("|", " | ".join(COLUMNS), "|\n|" + " --- |" * len(COLUMNS))
    for name in [arguments.case] if arguments.case else CASES:
        for mode in [arguments.mode] if arguments.mode else MODES:
            measure(name, CASES[name], mode, arguments.rounds, arguments.repeats)


if __name__ == "__main__":
    main()
