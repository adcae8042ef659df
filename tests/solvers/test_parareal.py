"""Parareal: exact values, what an iteration makes exact, and what it costs."""

import math

import pytest
import torch

from node_tutorial.solvers.parareal import parareal, parareal_speedup

DECAY = [0.117879, 0.0195700, 0.00354809, 6.70393e-4, 1.29765e-4, 2.17157e-5, 2.53132e-6]
OSCILLATION = [4.54, 4.40, 2.21, 0.691, 0.145, 0.0207, 0.00202]


def euler(rate):
    return lambda y, start, end: y * (1 + rate * (end - start))


def exact(rate):
    return lambda y, start, end: y * torch.exp(rate * (end - start))


def errors(rate, length, slabs=10, iterations=6):
    t = torch.linspace(0, length, slabs + 1, dtype=torch.float64)
    start = torch.tensor(1.0, dtype=torch.complex128)
    found = parareal(euler(rate), exact(rate), start, t, iterations)
    return (found - torch.exp(rate * t)).abs()


def test_a_decay_converges_at_once():
    assert errors(-1.0, 5.0).amax(1).tolist() == pytest.approx(DECAY, rel=1e-5)


def test_an_oscillation_gets_no_better_before_the_fourth_iteration():
    found = errors(1j, 2 * math.pi).amax(1).tolist()
    assert found == pytest.approx(OSCILLATION, rel=5e-3)
    assert found[2] > 1 and found[3] > 0.5 and found[4] < 0.2


@pytest.mark.parametrize("rate", [-1.0, 1j, 0.5 - 2j])
def test_k_iterations_make_the_first_k_slabs_exact(rate):
    found = errors(rate, 4.0, slabs=8, iterations=10)
    for k in range(11):
        assert found[k, : k + 1].max() < 1e-13
    assert all(found[k, k + 1] > 1e-9 for k in range(6))


def test_later_slabs_are_not_solved_again_where_nothing_changes():
    rows = []

    def fine(y, start, end):
        rows.append(len(y))
        return exact(-1.0)(y, start, end)

    t = torch.linspace(0, 2, 6, dtype=torch.float64)
    found = parareal(euler(-1.0), fine, torch.tensor(1.0, dtype=torch.float64), t, 7)
    assert rows == [5, 4, 3, 2, 1] and found.shape == (8, 6)


def test_it_is_the_textbooks_loop():
    """With states of two numbers, slabs of unequal lengths, and a field that knows the time."""

    def heun(steps):
        def propagate(y, start, end):
            h = ((end - start) / steps)[:, None]
            t = start[:, None].clone()
            for _ in range(steps):
                slope = torch.stack([y[:, 1], t[:, 0] - y[:, 0]], 1)
                guess = y + h * slope
                later = torch.stack([guess[:, 1], (t + h)[:, 0] - guess[:, 0]], 1)
                y = y + h / 2 * (slope + later)
                t = t + h
            return y

        return propagate

    t = torch.tensor([0.0, 0.3, 1.0, 1.2, 2.0], dtype=torch.float64)
    y0 = torch.tensor([1.0, -0.5], dtype=torch.float64)
    coarse, fine = heun(1), heun(8)
    old = [y0]
    for n in range(4):
        old.append(coarse(old[n][None], t[n : n + 1], t[n + 1 : n + 2])[0])
    found = parareal(coarse, fine, y0, t, 3)
    for k in range(4):
        assert torch.allclose(found[k], torch.stack(old), atol=1e-14)
        new = [y0]
        for n in range(4):
            slab = t[n : n + 1], t[n + 1 : n + 2]
            new.append(
                coarse(new[n][None], *slab)[0]
                + fine(old[n][None], *slab)[0]
                - coarse(old[n][None], *slab)[0]
            )
        old = new


def test_the_speedup_is_below_slabs_over_iterations():
    assert parareal_speedup(10, 2, 0.0) == 5
    assert parareal_speedup(10, 10, 0.1) < 1
    assert parareal_speedup(20, 4, 0.01) == pytest.approx(1 / (4 / 20 + 5 * 0.01))


@pytest.mark.parametrize(
    ("t", "iterations", "said"), [([0.0], 1, "N slabs"), ([0.0, 1.0], -1, "0 or more")]
)
def test_what_cannot_be_is_said(t, iterations, said):
    with pytest.raises(ValueError, match=said):
        parareal(euler(-1.0), exact(-1.0), torch.tensor(1.0), torch.tensor(t), iterations)
