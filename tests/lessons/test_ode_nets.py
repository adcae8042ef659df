"""Facts that lesson 07's helpers rely on: training, the stored results and nets, explorables,
readable figures.
"""

import pytest
import torch

from node_tutorial.lessons.ode_nets import digits_on_their_way as depth
from node_tutorial.lessons.ode_nets import figures
from node_tutorial.lessons.ode_nets import runs as lesson
from node_tutorial.lessons.ode_nets import tolerance_dial as dial
from node_tutorial.plotting import text_problems


@pytest.fixture(scope="module")
def results():
    return lesson.results()


# ---- Training ----


def test_training_depends_on_the_seed_alone():
    first, again, other = (
        lesson.train(lesson.NETS["no block"], seed=seed, epochs=1) for seed in (0, 0, 1)
    )
    assert first.history["loss"] == again.history["loss"] != other.history["loss"]
    assert first.wrong == again.wrong == lesson.wrong(first.net)


def test_training_has_43_steps_an_epoch_and_can_be_evaluated_after_each():
    assert len(lesson.train(lesson.NETS["one block"], epochs=1).history) == 43
    trained = lesson.train(
        lesson.NETS["linear"], epochs=3, evaluate=lambda net: {"wrong": lesson.wrong(net)}
    )
    losses = trained.history["loss"]
    assert sum(losses[-43:]) < 0.5 * sum(losses[:43])
    evaluations = trained.history.evaluations
    assert evaluations["step"] == [0, 43, 86, 129]
    assert evaluations["wrong"][-1] == trained.wrong < 60


def test_a_net_can_be_solved_otherwise_than_it_was_trained():
    net, (images, _) = lesson.stored("ODE-Net"), lesson.test_set()
    with torch.no_grad():
        own = net(images[:8])
    same, nfe = lesson.solve_with(net, images[:8], **lesson.TOLERANCE)
    assert torch.equal(own, same) and nfe == net.block.stats.nfe
    _, one = lesson.solve_with(net, images[:8], **lesson.fixed("euler", 1))
    assert one == 1 and net.block.method == "dopri5"


def test_costs_are_those_of_the_solver():
    net, (images, labels) = lesson.stored("ODE-Net"), lesson.test_set()
    data = lesson.costs(net, images[:8], labels[:8], [1e-2, 1e-4, 1e-6])
    assert data["nfe"] == [
        lesson.solve_with(net, images[:8], rtol=tol, atol=tol)[1] for tol in (1e-2, 1e-4, 1e-6)
    ]
    assert data["distance"][0] > data["distance"][1] > data["distance"][2]
    assert min(data["backward"]) > 0 and min(data["seconds"]) > 0


# ---- What is stored ----


def test_the_stored_table_is_that_of_these_nets(results):
    for name, row in results["table"].items():
        assert row["parameters"] == lesson.count(lesson.NETS[name]())
        assert torch.tensor(row["wrong"]).shape == torch.tensor(row["seconds"]).shape == (3, 4)


def test_a_training_of_the_table_comes_out_near_what_is_stored(results):
    """Another processor rounds otherwise, and after hundreds of steps ends elsewhere: near, not
    equal.
    """
    for name in ("MLP", "no block"):
        wrong = [lesson.train(lesson.NETS[name], fold).wrong for fold in (0, 1)]
        expected = torch.tensor(results["table"][name]["wrong"], dtype=torch.float64)[:, :2].mean()
        assert sum(wrong) / 2 == pytest.approx(float(expected), abs=10)


def test_longer_runs_have_an_entry_for_every_epoch(results):
    for row in results["growth"].values():
        assert all(
            torch.tensor(row[what]).shape == (3, lesson.LONG)
            for what in ("forward", "backward", "tight")
        )


# ---- Explorables ----


def test_the_way_of_a_digit_begins_at_the_stem_and_ends_at_the_scores():
    images, _ = lesson.test_set()
    net = lesson.stored("ODE-Net")
    path = depth.way("ODE-Net")
    with torch.no_grad():
        assert torch.allclose(path.scores[0], net.head(net.stem(images)), atol=1e-5)
        assert torch.allclose(path.scores[-1], net(images), atol=0.05)
    assert path.flat.shape == (25, 450, 2) and path.cost == sorted(path.cost) and path.cost[0] == 2
    assert depth.way("ResNet").flat.shape == (7, 450, 2)


def test_the_images_to_look_at_are_right_at_first_and_wrong_at_last():
    labels = lesson.test_set()[1]
    scores = depth.way("ODE-Net").scores[-1]
    right = [bool(scores[i].argmax() == labels[i]) for i in depth.chosen()]
    assert right == [True] * 8 + [False] * 4 and len(set(depth.chosen())) == 12


@pytest.mark.parametrize("frame, block", [(0, 0), (3, 0), (4, 1), (23, 5), (24, 6)])
def test_a_resnet_shows_the_last_block_that_is_finished(frame, block):
    assert depth.compute(depth=frame, net="ResNet", image=1).place == block


def test_the_dial_shows_the_setting_that_it_says():
    rows = lesson.results()["dial"]
    for tolerance in (1.0, 10**-0.5, 1e-3, 1e-6):
        data = dial.compute(tolerance=tolerance, method="bosh3", net="dopri5 at 1e-3")
        place = min(range(13), key=lambda i: abs(rows["tolerances"][i] - tolerance))
        assert data.now.nfe == rows["nets"]["ODE-Net"]["bosh3"]["nfe"][place]


# ---- Pictures ----


def test_figures_are_readable(results):
    steps = (1, 2, 4, 8, 16, 32)
    wrong = {
        1: dict(zip(steps, (5, 6, 10, 11, 12, 13))),
        4: dict.fromkeys(steps, 7),
        "dopri5": dict.fromkeys(steps, 8),
    }
    kept = {
        "ResNet": {0: 8e5, 24: 1.2e7},
        "RK-Net": {4: 2.8e6, 32: 1.6e7},
        "ODE-Net, adjoint": {4: 1e6, 32: 1e6},
    }
    data = {
        "nfe": [14, 14, 20, 44],
        "distance": [1e-3, 2e-3, 2e-4, 4e-7],
        "seconds": [0.03, 0.03, 0.04, 0.09],
    }
    drawn = [
        figures.error_figure(results["table"]),
        figures.memory_figure(kept),
        figures.steps_figure({1: wrong[1]}, {1: 14}),
        figures.steps_figure(wrong, {1: 14, 4: 9, "dopri5": 8}),
        figures.growth_figure(results["growth"]),
        figures.own_clock_figure(torch.tensor([4, 5, 5, 6] * 20), torch.linspace(0, 1, 80)),
        figures.figure_three({**data, "backward": [14, 14, 20, 74]}),
    ]
    for fig in drawn:
        fig.png()
        assert not text_problems(fig)
