"""Explorables of the lessons: `explore.euler_polygon()` returns a picture with controls.

A lesson's explorables live in one file here. A name is looked up in the file that defines it, so a lesson imports its
own explorables and no others; `load_all()` imports every file and returns the registry, for the tests.
"""

import importlib
import pathlib
import re

from .base import EXPLORABLES, Explorable, explorable
from .controls import choice, int_slider, log_slider, play, power_slider, slider, toggle

_MACHINERY = {"__init__", "base", "controls", "precision"}


def _lesson_files():
    return [path for path in sorted(pathlib.Path(__file__).parent.glob("*.py")) if path.stem not in _MACHINERY]


def load_all():
    """Import every lesson's file and return the registry: name -> factory."""
    for path in _lesson_files():
        importlib.import_module(f"{__name__}.{path.stem}")
    return EXPLORABLES


def __getattr__(name):
    if name.startswith("_"):
        raise AttributeError(name)
    files = _lesson_files()
    if any(path.stem == name for path in files):  # from node_tutorial.explore import limits_figures
        return importlib.import_module(f"{__name__}.{name}")
    for path in files:
        if re.search(rf'^@explorable\("\d\d", "{re.escape(name)}"', path.read_text(encoding="utf-8"), re.MULTILINE):
            importlib.import_module(f"{__name__}.{path.stem}")
            return EXPLORABLES[name]
    raise AttributeError(f"no explorable is named {name!r}; there are: {', '.join(sorted(load_all()))}")


def __dir__():
    return [*globals(), *load_all()]
