"""Thresholds keep what they promise, and the judges are right on cases that are known exactly."""

import math

import pytest
import torch
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from node_tutorial.data import nile
from node_tutorial.data.alarms import (
    average_precision,
    best_split,
    chance_precision,
    coin_tosses,
    cusum,
    cusum_interval,
    cusum_threshold,
    expected_alarms,
    judge,
    judge_events,
    point_adjust,
    precision_recall,
    quantile_threshold,
    runs,
    tail_threshold,
    threshold_for,
)

f64 = torch.float64


def chance(seed):
    return torch.Generator().manual_seed(seed)


def flags(*values):
    return torch.tensor(values, dtype=torch.bool)


# -- thresholds ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "exact"), [(2, 103.92), (3, 6.166), (4, 0.14467)])
def test_so_many_weeks_of_2284_are_beyond_k_sigma(k, exact):
    assert expected_alarms(k, 2284) == pytest.approx(exact, rel=1e-4)


def test_one_false_alarm_in_a_year_of_weeks():
    k = threshold_for(1, 52)
    assert k == pytest.approx(2.341027, abs=5e-7)
    assert expected_alarms(k, 52) == pytest.approx(1)


@pytest.mark.parametrize("alarms", [1e-6, 0.5, 20, 51.9])
def test_a_threshold_and_its_promise_are_inverse(alarms):
    assert expected_alarms(threshold_for(alarms, 52), 52) == pytest.approx(alarms)


def test_normal_scores_keep_the_promise():
    z = torch.randn(400_000, generator=chance(0), dtype=f64)
    found = int((z.abs() > threshold_for(1, 52)).sum())
    expected = 400_000 / 52
    assert abs(found - expected) < 4 * math.sqrt(expected)


@pytest.mark.parametrize("draw", ["normal", "exponential", "cauchy"])
def test_the_quantile_rule_keeps_its_promise_whatever_the_distribution(draw):
    """j / (n + 1) with n = 39 and a rate of 0.05: the second largest of 39."""
    x = torch.randn(40_000, 40, generator=chance(1), dtype=f64)
    if draw == "exponential":
        x = x.exp()
    if draw == "cauchy":
        x = torch.tan(math.pi * (torch.special.ndtr(x) - 0.5))
    over = (x[:, -1] > quantile_threshold(x[:, :-1], 0.05)).double().mean()
    assert float(over) == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / 40_000))


def test_the_quantile_rule_counts_from_the_largest():
    past = torch.arange(99.0).flip(0)
    assert quantile_threshold(past, 0.01) == 98 and quantile_threshold(past, 0.03) == 96
    assert quantile_threshold(past, 0.0299) == 97  # rounded to the careful side


def test_a_rate_that_the_past_has_never_met_is_refused_with_a_way_out():
    with pytest.raises(ValueError, match=r"rate must be at least 0\.01.*tail_threshold"):
        quantile_threshold(torch.arange(99.0), 0.005)


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.25])
def test_the_tail_of_a_pareto_is_found(shape):
    """(1 - p)-quantile of the generalized Pareto law: (p^-shape - 1) / shape."""
    p = torch.rand(200_000, generator=chance(2), dtype=f64)
    x = -p.log() if shape == 0 else (p**-shape - 1) / shape
    rate = 1e-3
    exact = -math.log(rate) if shape == 0 else (rate**-shape - 1) / shape
    assert float(tail_threshold(x, rate)) == pytest.approx(exact, rel=0.04)


def test_the_tail_reaches_beyond_the_largest_score_of_the_past():
    x = torch.randn(500, generator=chance(3), dtype=f64).abs()
    assert tail_threshold(x, 1e-4) > x.max() > tail_threshold(x, 1e-2)


def test_the_tail_rule_is_right_in_the_mean_for_heavy_tails_where_the_normal_one_fails():
    """Student's t with 3 degrees, one alarm in 1040 promised, from 520 scores each."""
    from scipy.stats import t

    past = torch.from_numpy(t.rvs(3, size=(400, 520), random_state=4)).abs()
    by_tail = torch.from_numpy(2 * t.sf(tail_threshold(past, 1 / 1040).numpy(), 3)) * 1040
    by_sigma = torch.from_numpy(2 * t.sf(threshold_for(1, 1040) * past.square().mean(1) ** 0.5, 3))
    assert 0.7 < by_tail.median() < 2 and (by_sigma * 1040).median() > 8


def test_one_call_serves_many_pasts():
    past = torch.randn(3, 200, generator=chance(5), dtype=f64)
    for rule in (quantile_threshold, tail_threshold):
        assert torch.equal(rule(past, 0.02), torch.stack([rule(row, 0.02) for row in past]))


# -- a lasting shift -------------------------------------------------------------------------------


