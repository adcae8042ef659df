"""At which batch a GPU begins to pay: solves there and on the CPU; a table in Markdown.

    python benchmarks/gpu.py [--batches 1 100 10000] [--rounds N] [--mode forward] [--threads N]

The field is a net 64-256-64, in float32. Adaptive: dopri5 at 1e-5; fixed: rk4 with 40 steps, whose
work does not depend on numbers, so that on a GPU the whole solve can be one CUDA graph, with the
field compiled or not. One round runs every row once, in turn, and waits for the device before the
clock is read; a ratio is taken within a round, and the median of the rounds is printed, with the
quartiles. Over torchdiffeq: times faster than it on the same device. Over CPU: than the same solver
there, for batches to 10,000. Waits: how often a solve stops for a number from the GPU, per
attempted step. Difference: of the result from torchdiffeq's. The last lines say from which batch on
the GPU is faster.

    python benchmarks/gpu.py --device cpu --batches 1 8 --rounds 2

tries the program where there is no GPU. Its table says nothing about one.
"""

import argparse
import statistics
import time
import warnings

import torch
import torchdiffeq
from solvers import Field, machine

import node_tutorial
from node_tutorial.models import VectorField

BATCHES = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000]
WIDTHS = (64, 256)
ADAPTIVE = {"method": "dopri5", "rtol": 1e-5, "atol": 1e-5}
FIXED = {"method": "rk4", "options": {"step_size": 1 / 40}}
CPU_ROWS = 10_000  # larger batches are for the GPU alone: minutes, and a graph of many gigabytes
COLUMNS = (
    "batch",
    "mode",
    "solver",
    "device",
    "ms",
    "over torchdiffeq",
    "over CPU",
    "waits",
    "difference",
)


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(run, device):
    wait(device)
    start = time.perf_counter()
    run()
    wait(device)
    return time.perf_counter() - start


def task(solver, mode, field, y0, t):
    """What is timed: the last state, or the gradients of its mean square."""

    def run():
        with torch.set_grad_enabled(mode == "backprop"):
            y = solver(field, y0, t)[-1]
            if mode == "forward":
                return [y]
            return torch.autograd.grad(y.square().mean(), (y0, *field.parameters()))

    return run


def with_settings(odeint, **settings):
    return lambda field, y0, t: odeint(field, y0, t, **settings)


def as_graph(run):
    """The same work recorded once as a CUDA graph; a replay starts all of it with one call."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):  # what is made at a first call is no part of the graph
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = run()

    def replay():
        graph.replay()
        return made

    return replay


def tasks_on(device, batch, mode):
    """Solver -> what is timed. The net and the states are the same on every device."""
    torch.manual_seed(0)
    field = VectorField(Field(*WIDTHS).net)
    y0 = torch.randn(batch, WIDTHS[0]).to(device).requires_grad_(mode == "backprop")
    field = field.to(device)
    t = torch.tensor([0.0, 1.0], device=device)
    solvers = {
        "torchdiffeq, adaptive": with_settings(torchdiffeq.odeint, **ADAPTIVE),
        "plain, adaptive": with_settings(node_tutorial.odeint, **ADAPTIVE),
        "torchdiffeq, fixed": with_settings(torchdiffeq.odeint, **FIXED),
        "plain, fixed": with_settings(node_tutorial.odeint, **FIXED),
    }
    if device == "cpu":  # a compiled solve is a program for CPUs
        for name, settings in (("adaptive", ADAPTIVE), ("fixed", FIXED)):
            compiled = {**settings, "options": {**settings.get("options", {}), "compile": True}}
            solvers[f"compiled, {name}"] = with_settings(node_tutorial.odeint, **compiled)
    made = {name: task(solver, mode, field, y0, t) for name, solver in solvers.items()}
    if device == "cuda":
        quick = torch.compile(field)
        made["plain, field compiled, adaptive"] = task(
            solvers["plain, adaptive"], mode, quick, y0, t
        )
        made["CUDA graph, fixed"] = as_graph(made["plain, fixed"])
    return made


def waits(run):
    """How often the CPU waits for the GPU; torch warns each time if asked to."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(w.message) for w in caught)


def attempts(device, batch):
    """How many steps the plain adaptive solve tries."""
    torch.manual_seed(0)
    field = VectorField(Field(*WIDTHS).net)
    y0 = torch.randn(batch, WIDTHS[0]).to(device)
    t = torch.tensor([0.0, 1.0], device=device)
    with torch.no_grad():
        stats = node_tutorial.solve(field.to(device), y0, t, **ADAPTIVE).stats
    return stats.accepted + stats.rejected


def measure(batch, mode, devices, rounds):
    """Print the rows of one batch and mode; for each solver, whether the GPU was faster."""
    runs = {}
    found = {}
    for device in devices:
        if device == "cpu" and batch > CPU_ROWS:
            continue
        try:
            for name, run in tasks_on(device, batch, mode).items():
                found[name, device] = [x.detach().cpu() for x in run()]
                runs[name, device] = run
        except torch.OutOfMemoryError:
            print(f"| {batch:,} | {mode} | | {device} | out of memory |", flush=True)
            torch.cuda.empty_cache()
    times = {key: [] for key in runs}
    faster = {}
    for _ in range(rounds):
        for (name, device), run in runs.items():
            times[name, device].append(seconds(run, device))
    for name, device in runs:
        kind = name.rpartition(", ")[2]
        own = times[name, device]
        reference = found[f"torchdiffeq, {kind}", devices[0] if batch <= CPU_ROWS else device]
        cells = [f"{batch:,}", mode, name, device, f"{1e3 * statistics.median(own):.2f}"]
        cells.append(ratio(times[f"torchdiffeq, {kind}", device], own))
        if device == "cuda" and (name, "cpu") in times:
            cells.append(ratio(times[name, "cpu"], own))
            faster[name] = statistics.median(times[name, "cpu"]) > statistics.median(own)
        else:
            cells.append("-")
        if device == "cuda" and name == "plain, adaptive":
            cells.append(f"{waits(runs[name, device]) / attempts(device, batch):.2f}")
        else:
            cells.append("-")
        cells.append(f"{difference(found[name, device], reference):.1e}")
        print("|", " | ".join(cells), "|", flush=True)
    return faster


def ratio(others, own):
    """The median of the ratios within rounds, and their quartiles."""
    ratios = [a / b for a, b in zip(others, own)]
    if len(ratios) == 1:
        return f"{ratios[0]:.2f}"
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def difference(result, reference):
    """The largest over the largest value; of several tensors the worst."""
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(result, reference))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--mode", choices=("forward", "backprop"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "There is no GPU that torch can use here (torch.cuda.is_available() is False), so "
            "nothing is measured. To try the program: --device cpu --batches 1 8 --rounds 2"
        )
    gpu = torch.cuda.get_device_name() if arguments.device == "cuda" else "no GPU"
    print(f"{machine()}; {gpu}\n")
    print("|", " | ".join(COLUMNS), "|")
    print("|", " | ".join("---" for _ in COLUMNS), "|")
    devices = list(dict.fromkeys(["cpu", arguments.device]))
    pays = {}
    for batch in sorted(arguments.batches):
        for mode in [arguments.mode] if arguments.mode else ("forward", "backprop"):
            for name, faster in measure(batch, mode, devices, arguments.rounds).items():
                if not faster:
                    pays.pop((mode, name), None)
                else:
                    pays.setdefault((mode, name), batch)
    for (mode, name), batch in pays.items():
        print(f"\n{mode}, {name}: the GPU is faster from batch {batch:,} on")


if __name__ == "__main__":
    main()
