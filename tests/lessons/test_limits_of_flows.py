"""Facts that lesson 08's helpers rely on: stored runs, drawn states, the law of the ring."""

import numpy as np
import pytest
import torch

from node_tutorial.data import disk_in_annulus
from node_tutorial.lessons.limits_of_flows import crossing, figures, runs, tunnel
from node_tutorial.models import AugmentedODE, NeuralODE

float64 = torch.float64


def test_every_setting_is_stored_with_its_seeds():
    for setting, seeds in runs.RUNS.items():
        assert all(len(values) == seeds for values in runs.measures(setting).values())
        for name in ("loss", "nfe"):
            assert runs.stored()[f"{setting.name}/{name}"].shape == (seeds, runs.EPOCHS)


def test_settings_have_names_of_their_own():
    assert len({setting.name for setting in runs.RUNS}) == len(runs.RUNS)


@pytest.mark.parametrize("extra", [0, 1, 5])
def test_stored_parameters_are_the_model_that_was_measured(extra):
    """In spite of their half precision."""
    setting = runs.Setting(extra)
    x, label = disk_in_annulus(2000, 6000, seed=1000)
    output = runs.model_of(setting)(x.double())
    loss, measured = (
        torch.nn.functional.smooth_l1_loss(output, label).item(),
        runs.measures(setting)["test_loss"][0],
    )
    assert loss == pytest.approx(measured, rel=0.1, abs=2e-4)
    assert len(runs.stored()[f"{setting.name}/parameters"]) == len(runs.FRAMES)


def test_a_short_training_gives_what_is_stored_of_a_long_one():
    x, label = disk_in_annulus(10, 30)
    for setting in (
        runs.Setting(1),
        runs.Setting(0, kinetic=0.1),
        runs.Setting(0, jacobian=0.1, spread=0.3),
    ):
        model, history, _, _ = runs.train(setting, seed=0, steps=3)
        assert history.status == "finished" and min(history["nfe"]) >= 8
        values = runs.measure(model, x.double(), label.double(), x.double(), label.double())
        assert len(values) == len(runs.MEASURES) and np.isfinite(values).all()
    assert torch.get_default_dtype() == torch.float32


def test_the_wedge_is_left_out_of_training():
    _, _, x, label = runs.train(runs.Setting(wedge=True), seed=0, steps=1)
    assert not runs.in_wedge(x).any() and 1700 < len(x) == len(label) < 1900
    angle = torch.tensor([-0.1, 0.1, 0.5, 0.7, 3.0], dtype=float64)
    assert runs.in_wedge(torch.stack([angle.cos(), angle.sin()], 1)).tolist() == [
        False,
        True,
        True,
        False,
        False,
    ]


def test_with_weight_zero_nothing_is_penalized():
    """The penalties are added to the same loss of the same solve."""
    batch = disk_in_annulus(8, 24)
    model = runs.Classifier(1)
    plain = runs._loss(model, runs.Setting(1))(model, batch)
    tiny, recorded = runs._loss(model, runs.Setting(1, kinetic=1e-12, jacobian=1e-12))(model, batch)
    assert (
        tiny.item() == pytest.approx(plain.item(), abs=1e-6)
        and recorded["nfe"] == model.ode.stats.nfe
    )


def test_planar_states_are_drawn_as_they_are_and_others_with_the_readout_upward():
    flat, tall = torch.randn(5, 2), torch.randn(7, 5, 4)
    assert torch.equal(figures.view(flat, torch.ones(1, 2)), flat)
    weight = torch.tensor([[3.0, 2.0, 0.6, -0.8]])
    drawn = figures.view(tall, weight)
    assert drawn.shape == (7, 5, 2)
    lifted = figures.view(tall + torch.tensor([0.0, 0.0, 0.6, -0.8]), weight)
    assert torch.allclose(lifted - drawn, torch.tensor([0.0, 1.0]).expand(7, 5, 2), atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_law_of_the_ring_holds_for_any_flow_of_the_plane(seed):
    """The least output on a circle is at most the output at every point that it encloses."""
    torch.manual_seed(seed)
    model = runs.Classifier(0).double()
    for p in model.ode.parameters():
        p.data *= 2
    _, output = figures.around(model, n=301)
    inside, _ = disk_in_annulus(200, 1, seed=seed)
    assert output.min() <= figures.accurate(model, inside).min() + 1e-4


def test_the_law_needs_the_plane():
    """A lift by the distance from the center, in three dimensions, breaks it."""

    class Lift(torch.nn.Module):
        def forward(self, t, y):
            return torch.cat(
                [torch.zeros_like(y[:, :2]), y[:, :2].square().sum(1, keepdim=True)], 1
            )

    model = runs.Classifier(1).double()
    model.ode = AugmentedODE(Lift(), 1)
    model.readout.weight.data = torch.tensor([[0.0, 0.0, 1.0]], dtype=float64)
    assert figures.around(model, n=101)[1].min() > 1.2 + figures.accurate(model, torch.zeros(1, 2))


def test_the_walk_around_the_ring_finds_a_slit_far_thinner_than_its_steps(monkeypatch):
    def outputs(_, x):
        distance = (torch.atan2(x[:, 1], x[:, 0]) - 1.2345).abs()
        return torch.where(distance < 1e-5, -1.0, 1 - 0.5 * torch.exp(-10 * distance))

    monkeypatch.setattr(figures, "accurate", outputs)
    angle, output = figures.around(None)
    assert output.min() == -1 and (angle.diff() >= 0).all()
    assert torch.trapezoid((output < 0).double(), angle).item() == pytest.approx(2e-5, rel=0.2)


def test_the_explorable_of_steps_is_eulers_method():
    data = crossing.compute(k=3.0, n=5)
    model = NeuralODE(torch.nn.Module(), method="euler", options={"step_size": 0.2})
    model.func.forward = lambda t, y: -3 * y
    y = model(data.paths[0], data.t)
    assert torch.allclose(y, data.paths)


def test_the_tunnel_shows_what_its_model_says():
    data = tunnel.compute(extra=1, frame=5, t=1.0)
    x, label = figures.shown_points()
    output = runs.model_of(runs.Setting(1), 5)(x)
    assert data.flow.wrong == int(((output > 0) != (label > 0)).sum())
    assert data.updates == runs.FRAMES[5]
