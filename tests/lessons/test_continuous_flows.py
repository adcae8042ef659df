"""Facts that lesson 15's helpers rely on: stored runs, the Jacobian by a formula, estimates."""

import math

import numpy as np
import pytest
import torch

from node_tutorial import CNF
from node_tutorial.data.densities import kl_gap, two_moons
from node_tutorial.lessons.continuous_flows import jobs, runs
from node_tutorial.lessons.continuous_flows.density_in_time import paths, stored_flow
from node_tutorial.lessons.continuous_flows.likelihood_check import OWN
from node_tutorial.lessons.continuous_flows.trace_probes import estimated
from node_tutorial.lessons.continuous_flows.traces import jacobian, spread
from node_tutorial.models import PlanarFlow, RealNVP, exact_trace

f64 = torch.float64


def test_all_runs_are_stored_with_the_protocol_of_the_code():
    table = runs.table()
    assert set(jobs.jobs()) <= set(table)
    assert {name: table["about"][name] for name in jobs.protocol()} == jobs.protocol()
    assert all(math.isfinite(value) for row in jobs.jobs() for value in table[row].values())


def test_the_time_is_the_same_for_all_models():
    for name, row in runs.table().items():
        for kind, budget in (("data/", runs.BUDGET), ("target/", runs.TARGET_BUDGET)):
            if name.startswith(kind):
                assert budget <= row["seconds"] < 1.05 * budget + 1


def test_stored_densities_are_densities_and_the_trapped_one_is_not():
    table = runs.table()
    for name, row in table.items():
        if name.startswith(("data/", "target/")):
            assert row["kl"] > -3 * row["error"]
            assert row["mass"] < 1.03
        if name.startswith("data/"):
            assert row["kl"] == pytest.approx(row["nll"] - row["entropy"], abs=0.05)
    trapped, honest = (table[f"trap/{setting.name}/0"] for setting in (runs.TRAPPED, runs.HONEST))
    assert trapped["own_kl"] < -0.5 < 0.5 < trapped["tight_kl"] and trapped["own_mass"] > 1.5
    assert abs(honest["own_kl"] - honest["tight_kl"]) < 0.02 and abs(honest["own_mass"] - 1) < 0.02


def test_without_annealing_one_crescent_of_two_is_found_at_the_price_of_half_the_mass():
    for model in ("planar", "CNF"):
        row = runs.table()[f"target/1/{model}/{runs.SIZES[-1]}/without annealing"]
        assert row["kl"] == pytest.approx(math.log(2), abs=0.02) and row["mass"] == pytest.approx(
            1, abs=0.01
        )


@pytest.mark.parametrize("density", runs.DENSITIES)
def test_stored_parameters_are_the_model_that_was_measured(density):
    """In spite of their half precision."""
    func = runs.restored(runs.arrays()[f"data/{density}/CNF/0/parameters"])
    p, row = runs.DENSITIES[density](), runs.table()[f"data/{density}/CNF/0"]
    gap = kl_gap(p, CNF(func, rtol=1e-4, atol=1e-4).log_prob, runs.held_out(p, 4000))
    assert gap.kl == pytest.approx(row["kl"], abs=4 * (gap.standard_error + row["error"]))


def test_the_sweep_of_the_stored_fields_is_that_of_their_parameters():
    x = runs.held_out(two_moons(), 1000)
    for name, setting in (("honest", runs.HONEST), ("trapped", runs.TRAPPED)):
        row = runs.table()[f"sweep/{name}"]
        func = runs.restored(runs.arrays()[f"trap/{setting.name}/0/parameters"])
        assert (
            len(row["nll"])
            == len(runs.SWEEP) + len(runs.EULER)
            == len(runs.arrays()[f"sweep/{name}/picture"])
        )
        for index, solver in ((4, {"rtol": 1e-3, "atol": 1e-3}), (OWN, runs.euler(5))):
            flow = CNF(func, **solver)
            with torch.no_grad():
                assert -flow.log_prob(x).mean().item() == pytest.approx(row["nll"][index], abs=0.02)
            assert flow.stats.nfe == row["nfe"][index]


