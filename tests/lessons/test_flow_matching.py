"""Facts that lesson 17 relies on: flows on a line, what its panels show, and its stored runs."""

import itertools
import json
import math
import pathlib

import numpy as np
import pytest
import torch

from node_tutorial import exercises, explore
from node_tutorial.data import gaussian_mixture
from node_tutorial.lessons.continuous_flows import measures as measures_of_15
from node_tutorial.lessons.continuous_flows import runs as runs_of_15
from node_tutorial.lessons.continuous_flows import trainings as trainings_of_15
from node_tutorial.lessons.diffusion import digit_nets as diffusion
from node_tutorial.lessons.flow_matching import (
    digit_nets,
    digits,
    on_a_line,
    runs,
    straightened,
    trainings,
)
from node_tutorial.lessons.flow_matching.batch_pairing import exact, measured
from node_tutorial.lessons.flow_matching.figures import longer_line, over_nfe
from node_tutorial.lessons.flow_matching.number_of_steps import compute as steps
from node_tutorial.lessons.flow_matching.pairs_and_flow import FRAMES
from node_tutorial.lessons.flow_matching.pairs_and_flow import compute as pairs_and_flow
from node_tutorial.models import FlowMatching, MarginalVelocity
from node_tutorial.models.couplings import paired_cost
from node_tutorial.models.gaussian_paths import straight
from node_tutorial.models.samplers import ddim

f64 = torch.float64
NOTEBOOK = pathlib.Path(__file__).parents[2] / "notebooks" / "17_flow_matching.ipynb"


# -- on a line -------------------------------------------------------------------------------------


def test_the_table_of_the_best_pairs_is_the_exact_flow():
    """Values of quantiles, to 1e-4; the watershed of the two islands is Phi^-1(0.3)."""
    table = on_a_line.best_pairs("two islands")
    found = np.interp([-1.0, -0.53, 0.0, 1.0], *table)
    assert found == pytest.approx([-0.985523700, -0.503035018, 1.273620471, 1.799969436], abs=2e-3)
    gaussian = on_a_line.best_pairs("one Gaussian")
    assert np.allclose(gaussian.x, 3 + 0.5 * gaussian.z, atol=1e-6)


def test_independent_pairs_on_a_line_have_the_cost_the_energy_and_the_floor_of_the_formulas():
    flow = on_a_line.flow("one Gaussian", 1)
    assert flow.cost == pytest.approx(10.25, abs=0.1)
    assert flow.energy == pytest.approx(9.4646, abs=0.1)
    assert flow.floor == pytest.approx(math.pi / 4, abs=0.02)
    moved = on_a_line.flow("one Gaussian", 1).paths
    assert np.allclose(moved[-1], 3 + 0.5 * moved[0], atol=0.06)


def test_pairing_leaves_the_ends_alone_and_takes_cost_and_floor_away():
    for name in on_a_line.TARGETS:
        flows = [on_a_line.flow(name, batch) for batch in (1, 4, 64)]
        costs, floors = ([getattr(flow, key) for flow in flows] for key in ("cost", "floor"))
        assert costs == sorted(costs, reverse=True) and floors == sorted(floors, reverse=True)
        assert floors[-1] < 0.1 * floors[0]
        for flow in flows:
            expected = np.interp(flow.paths[0], *on_a_line.best_pairs(name))
            # One start lies near the watershed, where a small error grows.
            assert np.sort(np.abs(flow.paths[-1] - expected))[:-2].max() < 0.12


def test_pairs_and_flow_have_the_same_density_at_every_time():
    for target, batch in itertools.product(on_a_line.TARGETS, (1, 8, 64)):
        for frame in range(0, FRAMES, 4):
            assert pairs_and_flow(target, batch, frame).apart < 0.06


def test_crossings_are_counted_and_sorted_pairs_have_none():
    lines = on_a_line.Drawn(np.array([0.0, 1.0, 2.0]), np.array([2.0, 1.0, 5.0]))
    assert on_a_line.crossings(lines) == 1
    assert on_a_line.crossings(on_a_line.draw_pairs("two islands", 64, 64)) == 0


