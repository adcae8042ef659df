"""Exercises of lesson 21: what scales, gradients of unequal parts, epochs, bytes, parareal."""

import numpy as np
import torch

from ...course.answers import array, function, one_of
from ...course.exercises import Exercise, Mistake, register

STATEMENTS = (
    "64 ranks share a batch of 4096 points of the flow",
    "64 ranks share the 64 steps of one RK4 solve, as it stands",
    "64 ranks each train one of 64 members of an ensemble",
    "64 ranks share a net of 5000 parameters and a batch of 64 points",
    "64 ranks share 64 tolerances from 1e-2 to 1e-8, for one trained net",
)


def what_scales():
    batch, steps, ensemble, small_net, sweep = True, False, True, False, True
    return [batch, steps, ensemble, small_net, sweep]


def _with(**changes):
    names = ("batch", "steps", "ensemble", "small_net", "sweep")
    right = dict(zip(names, what_scales()))
    return [float(x) for x in (right | changes).values()]


register(
    Exercise(
        "21.1",
        "What 64 ranks do at least 8 times faster",
        kind=array(5, "five entries, True or False"),
        solution=what_scales,
        mistakes=[
            Mistake(
                "all of them",
                [True] * 5,
                "Two of these do not scale. In one, parts wait for results; in the other, for "
                "messages.",
            ),
            Mistake(
                "time steps",
                _with(steps=True),
                "A step begins where the one before has ended. With all ranks or one, the 64 steps "
                "come one after the other.",
            ),
            Mistake(
                "the small net",
                _with(small_net=True),
                "One point for each rank: computing takes microseconds, and every update sends "
                "2 x 63 messages around.",
            ),
            Mistake(
                "the sweep",
                _with(sweep=False),
                "The values of a tolerance know nothing of each other. All wait for the tightest, "
                "which takes about three times the average: more than 20 times faster is left.",
            ),
            Mistake(
                "only what sends nothing",
                _with(batch=False),
                "64 points for each rank, and one sum of the gradients. Even with 5 % that is not "
                "divided the panel has 64 ranks 15 times faster.",
            ),
            Mistake(
                "the ensemble alone",
                _with(batch=False, sweep=False),
                "The ensemble is right. Two more do not wait, or hardly: one shares nothing "
                "either, in the other 64 points for each rank are enough to do.",
            ),
            Mistake("turned around", [1 - x for x in _with()], "You marked those that do not."),
        ],
        hints=[
            "Ask of each: what must a rank know of the others before it can go on, and how often?",
            "Two do not scale: one since steps wait for steps, one since there is so little to do.",
        ],
        otherwise="Ask of each: what must a rank know of the others before it can go on?",
        meaning=(
            "What shares nothing scales best: ensembles and sweeps. A batch scales as long as a "
            "rank's part takes longer than the sum. The steps of one solve need another method."
        ),
    )
)


def whole_gradient(gradients, sizes):
    total = sum(size * g for g, size in zip(gradients, sizes))
    return total / sum(sizes)


def _rows(*gradients):
    return torch.tensor(gradients, dtype=torch.float64)


def _gradients(rule):
    """A wrong answer, by its rule for (gradients (R, P), sizes (R,))."""

    def wrong(gradients, sizes):
        return rule(np.asarray(gradients, float), np.asarray(sizes, float))

    return wrong


register(
    Exercise(
        "21.2",
        "The gradient of unequal parts",
        kind=function(
            (_rows([2.0, -1.0], [8.0, 5.0]), [3, 1]),
            (_rows([1.0, 0.5], [-2.0, 4.0], [0.3, -6.0]), [10, 2, 5]),
            (_rows([1.5, 2.5]), [7]),
            returns=array(2, "the gradient, two numbers"),
        ),
        solution=whole_gradient,
        mistakes=[
            Mistake(
                "mean of means",
                _gradients(lambda g, n: g.mean(0)),
                "That is what DistributedDataParallel does by itself. A rank with few rows then "
                "counts as much as one with many.",
            ),
            Mistake(
                "sum of means",
                _gradients(lambda g, n: g.sum(0)),
                "A sum of means grows with the number of ranks.",
            ),
            Mistake(
                "not divided",
                _gradients(lambda g, n: n @ g),
                "That is the gradient of the sum of all losses. Divide by the number of rows.",
            ),
            Mistake(
                "divided by ranks",
                _gradients(lambda g, n: n @ g / len(n)),
                "You divide by the number of ranks. How many rows are there?",
            ),
            Mistake(
                "weights upside down",
                _gradients(lambda g, n: (1 / n) @ g / (1 / n).sum()),
                "Your small part has the large weight.",
            ),
            Mistake(
                "means taken for sums",
                _gradients(lambda g, n: g.sum(0) / n.sum()),
                "Each g is already a mean over its rows: give it its size back first.",
            ),
        ],
        hints=[
            "A mean over n rows, times n, is their sum.",
            "Add the sums of all ranks, then divide once, by the number of all rows.",
        ],
        otherwise="Try one number: means 2 and 10 of 3 rows and 1 row are 4 together.",
        meaning=(
            "With equal parts this is the mean of means. With unequal ones, and with masks or "
            "padding that leave unequal numbers of tokens, it is not."
        ),
    )
)


