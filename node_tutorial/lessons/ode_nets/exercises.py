"""Exercises of lesson 07. What learners write is not annotated, as in the lesson."""

import math
from functools import lru_cache

import torch

from ...course.answers import array, function, number
from ...course.exercises import Exercise, Mistake, register
from ...gradients.memory import bytes_kept
from ...models import ResNet


def parameters(channels, blocks):
    convolution = 9 * channels * channels + channels
    norm = 2 * channels
    residual = blocks * (2 * convolution + 3 * norm)
    with_time = 9 * channels * (channels + 1) + channels
    return residual, 2 * with_time + 3 * norm


def _no_biases(channels: int, blocks: int) -> tuple[int, int]:
    residual = blocks * (18 * channels**2 + 6 * channels)
    return residual, 18 * channels * (channels + 1) + 6 * channels


def _no_norms(channels: int, blocks: int) -> tuple[int, int]:
    residual, ode = parameters(channels, blocks)
    return residual - 6 * blocks * channels, ode - 6 * channels


def _no_time(channels: int, blocks: int) -> tuple[int, float]:
    residual, _ = parameters(channels, blocks)
    return residual, residual / blocks


def _time_for_all(channels: int, blocks: int) -> tuple[int, int]:
    _, ode = parameters(channels, blocks)
    return blocks * ode, ode


def _ode_times_blocks(channels: int, blocks: int) -> tuple[int, int]:
    residual, ode = parameters(channels, blocks)
    return residual, blocks * ode


register(
    Exercise(
        "07.1",
        "The parameters of the blocks",
        kind=function(
            (32, 6), (64, 6), (8, 1), (5, 3), returns=array((2,), wanted="a pair of numbers")
        ),
        solution=parameters,
        rtol=0.0,
        atol=0.1,
        mistakes=[
            Mistake(
                "no biases",
                _no_biases,
                "Each convolution also has a bias for every output channel.",
            ),
            Mistake(
                "no norms",
                _no_norms,
                "The three norms of a block have a scale and a shift for every channel.",
            ),
            Mistake(
                "no channel for the time",
                _no_time,
                "The ODE-Net's convolutions see the time: one channel more goes into each of them.",
            ),
            Mistake(
                "time in the residual blocks",
                _time_for_all,
                "The residual blocks have no channel for the time: each has weights of its own "
                "anyway.",
            ),
            Mistake(
                "the ODE block counted for each step",
                _ode_times_blocks,
                "The ODE block has the same weights at every evaluation: count them once.",
            ),
        ],
        hints=[
            "A convolution of 3 by 3 pixels from a to b channels has 9 a b weights and b biases.",
            "A group norm of c channels has c scales and c shifts, however many groups there are.",
            "A residual block has two convolutions from c to c and three norms; the ODE block two "
            "from c + 1 to c.",
        ],
        otherwise="Compare with `sum(p.numel() for p in net.parameters())`, of `ResNet(c, "
        "blocks=n).blocks` and of `ODENet(c).block`.",
        meaning="One grows with the number of blocks, the other does not. But any net that uses "
        "one block again and again has as few: what saves the parameters is sharing them, not the "
        "ODE.",
    )
)


def standard_errors() -> float:
    n = 10_000
    resnet = 0.0041
    rk_net = 0.0047
    variance = resnet * (1 - resnet) / n + rk_net * (1 - rk_net) / n
    return (rk_net - resnet) / math.sqrt(variance)


def _off_by(scale: float) -> float:
    return scale * standard_errors()


_ONE = 0.0006 / math.sqrt(0.0041 * 0.9959 / 10_000)
_OTHER = 0.0006 / math.sqrt(0.0047 * 0.9953 / 10_000)

register(
    Exercise(
        "07.2",
        "Is the difference real?",
        kind=number("the difference in standard errors, a number"),
        solution=standard_errors,
        rtol=0.01,
        mistakes=[
            Mistake(
                "only ResNet's error",
                _ONE,
                "RK-Net's error is uncertain too: add the two variances.",
            ),
            Mistake(
                "only RK-Net's error",
                _OTHER,
                "ResNet's error is uncertain too: add the two variances.",
            ),
            Mistake(
                "standard errors added",
                1 / (1 / _ONE + 1 / _OTHER),
                "Independent errors add as squares: add the variances, then take the root.",
            ),
            Mistake(
                "no n",
                _off_by(0.01),
                "The variance of a share is p (1 - p) / n: divide by the 10 000 images.",
            ),
            Mistake(
                "per cent",
                0.06 / math.sqrt((0.41 * 0.59 + 0.47 * 0.53) / 10_000),
                "0.41 per cent is the share p = 0.0041.",
            ),
            Mistake(
                "the other sign", _off_by(-1.0), "RK-Net minus ResNet: the number is positive."
            ),
        ],
        hints=[
            "For each net the variance of its error is p (1 - p) / n.",
            "The variance of a difference of independent numbers is the sum of their variances.",
            "(0.0047 - 0.0041) / sqrt(variance of the one + variance of the other), with n = 10 "
            "000.",
        ],
        otherwise="p is 0.0041 for the one and 0.0047 for the other, n is 10 000; divide the "
        "difference by its standard error.",
        meaning="Less than one standard error: nothing. Two nets of equal quality differ by more "
        "than that in half of all tables. ODE-Net and ResNet differ by a single image in ten "
        "thousand.",
    )
)


