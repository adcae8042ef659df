"""Exercises of lesson 07. What learners write is not annotated, as in the lesson."""

import math
import statistics
from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ... import odeint
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


def _time_once(channels: int, blocks: int) -> tuple[int, int]:
    residual, ode = parameters(channels, blocks)
    return residual, ode - 9 * channels


def _other_order(channels: int, blocks: int) -> tuple[int, int]:
    residual, ode = parameters(channels, blocks)
    return ode, residual


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
                "no biases, or two norms",
                _no_biases,
                "Twice `channels` are missing in each block. Does each convolution have its bias "
                "for every output channel, and are there three norms?",
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
                "the time in one convolution only",
                _time_once,
                "The time enters as one more channel of both convolutions.",
            ),
            Mistake(
                "the other order",
                _other_order,
                "These are the two, in the other order.",
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


def paired(first, second):
    differences = [b - a for a, b in zip(first, second)]
    return statistics.mean(differences), statistics.stdev(differences) / len(differences) ** 0.5


def _independent(first: Sequence[int], second: Sequence[int]) -> tuple[float, float]:
    error = math.sqrt((statistics.variance(first) + statistics.variance(second)) / len(first))
    return paired(first, second)[0], error


def _spread(first: Sequence[int], second: Sequence[int]) -> tuple[float, float]:
    mean, error = paired(first, second)
    return mean, error * math.sqrt(len(first))


def _of_all(first: Sequence[int], second: Sequence[int]) -> tuple[float, float]:
    mean, error = paired(first, second)
    return mean, error * math.sqrt(1 - 1 / len(first))


def _by_n(first: Sequence[int], second: Sequence[int]) -> tuple[float, float]:
    mean, error = paired(first, second)
    return mean, error / math.sqrt(len(first))


def _squared_error(first: Sequence[int], second: Sequence[int]) -> tuple[float, float]:
    mean, error = paired(first, second)
    return mean, error**2


def _first_minus_second(first: Sequence[int], second: Sequence[int]) -> tuple[float, float]:
    return paired(second, first)


register(
    Exercise(
        "07.2",
        "Is the difference real?",
        kind=function(
            ([5, 3, 9, 7], [6, 5, 9, 10]),
            ([8, 4, 6, 7, 1, 9], [7, 6, 9, 7, 2, 8]),
            ([10, 2, 7], [9, 2, 4]),
            returns=array((2,), wanted="a pair of numbers"),
        ),
        solution=paired,
        rtol=1e-3,
        mistakes=[
            Mistake(
                "as if independent",
                _independent,
                "The mean is right. The error is that of nets that saw different images: a run "
                "with hard images is hard for both, and that part drops out of the differences.",
            ),
            Mistake(
                "not divided by the root of n",
                _spread,
                "The mean is right. The other number is the spread of single differences; the mean "
                "of n of them is surer than one.",
            ),
            Mistake(
                "spread around the true mean",
                _of_all,
                "Nearly. The mean was found from the same n numbers, so the variance is the sum of "
                "squares divided by n - 1 (numpy: `ddof=1`).",
            ),
            Mistake(
                "divided by n",
                _by_n,
                "The mean is right. The error of a mean falls with the root of n, not with n.",
            ),
            Mistake(
                "the variance",
                _squared_error,
                "The mean is right. The other number is the square of its error: take the root.",
            ),
            Mistake("the other sign", _first_minus_second, "Second minus first, please."),
        ],
        hints=[
            "Both nets were tested on the same images in a run. What is left if you subtract, run "
            "by run?",
            "n differences d: their mean, and their standard deviation divided by the root of n.",
            "The standard deviation is that of a sample: with n - 1 (`statistics.stdev`, or "
            "`torch.std`).",
        ],
        otherwise="Work with the n differences of the runs, second minus first, and with nothing "
        "else: their mean, and the standard error of that mean.",
        meaning="One thing is left out: the three seeds of a fold share their test images, so the "
        "runs are not quite independent, and the true error is a little larger.",
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


def change(f, x0, n):
    x = x0
    for k in range(n):
        x = x + f(torch.tensor(k / n, dtype=x0.dtype), x) / n
    exact = odeint(f, x0, torch.tensor([0.0, 1.0], dtype=x0.dtype), rtol=1e-6, atol=1e-8)[-1]
    return (x - exact).norm() / (exact - x0).norm()


Field = Callable[[Tensor, Tensor], Tensor]


def _euler(f: Field, x0: Tensor, n: int, *, h: float | None = None, clock: bool = True) -> Tensor:
    h = 1 / n if h is None else h
    x = x0
    for k in range(n):
        x = x + h * f(torch.tensor(k * h if clock else 0.0, dtype=x0.dtype), x)
    return x


def _end(f: Field, x0: Tensor) -> Tensor:
    return odeint(f, x0, torch.tensor([0.0, 1.0], dtype=x0.dtype), rtol=1e-6, atol=1e-8)[-1]


def _no_share(f: Field, x0: Tensor, n: int) -> Tensor:
    return (_euler(f, x0, n) - _end(f, x0)).norm()


def _share_of_the_state(f: Field, x0: Tensor, n: int) -> Tensor:
    return _no_share(f, x0, n) / _end(f, x0).norm()


def _share_of_the_steps(f: Field, x0: Tensor, n: int) -> Tensor:
    return _no_share(f, x0, n) / (_euler(f, x0, n) - x0).norm()


def _clock_stands(f: Field, x0: Tensor, n: int) -> Tensor:
    exact = _end(f, x0)
    return (_euler(f, x0, n, clock=False) - exact).norm() / (exact - x0).norm()


def _long_steps(f: Field, x0: Tensor, n: int) -> Tensor:
    exact = _end(f, x0)
    return (_euler(f, x0, n, h=1.0) - exact).norm() / (exact - x0).norm()


def _twice_as_many(f: Field, x0: Tensor, n: int) -> Tensor:
    twice = _euler(f, x0, 2 * n)
    return (_euler(f, x0, n) - twice).norm() / (twice - x0).norm()


def _falling(t: Tensor, x: Tensor) -> Tensor:
    return -2 * x


def _turning(t: Tensor, x: Tensor) -> Tensor:
    return 3 * t * torch.stack([-x[1], x[0]]) + 0.5


def _even(t: Tensor, x: Tensor) -> Tensor:
    return torch.stack([1 + 0 * x[0], 2 + t, 0 * x[2]])


register(
    Exercise(
        "07.4",
        "Is it an ODE?",
        kind=function(
            (_falling, torch.tensor([1.0, 3.0], dtype=torch.float64), 1),
            (_falling, torch.tensor([2.0], dtype=torch.float64), 4),
            (_turning, torch.tensor([1.0, -0.5], dtype=torch.float64), 3),
            (_even, torch.tensor([0.0, 5.0, 1.0], dtype=torch.float64), 2),
        ),
        solution=change,
        rtol=0.02,
        mistakes=[
            Mistake(
                "no share",
                _no_share,
                "That is the distance itself. Divide it by the way, from x(0) to the accurate "
                "x(1): a crowd that moves far may also miss by more.",
            ),
            Mistake(
                "share of the state",
                _share_of_the_state,
                "You divide by the size of x(1). It says nothing of how far the flow has moved; "
                "take x(1) - x(0).",
            ),
            Mistake(
                "share of the steps' way",
                _share_of_the_steps,
                "You divide by the way that the Euler steps went. Take that of the accurate "
                "solution.",
            ),
            Mistake(
                "the clock stands still",
                _clock_stands,
                "f sees the time: step k begins at t = k / n.",
            ),
            Mistake(
                "steps of length 1",
                _long_steps,
                "All n steps together go from 0 to 1: each has h = 1 / n.",
            ),
            Mistake(
                "only twice the steps",
                _twice_as_many,
                "Twice the steps are still far from accurate. Let a solver do it, at a tight "
                "tolerance.",
            ),
        ],
        hints=[
            "Euler: n times x = x + f(t, x) / n, with t = k / n for k = 0, 1, ..., n - 1.",
            "Accurate: `odeint(f, x0, torch.tensor([0.0, 1.0], dtype=x0.dtype), rtol=1e-6, "
            "atol=1e-8)[-1]`.",
            "The norm of the difference of the two ends, divided by the norm of (accurate end - "
            "x0).",
        ],
        otherwise="For x' = -2 x and one step from 1: Euler ends at -1, the flow at 0.135, so "
        "1.135 of a way of 0.865.",
        meaning="Near 0 the weights belong to an ODE, and any good solver may take over. If it is "
        "large, the steps are a part of the net. For a classifier count the answers that change, "
        "too: a large change may be one that the head does not see.",
    )
)
