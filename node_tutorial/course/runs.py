"""Results of runs that are too long for a lesson. The scripts in benchmarks/ make them again."""

import json
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parents[1] / "lessons"


def load(name: str, otherwise: dict[str, Any] | None = None) -> dict[str, Any]:
    """The contents of a stored file: of "ode_nets.json" as they are, of "ode_nets.npz" the arrays
    by name.

    otherwise: what to return if there is no such file.

    Raises:
        FileNotFoundError: that lists what there is.
    """
    file = _file(name)
    if not file.is_file():
        if otherwise is not None:
            return otherwise
        there = sorted(
            f"{path.parent.name}{path.suffix}"
            for path in FOLDER.glob("*/stored.*")
            if path.suffix in (".json", ".npz")
        )
        raise FileNotFoundError(f"nothing is stored as {name!r}; there are {', '.join(there)}")
    if file.suffix == ".json":
        return json.loads(file.read_text("utf-8"))
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def save(name: str, contents: dict[str, Any]) -> None:
    """Store numbers as a ".json" file, or arrays by name as an ".npz" file; for the scripts in
    benchmarks/.
    """
    file = _file(name)
    if file.suffix == ".json":
        file.write_text(json.dumps(contents, indent=1) + "\n", "utf-8")
    else:
        np.savez_compressed(file, allow_pickle=False, **contents)
    print(f"{name}: {file.stat().st_size // 1024} KB")


def _file(name: str) -> Path:
    stem, suffix = name.split(".")
    return FOLDER / stem / f"stored.{suffix}"