def test_the_sums_are_those_of_the_recursion():
    z = torch.randn(300, generator=chance(6), dtype=f64)
    up = down = 0.0
    expected = []
    for value in z.tolist():
        up = max(0.0, up + value - 0.5)
        down = max(0.0, down - value - 0.5)
        expected.append((up, down))
    torch.testing.assert_close(cusum(z), torch.tensor(expected, dtype=f64).T)


def test_a_sum_does_not_know_what_comes():
    z = torch.randn(100, generator=chance(7), dtype=f64)
    changed = z.clone()
    changed[60:] += 100
    assert torch.equal(cusum(z)[:, :60], cusum(changed)[:, :60])


@pytest.mark.parametrize(("threshold", "exact"), [(4, 168), (5, 465)])
def test_the_interval_between_false_alarms_is_the_known_one(threshold, exact):
    assert cusum_interval(threshold) == pytest.approx(exact, rel=0.015)
    assert cusum_threshold(cusum_interval(threshold)) == pytest.approx(threshold)


def test_the_interval_is_that_of_simulated_series():
    lengths = []
    for seed in range(600):
        z = torch.randn(3000, generator=chance(seed), dtype=f64)
        over = (cusum(z) > 4).any(0)
        lengths.append(int(over.int().argmax()) + 1)
        assert over.any()
    assert sum(lengths) / 600 == pytest.approx(168, rel=0.15)


def test_the_nile_steps_in_1899():
    t, y = nile()
    split = best_split(y)
    assert split == 28 and t[split] == 1899
    assert y[:split].mean() == pytest.approx(1097.75) and y[split:].mean() == pytest.approx(
        849.97, abs=0.005
    )


def test_the_best_split_has_the_least_error_of_all():
    y = torch.randn(40, generator=chance(8), dtype=f64).cumsum(0)
    errors = [
        float(part[0].var(correction=0) * i + part[1].var(correction=0) * (40 - i))
        for i in range(1, 40)
        for part in [(y[:i], y[i:])]
    ]
    assert best_split(y) == 1 + errors.index(min(errors))


# -- judges ----------------------------------------------------------------------------------------


def test_runs_reach_both_ends():
    assert runs(flags(1, 1, 0, 1)).tolist() == [[0, 1], [3, 3]]
    assert runs(flags(0, 0)).shape == (0, 2) and runs(flags(1)).tolist() == [[0, 0]]


@pytest.mark.parametrize("seed", range(3))
def test_the_judges_agree_with_scikit_learn(seed):
    score = torch.rand(200, generator=chance(seed)).mul(20).round()  # with ties
    truth = torch.rand(200, generator=chance(seed + 10)) < 0.2
    scores, labels = score.numpy(), truth.numpy()  # scikit-learn 1.6 takes no tensors everywhere
    assert average_precision(score, truth) == pytest.approx(average_precision_score(labels, scores))
    theirs = precision_recall_fscore_support(labels, scores > 12, average="binary")[:3]
    assert judge(score > 12, truth) == pytest.approx(theirs)
    curve = precision_recall(score, truth)
    at = curve.thresholds.tolist().index(13.0)
    assert (curve.precision[at], curve.recall[at]) == pytest.approx(theirs[:2])


def test_the_average_precision_of_chance_is_its_closed_form():
    drawn = torch.rand(400, 250, generator=torch.Generator().manual_seed(0))
    truth = torch.arange(250) < 25
    found = sum(average_precision(row, truth) for row in drawn) / len(drawn)
    assert chance_precision(25, 250) == pytest.approx(0.1184, abs=1e-4)
    assert found == pytest.approx(0.1184, abs=0.004)
    assert chance_precision(3, 3) == pytest.approx(1) and chance_precision(1, 2) == 0.75
    with pytest.raises(ValueError, match="anomalies must be 1 to n"):
        chance_precision(0, 5)


def test_an_alarm_that_never_stops_is_perfect_event_by_event():
    truth = torch.arange(1000) % 100 >= 95
    always = torch.ones_like(truth)
    assert judge_events(always, truth).f1 == 1.0
    assert judge(always, truth).f1 == pytest.approx(0.1 / 1.05)


def test_average_precision_is_1_at_best_and_the_share_of_the_anomalies_for_equal_scores():
    truth = torch.arange(100) < 10
    assert average_precision(truth.double(), truth) == 1
    assert average_precision(torch.zeros(100), truth) == pytest.approx(0.1)


def test_without_alarms_all_is_0():
    assert judge(flags(0, 0), flags(1, 0)) == (0, 0, 0)
    assert judge_events(flags(0, 0), flags(1, 0)) == (0, 0, 0)


def test_events_are_counted_once_and_false_alarms_each():
    truth = flags(0, 1, 1, 1, 0, 0, 0, 1, 0)
    alarms = flags(0, 1, 0, 1, 0, 1, 0, 0, 0)
    assert judge_events(alarms, truth)[:2] == (2 / 3, 1 / 2)
    assert judge(alarms, truth)[:2] == (2 / 3, 2 / 4)


