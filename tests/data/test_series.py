"""Ragged series as tensors, the real series, and the simulated ones against their formulas."""

import math

import pytest
import torch

from node_tutorial import odeint, solve
from node_tutorial.data import (
    co2,
    collate,
    cut,
    el_nino,
    exact_oscillation,
    nile,
    oscillations,
    sunspots,
    thin,
    two_spirals,
    union_grid,
)

f64 = {"dtype": torch.float64}
NAN = float("nan")


def pair(times, values, **dtype):
    return torch.tensor(times, **dtype), torch.tensor(values, **dtype)


def test_collation_pads_and_masks():
    t, x, mask = collate(
        [pair([0.0, 1.0], [3.0, NAN]), pair([0.5, 2.0, 2.5, 7.0], [5.0, 6.0, 7.0, 8.0])]
    )
    assert t.shape == (2, 4) and x.shape == mask.shape == (2, 4, 1) and mask.dtype == torch.bool
    assert mask[..., 0].tolist() == [[True, False, False, False], [True] * 4]
    assert x[..., 0].tolist() == [[3.0, 0.0, 0.0, 0.0], [5.0, 6.0, 7.0, 8.0]]
    assert t[1].tolist() == [0.5, 2.0, 2.5, 7.0] and t[0, :2].tolist() == [0.0, 1.0]


