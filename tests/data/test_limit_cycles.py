"""Each limit cycle and each lock is that of its field."""

import math
from functools import partial

import pytest
import torch

from node_tutorial import odeint
from node_tutorial.data.limit_cycles import (
    center,
    cycle_of,
    drift_period,
    euler_cycle,
    hopf,
    lock_of,
    two_phases,
)
from node_tutorial.data.systems import van_der_pol

TIGHT = {"rtol": 1e-11, "atol": 1e-11, "method": "dopri8"}
f64 = torch.float64


def row(*values):
    return torch.tensor(values, dtype=f64)


@pytest.mark.parametrize(
    "t, radius", [(1, 0.263539674), (2, 0.596205491), (3, 0.896078765), (3.022565013, 0.9)]
)
def test_the_radius_on_the_way_to_the_circle(t, radius):
    """r^2 = 1 / (1 + (1 / r0^2 - 1) exp(-2 t)) from r0 = 0.1."""
    y = odeint(hopf, row(0.1, 0.0), row(0, t), **TIGHT)[-1]
    assert float(y.norm()) == pytest.approx(radius, abs=1e-8)
    turned = math.atan2(y[1], y[0]) - 2 * math.pi * t
    assert math.remainder(turned, 2 * math.pi) == pytest.approx(0, abs=1e-7)


def test_a_small_push_off_the_circle_shrinks_by_the_multiplier():
    y = odeint(hopf, row(1 + 1e-4, 0.0), row(0, 1), **TIGHT)[-1]
    assert float(y.norm() - 1) / 1e-4 == pytest.approx(math.exp(-2), rel=1e-3)


def test_a_center_keeps_every_radius():
    y = odeint(center, row(0.3, -1.1), torch.linspace(0, 5, 6, dtype=f64), **TIGHT)
    assert torch.allclose(y.norm(dim=1), y[0].norm().expand(6), atol=1e-8)


@pytest.mark.parametrize(
    "h, radius",
    [(0.01, 1.094343315), (0.02, 1.181674723), (0.05, 1.418659265), (0.1, 1.794557929)],
)
def test_eulers_steps_stay_on_their_own_circle(h, radius):
    assert euler_cycle(h) == pytest.approx(radius, abs=1e-9)
    y = odeint(hopf, row(0.5, 0.0), h * torch.arange(3001, dtype=f64), method="euler")
    assert float(y[-1].norm()) == pytest.approx(radius, abs=1e-9)


@pytest.mark.parametrize("h", [0.0, -0.1, 0.16, 1.0])
def test_no_circle_is_kept_by_steps_that_are_too_long(h):
    with pytest.raises(ValueError, match=r"h \* omega"):
        euler_cycle(h)


# The period, the largest y1, and the log of the factor by which a distance shrinks in a turn.
VAN_DER_POL = {
    0.1: (6.287111272, 2.000104, -0.629104),
    0.5: (6.380675802, 2.002488, None),
    1.0: (6.663286859, 2.008619861, -7.058933),
    2.0: (7.629874480, 2.019891384, None),
    5.0: (11.612230668, 2.021508053, -85.452),
    10.0: (19.078369567, 2.014285359, None),
}


@pytest.fixture(scope="module")
def cycles():
    return {
        mu: cycle_of(
            partial(van_der_pol, mu=mu),
            lambda y, mu=mu: mu * (1 - y[0] ** 2),
            (2.0, 0.0),
            250.0 if mu < 0.3 else 45.0,
        )
        for mu in VAN_DER_POL
    }


@pytest.mark.parametrize("mu", VAN_DER_POL)
def test_van_der_pols_cycles(cycles, mu):
    period, amplitude, multiplier = VAN_DER_POL[mu]
    assert cycles[mu].period == pytest.approx(period, abs=2e-9)
    assert cycles[mu].amplitude == pytest.approx(amplitude, abs=1e-6)
    if multiplier is not None:
        assert cycles[mu].log_multiplier == pytest.approx(multiplier, rel=2e-6)


def test_van_der_pols_amplitude_rises_and_falls_again(cycles):
    sizes = [cycles[mu].amplitude for mu in sorted(cycles)]
    assert sizes[0] < sizes[1] < sizes[2] < sizes[3] < sizes[4] > sizes[5]


def test_what_never_turns_has_no_cycle():
    with pytest.raises(ValueError, match="maxima"):
        cycle_of(lambda t, y: -y, lambda y: row(-2.0)[0], (1.0, 0.0), 5.0)


def test_two_phases_lock_where_the_formula_says():
    lock = lock_of(0.5, 0.4)
    assert lock.difference == pytest.approx(0.675131533, abs=1e-9)
    assert lock.rate == pytest.approx(0.624499800, abs=1e-9)
    for coupling in (0.4, -0.4):
        lock = lock_of(0.5, coupling)
        field = partial(two_phases, left=0.5, right=0.0, coupling=coupling)
        end = odeint(field, row(2.0, 0.0), row(0, 50), **TIGHT)[-1]
        assert float(end[0] - end[1]) == pytest.approx(lock.difference, abs=1e-7)


def test_the_return_to_the_lock_has_its_rate():
    lock = lock_of(0.5, -0.4)
    field = partial(two_phases, left=0.5, right=0.0, coupling=-0.4)
    start = row(lock.difference + 1e-4, 0.0)
    end = odeint(field, start, row(0, 1), **TIGHT)[-1]
    left = float(end[0] - end[1]) - lock.difference
    assert math.log(1e-4 / left) == pytest.approx(lock.rate, rel=1e-3)


@pytest.mark.parametrize("dw", [0.3, -0.3, 0.0])
def test_a_negative_coupling_puts_legs_on_opposite_sides(dw):
    assert math.cos(lock_of(dw, 0.4).difference) > 0.9
    assert math.cos(lock_of(dw, -0.4).difference) < -0.9


def test_beyond_the_edge_they_drift():
    assert lock_of(0.5, 0.2) is None and lock_of(0.4, 0.2) is None
    period = drift_period(0.5, 0.2)
    assert period == pytest.approx(20.943951, abs=1e-6)
    field = partial(two_phases, left=0.5, right=0.0, coupling=0.2)
    y = odeint(field, row(0.0, 0.0), row(0, period), **TIGHT)[-1]
    assert float(y[0] - y[1]) == pytest.approx(2 * math.pi, abs=1e-8)
    with pytest.raises(ValueError, match="lock"):
        drift_period(0.3, 0.2)
