"""The planet and the arm: invariants, exact solutions, both postures, canonical coordinates."""

import math

import pytest
import torch

from node_tutorial.data.mechanics import (
    Arm,
    kepler,
    kepler_energy,
    kepler_exact,
    kepler_momentum,
    kepler_perihelion,
    kepler_start,
)
from node_tutorial.solvers.odeint import odeint

f64 = torch.float64
ARM = Arm()


def vector(*entries):
    return torch.tensor(entries, dtype=f64)


Q, W = vector(0.3, 0.9), vector(0.5, -1.0)


def test_the_planet_follows_keplers_equation_and_keeps_three_things():
    t = torch.linspace(0, 20, 41, dtype=f64)
    start = kepler_start(0.6)
    assert start.tolist() == pytest.approx([0.4, 0, 0, 2])
    way = odeint(kepler, start, t, rtol=1e-12, atol=1e-13)
    assert (way - kepler_exact(t, 0.6)).abs().max() < 1e-8
    assert (kepler_energy(way) + 0.5).abs().max() < 1e-10
    assert (kepler_momentum(way) - 0.8).abs().max() < 1e-11
    assert kepler_perihelion(way).abs().max() < 1e-9
    circle = kepler_exact(t, 0.0)
    assert torch.allclose(circle[:, :2], torch.stack([t.cos(), t.sin()], 1))


def test_leapfrog_and_rk4_on_fifty_orbits_at_equal_evaluations():
    """Leapfrog's energy stays in a band and its ellipse turns; RK4's sinks, and turns less."""
    end = 100 * math.pi
    start = kepler_start(0.6)
    found = {}
    for method, steps in (("leapfrog", 20_000), ("rk4", 5_000)):
        t = torch.linspace(0, end, steps + 1, dtype=f64)
        way = odeint(kepler, start, t, method="rk4_classic" if method == "rk4" else method)
        found[method] = (
            float((kepler_energy(way) + 0.5).abs().max()),
            float(kepler_energy(way)[-1] + 0.5),
            float((kepler_momentum(way) - 0.8).abs().max()),
            float(kepler_perihelion(way[-1])),
        )
    assert found["leapfrog"][0] == pytest.approx(9.15e-4, rel=0.01)
    assert found["leapfrog"][2] < 1e-12
    assert found["leapfrog"][3] == pytest.approx(-0.0797, abs=2e-3)
    assert found["rk4"][1] == pytest.approx(-5.30e-3, rel=0.01)
    assert found["rk4"][2] == pytest.approx(9.5e-4, rel=0.02)
    assert found["rk4"][3] == pytest.approx(0.0126, abs=2e-3)


def test_the_arm_at_a_point():
    assert ARM.hand(Q).tolist() == pytest.approx([1.245222693, 1.041151475], abs=1e-9)
    mass = ARM.mass(Q)
    assert mass.flatten().tolist() == pytest.approx(
        [2.317287975, 0.568643987, 0.568643987, 0.32], abs=1e-9
    )
    assert torch.linalg.det(mass).item() == pytest.approx(0.418176168, abs=1e-9)
    assert ARM.coriolis(Q, W).tolist() == pytest.approx([0, 0.078332691], abs=1e-9)
    assert ARM.holding_torque(Q).tolist() == pytest.approx([15.479668266, 1.421891829], abs=1e-9)
    assert ARM.kinetic(Q, W).item() == pytest.approx(0.165339003, abs=1e-9)
    assert ARM.potential(Q).item() == pytest.approx(8.005901214, abs=1e-9)
    assert ARM.momentum(Q, W).tolist() == pytest.approx([0.59, -0.035678006], abs=1e-9)
    assert ARM.acceleration(Q, W).tolist() == pytest.approx([-9.805437302, 12.736182642], abs=1e-9)
    assert torch.linalg.det(ARM.jacobian(Q)).item() == pytest.approx(0.626661528, abs=1e-9)
    assert ARM.holding_torque(vector(0, 0)).tolist() == pytest.approx([18.639, 3.924])


@pytest.mark.parametrize(
    "target, down, up",
    [
        ((1.2, 0.5), (-0.267701457, 1.539541238), (1.057283696, -1.539541238)),
        ((-0.6, 1.1), (1.378429026, 1.614560296), (2.761857071, -1.614560296)),
    ],
)
def test_both_postures_of_a_target(target, down, up):
    found = ARM.postures(vector(*target))
    assert found.down.tolist() == pytest.approx(down, abs=1e-9)
    assert found.up.tolist() == pytest.approx(up, abs=1e-9)


def test_the_hand_comes_to_every_target_within_reach():
    side = torch.linspace(-1.7, 1.7, 24, dtype=f64)
    targets = torch.cartesian_prod(side, side)
    far = targets.norm(dim=1)
    targets = targets[(far > 0.25) & (far < 1.75)]
    assert len(targets) > 300
    for q in ARM.postures(targets):
        assert (ARM.hand(q) - targets).abs().max() < 1e-12
        assert q[:, 0].abs().max() <= math.pi


