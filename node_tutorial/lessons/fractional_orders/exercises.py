"""Exercises of lesson 20: weights, a derivative, a step with its past, an order."""

import math

import numpy as np

from ...course.answers import array, function
from ...course.exercises import Exercise, Mistake, register
from ...solvers.fractional import l1_weights


def weights(alpha, n):
    w = [1.0]
    for k in range(1, n + 1):
        w.append((1 - (alpha + 1) / k) * w[-1])
    return w


register(
    Exercise(
        "20.1",
        "A backward difference of any order",
        kind=function((0.5, 5), (0.7, 3), (1.5, 6), (1.0, 4), returns=array((None,))),
        solution=weights,
        mistakes=[
            Mistake(
                "signs of the binomial theorem twice",
                lambda alpha, n: [(-1) ** k * w for k, w in enumerate(weights(alpha, n))],
                "You change the sign once more at every other weight. For order 1 it must be a "
                "difference: what do your first two weights make of y1 and y0?",
            ),
            Mistake(
                "the sum's weights",
                lambda alpha, n: weights(-alpha, n),
                "These are the weights of the integral of order alpha, all positive: "
                "(1 - x)^(-alpha).",
            ),
            Mistake(
                "alpha - 1 instead of alpha + 1",
                lambda alpha, n: weights(alpha - 2, n),
                "Look at the factor from one weight to the next: for order 1 it must be -1 at "
                "k = 1, and 0 at k = 2.",
            ),
            Mistake(
                "alpha instead of alpha + 1",
                lambda alpha, n: weights(alpha - 1, n),
                "Your factor is 1 - alpha / k. For order 1 that is 0 at k = 1; it must be -1.",
            ),
            Mistake(
                "no factor 1",
                lambda alpha, n: weights(alpha, n)[1:],
                "The weight of the newest value, k = 0, is missing.",
            ),
            Mistake(
                "one too few",
                lambda alpha, n: weights(alpha, n - 1),
                "From k = 0 to n there are n + 1 weights.",
            ),
        ],
        hints=[
            "The weights of order 1 are 1, -1, 0, 0, ...; those of order 2 are 1, -2, 1, 0, ...: "
            "the coefficients of (1 - x)^alpha.",
            "From one coefficient of (1 - x)^alpha to the next: multiply by (k - 1 - alpha) / k.",
            "Begin with 1; w_k = (1 - (alpha + 1) / k) w_(k-1).",
        ],
        otherwise="For order 1 they are 1, -1, 0, 0, ..., for order 2 they are 1, -2, 1, 0, ...",
        meaning=(
            "For whole orders the weights end: a derivative is local. For all others they never "
            "do, and fall only like k^(-alpha - 1): the memory is in the tail."
        ),
    )
)


def half_derivative(p, t):
    return math.gamma(p + 1) / math.gamma(p + 0.5) * t ** (p - 0.5)


def _powers(scale, power):
    return lambda p, t: scale(p) * t ** power(p)


register(
    Exercise(
        "20.2",
        "Half a derivative of a power",
        kind=function((1.0, 1.0), (2.0, 0.7), (0.7, 2.0), (3.0, 1.5)),
        solution=half_derivative,
        mistakes=[
            Mistake(
                "power rule with a half",
                _powers(lambda p: p, lambda p: p - 0.5),
                "The power is right. The factor p is that of a whole derivative: ask of the factor "
                "that doing it twice gives p.",
            ),
            Mistake(
                "square root of the factor",
                _powers(lambda p: math.sqrt(p), lambda p: p - 0.5),
                "The square root of p, twice, is not p: the second half meets another power.",
            ),
            Mistake(
                "integral instead",
                _powers(lambda p: math.gamma(p + 1) / math.gamma(p + 1.5), lambda p: p + 0.5),
                "That is half an integral: the power went up.",
            ),
            Mistake(
                "1 missing below",
                _powers(lambda p: math.gamma(p + 1) / math.gamma(p - 0.5), lambda p: p - 0.5),
                "Try it for a whole derivative: Gamma(p + 1) / Gamma(p) = p. "
                "What is in the Gamma below, then, for the order 1/2?",
            ),
            Mistake(
                "power left alone",
                _powers(lambda p: math.gamma(p + 1) / math.gamma(p + 0.5), lambda p: p),
                "The factor is right. Half a derivative lowers the power, too.",
            ),
            Mistake(
                "a whole derivative",
                _powers(lambda p: p, lambda p: p - 1),
                "That is the whole derivative, of order 1.",
            ),
        ],
        hints=[
            "Write the m-th derivative of t^p with factorials: p! / (p - m)! t^(p - m).",
            "A factorial of any number: x! = Gamma(x + 1), `math.gamma(x + 1)`.",
            "Put m = 1/2.",
        ],
        otherwise="For p = 1 and t = 1 the value is 2 / sqrt(pi).",
        meaning=(
            "Twice half a derivative of t^p is p t^(p - 1), for p > 1/2: the halves do add up. "
            "Half a derivative of t is not a constant: 2 sqrt(t / pi)."
        ),
    )
)


