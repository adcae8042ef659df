"""Facts that lesson 24 relies on. TODO: which ones."""

import math

import pytest

from node_tutorial import explore
from node_tutorial.lessons.controlled_equations import figures
from node_tutorial.lessons.controlled_equations.path_order import compute
from node_tutorial.plotting import text_problems


def test_many_steps_come_near_to_the_solution():
    errors = [abs(compute(2.0, steps).end - math.exp(-2)) for steps in (100, 200)]
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.1)


def test_the_panel_says_what_it_costs():
    panel = explore.path_order(steps=16)
    assert "16 evaluations" in panel.text


def test_figures_are_readable():
    fig = figures.errors_figure([4, 8], [0.1, 0.05])
    fig.png()
    assert not text_problems(fig)
