"""Series with irregular times: a list of them as tensors with a mask, and real ones.

A series is a pair: times (n,), increasing, and values (n,) or (n, D). A value that is NaN was not
observed; that is the one way to say so, and the mask is made of it. A batch holds t (B, T), x (B,
T, D) and mask (B, T, D), which is True where x was observed; elsewhere x is 0 and means nothing.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..solvers.inputs import check_times


class Batch(NamedTuple):
    """Series as tensors.

    Attributes:
        t: times (B, T) or, on one grid, (T,).
        x: values (B, T, D).
        mask: (B, T, D), True where x was observed.
    """

    t: Tensor
    x: Tensor
    mask: Tensor


def collate(series: Sequence[tuple[Tensor, Tensor]]) -> Batch:
    """Series of any lengths as one `Batch`, the shorter ones padded at their ends.

    Padding is masked, its x is 0, and its times go on increasing, each by a few units in the last
    place: so each row is a valid grid of times for a solver, which ends practically where the row's
    observations do. (In single precision that is 5e-7 of the largest time for each padded entry: of
    Unix timestamps, minutes. Count from the first time instead.)

    Args:
        series: pairs of times (n,) and values (n,) or (n, D); NaN for what was not observed. n and
            D at least 1.

    Raises:
        ValueError: for no series; for times that do not increase strictly or are not finite; for
            values of another length than their times, or another D than the first series has.
        TypeError: unless all are floating point.

        >>> short = torch.tensor([0.0, 1.0]), torch.tensor([3.0, 4.0])
        >>> long = torch.tensor([0.5, 2.0, 2.5]), torch.tensor([5.0, float("nan"), 6.0])
        >>> t, x, mask = collate([short, long])
        >>> x[..., 0].tolist(), mask[..., 0].int().tolist(), bool((t.diff(dim=1) > 0).all())
        ([[3.0, 4.0, 0.0], [5.0, 0.0, 6.0]], [[1, 1, 0], [1, 0, 1]], True)
    """
    if not series:
        raise ValueError("series is empty; give a list of pairs (times, values)")
    rows = [_check(i, t, x) for i, (t, x) in enumerate(series)]
    width = rows[0][1].shape[1]
    for i, (_, x) in enumerate(rows):
        if x.shape[1] != width:
            raise ValueError(
                f"series[{i}] has {x.shape[1]} values at each time, series[0] has {width}; "
                "use as many"
            )
    longest = max(len(t) for t, _ in rows)
    times = torch.stack([_pad_times(t, longest) for t, _ in rows])
    values = torch.stack(
        [torch.cat([x, x.new_full((longest - len(x), width), torch.nan)]) for _, x in rows]
    )
    mask = ~values.isnan()
    return Batch(times, torch.where(mask, values, 0.0), mask)


def _check(i: int, t: Any, x: Any) -> tuple[Tensor, Tensor]:
    """The times (n,) and values (n, D) of series i."""
    _check_resolution(i, t)
    times = check_times(t, f"series[{i}][0]")
    if len(times) > 1 and times[1] < times[0]:
        raise ValueError(
            f"series[{i}][0] must be increasing times, but they decrease; use .flip(0), of the "
            "values too"
        )
    if not isinstance(x, Tensor) or not x.is_floating_point():
        got = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(
            f"series[{i}][1] must be a tensor of floating point, got {got}; use "
            "torch.as_tensor(..).float()"
        )
    if x.dim() not in (1, 2) or len(x) != len(times) or x[0].numel() == 0:
        raise ValueError(
            f"series[{i}][1] must be values ({len(times)},) or ({len(times)}, D), one per time, "
            f"got {tuple(x.shape)}"
        )
    if x.isinf().any():
        raise ValueError(
            f"series[{i}][1] must be finite, or NaN where nothing was observed, got inf"
        )
    return t, x.reshape(len(x), -1)


def _check_resolution(i: int, t: Any) -> None:
    """Raise a ValueError for times that are equal because they were rounded to be so, it seems."""
    if not isinstance(t, Tensor) or not t.is_floating_point() or t.dim() != 1 or len(t) < 2:
        return
    span = float(t.max() - t.min())
    unit = torch.finfo(t.dtype).eps * float(t.abs().max())
    if (t[1:] == t[:-1]).any() and unit > 1e-3 * span:
        raise ValueError(
            f"series[{i}][0] has equal times, which {t.dtype} may have made: near "
            f"{float(t[-1]):.3g} it cannot tell times apart that differ by less than {unit:.2g}. "
            "Make them in torch.float64, and subtract the first time before they become float32"
        )


def _pad_times(t: Tensor, longest: int) -> Tensor:
    """The times (n,), and after them more, a few rounding errors apart, up to `longest`."""
    limits = torch.finfo(t.dtype)
    step = 4 * limits.eps * float(t.abs().max().clamp(min=limits.tiny**0.5))
    more = torch.arange(1, longest - len(t) + 1, dtype=t.dtype, device=t.device)
    return torch.cat([t, t[-1] + step * more])


def union_grid(batch: Batch) -> Batch:
    """The same observations on one grid t (T,): every time at which any series was observed.

    For solves with one clock. Best where the series share most times; else the grid is long.

    Raises:
        ValueError: if nothing at all was observed.

        >>> one = torch.tensor([0.0, 2.0]), torch.ones(2)
        >>> other = torch.tensor([1.0, 2.0]), torch.ones(2)
        >>> t, x, mask = union_grid(collate([one, other]))
        >>> t.tolist(), mask[..., 0].int().tolist()
        ([0.0, 1.0, 2.0], [[1, 0, 1], [0, 1, 1]])
    """
    t, x, mask = batch
    t = t.expand(x.shape[:2])
    row, column = mask.any(-1).nonzero(as_tuple=True)
    if not len(row):
        raise ValueError("batch holds no observation: its mask is False everywhere")
    grid, place = torch.unique(t[row, column], return_inverse=True)
    new_x = x.new_zeros(len(x), len(grid), x.shape[2])
    new_mask = torch.zeros_like(new_x, dtype=torch.bool)
    new_x[row, place] = x[row, column]
    new_mask[row, place] = mask[row, column]
    return Batch(grid, new_x, new_mask)


def thin(t: Tensor, x: Tensor, keep: int, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Each series with `keep` of its times left, drawn without replacement, in order.

    Args:
        t: (T,), times of all series.
        x: (B, T, D) values.
        keep: from 1 to T.
        seed: of a generator of its own.

    Returns:
        B pairs of times (keep,) and values (keep, D), for `collate`.

    Raises:
        ValueError: for another keep, or x that has not T times.

        >>> [(times, values)] = thin(torch.arange(5.0), torch.arange(5.0).reshape(1, 5, 1), 3)
        >>> bool((times.diff() > 0).all()), bool((values[:, 0] == times).all()), len(times)
        (True, True, 3)
    """
    if x.dim() != 3 or x.shape[1] != len(t):
        raise ValueError(
            f"x must be series (B, {len(t)}, D), one value per time of t, got {tuple(x.shape)}"
        )
    if not 1 <= keep <= len(t):
        raise ValueError(f"keep must be from 1 to {len(t)}, the number of times, got {keep}")
    chance = torch.Generator("cpu").manual_seed(seed)
    drawn = torch.rand(len(x), len(t), generator=chance, device="cpu").argsort(1)[:, :keep]
    kept = drawn.sort(1).values.to(t.device)
    return [(t[places], row[places]) for places, row in zip(kept, x, strict=True)]


