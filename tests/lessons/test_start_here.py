"""Lesson 00: its map tells the truth and can be read, and its field leads where it says."""

import json
import math
import re
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from node_tutorial import exercises, odeint
from node_tutorial.course.syllabus import READY, SYLLABUS
from node_tutorial.lessons.start_here import figures, first_flow
from node_tutorial.lessons.start_here.first_flow import BLUR, SHAPES, carried, toward
from node_tutorial.plotting import blank

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NEEDS = [(needed, lesson.number) for lesson in SYLLABUS.values() for needed in lesson.needs]


def test_the_map_shows_as_ready_the_lessons_that_exist():
    existing = sorted(path.name for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    assert [lesson.notebook for lesson in READY.values()] == existing


def test_every_lesson_has_a_place_on_the_map_below_those_that_it_needs():
    assert set(figures.PLACES) == set(SYLLABUS)
    higher = [pair for pair in NEEDS if figures.PLACES[pair[0]][1] >= figures.PLACES[pair[1]][1]]
    assert not higher, f"not above the lesson that needs it: {higher}"


def test_the_boxes_of_the_map_do_not_touch():
    centers = np.array([figures.center(place) for place in figures.PLACES.values()])
    apart = (np.abs(centers[:, None] - centers) > figures.BOX).any(axis=2)
    assert apart.sum() == len(centers) * (len(centers) - 1)


def test_no_arrow_of_the_map_passes_through_another_lesson():
    for needed, number in NEEDS:
        corners = np.array(figures.way(figures.PLACES[needed], figures.PLACES[number]))
        parts = [np.linspace(a, b, 200) for a, b in pairwise(corners)]
        points = np.concatenate(parts)
        for other in set(SYLLABUS) - {needed, number}:
            away = np.abs(points - figures.center(figures.PLACES[other]))
            assert not (away < np.array(figures.BOX) / 2).all(axis=1).any(), (needed, number, other)


def test_the_titles_on_the_map_are_inside_their_boxes():
    fig = figures.course_map()
    texts = [
        text for text in fig.axes[0].texts if "\n" in text.get_text() or len(text.get_text()) > 2
    ]
    for title, place in zip(texts, figures.PLACES.values()):
        (x, y), half = figures.center(place), np.array(figures.BOX) / 2
        extent = title.get_window_extent().transformed(fig.axes[0].transData.inverted())
        assert extent.x1 < x + half[0] and abs(extent.y0 - y) < half[1] > abs(extent.y1 - y), title


def test_toward_one_point_every_path_is_straight_and_ends_near_it():
    point = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    z = torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    y = odeint(toward(point), z, t, rtol=1e-10, atol=1e-10)
    for s, state in zip(t, y):
        assert torch.allclose(state, (1 - (1 - BLUR) * s) * z + s * point, atol=1e-8)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_cloud_arrives_as_the_blurred_shape(shape):
    points = SHAPES[shape]()
    cloud = carried(shape, 1e-5).y[-1]
    nearest = torch.cdist(cloud, points).amin(1)
    assert nearest.quantile(0.95) < 3 * BLUR
    assert torch.allclose(cloud.mean(0), points.mean(0), atol=0.15)


def test_the_first_flow_takes_two_long_steps_where_it_may():
    assert sum(step.accepted for step in carried("the letters ODE", 0.1).steps) == 2


def test_at_the_start_there_is_no_error():
    start = first_flow.compute(0, 1e-3, "two moons")
    fig = blank()
    first_flow.draw(fig, start)
    assert fig.axes[0].get_title(loc="left") == "t = 0.00, mean error 0"
    assert first_flow.describe(start).endswith("the mean error is 0.")


# -- what the text says ----------------------------------------------------------------------------

CELLS = json.loads((NOTEBOOKS / "00_start_here.ipynb").read_text("utf-8"))["cells"]
TEXTS = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "markdown"]
[GLOSSARY] = [text for text in TEXTS if text.startswith("## Glossary")]
ROWS = re.findall(r"^\| (?!term |---)(.+) \| .+ \| (.+) \|$", GLOSSARY, re.MULTILINE)
# What to look for in the lesson where a term is earned, if it is not the term's first words.
ALSO = {
    "initial value problem": "where it starts",
    "trajectory": "trajector",
    "contracting": "contract",
    "backprop through the solver": "backprop",
    "augmented ODE": "augment",
    "explicit, implicit": "implicit",
    "event": "*event*",
    "FSAL, first same as last": "FSAL",
    "rejected step": "rejected",
    "embedded pair": "embedded",
    "tolerance, `rtol`, `atol`": "`rtol`",
    "KL divergence": "KL",
    "log-determinant": "log-det",
    "Hutchinson's estimator": "Hutchinson",
    "VAE, variational autoencoder": "variational autoencoder",
    "parameters $\\theta$": "theta",
    "diffusion model": "diffusion",
    "probability-flow ODE": "probability flow",
}


