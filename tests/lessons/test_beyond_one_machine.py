"""Facts that lesson 21 relies on: means of parts, laws of scaling, stragglers, cures, slabs."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DistributedSampler

from node_tutorial import exercises
from node_tutorial.data.densities import two_moons
from node_tutorial.lessons.beyond_one_machine import (
    cures,
    ensembles,
    equality,
    long_solves,
    memory,
    ranks_in_time,
    runs,
    slabs_in_time,
    stragglers,
    worker,
)
from node_tutorial.lessons.beyond_one_machine.exercises import ORDERS
from node_tutorial.lessons.beyond_one_machine.laws import amdahl, gustafson, ring_bytes
from node_tutorial.lessons.beyond_one_machine.workload import field
from node_tutorial.models import CNF
from node_tutorial.solvers.parareal import parareal_speedup


def sampled(rows, ranks, epoch=0, shuffle=False):
    """What torch's sampler deals to each rank."""
    samplers = [DistributedSampler(range(rows), ranks, rank, shuffle) for rank in range(ranks)]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    return [list(sampler) for sampler in samplers]


def test_a_mean_of_means_is_no_mean():
    parts = [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0])]
    assert torch.stack([part.mean() for part in parts]).mean() == 6
    assert torch.cat(parts).mean() == 4


def test_the_sampler_pads_with_rows_from_the_start():
    values = torch.tensor([1.0, 2.0, 3.0, 10.0, 4.0])
    dealt = sampled(5, 2)
    assert dealt == [[0, 2, 4], [1, 3, 0]]
    assert values.mean() == 4 and values[dealt[0] + dealt[1]].mean() == 3.5
    assert sampled(4, 2) == [[0, 2], [1, 3]]  # nothing to pad


def test_a_masked_loss_counts_a_rank_not_its_tokens():
    losses = [torch.ones(10), 4 * torch.ones(2)]
    assert torch.cat(losses).mean() == 1.5
    assert torch.stack([part.mean() for part in losses]).mean() == 2.5


def test_batch_norm_sees_its_own_rank_only():
    parts = [torch.tensor([0.0, 1.0]), torch.tensor([2.0, 3.0])]
    norm = torch.nn.BatchNorm1d(1, momentum=1.0)
    for part in parts:
        norm(part[:, None])
        assert norm.running_var == pytest.approx(0.25 * 2)  # kept with n - 1
        assert part.var(correction=0) == 0.25
    assert torch.cat(parts).var(correction=0) == 1.25


def test_a_softmax_over_one_class_teaches_nothing():
    torch.manual_seed(0)
    net = torch.nn.Linear(20, 1)
    loss = cross_entropy(net(torch.randn(32, 20)), torch.rand(32, 1))
    loss.backward()
    assert loss == 0 and (net.weight.grad == 0).all() and (net.bias.grad == 0).all()


def test_without_set_epoch_the_order_is_the_same():
    assert sampled(8, 2, 0, True) == sampled(8, 2, 0, True)
    assert sampled(8, 2, 0, True) != sampled(8, 2, 1, True)


@pytest.mark.parametrize("name", ORDERS)
def test_the_orders_of_the_exercise_have_the_faults_that_it_names(name):
    orders = ORDERS[name]
    together = [sorted(orders[epoch, 0] + orders[epoch, 1]) for epoch in (0, 1)]
    whole = [rows == list(range(8)) for rows in together]
    again = all(orders[0, rank] == orders[1, rank] for rank in (0, 1))
    kept = all(sorted(orders[0, rank]) == sorted(orders[1, rank]) for rank in (0, 1))
    assert all(whole) == (name != "C")
    assert again == (name == "B") and kept == (name in "BD")


def test_the_laws_of_amdahl_and_gustafson():
    found = [amdahl(0.05, n) for n in (2, 4, 8, 64)]
    assert found == pytest.approx([1.9048, 3.4783, 5.9259, 15.42], rel=2e-4)
    assert amdahl(0.05, 10**9) == pytest.approx(20, rel=1e-4)
    with pytest.raises(ValueError, match="share between 0 and 1, got 2"):
        amdahl(2, 4)
    found = [gustafson(0.05, n) for n in (2, 4, 8, 64)]
    assert found == pytest.approx([1.95, 3.85, 7.65, 60.85])


