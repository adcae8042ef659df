"""Exercises of lesson 19."""

import math

from ...course.answers import array, function, one_of
from ...course.exercises import Exercise, Mistake, register

# log p(x) of an image in nats, its pixels, and what the counts n + u are divided by.
_IMAGES = [(-90.0, 64, 6.0), (-120.0, 64, 16.0), (30.0, 784, 255.0), (-1500.0, 3072, 1.0)]


def bits(log_prob, pixels, scale):
    # x = (n + u) / scale: a level is 1 / scale wide, so P(n) is about p(x) / scale for each pixel
    nats = -log_prob / pixels + math.log(scale)
    return nats / math.log(2)


register(
    Exercise(
        "19.4",
        "Bits of a pixel",
        kind=function(*_IMAGES),
        solution=bits,
        mistakes=[
            Mistake(
                "scale forgotten",
                lambda log_prob, pixels, scale: -log_prob / pixels / math.log(2),
                "A density has a unit: if x is divided by 6, p is six times as high. "
                "By what do you get from p(x) to the probability of a level?",
            ),
            Mistake(
                "sign of the scale",
                lambda log_prob, pixels, scale: (
                    (-log_prob / pixels - math.log(scale)) / math.log(2)
                ),
                "A level is 1 / scale wide, and P is p times the width. "
                "Then -log P has the logarithm of the width with a minus.",
            ),
            Mistake(
                "sign of log p",
                lambda log_prob, pixels, scale: (log_prob / pixels + math.log(scale)) / math.log(2),
                "Bits are minus the logarithm of a probability: what is likely costs little.",
            ),
            Mistake(
                "per image",
                lambda log_prob, pixels, scale: (
                    (-log_prob + pixels * math.log(scale)) / math.log(2)
                ),
                "These are the bits of the whole image. Divide by its pixels.",
            ),
            Mistake(
                "scale once",
                lambda log_prob, pixels, scale: (
                    (-log_prob + math.log(scale)) / pixels / math.log(2)
                ),
                "Each of the pixels was divided by scale, not the image once.",
            ),
            Mistake(
                "nats",
                lambda log_prob, pixels, scale: -log_prob / pixels + math.log(scale),
                "These are nats. A bit is log(2) nats.",
            ),
            Mistake(
                "scale in nats",
                lambda log_prob, pixels, scale: -log_prob / pixels / math.log(2) + math.log(scale),
                "One of the two parts is in bits, the other in nats.",
            ),
            Mistake(
                "minus forgotten",
                lambda log_prob, pixels, scale: -bits(log_prob, pixels, scale),
                "Bits are minus the logarithm of a probability: of the probability of the levels, "
                "so that both parts change their sign.",
            ),
            Mistake(
                "number of levels",
                lambda log_prob, pixels, scale: -log_prob / pixels / math.log(2) + math.log2(17),
                "How many levels there are does not matter: only how wide one is, "
                "in the unit that the model sees.",
            ),
        ],
        hints=[
            "P(n) is the integral of p over a cell whose sides are the width of a level.",
            "The width is 1 / scale in each of the pixels: log P = log p - pixels * log(scale).",
            "Then minus, divided by pixels, divided by log(2).",
        ],
        meaning=(
            "So 16 for 6 as the scale moves the bits by log2(16 / 6): numbers of two papers can "
            "be compared only if both say what they divided by."
        ),
    )
)

# Five unknown models of the digits, each by the measures of the lesson.
UNKNOWN = {
    "A": {"neighbors": 0.86, "precision": 0.45, "recall": 0.49, "coverage": 0.29, "nearest": 25.5},
    "B": {"neighbors": 0.55, "precision": 0.94, "recall": 0.88, "coverage": 0.86, "nearest": 2.1},
    "C": {"neighbors": 0.55, "precision": 0.93, "recall": 0.87, "coverage": 0.87, "nearest": 16.6},
    "D": {"neighbors": 0.69, "precision": 0.98, "recall": 0.43, "coverage": 0.88, "nearest": 15.5},
    "E": {"neighbors": 0.95, "precision": 0.92, "recall": 0.04, "coverage": 0.13, "nearest": 17.2},
}


def copier():
    # New images of real hands are 16.8 from the nearest training image. Near in all else, and
    # far nearer than that: its images are training images, a little disturbed.
    return min(UNKNOWN, key=lambda name: UNKNOWN[name]["nearest"])


