"""What the alarms of lesson 23 rely on: what is flagged, when, and that no score looks ahead."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from node_tutorial import explore
from node_tutorial.course.exercises import EXERCISES
from node_tutorial.data import cut, el_nino, nile
from node_tutorial.data.alarms import (
    coin_tosses,
    cusum,
    cusum_threshold,
    expected_alarms,
    runs,
)
from node_tutorial.lessons.forecasts import alarm_figures, alarms
from node_tutorial.plotting import Picture, empty_axes, text_problems

f64 = torch.float64


@pytest.fixture(scope="module")
def series():
    return alarms.el_nino_series()


@pytest.fixture(scope="module")
def table():
    return alarms.planted_table(groups=2, seeds=25)


def years(series, flags):
    return set(series.t[flags].int().tolist())


# -- El Nino ---------------------------------------------------------------------------------------


def test_two_sigma_on_the_raw_series_is_an_alarm_of_the_season(series):
    t, x = el_nino()
    past = x[: series.past]
    far = ((x - past.mean()) / past.std(correction=0)).abs() > 2
    months = (t[far] % 1 * 12).int() + 1
    assert far.sum() == 16 and set(months.tolist()) <= {1, 2, 3, 4, 5, 6}
    assert not far[(t > 1997 + 8 / 12) & (t < 1998)].any()


def test_less_its_season_the_series_has_so_many_alarms_in_so_many_runs(series):
    for k, count, bunches in ((2, 53, 16), (3, 20, 3)):
        far = alarms.level(series) > k
        assert (far.sum(), len(runs(far))) == (count, bunches)
    assert expected_alarms(3, len(series.x)) == pytest.approx(1.98, abs=0.01)
    assert torch.stack([series.x[1:], series.x[:-1]]).corrcoef()[0, 1] == pytest.approx(
        0.91, abs=0.005
    )
    assert alarms.persistence(series) == pytest.approx(0.892, abs=5e-4)


def test_level_finds_the_great_two_and_surprise_the_quick_ones(series):
    assert years(series, alarms.level(series) > 3) == {1982, 1983, 1997, 1998}
    surprised = years(series, alarms.surprise(series) > 3)
    assert {1954, 1957, 1964} < surprised and not surprised & {1982, 1983}


def test_the_largest_levels_and_surprises_are_known(series):
    degrees = series.x * series.scale
    assert degrees.max() == pytest.approx(4.8, abs=0.05)
    at_end_of_1997 = degrees[(series.t > 1997.9) & (series.t < 1998)]
    assert float(at_end_of_1997) == pytest.approx(4.7, abs=0.05)
    forecast = alarms.damped_forecast(series)
    errors = (series.x - forecast.mean) / forecast.std
    largest = errors.abs().nan_to_num().argsort(descending=True)[:4]
    found = {f"{series.t[i]:.2f}": float(errors[i]) for i in largest.tolist()}
    assert found == pytest.approx(
        {"1954.29": -3.8, "1957.12": 3.7, "1964.38": -3.5, "1997.38": 3.4}, abs=0.1
    )


def test_far_ahead_a_forecast_is_the_season(series):
    far = alarms.damped_forecast(series, 120)
    known = ~far.mean.isnan()
    assert far.mean[known].abs().max() < 0.01 and (far.std[known] - 1).abs().max() < 1e-6
    torch.testing.assert_close(
        alarms.surprise(series, 120)[known], alarms.level(series)[known], atol=0.01, rtol=0
    )


def test_the_level_finds_both_events_whichever_past_sets_the_scale():
    for year in (1970, 1975, 1980.5):
        found = cut(*el_nino(), at=year, period=12)
        assert {1982, 1983, 1997, 1998} <= years(found, alarms.level(found) > 3)


# -- detectors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", alarms.DETECTORS)
def test_a_score_does_not_know_what_comes(name):
    t, x = el_nino()
    changed = x.clone()
    changed[500:] += torch.linspace(0, 50, len(x) - 500, dtype=f64)
    first, second = (
        alarms.DETECTORS[name](cut(t, y, at=alarms.FIRST_HALF, period=12)) for y in (x, changed)
    )
    torch.testing.assert_close(first[:500], second[:500], equal_nan=True)
    assert (first[500:] - second[500:]).abs().max() > 1


@pytest.mark.parametrize("name", alarms.DETECTORS)
def test_a_missing_month_has_no_alarm_and_hides_no_later_one(name):
    t, x = el_nino()
    gappy = x.clone()
    gappy[[100, 380, 381, 382, 383, 384]] = math.nan
    full, thin = (
        alarms.DETECTORS[name](cut(t, y, at=alarms.FIRST_HALF, period=12)) for y in (x, gappy)
    )
    assert not (thin[380:385] > 100).any() and not thin[385:].isnan().any()
    assert torch.corrcoef(torch.stack([full[410:], thin[410:]]))[0, 1] > 0.99


def test_behind_a_gap_the_band_is_wider(series):
    x = series.x.clone()
    x[400:410] = math.nan
    forecast = alarms.damped_forecast(series._replace(x=x))
    phi = alarms.persistence(series)
    assert forecast.std[399] == pytest.approx(math.sqrt(1 - phi**2))
    assert forecast.std[410] == pytest.approx(math.sqrt(1 - phi**22))
    assert forecast.mean[410] == pytest.approx(phi**11 * float(x[399]))


def test_the_latent_of_a_level_and_an_oscillation_is_found_in_spite_of_gaps():
    t = alarms.months(240)
    angle = 2 * math.pi * t
    x = 0.7 + 2**0.5 * (0.4 * angle.cos() - 1.1 * angle.sin())
    series = cut(t, torch.randn(240, dtype=f64), at=10.0, period=12)
    z = torch.tensor([0.7, 0.4, -1.1], dtype=f64)
    torch.testing.assert_close(alarms.latent(series._replace(x=x))[23:], z.expand(217, 3))
    x[50:59] = math.nan
    torch.testing.assert_close(alarms.latent(series._replace(x=x))[23:], z.expand(217, 3))
    x[48:62] = math.nan
    assert alarms.latent(series._replace(x=x))[61].isnan().all()


# -- planted anomalies -----------------------------------------------------------------------------


def test_an_anomaly_changes_nothing_before_and_little_after():
    for kind in alarms.KINDS:
        made = alarms.plant(kind, 2, 500, 3)
        differs = (made.x - made.clean).abs() > 1e-9
        assert not differs[: made.first].any() and differs[made.first : made.last + 1].any()
        assert not differs[made.last + 1 :].any()
    with pytest.raises(ValueError, match="kind must be one of spike, shift, frequency, flat, got"):
        alarms.plant("dip", 2, 500, 3)


def test_each_kind_has_its_detector(table):
    def best(kind, size):
        means = {name: sum(values) / len(values) for name, values in table[kind, size].items()}
        return max(means, key=means.get), means

    assert all(best("spike", size)[0] == "surprise" for size in (1, 2, 3))
    assert all(best("shift", size)[0] == "level" for size in (2, 3))
    assert best("frequency", 1)[0] == "latent distance"
    assert all(best("flat", size)[0] == "latent distance" for size in (2, 3))
    assert best("shift", 3)[1]["surprise"] < 0.5 < best("shift", 3)[1]["latent distance"]
    assert max(table["spike", 3]["latent distance"]) < 0.2


def test_a_sensor_that_is_stuck_surprises_less_than_chance(table):
    assert all(max(table["flat", size]["surprise"]) < 0.1 for size in (1, 2, 3))


def test_nothing_planted_is_found_by_chance_only():
    found = [
        alarms.planted_precision("shift", 0, range(g * 25, g * 25 + 25), detector)
        for g in range(2)
        for detector in alarms.DETECTORS.values()
    ]
    assert max(found) < 0.25


def test_what_the_latent_sees_depends_on_its_window():
    short, usual, long = (alarms.latent_precision("flat", 3, window) for window in (12, 24, 36))
    assert short < 0.2 and 0.35 < usual < long - 0.08


# -- promises --------------------------------------------------------------------------------------


def test_correlation_leaves_the_mean_and_bunches_the_alarms():
    far = alarms.correlated(2000, 366, 0).abs() > 2
    counts = far.sum(1).double()
    expected = expected_alarms(2, 366)
    independent = math.sqrt(expected * (1 - expected / 366))
    assert counts.mean() == pytest.approx(expected, rel=0.05)
    assert counts.std() > 2 * independent


def test_what_rules_promise_and_give():
    rate = 1 / 52
    given = {
        (kind, rule): float((alarms.attained(kind, rule, rate) / rate).mean())
        for kind in alarms.SERIES
        for rule in alarms.RULES
    }
    for rule in alarms.RULES:
        assert given["independent", rule] == pytest.approx(1, abs=0.08)
        assert given["correlated", rule] > 1.25  # ten years are too few to know the scale
    assert given["heavy tails", "normal"] > 1.4
    assert given["heavy tails", "quantile"] == pytest.approx(1, abs=0.08)
    low, high = alarms.promises()["1 in 20 years", "independent"]["tail"].sort().values[[20, -20]]
    assert low < 0.2 and high > 4  # the price of reaching beyond the past
    rare = rate / 20
    assert (alarms.attained("heavy tails", "normal", rare) / rare).median() > 8
    assert (alarms.attained("heavy tails", "tail", rare) / rare).median() < 2
    with pytest.raises(ValueError, match="tail_threshold"):
        alarms.attained("independent", "quantile", rare)


# -- the known events ------------------------------------------------------------------------------


@pytest.mark.parametrize("past", [15, 20, 25])
def test_the_sum_finds_the_step_of_the_nile_in_its_fourth_year(past):
    t, _ = nile()
    z = alarms.nile_scores(past)
    over = (cusum(z) > cusum_threshold(500)).any(0)
    assert not over[:28].any() and t[int(over.int().argmax())] == 1902
    assert t[int((z.abs() > 3).int().argmax())] >= 1913  # year by year


def test_a_short_past_breaks_the_promise_of_the_sum():
    promised = 1 - math.exp(-80 / 500)
    assert alarms.quiet_series_that_ring(past=2000) == pytest.approx(promised, abs=0.07)
    assert alarms.quiet_series_that_ring(past=20) > 2 * promised


def test_when_each_detector_finds_el_nino():
    found = {(row.detector, row.years): row for row in alarms.found_events()}
    assert found["level", 10].begins == ("1982-11", "1997-05") == found["surprise", 5].begins
    assert found["surprise", 10].begins == ("none", "none")
    assert found["latent distance", 10].begins == ("1983-03", "1997-09")
    assert found["surprise", 5].months == (1, 1)
    assert found["level", 10].promised == pytest.approx((366 - 48) / 120)
    assert found["level", 10].false == 0 < 20 < found["latent distance", 10].false


def test_correlation_breaks_the_promises_of_the_detectors():
    """One in ten years is promised, from 30 clean years; the slower a score, the less they say."""
    come = {name: float(counts.mean()) for name, counts in alarms.clean_alarms().items()}
    assert 1.1 < come["surprise"] < 1.6 < 2 < come["level"] < 3.5
    assert 5.5 < come["latent distance"] < 10


# -- pictures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", alarm_figures.EXAMPLES)
def test_a_figure_of_the_alarms_can_be_read(name):
    fig = alarm_figures.EXAMPLES[name]()
    assert isinstance(fig, Picture)
    fig.draw_without_rendering()
    assert not text_problems(fig) and not empty_axes(fig)


def test_the_panel_counts_what_the_text_says():
    panel = explore.alarm_threshold(against="season", k=3.0)
    assert "20 alarms in 3 runs" in panel.text and "2.0" in panel.text
    panel.controls["against"].value = "mean"
    panel.controls["k"].value = 2.0
    assert "16 alarms in 7 runs" in panel.text
    near = panel.evaluate(against="forecast", k=3.0, horizon=0).data
    far = panel.evaluate(against="forecast", k=3.0, horizon=23).data
    assert (near.alarms, near.runs) == (7, 7) and far.alarms > 20 and far.runs <= 5


def test_the_planted_panel_says_who_sees_it():
    panel = explore.planted_anomaly(kind="spike", size=3)
    assert "surprise, alarm at once" in panel.text
    flat = panel.evaluate(kind="flat", size=3).data.tracks
    nothing = panel.evaluate(kind="shift", size=0).text
    assert "false alarm after" in nothing and ", alarm" not in nothing
    assert flat["surprise"].delay == flat["level"].delay == -1 < flat["latent distance"].delay


# -- exercises -------------------------------------------------------------------------------------


def _by_search(points, alarms):
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        if expected_alarms(middle, points) > alarms:
            low = middle
        else:
            high = middle
    return low


def _by_counts(rate, share, segment):
    recall = 1 - math.exp(segment * math.log(1 - rate))
    hits, false, missed = share * recall, (1 - share) * rate, share * (1 - recall)
    return 2 * hits / (2 * hits + false + missed)


@pytest.mark.parametrize(
    ("id", "answer", "state"),
    [
        ("23.1", lambda points, alarms: norm.isf(alarms / (2 * points)), "correct"),
        ("23.1", lambda n, a: -torch.special.ndtri(torch.tensor(a / n / 2)), "correct"),
        ("23.1", lambda n, a: 2**0.5 * torch.erfinv(torch.tensor([1 - a / n])), "correct"),
        ("23.1", _by_search, "correct"),
        ("23.1", lambda points, alarms: math.sqrt(points / alarms), "not yet"),  # Chebyshev
        ("23.1", lambda points, alarms: norm.isf(alarms / points), "not yet"),
        ("23.3", _by_counts, "correct"),
        ("23.3", lambda *values: coin_tosses(*values).f1, "correct"),
        ("23.3", lambda *values: np.float32(_by_counts(*values)), "correct"),
        ("23.3", lambda *values: coin_tosses(*values, adjusted=False).f1, "not yet"),
        ("23.3", lambda rate, share, segment: _by_counts(rate, share, segment + 1), "not yet"),
    ],
)
def test_a_right_answer_may_be_found_in_any_way(id, answer, state):
    from node_tutorial.lessons.forecasts import alarm_exercises  # noqa: F401

    assert EXERCISES[id].assess(answer).state == state
