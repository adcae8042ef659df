"""Facts that lesson 07's helpers rely on: training, the stored results and nets, explorables."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from node_tutorial import exercises, odeint
from node_tutorial.lessons.ode_nets import digits_on_their_way as depth
from node_tutorial.lessons.ode_nets import measures
from node_tutorial.lessons.ode_nets import runs as lesson
from node_tutorial.lessons.ode_nets import tolerance_dial as dial
from node_tutorial.models import ODENet, ResNet


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


def test_fields_without_norms_get_rougher_and_the_published_one_does_not(results):
    ends = {
        name: np.array(row["tight"])[:, [0, -1]].mean(0) for name, row in results["growth"].items()
    }
    grown = {name: last / first for name, (first, last) in ends.items()}
    assert set(grown) == {"norms, SiLU", "no norms, SiLU", "no norms, ReLU", "norms, ReLU"}
    assert all((ratio > 1.2) == name.startswith("no norms") for name, ratio in grown.items())
    assert grown["norms, ReLU"] == pytest.approx(1, abs=0.05)


def test_differences_are_taken_run_by_run():
    hard = np.array([[3, 30, 12, 7], [4, 28, 13, 9]])  # one fold is hard for all nets
    more = np.array([[1, 2, 0, 1], [2, 1, 1, 0]])
    second = hard + more
    mean, error = lesson.difference(hard.tolist(), second.tolist(), images=400)
    assert mean == pytest.approx(1 / 100)
    assert error == pytest.approx(np.std([1, 2, 0, 1, 2, 1, 1, 0], ddof=1) / 8**0.5 / 100)
    assert lesson.difference(second.tolist(), hard.tolist(), images=400)[0] == -mean


# ---- Paths ----


class Head(torch.nn.Module):
    """A net whose stem does nothing and whose field is given."""

    def __init__(self, field):
        super().__init__()
        self.stem = torch.nn.Identity()
        self.block = torch.nn.Module()
        self.block.func = field


def test_a_path_may_be_straight_and_one_step_miss_its_end():
    x = torch.randn(3, 2, 1, 1, dtype=torch.float64)
    even = lesson.path_of(Head(lambda t, x: torch.ones_like(x)), x)
    faster = lesson.path_of(Head(lambda t, x: 2 * t * torch.ones_like(x)), x)
    circle = lesson.path_of(Head(lambda t, x: math.pi * torch.stack([-x[:, 1], x[:, 0]], 1)), x)
    assert even == pytest.approx((1, 0), abs=1e-6)
    assert faster == pytest.approx((1, 1), abs=1e-5)
    assert circle.bend == pytest.approx(math.pi / 2, abs=0.01)


# ---- Exercises: other right answers, other wrong ones ----


def state(id, answer):
    return exercises.find(id).assess(answer).state


def counted(channels, blocks):
    nets = ResNet(channels, blocks=blocks).blocks, ODENet(channels).block
    return [sum(p.numel() for p in net.parameters()) for net in nets]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (counted, "correct"),
        (lambda c, n: np.array([n * (18 * c * c + 8 * c), 18 * c * (c + 1) + 8 * c]), "correct"),
        (
            lambda c, n: (
                torch.tensor([n * 2.0, 2]) * (9 * c * c + 4 * c) + torch.tensor([0, 18 * c])
            ),
            "correct",
        ),
        (lambda c, n: (n * (18 * c * c + 8 * c), 18 * c * c + 26 * c + 1), "not yet"),
        (lambda c, n: (n * 129258 / 6, 36394), "not yet"),
        (lambda c, n: (18 * c * (c + 1) + 8 * c, n * (18 * c * c + 8 * c)), "not yet"),
    ],
)
def test_parameters_may_be_counted_in_many_forms(answer, expected):
    assert state("07.1", answer) == expected


def sem(first, second):
    d = torch.tensor(second, dtype=torch.float32) - torch.tensor(first, dtype=torch.float32)
    return torch.stack([d.mean(), d.std() / len(d) ** 0.5])


def looped(first, second):
    d = [b - a for a, b in zip(first, second)]
    n, mean = len(d), sum(d) / len(d)
    return [mean, math.sqrt(sum((x - mean) ** 2 for x in d) / (n - 1) / n)]


def of_scipy(first, second):
    d = np.subtract(second, first)
    return d.mean(), scipy.stats.sem(d)


def wrong_binomial(first, second):
    p, q = np.mean(first) / 450, np.mean(second) / 450
    return 450 * (q - p), 450 * math.sqrt((p * (1 - p) + q * (1 - q)) / 450 / len(first))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (sem, "correct"),
        (looped, "correct"),
        (of_scipy, "correct"),
        (wrong_binomial, "not yet"),
        (lambda a, b: (np.mean(b) - np.mean(a), abs(np.mean(b) - np.mean(a))), "not yet"),
        (lambda a, b: (np.median(np.subtract(b, a)), of_scipy(a, b)[1]), "not yet"),
    ],
)
def test_a_difference_in_pairs_may_be_written_in_many_forms(answer, expected):
    assert state("07.2", answer) == expected


def test_the_number_of_blocks_that_fit_is_whole():
    blocks = exercises.find("07.3").reference()
    for right in (blocks, float(blocks), np.int64(blocks), torch.tensor(blocks)):
        assert state("07.3", right) == "correct"
    for wrong in (blocks + 1, blocks - 1, blocks / 2):
        assert state("07.3", wrong) == "not yet"


def steps_of_euler(f, x, n):
    for t in torch.arange(n, dtype=x.dtype) / n:
        x = x + f(t, x) / n
    return x


def many_steps(f, x0, n):
    exact = steps_of_euler(f, x0, 3000)
    return torch.dist(steps_of_euler(f, x0, n), exact) / torch.dist(exact, x0)


def in_float32(f, x0, n):
    x0 = x0.float()
    exact = odeint(f, x0, torch.tensor([0.0, 1.0]), rtol=1e-5, atol=1e-6)[-1]
    return float((steps_of_euler(f, x0, n) - exact).norm() / (exact - x0).norm())


def by_the_package(f, x0, n):
    t = torch.tensor([0.0, 1.0], dtype=x0.dtype)
    coarse = odeint(f, x0, t, method="euler", options={"step_size": 1 / n})[-1]
    exact = odeint(f, x0, t, rtol=1e-8, atol=1e-10)[-1]
    return np.linalg.norm(coarse - exact) / np.linalg.norm(exact - x0)


def at_1e_1(f, x0, n):
    exact = odeint(f, x0, torch.tensor([0.0, 1.0], dtype=x0.dtype), method="midpoint")[-1]
    return (steps_of_euler(f, x0, n) - exact).norm() / (exact - x0).norm()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (many_steps, "correct"),
        (in_float32, "correct"),
        (by_the_package, "correct"),
        (at_1e_1, "not yet"),  # one step of a coarse method is not accurate
        (lambda f, x0, n: many_steps(f, x0, n) ** 2, "not yet"),
        (lambda f, x0, n: 1 / many_steps(f, x0, n + 1), "not yet"),
    ],
)
def test_the_test_of_an_ode_may_be_written_in_many_forms(answer, expected):
    assert state("07.4", answer) == expected


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


def test_the_map_is_as_large_as_its_crowd_at_every_depth():
    for net in ("ODE-Net", "ResNet"):
        path = depth.way(net)
        for place, points in enumerate(path.flat):
            frame = depth._frame(net, place)
            inside = ((points > frame.low) & (points < frame.high)).all(1).mean()
            filled = np.ptp(points, axis=0) / (frame.high - frame.low)
            assert inside > 0.97 and filled.min() > 0.5
        assert depth._frame(net, 0).enlarged > 2


@pytest.mark.parametrize("frame, block", [(0, 0), (3, 0), (4, 1), (23, 5), (24, 6)])
def test_a_resnet_shows_the_last_block_that_is_finished(frame, block):
    assert depth.compute(depth=frame, net="ResNet", image=1).place == block


def test_the_dial_shows_the_setting_that_it_says():
    rows = lesson.results()["dial"]
    for tolerance in (1.0, 10**-0.5, 1e-3, 1e-6):
        data = dial.compute(tolerance=tolerance, method="bosh3", net="dopri5 at 1e-3")
        place = min(range(13), key=lambda i: abs(rows["tolerances"][i] - tolerance))
        assert data.now.nfe == rows["nets"]["ODE-Net"]["bosh3"]["nfe"][place]


def test_roughness_is_the_speed_and_the_largest_singular_value():
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    x = torch.randn(5, 2, 3, generator=generator, dtype=torch.float64)

    def f(x):
        return (x.flatten(1) @ matrix.T).view_as(x) + 1

    speed, jacobian = measures._roughness(f, x, 200)
    assert speed == pytest.approx(float(f(x).square().mean().sqrt()))
    assert jacobian == pytest.approx(float(torch.linalg.matrix_norm(matrix, 2)), rel=1e-6)


def test_the_last_four_images_are_wrong_as_the_answer_says():
    """Images 9, 10, 12 all the way; 11, a 3, is taken for a 7 from t = 0.2 on."""
    for image in (9, 10, 11, 12):
        stops = [depth.compute(place, "ODE-Net", image) for place in range(25)]
        says = [stop.says for stop in stops]
        if image == 11:
            changed = says.index(7)
            assert stops[0].label == 3 and set(says[:changed]) == {3} and set(says[changed:]) == {7}
            assert 0.15 < stops[changed].depth < 0.25
        else:
            assert stops[0].label not in says
