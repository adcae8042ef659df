"""Facts that lesson 18 relies on: games, distances on a line, leaks, snippets, stored runs."""

import itertools
import math
import statistics

import numpy as np
import pytest
import torch

from node_tutorial import exercises
from node_tutorial.data.ising import Ising
from node_tutorial.lessons.gans_and_autoregression import bug, one_hump, runs
from node_tutorial.lessons.gans_and_autoregression.causal_mask import compute as causal_mask
from node_tutorial.lessons.gans_and_autoregression.game import RULES, describe
from node_tutorial.lessons.gans_and_autoregression.game import compute as game
from node_tutorial.lessons.gans_and_autoregression.pixel_by_pixel import completed
from node_tutorial.lessons.gans_and_autoregression.pixel_by_pixel import compute as pixel_by_pixel
from node_tutorial.lessons.gans_and_autoregression.two_gaussians import compute as two_gaussians
from node_tutorial.models.causal_nets import influence
from node_tutorial.models.gan import LOSSES
from node_tutorial.training import fit

f64 = torch.float64


# -- the game --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ("simultaneous", "spiral out"),
        ("in turn", "go round"),
        ("extragradient", "come closer"),
        ("rk4", "go round"),
    ],
)
@pytest.mark.parametrize("h", [0.05, 0.1, 0.2])
def test_each_rule_has_its_verdict(rule, verdict, h):
    assert verdict in describe(game(rule, h, 0.0, 25))


def test_the_distance_is_that_of_the_closed_form_for_every_h():
    for rule, h in itertools.product(RULES, (0.05, 0.3, 1.0)):
        data = game(rule, h, 0.0, 25)
        if data.expected is not None:
            assert float(data.norms[-1]) == pytest.approx(data.expected, rel=1e-9)
    assert game("in turn", 0.1, 0.0, 25).expected is None


def test_euler_settles_only_if_the_penalty_is_above_the_learning_rate():
    """The determinant of a step is 1 - h penalty + h^2."""
    for h in (0.1, 0.3, 0.5):
        for penalty, grows in ((0.5 * h, True), (1.5 * h, False)):
            norms = game("simultaneous", h, penalty, 25).norms
            assert (norms[-25:].max() > norms[:25].max()) == grows
            step = torch.tensor([[1, -h], [h, 1 - h * penalty]], dtype=f64)
            assert float(torch.linalg.det(step)) == pytest.approx(1 - h * penalty + h**2)


# -- two densities ---------------------------------------------------------------------------------


def test_the_shift_panel_has_the_values_of_quadrature_at_fifty_digits():
    table = {
        1.0: (0.1114214822, 0.198986, -1.16345140),
        2.0: (0.3368308203, 0.224800, -0.71263272),
        4.0: (0.6327201937, 0.068597, -0.12085397),
        8.0: (0.6930536455, 0.000196437, -0.00018707),
    }
    for mu, (js, slope, value) in table.items():
        data = two_gaussians(mu, 1.0)
        assert data.js == pytest.approx(js, abs=1e-8)
        assert data.js_slope == pytest.approx(slope, rel=1e-3, abs=1e-7)
        assert 2 * data.js - math.log(4) == pytest.approx(value, abs=1e-7)
        assert data.w1 == pytest.approx(mu, abs=1e-5)
    wide = two_gaussians(1.0, 0.5)
    assert (wide.js, wide.w1) == pytest.approx((0.2239837765, 1.0084907026), abs=1e-5)


def test_the_slope_of_js_is_largest_near_one_and_a_half():
    shifts = np.linspace(0, 8, 41)
    assert shifts[two_gaussians(2.0, 1.0).curves.js_slope.argmax()] == pytest.approx(1.6)


def test_js_covers_both_humps_and_the_reverse_kl_takes_one():
    found = one_hump.compare(2.0)
    covering, one = found["covering"], found["one hump"]
    assert (covering.js, one.js) == pytest.approx((0.200963, 0.215728), abs=1e-5)
    assert (covering.reverse_kl, one.reverse_kl) == pytest.approx((1.871197, 0.693053), abs=1e-5)
    assert covering.std == pytest.approx(2.0424, abs=1e-3)


