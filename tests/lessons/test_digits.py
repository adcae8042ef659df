"""Digits by diffusion: what the stored runs say, and what the stored nets still do."""

import numpy as np
import pytest
import torch

from node_tutorial.data.pixels import MEAN, STD, counted, counts, nearest_labels
from node_tutorial.lessons.diffusion import digit_figures, digit_nets, runs
from node_tutorial.lessons.diffusion.runs import RUNS, SAMPLERS, over_seeds
from node_tutorial.plotting import empty_axes, text_problems


@pytest.fixture(scope="module")
def numbers():
    return RUNS.numbers()


@pytest.fixture(scope="module")
def floor(numbers):
    """The energy distance that two sets of real images hardly ever exceed."""
    mean, std = numbers["reference"]["null"]["energy"]
    return mean + 3 * std


def at(net, sampler, nfe, measure="energy"):
    """A measure at so many evaluations, of each seed."""
    place = over_seeds(net, sampler, "nfe")[0].tolist().index(nfe)
    return over_seeds(net, sampler, measure)[:, place]


def test_a_net_for_images_is_the_better_denoiser_and_density(numbers):
    for seed in runs.SEEDS:
        unet, mlp = (numbers[f"{net}/{seed}"] for net in ("U-Net", "MLP"))
        assert unet["loss"] < 0.93 * mlp["loss"]
        assert unet["bits"] < mlp["bits"] - 0.4
        gaussian = numbers["reference"]["bits"]["a Gaussian"]
        assert mlp["bits"] < gaussian - 0.2 and gaussian < numbers["reference"]["bits"]["uniform"]


@pytest.mark.parametrize("sampler", [*SAMPLERS, "dopri5"])
def test_every_sampler_of_the_unet_comes_to_the_floor_and_none_of_the_mlp(sampler, floor):
    assert over_seeds("U-Net", sampler, "energy")[:, -1].mean() < floor
    assert over_seeds("MLP", sampler, "energy")[:, -1].min() > 1.5 * floor


def test_one_step_is_never_enough_and_methods_of_order_two_need_fewer():
    for sampler in ("reverse SDE", "ancestral", "DDIM", "DPM-Solver++"):
        assert at("U-Net", sampler, 1).min() > 10
    assert (at("U-Net", "midpoint", 8) < 0.7 * at("U-Net", "DDIM", 8)).all()
    assert (at("U-Net", "DPM-Solver++", 8) < 0.7 * at("U-Net", "DDIM", 8)).all()
    assert (at("U-Net", "reverse SDE", 4) > 10 * at("U-Net", "ancestral", 4)).all()


def test_on_karras_grid_edm_needs_half_the_evaluations_if_the_ratio_begins_lower(floor):
    """At 637 its first steps are spent where no digit can be seen; 80 is the paper's number."""
    for ratio, bound in ((80, 1.3 * floor), (12, floor)):
        nfe, energy = digit_figures.edm_from(ratio)
        assert nfe == 15 and energy < bound
    assert at("U-Net", "EDM", 15).min() > 3 * floor and at("U-Net", "EDM", 31).max() < floor


def test_few_steps_collapse_or_are_full_of_noise():
    """DDIM has precision and no recall; the reverse SDE has recall and no precision."""
    assert (
        at("U-Net", "DDIM", 2, "precision").min()
        > 0.9
        > 0.3
        > at("U-Net", "DDIM", 2, "recall").max()
    )
    assert at("U-Net", "reverse SDE", 4, "precision").max() < 0.1
    assert at("U-Net", "reverse SDE", 4, "recall").min() > 0.9


def test_guidance_buys_precision_with_recall(numbers):
    row = numbers["guided"]
    none, plain, twice = (runs.GUIDANCE.index(weight) for weight in (0.0, 1.0, 2.0))
    assert row["right"][none] < 0.2 and min(row["right"][plain:]) > 0.9
    assert np.all(np.diff(row["recall"][plain:-1]) < -0.1)
    assert row["precision"][none] < row["precision"][plain] < row["precision"][twice]
    assert row["precision"][-1] < row["precision"][plain]  # too much is too much


def test_no_net_copies_the_training_images(numbers):
    away = numbers["reference"]["null"]["nearest"][0]
    for net in runs.NETS:
        assert over_seeds(net, "DDIM", "nearest")[:, -1].min() > away


def test_the_stored_net_draws_the_digit_that_is_asked_for():
    label = torch.arange(10).repeat(5)
    model = runs.stored("guided")
    chance = torch.Generator().manual_seed(0)
    times = runs.even(model.path, 12)
    found = model.sample(50, times, label=label, generator=chance)
    assert found.nfe == 12 and (nearest_labels(counted(found.x)) == label).double().mean() > 0.85


def test_the_stored_unet_completes_what_it_sees():
    """Lower halves for given upper ones: nearer to the true ones than those of other images."""
    model = runs.stored("U-Net")
    images = counts().test_images[:100]
    known = (images + 0.5 - MEAN) / STD
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[:4] = True
    chance = torch.Generator().manual_seed(0)
    made = model.inpaint(known, mask, runs.even(model.path, 16), generator=chance).x
    assert torch.equal(made[..., :4, :], known[..., :4, :])
    truth = images[..., 4:, :]
    error = (counted(made)[..., 4:, :] - truth).square().mean()
    assert error < 0.8 * (truth.roll(1, 0) - truth).square().mean()


def test_a_training_begins_as_the_settings_say(monkeypatch):
    monkeypatch.setattr(digit_nets, "BATCH", 16)
    for setting in (runs.NETS["MLP"]._replace(steps=4), runs.GUIDED._replace(steps=2)):
        model, history = digit_nets.train(setting, seed=0)
        again, _ = digit_nets.train(setting, seed=0)
        assert len(history) == setting.steps and not model.training
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters()))
    assert model.classes == 10 and model.prediction == "v"


@pytest.mark.parametrize(
    "name", ["quality_figure", "digits_figure", "completed_figure", "guidance_figure"]
)
def test_figures_can_be_read(name):
    fig = getattr(digit_figures, name)()
    assert fig.png() and not text_problems(fig) and not empty_axes(fig)