@pytest.mark.parametrize(
    "target, match",
    [
        ((2.0, 0.0), "out of reach: its distance from the shoulder is 2, the arm reaches from 0.2"),
        ((0.1, 0.0), "out of reach"),
        ((1.8, 0.0), "straight or folded"),
        ((0.0, 0.2), "straight or folded"),
    ],
)
def test_targets_out_of_reach_or_at_its_edge_are_refused(target, match):
    with pytest.raises(ValueError, match=match):
        ARM.postures(torch.stack([vector(1.0, 0.5), vector(*target)]))


def test_what_is_no_arm_is_refused():
    with pytest.raises(ValueError, match="positive"):
        Arm(lengths=(1.0, 0.0))
    with pytest.raises(ValueError, match="points"):
        ARM.postures(vector(1.0, 0.5, 0.0))


def random_states(n):
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(0), dtype=f64)


def test_the_mass_matrix_is_symmetric_and_positive():
    mass = ARM.mass(random_states(200)[:, :2])
    assert torch.equal(mass, mass.mT)
    assert torch.linalg.eigvalsh(mass).min() > 0.05


def test_the_jacobian_is_that_of_the_hand():
    for q in random_states(5)[:, :2]:
        expected = torch.autograd.functional.jacobian(ARM.hand, q)
        assert torch.allclose(ARM.jacobian(q), expected)


def test_the_holding_torque_is_the_slope_of_the_heights_and_holds():
    for q in random_states(5)[:, :2]:
        slope = torch.autograd.functional.jacobian(ARM.potential, q)
        torque = ARM.holding_torque(q)
        assert torch.allclose(torque, slope)
        assert ARM.acceleration(q, 0 * q, torque).abs().max() < 1e-12


def test_the_dropped_arm_against_references():
    y = odeint(ARM.field, torch.zeros(4, dtype=f64), vector(0, 2, 10), rtol=1e-12, atol=1e-13)
    assert y[1].tolist() == pytest.approx(
        [-1.7537495869, -0.3578781649, 2.0474821338, 5.4322816350], abs=1e-8
    )
    assert y[2].tolist() == pytest.approx(
        [-2.7616530114, -0.0971187755, 2.9883599683, -3.1126506916], abs=1e-6
    )
    assert ARM.energy(y).abs().max() < 1e-9


def test_torques_do_the_work_that_the_energy_gains():
    def torque(t):
        return torch.stack([10 * torch.cos(t), 3 * torch.sin(2 * t)])

    def field(t, y):
        u = torque(t)
        return torch.cat([ARM.field(t, y[:4], u), (u * y[2:4]).sum()[None]])

    start = torch.cat([Q, W, vector(0)])
    end = odeint(field, start, vector(0, 1.5), rtol=1e-11, atol=1e-12)[-1]
    gained = ARM.energy(end[:4]) - ARM.energy(start[:4])
    assert gained.item() == pytest.approx(end[4].item(), abs=1e-8) and abs(end[4]) > 0.5


def test_momenta_follow_the_same_motion():
    start = torch.cat([Q, W])
    t = vector(0, 1)
    u = vector(4.0, -1.0)
    by_w = odeint(lambda t, y: ARM.field(t, y, u), start, t, rtol=1e-11, atol=1e-12)[-1]
    canonical = torch.cat([Q, ARM.momentum(Q, W)])
    by_p = odeint(lambda t, y: ARM.canonical_field(t, y, u), canonical, t, rtol=1e-11, atol=1e-12)
    assert torch.allclose(by_p[-1, :2], by_w[:2], atol=1e-8)
    assert torch.allclose(by_p[-1, 2:], ARM.momentum(by_w[:2], by_w[2:]), atol=1e-8)


def test_the_canonical_field_is_that_of_the_hamiltonian_and_only_it_has_no_divergence():
    y = torch.cat([Q, ARM.momentum(Q, W)])
    slope = torch.autograd.functional.jacobian(ARM.hamiltonian, y)
    assert torch.allclose(ARM.canonical_field(0, y), torch.cat([slope[2:], -slope[:2]]))
    assert ARM.hamiltonian(y).item() == pytest.approx(ARM.energy(torch.cat([Q, W])).item())
    jacobian = torch.autograd.functional.jacobian
    canonical = jacobian(lambda y: ARM.canonical_field(0, y), y).trace()
    plain = jacobian(lambda y: ARM.field(0, y), torch.cat([Q, W])).trace()
    assert abs(canonical) < 1e-12 and plain.item() == pytest.approx(0.372607607, abs=1e-9)


def test_leapfrog_refuses_the_arm_and_implicit_midpoint_keeps_its_energy():
    y = torch.cat([Q, ARM.momentum(Q, W)])
    t = torch.linspace(0, 20, 2001, dtype=f64)
    with pytest.raises(ValueError, match="p"):
        odeint(ARM.canonical_field, y, t, method="leapfrog")
    way = odeint(ARM.canonical_field, y, t, method="implicit_midpoint")
    drift = ARM.hamiltonian(way) - ARM.hamiltonian(y)
    assert drift.abs().max() < 0.1 and drift[-200:].abs().mean() < 0.05
