"""Lesson 00: its map tells the truth, and its field leads where it says."""

import pathlib

import pytest
import torch

from node_tutorial import odeint
from node_tutorial.lessons.start_here import first_flow as tour

NOTEBOOKS = pathlib.Path(__file__).parents[2] / "notebooks"


def test_the_map_shows_as_ready_the_lessons_that_exist():
    existing = tuple(sorted(path.name[:2] for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")))
    assert tuple(tour.READY) == existing, "execute lesson 00 again"


def test_a_lesson_stands_below_those_that_it_needs():
    for number, lesson in tour.LESSONS.items():
        for needed in lesson.needs:
            assert needed < number
            assert tour.LESSONS[needed].place[1] < lesson.place[1], (
                f"{needed} is not above {number}"
            )
    places = [lesson.place for lesson in tour.LESSONS.values()]
    assert len(set(places)) == len(places)


def test_toward_one_point_every_path_is_straight_and_ends_near_it():
    point = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    z = torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    y = odeint(tour.toward(point), z, t, rtol=1e-10, atol=1e-10)
    for s, state in zip(t, y):
        assert torch.allclose(state, (1 - (1 - tour.BLUR) * s) * z + s * point, atol=1e-8)


@pytest.mark.parametrize("shape", tour.SHAPES)
def test_the_cloud_arrives_as_the_blurred_shape(shape):
    points, cloud = tour.SHAPES[shape](), tour._carried(shape, 1e-5).y[-1]
    nearest = torch.cdist(cloud, points).amin(1)
    assert nearest.quantile(0.95) < 3 * tour.BLUR
    assert torch.allclose(cloud.mean(0), points.mean(0), atol=0.15)
