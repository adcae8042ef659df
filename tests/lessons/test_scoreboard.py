"""Facts that lesson 19 relies on: a fair protocol, blind spots of measures, what is stored."""

import inspect
import itertools
import json
import math
import pathlib

import numpy as np
import pytest
import torch
from torch import nn

from node_tutorial import explore
from node_tutorial.data.pixels import counts
from node_tutorial.lessons.scoreboard import (
    abilities,
    entry,
    example,
    figures,
    fool_the_metric,
    measures,
    rulers,
    runs,
    sizes,
    trainings,
)
from node_tutorial.lessons.scoreboard.exercises import CHOICES, REPORTS, UNKNOWN, bits, families
from node_tutorial.lessons.scoreboard.families import FAMILIES, board, drawn, tokens

NOTEBOOK = pathlib.Path(__file__).parents[2] / "notebooks" / "19_scoreboard.ipynb"


# -- the protocol ----------------------------------------------------------------------------------


def test_every_family_has_as_many_rates_as_far_apart_and_two_sizes():
    for family in FAMILIES.values():
        for rates in family.rates:
            assert len(rates) == 3
            ratios = [b / a for a, b in itertools.pairwise(rates)]
            assert all(2.9 < ratio < 3.4 for ratio in ratios)
    for prices in trainings.PRICES.values():
        assert prices.keys() == FAMILIES.keys()
        assert all(len(pair) == len(runs.SIZES) for pair in prices.values())


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("where", ["moons", "digits"])
def test_every_family_has_the_same_calls_on_every_board(name, where):
    family = FAMILIES[name]
    place = board(where)
    x = place.density.sample(6) if place.density else counts().images[:6]
    for size in runs.SIZES:
        torch.manual_seed(0)
        model = family.make(place, size)
        loss = family.loss(model, place, x)
        assert loss.dim() == 0 and loss.isfinite()
        made = drawn(family, model.eval(), place, 5, 0, family.steps[0] if family.steps else None)
        assert made.shape == (5, *x.shape[1:]) and made.isfinite().all()
        if place.density is None:
            assert ((made == made.floor()) & (made >= 0) & (made <= 16)).all()
        if family.log_prob is not None:
            with torch.no_grad():
                assert family.log_prob(model, place, x).shape == (6,)


def test_a_draw_is_the_same_for_the_same_seed_and_leaves_the_generators_alone():
    family = FAMILIES["VAE"]
    place = board("moons")
    model = family.make(place, 0)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second = (drawn(family, model, place, 4, 7) for _ in range(2))
    assert (first == second).all() and (torch.get_rng_state() == before).all()


def test_a_budget_buys_as_many_updates_as_their_price_says():
    family = FAMILIES["flow matching"]
    found = trainings.trained(family, board("moons"), 0, 1e-3, 0, 0.05, trainings.Price(2.0))
    assert found.updates == 25
    cnf = FAMILIES["CNF"]
    found = trainings.trained(cnf, board("moons"), 0, 1e-3, 0, 0.05, trainings.Price(2.0, 1.0))
    assert found.updates == math.ceil(50 / (2.0 + found.nfe))


def test_trials_on_the_digits_never_see_the_images_that_judge_them_nor_the_test():
    train, held = runs.split_off()
    assert len(train) + len(held) == 1347 and len(held) == trainings.HELD_BACK
    rows = {tuple(image.flatten().tolist()) for image in train}
    assert sum(tuple(image.flatten().tolist()) in rows for image in held) <= 1


def test_what_was_chosen_is_the_best_of_its_trials_and_all_trials_are_stored():
    for name in runs.BOARDS:
        for family in FAMILIES:
            setting = runs.Setting(name, family)
            energy = np.array(runs.table()[runs.name_of("tried", setting)]["energy"])
            assert energy.shape == (2, 3)
            row = figures.row(name, family)
            rates = FAMILIES[family].rates[name == "digits"]
            assert energy[row["size"], rates.index(row["rate"])] == energy.min()
            assert len(row["energy"]) == len(runs.SEEDS)


def test_ahead_is_by_the_errors_of_the_models_themselves():
    backward = figures.ahead("moons", "reverse kl")["autoregressive"]
    assert "RealNVP" not in backward  # by the null's smaller error it would be
    best = max(figures.values("moons", "autoregressive", "reverse kl"))
    least = min(figures.values("moons", "RealNVP", "reverse kl"))
    assert best + 2 * figures.null("moons", "reverse kl")[1] < least
    assert "diffusion" not in figures.ahead("moons", "kl")["CNF"]


def test_every_family_used_the_same_budget():
    for name in runs.BOARDS:
        for family in FAMILIES:
            row = figures.row(name, family)
            kind = "digits" if name == "digits" else "plane"
            price = trainings.PRICES[kind][family][row["size"]]
            for updates, nfe in zip(row["updates"], row["nfe of update"]):
                used = updates * (price.update + price.evaluation * nfe) / 1000
                assert used == pytest.approx(runs.SECONDS[name], rel=0.03)