def test_of_humps_that_are_farther_apart_js_takes_one_too():
    """One hump tends to 3/4 log(4/3), covering to log 2."""
    for a in (2.2, 3.0):
        covering, one = one_hump.compare(a).values()
        assert covering.js > one.js == pytest.approx(0.75 * math.log(4 / 3), abs=2e-4)


def test_a_saturated_loss_pulls_a_hundredth_of_the_other():
    slopes = {}
    for name in ("minimax", "non-saturating"):
        logit = torch.tensor([math.log(0.01 / 0.99)], dtype=f64, requires_grad=True)
        LOSSES[name].generator(logit).backward()
        slopes[name] = float(logit.grad)
    assert slopes == pytest.approx({"minimax": -0.01, "non-saturating": -0.99})


def test_parallel_lines_have_js_log_2_at_any_distance_and_w1_the_distance():
    """Two places without common mass: D* is 1 and 0, V = 0, so that JS = log 2."""
    value = exercises.find("18.2").solution
    p = torch.tensor([1.0, 1e-12], dtype=f64)
    assert float(value(p, p.flip(0)) + math.log(4)) / 2 == pytest.approx(math.log(2), abs=1e-9)


# -- masks, leaks, snippets ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "hidden", "shifted", "leaks"),
    [
        (0, "minus infinity", True, 0),
        (-1, "minus infinity", True, 0),
        (1, "minus infinity", True, 7),
        (0, "minus infinity", False, 8),
        (-1, "minus infinity", False, 6),  # by the query, which is made of the entry itself
        (0, "0", True, 28),
    ],
)
def test_only_a_causal_mask_on_shifted_inputs_has_no_leaks(offset, hidden, shifted, leaks):
    assert causal_mask(offset, hidden, shifted).leaks == leaks


def test_three_quarters_of_the_first_row_leak_where_equal_scores_are_hidden_by_0():
    scores = torch.zeros(4, 4, dtype=f64)
    hidden = scores.masked_fill(torch.ones(4, 4).triu(1).bool(), 0.0).softmax(-1)
    assert float(hidden[0, 1:].sum()) == pytest.approx(0.75)


def test_scores_that_are_not_scaled_make_softmax_pick_one():
    picked = [torch.tensor([x, 0.0], dtype=f64).softmax(0)[0].item() for x in (8.0, 1.0)]
    assert picked == pytest.approx([0.99966, 0.7311], abs=1e-4)


def test_the_faults_of_the_gans_snippet_have_their_symptoms():
    found = bug.gan_faults()
    assert (found.lowest, found.highest) == pytest.approx((0.5, 0.731059), abs=1e-6)
    assert found.least_loss == pytest.approx(1.006409, abs=1e-6)
    assert found.slope == pytest.approx(0.0944, abs=1e-4)
    assert found.reachable < 1e-3 and found.generator_helps < 0
    assert found.grown == pytest.approx(2)


def test_the_faults_of_the_transformers_snippet_have_their_symptoms():
    found = bug.transformer_faults()
    assert found.least_loss == pytest.approx(math.log(1 + 9 / math.e), abs=1e-9)
    assert found.shuffled < 1e-5
    assert min(found.own, found.later, found.again) > 1e-3
    assert len(bug.symptoms()) == 11


# -- pixels ----------------------------------------------------------------------------------------


def test_the_stored_transformer_does_not_leak_and_sums_to_one_over_its_next_pixel():
    net = runs.transformer().net
    assert influence(net, runs.pixels().test[:3]).triu().abs().max() == 0
    data = pixel_by_pixel(3, 3, 1.0, 17, 44)
    assert float(data.net.sum()) == pytest.approx(1, abs=1e-5)
    assert torch.allclose(data.net, data.drawn_from)