@lru_cache(maxsize=1)
def _kept() -> list[int]:
    """Bytes that a ResNet keeps for 32 images without blocks, and with one."""
    images = torch.zeros(32, 1, 8, 8)
    found = []
    for blocks in (0, 1):
        net = ResNet(32, blocks=blocks)
        with bytes_kept(exclude=[images, *net.parameters()]) as kept, torch.enable_grad():
            net(images)
        found.append(kept.bytes)
    return found


def blocks_that_fit() -> int:
    without, with_one = _kept()
    return (10**9 - without) // (with_one - without)


register(
    Exercise(
        "07.3",
        "How deep before the memory is full?",
        kind=number("the number of blocks"),
        solution=blocks_that_fit,
        rtol=0.0,
        atol=0.5,
        mistakes=[
            Mistake(
                "the rest forgotten",
                10**9 // (_kept()[1] - _kept()[0]),
                "Very close. Downsampling and classifier keep something too, whatever the number "
                "of blocks.",
            ),
            Mistake(
                "the rest counted for every block",
                10**9 // _kept()[1],
                "That divides by what a whole net with one block keeps. A further block adds only "
                "the difference.",
            ),
            Mistake(
                "rounded up",
                -(-(10**9 - _kept()[0]) // (_kept()[1] - _kept()[0])),
                "One block too many: it would not fit wholly. Round down.",
            ),
            Mistake(
                "powers of two",
                (2**30 - _kept()[0]) // (_kept()[1] - _kept()[0]),
                "A gigabyte is 10**9 bytes here, not 2**30.",
            ),
        ],
        hints=[
            "bytes = a + b * blocks. Two measurements give a and b.",
            "`kept(ResNet(32, blocks=0))` is a; with one block it is a + b.",
            "Solve a + b * blocks <= 10**9, and round down.",
        ],
        otherwise="Measure with `kept`, for the same 32 images: no block, one block, two blocks. "
        "What does each add?",
        meaning="For the ODE-Net with the adjoint the answer is: any number of evaluations. That "
        "is O(1), and for nets this small nobody needs it.",
    )
)


def evaluations(before, between, after):
    return between - before, after - between


def _nothing_reset(before: int, between: int, after: int) -> tuple[int, int]:
    return between, after


def _forward_not_reset(before: int, between: int, after: int) -> tuple[int, int]:
    return between, after - between


def _backward_with_forward(before: int, between: int, after: int) -> tuple[int, int]:
    return between - before, after - before


def _swapped(before: int, between: int, after: int) -> tuple[int, int]:
    return after - between, between - before


register(
    Exercise(
        "07.4",
        "A counter that nobody resets",
        kind=function(
            (0, 14, 28),
            (28, 42, 62),
            (62, 82, 102),
            (500, 526, 558),
            returns=array((2,), wanted="a pair of numbers"),
        ),
        solution=evaluations,
        rtol=0.0,
        atol=0.1,
        mistakes=[
            Mistake(
                "nothing reset",
                _nothing_reset,
                "These are the readings themselves. The counter has counted all earlier steps, "
                "too.",
            ),
            Mistake(
                "the start forgotten",
                _forward_not_reset,
                "The second number is right. The first still holds what the counter read before "
                "the forward pass.",
            ),
            Mistake(
                "backward with forward",
                _backward_with_forward,
                "The first number is right. The second counts the forward pass again.",
            ),
            Mistake("swapped", _swapped, "Forward first, then backward."),
        ],
        hints=[
            "What did the counter read when the forward pass began?",
            "Each pass costs the difference of two readings.",
        ],
        otherwise="Try it on the readings 28, 42, 62: the forward pass took 14 evaluations, the "
        "backward pass 20.",
        meaning="Without the differences the numbers rise in a straight line, which looks like "
        "Figure 3d and is a bug. `NeuralODE.stats` begins anew at each solve, and `fit` writes it "
        "down at each step.",
    )
)
