"""Lesson 21: one training, by as many processes as are started. It has to be a module: what a
notebook defines cannot be found by other processes.

    torchrun --nproc-per-node 2 -m node_tutorial.lessons.beyond_one_machine.worker out.npz RK4 256 9
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.utils import parameters_to_vector

from ...data.densities import two_moons
from ...models import CNF
from ...training import History, Minibatches, fit
from ...training.distributed import processes, rank
from .workload import RATE, TOLERANCE, field, fixed

POINTS = 8192
TOO_LONG = 300  # seconds


class Job(NamedTuple):
    """Some updates of the lesson's CNF: by RK4's equal steps or adaptively, with so many points."""

    solver: str
    rows: int
    updates: int


class Found(NamedTuple):
    """Losses (updates,), parameters (P,) after the last; of an update the least milliseconds on the
    clock, and the least of rank 0's processor; how many processes there were.
    """

    loss: np.ndarray
    parameters: np.ndarray
    fastest: float
    processor: float
    processes: int


def train(job: Job) -> Found:
    """In double precision, as ever: neither loss nor batches know how many processes there are."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return _train(job)
    finally:
        torch.set_default_dtype(before)


def _train(job: Job) -> Found:
    torch.manual_seed(0)
    points = two_moons().sample(POINTS)
    func = field()
    flow = fixed(func, "rk4_classic", 8) if job.solver == "RK4" else CNF(func, **TOLERANCE)
    ends: list[tuple[float, float]] = []

    def note(model: Any, history: History) -> None:
        ends.append((time.perf_counter(), time.process_time()))

    history = fit(
        flow,
        lambda model, batch: -model.log_prob(batch[0]).mean(),
        job.updates,
        lr=RATE,
        batches=Minibatches(points, size=job.rows, seed=0),
        on_step=note,
        progress=False,
    )
    least = np.diff(ends, axis=0).min(0) if len(ends) > 1 else np.full(2, np.nan)
    parameters = parameters_to_vector(func.parameters()).detach().numpy()
    fastest, processor = (1000 * float(seconds) for seconds in least)
    return Found(np.array(history["loss"]), parameters, fastest, processor, processes())


def start(number: int, job: Job, threads: int = 1) -> Found:
    """Start so many processes with so many threads each, wait for them, and read what rank 0 found.

    Raises RuntimeError with what they wrote, if they fail.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.npz"
        command = [sys.executable, "-m"]
        if number > 1:
            command += ["torch.distributed.run", "--standalone", f"--nproc-per-node={number}", "-m"]
        command += [__name__, str(out), *map(str, job)]
        done = subprocess.run(
            command,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            capture_output=True,
            text=True,
            timeout=TOO_LONG,
            check=False,
        )
        if done.returncode:
            said = done.stderr
            if len(said) > 3000:  # torchrun's own words, long ones, come last
                said = f"{said[:2000]}\n...\n{said[-1000:]}"
            raise RuntimeError(f"{number} processes failed:\n{said}")
        with np.load(out) as found:
            return Found(
                loss=found["loss"],
                parameters=found["parameters"],
                fastest=float(found["fastest"]),
                processor=float(found["processor"]),
                processes=int(found["processes"]),
            )


def main() -> None:
    out, solver, rows, updates = sys.argv[1:]
    found = train(Job(solver, int(rows), int(updates)))
    if rank() == 0:
        np.savez(out, **found._asdict())


if __name__ == "__main__":
    main()