def test_the_panel_narrows_what_it_draws_from_and_keeps_the_given_rows():
    data = pixel_by_pixel(3, 3, 0.5, 4, 44)
    assert int((data.drawn_from > 0).sum()) == 4
    assert data.drawn_from.max() > data.net.max()
    x, bits = completed(3, 3, 0.5, 4)
    assert (x[:, :24] == x[0, :24]).all() and (x[:, 24:] != x[0, 24:]).any()
    again = runs.transformer().log_factors(x) / -math.log(2)
    assert torch.allclose(bits, again, atol=1e-3)


def test_a_memory_gives_the_same_draws_for_a_place_each():
    kept, anew = (runs.counted_draw(cached) for cached in (True, False))
    assert torch.equal(kept.x, anew.x)
    assert (kept.places, anew.places) == (64, 64 * 64)
    assert sum(range(1, 65)) == 2080  # if only the places that are needed are computed anew
    with torch.no_grad():
        again = runs.transformer().log_prob(kept.x)
    assert torch.allclose(kept.log_prob, again, atol=1e-3)


def test_gray_pixels_are_the_expensive_ones():
    x = runs.pixels().test
    with torch.no_grad():
        bits = runs.transformer().log_factors(x) / -math.log(2)
    white, gray, black = (bits[mask].mean() for mask in (x == 0, (x > 0) & (x < 16), x == 16))
    assert white < 0.5 and 1 < black < 2 and gray > 3.5


def test_the_counting_models_have_their_bits():
    found = runs.counted_bits(torch.cat(runs.pixels()[:2]))
    assert found["uniform"] == pytest.approx(4.0875, abs=1e-4)
    assert found["one histogram"] == pytest.approx(2.984, abs=1e-3)
    assert found["64 histograms"] == pytest.approx(2.433, abs=1e-3)
    assert 2.1 < found["place, neighbors"] < found["two neighbors"] < 2.4


def test_the_parts_of_the_digits_do_not_overlap():
    x, held_out, test = runs.pixels()
    assert len(x) + len(held_out) + len(test) == 1797 and len(held_out) == runs.HELD_OUT
    rows = {tuple(row) for row in x.tolist()}
    assert sum(tuple(row) in rows for row in held_out.tolist()) <= 2  # images that occur twice


# -- stored runs -----------------------------------------------------------------------------------


def numbers(kind):
    found = runs.RUNS.numbers()
    return {name.partition("/")[2]: row for name, row in found.items() if name.startswith(kind)}


def test_the_nets_have_the_same_budget_and_the_same_tuning():
    for row in numbers("pixels").values():
        assert len(row["bits"]) == len(runs.SEEDS)
        assert list(row["held out"]) == [str(rate) for rate in runs.RATES]
        assert str(row["rate"]) == min(row["held out"], key=row["held out"].get)
        assert all(s == pytest.approx(runs.SECONDS, rel=0.02) for s in row["seconds"])
        assert all(0 < a <= b for a, b in zip(row["stopped"], row["updates"]))


def test_every_net_beats_one_histogram_for_each_place_and_none_is_below_its_training_bits():
    place = runs.counted_bits(runs.pixels().x)["64 histograms"]
    for row in numbers("pixels").values():
        assert max(row["bits"]) < place - 0.1
        assert all(test > train for test, train in zip(row["bits"], row["train bits"]))


def test_a_loss_at_log_4_does_not_tell_a_good_gan_from_a_collapsed_one():
    rings = numbers("rings")
    for name in ("non-saturating", "minimax", "R1", "fast, R1"):
        assert all(abs(loss - math.log(4)) < 0.02 for loss in rings[name]["discriminator"])
    assert min(rings["non-saturating"]["modes"]) == 8 and max(rings["fast, R1"]["modes"]) <= 2


def test_a_fresh_discriminator_sees_the_collapse():
    for name in ("fast generator", "fast, R1"):
        assert runs.fresh_loss(name) < 0.5
    for name in ("non-saturating", "minimax"):
        assert runs.fresh_loss(name) > 0.9