def test_each_value_is_observed_or_not_by_itself():
    mask = collate([pair([0.0, 1.0], [[NAN, 1.0], [2.0, 3.0]])]).mask
    assert mask.tolist() == [[[False, True], [True, True]]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("begin", [-5.0, 0.0, 1958.25])
def test_padded_times_increase_strictly_and_go_on_for_next_to_nothing(begin, dtype):
    long = begin + torch.linspace(0, 40, 300, dtype=dtype)
    for n in (1, 2, 299):
        t, x, mask = collate([(long, torch.ones_like(long)), (long[:n], torch.ones_like(long[:n]))])
        assert (t.diff(dim=1) > 0).all() and t.dtype == x.dtype == dtype
        assert t[1, -1] - t[1, n - 1] <= 3000 * torch.finfo(dtype).eps * max(
            1.0, float(t[1].abs().max())
        )
        assert mask[1].sum() == n


def test_padded_series_can_be_solved_row_by_row():
    t, _, _ = collate([pair([0.0, 1.0, 3.0], [1.0] * 3, **f64), pair([0.0, 0.5], [1.0] * 2, **f64)])
    y = solve(lambda t, y: -y, torch.ones(2, 1, **f64), t, per_sample=True).y[..., 0]
    assert torch.allclose(y, torch.exp(-t), atol=1e-6)


def test_the_union_grid_holds_the_same_observations():
    batch = collate([pair([0.0, 1.0, 4.0], [1.0, NAN, 3.0]), pair([1.5, 4.0], [5.0, 6.0])])
    t, x, mask = union_grid(batch)
    assert t.tolist() == [0.0, 1.5, 4.0]  # neither padding nor a time at which nothing was observed
    assert torch.where(mask, x, NAN)[..., 0].nan_to_num(-1).tolist() == [
        [1.0, -1.0, 3.0],
        [-1.0, 5.0, 6.0],
    ]
    again = union_grid((t, x, mask))
    assert torch.equal(again.x, x) and torch.equal(again.mask, mask) and torch.equal(again.t, t)
    with pytest.raises(ValueError, match="batch holds no observation"):
        union_grid((t, x, torch.zeros_like(mask)))


def test_thinning_keeps_so_many_of_the_observations_evenly():
    t, x = torch.arange(20.0), torch.arange(20.0).expand(2000, 20)[..., None]
    series = thin(t, x, 5, seed=1)
    kept = torch.stack([times for times, _ in series])
    assert kept.shape == (2000, 5) and (kept.diff(dim=1) > 0).all()
    assert all(torch.equal(times, values[:, 0]) for times, values in series)
    counts = torch.bincount(kept.flatten().long(), minlength=20)
    assert (counts - 500).abs().max() < 5 * math.sqrt(500)
    assert torch.equal(torch.stack([times for times, _ in thin(t, x, 5, seed=1)]), kept)
    for keep in (0, 21):
        with pytest.raises(ValueError, match=f"keep must be from 1 to 20.*got {keep}"):
            thin(t, x, keep)


@pytest.mark.parametrize(
    "series, error, message",
    [
        ([], ValueError, "series is empty"),
        (
            [pair([0.0], [1.0]), pair([0.0, 0.0], [1.0, 2.0])],
            ValueError,
            r"series\[1\]\[0\] must be strictly increasing",
        ),
        (
            [pair([0.0, 2.0, 1.0], [1.0] * 3)],
            ValueError,
            r"series\[0\]\[0\] must be strictly increasing.*sort it",
        ),
        ([pair([2.0, 1.0], [1.0, 2.0])], ValueError, r"series\[0\]\[0\] must be increasing.*flip"),
        ([pair([0.0, NAN], [1.0, 2.0])], ValueError, r"series\[0\]\[0\] must be finite"),
        ([pair([], [])], ValueError, r"series\[0\]\[0\] is empty"),
        (
            [pair([0.0, 1.0], [1.0])],
            ValueError,
            r"series\[0\]\[1\] must be values \(2,\) or \(2, D\).*got \(1,\)",
        ),
        (
            [pair([0.0, 1.0], [1.0, math.inf])],
            ValueError,
            r"series\[0\]\[1\] must be finite, or NaN",
        ),
        (
            [pair([0.0], [1.0]), pair([0.0], [[1.0, 2.0]])],
            ValueError,
            r"series\[1\] has 2 values.*series\[0\] has 1",
        ),
        (
            [(torch.arange(2), torch.ones(2))],
            TypeError,
            r"series\[0\]\[0\] must be of floating point",
        ),
        (
            [(torch.zeros(1), torch.ones(1).int())],
            TypeError,
            r"series\[0\]\[1\] must be a tensor of floating point",
        ),
        ([(torch.zeros(1), [1.0])], TypeError, r"series\[0\]\[1\] must be a tensor.*got list"),
    ],
)
def test_what_is_no_series_is_refused(series, error, message):
    with pytest.raises(error, match=message):
        collate(series)


def test_co2_has_its_gaps():
    t, x = co2()
    assert t.shape == x.shape == (2284,) and t.dtype == x.dtype == torch.float64
    assert x.isnan().sum() == 59 and x[0] == 316.1
    assert t[0] == pytest.approx(1958 + 87 / 365) and t[-1] == pytest.approx(
        2001 + 362 / 365
    )  # March 29, December 29
    assert (t.diff() * 365.25 - 7).abs().max() < 0.1
    missing = x.isnan().long()
    longest = max(len(run) for run in "".join(map(str, missing.tolist())).split("0"))
    assert longest == 18
    mask = collate([(t, x)]).mask
    assert mask.sum() == 2284 - 59


def test_sunspots_come_and_go_in_eleven_years():
    t, x = sunspots()
    assert t.tolist() == list(range(1700, 2009)) and not x.isnan().any() and (x >= 0).all()
    power = torch.fft.rfft(x - x.mean()).abs()
    assert 309 / int(power.argmax()) == pytest.approx(11, abs=0.5)


@pytest.mark.parametrize("inward", [False, True])
def test_spirals_are_those_of_the_protocol(inward):
    s = two_spirals(40, points=30, later=20, total=120, inward=inward, seed=3)
    assert (
        s.x.shape == (40, 30, 2)
        and s.clean.shape == (40, 50, 2)
        and s.t.shape == (30,)
        and s.later.shape == (20,)
    )
    t = torch.cat([s.t, s.later])
    step = 6 * math.pi / 119
    assert torch.allclose(t.diff(), torch.full((49,), step), atol=1e-5) and t[0] == 0
    radius = s.clean.norm(dim=-1)
    sign = -1 if inward else 1
    assert torch.allclose(radius.diff(dim=1), torch.full((40, 49), sign * 0.3 * step), atol=1e-4)
    x, y = s.clean[..., 0], s.clean[..., 1]
    turns = x[:, :-1] * y[:, 1:] - y[:, :-1] * x[:, 1:]
    assert ((turns > 0) == s.counterclockwise[:, None]).all() and s.counterclockwise.sum() == 20
    assert radius.min() >= 0.3 * step * 30 - 1e-4 and radius.max() <= 0.3 * 6 * math.pi + 1e-4
    assert len(radius[:, 0].unique()) > 10  # starts differ


def test_the_noise_of_the_spirals_is_that_asked_for():
    s = two_spirals(200, noise=0.2)
    error = s.x - s.clean[:, :100]
    assert error.std().item() == pytest.approx(0.2, rel=0.02) and error.mean().abs() < 0.01
    assert torch.equal(two_spirals(200, noise=0.2).x, s.x) and not torch.equal(
        two_spirals(200, noise=0.2, seed=1).x, s.x
    )
    with pytest.raises(ValueError, match=r"total must be at least 2 points \+ later, 300, got 200"):
        two_spirals(total=200)


@pytest.mark.parametrize("damping", [0.0, 0.2])
def test_oscillations_solve_their_equation(damping):
    series, start = oscillations(5, 8, damping=damping, noise=0.0)

    def field(t, y):
        return torch.stack([y[:, 1], -(1.7**2) * y[:, 0] - 2 * damping * y[:, 1]], dim=1)

    t = torch.linspace(0, 10, 7, **f64)
    y = odeint(field, start.double(), t, rtol=1e-8, atol=1e-8)
    assert torch.allclose(
        exact_oscillation(t, start.double(), 1.7, damping).transpose(0, 1), y, atol=1e-5
    )
    for i, (times, values) in enumerate(series):
        assert times[0] == 0 and times.shape == (8,)
        assert torch.allclose(
            values, exact_oscillation(times, start[i], 1.7, damping)[:, :1], atol=1e-4
        )


def test_the_times_of_the_oscillations_are_uniform_and_never_too_close():
    series, _ = oscillations(2000, 60)  # among so many gaps, some would vanish in single precision
    t = collate(series).t
    assert (t[:, 0] == 0).all() and t.max() < 10 and t.diff(dim=1).min() > 5e-5
    counts = torch.histc(t[:, 1:], 10, 0, 10)
    assert (counts - 11800).abs().max() < 5 * math.sqrt(11800)


def test_the_noise_of_the_oscillations_is_that_asked_for():
    (noisy, start), (clean, same) = oscillations(50, 20, noise=0.3), oscillations(50, 20, noise=0.0)
    error = torch.cat([a[1] - b[1] for a, b in zip(noisy, clean)])
    assert torch.equal(start, same) and error.std().item() == pytest.approx(0.3, rel=0.06)
    with pytest.raises(
        ValueError, match=r"damping must be from 0 to less than omega = 1.7.*got 2.0"
    ):
        oscillations(damping=2.0)


def test_more_observations_than_gaps_allow_are_refused():
    [(t, _)], _ = oscillations(1, 10_000)
    assert len(t) == 10_000 and t.max() <= 10
    for keep in (0, 10_001, 200_000):
        with pytest.raises(ValueError, match=f"keep must be from 1 to 10000.*got {keep}"):
            oscillations(1, keep)


def test_values_of_another_number_of_times_are_not_thinned():
    for x in (torch.zeros(1, 7, 1), torch.zeros(1, 4, 1), torch.zeros(5, 1)):
        with pytest.raises(ValueError, match=r"x must be series \(B, 5, D\)"):
            thin(torch.arange(5.0), x, 5)


def test_times_that_single_precision_made_equal_are_told_from_duplicates():
    stamps = torch.tensor([1.7e9, 1.7e9 + 60, 1.7e9 + 120], **f64)
    assert len(collate([(stamps, torch.ones(3))]).t[0]) == 3
    with pytest.raises(ValueError, match=r"subtract the first time before they become float32"):
        collate([(stamps.float(), torch.ones(3))])
    with pytest.raises(ValueError, match="drop duplicates"):
        collate([(torch.tensor([0.0, 1.0, 1.0]), torch.ones(3))])


def test_padding_ends_where_its_description_says():
    t = torch.tensor([1.7e9, 1.7e9 + 3600])
    padded = collate([(t, torch.ones(2)), (torch.arange(50.0), torch.ones(50))]).t[0]
    assert (padded.diff() > 0).all()
    assert padded[-1] - t[-1] <= 1.01 * 48 * 5e-7 * 1.7e9


def test_the_real_series_are_those_of_the_library_and_complete():
    t, x = el_nino()
    assert t.shape == x.shape == (732,) and t[0] == 1950 + 0.5 / 12 and x.isfinite().all()
    assert x[:2].tolist() == [23.11, 24.20] and t.diff().std() < 1e-9
    t, x = nile()
    assert t.shape == x.shape == (100,) and t[0] == 1871 and t[-1] == 1970
    # The step that everybody finds: the split into two means that leaves the least variance.
    left = [x[:k].var(correction=0) * k + x[k:].var(correction=0) * (100 - k) for k in range(1, 99)]
    best = 1 + int(torch.stack(left).argmin())
    assert best == 28 and t[best] == 1899
    assert round(float(x[:28].mean()), 2) == 1097.75 and round(float(x[28:].mean()), 2) == 849.97


def test_what_comes_after_the_cut_does_not_change_what_is_before_it():
    t, x = el_nino()
    series = cut(t, x, 1980.5, period=12)
    spoiled = torch.where(t < 1980.5, x, 1e6 * torch.randn(732, **f64))
    same = cut(t, spoiled, 1980.5, period=12)
    assert series.past == 366 and torch.equal(series.x[:366], same.x[:366])
    assert torch.equal(series.center, same.center) and series.scale == same.scale
    assert torch.allclose(series.x * series.scale + series.center, x)
    past = series.x[:366].reshape(-1, 6).numpy()
    assert abs(past.mean()) < 1e-12 and past.std() == pytest.approx(1.0)
    # A scale that had seen all of it would be another one.
    assert cut(t, x, float(t[-1]), period=12).scale > 1.05 * series.scale


def test_a_cut_leaves_out_what_was_not_observed():
    x = torch.tensor([1.0, float("nan"), 3.0, 5.0, 9.0], **f64)
    series = cut(torch.arange(5, **f64), x, 4.0)
    assert series.center[0] == 3 and series.scale == pytest.approx(math.sqrt(8 / 3))
    assert series.x.isnan().tolist() == [False, True, False, False, False]


@pytest.mark.parametrize(
    ("t", "x", "at", "period", "says"),
    [
        ([0, 2, 1, 3], [1, 2, 3, 4], 2.5, 1, "increasing"),
        ([0, 1, 1, 3], [1, 2, 3, 4], 2.5, 1, "increasing"),
        ([0, 1, math.nan, 3], [1, 2, 3, 4], 2.5, 1, "finite|NaN|nan"),
        ([0, 1, 2, 3], [1, 2, math.inf, 4], 2.5, 1, "must be finite"),
        ([0, 1, 2, 3], [1, 2, 3], 2.5, 1, "one per time"),
        ([0, 1, 2, 3], [1, 2, 3, 4], 0, 1, "a past and a future"),
        ([0, 1, 2, 3], [1, 2, 3, 4], 3.5, 1, "a past and a future"),
        ([0, 1, 2, 3], [1, 2, 3, 4], math.nan, 1, "a past and a future"),
        ([0, 1, 2, 3], [2, 2, 2, 4], 2.5, 1, "constant"),
        ([0, 1, 2, 3], [0.1, 0.1, 0.1, 4], 2.5, 1, "constant"),
        ([0, 1, 2, 3, 4], [1, 7, 1, 7, 4], 3.5, 2, "constant"),
        ([0, 1, 2, 3], [1, 2, 3, 4], 2.5, 0, "period must be"),
        ([0, 1, 2, 3], [1, 2, 3, 4], 2.5, True, "period must be"),
        ([0, 1, 2, 3], [1, 2, 3, 4], 2.5, 4, "shorter period"),
        ([0, 1, 2, 3], [1, math.nan, 3, 4], 2.5, 2, "shorter period"),
        ([0, 1, 2, 3], [math.nan] * 3 + [4], 2.5, 1, "shorter period"),
    ],
)
def test_what_cannot_be_cut_is_refused(t, x, at, period, says):
    with pytest.raises(ValueError, match=says):
        cut(torch.tensor(t, **f64), torch.tensor(x, **f64), at, period)
