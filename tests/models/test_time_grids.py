"""Grids of times: their ends, what they are even in, and what they refuse."""

import pytest
import torch

from node_tutorial.models import PATHS, samplers, time_grids
from node_tutorial.models.gaussian_paths import linear, straight
from node_tutorial.models.time_grids import (
    GRIDS,
    even,
    geometric,
    karras,
    quadratic,
    time_of,
    to_data,
    uniform,
)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("path", [make() for make in PATHS.values()], ids=list(PATHS))
def test_grids_go_from_the_last_time_to_the_first(name, path):
    if name == "quadratic" and path.first == 0:
        path = path._replace(first=1e-4)
    times = GRIDS[name](path, 20)
    assert times.shape == (21,) and (times.diff() < 0).all()
    assert float(times[0]) == pytest.approx(path.last, abs=1e-12)
    assert float(times[-1]) == pytest.approx(path.first, abs=1e-12)


def test_grids_are_even_in_what_they_say():
    path = linear()
    ratio = lambda times: path.at(times).sigma / path.at(times).alpha  # noqa: E731
    for levels in (
        uniform(path, 7),
        quadratic(path, 7).sqrt(),
        ratio(geometric(path, 7)).log(),
        ratio(karras(path, 7)) ** (1 / 7),
        ratio(karras(path, 7, rho=1)),
    ):
        steps = levels.diff()
        assert torch.allclose(steps, steps[0].expand(7), rtol=1e-6)
    assert torch.allclose(time_of(path, ratio(uniform(path, 9))), uniform(path, 9), atol=1e-9)


def test_a_step_to_the_data_comes_behind_the_grid():
    times = to_data(uniform(straight(), 4))
    assert times.shape == (6,) and float(times[-1]) == 0 < float(times[-2])


def test_even_steps_go_to_the_data_and_are_equally_long():
    times = even(straight(), 4)
    assert times.shape == (5,) and float(times[-1]) == 0
    assert float(times[0]) == pytest.approx(straight().last, abs=1e-12)
    assert torch.allclose(times.diff(), -times[:1] / 4)


def test_a_grid_without_steps_is_refused():
    for grid in (*GRIDS.values(), even):
        with pytest.raises(ValueError, match="steps must be an integer of 1 or more"):
            grid(straight(), 0)


def test_the_samplers_module_has_the_grids_too():
    for name in (
        "GRIDS",
        "even",
        "geometric",
        "karras",
        "quadratic",
        "time_of",
        "to_data",
        "uniform",
    ):
        assert getattr(samplers, name) is getattr(time_grids, name)
        assert name in samplers.__all__
