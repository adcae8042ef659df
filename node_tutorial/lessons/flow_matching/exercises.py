"""Exercises of lesson 17."""

import math
from collections.abc import Callable

import torch

from ...course.answers import Behavior, array, function
from ...course.exercises import Exercise, Mistake, register

RTOL = 1e-4  # of answers that are functions


def _most_wrong(
    names: str, solution: Callable, say: Callable[[str, bool], str]
) -> Callable[[Behavior], str | None]:
    """A check that says for which arguments an answer is most wrong, and what it is there.

    say(what, near): what, a sentence; near: whether no value is off by more than 2 %.
    """

    def check(answer: Behavior) -> str | None:
        worst, where, there = 0.0, answer.probes[0], 0.0
        for args, value in zip(answer.probes, answer.run()):
            right = float(solution(*args))
            off = abs(value - right) / max(abs(right), 0.05)
            if not off <= worst:  # also nan
                worst, where, there = off, args, value
        if worst <= RTOL:
            return None
        given = ", ".join(f"{name} = {x:g}" for name, x in zip(names.split(), where))
        return say(f"For {given} your function gives {there:.6g}.", worst < 0.02)

    return check


_PLACES = [(0.6, 2.0, 3.0, 0.5), (0.3, 1.0, 3.0, 0.5), (0.5, -0.7, 1.0, 2.0), (0.0, 0.4, 2.0, 0.3)]


def velocity(t, x, m, s):
    V = (1 - t) ** 2 + t**2 * s**2  # variance of x_t; its mean is t m
    return m + (t * s**2 - (1 - t)) * (x - t * m) / V


register(
    Exercise(
        "17.1",
        "The mean velocity",
        kind=function(*_PLACES),
        solution=velocity,
        mistakes=[
            Mistake(
                "mean of x1 - x0",
                lambda t, x, m, s: m,
                "That is the mean of x1 - x0 over all pairs. "
                "Asked is the mean over those pairs that pass through x at time t.",
            ),
            Mistake(
                "to the mean of the data",
                lambda t, x, m, s: m - x,
                "You go from x to the mean of the data, in a unit of time. "
                "But t has passed already, and x says more about x1 than its mean.",
            ),
            Mistake(
                "conditional velocity",
                lambda t, x, m, s: (m - x) / (1 - t),
                "(x1 - x) / (1 - t) is the velocity toward one known x1. Here x1 is not known: "
                "put E[x1 | x_t = x] in its place, and that is not m.",
            ),
            Mistake(
                "s for its square",
                lambda t, x, m, s: m + (t * s - (1 - t)) * (x - t * m) / ((1 - t) ** 2 + t**2 * s),
                "You used s where the variance of x1 belongs.",
            ),
            Mistake(
                "sign of x0",
                lambda t, x, m, s: (
                    m + (t * s**2 + (1 - t)) * (x - t * m) / ((1 - t) ** 2 + t**2 * s**2)
                ),
                "The covariance of x1 - x0 with x_t has a part from x1 and a part from x0. "
                "Which of the two is negative?",
            ),
            Mistake(
                "mean of x_t forgotten",
                lambda t, x, m, s: m + (t * s**2 - (1 - t)) * x / ((1 - t) ** 2 + t**2 * s**2),
                "Regress on x minus the mean of x_t. That mean is not 0.",
            ),
            Mistake(
                "variance forgotten",
                lambda t, x, m, s: m + (t * s**2 - (1 - t)) * (x - t * m),
                "That is the covariance times the distance. What is it divided by?",
            ),
            Mistake(
                "mean velocity forgotten",
                lambda t, x, m, s: velocity(t, x, m, s) - m,
                "That is what x adds to the mean of x1 - x0 over all pairs. That mean is not 0.",
            ),
            Mistake(
                "time reversed",
                lambda t, x, m, s: velocity(1 - t, x, m, s),
                "You exchanged t and 1 - t. Here t = 0 is noise: there u = E[x1] - x.",
            ),
            Mistake(
                "mean of the data, given x",
                lambda t, x, m, s: x + (1 - t) * velocity(t, x, m, s),
                "That is E[x1 | x_t = x], where the pair ends. Asked is E[x1 - x0 | x_t = x].",
            ),
            Mistake(
                "standard deviations added",
                lambda t, x, m, s: m + (t * s**2 - (1 - t)) * (x - t * m) / (1 - t + t * s) ** 2,
                "Of independent numbers the variances add, not the standard deviations.",
            ),
            Mistake(
                "best pairs",
                lambda t, x, m, s: m + (s - 1) * (x - t * m) / (1 - t + t * s),
                "That is the field of the best pairs, x1 = m + s x0. Here they are independent.",
            ),
            Mistake(
                "minus the slope",
                lambda t, x, m, s: 2 * m - velocity(t, x, m, s),
                "The sign of the slope is reversed. At t = 0, u = E[x1] - x falls with x.",
            ),
        ],
        hints=[
            "v = x1 - x0 and x_t = (1 - t) x0 + t x1 are jointly Gaussian: "
            "E[v | x_t = x] = E v + Cov(v, x_t) / Var(x_t) (x - E x_t).",
            "E v = m, E x_t = t m, Var(x_t) = (1 - t)**2 + t**2 s**2.",
            "Cov(x1 - x0, (1 - t) x0 + t x1) = t Var(x1) - (1 - t) Var(x0).",
        ],
        check=_most_wrong(
            "t x m s",
            velocity,
            lambda what, near: (
                f"{what} Compare with the mean over pairs whose x_t is near x, as in the cell "
                "above."
            ),
        ),
        meaning=(
            "With m = 0, s = 1 the velocity changes its sign at t = 1/2: inward, then outward. "
            "Independent lines come close to each other on the way."
        ),
    )
)


