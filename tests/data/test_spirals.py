"""The spirals: exact solution against the solver, observations as they are described."""

import pytest
import torch

from node_tutorial import odeint
from node_tutorial.data import cubic_spiral, exact_spiral, observe, spiral

f64 = {"dtype": torch.float64}


@pytest.mark.parametrize("growth, frequency", [(0.2, 2.0), (1.0, -3.0), (-0.3, 1.0)])
@pytest.mark.parametrize("y0", [[2.0, 0.0], [0.1, -0.2], [0.0, 0.0], [[0.5, 0.5], [-0.8, 0.6]]])
def test_the_exact_solution_solves_the_field(growth, frequency, y0):
    y0, t = torch.tensor(y0, **f64) * (0.4 if growth < 0 else 1.0), torch.linspace(0, 5, 11, **f64)
    y = odeint(lambda t, y: spiral(t, y, growth, frequency), y0, t, rtol=1e-10, atol=1e-12)
    assert torch.allclose(exact_spiral(t, y0, growth, frequency), y, rtol=0, atol=1e-8)


def test_the_circle_attracts_at_twice_the_growth_rate():
    t, y0 = torch.tensor([0.0, 10.0, 11.0], **f64), torch.tensor([1.05, 0.0], **f64)
    away = exact_spiral(t, y0).norm(dim=1) - 1
    assert (away[2] / away[1]).log().item() == pytest.approx(-0.4, rel=1e-2)


def test_the_cubic_spiral_is_the_one_of_torchdiffeq():
    y = torch.tensor([[2.0, 0.0], [1.0, -1.0]], **f64)
    assert torch.allclose(cubic_spiral(0.0, y), torch.tensor([[-0.8, 16.0], [1.9, 2.1]], **f64))
    end = odeint(cubic_spiral, y[0], torch.tensor([0.0, 25.0], **f64))[-1]
    assert end.norm() < y[0].norm() / 3


def test_observations_are_irregular_noisy_and_repeatable():
    def path(t):
        return exact_spiral(t.double(), torch.tensor([2.0, 0.0], **f64))

    t, y = observe(path, 2000, end=12.0, noise=0.1, seed=1)
    assert t[0] == 0 and t[-1] < 12 and (t.diff() > 0).all() and y.shape == (2000, 2)
    gaps = t.diff() / t.diff().mean()
    assert gaps.std() == pytest.approx(1, abs=0.1)  # as between the events of a Poisson process
    error = y - path(t)
    assert error.std() == pytest.approx(0.1, rel=0.05) and error.mean().abs() < 0.01
    again = observe(path, 2000, end=12.0, noise=0.1, seed=1)
    assert torch.equal(again[0], t) and torch.equal(again[1], y)
    assert not torch.equal(observe(path, 2000, end=12.0, noise=0.1, seed=2)[0], t)


def test_a_single_observation_is_at_0():
    t, y = observe(torch.cos, 1, end=3.0, noise=0.0)
    assert t.tolist() == [0.0] and y.tolist() == [1.0]
    with pytest.raises(ValueError, match="n must be 1 or more, the number of observations, got 0"):
        observe(torch.cos, 0, end=3.0, noise=0.0)
