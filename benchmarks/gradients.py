"""Times the gradient modes against torchdiffeq's adjoint; measures memory and error; in Markdown.

    python benchmarks/gradients.py [--quick] [--case NAME] [--rounds N]
    python benchmarks/gradients.py --memory

The fields and the loss are those of solvers.py: a net with one hidden layer, the sum of the squares
of all outputs, float32. Everyone solves with dopri5 at the same tolerance, backwards too. Only the
mode "reversible" cannot: it takes reversible_heun with the least number of fixed steps, a power of
two, whose gradient is as good as the direct one.

One round runs every mode once, in turn; a ratio is taken within a round. The table shows the median
of the ratios and their quartiles. Times are those of the processor, of one thread, so that waiting
does not count. Kept: bytes saved for the backward pass at its beginning, without the parameters and
y0. Peak: most bytes alive at a time in both passes, of all that they make. Error: the largest one
of any gradient over the largest value of that gradient, against dopri8 in double precision at rtol
1e-10 and backpropagation.

With --memory: the same bytes for rk4 with a given number of fixed steps; the state has 160 bytes.
"""

import argparse
import statistics
import time
from functools import partial

import torch
import torchdiffeq
from libraries import drop_in, in_mode
from solvers import CASES, Field, machine, relative_error, seconds, task

from node_tutorial.gradients import GRADIENT_MODES
from node_tutorial.gradients.memory import PeakBytes, bytes_kept

STEPS = (10, 30, 100, 300, 1000)
BASE = "torchdiffeq, adjoint"


def problem(case):
    """The field, y0 and t of a case; and its exact gradients by y0 and the parameters."""
    torch.manual_seed(0)
    f = Field(*case.widths)
    y0 = torch.randn(case.batch, case.widths[0], requires_grad=True)
    t = torch.linspace(0, case.end, case.points)
    exact_f = Field(*case.widths).double()
    exact_y0 = y0.detach().double().requires_grad_()
    exact_f.load_state_dict(f.state_dict())
    tight = partial(torchdiffeq.odeint, exact_f, method="dopri8", rtol=1e-10, atol=1e-10)
    return f, y0, t, task("backprop", lambda y, t: tight(y, t.double()), exact_f, exact_y0, t)()


def reversible(f, case, y0, t, exact, wanted):
    """The solver of "reversible", with as few steps (a power of two) as give the wanted error."""
    for power in range(4, 15):
        options = {"step_size": case.end / 2**power}
        solver = partial(GRADIENT_MODES["reversible"], f, method="reversible_heun", options=options)
        if relative_error(task("adjoint", solver, f, y0, t)(), exact) <= wanted:
            break
    return f"reversible, {2**power} steps", solver


def memory(solver, f, y0, t):
    """Bytes kept between the passes, and the most bytes alive during both."""
    with bytes_kept(exclude=[y0, *f.parameters()]) as kept:
        solver(y0, t)
    with PeakBytes() as meter:
        task("adjoint", solver, f, y0, t)()
    return kept.bytes, meter.peak


def measure(name, case, rounds):
    """Print the rows of one case."""
    f, y0, t, exact = problem(case)
    solvers = {BASE: drop_in(torchdiffeq)("adjoint", f, case)}
    solvers["torchdiffeq, direct"] = drop_in(torchdiffeq)("backprop", f, case)
    solvers |= {mode: in_mode(mode)(f, case) for mode in GRADIENT_MODES if mode != "reversible"}
    runs = {mode: task("adjoint", solver, f, y0, t) for mode, solver in solvers.items()}
    label, solver = reversible(
        f, case, y0, t, exact, wanted=relative_error(runs["direct"](), exact)
    )
    solvers[label] = solver
    runs[label] = task("adjoint", solver, f, y0, t)
    times = {mode: [] for mode in runs}
    nfe = {}
    errors = {}
    for mode, run in runs.items():
        f.nfe = 0
        errors[mode] = relative_error(run(), exact)
        nfe[mode] = run.forward_nfe, f.nfe - run.forward_nfe
    for _ in range(rounds):
        for mode, run in runs.items():
            times[mode].append(seconds(run, time.thread_time))
    for mode in runs:
        low, middle, high = statistics.quantiles(
            [a / b for a, b in zip(times[BASE], times[mode])], n=4
        )
        kept, peak = memory(solvers[mode], f, y0, t)
        cells = [
            name,
            mode,
            f"{1e3 * statistics.median(times[mode]):.2f}",
            f"{middle:.2f} ({low:.2f}-{high:.2f})",
        ]
        cells += [
            f"{kept / 1e3:.1f}",
            f"{peak / 1e3:.1f}",
            "{} + {}".format(*nfe[mode]),
            f"{errors[mode]:.1e}",
        ]
        print("|", " | ".join(cells), "|", flush=True)


def measure_memory():
    """Print the bytes kept, and the peak, against the number of steps."""
    f, y0, _, _ = problem(CASES["mlp"])
    t = torch.tensor([0.0, 1.0])
    rows = {}
    for mode, function in GRADIENT_MODES.items():
        method = "reversible_heun" if mode == "reversible" else "rk4"
        solvers = [
            partial(function, f, method=method, options={"step_size": 1 / steps}) for steps in STEPS
        ]
        rows[f"{mode}, {method}"] = [memory(solver, f, y0, t) for solver in solvers]
    for place, title in enumerate(("kept", "peak")):
        print(
            f"\n| {title}, kB, with steps: | {' | '.join(map(str, STEPS))} "
            f"|\n|{' --- |' * (1 + len(STEPS))}"
        )
        for label, row in rows.items():
            print("|", " | ".join([label, *(f"{pair[place] / 1e3:.1f}" for pair in row)]), "|")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="three rounds")
    parser.add_argument(
        "--memory", action="store_true", help="bytes against the number of steps, instead"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(machine() + "\n")
    if arguments.memory:
        measure_memory()
        return
    print(
        "| case | mode | ms | times faster than torchdiffeq's adjoint | kB kept | kB peak | NFE | "
        "gradient error |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in [arguments.case] if arguments.case else CASES:
        measure(
            name, CASES[name], arguments.rounds or (3 if arguments.quick else CASES[name].rounds)
        )


if __name__ == "__main__":
    main()
