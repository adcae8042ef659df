"""Exercises of lesson 24: an area with its sign, what interpolations see, a mean by two readings,
what Euler and Maruyama make of a spread, and how far two laws of paths are apart.
"""

import math

import torch

from ...course.answers import array, function
from ...course.exercises import Exercise, Mistake, register
from ...models.control_paths import levy_area


def _polygon(*points):
    return torch.tensor(points, dtype=torch.float64)


_POLYGONS = (
    _polygon((0, 0), (1, 0), (1, 1), (0, 1)),
    _polygon((0, 0), (0, 2), (3, 2)),
    _polygon((2, 1), (5, 1), (6, 3), (3, 4), (1, 2)),
    _polygon((1, 1), (2, 3), (4, 1), (3, 0)),
)


def signed_area(points):
    x, y = points[:, 0], points[:, 1]
    total = 0.0
    for k in range(len(points)):
        following = (k + 1) % len(points)  # the last corner is joined to the first
        total = total + x[k] * y[following] - y[k] * x[following]
    return total / 2


def _edges(points, closed=True):
    """Corners and those that follow them."""
    points = torch.as_tensor(points)
    both = torch.cat([points, points[:1]]) if closed else points
    return both[:-1], both[1:]


def _left_corner(points):
    a, b = _edges(points)
    return (a[:, 0] * (b[:, 1] - a[:, 1])).sum()