def floor(m, s, d):
    # Var(x1 - x0 | x_t) = s**2 / ((1 - t)**2 + t**2 s**2) in each dimension; its mean over t:
    return d * math.pi * s / 2


register(
    Exercise(
        "17.2",
        "The least loss",
        kind=function((3.0, 0.5, 1), (0.0, 1.0, 2), (1.0, 2.0, 64)),
        solution=floor,
        mistakes=[
            Mistake(
                "zero",
                lambda m, s, d: 0.0,
                "Zero it would be if the net could tell from x and t which pair it is. "
                "But many pairs pass through x.",
            ),
            Mistake(
                "mean forgotten",
                lambda m, s, d: d * (1 + s**2),
                "That is the variance of x1 - x0 for a net that is given nothing. "
                "It is given x_t, and that says something.",
            ),
            Mistake(
                "mean square",
                lambda m, s, d: d * (1 + s**2 + m**2),
                "That is E |x1 - x0|^2, the loss of a net that answers 0. "
                "How much of it is E |u|^2?",
            ),
            Mistake(
                "optimal transport",
                lambda m, s, d: d * (m**2 + (1 - s) ** 2),
                "That is the cost of the best pairs. The question is what the mean cannot explain.",
            ),
            Mistake(
                "variance of the data",
                lambda m, s, d: d * s**2,
                "That is the variance of the data. "
                "Noise varies too, and x_t tells a part of both; integrate over t.",
            ),
            Mistake(
                "one dimension",
                lambda m, s, d: math.pi * s / 2,
                "Right for one dimension. The loss sums over all of them.",
            ),
            Mistake(
                "square of the dimensions",
                lambda m, s, d: d**2 * math.pi * s / 2,
                "Right for one dimension. In d of them d variances are added, each the same.",
            ),
            Mistake(
                "root of the dimensions",
                lambda m, s, d: d**0.5 * math.pi * s / 2,
                "Right for one dimension. Of d dimensions the variances are added, not the roots.",
            ),
            Mistake(
                "energy of the flow",
                lambda m, s, d: d * (1 + s**2 + m**2 - math.pi * s / 2),
                "That is E |u|^2, the other part of E |x1 - x0|^2.",
            ),
            Mistake(
                "not the spread of the data",
                lambda m, s, d: d * math.pi / 4,
                "Right for s = 0.5. How does it depend on the spread of the data?",
            ),
        ],
        hints=[
            "The loss is least for u, and what is left is the mean of Var(x1 - x0 | x_t).",
            "For Gaussians Var(v | x) = Var v - Cov(v, x)**2 / Var x, the same for every x.",
            "It comes to s**2 / ((1 - t)**2 + t**2 s**2) in each dimension; integrate over t from "
            "0 to 1, by a formula or numerically.",
        ],
        check=_most_wrong(
            "m s d",
            floor,
            lambda what, near: (
                f"{what} That is near, but not near enough: integrate by more times, or by a "
                "formula."
                if near
                else f"{what} The mean over t of Var(x1 - x0 | x_t) is another number; "
                "compute it by a formula or an integral, then compare with `loss_floor`."
            ),
        ),
        meaning=(
            "It does not depend on m, and grows with s and d. For 64 independent pixels of unit "
            "variance it is about 100: a loss of that size can be perfect. What is above the floor "
            "is error."
        ),
    )
)