def step(y, h):
    b = l1_weights(0.5, len(y)).numpy()
    y = np.asarray(y, dtype=float)
    slopes = np.diff(y)[::-1]  # the newest first
    past = (b[1 : len(y)] * slopes).sum()
    c = math.gamma(1.5) * h**0.5
    return (y[-1] - past) / (1 + c)


def _stepped(
    c=lambda h: math.gamma(1.5) * h**0.5, past=True, order=-1, sign=1.0, first=1, oldest=True
):
    """A wrong L1 step."""

    def wrong(y, h):
        b = l1_weights(0.5, len(y) + 1).numpy()
        y = np.asarray(y, dtype=float)
        changes = np.diff(y) if oldest else np.diff(y[1:])
        sums = (b[first : first + len(changes)] * changes[::order]).sum() if past else 0.0
        return (y[-1] - sign * sums) / (1 + c(h))

    return wrong


def _of_values(y, h):
    b = l1_weights(0.5, len(y)).numpy()
    past = sum(b[k] * y[-k] for k in range(1, len(y)))
    return (y[-1] - past) / (1 + math.gamma(1.5) * h**0.5)


def _gl_step(y, h):
    w = weights(0.5, len(y))
    past = sum(w[k] * (y[-k] - y[0]) for k in range(1, len(y) + 1))
    return y[0] - (h**0.5 * y[0] + past) / (1 + h**0.5)


_PASTS = [([1.0, 0.8], 0.1), ([1.0, 0.7, 0.6], 0.2), ([2.0, 1.5, 1.3, 1.2], 0.05)]

register(
    Exercise(
        "20.3",
        "One step with its whole past",
        kind=function(*_PASTS),
        solution=step,
        mistakes=[
            Mistake(
                "past forgotten",
                _stepped(past=False),
                "You start anew from the last value. That is the restart that failed above: what "
                "happened before it pulls on.",
            ),
            Mistake(
                "weights reversed",
                _stepped(order=1),
                "The oldest change gets your largest weight. Memory fades: b_1 belongs to the "
                "newest of the past changes.",
            ),
            Mistake(
                "Gamma(1 - alpha)",
                _stepped(c=lambda h: math.gamma(0.5) * h**0.5),
                "Gamma(1 - alpha) stands before the integral. Integrating (t - s)^(-alpha) over a "
                "step divides by 1 - alpha: together Gamma(2 - alpha).",
            ),
            Mistake(
                "h, not its root",
                _stepped(c=lambda h: math.gamma(1.5) * h),
                "A derivative of order 1/2 is divided by h^(1/2), not by h.",
            ),
            Mistake(
                "sign of the past",
                _stepped(sign=-1.0),
                "The past stands on the left of the equation. Brought to the other side, it "
                "changes its sign.",
            ),
            Mistake(
                "explicit",
                lambda y, h: (
                    step(y, h) * (1 + math.gamma(1.5) * h**0.5) - math.gamma(1.5) * h**0.5 * y[-1]
                ),
                "That is the explicit step: the right side at the old value. Take -y_n, the new "
                "one.",
            ),
            Mistake(
                "no Gamma",
                _stepped(c=lambda h: h**0.5),
                "The factor on the right is Gamma(2 - alpha) h^alpha; you left Gamma(3/2) out.",
            ),
            Mistake(
                "y_n on the right only",
                lambda y, h: step(y, h) * (1 + 1 / (math.gamma(1.5) * h**0.5)),
                "y_n stands on the left, too, in b_0 (y_n - y_(n-1)). Together it has the factor "
                "1 + c, not c = Gamma(3/2) h^(1/2).",
            ),
            Mistake(
                "weights too early",
                _stepped(first=0),
                "You give b_0 to the newest of the past changes. It belongs to the change that you "
                "are looking for, y_n - y_(n-1).",
            ),
            Mistake(
                "weights too late",
                _stepped(first=2),
                "Your newest past change has b_2. It has b_1; b_0 belongs to y_n - y_(n-1).",
            ),
            Mistake(
                "oldest change left out",
                _stepped(oldest=False),
                "The first change, y_1 - y_0, is in the past, too: the sum goes to k = n - 1.",
            ),
            Mistake(
                "values for changes",
                _of_values,
                "You weight the values y. The sum has their changes, y_(n-k) - y_(n-k-1).",
            ),
            Mistake(
                "GL instead",
                _gl_step,
                "That is a right step, by the weights of exercise 20.1. L1 has other weights, b_k, "
                "and they multiply changes of y.",
            ),
        ],
        hints=[
            "Write the equation for n = len(y): b_0 (y_n - y_(n-1)) + b_1 (y_(n-1) - y_(n-2)) + "
            "... = -c y_n with c = Gamma(3/2) h^(1/2).",
            "Bring y_n to the left: (1 + c) y_n = y_(n-1) - (the changes of the past, weighted).",
            "b_1 multiplies the newest change in y, b_2 the one before; `np.diff(y)[::-1]` has "
            "them in this order, and b_k = sqrt(k + 1) - sqrt(k).",
        ],
        otherwise=(
            "Check your formula with two values in y: (1 + c) y_2 = y_1 - b_1 (y_1 - y_0), with "
            "b_1 = sqrt(2) - 1 and c = Gamma(3/2) h^(1/2)."
        ),
        meaning=(
            "The present value alone does not tell what comes: every change since the start is in "
            "the step."
        ),
    )
)


