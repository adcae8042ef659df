"""Scoring rules for forecasts, on what is known in closed form."""

import math

import pytest
import torch

from node_tutorial.data.forecast_scores import (
    ahead,
    ar1_variance,
    calibration,
    crps_gaussian,
    interval_coverage,
    mase,
)

f64 = {"dtype": torch.float64}
NORMAL = torch.distributions.Normal(torch.tensor(0.0, **f64), torch.tensor(1.0, **f64))
QUANTILES = NORMAL.icdf((torch.arange(200_000, **f64) + 0.5) / 200_000)  # N(0, 1), without chance


def test_the_crps_of_a_gaussian_is_its_closed_form():
    found = crps_gaussian(torch.tensor([0.0, 1.0, -1.0], **f64))
    assert found.tolist() == pytest.approx([0.233694977, 0.602441358, 0.602441358], abs=1e-9)
    scaled = crps_gaussian(torch.tensor([7.0], **f64), 4.0, 3.0)
    assert float(scaled) == pytest.approx(3 * 0.602441358, abs=1e-8)
    assert crps_gaussian(torch.tensor([1.0, -2.0], **f64), 0.0, 0.0).tolist() == [1.0, 2.0]
    # Under the truth it is 1 / sqrt(pi) on average.
    assert float(crps_gaussian(QUANTILES).mean()) == pytest.approx(0.564189584, abs=1e-5)


def test_the_crps_is_the_integral_of_the_squared_difference_to_the_step():
    grid = torch.linspace(-12, 12, 240_001, **f64)
    for y in (-0.7, 0.0, 2.3):
        square = (NORMAL.cdf(grid) - (grid >= y).double()).square()
        assert float(crps_gaussian(torch.tensor(y, **f64))) == pytest.approx(
            float(torch.trapezoid(square, grid)), abs=1e-4
        )


def test_the_crps_is_least_for_the_true_distribution():
    truth = float(crps_gaussian(QUANTILES).mean())
    for mean, std in [(0.3, 1.0), (-0.3, 1.0), (0.0, 0.7), (0.0, 1.4)]:
        assert float(crps_gaussian(QUANTILES, mean, std).mean()) > truth + 0.01


def test_the_naive_forecast_has_a_mase_of_one_on_its_own_past():
    past = torch.tensor([1.0, 4.0, 2.0, 2.0, 7.0], **f64)
    naive = past.diff()
    assert float(mase(past[1:], past[:-1], past)) == pytest.approx(1.0)
    assert float(mase(100 * naive, 0 * naive, 100 * past)) == pytest.approx(1.0)
    gaps = torch.tensor([[1.0, math.nan], [3.0, 2.0]], **f64)
    past = torch.tensor([0.0, 2.0, math.nan, 9.0, 9.0], **f64)
    assert mase(gaps, torch.zeros(2, 2, **f64), past).tolist() == [2.0, 2.0]


@pytest.mark.parametrize("past", [[5.0] * 6, [1.0, math.nan, 3.0, math.nan], [math.nan] * 4])
def test_a_constant_past_gives_mase_no_scale(past):
    with pytest.raises(ValueError, match="no scale"):
        mase(torch.ones(3), torch.zeros(3), torch.tensor(past))


@pytest.mark.parametrize("past", [torch.ones(1), torch.ones(4, 2), torch.tensor(1.0)])
def test_a_past_that_is_no_series_is_refused(past):
    with pytest.raises(ValueError, match="two entries or more"):
        mase(torch.ones(3), torch.zeros(3), past)


def test_the_variance_of_an_ar1_grows_to_that_of_the_climate():
    found = ar1_variance(0.9, torch.tensor([1, 5, 20, 2000]))
    assert found.tolist() == pytest.approx([1, 3.428008, 5.185364, 5.263158], abs=1e-6)
    by_sum = sum(0.9 ** (2 * k) for k in range(5))
    assert float(ar1_variance(0.9, 5, 4.0)) == pytest.approx(4 * by_sum)
    # A band of one width for all horizons, made for h = 1.
    share = torch.erf(1.959964 / found.sqrt() / math.sqrt(2))
    assert share[[0, 2]].tolist() == pytest.approx([0.95, 0.6106], abs=5e-5)
    for phi, h in [(1.0, 3), (-1.2, 3), (0.5, -1)]:
        with pytest.raises(ValueError, match="phi must be"):
            ar1_variance(phi, h)


def test_coverage_and_calibration_of_the_true_distribution_are_nominal():
    y = QUANTILES[:, None] * torch.tensor([1.0, 2.0], **f64)
    std = torch.tensor([1.0, 2.0], **f64)
    found = interval_coverage(y, -1.959964 * std, 1.959964 * std)
    assert found.tolist() == pytest.approx([0.95, 0.95], abs=1e-4)
    levels = torch.tensor([0.1, 0.5, 0.9], **f64)
    shares = calibration(y, torch.zeros(2, **f64), std, levels)
    assert shares.shape == (3, 2)
    assert torch.allclose(shares, levels[:, None].expand(3, 2), atol=1e-4)
    # Too narrow by half: the tails hold too much.
    narrow = calibration(y, torch.zeros(2, **f64), std / 2, levels)
    assert (narrow[0] > 0.25).all() and (narrow[2] < 0.75).all()
    with pytest.raises(ValueError, match="low must not be above"):
        interval_coverage(y, std, -std)
    with pytest.raises(ValueError, match="levels must be between"):
        calibration(y, y, std, torch.tensor([0.0]))
    with pytest.raises(ValueError, match="std must not be negative"):
        crps_gaussian(y, 0.0, -std)


def test_only_what_came_may_be_missing_a_forecast_must_be_there():
    y = torch.tensor([[1.0], [math.nan]], **f64)
    zero = torch.zeros(2, 1, **f64)
    one = torch.ones(2, 1, **f64)
    silent = torch.tensor([[math.nan], [0.0]], **f64)
    level = torch.tensor([0.5], **f64)
    assert crps_gaussian(y, zero, one).isnan().tolist() == [[False], [True]]
    assert mase(y, zero, torch.arange(4.0, **f64)).tolist() == [1.0]
    assert interval_coverage(y, -one, one).tolist() == [1.0]
    assert calibration(y, zero, one, level).tolist() == [[0.0]]
    for name, score in {
        "mean": lambda: crps_gaussian(y, silent, one),
        "std": lambda: crps_gaussian(y, zero, silent),
        "mean ": lambda: mase(y, silent, torch.arange(4.0, **f64)),
        "low": lambda: interval_coverage(y, silent, one),
        "high": lambda: interval_coverage(y, zero, silent),
        "mean  ": lambda: calibration(y, silent, one, level),
        "std ": lambda: calibration(y, zero, silent, level),
    }.items():
        with pytest.raises(ValueError, match=f"{name.strip()} must not be NaN, got 1"):
            score()
    for std in (0 * one, -one):
        with pytest.raises(ValueError, match="std must be positive"):
            calibration(y, zero, std, level)
    with pytest.raises(ValueError, match="innovation must be a variance"):
        ar1_variance(0.5, 1, -1.0)


def test_a_horizon_beyond_the_data_is_refused():
    x = torch.arange(10.0)
    assert ahead(x, [0, 7], 3).tolist() == [[0, 1, 2], [7, 8, 9]]
    with pytest.raises(ValueError, match="beyond the data, which has 10; let origins end at 7"):
        ahead(x, [0, 8], 3)
    for origins, horizon in [([], 3), ([-1], 3), ([1], 0)]:
        with pytest.raises(ValueError, match="origins must be"):
            ahead(x, origins, horizon)