def std_after(n, s):
    std = 1.0
    for k in range(n):
        t = k / n
        V = (1 - t) ** 2 + t**2 * s**2
        std = std * (1 + (t * s**2 - (1 - t)) / V / n)
    return abs(std)


def _factor(t: float, s: float, step: float) -> float:
    """By how much a step of Euler, taken at t, multiplies the spread."""
    V = (1 - t) ** 2 + t**2 * s**2
    return 1 + (t * s**2 - (1 - t)) / V * step


def _std_at(n: int, s: float, shift: float, share: float | None = None) -> float:
    """The same with the velocity at other times of the steps, and another step."""
    step = 1 / n if share is None else share
    return abs(math.prod(_factor((k + shift) / n, s, step) for k in range(n)))


def _std_by_s(n: int, s: float) -> float:
    """The same with s in the place of its square."""
    times = [k / n for k in range(n)]
    return abs(math.prod(1 + (t * s - (1 - t)) / ((1 - t) ** 2 + t**2 * s) / n for t in times))


register(
    Exercise(
        "17.3",
        "Spread after N steps",
        kind=function((1, 0.5), (2, 0.5), (3, 0.5), (10, 0.5), (4, 2.0)),
        solution=std_after,
        mistakes=[
            Mistake(
                "exact",
                lambda n, s: s,
                "That is where the exact flow ends. Euler's method does not, with any n: "
                "look at n = 1.",
            ),
            Mistake(
                "end of the step",
                lambda n, s: _std_at(n, s, 1.0),
                "Euler takes the velocity at the start of each step; you took it at the end.",
            ),
            Mistake(
                "middle of the step",
                lambda n, s: _std_at(n, s, 0.5),
                "Euler takes the velocity at the start of each step; you took it in the middle.",
            ),
            Mistake(
                "step forgotten",
                lambda n, s: _std_at(n, s, 0.0, 1.0),
                "0 is right for n = 1 only. The slope is multiplied by the step, 1 / n: the first "
                "of several steps leaves some spread.",
            ),
            Mistake(
                "s for its square",
                _std_by_s,
                "You used s where the variance of x1 belongs.",
            ),
            Mistake(
                "factors added",
                lambda n, s: abs(1 + sum(_factor(k / n, s, 1 / n) - 1 for k in range(n))),
                "You added what each step changes of the first spread. A step changes the spread "
                "that is there: multiply the factors.",
            ),
            Mistake(
                "share of the steps",
                lambda n, s: s * (1 - 1 / n),
                "Right for n = 1 only. The field changes with t: follow the steps.",
            ),
            Mistake(
                "last step at t = 1",
                lambda n, s: math.prod(_factor(k / max(n - 1, 1), s, 1 / n) for k in range(n)),
                "Your last step takes the slope at t = 1. The last of n steps starts at 1 - 1 / n.",
            ),
            Mistake(
                "variance",
                lambda n, s: std_after(n, s) ** 2,
                "That is the variance. Asked is the standard deviation.",
            ),
            Mistake(
                "spread of the path",
                lambda n, s: math.sqrt((1 / n) ** 2 + (1 - 1 / n) ** 2 * s**2),
                "That is the spread of x_t one step before the end. Follow the steps: each one "
                "multiplies the spread by a number.",
            ),
        ],
        hints=[
            "The field is affine in x. So one step maps Gaussians to Gaussians; what does it do to "
            "the distance of two points?",
            "Two points a distance d apart have velocities that differ by "
            "(t s**2 - (1 - t)) / V times d.",
            "Each step multiplies the spread by 1 + (t s**2 - (1 - t)) / (n V), "
            "with t = 0, 1/n, ..., (n - 1)/n.",
        ],
        check=_most_wrong(
            "n s",
            std_after,
            lambda what, near: (
                f"{what} That is near: did you move points? Asked is the exact number, by the "
                "factor of each step."
                if near
                else f"{what} That is another spread. For n = 2 there are two factors, at "
                "t = 0 and t = 1/2."
            ),
        ),
        meaning=(
            "One step: 0, all noise lands on the mean of the data. The error falls like 1/n, as "
            "Euler's must. It has nothing to do with learning."
        ),
    )
)