# -- densities -------------------------------------------------------------------------------------


def test_what_has_a_likelihood_is_a_density_and_the_codes_come_back():
    for name, found in abilities.tried().items():
        if name != "GAN":
            assert found.mass == pytest.approx(1, abs=0.02), name
        exact_code = name in ("RealNVP", "planar", "CNF", "diffusion", "flow matching")
        assert (found.back is not None and found.back < abilities.CLOSE) == exact_code
        assert found.fills == (name == "autoregressive")


def test_cells_of_the_autoregressive_model_hold_their_points():
    place = board("moons")
    x = place.density.sample(500)
    model = FAMILIES["autoregressive"].make(place, 0)
    found = tokens(place, x)
    assert found.min() >= 0 and found.max() < 128
    outside = torch.tensor([[99.0, 0.0]])
    assert FAMILIES["autoregressive"].log_prob(model, place, outside).item() == -math.inf


def test_the_stored_samples_have_the_stored_measures():
    for check in runs.verify():
        assert check.again == pytest.approx(check.stored, abs=check.within), check.what


# -- rulers and cheats -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", rulers.RULERS)
def test_the_stored_ruler_is_that_of_the_code(name):
    """What its values should be: tests/data/test_two_samples.py."""
    again = measures.judged(rulers.RULERS[name](1))
    stored = {key: values[1] for key, values in runs.table()["ruler"][name].items()}
    assert again == pytest.approx(stored, rel=1e-3, abs=0.01)


def test_each_cheat_is_seen_by_the_measures_that_the_lesson_names():
    def noticed(**values):
        default = {"copies": 0.0, "noise": 0.0, "dropped": -1, "blur": 0.0}
        data = fool_the_metric.compute(**(default | values))
        far = np.abs(data.seen) > fool_the_metric.BEYOND
        return {name for name, is_far in zip(fool_the_metric.NAMES, far) if is_far}

    assert noticed() == set()
    assert noticed(copies=0.5) == {"nearest image"}
    assert "recall" in noticed(dropped=8) and "energy distance" not in noticed(dropped=8)
    assert {"recall", "1-NN accuracy"} <= noticed(blur=1.0)
    assert {"precision", "coverage"} <= noticed(noise=2.0)


def test_the_known_gaps_of_the_faults():
    assert sizes.exact_gap("lopsided") == pytest.approx(0.0201, abs=1e-4)
    x = sizes.lopsided(20_000, 3)
    assert (x[:, 0] < 0).double().mean() == pytest.approx(0.6, abs=0.01)
    assert sizes.exact_gap("blur") == pytest.approx(0.0585, abs=0.0005)
    assert runs.table()["sizes/blur"]["gap"] == pytest.approx(0.0586, abs=1e-3)
    assert sizes.exact_gap("strays") == pytest.approx(0.796, abs=0.002)


def test_kl_of_samples_sees_the_blur_where_others_do_not():
    seen = {
        (fault, measure): explore.sample_size().evaluate(fault=fault, measure=measure).data.seen
        for fault in ("blur", "strays", "lopsided")
        for measure in sizes.MEASURES
    }
    assert seen["blur", "energy distance"] is None
    assert seen["blur", "sliced Wasserstein"] is None
    assert seen["strays", "1-NN accuracy"] is None


def test_parzen_prefers_centers_of_clusters_to_real_images():
    from sklearn.cluster import KMeans

    split = counts()
    test, train = (x.flatten(1).double() for x in (split.test_images, split.images))
    centers = torch.tensor(
        KMeans(450, n_init=1, random_state=0).fit(train.numpy()).cluster_centers_
    )
    real = rulers.training(0).flatten(1)

    def best(x):
        return max(figures.parzen(x, test, width) for width in (2.0, 2.5, 3.0))

    assert best(centers) > best(real) + 2


# -- a learner's entry -----------------------------------------------------------------------------


def test_a_model_is_entered_and_drawn():
    found = entry.enter(example.Mixture, "mixture", share=0.02)
    assert len(found.numbers["kl"]) == 3 and len(found.trials) == 6 and found.price > 0
    assert figures.plane_figure(found).png().startswith(b"\x89PNG")
    again = entry.enter(example.Mixture(8), share=0.02)  # a model in place of a function
    assert again.name == "yours"


class Generator(example.Mixture):
    """The most natural one: a net of noise that is drawn without a dtype."""

    log_prob = None

    def __init__(self):
        super().__init__(4)
        self.net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))

    def loss(self, x):
        return self.sample(len(x)).square().mean()

    def sample(self, n):
        return self.net(torch.randn(n, 2))


def test_a_generator_that_draws_its_noise_without_a_dtype_is_measured():
    found = entry.enter(Generator, share=0.01)
    assert "kl" not in found.numbers and len(found.numbers["reverse kl"]) == 3
    assert torch.get_default_dtype() == torch.float32