def test_a_training_stops_when_its_time_or_its_updates_are_used_up():
    torch.manual_seed(0)
    density, flow = two_moons(), PlanarFlow(2, 2)
    before = flow.log_prob(torch.zeros(1, 2)).item()
    trained = runs.train(flow, runs.likelihood(density), 1e-2, steps=4)
    assert (
        len(trained.loss) == len(trained.nfe) == 4
        and flow.log_prob(torch.zeros(1, 2)).item() != before
    )
    assert 0.2 <= runs.train(flow, runs.likelihood(density), 1e-2, seconds=0.2).seconds < 2
    assert set(runs.train(CNF(runs.field(4)), runs.reverse_kl(density), 1e-2, steps=2).nfe) != {0}


def test_a_job_of_every_kind_measures_what_is_stored_of_it(monkeypatch):
    for name, value in (
        ("BUDGET", 0.1),
        ("TARGET_BUDGET", 0.1),
        ("TRAP_STEPS", 2),
        ("HELD_OUT", 100),
    ):
        monkeypatch.setattr(runs, name, value)
    points = two_moons().sample(50).double()
    monkeypatch.setattr(runs, "held_out", lambda density, n=50: points)
    made = {
        "data/moons/CNF/0": jobs.data_job("moons", "CNF"),
        "target/1/planar/32/without annealing": jobs.target_job(1, "planar", 2, annealed=False),
        f"trap/{runs.TRAPPED.name}/0": jobs.trap_job(runs.TRAPPED),
    }
    for job, found in made.items():
        numbers = {key for key, value in found.items() if np.ndim(value) == 0}
        assert numbers == set(runs.table()[job])
        arrays = {key for key in found.keys() - numbers if jobs.is_stored(job, key)}
        assert arrays == {
            key.rpartition("/")[2] for key in runs.arrays() if key.rpartition("/")[0] == job
        }


def test_with_weight_zero_nothing_is_penalized():
    torch.manual_seed(0)
    density, flow = two_moons(), CNF(runs.field(4), rtol=1e-4, atol=1e-4)

    def value(setting):
        torch.manual_seed(1)
        return runs.penalized(density, setting)(flow, 0.0).item()

    plain, both = value(runs.HONEST), value(runs.Setting(kinetic=0.5, jacobian=0.5))
    assert (
        value(runs.Setting(kinetic=1e-9)) == pytest.approx(plain, abs=1e-5) and both > plain + 0.001
    )


def test_the_jacobian_by_a_formula_is_that_of_autograd():
    torch.manual_seed(0)
    func, t = runs.field(5, 7).double(), torch.tensor(0.3, dtype=f64)
    y = torch.randn(6, 2, dtype=f64)
    dy, J = jacobian(func, t, y)
    expected = torch.stack(
        [torch.autograd.functional.jacobian(lambda row: func(t, row), row) for row in y]
    )
    assert torch.allclose(dy, func(t, y)) and torch.allclose(J, expected, atol=1e-12)
    points = y.requires_grad_()
    assert torch.allclose(J.diagonal(dim1=1, dim2=2).sum(1), exact_trace(func(t, points), points))


def test_errors_of_log_p_have_the_spread_of_the_formula():
    for noise in ("rademacher", "gaussian"):
        for number in (1, 16):
            errors = estimated(noise, number, False, 1e-4).errors
            assert np.sqrt(np.mean(errors**2)) == pytest.approx(spread(noise, number), rel=0.5)
    assert spread("gaussian", 1) > spread("rademacher", 1)


def test_a_panel_leaves_the_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    estimated("gaussian", 2, True, 1e-1)
    assert torch.equal(torch.rand(2), expected)


def test_every_way_the_points_have_the_density_of_their_time():
    flow = stored_flow("moons")
    for forward in (True, False):
        moved = paths("moons", forward)
        middle = torch.from_numpy(moved.points[10][:5])
        with torch.no_grad():
            assert np.allclose(flow.log_prob(middle, time=0.5), moved.log_p[10], atol=0.02)


def test_models_of_a_setting_are_what_they_are_called():
    made = {name: make() for name, make in runs.models().items()}
    assert isinstance(made["planar"], PlanarFlow) and isinstance(made["RealNVP"], RealNVP)
    assert runs.targeted("planar", 8).closed == "sample" and made["planar"].closed == "log_prob"
    assert len({setting.name for setting in runs.VARIANTS.values()}) == len(runs.VARIANTS)
