"""Trains the runs of lesson 08 that are stored with the course, and prints a table of them; about half an hour.

    python benchmarks/limits_of_flows.py

They go to node_tutorial/data/stored/. Settings, seeds and what is measured: node_tutorial/explore/limits_runs.py. One
thread, float64. Another machine gives other last digits, and after some hundred updates other numbers; what the lesson
says about them is asserted with bounds.
"""

import time
from pathlib import Path

import numpy as np
import torch

from node_tutorial.data import stored
from node_tutorial.explore.limits_runs import MEASURES, make

FILE = Path(stored.__file__).parent / "limits_of_flows.npz"


def main():
    torch.set_num_threads(1)
    start = time.perf_counter()
    print(f"medians of {', '.join(MEASURES)}")
    arrays = make(report=lambda text: print(f"{time.perf_counter() - start:5.0f} s  {text}", flush=True))
    np.savez_compressed(FILE, **arrays)
    print(f"{FILE.name}: {FILE.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
