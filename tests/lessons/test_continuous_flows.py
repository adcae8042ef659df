"""Facts that lesson 15's helpers rely on: stored runs, the Jacobian by a formula, estimates."""

import itertools
import json
import math
import pathlib
import symtable

import numpy as np
import pytest
import torch

from node_tutorial import CNF
from node_tutorial.data.densities import two_moons
from node_tutorial.lessons.continuous_flows import runs
from node_tutorial.lessons.continuous_flows.density_in_time import paths, stored_flow
from node_tutorial.lessons.continuous_flows.trace_probes import estimated
from node_tutorial.lessons.continuous_flows.traces import jacobian, spread
from node_tutorial.models import PlanarFlow, RealNVP, exact_trace
from node_tutorial.training import loop

f64 = torch.float64
NOTEBOOKS = pathlib.Path(__file__).parents[2] / "notebooks"


def test_euler_flatters_both_nets_the_honest_one_most_at_two_steps():
    """Fewer nats than a tight solver reports, from two steps on; the trapped net least at five."""
    for name, best in (("honest", 2), ("trapped", 5)):
        nll = runs.table()[f"sweep/{name}"]["nll"]
        tight = nll[len(runs.SWEEP) - 1]
        euler = dict(zip(runs.EULER, nll[len(runs.SWEEP) :]))
        assert min(euler, key=lambda steps: euler[steps]) == best
        assert all(value < tight for steps, value in euler.items() if steps > 1)


def test_penalties_save_evaluations_and_cost_time():
    names = ("exact trace", "penalties")
    plain, penalized = (runs.table()[f"trap/{runs.VARIANTS[name].name}/0"] for name in names)
    assert penalized["nfe_last"] < plain["nfe_last"] and penalized["seconds"] > plain["seconds"]


def test_samples_alone_take_fewer_evaluations_than_with_their_density():
    flow = runs.stored_cnf("moons")
    with torch.no_grad():
        torch.manual_seed(0)
        x = flow.sample(100)
        alone = flow.stats.nfe
        torch.manual_seed(0)
        again, _ = flow.sample_with_log_prob(100)
    assert alone < flow.stats.nfe and torch.allclose(x, again, atol=1e-2)


def test_two_steps_of_a_higher_order_are_a_trap_too():
    """150 updates through two midpoint steps believe more than a tight solver finds."""
    torch.manual_seed(0)
    density = two_moons()
    coarse = {"method": "midpoint", "options": {"step_size": 0.5}}
    flow = CNF(runs.field(), **coarse)
    func = runs.train(flow, runs.likelihood(density), 2e-2, steps=150).model.func
    x = density.sample(500).double()
    with torch.no_grad():
        own, tight = (runs.solved(func, **s).log_prob(x).mean() for s in (coarse, {}))
    assert own > tight + 0.1


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


@pytest.mark.parametrize("name", ["honest", "trapped"])
def test_a_sweep_has_a_picture_for_every_solver(name):
    number = len(runs.SWEEP) + len(runs.EULER)
    assert all(len(values) == number for values in runs.table()[f"sweep/{name}"].values())
    assert len(runs.arrays()[f"sweep/{name}/picture"]) == number


def test_a_training_stops_when_its_updates_are_used_up():
    torch.manual_seed(0)
    density, flow = two_moons(), PlanarFlow(2, 2)
    before = flow.log_prob(torch.zeros(1, 2)).item()
    trained = runs.train(flow, runs.likelihood(density), 1e-2, steps=4)
    assert len(trained.loss) == len(trained.nfe) == 4 and trained.seconds > 0
    assert flow.log_prob(torch.zeros(1, 2)).item() != before
    assert set(runs.train(CNF(runs.field(4)), runs.reverse_kl(density), 1e-2, steps=2).nfe) != {0}


def test_the_loss_and_the_rate_follow_the_share_of_updates_or_of_time(monkeypatch):
    now, shares, moved = [0.0], [], []
    monkeypatch.setattr(loop, "_processor", lambda: now[0])

    def loss(model, share):
        now[0] += 0.5
        shares.append(share)
        moved.append(model.weight.item())
        return model(torch.ones(1, 1)).sum()

    for budget in ({"steps": 4}, {"seconds": 2.0}):
        torch.manual_seed(0)
        runs.train(torch.nn.Linear(1, 1), loss, 1e-2, **budget)
    assert shares == 2 * [0.0, 0.25, 0.5, 0.75] and moved[:4] == moved[4:]
    falls = -np.diff(moved[:4])
    assert falls == pytest.approx([1e-2, 0.75e-2, 0.5e-2], rel=1e-3)


@pytest.mark.parametrize(
    "name",
    [
        "data/moons/CNF/0",
        "data/moons/planar/0",
        "target/1/planar/32",
        "target/1/planar/32/without annealing",
        f"trap/{runs.TRAPPED.name}/0",
        f"trap/{runs.VARIANTS['penalties'].name}/0",
    ],
)
def test_a_run_of_every_kind_measures_what_is_stored_of_it(monkeypatch, name):
    """In a training of two updates."""
    points = two_moons().sample(50).double()
    for constant, value in (("BUDGET", 1.0), ("TARGET_BUDGET", 1.0), ("TRAP_STEPS", 2)):
        monkeypatch.setattr(runs, constant, value)
    monkeypatch.setattr(runs, "HELD_OUT", 100)
    monkeypatch.setattr(runs, "held_out", lambda density, n=50: points)
    half_seconds = itertools.count(0.0, 0.5)
    monkeypatch.setattr(loop, "_processor", lambda: next(half_seconds))
    run = runs.RUNS.results[name]
    found = run.make(run.settings, run.seeds)
    arrays = {key for key, value in found.items() if isinstance(value, np.ndarray)}
    assert found["steps"] == 2 and found.keys() - arrays == runs.table()[name].keys()
    stored = {key.rpartition("/") for key in runs.arrays()}
    assert arrays == {key for result, _, key in stored if result == name}


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


def _names(code: str) -> tuple[set[str], set[str]]:
    """Of a cell: the names that it binds, and those that it or a function in it reads."""
    table = symtable.symtable(code, "cell", "exec")
    bound = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    read, tables = {s.get_name() for s in table.get_symbols() if s.is_referenced()}, [table]
    while tables:
        inner = tables.pop()
        read |= {s.get_name() for s in inner.get_symbols() if s.is_referenced() and s.is_global()}
        tables += inner.get_children()
    return bound, read


@pytest.mark.parametrize("number", ["14", "15", "17"])
def test_a_cell_can_run_again_after_the_last_one(number):
    """No later cell gives another meaning to a name that a cell reads, but for `panel`."""
    (path,) = NOTEBOOKS.glob(f"{number}_*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    names = [_names("".join(c["source"])) for c in cells if c["cell_type"] == "code"]
    for i, (own, read) in enumerate(names):
        for name in read - own - {"panel"}:
            binders = [k for k, (bound, _) in enumerate(names) if name in bound]
            assert not (any(k < i for k in binders) and any(k > i for k in binders)), (
                f"code cell {i + 1} reads {name!r}, bound in the code cells {binders}"
            )
