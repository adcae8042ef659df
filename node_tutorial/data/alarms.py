"""Alarms: a threshold from the number of false alarms that one can bear, and what alarms are worth.

A detector gives each point of a series a score; an alarm is a score above a threshold. Here:

    threshold_for       the threshold of a wanted number of false alarms, if scores are normal
    expected_alarms     the inverse: what a threshold promises
    quantile_threshold  the same from scores of the past, whatever their distribution
    tail_threshold      the same beyond the largest past score, by extreme-value theory
    cusum               sums that find a small lasting shift; `cusum_interval` is their promise
    runs                alarms that follow each other, as one
    judge, judge_events precision, recall and F1, point by point, or event by event
    point_adjust        a benchmark's usual favor, which lets coin tosses win (`coin_tosses`)
    precision_recall    for all thresholds at once; `average_precision` is its one number, and
                        `chance_precision` what scores by chance attain
    best_split          where the mean of a series changes most, in hindsight

The expected number of alarms is the number of points times the chance of one, also where scores
are correlated: correlation makes them clump, and makes the past a poor witness of their scale.
Heavy tails change how many there are.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import Tensor

TAIL = 0.1  # of the past scores, to which `tail_threshold` fits its law


class Verdict(NamedTuple):
    """Precision, recall, and F1, their harmonic mean; each 0 where it would be 0/0."""

    precision: float
    recall: float
    f1: float


class Curve(NamedTuple):
    """precision (K,) and recall (K,) of the alarms "score >= threshold", by thresholds (K,)."""

    precision: Tensor
    recall: Tensor
    thresholds: Tensor


def expected_alarms(threshold: float, n: float) -> float:
    """How many of n normal scores are beyond +- threshold in the mean: n erfc(threshold / sqrt 2).

    Args:
        threshold: in standard deviations, at least 0.
        n: the number of points.

    Raises:
        ValueError: for other numbers.

        >>> [round(expected_alarms(k, 2284), 4) for k in (2, 3, 4)]
        [103.9226, 6.1663, 0.1447]
    """
    if not threshold >= 0:
        raise ValueError(f"threshold must be at least 0, got {threshold}; it counts both sides")
    _check_positive("n", n)
    return n * math.erfc(threshold / math.sqrt(2))


def threshold_for(alarms: float, n: float) -> float:
    """The threshold in standard deviations at which `alarms` of n normal scores are beyond +- it.

    The chance of an alarm is alarms / n, half of it on each side.

    Raises:
        ValueError: unless 0 < alarms < n.

        >>> round(threshold_for(1, 52), 6)  # one false alarm in a year of weeks
        2.341027
    """
    _check_positive("n", n)
    if not 0 < alarms < n:
        raise ValueError(
            f"alarms must be above 0 and below n = {n}, got {alarms}; no finite threshold gives "
            "none, and one of 0 gives n"
        )
    return -NormalDist().inv_cdf(alarms / n / 2)


def quantile_threshold(past: Tensor, rate: float) -> Tensor:
    """The j-th largest of n past scores, j = rate (n + 1) rounded down.

    If the next score is independent of the past ones and distributed like them, the chance that it
    is larger is j / (n + 1) <= rate, whatever the distribution is. Given this past, the chance
    scatters: it is Beta(j, n + 1 - j), with a relative spread of about 1 / sqrt(j).

    Args:
        past: (..., n) scores without an anomaly.
        rate: of false alarms, a share of all points.

    Returns:
        (...), in the unit of the scores.

    Raises:
        ValueError: for a rate below 1 / (n + 1), of which n scores know nothing, or NaN.

    Source: order statistics; as a forecaster's rule, Vovk, Gammerman, Shafer 2005, "Algorithmic
    learning in a random world", section 2 (conformal prediction).

        >>> quantile_threshold(torch.arange(1.0, 20.0), 0.1)  # the second largest of 19
        tensor(18.)
    """
    past = _scores("past", past)
    _check_rate("rate", rate)
    n = past.shape[-1]
    j = math.floor(rate * (n + 1) + 1e-9)
    if j < 1:
        raise ValueError(
            f"rate must be at least {1 / (n + 1):.3g}, for {n} past scores have never met what is "
            f"rarer, got {rate:.3g}; give a longer past, or use tail_threshold"
        )
    return past.sort(-1, descending=True).values[..., j - 1]


def tail_threshold(past: Tensor, rate: float) -> Tensor:
    """The score that is exceeded at this rate, by a generalized Pareto tail fitted to the past.

    What a share TAIL of the scores have above u, the largest of the others, is taken to be
    distributed like P(excess > x) = (1 + shape x / scale)^(-1 / shape), the limit law of peaks over
    a high threshold. Scale and shape are found by probability-weighted moments: with a0 the mean of
    the excesses and a1 that of x (1 - F(x)), shape = 2 - a0 / (a0 - 2 a1) and
    scale = 2 a0 a1 / (a0 - 2 a1); good for shapes below 1/2.

    Args:
        past: (..., n) scores without an anomaly.
        rate: of false alarms, a share of all points, at most TAIL.

    Returns:
        (...), in the unit of the scores.

    Raises:
        ValueError: for other rates, a past of fewer than 95 scores, a tail whose scores are all
            equal, or NaN.

    Source: Hosking, Wallis 1987, "Parameter and quantile estimation for the generalized Pareto
    distribution"; for alarms Siffer et al. 2017, "Anomaly detection in streams with extreme value
    theory".

        >>> uniform = torch.linspace(0, 1, 1001, dtype=torch.float64)
        >>> round(float(tail_threshold(uniform, 0.01)), 2)
        0.99
    """
    past = _scores("past", past)
    _check_rate("rate", rate)
    n = past.shape[-1]
    m = round(TAIL * n)
    if m < 10:
        raise ValueError(
            f"past must leave 10 or more scores to the tail, got {n} scores, of which the tail has "
            f"{m}; give a longer past"
        )
    if rate > m / n:
        raise ValueError(
            f"rate must be at most {m / n:.3g}, the share of the tail, got {rate:.3g}; use "
            "quantile_threshold"
        )
    largest = past.sort(-1).values[..., n - m - 1 :]
    u = largest[..., :1]
    excess = largest[..., 1:] - u
    if (excess[..., -1] <= 0).any():
        raise ValueError(
            f"past has a constant tail, its {m + 1} largest scores are equal; count its values, "
            "or use quantile_threshold"
        )
    above = torch.arange(m - 1, -1, -1, dtype=past.dtype) / (m - 1)  # 1 - F, unbiased
    a0 = excess.mean(-1)
    a1 = (excess * above).mean(-1)
    shape = 2 - a0 / (a0 - 2 * a1)
    scale = 2 * a0 * a1 / (a0 - 2 * a1)
    rarer = math.log(m / n / rate)  # (e^(shape rarer) - 1) / shape, and its limit for shape 0
    bent = torch.where(shape.abs() < 1e-8, rarer, (shape * rarer).expm1() / shape)
    return u[..., 0] + scale * bent


def cusum(z: Tensor, slack: float = 0.5) -> Tensor:
    """Page's sums (2, n), for a shift up and one down: S_t = max(0, S_(t-1) + (+-z_t) - slack).

    They use the past only. A lasting shift of more than `slack` makes one of them grow; an alarm
    is a sum above a threshold (`cusum_threshold`).

    Args:
        z: (n,) scores with mean 0 and standard deviation 1 as long as nothing happens.
        slack: half of the shift that is looked for, in standard deviations.

    Raises:
        ValueError: for z of another shape or with NaN, or a slack below 0.

    Source: Page 1954, "Continuous inspection schemes".

        >>> cusum(torch.tensor([0.0, 2.0, 2.0, -3.0]))[0].tolist()
        [0.0, 1.5, 3.0, 0.0]
    """
    z = _scores("z", z, dim=1)
    if not slack >= 0:
        raise ValueError(f"slack must be at least 0, got {slack}; it is a size")
    walk = (torch.stack([z, -z]) - slack).cumsum(1)
    return walk - walk.cummin(1).values.clamp(max=0)


def cusum_interval(threshold: float, slack: float = 0.5) -> float:
    """Points between two false alarms of `cusum`, in the mean, for independent N(0, 1) scores.

    For one sum (e^(2 k b) - 2 k b - 1) / (2 k^2), with k the slack and b = threshold + 1.166; half
    of it for two. Within 3 % for slack 1/2 and thresholds from 3.

    Raises:
        ValueError: unless threshold and slack are positive.

    Source: Siegmund 1985, "Sequential analysis", section II.6; by exact computation 168 and 465
    for thresholds 4 and 5 (Montgomery, "Introduction to statistical quality control").

        >>> [round(cusum_interval(h)) for h in (4, 5)]
        [169, 469]
    """
    _check_positive("threshold", threshold)
    _check_positive("slack", slack)
    x = 2 * slack * (threshold + 1.166)
    return (math.expm1(x) - x) / (4 * slack**2)


def cusum_threshold(interval: float, slack: float = 0.5) -> float:
    """The threshold of `cusum` with this mean number of points between two false alarms.

    Raises:
        ValueError: for an interval that no threshold from 1e-6 to 100 / slack has.

        >>> round(cusum_threshold(cusum_interval(4.0)), 6)
        4.0
    """
    from scipy.optimize import brentq

    _check_positive("slack", slack)
    low, high = 1e-6, 100 / slack
    if not cusum_interval(low, slack) < interval < cusum_interval(high, slack):
        raise ValueError(
            f"interval must be above {cusum_interval(low, slack):.3g}, that of a threshold of 0, "
            f"and below {cusum_interval(high, slack):.3g}, got {interval:g}; it counts points"
        )
    return brentq(lambda h: cusum_interval(h, slack) - interval, low, high)


def runs(flags: Tensor) -> Tensor:
    """The first and the last place (R, 2) of each run of alarms that follow each other.

    Args:
        flags: (n,) True where there is an alarm.

    Raises:
        TypeError: unless flags are booleans.
        ValueError: for another shape.

        >>> runs(torch.tensor([True, False, True, True])).tolist()
        [[0, 0], [2, 3]]
    """
    flags = _flags("flags", flags)
    padded = torch.cat([flags.new_zeros(1), flags, flags.new_zeros(1)]).int().diff()
    first = (padded == 1).nonzero()[:, 0]
    last = (padded == -1).nonzero()[:, 0] - 1
    return torch.stack([first, last], 1)


def judge(flags: Tensor, truth: Tensor) -> Verdict:
    """Precision and recall, point by point.

    Args:
        flags: (n,) True where there is an alarm.
        truth: (n,) True where there is an anomaly.

    Raises:
        TypeError: unless both are booleans.
        ValueError: for unequal lengths.

        >>> judge(torch.tensor([True, True, False]), torch.tensor([True, False, False]))
        Verdict(precision=0.5, recall=1.0, f1=0.6666666666666666)
    """
    flags, truth = _pair(flags, truth)
    hits = int((flags & truth).sum())
    return _verdict(_share(hits, int(flags.sum())), _share(hits, int(truth.sum())))


def judge_events(flags: Tensor, truth: Tensor) -> Verdict:
    """Precision and recall, event by event.

    Recall is the share of the anomalies (runs of truth) with an alarm in them; precision the share
    of the runs of alarms that touch an anomaly, so that each false alarm counts. It has its fool,
    too: an alarm that never stops is one run that touches all anomalies, and is perfect. So report
    the share of the time in alarm beside it.

    Args and errors: as for `judge`.

        >>> flags = torch.tensor([True, False, False, True, False])
        >>> truth = torch.tensor([False, False, True, True, True])
        >>> judge_events(flags, truth)
        Verdict(precision=0.5, recall=1.0, f1=0.6666666666666666)
    """
    flags, truth = _pair(flags, truth)
    return _verdict(_touched(runs(flags), truth), _touched(runs(truth), flags))


def point_adjust(flags: Tensor, truth: Tensor) -> Tensor:
    """The flags (n,), with each anomaly that has an alarm in it flagged from end to end.

    Many benchmarks do so before they count. It favors chance: see `coin_tosses`.

    Args and errors: as for `judge`.

    Source: Xu et al. 2018, "Unsupervised anomaly detection via variational auto-encoder for
    seasonal KPIs"; the objection is that of Kim et al. 2022, "Towards a rigorous evaluation of
    time-series anomaly detection", AAAI.

        >>> flags, truth = torch.tensor([1, 0, 0, 1, 0]) > 0, torch.tensor([0, 0, 1, 1, 1]) > 0
        >>> point_adjust(flags, truth).int().tolist()
        [1, 0, 1, 1, 1]
    """
    flags, truth = _pair(flags, truth)
    adjusted = flags.clone()
    for first, last in runs(truth).tolist():
        if flags[first : last + 1].any():
            adjusted[first : last + 1] = True
    return adjusted


def coin_tosses(rate: float, share: float, segment: int, adjusted: bool = True) -> Verdict:
    """What alarms by chance attain in a long series: each point is one with probability `rate`.

    An anomaly of L points has an alarm in it with probability 1 - (1 - rate)^L. That is the recall
    after point adjustment; else it is the rate. Precision is s R / (s R + (1 - s) rate), with s the
    share of anomalous points and R the recall.

    Args:
        rate: of alarms.
        share: of all points that are in anomalies.
        segment: the number of points L of each anomaly.
        adjusted: whether `point_adjust` is applied.

    Raises:
        ValueError: unless rate and share are between 0 and 1, and segment at least 1.

        >>> [round(coin_tosses(0.01, 0.05, 250, adjusted).f1, 4) for adjusted in (True, False)]
        [0.8715, 0.0167]
    """
    _check_rate("rate", rate)
    _check_rate("share", share)
    if segment != int(segment) or segment < 1:
        raise ValueError(f"segment must be a number of points, 1 or more, got {segment}")
    recall = -math.expm1(segment * math.log1p(-rate)) if adjusted else rate
    return _verdict(share * recall / (share * recall + (1 - share) * rate), recall)


def precision_recall(scores: Tensor, truth: Tensor) -> Curve:
    """Precision and recall at every threshold that changes the alarms, from the highest down.

    Args:
        scores: (n,) the higher, the more anomalous.
        truth: (n,) True where there is an anomaly; somewhere at least.

    Raises:
        TypeError: unless truth are booleans.
        ValueError: for unequal lengths, NaN, or no anomaly.
    """
    scores = _scores("scores", scores, dim=1)
    truth = _flags("truth", truth)
    if len(scores) != len(truth):
        raise ValueError(
            f"scores and truth must have one length, got {len(scores)} and {len(truth)}"
        )
    if not truth.any():
        raise ValueError("truth has no anomaly, so that there is no recall; plant one")
    order = scores.argsort(descending=True)
    sorted_scores = scores[order]
    hits = truth[order].cumsum(0)
    change = torch.cat([sorted_scores.diff() != 0, truth.new_ones(1)])  # the last of equal scores
    flagged = change.nonzero()[:, 0] + 1
    precision = hits[change] / flagged
    return Curve(precision, hits[change] / truth.sum(), sorted_scores[change])


def average_precision(scores: Tensor, truth: Tensor) -> float:
    """The area under precision over recall, in steps: the sum of precision times gain of recall.

    It is 1 if all anomalies have higher scores than the rest, and the share of the anomalies if
    the scores are all equal. Chance is a little above that share: see `chance_precision`.

    Args and errors: as for `precision_recall`.

        >>> average_precision(torch.tensor([3.0, 2.0, 1.0]), torch.tensor([True, False, True]))
        0.8333...
    """
    curve = precision_recall(scores, truth)
    gain = curve.recall.double().diff(prepend=curve.recall.new_zeros(1))
    return float((curve.precision.double() * gain).sum())


def chance_precision(anomalies: int, n: int) -> float:
    """The mean `average_precision` of random scores, m anomalies among n points:

        (H_n + (m - 1) / (n - 1) (n - H_n)) / n,     H_n = 1 + 1/2 + .. + 1/n

    The k-th point from the top is an anomaly with chance m / n, and each of the k - 1 above it then
    with chance (m - 1) / (n - 1).

    Raises:
        ValueError: unless there are 1 to n anomalies, and 2 points or more.

        >>> round(chance_precision(25, 250), 3)
        0.118
    """
    if not 1 <= anomalies <= n or n < 2:
        raise ValueError(f"anomalies must be 1 to n, and n 2 or more, got {anomalies} and {n}")
    harmonic = sum(1 / k for k in range(1, n + 1))
    return (harmonic + (anomalies - 1) / (n - 1) * (n - harmonic)) / n


def best_split(x: Tensor) -> int:
    """The index i at which x[:i] and x[i:], each by its own mean, have the least squared error.

    In hindsight: it looks at all of x.

    Args:
        x: (n,), two values or more, not all equal.

    Raises:
        ValueError: for other shapes, NaN, or a constant series, which has no best place.

        >>> best_split(torch.tensor([1.0, 1.1, 0.9, 3.0, 3.1]))
        3
    """
    x = _scores("x", x, dim=1).double()
    if len(x) < 2 or bool((x == x[0]).all()):
        raise ValueError("x must have two values that differ; a constant series has no best split")
    i = torch.arange(1, len(x))
    left = (x - x.mean()).cumsum(0)[:-1]  # with mean 0, the right part has minus that sum
    return int((left.square() * (1 / i + 1 / (len(x) - i))).argmax()) + 1


# -- arguments -------------------------------------------------------------------------------------


def _verdict(precision: float, recall: float) -> Verdict:
    both = precision + recall
    return Verdict(precision, recall, 2 * precision * recall / both if both else 0.0)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _touched(places: Tensor, flags: Tensor) -> float:
    """The share of the runs with a flag in them."""
    hits = [bool(flags[first : last + 1].any()) for first, last in places.tolist()]
    return _share(sum(hits), len(hits))


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be a positive number, got {value}")


def _check_rate(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(
            f"{name} must be a share between 0 and 1, got {value}; divide a count by the number "
            "of points"
        )


def _scores(name: str, x: Tensor, dim: int | None = None) -> Tensor:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        got = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(
            f"{name} must be a tensor of floating point, got {got}; use torch.as_tensor(..)"
        )
    if x.dim() == 0 or x.shape[-1] == 0 or dim not in (None, x.dim()):
        raise ValueError(f"{name} must be a series (n,), got shape {tuple(x.shape)}")
    if x.isnan().any():
        raise ValueError(
            f"{name} must not be NaN, got {int(x.isnan().sum())}; a missing value has no score: "
            "leave it out, and count it by itself"
        )
    return x


def _flags(name: str, x: Tensor) -> Tensor:
    if not isinstance(x, Tensor) or x.dtype != torch.bool:
        got = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"{name} must be a tensor of booleans, got {got}; use scores > threshold")
    if x.dim() != 1:
        raise ValueError(f"{name} must be (n,), one per point, got shape {tuple(x.shape)}")
    return x


def _pair(flags: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    flags = _flags("flags", flags)
    truth = _flags("truth", truth)
    if len(flags) != len(truth):
        raise ValueError(f"flags and truth must have one length, got {len(flags)} and {len(truth)}")
    return flags, truth