def test_a_fast_generator_loses_modes_and_twenty_steps_of_d_bring_them_back():
    rings = numbers("rings")
    lost = rings["fast generator"]
    assert max(lost["modes"]) <= 4
    cured = rings["fast, 20 steps of D"]
    assert min(cured["modes"]) == 8 and max(cured["energy"]) < 0.2 * min(lost["energy"])
    assert runs.hops().min() > runs.RADIUS


def test_a_film_is_stored_where_one_is_shown_and_else_its_end():
    for name in runs.WAYS:
        moments = len(runs.MOMENTS) if name in runs.FILMED else 1
        assert runs.RUNS.arrays()[f"rings/{name}/film"].shape == (moments, 400, 2)


def test_the_critic_needs_its_penalty():
    rings = numbers("rings")
    free, held = rings["Wasserstein, free"], rings["Wasserstein, penalty"]
    assert max(free["modes"]) <= 1 and min(held["modes"]) == 8
    assert statistics.median(held["energy"]) == min(
        statistics.median(row["energy"]) for name, row in rings.items() if name != "null"
    )


def test_two_sets_of_true_draws_are_nearer_than_any_gan():
    rings = numbers("rings")
    null = rings.pop("null")
    assert abs(null["mean"]) < null["std"]
    assert min(min(row["energy"]) for row in rings.values()) > 4 * null["std"]


def test_a_run_of_every_kind_measures_what_is_stored_of_it(monkeypatch):
    """In trainings of a few updates."""
    monkeypatch.setattr(runs, "RATES", (1e-3, 1e-2))
    of_seconds = runs.train_pixels
    monkeypatch.setattr(
        runs, "train_pixels", lambda name, rate, seed: of_seconds(name, rate, seed, seconds=0.1)
    )
    monkeypatch.setattr(runs, "GAN_STEPS", 12)
    monkeypatch.setattr(runs, "MOMENTS", (4, 12))
    monkeypatch.setattr(runs, "SAMPLES", 100)
    short = runs.train_gan
    monkeypatch.setattr(
        runs, "train_gan", lambda setting, seed, **more: short(setting, seed, 12, **more)
    )
    for name in ("pixels/Transformer", "pixels/masked MLP", "rings/hinge", "rings/null"):
        run = runs.RUNS.results[name]
        found = run.make(run.settings, run.seeds[:2])
        arrays = {key for key, value in found.items() if isinstance(value, np.ndarray)}
        assert found.keys() - arrays == runs.RUNS.numbers()[name].keys()
        stored = {key.rpartition("/") for key in runs.RUNS.arrays()}
        assert arrays == {key for result, _, key in stored if result == name}


def test_a_gan_trains_the_generator_at_its_own_rate():
    gan, history = runs.train_gan(runs.FAST, 0, 4)
    assert len(history) == 4
    other, _ = runs.train_gan(runs.FAST._replace(generator_rate=1e-5), 0, 4)
    start = runs.make_gan(runs.FAST, 0)

    def moved(one):
        pairs = zip(one.generator.parameters(), start.generator.parameters())
        return max(float((a - b).abs().max().detach()) for a, b in pairs)

    assert moved(gan) > 100 * moved(other) > 0


# -- exercises: right answers in other forms, and wrong ones ---------------------------------------


def turns(x, y, h):
    """Twice the generating function of the step, written with matrices."""
    form = np.array([[1, -h / 2], [-h / 2, 1]])
    return np.array([x, y]) @ form @ np.array([x, y])


def by_logits(p, q):
    logit = p.log() - q.log()
    sigmoid = torch.nn.functional.logsigmoid
    return float((p * sigmoid(logit) + q * sigmoid(-logit)).sum())


def by_js(p, q):
    m = (p + q) / 2
    js = ((p * (p / m).log()).sum() + (q * (q / m).log()).sum()) / 2
    return 2 * js.item() - math.log(4)


def by_joint(conditional, x, order):
    return Ising().log_prob(torch.tensor(x))


