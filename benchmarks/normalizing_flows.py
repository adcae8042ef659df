"""Trains the flows of lesson 14 that are stored with the course; ten minutes on one core.

    python benchmarks/normalizing_flows.py

They go to node_tutorial/data/stored/. Settings and what is measured: node_tutorial/explore/normalizing_flows_runs.py.
One thread, float32. Another machine gives other last digits, and after some hundred updates other numbers; what the
lesson says about them is asserted with bounds.
"""

import time
from pathlib import Path

import numpy as np
import torch

from node_tutorial.data import stored
from node_tutorial.explore.normalizing_flows_runs import MEASURES, make

FILE = Path(stored.__file__).parent / "normalizing_flows.npz"


def main():
    torch.set_num_threads(1)
    start = time.process_time()
    print(f"{', '.join(MEASURES)}, in nats")
    arrays = make(report=lambda text: print(f"{time.process_time() - start:5.0f} s  {text}", flush=True))
    np.savez_compressed(FILE, **arrays)
    print(f"{FILE.name}: {FILE.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
