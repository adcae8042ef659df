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


def _left_corner_below(points):
    a, b = _edges(points)
    return -(a[:, 1] * (b[:, 0] - a[:, 0])).sum()


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
                "left corner, y",
                _left_corner_below,
                "You add -y dx, with y at the beginning of each edge. Along an edge y changes: "
                "take its mean, or both halves, x dy and -y dx.",
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
        otherwise=(
            "Try it on the triangle (0, 0), (0, 2), (3, 2): it is walked around clockwise, so its "
            "area is -3."
        ),
        meaning=(
            "Surveyors call it the shoelace formula. `levy_area` is the same for a path that need "
            "not be closed: the chord home adds nothing, since it points at the start."
        ),
    )
)
assert all(torch.isclose(signed_area(p), levy_area(torch.cat([p, p[:1]]))) for p in _POLYGONS)


def newest_seen():
    linear = 4  # the line to observation 4 begins right after observation 3
    hermite = 4  # slopes come from before, but the cubic ends in observation 4
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
                "The slopes of `hermite` come from before. But the curve has to arrive at the next "
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
                "line before a knot.",
            ),
            Mistake(
                "central differences, and the jump",
                [4, 5, 9, 4],
                "The slopes of `hermite` here are those of the line before a knot, so it sees no "
                "further than lines. And halfway, the rectilinear path waits at its old value.",
            ),
            Mistake(
                "nothing looks ahead",
                [3, 3, 3, 3],
                "Halfway between two observations a straight line is at their mean. Can it be "
                "there without the second one? And what ties the pieces of a spline together?",
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
                "the medians",
                lambda mu, sigma, T, meant: math.exp((meant - 0.5) * sigma**2 * T),
                "The 1/2 belongs to the median. A mean has none: exp((mu + lambda sigma^2) T).",
            ),
            Mistake(
                "a ratio of rates",
                lambda mu, sigma, T, meant: mu / (mu + meant * sigma**2),
                "That is how the rates compare. The means are exp(rate T): divide those.",
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
        kind=function((1.0, 0.5, 0.1), (1.0, 0.5, 1.9), (2.0, 0.7, 0.25), (0.5, 1.0, 1.0)),
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
                "the equation's decay",
                lambda theta, sigma, h: sigma**2 * h / (1 - math.exp(-2 * theta * h)),
                "exp(-theta h) is the factor of the equation over a step. The scheme's is "
                "1 - theta h.",
            ),
            Mistake(
                "first order",
                lambda theta, sigma, h: sigma**2 / (2 * theta) * (1 + theta * h / 2),
                "That is right to first order in h. Asked is the exact one: it explodes at "
                "theta h = 2.",
            ),
            Mistake(
                "V left out",
                lambda theta, sigma, h: sigma**2 * h / (1 - theta * h) ** 2,
                "In V = a^2 V + sigma^2 h, with a = 1 - theta h, V is on both sides: bring a^2 V "
                "to the left before you divide.",
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


def _weight(a, b, sigma):
    return (a - b) ** 2 / (2 * sigma**2)


def _only_the_end(a, b, sigma, x0, T):
    decay = math.exp(-2 * a * T)
    return _weight(a, b, sigma) * T * (x0**2 * decay + sigma**2 * (1 - decay) / (2 * a))


def _decay_not_squared(a, b, sigma, x0, T):
    decayed = (1 - math.exp(-a * T)) / a
    return _weight(a, b, sigma) * (x0**2 * decayed + sigma**2 / (2 * a) * (T - decayed))


def _start_not_squared(a, b, sigma, x0, T):
    return kl(a, b, sigma, math.sqrt(abs(x0)), T)


def _variance_twice(a, b, sigma, x0, T):
    decayed = (1 - math.exp(-2 * a * T)) / (2 * a)
    return _weight(a, b, sigma) * (x0**2 * decayed + sigma**2 / a * (T - decayed))


def _decay_not_integrated(a, b, sigma, x0, T):
    decayed = 1 - math.exp(-2 * a * T)
    return _weight(a, b, sigma) * (x0**2 * decayed + sigma**2 / (2 * a) * (T - decayed))


def _ends(a, b, sigma, x0, T):
    means = [x0 * math.exp(-k * T) for k in (a, b)]
    first, second = (sigma**2 * (1 - math.exp(-2 * k * T)) / (2 * k) for k in (a, b))
    off = first + (means[0] - means[1]) ** 2
    return math.log(second / first) / 2 + off / (2 * second) - 0.5


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
                "You take the mean under the second law. KL(P || Q) is a mean under P, the first.",
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
            Mistake(
                "not integrated",
                _only_the_end,
                "You take E X^2 at the end, times T. It changes on the way: integrate it from 0 to "
                "T.",
            ),
            Mistake(
                "only the start",
                lambda a, b, sigma, x0, T: _weight(a, b, sigma) * x0**2 * T,
                "Right for a very short T. Later X is not x0: integrate E X(t)^2 from 0 to T.",
            ),
            Mistake(
                "decay not squared",
                _decay_not_squared,
                "The mean falls as exp(-a t), so its square, and the variance's approach, as "
                "exp(-2 a t).",
            ),
            Mistake(
                "start not squared",
                _start_not_squared,
                "E X^2 has the square of the mean, x0 exp(-a t): x0^2.",
            ),
            Mistake(
                "variance twice too large",
                _variance_twice,
                "The variance of X tends to sigma^2 / (2 a), as in section 7.",
            ),
            Mistake(
                "decay not integrated",
                _decay_not_integrated,
                "The integral of exp(-2 a t) from 0 to T is (1 - exp(-2 a T)) / (2 a).",
            ),
            Mistake(
                "the ends alone",
                _ends,
                "That is the divergence of the two laws of X(T). A whole path says more than its "
                "end: take Girsanov's formula.",
            ),
        ],
        hints=[
            "The difference of the drifts is (b - a) X. What is the mean of X(t)^2 under the first "
            "law?",
            "E X^2 is the square of the mean and the variance V. The mean falls as x0 exp(-a t). V "
            "begins at 0, and dV/dt = -2 a V + sigma^2 (the step of exercise 24.4, made short).",
            "E X^2 = x0^2 exp(-2 a t) + sigma^2 (1 - exp(-2 a t)) / (2 a). Integrate it from 0 to "
            "T, and multiply by (a - b)^2 / (2 sigma^2).",
        ],
        otherwise=(
            "Put the difference of the drifts, (b - a) X, into Girsanov's formula; what is left is "
            "the integral of E X^2. For a very short T it is (a - b)^2 x0^2 T / (2 sigma^2)."
        ),
        meaning=(
            "In nats: so much evidence one path gives, on average, against the second law. It "
            "grows with T, and refining the path does not add to it: a drift is learned from long "
            "times, a noise from fine steps."
        ),
    )
)