def co2() -> tuple[Tensor, Tensor]:
    """Weekly carbon dioxide in the air at Mauna Loa, 1958 to 2001.

    Returns:
        Times (2284,) in years and values (2284,) in ppm, both float64. 59 weeks are missing, NaN;
        the longest gap is 18 weeks, in 1964.

    Source: Keeling, Whorf 2004, as shipped with statsmodels (`statsmodels.datasets.co2`).
    """
    from statsmodels.datasets import co2 as source

    table = source.load_pandas().data
    days = torch.tensor(table.index.day_of_year.to_list(), dtype=torch.float64) - 1
    leap = torch.tensor(table.index.is_leap_year.tolist(), dtype=torch.float64)
    year = torch.tensor(table.index.year.to_list(), dtype=torch.float64)
    return year + days / (365 + leap), torch.tensor(table["co2"].to_list(), dtype=torch.float64)


def sunspots() -> tuple[Tensor, Tensor]:
    """Yearly sunspot numbers, 1700 to 2008.

    Returns:
        Times (309,) in years and values (309,), both float64, none missing.

    Source: National Geophysical Data Center, as shipped with statsmodels
    (`statsmodels.datasets.sunspots`).
    """
    from statsmodels.datasets import sunspots as source

    table = source.load_pandas().data
    t = torch.tensor(table["YEAR"].to_list(), dtype=torch.float64)
    return t, torch.tensor(table["SUNACTIVITY"].to_list(), dtype=torch.float64)