register(
    Exercise(
        "19.2",
        "Spot the copier",
        kind=one_of(*UNKNOWN),
        solution=copier,
        mistakes=[
            Mistake(
                "most precise",
                "D",
                "Its images are about as far from the training images (15.5) as new images of "
                "real hands are (16.8). Its recall is low: it blurs.",
            ),
            Mistake(
                "the best model",
                "C",
                "It is near real images in all that is measured, and 16.6 away from the training "
                "images, as new images are. That is what a good model looks like.",
            ),
            Mistake(
                "few kinds",
                "E",
                "A recall of 0.04 says that it makes few kinds of images. "
                "It hands out none of the training images: which column knows these?",
            ),
            Mistake(
                "the worst",
                "A",
                "Its images are farther from everything than real ones. A copier's are near.",
            ),
        ],
        hints=[
            "Four of the five columns do not know the training set at all.",
            "New images of real hands have a median distance of 16.8 to the training images.",
        ],
        meaning=(
            "A low median is not enough of a test for a model that copies now and then: look at "
            "the share of images that are nearer than any test image is."
        ),
    )
)

ENTROPY = 2.389
# Reported NLL on 10 000 points of the moons, and its standard error.
REPORTS = {
    "CNF, tight solver": (2.431, 0.011),
    "CNF, four Euler steps": (0.960, 0.012),
    "RealNVP": (2.396, 0.010),
    "planar": (2.602, 0.012),
    "mixture": (2.380, 0.010),
    "test points in training": (2.301, 0.011),
}


def cannot_be():
    # E[-log q] = H(p) + KL(p || q) is at least H(p), but for chance: three standard errors
    return [float(nll < ENTROPY - 3 * error) for nll, error in REPORTS.values()]


register(
    Exercise(
        "19.1",
        "Too good to be true",
        kind=array(len(REPORTS)),
        solution=cannot_be,
        mistakes=[
            Mistake(
                "chance forgotten",
                lambda: [float(nll < ENTROPY) for nll, _ in REPORTS.values()],
                "The entropy is exact, the NLL is a mean over 10 000 points. "
                "How far below can it be by chance?",
            ),
            Mistake(
                "the other way",
                lambda: [1.0 - value for value in cannot_be()],
                "1 for those that cannot be. An NLL above the entropy is what models have.",
            ),
            Mistake(
                "only the worst",
                lambda: [float(nll < 2.0) for nll, _ in REPORTS.values()],
                "One more is too low, by more than chance: compare with its standard error.",
            ),
            Mistake(
                "only the near one",
                lambda: [float(2.0 < nll < ENTROPY - 3 * error) for nll, error in REPORTS.values()],
                "One more is too low, and by far: 0.96 nats, where the entropy is 2.389.",
            ),
            Mistake(
                "too high, too",
                lambda: [float(abs(nll - ENTROPY) > 3 * error) for nll, error in REPORTS.values()],
                "Far above the entropy is only a bad model, and can be. Which are too *low*?",
            ),
            Mistake(
                "all may be",
                lambda: [0.0] * len(REPORTS),
                "The NLL is the entropy plus KL(p || q). Can a KL be -1.4 nats?",
            ),
        ],
        hints=[
            "E[-log q] = H(p) + KL(p || q), and KL is not negative.",
            "By chance a mean is more than three standard errors off once in 370 times.",
        ],
        meaning=(
            "One was solved too coarsely, so that it is no density; the other was tested on what "
            "it was trained on. Both are common, and on real data no entropy gives them away."
        ),
    )
)


def z_of(a, b):
    # a, b: one number for each seed
    def mean_and_variance(x):
        mean = sum(x) / len(x)
        return mean, sum((value - mean) ** 2 for value in x) / (len(x) - 1) / len(x)

    (mean_a, variance_a), (mean_b, variance_b) = mean_and_variance(a), mean_and_variance(b)
    return (mean_b - mean_a) / math.sqrt(variance_a + variance_b)


def _variant(divide=True, less=1, root=True, together=False):
    def z(a, b):
        def parts(x):
            mean = sum(x) / len(x)
            variance = sum((value - mean) ** 2 for value in x) / (len(x) - less)
            return mean, variance / (len(x) if divide else 1)

        (mean_a, variance_a), (mean_b, variance_b) = parts(a), parts(b)
        if together:
            return (mean_b - mean_a) / (math.sqrt(variance_a) + math.sqrt(variance_b))
        variance = variance_a + variance_b
        return (mean_b - mean_a) / (math.sqrt(variance) if root else variance)

    return z


