"""Facts that lesson 08's helpers rely on: stored runs, drawn states, the law of the ring."""

import math

import numpy as np
import pytest
import torch

from node_tutorial import History, exercises
from node_tutorial.data import disk_in_annulus
from node_tutorial.lessons.limits_of_flows import crossing, figures, runs, tunnel
from node_tutorial.models import AugmentedODE, NeuralODE

float64 = torch.float64


def history_of(steps):
    history = History(steps)
    for i in range(steps):
        history.append({"loss": math.exp(-i / steps), "nfe": 20.0})
    return history


def test_every_setting_is_stored_with_its_seeds_epochs_and_frames():
    for setting, seeds in runs.NUMBER_OF_SEEDS.items():
        assert all(len(values) == seeds for values in runs.measures(setting).values())
        for name in ("loss", "nfe"):
            assert runs.stored()[f"{setting.name}/{name}"].shape == (seeds, runs.EPOCHS)
    for setting in runs.FILMED:
        assert len(runs.stored()[f"{setting.name}/parameters"]) == len(runs.FRAMES)


def test_settings_have_names_of_their_own():
    assert len(runs.RUNS.results) == len(runs.NUMBER_OF_SEEDS)


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


def test_openings_are_the_slits_of_the_ring(monkeypatch):
    def outputs(model, x):
        angle = torch.atan2(x[:, 1], x[:, 0])
        return torch.where((angle.abs() < 0.1) | ((angle - 2).abs() < 0.2), -1.0, 1.0).double()

    monkeypatch.setattr(figures, "accurate", outputs)
    number, share = figures.openings(None)
    assert number == 2 and share == pytest.approx(0.6 / (2 * math.pi), rel=0.02)


def test_two_openings_become_one_in_the_filmed_training():
    late = figures.openings(runs.model_of(runs.Setting()))
    early = figures.openings(runs.model_of(runs.Setting(), runs.FRAMES.index(250)))
    assert early.number == 2 and late.number == 1 and early.share > 5 * late.share > 0


def test_in_space_both_penalties_save_evaluations_in_every_seed():
    plain, both, jacobian = (
        runs.measures(setting)
        for setting in (
            runs.Setting(1),
            runs.Setting(1, kinetic=0.01, jacobian=0.01),
            runs.Setting(1, jacobian=0.1),
        )
    )
    assert both["nfe_tight"].max() < 0.7 * plain["nfe_tight"].min()
    # More than half is saved in the median, and not in every seed.
    assert np.median(both["nfe_tight"]) < np.median(plain["nfe_tight"]) / 2
    assert both["nfe_tight"].max() > plain["nfe_tight"].min() / 2
    assert jacobian["test_loss"].max() > 3 * np.median(plain["test_loss"])  # one seed pays
    assert np.median(jacobian["test_loss"]) < 1.2 * np.median(plain["test_loss"])


def test_a_number_of_dimensions_that_is_wrong_is_answered_for_its_map():
    exercise = exercises.find("08.3")
    right = [1, 2, 2, 3, 3]
    for place, letter in enumerate("abcde"):
        for much, other in (("few", 0), ("many", 5)):
            answer = [*right[:place], other, *right[place + 1 :]]
            said = exercise.assess(answer).message
            assert said.startswith(f"({letter}), too {much}: "), said


def test_only_the_first_entry_has_a_target_in_the_plane():
    """Its targets are lines there: a cross at (1, 0) would ask for a second entry of 0."""
    model = AugmentedODE(torch.nn.Module(), 1, method="euler", options={"step_size": 0.5})
    model.func.forward = lambda t, y: torch.zeros_like(y)
    plane = figures.reflection_figure(model, history_of(10)).axes[1]
    upright = [line.get_xdata() for line in plane.lines if len(line.get_xdata()) == 2]
    assert [list(x) for x in upright] == [[1, 1], [-1, -1]]


# -- exercises: other right answers, other wrong ones ----------------------------------------------


def by_search(a, b):
    p = np.linspace(-5, 6, 1101)
    ends = np.stack(np.meshgrid(p, p, indexing="ij"))
    errors = ((ends[0] - a) ** 2 + (ends[1] - b) ** 2) / 2
    return errors[ends[0] <= ends[1]].min()


RIGHT_AND_WRONG = {
    "08.1": (
        [
            lambda a, b: max(a - b, 0) ** 2 / 4,
            lambda a, b: torch.relu(torch.tensor(a - b)) ** 2 / 4,
            by_search,
        ],
        [
            lambda a, b: max(a - b, 0) / 2,
            lambda a, b: max(b - a, 0) ** 2 / 4,
            lambda a, b: abs(a * b),
        ],
    ),
    "08.2": (
        [0.4621, np.log(4) / 3, torch.tensor(2.0).log() * 2 / 3],
        [0.5, 0.693 / 4, -0.4621],
    ),
    "08.3": (
        [(1, 2, 2, 3, 3), np.array([1, 2, 2, 3, 3]), torch.tensor([1.0, 2, 2, 3, 3])],
        [[1, 2, 2, 2, 2], [2, 2, 3, 3, 3], [1, 2, 4, 4, 4]],
    ),
    "08.4": (
        [1 / math.tanh(1), 1.313, torch.tensor(1.0).cosh() / torch.tensor(1.0).sinh()],
        [2.0, 4.0, 0.864],
    ),
}


@pytest.mark.parametrize("id", RIGHT_AND_WRONG)
def test_right_answers_in_other_forms_pass_and_wrong_ones_do_not(id):
    right, wrong = RIGHT_AND_WRONG[id]
    exercise = exercises.find(id)
    assert [exercise.assess(answer).state for answer in right] == ["correct"] * 3
    assert [exercise.assess(answer).state for answer in wrong] == ["not yet"] * 3