def test_fewer_lines_cross_the_larger_the_batch_but_some_always_do():
    for target in on_a_line.TARGETS:
        chances = [on_a_line.crossing_chance(target, batch) for batch in (1, 8, 64)]
        assert chances[0] == pytest.approx(0.5, abs=0.03)
        assert chances == sorted(chances, reverse=True) and 0.03 < chances[-1] < 0.15


def test_one_step_of_heun_halves_the_noise_whatever_the_data_are():
    for target in on_a_line.TARGETS:
        assert steps(target, False, "Heun", 1).std == pytest.approx(0.5, abs=2e-3)


def test_pairs_by_rank_have_a_flow_but_the_mean_of_their_noise_is_not_the_score():
    """DDIM follows their flow all the same."""
    m, s, t = 3.0, 0.5, 0.6
    z = torch.linspace(-2, 2, 5, dtype=f64)[:, None]

    class ByRank(torch.nn.Module):
        def forward(self, t, x):
            return m + (s - 1) * (x - t * m) / (1 - t + t * s)

    ranked = FlowMatching(ByRank(), 1)
    independent = FlowMatching(MarginalVelocity(gaussian_mixture([1.0], torch.tensor([m]), s)), 1)
    x = (1 - t) * z + t * (m + s * z)
    for flow, variance in (
        (independent, (1 - t) ** 2 + (t * s) ** 2),
        (ranked, (1 - t + t * s) ** 2),
    ):
        found = -flow.denoise(torch.tensor(1 - t, dtype=f64), x).eps / (1 - t)
        true = -(x - t * m) / variance
        assert torch.allclose(found, true) == (flow is independent)
        times = torch.linspace(1, 0, 4, dtype=f64)
        by_ddim = ddim(flow.denoise, straight(), z, times).x
        assert torch.allclose(by_ddim, flow.move(z, steps=3).x, atol=1e-12)


@pytest.mark.parametrize(
    ("method", "n", "expected"),
    [
        ("Euler", 1, 0.0),
        ("Euler", 4, 0.340541),
        ("Euler", 64, 0.488555),
        ("Heun", 2, 0.48),
        ("midpoint", 1, 0.4),
    ],
)
def test_the_panel_of_steps_has_the_spreads_of_the_recursion(method, n, expected):
    data = steps("one Gaussian", False, method, n)
    assert data.std == pytest.approx(expected, abs=1.5e-3)  # 1000 quantiles instead of a Gaussian
    assert data.nfe == n * (1 if method == "Euler" else 2)


def test_with_the_best_pairs_any_number_of_steps_is_exact():
    for target, n in itertools.product(on_a_line.TARGETS, (1, 3, 16)):
        assert steps(target, True, "Euler", n).error < 2e-3


def test_a_paired_batch_costs_what_the_formula_says_on_a_line_and_more_in_many_dimensions():
    assert exact()[-1] == pytest.approx(paired_cost(64) / 2)
    assert measured(1) == pytest.approx(exact(), rel=0.35)
    shares = [measured(size)[-1] for size in (1, 2, 8, 64)]
    assert shares == sorted(shares) and shares[-1] > 0.6


# -- exercises -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id", "answer"),
    [
        (
            "17.1",
            lambda t, x, m, s: (
                ((t * s**2 - 1 + t) * x + (1 - t) * m) / ((1 - t) ** 2 + t**2 * s**2)
            ),
        ),
        (
            "17.2",
            lambda m, s, d: (
                d
                * np.mean(
                    s**2 / ((1 - (t := (np.arange(200_000) + 0.5) / 200_000)) ** 2 + t**2 * s**2)
                )
            ),
        ),
        ("17.3", lambda n, s: abs(two_points(n, s))),
        ("17.1", lambda t, x, m, s: MarginalVelocity(one_gaussian(m, s))(t, column(x)).item()),
        ("17.2", lambda m, s, d: torch.tensor(d * s * math.pi / 2, dtype=torch.float32)),
        ("17.3", lambda n, s: moved(n, s).numpy().std()),
        ("17.4", lambda: [[0, 0.29], [0.5, 0.5], [0.5, 0]]),
        ("17.4", lambda: np.array([[0, 0.294], [0.5, 0.5], [0.5, 0]], dtype=np.float32)),
        ("17.5", lambda t, x, u: -x + t * (u - x) / (1 - t)),
        ("17.4", lambda: [[0, 5 / 17], [0.5, 0.5], [0.5, 0]]),
    ],
)
def test_answers_in_other_words_are_right(id, answer):
    exercise = exercises.find(id)
    given = answer if exercise.kind.takes_function else answer()
    assert exercise.assess(given).state == "correct"


