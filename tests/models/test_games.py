"""Training rules of games as solvers: invariants, closed forms, eigenvalues."""

import math

import pytest
import torch

from node_tutorial.models.games import RULES, bilinear, dirac, play
from node_tutorial.solvers.odeint import odeint

h, N = 0.1, 100


@pytest.mark.parametrize(
    "rule, norm",
    [
        ("simultaneous", (1 + h * h) ** 50),
        ("extragradient", (1 - h**2 + h**4) ** 50),
        ("heun", (1 + h**4 / 4) ** 50),
        ("rk4", (1 - h**6 / 72 + h**8 / 576) ** 50),
    ],
)
def test_each_step_scales_the_norm_by_the_methods_own_factor(rule, norm):
    way = play(bilinear(), (1.0, 0.0), h, N, rule)
    assert way[-1].norm().item() == pytest.approx(norm, abs=1e-12)


@pytest.mark.parametrize(
    "rule, norm",
    [
        ("simultaneous", 1.644631822),
        ("extragradient", 0.608069),
        ("heun", 1.001251),
        ("rk4", 0.999999306),
    ],
)
def test_the_norms_after_a_hundred_steps(rule, norm):
    way = play(bilinear(), (1.0, 0.0), h, N, rule)
    assert way[-1].norm().item() == pytest.approx(norm, abs=5e-7)


def test_taking_turns_keeps_its_own_invariant_for_ever():
    x, y = play(bilinear(), (1.0, 0.0), h, 5000, "in turn").T
    kept = x**2 + y**2 - h * x * y
    assert (kept - 1).abs().max() < 1e-11
    norm = (x**2 + y**2).sqrt()
    least, most = (1 / math.sqrt(1 + sign * h / 2) for sign in (1, -1))
    assert (least, most) == pytest.approx((0.975900073, 1.025978352), abs=1e-9)
    assert least <= norm.min() < least + 1e-5 and most - 1e-5 < norm.max() <= most
    assert (x**2 + y**2 - 1).abs().max() > 0.04  # the plain square is no invariant


def test_taking_turns_is_the_semi_implicit_method_of_the_package():
    way = play(bilinear(), (0.3, -0.8), h, N, "in turn")
    times = h * torch.arange(N + 1, dtype=torch.float64)
    # It moves p first: p is x.
    q, p = odeint(
        lambda t, z: (z[1], -z[0]),
        (torch.tensor(-0.8).double(), torch.tensor(0.3).double()),
        times,
        method="semi_implicit_euler",
    )
    assert torch.allclose(way, torch.stack([p, q], 1), atol=1e-7)  # -0.8 and 0.3 are float32


@pytest.mark.parametrize("penalty", [0.0, 0.5, 1.0, 2.0])
def test_the_dirac_gan_has_the_eigenvalues_of_a_damped_oscillator(penalty):
    field = dirac(penalty)
    jacobian = torch.autograd.functional.jacobian(
        lambda z: torch.stack(field(z[0], z[1])), torch.zeros(2, dtype=torch.float64)
    )
    found = torch.linalg.eigvals(jacobian)
    root = torch.sqrt(torch.tensor(penalty**2 - 1, dtype=torch.complex128)) / 2
    expected = torch.stack([-penalty / 2 - root, -penalty / 2 + root])
    gap = (found[:, None] - expected).abs().min(1).values
    assert gap.max() < 1e-7


def test_a_penalty_ends_the_spiral_of_the_dirac_gan():
    free = play(dirac(), (1.0, 0.0), h, 2000, "simultaneous")
    damped = play(dirac(1.0), (1.0, 0.0), h, 2000, "simultaneous")
    assert free[-1].norm() > 1.5 and damped[-1].norm() < 1e-12


@pytest.mark.parametrize("rule", RULES)
def test_no_steps_leave_the_start(rule):
    assert play(bilinear(), (1.0, 2.0), h, 0, rule).tolist() == [[1.0, 2.0]]


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="rule must be one of simultaneous"):
        play(bilinear(), (1.0, 0.0), h, N, "euler")
    with pytest.raises(ValueError, match="h must be positive"):
        play(bilinear(), (1.0, 0.0), -h, N, "heun")