def by_product(conditional, x, order):
    product = 1.0
    for i, place in enumerate(order):
        product *= conditional({k: x[k] for k in order[:i]}, place, x[place])
    return np.log(product)


def by_recursion(conditional, x, order):
    if not order:
        return 0.0
    *before, last = order
    factor = conditional({k: x[k] for k in before}, last, x[last])
    return by_recursion(conditional, x, before) + math.log(factor)


def by_arrays(conditional, x, order):
    asked = [{int(k): x[k] for k in order[:i]} for i in range(len(order))]
    factors = [conditional(known, place, x[place]) for known, place in zip(asked, order)]
    return torch.tensor(factors).log().sum()


def known_too_early(conditional, x, order):
    known, total = {}, 0.0
    for place in order:
        known[place] = x[place]
        total += math.log(conditional(known, place, x[place]))
    return total


def by_turns(conditional, x, order):
    known, total = {}, 0.0
    for i, place in enumerate(order):
        total += math.log(conditional(known, place, x[place]))
        known[i] = x[place]
    return total


def by_rows(scores):
    rows = []
    for i, row in enumerate(scores):
        seen = row[: i + 1].exp() / row[: i + 1].exp().sum()
        rows.append(torch.cat([seen, seen.new_zeros(len(scores) - i - 1)]))
    return torch.stack(rows)


def by_renormalizing(scores):
    kept = scores.softmax(-1).tril()
    return kept / kept.sum(-1, keepdim=True)


def by_adding(scores):
    mask = np.triu(np.full(scores.shape, -np.inf), 1)
    shifted = np.exp(scores.numpy() + mask)
    return shifted / shifted.sum(1, keepdims=True)


def by_sdpa(token, places, parts, keys, values):
    x = token + places[keys.shape[0]]
    query, key, value = (x @ part for part in parts)
    return torch.nn.functional.scaled_dot_product_attention(
        query[None], torch.vstack([keys, key]), torch.vstack([values, value])
    )[0]


def by_loop(token, places, parts, keys, values):
    x = token + places[len(keys)]
    keys = [*keys, x @ parts[1]]
    values = [*values, x @ parts[2]]
    query = x @ parts[0]
    weights = [math.exp(float(query @ key) / math.sqrt(len(query))) for key in keys]
    return sum(w * value for w, value in zip(weights, values)) / sum(weights)


def by_numpy(token, places, parts, keys, values):
    token, places, parts, keys, values = (
        np.asarray(each) for each in (token, places, parts, keys, values)
    )
    x = token + places[len(keys)]
    keys = np.vstack([keys, x @ parts[1]])
    values = np.vstack([values, x @ parts[2]])
    scores = keys @ (x @ parts[0]) / len(token) ** 0.5
    weights = np.exp(scores - scores.max())
    return weights / weights.sum() @ values


RIGHT = {
    "18.1": [
        lambda x, y, h: x * (x - h * y) + y * y,
        lambda x, y, h: (x - h * y / 2) ** 2 + (1 - h**2 / 4) * y**2,
        turns,
        lambda x, y, h: torch.tensor(x**2 + y**2 - h * x * y),
    ],
    "18.2": [by_logits, by_js, lambda p, q: np.float32(by_js(p, q))],
    "18.3": [by_product, by_recursion, by_arrays],
    "18.4": [by_rows, by_renormalizing, by_adding],
    "18.5": [by_sdpa, by_loop, by_numpy],
}
WRONG = {
    "18.1": [lambda x, y, h: 0.0, lambda x, y, h: x**2 - y**2, lambda x, y, h: h * x * y],
    "18.2": [
        lambda p, q: (p * (p / q).log()).sum(),
        lambda p, q: 0.0,
        lambda p, q: -math.log(4),
        lambda p, q: by_js(p, q) + math.log(2),
    ],
    "18.3": [
        by_joint,  # whatever the order
        known_too_early,
        by_turns,
        lambda conditional, x, order: 0.0,
        lambda conditional, x, order: -by_product(conditional, x, order),
        lambda conditional, x, order: by_product(conditional, x, order) / math.log(2),
    ],
    "18.4": [
        lambda scores: scores,
        lambda scores: scores.tril().softmax(-1),
        lambda scores: by_rows(scores).T,
    ],
    "18.5": [
        lambda token, places, parts, keys, values: values.mean(0),
        lambda token, places, parts, keys, values: by_numpy(
            token, places, parts, keys[:1], values[:1]
        ),
        lambda token, places, parts, keys, values: by_numpy(
            token, places, parts[[1, 0, 2]], keys, values
        ),
    ],
}