def el_nino() -> tuple[Tensor, Tensor]:
    """Monthly temperature of the sea's surface off Peru and Ecuador, 1950 to 2010.

    Returns:
        Times (732,) in years, the middles of the months, and values (732,) in degrees Celsius, both
        float64, none missing.

    Source: National Oceanic and Atmospheric Administration, region Nino 1+2, as shipped with
    statsmodels (`statsmodels.datasets.elnino`).
    """
    from statsmodels.datasets import elnino as source

    table = source.load_pandas().data.to_numpy()
    month = (torch.arange(12, dtype=torch.float64) + 0.5) / 12
    year = torch.tensor(table[:, :1], dtype=torch.float64)
    return (year + month).flatten(), torch.tensor(table[:, 1:], dtype=torch.float64).flatten()


def nile() -> tuple[Tensor, Tensor]:
    """Yearly volume of the Nile at Aswan, 1871 to 1970.

    Returns:
        Times (100,) in years and values (100,) in 10^8 cubic meters, both float64, none missing.

    Source: Cobb 1978, as shipped with statsmodels (`statsmodels.datasets.nile`).
    """
    from statsmodels.datasets import nile as source

    table = source.load_pandas().data
    t = torch.tensor(table["year"].to_list(), dtype=torch.float64)
    return t, torch.tensor(table["volume"].to_list(), dtype=torch.float64)


class Cut(NamedTuple):
    """A series cut into past and future, and what its past says of its center and its scale.

    Attributes:
        t: times (T,).
        x: values (T,) less the center, over the scale; NaN where nothing was observed.
        past: how many of the T entries are the past.
        center: (T,), in the units of the data; of its season, where there is one.
        scale: in the units of the data.
    """

    t: Tensor
    x: Tensor
    past: int
    center: Tensor
    scale: float


def cut(t: Tensor, x: Tensor, at: float, period: int = 1) -> Cut:
    """A series cut at a time: what is before it is the past, all else the future.

    Center and scale are made from the past alone, so that the past looks the same whatever comes
    after it: mean and standard deviation; with a period, the mean of each of its phases (of each
    calendar month), and the standard deviation about these.

    Args:
        t: times (T,), increasing.
        x: values (T,), NaN for what was not observed.
        at: the time of the cut, after the first and not after the last.
        period: of the season, in entries.

    Raises:
        TypeError: unless both are floating point.
        ValueError: for times that do not increase strictly or are not finite, values of another
            length, or infinite; a cut that leaves no past or no future; a period that is no
            positive integer, or a phase of it that the past does not hold; a past that is constant.

        >>> t, x = torch.arange(6.0), torch.tensor([1.0, 5.0, 3.0, 7.0, 1e6, 1e6])
        >>> series = cut(t, x, at=4.0, period=2)
        >>> series.past, series.center.tolist(), series.scale
        (4, [2.0, 6.0, 2.0, 6.0, 2.0, 6.0], 1.0)
    """
    t, rows = _check(0, t, x)
    if rows.shape[1] != 1:
        raise ValueError(f"x must be values ({len(t)},), got shape {tuple(x.shape)}")
    x = rows[:, 0]
    past = int((t < at).sum())
    if not 0 < past < len(t):
        raise ValueError(
            f"at must be after the first time, {float(t[0]):g}, and not after the last, "
            f"{float(t[-1]):g}, so that there are a past and a future, got {at}"
        )
    if not isinstance(period, int) or isinstance(period, bool) or period < 1:
        raise ValueError(f"period must be a positive integer, in entries, got {period!r}")
    phase = torch.arange(len(x)) % period
    means = [x[:past][phase[:past] == k].nanmean() for k in range(min(period, len(x)))]
    center = torch.stack(means)[phase % len(means)]
    if period > past or center.isnan().any():
        raise ValueError(
            f"the past, {past} entries, holds no observation of some of the {period} phases of the "
            "period; cut later, or give a shorter period"
        )
    around = (x - center)[:past]
    scale = float(around[~around.isnan()].square().mean().sqrt())
    if scale <= 8 * torch.finfo(x.dtype).eps * float(center.abs().max()):
        raise ValueError(
            "x is constant before the cut (about its season), so that it has no scale; cut later, "
            "or take the differences to the constant as they are"
        )
    return Cut(t, (x - center) / scale, past, center, scale)