def one_gaussian(m, s):
    return gaussian_mixture([1.0], torch.tensor([m], dtype=f64), s)


def column(x):
    return torch.tensor([[x]], dtype=f64)


def moved(n, s):
    """Points at -1 and 1, whose standard deviation is 1 at first, after n Euler steps."""
    return (
        FlowMatching(MarginalVelocity(one_gaussian(0.0, s)), 1)
        .move(torch.tensor([[-1.0], [1.0]], dtype=f64), steps=n)
        .x
    )


@pytest.mark.parametrize(
    ("id", "answer", "word"),
    [
        ("17.1", lambda t, x, m, s: 1.1 * m - x, "For t = 0.5, x = -0.7, m = 1, s = 2"),
        ("17.1", lambda t, x, m, s: math.nan, "gives nan"),
        ("17.2", lambda m, s, d: d * math.pi / 4, "How does it depend on the spread"),
        ("17.2", lambda m, s, d: d * 0.785, "For m = 1, s = 2, d = 64"),
        ("17.2", lambda m, s, d: 1.005 * d * math.pi * s / 2, "near, but not near enough"),
        ("17.2", lambda m, s, d: d * math.pi * s**2 / 2, "For m = 1, s = 2, d = 64"),
        ("17.3", lambda n, s: 1.004 * two_points(n, s), "did you move points"),
        ("17.3", lambda n, s: s**n, "For n = 4, s = 2"),
        ("17.3", lambda n, s: 1.0002 * two_points(n, s), "gives 0.29417"),
        ("17.2", lambda m, s, d: d * 1.1 * s**2, "by a formula or an integral"),
        ("17.4", lambda: [[0, 0.34], [0.5, 0.5], [0.5, 0.5]], "Check one row at a time"),
        ("17.4", lambda: [[0, 0.34], [0.5, 0.5], [0.5, 0]], "four steps"),
        ("17.4", lambda: [[0, 0.3], [0.5, 0.5], [0.5, 0]], "Two digits"),
        ("17.5", lambda t, x, u: -x / (1 - t) ** 2, "Check at t = 0"),
    ],
)
def test_a_wrong_answer_is_told_where_it_is_wrong(id, answer, word):
    exercise = exercises.find(id)
    given = answer if exercise.kind.takes_function else answer()
    assert word in exercise.assess(given).message


def two_points(n, s):
    """The distance of two points, 1 apart at first, after n Euler steps."""
    x = torch.tensor([0.0, 1.0], dtype=f64)
    for k in range(n):
        t = k / n
        x = x + ((t * s**2 - (1 - t)) * x / ((1 - t) ** 2 + (t * s) ** 2)) / n
    return float(x[1] - x[0])


def test_reversed_pairs_meet_in_one_point_and_euler_follows_them_until_then():
    """Exercise 17.4: at t = 2/3 all noise is in one place; other steps lose none of it."""

    def spread(n):
        x0 = torch.tensor([-1.0, 1.0], dtype=f64)
        x = x0.clone()
        for k in range(n):
            t = k / n
            share = 1 - 1.5 * t  # x_t = 3 t + share x0
            lost = abs(share) < 1e-12
            start = torch.zeros(2, dtype=f64) if lost else (x - 3 * t) / share
            x = x + (3 - 1.5 * start) / n
        return float((x[1] - x[0]).abs() / 2)

    assert [spread(n) for n in (1, 2, 3, 4, 6)] == pytest.approx([0.5, 0.5, 0, 0.5, 0], abs=1e-9)


# -- stored runs -----------------------------------------------------------------------------------


def test_the_trained_budget_is_the_protocols():
    for density, kind in itertools.product(runs.COUPLED, runs.KINDS):
        row = runs.table()[runs.result(density, kind)]
        seconds = runs.REFLOW if kind in runs.BEFORE else runs.SECONDS
        price = trainings.COSTS[row["width"]] + (trainings.PAIRING if kind == "optimal" else 0)
        assert row["steps"] == round(1000 * seconds / price)
        assert len(row["kl"]) == len(runs.SEEDS)