def spreads():
    ends = torch.zeros(3, 2, dtype=torch.float64)
    ends[0, 0] = 0.0  # independent: u(0, x) = 3 - x, everything lands on 3
    ends[0, 1] = std_after(3, 0.5)
    ends[1, :] = 0.5  # by rank: lines that do not cross, x_t always says which one
    ends[2, 0] = 0.5  # reversed: at t = 0 the noise still says which line it is
    ends[2, 1] = 0.0  # at t = 2/3 all lines meet in x = 2; from there all go on with the mean, 3
    return ends


def _but(row: int, *values: float) -> Callable[[], torch.Tensor]:
    """The solution with another row."""

    def wrong() -> torch.Tensor:
        ends = spreads()
        ends[row] = torch.tensor(values, dtype=torch.float64)
        return ends

    return wrong


register(
    Exercise(
        "17.4",
        "Which pairs does one step get right?",
        kind=array((3, 2), "three rows of two numbers: after 1 and after 3 steps"),
        solution=spreads,
        rtol=0.0,
        atol=5e-3,
        mistakes=[
            Mistake(
                "four steps",
                _but(0, 0.0, std_after(4, 0.5)),
                "Independent pairs: that is the spread after four steps. Asked is three.",
            ),
            Mistake(
                "exact after three steps",
                _but(0, 0.0, 0.5),
                "Independent pairs, three steps: Euler's error is still there. Exercise 17.3 has "
                "the factors.",
            ),
            Mistake(
                "signed",
                _but(2, -0.5, 0.0),
                "A standard deviation is not negative, though reversed pairs turn the order over.",
            ),
            Mistake(
                "variances",
                lambda: spreads() ** 2,
                "These are variances. Asked are standard deviations.",
            ),
            Mistake(
                "reversed pairs fail in one step",
                _but(2, 0.0, 0.0),
                "Reversed pairs: one step asks for the velocity at t = 0 only. "
                "Do the lines cross there? Does x0 say which x1 belongs to it?",
            ),
            Mistake(
                "reversed pairs always right",
                _but(2, 0.5, 0.5),
                "Reversed pairs, three steps: compute x_t at t = 2/3 for two of the pairs.",
            ),
            Mistake(
                "reversed pairs as independent",
                _but(2, 0.0, std_after(3, 0.5)),
                "You treat the reversed pairs as independent ones. "
                "In them x0 decides x1; the velocity at t = 0 is not a mean of many.",
            ),
            Mistake(
                "reversed pairs have a flow",
                lambda: torch.full((3, 2), 0.5, dtype=torch.float64),
                "That is the spread of the data, which an exact flow ends with. "
                "Follow Euler's steps instead; for independent pairs see exercise 17.3.",
            ),
            Mistake(
                "independent pairs right in one step",
                _but(0, 0.5, std_after(3, 0.5)),
                "Independent pairs, one step: the velocity at t = 0 is the mean of x1 - x0 for "
                "this x0. Where does that lead?",
            ),
            Mistake(
                "independent pairs stay on the mean",
                _but(0, 0.0, 0.0),
                "Independent pairs, three steps: after the first step there is some spread left. "
                "Exercise 17.3 has the factors.",
            ),
        ],
        hints=[
            "One Euler step is x0 + u(0, x0), and u(0, x0) = E[x1 | x0] - x0.",
            "By rank: x_t = (1 - t) x0 + t (3 + x0/2) grows with x0 at every t: x_t tells x0.",
            "Reversed: x_t = 3 t + (1 - 3 t/2) x0. At which t does it not depend on x0? "
            "Three steps use the velocity at t = 0, 1/3 and 2/3.",
        ],
        otherwise="Check one row at a time, the first by exercise 17.3. Take two noises, "
        "x0 = -1 and 1, and follow the three couplings step by step; half their distance is the "
        "spread. Two digits are enough.",
        meaning=(
            "One step is exact wherever x0 decides x1, even if lines cross later. But where they "
            "cross, no flow can follow them: only pairs that never cross pass every solver."
        ),
    )
)