def _not_closed(points):
    a, b = _edges(points, closed=False)
    return (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / 2


def _perimeter(points):
    a, b = _edges(points)
    return (b - a).norm(dim=1).sum()


register(
    Exercise(
        "24.1",
        "The area of a polygon",
        kind=function(*[(points,) for points in _POLYGONS]),
        solution=signed_area,
        mistakes=[
            Mistake(
                "clockwise positive",
                lambda points: -signed_area(points),
                "The size is right, the sign is not. Go around the unit square to the right first: "
                "which sign did the lesson give it?",
            ),
            Mistake(
                "no sign",
                lambda points: abs(signed_area(points)),
                "That area forgets which way it was walked around. One of our polygons is walked "
                "around clockwise.",
            ),
            Mistake(
                "half forgotten",
                lambda points: 2 * signed_area(points),
                "Each triangle from the origin to an edge has half the area of a parallelogram.",
            ),
            Mistake(
                "not closed",
                _not_closed,
                "The edge from the last corner back to the first is missing. It counts, unless it "
                "points at the origin.",
            ),
            Mistake(
                "left corner",
                _left_corner,
                "You add x dy, with x at the beginning of each edge. Along an edge x changes: take "
                "its mean, or both halves, x dy and -y dx.",
            ),
            Mistake(
                "box",
                lambda points: (
                    (points[:, 0].max() - points[:, 0].min())
                    * (points[:, 1].max() - points[:, 1].min())
                ),
                "That is the box around the polygon.",
            ),
            Mistake("perimeter", _perimeter, "That is the way around it, a length."),
        ],
        hints=[
            "An edge from (a, b) to (c, d) makes a triangle with the origin. What is its area, "
            "with the sign of the turn from one corner to the other?",
            "It is (a d - b c) / 2. Add these over all edges, also that from the last corner back "
            "to the first.",
        ],
        otherwise="Try it on the unit square, (0, 0), (1, 0), (1, 1), (0, 1): its area is 1.",
        meaning=(
            "Surveyors call it the shoelace formula. `levy_area` is the same for a path that need "
            "not be closed: the chord home adds nothing, since it points at the start."
        ),
    )
)
assert all(torch.isclose(signed_area(p), levy_area(torch.cat([p, p[:1]]))) for p in _POLYGONS)


def newest_seen():
    linear = 4  # the line to observation 4 begins right behind observation 3
    hermite = 4  # slopes come from behind, but the cubic ends in observation 4
    natural_cubic = 9  # one system of equations for all slopes
    rectilinear = 3  # the value waits until its time has come
    return [linear, hermite, natural_cubic, rectilinear]


register(
    Exercise(
        "24.2",
        "Which interpolation looks ahead",
        kind=array(4, "four whole numbers: linear, hermite, natural cubic, rectilinear"),
        solution=newest_seen,
        mistakes=[
            Mistake(
                "lines do not look ahead",
                [3, 4, 9, 3],
                "Halfway between two observations a straight line is at their mean. Can it be "
                "there without the second one?",
            ),
            Mistake(
                "backward differences",
                [4, 3, 9, 3],
                "The slopes of `hermite` come from behind. But the curve has to arrive at the next "
                "observation.",
            ),
            Mistake(
                "backward differences, and lines",
                [3, 3, 9, 3],
                "Where will the curve be at observation 4? Lines and `hermite` go there from the "
                "start of the interval on.",
            ),
            Mistake(
                "central differences",
                [4, 5, 9, 3],
                "A slope from both neighbors would look one further. `hermite` here takes the "
                "difference behind a knot.",
            ),
            Mistake(
                "a spline is local",
                [4, 4, 4, 3],
                "A natural cubic spline has two continuous derivatives. What ties its pieces "
                "together, and how far does that reach?",
            ),
            Mistake(
                "a spline sees neighbors",
                [4, 4, 5, 3],
                "The second derivative at a knot depends on both neighbors' - and these on theirs.",
            ),
            Mistake(
                "the jump",
                [4, 4, 9, 4],
                "Halfway, the rectilinear path still waits at its old value: only the time moves.",
            ),
            Mistake(
                "all look ahead",
                [9, 9, 9, 9],
                "Three of the four can be drawn while the observations come in, with a delay of "
                "one at most.",
            ),
            Mistake(
                "counted from one",
                [5, 5, 10, 4],
                "Observations are counted from 0 here, so that there is none with number 10.",
            ),
        ],
        hints=[
            "Change one observation after the other, from the last one backward, and think: does "
            "the curve between 3 and 4 move?",
            "Only one of them solves equations for all knots together.",
        ],
        otherwise=(
            "For each: with which numbers could you draw the piece between observations 3 and 4?"
        ),
        meaning=(
            "For a diagnosis after the fact all are good. For an alarm, only what has been seen "
            "may count: rectilinear, or an answer at the knots for linear and hermite."
        ),
    )
)


def wrong_by(mu, sigma, T, meant):
    # Euler and Maruyama read the noise at the beginning: mean exp(mu T).
    # Meant was the mean exp((mu + meant sigma^2) T).
    return math.exp(-meant * sigma**2 * T)


register(
    Exercise(
        "24.3",
        "The wrong reading",
        kind=function((0.5, 0.8, 1.0, 0.5), (-0.3, 0.4, 2.0, 0.75), (1.0, 0.6, 0.5, 1.0)),
        solution=wrong_by,
        mistakes=[
            Mistake(
                "upside down",
                lambda mu, sigma, T, meant: 1 / wrong_by(mu, sigma, T, meant),
                "That is what was meant over what came out. Asked is the other way round.",
            ),
            Mistake(
                "always Stratonovich",
                lambda mu, sigma, T, meant: math.exp(-(sigma**2) * T / 2),
                "That is right for one reading only. What is read later in the step grows more.",
            ),
            Mistake(
                "half of it",
                lambda mu, sigma, T, meant: math.exp(-meant * sigma**2 * T / 2),
                "The reading lambda is worth a drift of lambda sigma^2 x. Its half belongs to the "
                "median.",
            ),
            Mistake(
                "sigma not squared",
                lambda mu, sigma, T, meant: math.exp(-meant * sigma * T),
                "g dg/dx, with g = sigma x, has sigma twice.",
            ),
            Mistake(
                "the mean that came out",
                lambda mu, sigma, T, meant: math.exp(mu * T),
                "That is the mean that Euler and Maruyama find. Divide it by the one that was "
                "meant.",
            ),
            Mistake(
                "the mean that was meant",
                lambda mu, sigma, T, meant: math.exp((mu + meant * sigma**2) * T),
                "That is the mean that was meant. Asked is a ratio.",
            ),
            Mistake(
                "the difference",
                lambda mu, sigma, T, meant: (
                    math.exp(mu * T) - math.exp((mu + meant * sigma**2) * T)
                ),
                "That is the difference of the two means. Asked is their ratio.",
            ),
            Mistake(
                "nothing",
                lambda mu, sigma, T, meant: 1.0,
                "With the noise read later in the step the mean grows faster, as the dial shows.",
            ),
            Mistake(
                "T forgotten",
                lambda mu, sigma, T, meant: math.exp(-meant * sigma**2),
                "Twice the time, twice the error in the exponent.",
            ),
        ],
        hints=[
            "Which reading has Euler and Maruyama's step? Which drift is the other one worth?",
            "The two means are exp(mu T) and exp((mu + lambda sigma^2) T).",
        ],
        otherwise="Write both means, and divide what came out by what was meant.",
        meaning=(
            "It does not depend on mu, nor on the step: no refinement mends a wrong reading. So an "
            "SDE solver must say which one it has, and a paper which one it means."
        ),
    )
)


def stationary_variance(theta, sigma, h):
    # X' = (1 - theta h) X + sigma dW, and Var X' = Var X
    return sigma**2 * h / (1 - (1 - theta * h) ** 2)


register(
    Exercise(
        "24.4",
        "The spread that Euler and Maruyama settle at",
        kind=function((1.0, 0.5, 0.1), (1.0, 0.5, 1.9), (2.0, 0.7, 0.5), (0.5, 1.0, 1.0)),
        solution=stationary_variance,
        mistakes=[
            Mistake(
                "the exact one",
                lambda theta, sigma, h: sigma**2 / (2 * theta),
                "That is the solution's. The scheme settles at another one, which depends on h.",
            ),
            Mistake(
                "sign of h",
                lambda theta, sigma, h: sigma**2 / (2 * theta + theta**2 * h),
                "Yours is smaller than the exact one: so it would be with the drift at the end of "
                "a step. This scheme explodes at theta h = 2, so near it the variance is large.",
            ),
            Mistake(
                "factor not squared",
                lambda theta, sigma, h: sigma**2 / theta,
                "Var(a X) = a^2 Var X: the factor 1 - theta h goes into the variance squared.",
            ),
            Mistake(
                "variance of dW forgotten",
                lambda theta, sigma, h: sigma**2 / (1 - (1 - theta * h) ** 2),
                "dW over a step of length h has the variance h.",
            ),
            Mistake(
                "h squared",
                lambda theta, sigma, h: sigma**2 * h**2 / (1 - (1 - theta * h) ** 2),
                "dW over a step of length h has the variance h, not h^2.",
            ),
            Mistake(
                "standard deviation",
                lambda theta, sigma, h: math.sqrt(stationary_variance(theta, sigma, h)),
                "That is the standard deviation. Asked is the variance.",
            ),
            Mistake(
                "sigma not squared",
                lambda theta, sigma, h: sigma * h / (1 - (1 - theta * h) ** 2),
                "The variance of sigma dW has sigma squared.",
            ),
        ],
        hints=[
            "Write one step as X' = a X + b Z, with Z of variance 1. What are a and b?",
            "In the stationary state Var X' = Var X, so V = a^2 V + b^2.",
        ],
        otherwise="In the stationary state one more step leaves the variance as it is.",
        meaning=(
            "It is sigma^2 / (2 theta - theta^2 h): too large, by the share theta h / 2 for small "
            "h, and infinite at theta h = 2, where lesson 04's stability ends."
        ),
    )
)


def kl(a, b, sigma, x0, T):
    # the mean of X^2 under the first: the square of its mean and its variance, over the time
    decayed = (1 - math.exp(-2 * a * T)) / (2 * a)
    mean_square = x0**2 * decayed + sigma**2 / (2 * a) * (T - decayed)
    return (a - b) ** 2 / (2 * sigma**2) * mean_square


_LAWS = ((2.0, 1.0, 0.5, 1.0, 1.0), (1.0, 2.0, 0.5, 1.0, 1.0), (0.5, 1.5, 0.8, 0.3, 3.0))

register(
    Exercise(
        "24.5",
        "How far apart are two laws?",
        kind=function(*_LAWS),
        solution=kl,
        mistakes=[
            Mistake(
                "half forgotten",
                lambda a, b, sigma, x0, T: 2 * kl(a, b, sigma, x0, T),
                "Twice too much. Girsanov's formula begins with 1/2, as the KL of two Gaussians "
                "does.",
            ),
            Mistake(
                "under the other law",
                lambda a, b, sigma, x0, T: kl(b, a, sigma, x0, T),
                "You take the mean under the second law. KL(P || P') is a mean under P, the first.",
            ),
            Mistake(
                "noise forgotten",
                lambda a, b, sigma, x0, T: (
                    (a - b) ** 2 / (2 * sigma**2) * x0**2 * (1 - math.exp(-2 * a * T)) / (2 * a)
                ),
                "You square the mean of X. The mean of X^2 has the variance, too.",
            ),
            Mistake(
                "mean forgotten",
                lambda a, b, sigma, x0, T: kl(a, b, sigma, 0.0, T),
                "You take the variance of X. The mean of X^2 has its mean squared, too.",
            ),
            Mistake(
                "stationary",
                lambda a, b, sigma, x0, T: (a - b) ** 2 * T / (4 * a),
                "That is for paths that begin in the stationary state. These begin at x0.",
            ),
            Mistake(
                "sigma not squared",
                lambda a, b, sigma, x0, T: sigma * kl(a, b, sigma, x0, T),
                "The difference of the drifts is divided by g, and then squared.",
            ),
            Mistake(
                "not divided by the noise",
                lambda a, b, sigma, x0, T: sigma**2 * kl(a, b, sigma, x0, T),
                "How well two drifts can be told apart depends on the noise: divide by g.",
            ),
            Mistake(
                "difference not squared",
                lambda a, b, sigma, x0, T: kl(a, b, sigma, x0, T) / (a - b),
                "A divergence is not negative. Square the difference of the drifts.",
            ),
        ],
        hints=[
            "The difference of the drifts is (b - a) X. What is the mean of X(t)^2 under the first "
            "law?",
            "E X^2 = x0^2 exp(-2 a t) + sigma^2 (1 - exp(-2 a t)) / (2 a). Integrate it from 0 to "
            "T, and multiply by (a - b)^2 / (2 sigma^2).",
        ],
        otherwise="Put f - f' = (b - a) X into Girsanov's formula; what is left is E X^2.",
        meaning=(
            "In nats: so much evidence one path gives, on average, against the second law. It "
            "grows with T, and refining the path does not add to it: a drift is learned from long "
            "times, a noise from fine steps."
        ),
    )
)
