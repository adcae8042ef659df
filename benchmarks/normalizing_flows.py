"""Trains the flows of lesson 14 that are stored with the course; ten minutes on one core.

    python benchmarks/normalizing_flows.py

They go to node_tutorial/data/stored/. Settings and what is measured:
node_tutorial/explore/normalizing_flows_runs.py. One thread, float32. Another machine gives other
last digits, and after some hundred updates other numbers; what the lesson says about them is
asserted with bounds.
"""

import time

import torch

from node_tutorial.course.runs import save
from node_tutorial.lessons.normalizing_flows.runs import MEASURES, make


def main():
    torch.set_num_threads(1)
    start = time.process_time()
    print(f"{', '.join(MEASURES)}, in nats")
    arrays = make(
        report=lambda text: print(f"{time.process_time() - start:5.0f} s  {text}", flush=True)
    )
    save("normalizing_flows.npz", arrays)


if __name__ == "__main__":
    main()
