"""Every registered explorable, at the corners of its controls: it never crashes, says in a sentence
what it shows, cuts and covers no texts, and each control matters.

    pytest tests/test_explorables.py -k euler_polygon -s      one explorable, with its times
"""

import dataclasses
import io
import itertools
import math
import numbers
import random
import re
import statistics
import time
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

ipywidgets = pytest.importorskip("ipywidgets")
from node_tutorial import explore  # noqa: E402
from node_tutorial.course.explorables import View  # noqa: E402
from node_tutorial.plotting import text_problems  # noqa: E402

GOAL, BOUND = (
    0.15,
    0.6,
)  # seconds for one update, median: what we aim at, and what fails on a busy machine
FULL = 32  # up to this many corners are all visited, beyond it a sample is


def _factories():
    """Every explorable as a case of its own."""
    yield from (
        pytest.param(factory, id=name) for name, factory in sorted(explore.EXPLORABLES.items())
    )


@pytest.fixture(scope="module", params=list(_factories()))
def panel(request):
    panel = request.param()
    panel.looks = {}
    panel.evaluate()  # what is trained or solved once is not part of an update
    return panel


class Look(NamedTuple):
    """One evaluated setting: the view, the seconds that it took, and what a reader could not read."""

    view: View
    seconds: float
    problems: list


def look(panel, setting):
    """Evaluate a setting, once for all tests.

    Its time is the smaller of wall and processor time: the former grows with other work on the
    machine, the latter with the number of threads.
    """
    key = tuple(setting.items())
    if key not in panel.looks:
        wall, processor = time.perf_counter(), time.process_time()
        view = panel.evaluate(**setting)
        seconds = min(time.perf_counter() - wall, time.process_time() - processor)
        panel.looks[key] = Look(view, seconds, text_problems(panel.figure))
    return panel.looks[key]


def extremes(control):
    """The values of a control that make corners: both ends, or every option."""
    if isinstance(control, ipywidgets.FloatLogSlider):
        return [control.base**control.min, control.base**control.max]
    if isinstance(control, ipywidgets.SelectionSlider):
        values = [option[1] if isinstance(option, tuple) else option for option in control.options]
        return [values[0], values[-1]]
    if isinstance(control, ipywidgets.Dropdown):
        return [option[1] for option in control.options]
    if isinstance(control, ipywidgets.Checkbox):
        return [False, True]
    return [control.min, control.max]


def one_at_a_time(panel):
    """Settings that differ from the defaults in one control."""
    for name, control in panel.controls.items():
        for value in extremes(control):
            yield {**panel.defaults, name: value}


def corners(panel):
    """All corners if they are few; else every extreme by itself and random corners, the same in
    every run.
    """
    names = list(panel.controls)
    sets = [extremes(panel.controls[name]) for name in names]
    if math.prod(map(len, sets)) <= FULL:
        return [panel.defaults, *(dict(zip(names, values)) for values in itertools.product(*sets))]
    chance = random.Random(0)
    sample = [
        {name: chance.choice(values) for name, values in zip(names, sets)} for _ in range(FULL // 2)
    ]
    return [panel.defaults, *one_at_a_time(panel), *sample]


def not_finite(data, path="data"):
    """Where `data` holds numbers that are not finite, outside of parts that declare `diverged`."""
    if isinstance(data, torch.Tensor):
        data = data.detach().cpu().numpy()
    if isinstance(data, np.ndarray):
        return (
            [path] if np.issubdtype(data.dtype, np.number) and not np.isfinite(data).all() else []
        )
    if isinstance(data, (str, bytes, bool, type(None))):
        return []
    if isinstance(data, numbers.Number):
        return [] if np.isfinite(data) else [path]
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        data = {field.name: getattr(data, field.name) for field in dataclasses.fields(data)}
    elif hasattr(data, "_asdict"):
        data = data._asdict()
    if isinstance(data, dict):
        if data.get("diverged"):
            return []
        return [bad for key, value in data.items() for bad in not_finite(value, f"{path}[{key!r}]")]
    if isinstance(data, (list, tuple)):
        return [bad for i, value in enumerate(data) for bad in not_finite(value, f"{path}[{i}]")]
    return []


def pixels(png):
    """The picture as an array (height, width, 3) of bytes."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def _said(setting):
    return ", ".join(f"{name}={value!r}" for name, value in setting.items())


def test_every_corner_gives_finite_data_one_sentence_and_a_readable_picture(panel):
    for setting in corners(panel):
        view, _, problems = look(panel, setting)
        bad = not_finite(view.data)
        assert not bad, (
            f"{_said(setting)}: not finite: {bad[:5]}; set data['diverged'] where that is the "
            "message"
        )
        assert isinstance(view.text, str) and view.text.strip(), f"{_said(setting)}: {view.text!r}"
        assert "\n" not in view.text, f"{_said(setting)}: describe with one line, not {view.text!r}"
        assert not re.search(r"\b(nan|inf)\b", view.text), f"{_said(setting)}: {view.text}"
        colored = (pixels(view.png) < 250).any(axis=2).mean()
        assert colored > 0.005, f"{_said(setting)}: the picture is blank"
        assert not problems, f"{_said(setting)}: {problems}"


def test_each_control_changes_the_picture(panel):
    chance = random.Random(1)
    for name, control in panel.controls.items():
        values = [panel.defaults[name], *extremes(control)]
        surroundings = [panel.defaults]
        surroundings += [
            {n: chance.choice(extremes(c)) for n, c in panel.controls.items()} for _ in range(6)
        ]
        for others in surroundings:
            first, *rest = (
                pixels(look(panel, {**others, name: value}).view.png) for value in values
            )
            if any((first != picture).any() for picture in rest):
                break
        else:
            pytest.fail(f"the control {name!r} ({control.description}) never changes the picture")


def test_a_control_has_a_label_and_an_admissible_default(panel):
    assert panel.question.strip(), "an explorable asks the learner to predict something"
    for name, control in panel.controls.items():
        assert control.description.strip(), f"{name} has no label"
        assert control.value == panel.defaults[name]


def test_one_update_is_quick(panel, record_property):
    times = [look(panel, setting).seconds for setting in one_at_a_time(panel)]
    median = statistics.median(times)
    record_property("median_ms", round(1000 * median))
    verdict = "" if median <= GOAL else f"  (goal {1000 * GOAL:.0f})"
    print(
        f"\n{panel.question[:40]:40s} median {1000 * median:.0f} ms, slowest "
        f"{1000 * max(times):.0f} ms{verdict}"
    )
    assert median <= BOUND, f"one update takes {median:.2f} s (median): precompute what is slow"


def test_moving_a_control_by_code_shows_the_same_as_evaluating(panel):
    panel.reset()
    control = next(iter(panel.controls.values()))
    control.value = extremes(control)[-1]
    view = panel.evaluate()
    assert panel.text == view.text and panel.png == view.png
    assert set(panel._repr_mimebundle_()) >= {"image/png", "text/plain"}
    panel.reset()
    assert panel.values == panel.defaults
