"""The Mittag-Leffler function, against mpmath's series and closed forms."""

import math

import mpmath
import numpy as np
import pytest
from scipy.special import erfcx, rgamma

from node_tutorial.data.mittag_leffler import caputo_of_power, mittag_leffler, rates

VALUES = {  # E_alpha(-t^alpha) at t = 0.1, 1, 2, 5
    0.3: (0.6320805780, 0.4565944083, 0.4036812191, 0.3371850366),
    0.5: (0.7235784385, 0.4275835762, 0.3362040024, 0.2323262944),
    0.7: (0.8091590410, 0.3996119781, 0.2631900068, 0.1336510354),
    0.9: (0.8780961230, 0.3760660214, 0.1811154703, 0.0452231167),
}


def series(z, alpha):
    """The sum of the series, with as many digits as its terms cancel."""
    with mpmath.workdps(40 + int(abs(z) ** (1 / alpha))):
        z, alpha = mpmath.mpf(z), mpmath.mpf(alpha)
        total = k = 0
        while True:
            term = z**k / mpmath.gamma(alpha * k + 1)
            total += term
            k += 1
            if k * alpha > abs(z) ** (1 / alpha) + 5 and abs(term) < mpmath.mpf(10) ** -25:
                return float(total)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 0.9, 0.99, 1.001, 1.1, 1.5, 1.9])
def test_it_is_the_sum_of_its_series(alpha):
    for t in (0.0, 0.1, 1.0, 1.99, 2.01, 5.0, 15.0):
        z = -(t**alpha)
        assert mittag_leffler(z, alpha) == pytest.approx(series(z, alpha), abs=1e-12)
    assert mittag_leffler(2.0, alpha) == pytest.approx(series(2.0, alpha), rel=1e-12)


@pytest.mark.parametrize("off", [1e-2, 1e-3, 1e-5, 1e-8, 1e-12])
@pytest.mark.parametrize("side", [-1, 1])
def test_next_to_order_one_it_is_the_sum_of_its_series_too(off, side):
    alpha = 1 + side * off
    for t in (1.99, 2.01, 5.0, 15.0, 30.0):
        found = float(mittag_leffler(-(t**alpha), alpha))
        assert found == pytest.approx(series(-(t**alpha), alpha), abs=1e-13)
    assert float(mittag_leffler(-3.0, alpha)) != math.exp(-3)
    assert float(mittag_leffler(-3.0, alpha)) == pytest.approx(math.exp(-3), abs=off)


@pytest.mark.parametrize("alpha", VALUES)
def test_the_values_of_relaxation(alpha):
    found = mittag_leffler(-(np.array([0.1, 1, 2, 5]) ** alpha), alpha)
    assert found == pytest.approx(VALUES[alpha], abs=1e-10)


def test_above_order_one_it_swings():
    found = mittag_leffler(-(np.array([1.0, 2, 3, 5]) ** 1.5), 1.5)
    assert found == pytest.approx((0.396629365, -0.149363895, -0.299915515, -0.064447309), abs=1e-9)


def test_at_orders_half_one_and_two_it_is_a_known_function():
    z = np.linspace(-30, -0.01, 50)
    assert mittag_leffler(z, 0.5) == pytest.approx(erfcx(-z), abs=1e-13)
    assert mittag_leffler(z, 1.0) == pytest.approx(np.exp(z), abs=1e-15)
    assert mittag_leffler(z, 2.0) == pytest.approx(np.cos(np.sqrt(-z)), abs=1e-15)


def test_the_tail_is_a_power_where_an_exponential_is_gone():
    found = float(mittag_leffler(-(100**0.5), 0.5))
    assert found == pytest.approx(0.0561410, abs=1e-7)
    assert found == pytest.approx(100**-0.5 / math.gamma(0.5), rel=0.01)


@pytest.mark.parametrize("x", [1e3, 1e8, 1e15, 1e17, 1e300])
def test_far_out_it_keeps_its_digits(x):
    assert float(mittag_leffler(-x, 0.5)) == pytest.approx(erfcx(x), rel=1e-12)
    for alpha in (0.02, 0.3, 0.9, 0.98, 1.5):
        tail = sum(-((-1 / x) ** k) * rgamma(1 - k * alpha) for k in range(1, 8))
        assert float(mittag_leffler(-x, alpha)) == pytest.approx(tail, rel=1e-12)


def test_next_to_order_two_it_still_swings_far_out():
    for x in (0.99e16, 1.01e16):
        t = x**0.50000002500000125  # 1 / 1.9999999
        found = float(mittag_leffler(-x, 1.9999999))
        assert abs(found) <= 2 / 1.9999999 * math.exp(t * math.cos(math.pi / 1.9999999))
        assert abs(found) > 1e-8


@pytest.mark.parametrize("z", [-2.0, -1e10])
def test_of_an_order_near_zero_it_is_a_fraction(z):
    """E_alpha(z) tends to 1/(1 - z)."""
    for alpha in (1e-3, 5e-4):
        assert float(mittag_leffler(z, alpha)) == pytest.approx(1 / (1 - z), rel=alpha)


@pytest.mark.parametrize("alpha, share", [(0.5, 0.2163), (0.9, 0.7696), (0.99, 0.9795)])
def test_the_rates_gather_at_one_as_the_order_does(alpha, share):
    r = np.geomspace(0.5, 2, 20_001)
    assert np.trapezoid(rates(r, alpha), r) == pytest.approx(share, abs=1e-4)
    u = np.linspace(-60 / alpha, 60 / alpha, 200_001)
    assert np.trapezoid(rates(np.exp(u), alpha) * np.exp(u), u) == pytest.approx(1, abs=1e-9)


def test_two_waits_are_not_one_wait_twice_as_long():
    one, two = (float(mittag_leffler(-(t**0.5), 0.5)) for t in (1, 2))
    assert (one**2, two) == pytest.approx((0.182827715, 0.336204002), abs=1e-9)


@pytest.mark.parametrize("t, slope", [(0.2, 0.337108746), (1, -0.144070581), (2, -0.348738506)])
def test_early_and_late_times_pull_the_order_in_two_directions(t, slope):
    def value(alpha):
        return float(mittag_leffler(-(t**alpha), alpha))

    e = 1e-4
    assert (value(0.5 + e) - value(0.5 - e)) / (2 * e) == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize(
    "power, alpha, value",
    [(1, 0.5, 1.128379167), (1, 0.7, 1.114242509), (2, 0.5, 1.504505556), (0.5, 0.5, 0.886226925)],
)
def test_the_derivatives_of_powers(power, alpha, value):
    assert float(caputo_of_power(power, alpha, 1.0)) == pytest.approx(value, abs=1e-9)
    assert float(caputo_of_power(0, alpha, 1.0)) == 0


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"alpha must be in \(0, 2\]"):
        mittag_leffler(1.0, 2.5)
    for z in (math.nan, -math.inf):
        with pytest.raises(ValueError, match="finite"):
            mittag_leffler([0.0, z], 0.5)
    with pytest.raises(ValueError, match="overflows"):
        mittag_leffler(1e3, 0.5)
    with pytest.raises(ValueError, match="overflows"):
        mittag_leffler(2.0, 0.0005)
    with pytest.raises(ValueError, match="one rate, 1"):
        rates(1.0, 1.0)
    with pytest.raises(ValueError, match="positive"):
        rates(0.0, 0.5)