def test_flow_matching_is_tuned_judged_and_given_time_as_the_flows_of_lesson_15():
    for name in ("BATCH", "CLIP", "WIDTHS", "DENSITIES"):
        assert getattr(trainings, name) == getattr(trainings_of_15, name)
    for name in ("HELD_OUT", "VALIDATION"):
        assert getattr(trainings, name) == getattr(measures_of_15, name)
    assert (runs.EQUAL, runs.TRIAL) == (runs_of_15.SECONDS, runs_of_15.TRIAL)
    assert runs.SEEDS == runs_of_15.SEEDS
    assert {len(trainings.RATES)} == {len(rates) for rates in trainings_of_15.RATES.values()}
    p = trainings.DENSITIES["moons"]()
    for points in ("held_out", "validation"):
        ours, theirs = (getattr(part, points)(p) for part in (trainings, measures_of_15))
        assert torch.equal(ours, theirs)


def test_what_was_best_in_the_trials_was_trained():
    for density in trainings.DENSITIES:
        nll = np.array(runs.table()[f"tried/{density}"]["nll"])
        assert nll.shape == (len(trainings.WIDTHS), len(trainings.RATES))
        chosen = runs.best(density)
        place = trainings.WIDTHS.index(chosen.width), trainings.RATES.index(chosen.rate)
        assert nll[place] == nll.min()
        for name in (f"equal/{density}", f"data/{density}"):
            assert (runs.table()[name]["width"], runs.table()[name]["rate"]) == chosen


def test_optimal_pairs_have_the_smaller_gap_at_equal_updates():
    fewer, optimal = (runs.table()[name] for name in ("fewer/moons", "coupled/moons/optimal"))
    assert fewer["steps"] == optimal["steps"]
    assert max(optimal["kl"]) < min(fewer["kl"])


def test_what_the_lesson_says_of_detours_and_energies():
    row = {kind: runs.table()[runs.result("moons", kind)] for kind in runs.KINDS}
    assert max(row["reflow 1"]["detour"]) < 0.5 * min(row["optimal"]["detour"])
    for kind in runs.KINDS:
        straight_kind = kind != "independent"
        assert (max(straightened.first_steps(kind)) < 0.01) == straight_kind
        assert (max(map(abs, straightened.above_best(kind))) < 0.1) == straight_kind
        assert (min(straightened.above_best(kind)) > 1) != straight_kind
    assert max(max(row[kind]["nfe"]) for kind in runs.KINDS[1:]) < min(row["independent"]["nfe"])


def test_one_held_out_point_is_lost_in_one_seed_of_the_pinwheel():
    lost, row = (runs.table()[f"{name}/pinwheel"] for name in ("lost", "data"))
    for points, others, kl in zip(lost["points"], lost["kl of others"], row["kl"]):
        assert (points == 0) == (kl < 1) and others < 0.06
    assert sum(lost["points"]) == 1
    assert all(math.isfinite(kl) for kl in row["kl"]) and max(row["kl"]) > 1e9
    assert "e+16, by 1 of 10000 points" in longer_line("pinwheel")
    assert "by 1 of" not in longer_line("moons")


def test_energies_but_of_independent_pairs_are_within_some_errors_of_the_best_cost():
    costs = runs.table()["best/moons"]["cost"]
    for kind in runs.KINDS:
        error = math.hypot(straightened.energy_error(kind) / np.mean(costs), 0.02)
        above = max(map(abs, straightened.above_best(kind)))
        assert (above < 4 * error) == (kind != "independent")
        assert (max(straightened.above_best(kind)) < 0) == (kind != "independent")


def test_a_reflow_has_a_larger_gap_than_the_flow_that_it_learned_from():
    teacher, student = (
        runs.table()[name]["kl"] for name in ("data/moons", "coupled/moons/reflow 1")
    )
    assert all(a < b for a, b in zip(teacher, student))


def test_a_density_is_0_where_a_field_leads_nowhere():

    class Nowhere(torch.nn.Module):
        def forward(self, t, x):
            return torch.where(x[:, :1] > 3.0, torch.inf, 0.0) * x

    with torch.no_grad():
        p = trainings.picture(FlowMatching(Nowhere()), trainings.DENSITIES["moons"]())
    assert p.shape == (trainings.PICTURE, trainings.PICTURE)
    assert p[:, -1].max() == 0 < p.max()