def score(t, x, u):
    noise = x - t * u  # E[x0 | x_t = x], because x_t = x0 + t (x1 - x0)
    return -noise / (1 - t)


_SCORES = [(0.6, 2.0, 2.8), (0.3, -1.0, 0.5), (0.5, 0.2, -0.3), (0.9, 1.0, 4.0)]

register(
    Exercise(
        "17.5",
        "A score from a velocity",
        kind=function(*_SCORES),
        solution=score,
        mistakes=[
            Mistake(
                "sign",
                lambda t, x, u: (x - t * u) / (1 - t),
                "The sign is reversed: a score points to where the density is larger, "
                "away from the noise.",
            ),
            Mistake(
                "time of diffusion",
                lambda t, x, u: -(x + (1 - t) * u) / t,
                "That is right if t = 0 is the data, with u toward the noise. "
                "Here t = 0 is the noise, t = 1 the data.",
            ),
            Mistake(
                "t and 1 - t exchanged",
                lambda t, x, u: ((1 - t) * u - x) / t,
                "t and 1 - t are exchanged. Check at t = 0, where the score is -x.",
            ),
            Mistake(
                "noise",
                lambda t, x, u: x - t * u,
                "That is the mean of the noise, E[x0 | x_t = x]. The score follows from it.",
            ),
            Mistake(
                "not divided",
                lambda t, x, u: t * u - x,
                "That is minus the mean of the noise. In x_t the noise is scaled by 1 - t, "
                "and the score is divided by that.",
            ),
            Mistake(
                "data",
                lambda t, x, u: x + (1 - t) * u,
                "That is the mean of the data, E[x1 | x_t = x]. The score belongs to the noise.",
            ),
            Mistake(
                "divided by the variance",
                lambda t, x, u: (t * u - x) / (1 - t) ** 2,
                "By the variance you divide sigma eps, the noise in x_t as it is. "
                "x - t u is the mean of eps itself.",
            ),
        ],
        hints=[
            "x_t = x0 + t (x1 - x0). What is E[x0 | x_t = x], if u is the mean of x1 - x0?",
            "For x_t = (data) + sigma eps the score is -E[eps | x_t] / sigma (lesson 16).",
            "Here eps is x0 and sigma is 1 - t.",
        ],
        otherwise="Check at t = 0: there x_t is noise from N(0, 1), with the score -x.",
        meaning=(
            "So a net that learned independent pairs is a diffusion model: every sampler of lesson "
            "16 takes it. At t = 1 the formula divides by 0: scores of data may be infinite."
        ),
    )
)