def _pooled(a, b):
    def squares(x):
        mean = sum(x) / len(x)
        return mean, sum((value - mean) ** 2 for value in x)

    (mean_a, squares_a), (mean_b, squares_b) = squares(a), squares(b)
    variance = (squares_a + squares_b) / (len(a) + len(b) - 2)
    return (mean_b - mean_a) / math.sqrt(variance * (1 / len(a) + 1 / len(b)))


_SEEDS = [
    ([0.021, 0.034, 0.026], [0.041, 0.052, 0.045]),
    ([0.30, 0.52, 0.35], [0.41, 0.38, 0.60]),
    ([1.0, 2.0, 4.0, 3.5], [2.0, 2.5, 6.0]),
    ([0.90, 0.70, 0.85], [0.50, 0.62, 0.48, 0.55]),  # b below a
]

register(
    Exercise(
        "19.3",
        "Which differences are real?",
        kind=function(*_SEEDS),
        solution=z_of,
        mistakes=[
            Mistake(
                "spread of a seed",
                _variant(divide=False),
                "You divided by the spread of single seeds. "
                "The mean of n seeds scatters less, by the root of n.",
            ),
            Mistake(
                "errors added",
                _variant(together=True),
                "Variances add, not standard errors: they seldom err together.",
            ),
            Mistake(
                "root forgotten",
                _variant(root=False),
                "That is divided by a variance. Units: z has none.",
            ),
            Mistake(
                "n for n - 1",
                _variant(less=0),
                "With three seeds the mean is as near to them as it can be: "
                "divide the squares by n - 1.",
            ),
            Mistake(
                "sign",
                lambda a, b: -z_of(a, b),
                "b minus a: positive if b is larger.",
            ),
            Mistake(
                "absolute",
                lambda a, b: abs(z_of(a, b)),
                "The sign says which of the two is larger: keep it.",
            ),
            Mistake(
                "pooled",
                _pooled,
                "You took one variance for both models, as Student did. Two models need not "
                "scatter alike: give each mean its own variance, and add these.",
            ),
        ],
        hints=[
            "z is the difference of the means divided by its standard error.",
            "The variance of a mean is the variance of the values, with n - 1, divided by n.",
            "The variance of a difference is the sum of both variances.",
        ],
        meaning=(
            "With three seeds the spread itself is hardly known: to be sure at one in twenty a "
            "difference needs 2.8 of these, not 2. The lesson asks for ranges that do not touch."
        ),
    )
)

TASKS = (
    "finish a text whose beginning is given, and say how likely the end is",
    "exact log p of new images of digits, fifty thousand a second",
    "a hundred images of digits each millisecond, no likelihood asked",
    "digits of all kinds, each like a real one; a second for each is fine",
)
CHOICES = {"RealNVP": 0, "GAN": 1, "autoregressive": 2, "flow matching": 3}


def families():
    # autoregressive: the chain rule from left to right; RealNVP: a formula for log p; GAN: one
    # evaluation; flow matching: a regression on all data, with many evaluations for a sample
    return [CHOICES[name] for name in ("autoregressive", "RealNVP", "GAN", "flow matching")]


register(
    Exercise(
        "19.5",
        "Which family for which task?",
        kind=array(4, "four numbers from 0 to 3, one for each task"),
        solution=families,
        mistakes=[
            Mistake(
                "density by a solve",
                [2, 3, 1, 0],
                "Flow matching has a likelihood, too, by a solve of its ODE with the trace: look "
                "at the seconds of a likelihood. And which of the two left out fewer digits?",
            ),
            Mistake(
                "coverage by the GAN",
                [2, 0, 3, 1],
                "Look at recall: no loss of a GAN asks for every kind of digit. "
                "And how many evaluations does flow matching take for a picture?",
            ),
            Mistake(
                "beginning given to a flow",
                [0, 2, 1, 3],
                "A flow is given the whole record or nothing. Which family is made of "
                "p(next | those before)?",
            ),
            Mistake(
                "one for all",
                [3, 3, 3, 3],
                "A sample of flow matching takes many evaluations, its likelihood a solve, and it "
                "is not given a beginning.",
            ),
        ],
        hints=[
            "Go through the table of what each family can do, and through that of costs.",
            "No likelihood asked and one evaluation: whose samples take the fewest milliseconds?",
        ],
        otherwise=(
            "Look again at each task: which of your four cannot do it at all, and which does it "
            "too slowly? Numbers are 0 to 3, each once."
        ),
        meaning=(
            "The autoregressive model makes all kinds, too, but of its digits only one in six is "
            "near a real one. "
            "No family wins on the board; a task decides. And most tasks are decided by what a "
            "family can do at all, before any measure is looked at."
        ),
    )
)
