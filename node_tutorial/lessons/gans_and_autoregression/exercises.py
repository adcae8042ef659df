"""Exercises of lesson 18: an invariant, the best discriminator, another order, a mask, a cache."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ...course.answers import array, function
from ...course.exercises import Exercise, Mistake, register
from ...data.ising import Ising


def kept(x, y, h):
    # (x, y) -> (x - h y, y + h (x - h y)): put both into the quadratic, and nothing changes.
    return x**2 + y**2 - h * x * y


register(
    Exercise(
        "18.1",
        "What taking turns keeps",
        kind=function((1.0, 2.0, 0.1), (-0.5, 1.5, 0.4), (0.3, 0.2, 1.0), (2.0, -1.0, 0.7)),
        solution=kept,
        mistakes=[
            Mistake(
                "circle",
                lambda x, y, h: x**2 + y**2,
                "That is kept by the exact flow. Taking turns with h = 1 sends (1, 0) to (1, 1).",
            ),
            Mistake(
                "sign",
                lambda x, y, h: x**2 + y**2 + h * x * y,
                "Nearly: this is kept if y moves first. Here x does. Try one step from (1, 0).",
            ),
            Mistake(
                "twice",
                lambda x, y, h: x**2 + y**2 - 2 * h * x * y,
                "The mixed term is too large. Try one step from (1, 0), and compare.",
            ),
            Mistake(
                "h squared",
                lambda x, y, h: x**2 + y**2 - h**2 * x * y,
                "The mixed term is of first order in h. Try one step from (1, 0).",
            ),
            Mistake(
                "twice the form",
                lambda x, y, h: 2 * (x**2 + y**2 - h * x * y),
                "Yours is kept. But it is to start with x**2 + y**2, with no factor before it.",
            ),
            Mistake(
                "what Euler does",
                lambda x, y, h: (1 + h**2) * (x**2 + y**2),
                "That is the square of the norm after a simultaneous step. It is not kept.",
            ),
        ],
        hints=[
            "One step: x becomes x - h y, then y becomes y + h times the new x.",
            "Try x**2 + y**2 + c x y with a number c that may depend on h, from (1, 0).",
            "From (1, 0) you get to (1, h): so 1 = 1 + h**2 + c h.",
        ],
        otherwise=(
            "Take a step by hand: your function must have the same value before and after. It is "
            "to start with x**2 + y**2, with no factor before it."
        ),
        meaning=(
            "An ellipse, passed through for ever: the mark of semi-implicit Euler (lesson 09 will "
            "call it symplectic). Simultaneous steps keep nothing: their norm grows."
        ),
    )
)


def value_of_the_best(p, q):
    d = p / (p + q)
    return (p * d.log() + q * (1 - d).log()).sum()


def _value(best: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """The value of another discriminator."""

    def wrong(p, q):
        d = best(p, q)
        return (p * d.log() + q * (1 - d).log()).sum()

    return wrong


def _js(p: Tensor, q: Tensor) -> Tensor:
    m = (p + q) / 2
    return ((p * (p / m).log()).sum() + (q * (q / m).log()).sum()) / 2


_PAIRS = tuple(
    (torch.tensor(p, dtype=torch.float64), torch.tensor(q, dtype=torch.float64))
    for p, q in (
        ([0.5, 0.3, 0.2], [0.1, 0.3, 0.6]),
        ([0.9, 0.1], [0.2, 0.8]),
        ([0.25, 0.25, 0.3, 0.2], [0.4, 0.3, 0.2, 0.1]),
    )
)

register(
    Exercise(
        "18.2",
        "The best discriminator's value",
        kind=function(*_PAIRS),
        solution=value_of_the_best,
        mistakes=[
            Mistake(
                "log 4 forgotten",
                lambda p, q: 2 * _js(p, q),
                "For p = q your value is 0. But then D = 1/2 everywhere, and log(1/2) is not 0.",
            ),
            Mistake("JS", _js, "That is a distance, 0 for p = q. The value V(D) is asked for."),
            Mistake(
                "p/q",
                _value(lambda p, q: (p / q).clamp(1e-6, 1 - 1e-6)),
                "D is a probability; p / q can be 5. "
                "What share of all points at this place are data?",
            ),
            Mistake(
                "other way round",
                _value(lambda p, q: q / (p + q)),
                "Your D is high where samples are. It should be high where data are.",
            ),
            Mistake(
                "loss for value",
                lambda p, q: -value_of_the_best(p, q),
                "That is the discriminator's loss. V, which it maximizes, has the other sign.",
            ),
            Mistake(
                "bits",
                lambda p, q: value_of_the_best(p, q) / math.log(2),
                "That is in bits. V has natural logarithms.",
            ),
            Mistake(
                "JS once",
                lambda p, q: _js(p, q) - math.log(4),
                "JS is the mean of two KL divergences. V has their sum.",
            ),
            Mistake(
                "JS twice",
                lambda p, q: 4 * _js(p, q) - math.log(4),
                "You count JS twice: it is the mean of two KL divergences, and V has their sum.",
            ),
            Mistake(
                "data alone",
                lambda p, q: (p * (p / (p + q)).log()).sum(),
                "That is E_p[log D]. Samples count too: add E_q[log(1 - D)].",
            ),
            Mistake(
                "samples alone",
                lambda p, q: (q * (q / (p + q)).log()).sum(),
                "That is E_q[log(1 - D)]. Data count too: add E_p[log D].",
            ),
            Mistake(
                "not weighted",
                lambda p, q: ((p / (p + q)).log() + (q / (p + q)).log()).sum(),
                "An expectation weighs each place: with p for data, with q for samples.",
            ),
            Mistake(
                "mean of the two",
                lambda p, q: value_of_the_best(p, q) / 2,
                "V is the sum of the two expectations, not their mean.",
            ),
        ],
        hints=[
            "At each place by itself: which D makes p log D + q log(1 - D) largest?",
            "Set the derivative p/D - q/(1 - D) to zero.",
            "Put D = p/(p + q) into V, and sum over the places.",
        ],
        otherwise="Test: for p = q it is -log 4; for p and q with no place in common it is 0.",
        meaning=(
            "-log 4 + 2 JS(p, q). A discriminator's loss of log 4 = 1.386 says that it cannot "
            "tell; whether p = q, or the net is too weak or too slow, it does not say."
        ),
    )
)

_ISING = Ising()


def _asked(conditional: Callable[..., float]) -> Callable[..., float]:
    """A conditional that says what is wrong with a question about what is known."""

    def ask(known: dict[int, int], place: int, value: int) -> float:
        if place in known:
            raise ValueError(
                f"place {place} is in `known` already: ask first, then put it in; and `known` "
                "holds places, not turns"
            )
        return conditional(known, place, value)

    return ask


def _of_no_joint(known: dict[int, int], place: int, value: int) -> float:
    """As of a net: a distribution for each order, but not the same one for all."""
    pull = sum((2 * v - 1) * 0.9 / (1 + abs(k - place)) for k, v in known.items())
    p = 1 / (1 + math.exp(-0.3 - 0.4 * place - pull))
    return p if value else 1 - p


_CONDITIONAL = _asked(_ISING.conditional)
_LEARNED = _asked(_of_no_joint)


def log_joint(conditional, x, order):
    known: dict[int, int] = {}
    total = 0.0
    for place in order:
        total += math.log(conditional(known, place, x[place]))
        known[place] = x[place]
    return total


def _joint(
    keep: int | None = None, value_of_all: int | None = None, power: bool = True
) -> Callable[..., float]:
    """A wrong sum: only the last `keep` entries are known."""

    def wrong(conditional, x, order):
        known: dict[int, int] = {}
        total = 0.0
        for place in order:
            value = x[place] if value_of_all is None else value_of_all
            seen = known if keep is None else dict(list(known.items())[len(known) - keep :])
            if keep is not None and len(known) < keep:
                seen = known
            total += math.log(conditional(seen, place, value))
            known[place] = x[place]
        return total if power else math.exp(total)

    return wrong


def _placed_by_order(conditional, x, order):
    known: dict[int, int] = {}
    total = 0.0
    for i, place in enumerate(order):
        total += math.log(conditional(known, place, x[i]))
        known[place] = x[i]
    return total


register(
    Exercise(
        "18.3",
        "Another order",
        kind=function(
            (_CONDITIONAL, (1, 1, 1, 1), (0, 3, 1, 2)),
            (_CONDITIONAL, (1, 0, 0, 0), (3, 1, 0, 2)),
            (_LEARNED, (0, 1, 1, 0), (2, 0, 3, 1)),
            (_LEARNED, (0, 0, 1, 1), (1, 3, 0, 2)),
        ),
        solution=log_joint,
        mistakes=[
            Mistake(
                "nothing known",
                _joint(keep=0),
                "You multiply as if the spins were independent: each spin alone is a fair coin. "
                "What is known already has to go into `known`.",
            ),
            Mistake(
                "only the last known",
                _joint(keep=1),
                "You know the entry just before only. The chain rule conditions on all of them.",
            ),
            Mistake(
                "raster order",
                lambda conditional, x, order: log_joint(conditional, x, sorted(order)),
                "You take the places as they are numbered. Take them as `order` has them: factors "
                "of a net need not fit together in another order.",
            ),
            Mistake(
                "product",
                _joint(power=False),
                "That is the probability. Its logarithm is asked for: a sum.",
            ),
            Mistake(
                "value by turn",
                _placed_by_order,
                "You take the values in the order of the turns. The spin at `place` is `x[place]`.",
            ),
            Mistake(
                "always up",
                _joint(value_of_all=1),
                "You ask for the probability of a 1 at each place. Ask for that of `x[place]`.",
            ),
        ],
        hints=[
            "Start with `known = {}` and `total = 0`.",
            "For each place in the order: add log of `conditional(known, place, x[place])`, "
            "then put the place into `known`.",
        ],
        otherwise=(
            "Test: with `ising.conditional` the sum has to agree with `ising.log_prob` of x, "
            "whatever the order."
        ),
        meaning=(
            "Of one joint distribution, factors in any order have the same product. Those that a "
            "net has learned need not: so it keeps the order with which it was trained."
        ),
    )
)


def attention(scores):
    t = len(scores)
    later = torch.ones(t, t, dtype=torch.bool).triu(1)
    return scores.masked_fill(later, -math.inf).softmax(-1)


def _weights(diagonal: int = 1, fill: float = -math.inf, dim: int = -1) -> Callable[..., Tensor]:
    """Wrong weights; every argument is one mistake."""

    def wrong(scores):
        hidden = torch.ones(len(scores), len(scores), dtype=torch.bool).triu(diagonal)
        return scores.masked_fill(hidden, fill).softmax(dim).nan_to_num(0.0)

    return wrong


def _after(scores: Tensor) -> Tensor:
    return scores.softmax(-1).tril()


def _transposed(scores: Tensor) -> Tensor:
    hidden = torch.ones(len(scores), len(scores), dtype=torch.bool).tril(-1)
    return scores.masked_fill(hidden, -math.inf).softmax(-1)


_SCORES = tuple(
    (torch.randn(t, t, generator=torch.Generator().manual_seed(t), dtype=torch.float64),)
    for t in (3, 4, 6)
)

register(
    Exercise(
        "18.4",
        "The causal mask",
        kind=function(*_SCORES, returns=array((None, None), "weights (T, T)")),
        solution=attention,
        mistakes=[
            Mistake(
                "strict diagonal",
                _weights(diagonal=0),
                "Your first row may look nowhere (NaN). The inputs are shifted: place i holds "
                "entry i - 1, so it may look at itself.",
            ),
            Mistake(
                "loose diagonal",
                _weights(diagonal=2),
                "Each place sees one ahead: the entry that it has to predict. The bits would "
                "fall below the entropy.",
            ),
            Mistake(
                "0 for minus infinity",
                _weights(fill=0.0),
                "A score of 0 is a score like others: e**0 = 1. Most of the first row leaks.",
            ),
            Mistake(
                "wrong axis",
                _weights(dim=0),
                "Your columns sum to one. A place that looks is a row, and its weights sum to one.",
            ),
            Mistake(
                "masked after softmax",
                _after,
                "Rows no longer sum to one, and the later scores are still in the denominator.",
            ),
            Mistake(
                "transposed",
                _transposed,
                "Your places look ahead only. Row i may look at columns 0 to i.",
            ),
            Mistake(
                "no mask",
                lambda scores: scores.softmax(-1),
                "Every place sees all: right for an encoder, a leak for a likelihood.",
            ),
        ],
        hints=[
            "Which scores must not count? Those in row i and column j > i.",
            "`scores.masked_fill(later, -math.inf)` before the softmax makes their weights 0.",
            "`torch.ones(t, t, dtype=torch.bool).triu(1)` is True where j > i.",
        ],
        otherwise=(
            "Is there a NaN? Then a row may look nowhere (place i may look at itself), or 0 was "
            "multiplied by infinity: fill, do not multiply. Else test: rows sum to one, all above "
            "the diagonal is 0, the first row is 1, 0, 0..."
        ),
        meaning=(
            "Whether a mask is right is not seen in a loss curve: a leak makes it better. "
            "The leak test, a gradient that is exactly 0, sees it."
        ),
    )
)


def cached_step(token, places, parts, keys, values):
    x = token + places[len(keys)]
    query, key, value = (x @ part for part in parts)
    keys = torch.cat([keys, key[None]])
    values = torch.cat([values, value[None]])
    weights = (keys @ query / math.sqrt(len(query))).softmax(0)
    return weights @ values


def _step(
    place: Callable[[int], int] = lambda n: n,
    divisor: Callable[[int, int], float] = lambda width, n: math.sqrt(width),
    exchanged: bool = False,
    transposed: bool = False,
    appended: bool = True,
    first_only: bool = False,
    embedded: bool = True,
    key_made: bool = True,
) -> Callable[..., Tensor]:
    """A wrong step; every argument is one mistake."""

    def wrong(token, places, parts, keys, values):
        x = token + places[place(len(keys))] if embedded else token
        query, key, value = (part @ x if transposed else x @ part for part in parts)
        if not key_made:
            key = x
        if exchanged:
            query, key = key, query
        if appended:
            keys = torch.cat([keys, key[None]])
            values = torch.cat([values, value[None]])
        scores = keys @ query / divisor(len(query), len(keys))
        return values[0] if first_only else scores.softmax(0) @ values

    return wrong


def _probe(n: int, width: int) -> tuple[Tensor, ...]:
    chance = torch.Generator().manual_seed(10 * n + width)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=chance, dtype=torch.float64)

    places = draw(8, width)
    parts = draw(3, width, width) / math.sqrt(width)
    past = draw(n, width) + places[:n]
    return draw(width), places, parts, past @ parts[1], past @ parts[2]


register(
    Exercise(
        "18.5",
        "One step with a memory",
        # In no probe the width is a number of places: another divisor must show.
        kind=function(_probe(3, 6), _probe(5, 4), returns=array((None,), "a vector (width,)")),
        solution=cached_step,
        mistakes=[
            Mistake(
                "first place again",
                _step(place=lambda n: 0),
                "The place does not advance: your token always stands at place 0.",
            ),
            Mistake(
                "place one behind",
                _step(place=lambda n: n - 1),
                "Count: with n keys in the memory the new token stands at place n, from 0.",
            ),
            Mistake(
                "place one ahead",
                _step(place=lambda n: n + 1),
                "Count: the n keys in the memory stand at places 0 to n - 1. Which comes next?",
            ),
            Mistake(
                "no place",
                _step(embedded=False),
                "The vector of the place is missing: without it attention sees a set, no sequence.",
            ),
            Mistake(
                "itself not in the memory",
                _step(appended=False),
                "The new token must be able to look at itself: "
                "its key and value join the memory first.",
            ),
            Mistake(
                "mask on one query",
                _step(first_only=True),
                "A causal mask made for one query lets it see the first place only. "
                "The newest place may see all: no mask is needed.",
            ),
            Mistake(
                "not scaled",
                _step(divisor=lambda width, n: 1.0),
                "Divide the scores by the root of the width: unscaled, softmax nearly picks one.",
            ),
            Mistake(
                "scaled by the length",
                _step(divisor=lambda width, n: math.sqrt(n)),
                "The root of the width, not of the number of places: the spread of a score grows "
                "with the entries that it sums.",
            ),
            Mistake(
                "divided by the width",
                _step(divisor=lambda width, n: float(width)),
                "Divide by the *root* of the width: a sum of that many products has that spread.",
            ),
            Mistake(
                "token for its key",
                _step(key_made=False),
                "The memory holds keys, not embeddings: put in `x @ parts[1]`, not `x`.",
            ),
            Mistake(
                "query and key exchanged",
                _step(exchanged=True),
                "The first of `parts` makes the query, the second the key, the third the value.",
            ),
            Mistake(
                "part @ x",
                _step(transposed=True),
                "`x @ part`, not `part @ x`: the memory was made with rows times matrices.",
            ),
        ],
        hints=[
            "`x = token + places[n]`, with n the number of keys that are there.",
            "Query, key and value are `x @ part`; the key and the value are put after the others.",
            "Weights: softmax of `keys @ query / sqrt(width)`; the output is `weights @ values`.",
        ],
        otherwise="Compare with attention over all places at once, its last row.",
        meaning=(
            "Each place passes through the net once: 64 for a digit of 64 pixels, and not 2080. "
            "The memory grows with the sequence; that is its price."
        ),
    )
)