ORDERS = {  # of eight rows on two ranks: (epoch, rank) -> rows
    "A": {
        (0, 0): [4, 1, 7, 5],
        (0, 1): [3, 0, 2, 6],
        (1, 0): [2, 7, 3, 0],
        (1, 1): [5, 4, 6, 1],
    },
    "B": {
        (0, 0): [4, 1, 7, 5],
        (0, 1): [3, 0, 2, 6],
        (1, 0): [4, 1, 7, 5],
        (1, 1): [3, 0, 2, 6],
    },
    "C": {
        (0, 0): [4, 1, 7, 5],
        (0, 1): [6, 4, 0, 1],
        (1, 0): [2, 7, 3, 0],
        (1, 1): [0, 3, 7, 2],
    },
    "D": {
        (0, 0): [0, 2, 4, 6],
        (0, 1): [1, 3, 5, 7],
        (1, 0): [6, 0, 4, 2],
        (1, 1): [3, 7, 1, 5],
    },
}


def forgotten():
    def same(orders):
        return all(orders[0, rank] == orders[1, rank] for rank in (0, 1))

    (run,) = [name for name, orders in ORDERS.items() if same(orders)]
    return run


register(
    Exercise(
        "21.3",
        "Which run forgot set_epoch?",
        kind=one_of(*ORDERS),
        solution=forgotten,
        mistakes=[
            Mistake(
                "the healthy one",
                "A",
                "In A the second epoch has another order, and both ranks together have every row "
                "once. Nothing is wrong there.",
            ),
            Mistake(
                "other seeds on the ranks",
                "C",
                "In C the order changes from epoch to epoch. It has another fault: both ranks see "
                "the same rows, and some rows are seen by nobody.",
            ),
            Mistake(
                "parts that never mix",
                "D",
                "In D the order changes from epoch to epoch. It has another fault: each rank keeps "
                "its rows for ever, and shuffles only these.",
            ),
        ],
        hints=[
            "The sampler draws its order from seed + epoch. What does it draw if nobody tells it "
            "the epoch?",
            "Compare the second epoch of a rank with its first.",
        ],
        otherwise="Answer with one letter.",
        meaning=(
            "Without `sampler.set_epoch(epoch)` every epoch has the order of the first, and no "
            "error says so. Two of the others are ill, too: C has another seed on each rank, D "
            "shuffles after it has divided."
        ),
    )
)


def bytes_sent(parameters, ranks):
    size = 4 * parameters
    return 2 * (ranks - 1) / ranks * size


