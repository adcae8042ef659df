"""Every figure of the lessons: nothing cut, nothing covered, and data in all of its axes.

A lesson's `figures.py` names in `EXAMPLES` a function that makes an example of each figure:
name of the function that draws it -> function without arguments. Several examples of one figure are
told apart after a comma: "stretched_figure, two curves".

    pytest tests/lessons/test_figures.py -k bridge_figure      one figure
"""

import importlib
import inspect
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from node_tutorial import lessons
from node_tutorial.plotting import Picture, empty_axes, text_problems

FOLDERS = sorted(path.parent.name for path in Path(lessons.__file__).parent.glob("*/figures.py"))
MODULES = {
    folder: importlib.import_module(f"node_tutorial.lessons.{folder}.figures") for folder in FOLDERS
}
EXAMPLES = {folder: getattr(module, "EXAMPLES", {}) for folder, module in MODULES.items()}


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=f"{folder}-{name}")
        for folder, examples in EXAMPLES.items()
        for name, make in examples.items()
    ],
)
def test_a_figure_can_be_read_and_shows_its_data(make):
    figure = make()
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    assert not text_problems(figure)
    assert not empty_axes(figure)


@pytest.mark.parametrize("folder", [folder for folder in FOLDERS if EXAMPLES[folder]])
def test_each_figure_of_a_lesson_has_an_example(folder):
    module = MODULES[folder]
    figures = {
        name
        for name, value in inspect.getmembers(module, inspect.isfunction)
        if value.__module__ == module.__name__
        and not name.startswith("_")
        and inspect.signature(value).return_annotation in (Picture, Figure)
    }
    assert figures, f"annotate what {module.__name__} returns with Picture"
    assert {name.partition(",")[0] for name in EXAMPLES[folder]} == figures