def test_a_ring_moves_less_than_twice_the_gradient():
    assert [ring_bytes(4e6, n) for n in (2, 4, 8)] == [4e6, 6e6, 7e6]
    assert ring_bytes(4e6, 10**6) < 8e6


def test_a_ring_sums_everything_with_these_bytes():
    """The ring itself, with 4 ranks: 2 (R - 1) rounds, in each of which a rank sends one part."""
    ranks, generator = 4, np.random.default_rng(0)
    start = generator.normal(size=(ranks, ranks, 5))  # rank, part, numbers
    held = start.copy()
    sent = 0
    for shift, add in [(k, True) for k in range(ranks - 1)] + [(k, False) for k in range(3)]:
        before = held.copy()
        for rank in range(ranks):
            part = (rank - shift + (0 if add else 1)) % ranks
            to = (rank + 1) % ranks
            held[to, part] = before[to, part] + before[rank, part] if add else before[rank, part]
            sent += before[rank, part].nbytes
    assert np.allclose(held, start.sum(0))
    assert sent / ranks == ring_bytes(start[0].nbytes, ranks)


def test_gradients_of_parts_are_the_whole_with_equal_steps_and_not_with_adaptive_ones():
    loose = equality.apart(200, 1e-3, draws=1)
    tight = equality.apart(200, 1e-5, draws=1)
    assert all(0.003 < x < 0.1 for x in loose.parts)
    assert max(tight.parts) < min(loose.parts) / 5
    assert max(equality.apart(200, None, draws=1).parts) < 1e-13
    assert max(equality.apart(0, 1e-3, draws=1).parts) < 1e-7  # all take the same steps


def test_a_line_explains_what_an_update_takes():
    start, slope = runs.line_of_points()
    assert 0.5 < start / (64 * slope + 1e-9) and start < 4096 * slope / 10


# -- stragglers ------------------------------------------------------------------------------------


def test_the_largest_of_some_dice():
    die = stragglers.distribution([1, 2, 3, 4, 5, 6])
    by_counting = np.mean([max(rolls) for rolls in itertools.product(range(1, 7), repeat=3)])
    assert stragglers.largest_of(die, 3) == pytest.approx(by_counting)
    assert stragglers.largest_of(die, 1) == pytest.approx(3.5)
    assert stragglers.largest_of(die, 10_000) == pytest.approx(6)


def test_a_sum_of_dice():
    two = stragglers.summed(stragglers.distribution([1, 2, 3, 4, 5, 6]), 2)
    assert dict(zip(two.values.tolist(), (36 * two.probability).round(9).tolist())) == {
        total: 6 - abs(total - 7) for total in range(2, 13)
    }
    gaps = stragglers.summed(stragglers.distribution([14, 14, 20, 32]), 3)
    assert gaps.mean == pytest.approx(60)


@pytest.mark.parametrize("ranks", [2, 64, 4096])
def test_the_law_is_what_a_simulation_finds(ranks):
    work = stragglers.distribution(runs.measured_work())
    generator = np.random.default_rng(1)
    draws = generator.choice(work.values, size=(400, ranks), p=work.probability)
    found = draws.max(1)
    error = found.std() / 20 + 1e-9
    assert stragglers.largest_of(work, ranks) == pytest.approx(found.mean(), abs=5 * error + 0.1)


