"""Trains the runs of lesson 15 that are stored with the course; about a quarter of an hour of one
core.

    python benchmarks/continuous_flows.py [--parts FOLDER] [--only TEXT ...]

Every run is written to FOLDER when it is done, and not made again, so that the script can be
stopped and started; with all of them there, they go to node_tutorial/data/stored/:
continuous_flows.json and .npz. --only picks runs by a part of their names. Settings:
node_tutorial/explore/continuous_flows_runs.py, what is measured: continuous_flows_jobs.py there.
"""

import argparse
import platform
import tempfile
from pathlib import Path

import numpy as np
import torch

from node_tutorial.course.runs import save
from node_tutorial.lessons.continuous_flows import jobs, runs


def file_of(folder: Path, name: str) -> Path:
    return folder / (name.replace("/", "__").replace(" ", "_") + ".npz")


def read(file: Path) -> dict:
    with np.load(file) as values:
        return dict(values)


def store(folder: Path, names: list[str]) -> None:
    """Put the parts together: numbers in one file, arrays in the other."""
    numbers: dict = {
        "about": jobs.protocol() | {"torch": torch.__version__, "machine": platform.machine()}
    }
    arrays = {}
    for name in names:
        part = read(file_of(folder, name))
        numbers[name] = {
            key: round(float(value), 5) for key, value in part.items() if value.ndim == 0
        }
        for key, value in part.items():
            if value.ndim and jobs.is_stored(name, key):
                arrays[f"{name}/{key}"] = value
    for name, setting in (("honest", runs.HONEST), ("trapped", runs.TRAPPED)):
        file = file_of(folder, f"sweep/{name}")
        if not file.exists():
            np.savez(file, **jobs.sweep(runs.restored(arrays[f"trap/{setting.name}/0/parameters"])))
        part = read(file)
        arrays[f"sweep/{name}/picture"] = part.pop("picture")
        numbers[f"sweep/{name}"] = {
            key: np.round(values, 5).tolist() for key, values in part.items()
        }
    save("continuous_flows.json", numbers)
    save("continuous_flows.npz", arrays)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--parts", type=Path, default=Path(tempfile.gettempdir()) / "continuous_flows"
    )
    parser.add_argument("--only", nargs="*", default=[""])
    options = parser.parse_args()
    options.parts.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    wanted = jobs.jobs()
    for name, job in wanted.items():
        file = file_of(options.parts, name)
        if any(text in name for text in options.only) and not file.exists():
            result = job()
            np.savez(file, **result)
            print(
                name,
                {key: value for key, value in result.items() if np.ndim(value) == 0},
                flush=True,
            )
    there = [name for name in wanted if file_of(options.parts, name).exists()]
    if len(there) == len(wanted):
        store(options.parts, there)
    else:
        print(f"{len(there)} of {len(wanted)} runs are there")


if __name__ == "__main__":
    main()
