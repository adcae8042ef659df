"""Results of runs that are too long for a lesson. The scripts in benchmarks/ make them again."""

import json
from pathlib import Path
from typing import Any

import numpy as np


def load(name: str) -> dict[str, Any]:
    """The contents of a stored file: of "ode_nets.json" as they are, of "ode_nets.npz" the arrays by name.

    Raises:
        FileNotFoundError: that lists what there is.
    """
    folder = Path(__file__).parent
    file = folder / name
    if not file.is_file():
        there = sorted(path.name for path in folder.iterdir() if path.suffix in (".json", ".npz"))
        raise FileNotFoundError(f"nothing is stored as {name!r}; there are {', '.join(there)}")
    if file.suffix == ".json":
        return json.loads(file.read_text("utf-8"))
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)
