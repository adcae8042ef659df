"""Facts that lesson 07's helpers rely on: training, the stored results and nets, explorables."""

from pathlib import Path

import pytest
import torch

from node_tutorial.course import runs as storage
from node_tutorial.lessons.ode_nets import digits_on_their_way as depth
from node_tutorial.lessons.ode_nets import runs as lesson
from node_tutorial.lessons.ode_nets import tolerance_dial as dial


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


def test_the_learning_rate_falls_to_zero_along_a_cosine():
    rates = []
    lesson.train(
        lesson.NETS["one block"], epochs=1, on_step=lambda net, history: rates.append(len(history))
    )
    trained = lesson.train(lesson.NETS["linear"], epochs=3)
    assert len(rates) == 43 and trained.wrong < 60
    losses = trained.history["loss"]
    assert sum(losses[-43:]) < 0.5 * sum(losses[:43])


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


def test_the_stored_files_are_small():
    for name in ("ode_nets.json", "ode_nets.npz"):
        assert (Path(storage.__file__).parent / name).stat().st_size < 300_000


def test_the_stored_table_is_that_of_these_nets(results):
    assert list(results["table"]) == list(lesson.NETS)
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


@pytest.mark.parametrize("name", lesson.STORED)
def test_stored_nets_answer_as_the_stored_dial_says(name, results):
    images, labels = lesson.test_set()
    dial, net = results["dial"], lesson.stored(name)
    place = dial["tolerances"].index(1e-3)
    row = {key: values[place] for key, values in dial["nets"][name]["dopri5"].items()}
    scores, nfe = lesson.solve_with(net, images, rtol=1e-3, atol=1e-3)
    assert (
        abs(nfe - row["nfe"]) <= 6
        and abs(int((scores.argmax(1) != labels).sum()) - row["wrong"]) <= 1
    )


def test_longer_runs_have_an_entry_for_every_epoch(results):
    assert set(results["growth"]) == set(lesson.FIELDS)
    for row in results["growth"].values():
        assert all(
            torch.tensor(row[what]).shape == (3, results["long"])
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
