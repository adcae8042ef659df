# mypy: allow-untyped-defs
"""Exercises 23.1 and 23.3 of lesson 23, on alarms."""

import math
from collections.abc import Callable
from statistics import NormalDist

from ...course.answers import function
from ...course.exercises import Exercise, Mistake, register


def threshold(points, alarms):
    # alarms / points is the chance of an alarm at one point; half of it is on each side.
    return NormalDist().inv_cdf(1 - alarms / points / 2)


def _at_chance(chance: Callable[[float, float], float]) -> Callable[[float, float], float]:
    """A wrong answer: the quantile above which `chance(points, alarms)` lies."""
    return lambda points, alarms: NormalDist().inv_cdf(1 - chance(points, alarms))


register(
    Exercise(
        "23.1",
        "One false alarm a year",
        kind=function((52.0, 1.0), (52.0, 4.0), (365.0, 1.0), (12.0, 0.5), (8760.0, 2.0)),
        solution=threshold,
        mistakes=[
            Mistake(
                "one side only",
                _at_chance(lambda points, alarms: alarms / points),
                "Your alarms come from above alone, and as many again from below: twice too many.",
            ),
            Mistake(
                "doubled instead of halved",
                lambda points, alarms: NormalDist().inv_cdf(min(1 - 2 * alarms / points, 0.999999)),
                "Two sides share the alarms. Does each side get twice the chance, or half of it?",
            ),
            Mistake(
                "sign lost",
                lambda points, alarms: NormalDist().inv_cdf(alarms / points / 2),
                "The size is right. That is the threshold on the lower side, with its sign.",
            ),
            Mistake(
                "root of two left out",
                lambda points, alarms: threshold(points, alarms) / 2**0.5,
                "Too small by one factor for all points. erf and erfc count in which unit: "
                "P(|z| > k) = erfc(of what)?",
            ),
            Mistake(
                "chance of none",
                _at_chance(lambda points, alarms: -math.expm1(-alarms / points) / 2),
                "Very near. Yours makes the chance of *no* alarm e^-alarms; the mean number is "
                "asked for, and it is a plain sum of chances.",
            ),
            Mistake(
                "quiet all year",
                _at_chance(lambda points, alarms: -math.expm1(math.log(0.5) / points) / 2),
                "With yours half of the years have no alarm at all. The mean number is asked for.",
            ),
            Mistake(
                "alarms forgotten",
                _at_chance(lambda points, alarms: 0.5 / points),
                "That is right for one alarm, and it does not change with `alarms`.",
            ),
        ],
        hints=[
            "Of `points` numbers, each is beyond the threshold with the same chance p. How many "
            "are, in the mean?",
            "p = alarms / points. It lies on two sides, |z| > k: how much on each?",
            "`statistics.NormalDist().inv_cdf(q)` is the k with P(z < k) = q.",
        ],
        otherwise="Check it: `expected_alarms(k, points)` must give `alarms` back.",
        meaning=(
            "The mean adds up chances, so that it holds for correlated scores, too, if they are "
            "normal and their standard deviation is known. Both ifs fail in practice: see the "
            "figure that follows."
        ),
    )
)


def adjusted_f1(rate, share, segment):
    recall = 1 - (1 - rate) ** segment  # a segment counts as found by one lucky toss
    hits = share * recall  # per point of the series, as are the false alarms:
    false = (1 - share) * rate
    precision = hits / (hits + false)
    return 2 * precision * recall / (precision + recall)


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall)


def _found(rate: float, segment: float) -> float:
    return 1 - (1 - rate) ** segment


def _precision(found: float, rate: float, share: float) -> float:
    return share * found / (share * found + (1 - share) * rate)


register(
    Exercise(
        "23.3",
        "The F1 of coin tosses",
        kind=function((0.01, 0.05, 250), (0.01, 0.05, 10), (0.03, 0.2, 40), (0.002, 0.1, 500)),
        solution=adjusted_f1,
        mistakes=[
            Mistake(
                "not adjusted",
                lambda rate, share, segment: _f1(share, rate),
                "That is the F1 without the adjustment. The length of a segment does not appear.",
            ),
            Mistake(
                "precision not adjusted",
                lambda rate, share, segment: _f1(share, _found(rate, segment)),
                "The recall is right. The adjustment adds alarms inside of anomalies, "
                "and they count for the precision, too.",
            ),
            Mistake(
                "recall not adjusted",
                lambda rate, share, segment: _f1(
                    _precision(_found(rate, segment), rate, share), rate
                ),
                "The precision is right. Which share of the anomalous points is flagged afterward?",
            ),
            Mistake(
                "chances added",
                lambda rate, share, segment: _f1(
                    _precision(min(1.0, rate * segment), rate, share), min(1.0, rate * segment)
                ),
                "Several tosses may fall into one segment. What is the chance that none does?",
            ),
            Mistake(
                "arithmetic mean",
                lambda rate, share, segment: (
                    (_precision(_found(rate, segment), rate, share) + _found(rate, segment)) / 2
                ),
                "Precision and recall are right. F1 is their harmonic mean.",
            ),
            Mistake(
                "recall for F1",
                lambda rate, share, segment: _found(rate, segment),
                "That is the recall. F1 asks for the precision, too.",
            ),
            Mistake(
                "precision for F1",
                lambda rate, share, segment: _precision(_found(rate, segment), rate, share),
                "That is the precision. F1 asks for the recall, too.",
            ),
            Mistake(
                "segments missed",
                lambda rate, share, segment: _f1(
                    _precision(1 - _found(rate, segment), rate, share), 1 - _found(rate, segment)
                ),
                "(1 - rate)^segment is the chance that a segment is missed.",
            ),
            Mistake(
                "all points normal",
                lambda rate, share, segment: _f1(
                    share * _found(rate, segment) / (share * _found(rate, segment) + rate),
                    _found(rate, segment),
                ),
                "Nearly. Your false alarms are those of all points; only the normal ones, "
                "1 - share of them, can have one.",
            ),
        ],
        hints=[
            "A segment is found if at least one of its points has an alarm. How likely is it that "
            "none has?",
            "Recall: the share of the segments that are found, for all of their points are flagged "
            "then. False alarms: (1 - share) * rate, per point of the series.",
            "Hits: share * recall, per point of the series. Precision is hits over all flags.",
        ],
        otherwise="Compare it with the tosses above, and with segment = 1, which adjusts nothing.",
        meaning=(
            "Long segments are found by chance: as they grow, recall tends to 1, and only the "
            "false alarms between them cost anything. Count events (`judge_events`), and put "
            "coin tosses into every table of a benchmark."
        ),
    )
)