def test_adjusting_needs_one_hit_and_leaves_false_alarms():
    truth = flags(0, 1, 1, 1, 0, 1, 1)
    assert point_adjust(flags(1, 0, 0, 1, 0, 0, 0), truth).int().tolist() == [1, 1, 1, 1, 0, 0, 0]


COINS = [(250, True, 0.8715), (250, False, 0.0167), (10, True, 0.1488)]


@pytest.mark.parametrize(("segment", "adjusted", "f1"), COINS)
def test_coin_tosses_win_after_point_adjustment(segment, adjusted, f1):
    assert coin_tosses(0.01, 0.05, segment, adjusted).f1 == pytest.approx(f1, abs=5e-5)


def test_precision_and_recall_of_the_winner():
    precision, recall, _ = coin_tosses(0.01, 0.05, 250)
    assert (precision, recall) == pytest.approx((0.8287, 0.9189), abs=5e-5)
    assert coin_tosses(0.01, 0.05, 1) == pytest.approx(coin_tosses(0.01, 0.05, 250, False))


@pytest.mark.parametrize(("segment", "adjusted", "f1"), COINS)
def test_coins_that_are_tossed_give_the_formula(segment, adjusted, f1):
    n = 2_000_000
    truth = torch.arange(n) % (20 * segment) < segment  # 5 % of the points
    tossed = torch.rand(n, generator=chance(9)) < 0.01
    marked = point_adjust(tossed, truth) if adjusted else tossed
    assert judge(marked, truth).f1 == pytest.approx(f1, abs=0.02)


def test_event_by_event_coins_do_not_win():
    truth = torch.arange(500_000) % 5000 < 250
    tossed = torch.rand(500_000, generator=chance(10)) < 0.01
    assert judge_events(tossed, truth).f1 < 0.15


# -- bad input -------------------------------------------------------------------------------------

NAN = torch.tensor([1.0, math.nan, 2.0])


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: expected_alarms(-1, 10), ValueError, "threshold must be at least 0, got -1"),
        (lambda: expected_alarms(2, 0), ValueError, "n must be a positive number, got 0"),
        (lambda: threshold_for(0, 52), ValueError, "alarms must be above 0 and below n = 52"),
        (lambda: threshold_for(52, 52), ValueError, "alarms must be above 0 and below n = 52"),
        (lambda: threshold_for(math.nan, 52), ValueError, "alarms must be above 0"),
        (
            lambda: quantile_threshold(NAN, 0.5),
            ValueError,
            "past must not be NaN, got 1; a missing",
        ),
        (lambda: quantile_threshold([1.0], 0.5), TypeError, "past must be a tensor of floating"),
        (lambda: quantile_threshold(torch.ones(9), 2), ValueError, "rate must be a share between"),
        (lambda: tail_threshold(torch.rand(50), 0.01), ValueError, "past must leave 10 or more"),
        (lambda: tail_threshold(torch.rand(500), 0.3), ValueError, "rate must be at most 0.1"),
        (lambda: tail_threshold(torch.ones(500), 0.01), ValueError, "past has a constant tail"),
        (lambda: cusum(NAN), ValueError, "z must not be NaN"),
        (lambda: cusum(torch.ones(2, 2)), ValueError, r"z must be a series \(n,\), got shape"),
        (lambda: cusum(torch.ones(2), -1), ValueError, "slack must be at least 0, got -1"),
        (lambda: cusum_interval(0), ValueError, "threshold must be a positive number, got 0"),
        (lambda: cusum_threshold(0.5), ValueError, "interval must be above"),
        (
            lambda: runs(torch.ones(3)),
            TypeError,
            "flags must be a tensor of booleans, got torch.fl",
        ),
        (lambda: judge(flags(1), flags(1, 0)), ValueError, "one length, got 1 and 2"),
        (lambda: point_adjust(flags(1), [True]), TypeError, "truth must be a tensor of booleans"),
        (lambda: coin_tosses(1.0, 0.1, 5), ValueError, "rate must be a share between 0 and 1"),
        (lambda: coin_tosses(0.1, 0.1, 0), ValueError, "segment must be a number of points"),
        (lambda: precision_recall(torch.ones(2), flags(0, 0)), ValueError, "truth has no anomaly"),
        (lambda: precision_recall(torch.ones(3), flags(0, 1)), ValueError, "got 3 and 2"),
        (lambda: average_precision(NAN, flags(0, 1, 0)), ValueError, "scores must not be NaN"),
        (lambda: best_split(torch.ones(5)), ValueError, "constant series has no best split"),
        (lambda: best_split(torch.ones(1)), ValueError, "x must have two values that differ"),
    ],
)
def test_bad_input_is_refused_with_a_remedy(call, error, says):
    with pytest.raises(error, match=says):
        call()