@pytest.mark.parametrize("id", RIGHT)
def test_right_answers_in_other_forms_pass(id):
    for i, answer in enumerate(RIGHT[id]):
        feedback = exercises.find(id).assess(answer)
        assert feedback.state == "correct", f"{i}: {feedback}"


def js_twice(p, q):
    return 2 * by_js(p, q) + math.log(4)


def data_alone(p, q):
    return (p * (p / (p + q)).log()).sum()


def samples_alone(p, q):
    return -(q * (1 + p / q).log()).sum()


def one_ahead(token, places, parts, keys, values):
    return by_sdpa(token, places[1:], parts, keys, values)


def embedding_kept(token, places, parts, keys, values):
    x = token + places[len(keys)]
    scores = torch.vstack([keys, x]) @ (x @ parts[0]) / len(x) ** 0.5
    return scores.softmax(0) @ torch.vstack([values, x @ parts[2]])


@pytest.mark.parametrize(
    ("id", "answer", "said"),
    [
        ("18.2", js_twice, "count JS twice"),
        ("18.2", data_alone, "Samples count too"),
        ("18.2", samples_alone, "Data count too"),
        ("18.5", one_ahead, "Which comes next"),
        ("18.5", embedding_kept, "keys, not embeddings"),
    ],
)
def test_a_slip_gets_its_own_reply(id, answer, said):
    feedback = exercises.find(id).assess(answer)
    assert feedback.state == "not yet" and said in feedback.message


@pytest.mark.parametrize("answer", [known_too_early, by_turns])
def test_a_question_about_what_is_known_is_answered_with_what_to_do(answer):
    assert "ask first" in exercises.find("18.3").assess(answer).message


@pytest.mark.parametrize("answer", ["strict", "multiplied"])
def test_a_nan_in_the_mask_is_named(answer):
    def strict(scores):
        hidden = torch.ones(len(scores), len(scores)).triu(0).bool()
        return scores.masked_fill(hidden, -math.inf).softmax(-1)

    def multiplied(scores):
        return (scores + torch.ones(len(scores), len(scores)).triu(1) * -math.inf).softmax(-1)

    given = {"strict": strict, "multiplied": multiplied}[answer]
    assert "NaN" in exercises.find("18.4").assess(given).message


@pytest.mark.parametrize("id", WRONG)
def test_wrong_answers_do_not(id):
    for i, answer in enumerate(WRONG[id]):
        feedback = exercises.find(id).assess(answer)
        assert feedback.state == "not yet", f"{i}: {feedback}"


def test_what_is_kept_is_kept_by_a_thousand_steps():
    kept = exercises.find("18.1").solution
    x, y, h = 1.3, -0.4, 0.7
    start = kept(x, y, h)
    for _ in range(1000):
        x -= h * y
        y += h * x
    assert kept(x, y, h) == pytest.approx(start, rel=1e-9)


def test_a_leak_brings_bits_below_the_entropy():
    """The masks of ones of section 6."""
    ising = Ising()
    x = ising.sample(2000, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    model = runs.Autoregressive(runs.MaskedMLP(4, 2, (32,)))
    for layer in model.net.layers:
        layer.mask.fill_(1)
    fit(model, lambda model, step: model.loss(x), 150, lr=0.02, progress=False)
    with torch.no_grad():
        bits = float(model.bits(x).mean())
        total = float(model.log_prob(ising.states).exp().sum())
    assert bits < 0.5 < ising.entropy / 4 / math.log(2) and total > 3
