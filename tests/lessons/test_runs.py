"""The long runs of all lessons: all there, of the protocol of the code, and small; and what is
stored of a model is the model that was measured.
"""

import math
from importlib import import_module

import numpy as np
import pytest

from node_tutorial.course.runs import FOLDER

MODULES = {
    file.parent.name: import_module(f"node_tutorial.lessons.{file.parent.name}.runs")
    for file in sorted(FOLDER.glob("*/runs.py"))
}
RUNS = {stem: module.RUNS for stem, module in MODULES.items() if hasattr(module, "RUNS")}


def test_whatever_is_stored_belongs_to_a_lesson_with_runs():
    assert {file.parent.name for file in FOLDER.glob("*/stored.*")} == set(RUNS)
    assert all(runs.stem == stem for stem, runs in RUNS.items())


def flat(values):
    """All numbers in dicts and lists."""
    if isinstance(values, (dict, list)):
        parts = values.values() if isinstance(values, dict) else values
        return [number for part in parts for number in flat(part)]
    return [values]


@pytest.mark.parametrize("stem", RUNS)
def test_runs_are_stored_as_the_code_says(stem):
    runs = RUNS[stem]
    numbers = runs.numbers()  # of this protocol, these settings and seeds: another one is refused
    assert list(numbers) == list(runs.results)
    assert all(row["measured on"] for row in runs.current().values())
    assert all(math.isfinite(number) for number in flat(numbers))
    with_arrays = set()
    if (runs.folder / "stored.npz").exists():
        arrays = runs.arrays()
        with_arrays = {name.rpartition("/")[0] for name in arrays}
        assert all(np.isfinite(x).all() and x.size for x in arrays.values())
    assert with_arrays <= set(runs.results)
    assert set(runs.results) == with_arrays | {name for name, row in numbers.items() if row}
    for file in runs.folder.glob("stored.*"):
        assert file.stat().st_size < 300_000, file


@pytest.mark.parametrize("stem", RUNS)
def test_stored_parameters_are_the_model_that_was_measured(stem):
    for check in RUNS[stem].verify():
        assert math.isfinite(check.again) and math.isfinite(check.stored), check
        assert abs(check.again - check.stored) <= check.within, check


def test_every_lesson_that_stores_parameters_verifies_some():
    with_parameters = [stem for stem in RUNS if (FOLDER / stem / "stored.npz").exists()]
    assert all(next(iter(RUNS[stem].verify()), None) for stem in with_parameters)