def order_of(t1, y1, t2, y2):
    return math.log((1 - y1) / (1 - y2)) / math.log(t1 / t2)


def _early(alpha, rate, t1=1e-3, t2=1e-2):
    return t1, 1 - rate * t1**alpha, t2, 1 - rate * t2**alpha


register(
    Exercise(
        "20.4",
        "The order, from the first moments",
        kind=function(_early(0.5, 1.0), _early(0.8, 2.0), _early(0.3, 0.7, 1e-4, 3e-3)),
        solution=order_of,
        rtol=1e-3,
        mistakes=[
            Mistake(
                "the tail's formula",
                lambda t1, y1, t2, y2: -math.log(y1 / y2) / math.log(t1 / t2),
                "That is how to read alpha off the tail, where y falls like t^(-alpha). "
                "Early, it is 1 - y that is a power.",
            ),
            Mistake(
                "y for 1 - y",
                lambda t1, y1, t2, y2: math.log(y1 / y2) / math.log(t1 / t2),
                "Your slope is that of log y over log t. Early, y is near 1, and 1 - y is the "
                "power of t.",
            ),
            Mistake(
                "upside down",
                lambda t1, y1, t2, y2: 1 / order_of(t1, y1, t2, y2),
                "Your fraction is upside down: the slope in a picture of log(1 - y) over log t.",
            ),
            Mistake(
                "rate 1",
                lambda t1, y1, t2, y2: math.log(1 - y1) / math.log(t1),
                "That takes lambda / Gamma(1 + alpha) as 1, and it is not known. Two points rid "
                "you of it: divide.",
            ),
            Mistake(
                "slopes",
                lambda t1, y1, t2, y2: (y2 - y1) / (t2 - t1),
                "That is a slope. At the start it is infinite; take a power law instead.",
            ),
            Mistake(
                "sign",
                lambda t1, y1, t2, y2: -order_of(t1, y1, t2, y2),
                "The sign: 1 - y grows with t.",
            ),
        ],
        hints=[
            "Early, y is near 1 - lambda t^alpha / Gamma(1 + alpha).",
            "So log(1 - y) is a line over log t. What is its slope?",
            "Two points give a slope: the difference of log(1 - y) over the difference of log t.",
        ],
        otherwise="In a picture of log(1 - y) over log t the early points lie on a line.",
        meaning=(
            "The rate drops out. It would for any right side that is finite and not 0 at the "
            "start, if the data are early and exact enough."
        ),
    )
)