@pytest.mark.parametrize(("term", "place"), ROWS)
def test_a_term_of_the_glossary_is_met_in_the_lesson_that_it_names(term, place):
    if place == "this one":
        texts = TEXTS
    elif place in SYLLABUS:
        assert place not in READY, f"lesson {place} exists: link it"
        return
    else:
        number, name = re.fullmatch(r"\[(\d\d)\]\((.+)\)", place).groups()
        assert READY[number].notebook == name
        cells = json.loads((NOTEBOOKS / name).read_text("utf-8"))["cells"]
        texts = ["".join(cell["source"]) for cell in cells]
    wanted = ALSO.get(term, re.split(r"[,$]", term)[0].strip())
    assert wanted.lower() in "\n".join(texts).lower()


def test_the_glossary_has_its_terms_once():
    terms = [term for term, _ in ROWS]
    assert len(terms) > 50 and len(set(terms)) == len(terms)


def test_what_to_do_about_dead_controls_and_decimal_commas_is_said():
    [afresh] = [text for text in TEXTS if text.startswith("## How to start afresh")]
    assert "the kernel was restarted" in afresh and "2,05" in afresh


# -- exercises: right answers in other forms, and wrong ones ---------------------------------------

END = 3 / math.e
RIGHT = {
    "00.1": [7, 7.0, np.int64(7), torch.tensor([7]), Decimal(7), [7]],
    "00.2": [END, 1.104, torch.tensor([END]), np.float32(END)],
    "00.3": [0.36, 0.4, np.float64(0.35), torch.tensor([0.37])],
}
WRONG = {
    "00.1": [6, 3, 2, -7, math.inf, 7.1],
    "00.2": [3 * math.e, 3, 1.2, 1.1, math.exp(-1), math.nan],
    "00.3": [0.88, 0.53, 0.47, 0.3, 0.1, 0.2, 0.55, -0.36],
}


@pytest.mark.parametrize("id", RIGHT)
def test_an_exercise_accepts_right_answers_in_every_form(id):
    for answer in RIGHT[id]:
        assert exercises.find(id).assess(answer).state == "correct", answer


@pytest.mark.parametrize("id", WRONG)
def test_an_exercise_refuses_wrong_answers(id):
    for answer in WRONG[id]:
        assert exercises.find(id).assess(answer).state == "not yet", answer


def test_where_the_bar_ends_is_told_from_the_red_step_that_is_nearly_as_long():
    said = {answer: exercises.find("00.3").assess(answer).message for answer in (0.47, 0.53)}
    assert "bar ends" in said[0.47] and "rejected" in said[0.53]


def test_what_the_meaning_of_00_3_says():
    steps = carried("the letters ODE", 1e-3).steps
    accepted = [step for step in steps if step.accepted]
    longest = max(accepted, key=lambda step: step.h)
    after = accepted[accepted.index(longest) + 1 :]
    before = {new: old for old, new in pairwise(steps)}
    assert len(after) == 3 and all(step.h < longest.h for step in after)
    assert [before[step].accepted for step in after] == [False, False, True]
    last = after[-1]
    assert last.t + last.h == pytest.approx(1) and last.h < before[last].h


@pytest.mark.parametrize("id", ["00.1", "00.2"])
def test_a_number_beyond_all_floats_is_no_number(id):
    assert exercises.find(id).assess(10**400).state == "not yet"
