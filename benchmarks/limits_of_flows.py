"""Trains the runs of lesson 08 that are stored with the course, and prints a table of them; about
half an hour.

    python benchmarks/limits_of_flows.py

They go to node_tutorial/data/stored/. Settings, seeds and what is measured:
node_tutorial/explore/limits_runs.py. One thread, float64. Another machine gives other last digits,
and after some hundred updates other numbers; what the lesson says about them is asserted with
bounds.
"""

import time

import torch

from node_tutorial.course.runs import save
from node_tutorial.lessons.limits_of_flows.runs import MEASURES, make


def main():
    torch.set_num_threads(1)
    start = time.process_time()
    print(f"medians of {', '.join(MEASURES)}")
    arrays = make(
        report=lambda text: print(f"{time.process_time() - start:5.0f} s  {text}", flush=True)
    )
    save("limits_of_flows.npz", arrays)


if __name__ == "__main__":
    main()