def test_stored_flows_are_densities():
    for name, row in runs.table().items():
        if name.startswith(("data/", "coupled/")):
            assert all(kl > -3 * error for kl, error in zip(row["kl"], row["error"]))
            assert all(value > -1e-3 for value in row["detour"])


def test_one_step_of_independent_pairs_fails_and_of_the_others_does_not():
    for density in runs.COUPLED:
        first = {
            kind: np.array(runs.table()[runs.result(density, kind)]["energy_distance"])[:, 0]
            for kind in runs.KINDS
        }
        for kind in runs.KINDS[1:]:
            assert first[kind].max() < 0.2 * first["independent"].min()


def test_reflow_makes_paths_straight():
    for density in runs.COUPLED:
        bend = {kind: runs.table()[runs.result(density, kind)]["detour"] for kind in runs.KINDS}
        assert max(bend["reflow 1"]) < 0.1 * min(bend["independent"])


def test_a_run_of_every_kind_measures_what_is_stored_of_it(monkeypatch):
    """In trainings of a few updates."""
    for constant, value in (("SECONDS", 0.02), ("REFLOW", 0.02)):
        monkeypatch.setattr(runs, constant, value)
    for constant, value in (("COMPARED", 50), ("MOVED", 20), ("SOLVED", 100)):
        monkeypatch.setattr(trainings, constant, value)
    monkeypatch.setattr(trainings, "TIGHT", {"rtol": 1e-2, "atol": 1e-2})
    points = trainings.DENSITIES["moons"]().sample(100).double()
    monkeypatch.setattr(trainings, "held_out", lambda density: points)
    runs.made.cache_clear()
    for name in ("data/moons", "coupled/moons/optimal", "coupled/moons/reflow 2"):
        run = runs.RUNS.results[name]
        found = run.make(run.settings, run.seeds)
        arrays = {key for key, value in found.items() if isinstance(value, np.ndarray)}
        assert found.keys() - arrays == runs.table()[name].keys()
        stored = {key.rpartition("/") for key in runs.arrays()}
        assert arrays == {key for result, _, key in stored if result == name}
    runs.made.cache_clear()


def test_digits_are_trained_as_those_of_lesson_16():
    for name in ("STEPS", "BATCH", "AVERAGE", "RATES", "ROUNDS"):
        assert getattr(digit_nets, name) == getattr(diffusion, name)
    flow, other = digit_nets.make("U-Net").field, diffusion.make(diffusion.Setting()).net
    assert {k: v.shape for k, v in flow.state_dict().items()} == {
        k: v.shape for k, v in other.state_dict().items()
    }


def near(net, solver, nfe):
    """The energy distance of digits after so many evaluations, of each seed."""
    numbers, distances = over_nfe(net, solver)
    return distances[:, numbers[0].tolist().index(nfe)]


def test_euler_on_the_straight_path_is_as_near_as_ddim_on_the_cosine_one():
    for nfe in (1, 2, 4, 8, 16, 32, 64):
        ratio = near("U-Net", "Euler", nfe).mean() / near("diffusion", "DDIM", nfe).mean()
        assert 0.7 < ratio < 1.4


def test_four_evaluations_by_the_midpoint_method_are_worth_more_on_the_straight_path():
    assert near("U-Net", "midpoint", 4).max() < 0.6 * near("diffusion", "midpoint", 4).min()


def test_reflow_of_digits_helps_the_first_step_and_costs_a_little_of_the_last():
    assert near("reflow", "Euler", 1).max() < 0.05 * near("U-Net", "Euler", 1).min()
    assert near("reflow", "Euler", 64).mean() > near("U-Net", "Euler", 64).mean()
    for net, least, most in (("U-Net", 0.1, 0.3), ("reflow", 0.0, 0.02)):
        for energy, own in zip(
            digits.found(net, "energy of paths"), digits.found(net, "cost of paths")
        ):
            assert least < (energy - own) / own < most


def test_every_panel_says_what_it_costs():
    assert "NFE 8," in explore.number_of_steps(n=8).text
    assert "NFE 8:" in explore.straightened(n=8).text


def test_the_lesson_asks_one_thing_of_every_exercise():
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells)
    for number in range(1, 6):
        assert text.count(f"**Exercise 17.{number}.**") == 1
