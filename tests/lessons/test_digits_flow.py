"""Digits by flow matching: what the stored runs say, beside diffusion's, and what the nets do."""

import numpy as np
import torch

from node_tutorial.course.runs import numbers_of
from node_tutorial.data.pixels import counted
from node_tutorial.lessons.diffusion import digit_nets as diffusion_nets
from node_tutorial.lessons.diffusion import runs as diffusion_runs
from node_tutorial.lessons.flow_matching import digit_nets, digits, digits_runs


def at(net, solver, nfe, measure="energy"):
    """A measure at so many evaluations, of each seed."""
    place = digits.over_seeds(net, solver, "nfe")[0].tolist().index(nfe)
    return digits.over_seeds(net, solver, measure)[:, place]


def test_both_lessons_train_with_the_same_settings():
    for name in ("STEPS", "BATCH", "AVERAGE", "RATES", "ROUNDS"):
        assert getattr(digit_nets, name) == getattr(diffusion_nets, name)
    for net in ("U-Net", "MLP"):
        flow, diffusion = digit_nets.make(net), diffusion_nets.make(diffusion_runs.NETS[net])
        shapes = [[p.shape for p in model.parameters()] for model in (flow, diffusion)]
        assert shapes[0] == shapes[1]
        assert digits_runs.SEEDS[net] == diffusion_runs.SEEDS


def test_eulers_method_costs_what_ddim_costs():
    """Euler's method on the straight path is DDIM there; on the cosine path it is close to it."""
    rows = [numbers_of("diffusion")[f"U-Net/{seed}"] for seed in diffusion_runs.SEEDS]
    ddim = np.mean([row["samplers"]["DDIM"]["energy"] for row in rows], axis=0)
    for nfe in (4, 8, 16):
        ratio = at("U-Net", "Euler", nfe).mean() / ddim[digits_runs.NFE.index(nfe)]
        assert 0.6 < ratio < 1.6


def test_the_midpoint_method_needs_a_quarter_of_eulers_evaluations():
    assert (at("U-Net", "midpoint", 4) < at("U-Net", "Euler", 8)).all()
    assert (at("U-Net", "midpoint", 8) < 1.2 * at("U-Net", "Euler", 32)).all()


def test_reflow_makes_one_step_enough_and_costs_a_little_at_the_end():
    mean, std = numbers_of("diffusion")["reference"]["null"]["energy"]
    assert (at("U-Net", "Euler", 1) > 50 * at("reflow", "Euler", 1).max()).all()
    assert at("reflow", "Euler", 1).max() < 3 * (mean + 2 * std)
    assert (at("reflow", "Euler", 64) < mean + 3 * std).all()
    energy, cost = (digits.found("reflow", f"{what} of paths") for what in ("energy", "cost"))
    assert np.divide(energy, cost).max() < 1.02
    energy, cost = (digits.found("U-Net", f"{what} of paths") for what in ("energy", "cost"))
    assert np.divide(energy, cost).min() > 1.1


def test_a_net_for_images_is_the_better_flow():
    assert max(digits.found("U-Net", "bits")) < min(digits.found("MLP", "bits")) - 0.4
    assert max(digits.found("U-Net", "loss")) < 0.93 * min(digits.found("MLP", "loss"))


def test_one_step_of_the_stored_reflow_is_nearly_all_of_its_flow():
    chance = torch.Generator().manual_seed(0)
    z = torch.randn(50, 1, 8, 8, generator=chance)
    apart = {}
    for name in ("U-Net", "reflow"):
        model = digits.stored(name)
        one, many = (counted(model.move(z, steps=n).x) for n in (1, 16))
        apart[name] = (one - many).square().mean()
    assert apart["reflow"] < 0.1 * apart["U-Net"]


def test_a_training_begins_as_the_settings_say(monkeypatch):
    monkeypatch.setattr(digit_nets, "STEPS", 3)
    monkeypatch.setattr(digit_nets, "PAIRS", 130)
    digit_nets.train.cache_clear()
    try:
        flow, history = digit_nets.train("MLP", 0)
        before = [p.clone() for p in flow.parameters()]
        straight, again = digit_nets.train("MLP", 0, reflows=1)
    finally:
        digit_nets.train.cache_clear()
    assert len(history) == len(again) == 3
    assert all(torch.equal(a, b) for a, b in zip(before, flow.parameters()))  # goes on from a copy
    assert not all(torch.equal(a, b) for a, b in zip(before, straight.parameters()))
