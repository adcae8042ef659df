"""Each system obeys the answer that stands beside it."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from node_tutorial import odeint, odeint_event
from node_tutorial.data import systems

TIGHT = {"rtol": 1e-11, "atol": 1e-11, "method": "dopri8"}


def row(*values):
    return torch.tensor(values, dtype=torch.float64)


def solved(f, y0, t):
    return odeint(f, y0, t, **TIGHT)


@pytest.mark.parametrize("name", ["oscillator", "damped_oscillator"])
def test_exact_solutions_are_those_of_their_fields(name):
    y0, t = row(0.7, -1.3), torch.linspace(0, 9, 10, dtype=torch.float64)
    exact = getattr(systems, f"{name}_exact")(t, y0)
    assert torch.equal(exact[0], y0)
    assert torch.allclose(solved(getattr(systems, name), y0, t), exact, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("field", "invariant"),
    [
        (systems.pendulum, systems.pendulum_energy),
        (
            partial(systems.pendulum, g_over_l=2.0),
            partial(systems.pendulum_energy, g_over_l=2.0),
        ),
        (systems.lotka_volterra, systems.lotka_volterra_invariant),
        (systems.robertson, lambda y: y.sum(dim=-1)),
    ],
)
def test_invariants_are_kept_though_their_parts_change(field, invariant):
    t = torch.linspace(0, 3, 7, dtype=torch.float64)
    start = torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    start = start if field is systems.robertson else start[:, :2]
    slope = torch.func.vmap(torch.func.grad(invariant))(start) * field(0.0, start)
    assert slope.sum(dim=1).abs().max() < 1e-8 and slope.abs().max() > 0.1
    if field is not systems.robertson:  # stiff
        kept = invariant(solved(field, start, t))
        assert torch.allclose(kept, kept[:1].expand_as(kept), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("amplitude", "g_over_l"), [(0.5, 1.0), (2.5, 1.0), (1.0, 9.81)])
def test_a_pendulum_is_at_the_bottom_after_a_quarter_of_its_period(amplitude, g_over_l):
    f = partial(systems.pendulum, g_over_l=g_over_l)
    t, _ = odeint_event(f, row(amplitude, 0.0), row(0.0)[0], event_fn=lambda t, y: y[0], **TIGHT)
    assert 4 * float(t) == pytest.approx(systems.pendulum_period(amplitude, g_over_l), abs=1e-8)


@pytest.mark.parametrize("mu", [1.0, 8.0])
def test_the_reference_of_van_der_pol_agrees_with_our_own_method_of_order_eight(mu):
    t = torch.linspace(0, 20, 5, dtype=torch.float64)
    y = solved(partial(systems.van_der_pol, mu=mu), row(2.0, 0.0), t)
    assert torch.allclose(y, systems.van_der_pol_exact(mu)(t), rtol=0, atol=1e-6)


def test_the_exact_decay_starts_at_y0_and_obeys_the_equation():
    t = torch.linspace(0, 2, 9, dtype=torch.float64)
    exact = systems.decay_to_cosine_exact(t.numpy(), 7.0, 0.3)
    assert systems.decay_to_cosine_exact(0.0, 7.0, 0.3) == pytest.approx(0.3)
    y = solved(partial(systems.decay_to_cosine, rate=7.0), row(0.3), t)[:, 0]
    assert np.allclose(y, exact, rtol=0, atol=1e-7)


def test_robertsons_problem_is_the_published_one():
    y = systems.robertson_exact(40.0)
    assert y.tolist() == pytest.approx([0.7158, 9.1855e-6, 0.2842], rel=2e-4)
    assert float(y.sum()) == pytest.approx(1, abs=1e-10)


def test_robertsons_jacobian_is_that_of_its_field():
    state = np.array([0.9, 3e-5, 0.1])
    jacobian = torch.func.jacrev(systems.robertson, argnums=1)(0.0, torch.from_numpy(state))
    assert np.allclose(systems.robertson_jacobian(0.0, state), jacobian)


@pytest.mark.parametrize(
    "field",
    [
        systems.oscillator,
        systems.damped_oscillator,
        systems.pendulum,
        systems.lotka_volterra,
        systems.van_der_pol,
        systems.robertson,
    ],
)
def test_a_batch_of_states_is_a_field_of_single_ones(field):
    y = torch.rand(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y = y if field is systems.robertson else y[:, :2]
    assert torch.equal(field(0.0, y), torch.stack([field(0.0, state) for state in y]))


def test_a_small_swing_takes_as_long_as_the_oscillators():
    assert systems.pendulum_period(1e-4) == pytest.approx(2 * math.pi, rel=1e-8)