@pytest.mark.parametrize("size", [1, 16, 128])
def test_the_law_is_what_steps_of_measured_batches_find(size):
    work = runs.measured_work(size)
    for ranks in (2, 16, 64):
        steps = work[: len(work) // ranks * ranks].reshape(-1, ranks)
        law = stragglers.efficiency(stragglers.distribution(work), ranks)
        assert steps.mean() / steps.max(1).mean() == pytest.approx(law, abs=0.01)


def test_few_batches_say_little_of_many_ranks():
    low, high = stragglers.plausible(runs.measured_work(128), 4096)
    assert high - low > 0.05
    low, high = stragglers.plausible(runs.measured_work(16), 2)
    assert high - low < 0.01


def test_work_is_whole_and_ranks_are_positive():
    with pytest.raises(ValueError, match="whole numbers"):
        stragglers.distribution([1.5, 2.7])
    with pytest.raises(ValueError, match="ranks must be 1 or more, got 0"):
        stragglers.efficiency(stragglers.distribution([1, 2]), 0)


def test_in_lockstep_the_last_point_is_awaited_on_both_ways():
    both_ways = np.array([[[14, 40], [44, 12]]])  # one rank, two points
    assert cures.in_lockstep(both_ways).tolist() == [84] and both_ways.sum(-1).max() == 56


def test_a_tolerance_per_batch_saves_nothing_in_the_mean_of_several_draws():
    draws = runs.RUNS.numbers()["draws"]
    last = {name: np.mean(row["step"]) for name, row in draws.items()}
    assert min(last["seen just now"], last["seen before"]) > last["as dealt"] - 0.5
    error = {name: np.mean(row["error"]) for name, row in draws.items()}
    assert error["seen before"] > 1.3 * error["as dealt"]


def test_equal_work_waits_for_nobody():
    assert stragglers.efficiency(stragglers.distribution([32, 32]), 4096) == 1


def test_a_spread_of_nothing_is_amdahls_law():
    for ranks in ranks_in_time.RANKS:
        data = ranks_in_time.compute(ranks, 1e4, 0.0, 0.0, 16)
        messages = 2 * (ranks - 1) * ranks_in_time.LATENCY / 16
        assert 1e4 / data.chosen - messages == pytest.approx(1e4 / amdahl(0.05, ranks))


def test_cards_are_dealt_so_that_every_rank_has_large_and_small_ones():
    points = torch.arange(32.0).reshape(1, 4, 4, 2)
    effort = np.arange(16.0)[::-1]
    dealt = cures.dealt_like_cards(points, effort)
    assert sorted(dealt.flatten().tolist()) == list(range(32))
    sums = dealt[..., 0].sum(-1)
    assert (sums == sums[0, 0]).all()


def test_a_tolerance_for_equal_work_follows_the_solvers_order():
    found = cures.for_equal_work(np.array([[32, 64, 64, 128]]))
    assert found[0, 1] == pytest.approx(1e-3) and found[0, 3] == pytest.approx(30e-3)
    assert found[0, 0] == pytest.approx(1e-3 / 30)


# -- slabs, ensembles, memory ----------------------------------------------------------------------


def test_the_panel_has_the_values_of_the_exact_solution():
    decay = slabs_in_time.compute(0, 5.0, 10, 3)
    assert decay.errors[:4] == pytest.approx([0.117879, 0.01957, 0.00354809, 6.70393e-4], rel=1e-4)
    assert decay.needed == 2
    rotation = slabs_in_time.compute(90, 5.0, 10, 3)
    assert rotation.needed > 3 * decay.needed - 2


def test_chaos_takes_iterations_in_proportion_to_its_length_and_a_cycle_hardly_more():
    lorenz = [long_solves.measure("Lorenz", length).needed() for length in (4, 8)]
    cycle = [long_solves.measure("van der Pol", length).needed() for length in (5, 20)]
    assert lorenz[1] >= 1.6 * lorenz[0] and cycle[1] <= cycle[0] + 2


def test_one_worker_with_longer_steps_is_faster_than_parareal_at_the_same_error():
    row = long_solves.measure("van der Pol", 10)
    assert row.steps == 3 and row.alone > 1.5 * row.speedup()
    assert row.own < 1e-5 and 1 < row.speedup(row.own) < 2  # where no longer steps will do
    with pytest.raises(ValueError, match="do not reach an error of -1"):
        row.needed(-1)


def test_what_costs_iterations_of_an_oscillation_is_eulers_growth():
    growth, phase = abs(1 + 0.5j), np.angle(1 + 0.5j)
    assert growth == pytest.approx(1.118, abs=1e-3) and 0.5 - phase == pytest.approx(
        0.036, abs=1e-3
    )


def test_a_speed_up_has_slabs_and_iterations():
    with pytest.raises(ValueError, match="slabs must be 1 or more"):
        parareal_speedup(10, -3, 0.1)


def test_a_member_is_the_same_whoever_trains_it():
    torch.manual_seed(7)  # of no matter
    first = ensembles.member(3, updates=2)
    assert ensembles.member(3, updates=2) == first != ensembles.member(4, updates=2)


def test_what_is_computed_anew_has_the_same_gradient_and_keeps_less():
    found = {mode: memory.measure(mode, 8) for mode in memory.MODES}
    direct = found["direct"]
    assert torch.equal(found["activations anew"].gradient, direct.gradient)
    assert all(row.kept < direct.kept / 4 for mode, row in found.items() if mode != "direct")


# -- exercises: right answers in other words, and wrong ones ---------------------------------------


def by_loop(gradients, sizes):
    out = [0.0, 0.0]
    for g, n in zip(gradients.tolist(), sizes):
        for i in range(2):
            out[i] += g[i] * n / sum(sizes)
    return out


def by_rows(U, coarse, fine):
    jumps = [float(fine(y)) - float(coarse(y)) for y in U[:-1]]
    new = list(U)
    for n, jump in enumerate(jumps):
        new[n + 1] = coarse(new[n]) + jump
    return np.array(new, dtype=np.float32)


RIGHT = {
    "21.1": [
        [1, 0, 1, 0, 1],
        (True, False, True, False, True),
        np.array([True, False, True, False, True]),
        torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0]),
    ],
    "21.2": [
        by_loop,
        lambda g, n: np.average(g.numpy(), axis=0, weights=n),
        lambda g, n: (torch.tensor(n).to(g) @ g / sum(n)).float(),
    ],
    "21.3": ["B", "b", " B "],
    "21.4": [
        lambda parameters, ranks: 8 * parameters - 8 * parameters / ranks,
        lambda parameters, ranks: torch.tensor(8.0 * parameters * (ranks - 1) / ranks),
        lambda parameters, ranks: np.float32(4) * 2 * parameters * (1 - 1 / ranks),
        lambda parameters, ranks: sum(4 * parameters / ranks for _ in range(2 * (ranks - 1))),
    ],
    "21.5": [by_rows, lambda U, coarse, fine: torch.tensor(by_rows(U, coarse, fine))],
}
WRONG = {
    "21.1": [
        [0] * 5,
        [1, 0, 0, 0, 1],
        [0, 0, 1, 0, 1],
        [0, 0, 1, 0, 0],
        [False, True, False, True, False],
    ],
    "21.2": [
        lambda g, n: g.mean(0),
        lambda g, n: g[0],
        lambda g, n: (g * torch.tensor(n)[:, None]).mean(0),
    ],
    "21.3": ["A", "C", "D"],
    "21.4": [
        lambda parameters, ranks: 4 * parameters * ranks,
        lambda parameters, ranks: 8 * parameters * ranks / (ranks - 1),
        lambda parameters, ranks: 2 * (ranks - 1),
    ],
    "21.5": [
        lambda U, coarse, fine: U,
        lambda U, coarse, fine: [U[0]] + [fine(y) for y in U[:-1]],
        lambda U, coarse, fine: [coarse(y) + fine(y) - coarse(y) for y in U],
    ],
}


def cases(table):
    return [
        pytest.param(id, x, id=f"{id}-{k}") for id, row in table.items() for k, x in enumerate(row)
    ]


@pytest.mark.parametrize(("id", "answer"), cases(RIGHT))
def test_a_right_answer_in_another_form_is_correct(id, answer):
    assert exercises.find(id).assess(answer).state == "correct"


@pytest.mark.parametrize(("id", "answer"), cases(WRONG))
def test_a_wrong_answer_is_not_yet_correct(id, answer):
    assert exercises.find(id).assess(answer).state == "not yet"


def test_64_ranks_share_64_tolerances_more_than_8_times_faster():
    torch.manual_seed(0)
    func = field(runs.snapshot(600)).double()
    x = two_moons().sample(16).double()
    counts = []
    for exponent in np.linspace(-8, -2, 64):
        flow = CNF(func, rtol=10**exponent, atol=10**exponent)
        with torch.no_grad():
            flow.log_prob(x)
        counts.append(flow.stats.nfe)
    assert 15 < sum(counts) / max(counts) < 40


def test_what_fails_in_a_process_is_said():
    with pytest.raises(RuntimeError, match="1 processes failed"):
        worker.start(1, worker.Job("RK4", rows=-1, updates=1))