register(
    Exercise(
        "21.4",
        "Bytes of an all-reduce",
        kind=function((1_000_000, 2), (1_000_000, 8), (5000, 3), (250, 64)),
        solution=bytes_sent,
        mistakes=[
            Mistake(
                "one way around",
                lambda parameters, ranks: 4 * parameters * (ranks - 1) / ranks,
                "After one way around each part is complete on one rank only. It has to go around "
                "a second time.",
            ),
            Mistake(
                "all to one",
                lambda parameters, ranks: 4 * parameters * (ranks - 1),
                "That is what one rank receives if all send it everything. In a ring a rank sends "
                "a part of 1/R in each round.",
            ),
            Mistake(
                "everything to everybody",
                lambda parameters, ranks: 2 * 4 * parameters * (ranks - 1),
                "So much all R ranks send together. (Or did you send the whole gradient in each "
                "round?) One rank sends one part of R a round.",
            ),
            Mistake(
                "whole division",
                lambda parameters, ranks: 2 * (ranks - 1) * 4 * parameters // ranks,
                "Nearly: `//` drops what is left over. Divide by `/`: a part has parameters / R "
                "numbers on the average.",
            ),
            Mistake(
                "R rounds",
                lambda parameters, ranks: 2 * 4 * parameters,
                "A part that has passed R - 1 links has been everywhere: R - 1 rounds, not R.",
            ),
            Mistake(
                "numbers, not bytes",
                lambda parameters, ranks: 2 * (ranks - 1) / ranks * parameters,
                "You count numbers. A float32 has 4 bytes.",
            ),
            Mistake(
                "float64",
                lambda parameters, ranks: 2 * (ranks - 1) / ranks * 8 * parameters,
                "The gradient is float32, with 4 bytes a number.",
            ),
            Mistake(
                "whole parts, rounded down",
                lambda parameters, ranks: 2 * (ranks - 1) * (parameters // ranks) * 4,
                "You drop what is left over when the gradient is cut. Count a part as parameters / "
                "R, on the average.",
            ),
            Mistake(
                "whole parts, rounded up",
                lambda parameters, ranks: 2 * (ranks - 1) * -(-parameters // ranks) * 4,
                "You fill up the parts to whole numbers. Count a part as parameters / R, on the "
                "average.",
            ),
            Mistake(
                "bits",
                lambda parameters, ranks: 2 * (ranks - 1) / ranks * 32 * parameters,
                "You count bits.",
            ),
        ],
        hints=[
            "The gradient is cut into R parts. In each round every rank sends one part on.",
            "R - 1 rounds until every part is summed, R - 1 more until everybody has it.",
        ],
        otherwise="Two ranks: each sends one half, gets it summed, and sends the other half on.",
        meaning=(
            "It is one gradient with two ranks, and below two with any number. The messages grow "
            "without a bound: 2 (R - 1) of them, one after the other."
        ),
    )
)


def sweep(U, coarse, fine):
    new = [U[0]]
    for n in range(len(U) - 1):
        new.append(coarse(new[n]) + fine(U[n]) - coarse(U[n]))
    return new


def _swept(rule):
    """A wrong answer: rule(new, old, coarse, fine) gives the next value."""

    def wrong(U, coarse, fine):
        new = [U[0]]
        for n in range(len(U) - 1):
            new.append(rule(new[n], U[n], coarse, fine))
        return new

    return wrong


def _shifted(U, coarse, fine, by):
    """A wrong answer: the correction of a slab beside."""
    new = [U[0]]
    for n in range(len(U) - 1):
        new.append(coarse(new[n]) + fine(U[n + by]) - coarse(U[n + by]))
    return new


def _double_and_one(y):
    return 2 * y + 1


def _square(y):
    return y**2 / 4


def _down(y):
    return 0.5 * y


def _to_rest(y):
    return 0.6 * y - 0.1 * y**2


register(
    Exercise(
        "21.5",
        "One iteration of parareal",
        kind=function(
            ([1.0, 0.5, 0.25, 0.125], _down, _to_rest),
            ([2.0, 1.0, 3.0], _double_and_one, _square),
            returns=array((None,), "a list with as many states as U has"),
        ),
        solution=sweep,
        mistakes=[
            Mistake(
                "fine on new values",
                _swept(lambda new, old, coarse, fine: coarse(new) + fine(new) - coarse(old)),
                "You apply the fine solver to the new state. Then each slab waits for the one "
                "before, and nothing is parallel. Apply it to the old one.",
            ),
            Mistake(
                "the fine solver alone",
                _swept(lambda new, old, coarse, fine: fine(new)),
                "That is the fine solver, one slab after the other.",
            ),
            Mistake(
                "wrong sign",
                _swept(lambda new, old, coarse, fine: coarse(old) + fine(old) - coarse(new)),
                "The coarse difference has the wrong sign: it is that of new minus old.",
            ),
            Mistake(
                "the next slab's correction",
                lambda U, coarse, fine: _shifted(U, coarse, fine, 1),
                "You correct slab n by what the coarse solver got wrong from U[n + 1]. It starts "
                "from U[n].",
            ),
            Mistake(
                "the last slab's correction",
                lambda U, coarse, fine: _shifted(U, coarse, fine, -1),
                "You correct slab n by what the coarse solver got wrong from U[n - 1]. It starts "
                "from U[n].",
            ),
            Mistake(
                "no correction",
                _swept(lambda new, old, coarse, fine: fine(old)),
                "The slabs are solved, but what changed before them is not passed on: the first "
                "coarse value has to be that of the new state. (Of the old one it cancels.)",
            ),
            Mistake(
                "coarse alone",
                _swept(lambda new, old, coarse, fine: coarse(new)),
                "That is the coarse solver again. Where does the fine one enter?",
            ),
            Mistake(
                "coarse on old values, twice",
                _swept(lambda new, old, coarse, fine: fine(old) + coarse(old)),
                "One coarse value is to be taken away: that of the old state.",
            ),
            Mistake(
                "without the start",
                lambda U, coarse, fine: sweep(U, coarse, fine)[1:],
                "The start belongs to the list: it is new[0], and does not change.",
            ),
        ],
        hints=[
            "`new = [U[0]]`, and then one state after the other.",
            "For each slab: coarse of the new state, plus fine minus coarse of the old one.",
        ],
        otherwise="Test it: if coarse and fine are the same function, it is that function's path.",
        meaning=(
            "All `fine(U[n])` can be computed at once, since U is known. After k iterations the "
            "first k slabs are exact."
        ),
    )
)