class TooHigh(example.Mixture):
    def log_prob(self, x):
        return super().log_prob(x) + 3


class NotFinite(example.Mixture):
    def sample(self, n):
        return super().sample(n) * math.nan


class LossNan(example.Mixture):
    def loss(self, x):
        return super().loss(x) * math.nan


class Single(example.Mixture):
    def sample(self, n):
        return torch.ones(n, 2, dtype=torch.float32) @ self.means[:2]


class NoLoss(nn.Linear):
    def sample(self, n):
        return torch.zeros(n, 2)


class Wrong(example.Mixture):
    def loss(self, x):
        return self.log_prob(x)


class Detached(example.Mixture):
    def loss(self, x):
        return super().loss(x).detach()


class Images(example.Mixture):
    def sample(self, n):
        return torch.zeros(n, 64)


class OneNumber(example.Mixture):
    def log_prob(self, x):
        return super().log_prob(x).sum()


@pytest.mark.parametrize(
    "make, error, message",
    [
        (3, TypeError, "make must be a function that makes your untrained model"),
        (dict, TypeError, "make must make an nn.Module, got the class dict"),
        (lambda: "no", TypeError, r"make\(\) must return an nn.Module, got str"),
        (lambda: NoLoss(2, 2), TypeError, r"NoLoss has no method loss; .* add it"),
        (Wrong, ValueError, r"loss\(x\) must return one number .* use .mean\(\)"),
        (Detached, ValueError, "with a gradient"),
        (Images, ValueError, r"sample\(8\) must return points \(8, 2\), got a tensor of shape"),
        (TooHigh, ValueError, "log_prob is no log density: KL"),
        (NotFinite, ValueError, "finite points"),
        (LossNan, ValueError, "must be finite, got nan"),
        (Single, ValueError, "measured in float64"),
        (nn.Linear, TypeError, "called without arguments, and Linear needs some"),
        (OneNumber, ValueError, r"log_prob\(x\) must return one number for each point"),
    ],
)
def test_a_model_that_cannot_be_entered_is_told_what_to_do(make, error, message):
    with pytest.raises(error, match=message):
        entry.enter(make, share=0.01)


def test_a_share_outside_of_the_budget_is_refused():
    with pytest.raises(ValueError, match="share must be above 0"):
        entry.enter(example.Mixture, share=0.0)


# -- exercises and the notebook --------------------------------------------------------------------


def test_bits_agree_with_the_package_and_uniform_is_its_closed_form():
    from node_tutorial.models.diffusion import bits_per_dimension

    log_prob = torch.tensor([-90.0])
    assert bits(-90.0, 64, 6.0) == pytest.approx(bits_per_dimension(log_prob, 64, 1 / 6).item())
    uniform = 64 * math.log(6 / 17)  # of (n + u) / 6 on (0, 17 / 6)
    assert bits(uniform, 64, 6.0) == pytest.approx(math.log2(17))
    assert math.log2(17) == pytest.approx(4.087463, abs=1e-6)


def test_the_tables_of_the_exercises_have_one_answer():
    away = sorted(row["nearest"] for row in UNKNOWN.values())
    assert away[0] < away[1] / 3 and away[1] > 15  # one copier, all others as far as new images
    z = [(2.389 - nll) / error for nll, error in REPORTS.values()]
    assert sum(value > 3 for value in z) == 2 and all(abs(value - 3) > 1 for value in z)


def test_each_task_singles_out_one_family_by_the_tables_of_the_lesson():
    def able(possible):
        return [name for name in CHOICES if possible(name)]

    def a_second(name, what):
        milliseconds = figures.milliseconds("digits", name, what)
        return 1000 / milliseconds if milliseconds else 0.0

    def like_real_ones_of_all_kinds(name):
        keys = ("precision", "recall", "coverage")
        others = [other for other in CHOICES if other not in (name, "autoregressive")]
        return figures.median("digits", name, "precision") > 0.5 and all(
            figures.median("digits", name, key) > figures.median("digits", other, key)
            for key in keys
            for other in others
        )

    tried = abilities.tried()
    found = [
        able(lambda name: tried[name].fills),
        able(lambda name: a_second(name, "likelihood") > 50_000),
        able(lambda name: a_second(name, "sample") > 100_000),
        able(like_real_ones_of_all_kinds),
    ]
    assert [[CHOICES[name] for name in names] for names in found] == [[n] for n in families()]
    assert figures.median("digits", "autoregressive", "precision") == pytest.approx(1 / 6, abs=0.02)


def test_the_class_in_the_notebook_is_that_of_the_package():
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells)
    for line in inspect.getsource(example.Mixture.sample).splitlines()[-2:]:
        assert line.strip().split(" = ")[0].split("return ")[0] in text
    for number in range(1, 6):
        assert text.count(f"**Exercise 19.{number}.**") == 1
