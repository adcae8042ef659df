"""Lesson 05: the formulas hold, the trainings do what it says, exercises accept what is right."""

import math

import numpy as np
import pytest
import torch

from node_tutorial import History, exercises, odeint, solve
from node_tutorial.course.live import Live
from node_tutorial.data import spiral
from node_tutorial.lessons.learning_dynamics import figures, observations, recipes, windows
from node_tutorial.lessons.learning_dynamics import loss_over_horizon as horizon
from node_tutorial.lessons.learning_dynamics import solver_swap as solvers
from node_tutorial.plotting import text_problems

f64 = {"dtype": torch.float64}


@pytest.mark.parametrize("T", [0.7, 12.0])
@pytest.mark.parametrize("w", [-1.0, 1.9, 2.0, 5.5])
def test_the_loss_of_a_rotation_is_its_integral(w, T):
    t = np.linspace(0, T, 200_001)
    difference = np.abs(np.exp(1j * w * t) - np.exp(2j * t)) ** 2
    assert horizon.rotation_loss(w, T) == pytest.approx(np.trapezoid(difference, t) / T, abs=1e-7)


def test_descent_follows_the_slope_and_stays_in_its_valley():
    for start, T in ((0.5, 12.0), (1.8, 12.0), (5.0, 3.0), (2.0001, 5.0)):
        path = horizon.descend(start, T)
        assert (np.diff(horizon.rotation_loss(path, T)) <= 1e-12).all()
        end = path[-1]
        around = horizon.rotation_loss(end + np.array([-1e-3, 0, 1e-3]) / T, T)
        assert around[1] <= around[[0, 2]].min() + 1e-9, "it ends in a minimum"


def test_the_truth_is_reached_from_within_the_valley_only():
    edge = 4.493409457909064
    for T in (0.5, 3.0, 20.0):
        assert horizon.descend(2 - 0.98 * edge / T, T)[-1] == pytest.approx(2, abs=1e-3 / T)
        assert abs(horizon.descend(2 - 1.02 * edge / T, T)[-1] - 2) > edge / T


def test_the_frames_of_a_descent_lead_from_its_start_to_its_end():
    last = horizon.compute(12.0, 0.5)
    for frame in (0, 7, horizon.FRAMES - 1):
        data = horizon.compute(12.0, 0.5, frame)
        assert (data.path == last.path[: frame + 1]).all() and data.now == data.path[-1]
        assert (data.end, data.found) == (last.end, False)
    assert horizon.compute(12.0, 0.5, 0).now == 0.5 and last.now == last.end
    assert "has come to" in horizon.describe(horizon.compute(12.0, 0.5, 3))


def test_a_path_that_is_turned_leads_by_the_angle():
    t = torch.linspace(0, 24, 25, **f64)
    x, y = observations.truth(t).T
    for angle in (-0.3, 0.0, 0.2):
        c = math.cos(angle)
        s = math.sin(angle)
        turned = 0.8 * torch.stack([c * x - s * y, s * x + c * y], 1)
        assert torch.allclose(observations.lead(t, turned), torch.full_like(t, angle))
    later = observations.truth(t + 0.1)
    assert observations.lead(t, later)[20:].mean() == pytest.approx(0.2, abs=1e-3)


def test_a_window_loss_is_that_of_each_window_alone():
    t, y = observations.observations()
    field = recipes.new_model().ode.func
    value, others = recipes.window_loss(t, y, 5)(field, 0)
    alone = []
    for i in range(len(t) - 4):
        states = solve(field, y[i], t[i : i + 5], rtol=1e-9, atol=1e-9).y
        alone.append((states - y[i : i + 5]).square().mean())
    assert len(alone) == 56 and value.item() == pytest.approx(
        torch.stack(alone).mean().item(), rel=2e-2
    )
    assert others["nfe"] > 0


def test_a_new_model_is_the_same_under_every_default_and_leaves_torch_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    models = [recipes.new_model()]
    assert torch.equal(torch.rand(1), expected)
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        models.append(recipes.new_model())
    finally:
        torch.set_default_dtype(before)
    one, two = (model.state_dict() for model in models)
    assert all(
        torch.equal(one[name], two[name]) and one[name].dtype == torch.float64 for name in one
    )


def test_windows_learn_the_field_and_the_whole_alone_does_not():
    learned, good = recipes.trained(recipes.WINDOWS)
    _, bad = recipes.trained(recipes.WHOLE)
    assert len(good) == len(bad) == 21
    assert good[0].field_error == bad[0].field_error > 0.5
    assert good[-1].field_error < 0.15 < 0.5 < bad[-1].field_error
    assert good[-1].path_error < 0.15 < 0.5 < bad[-1].path_error
    assert observations.field_error(learned.ode.func) == good[-1].field_error
    assert good[2].step == 24 and good[2].field_error > 1, "the arrows do not turn yet"
    assert good[4].step == 48 and good[4].field_error < 0.3


def test_the_errors_of_a_path_and_a_field_are_measured():
    t = torch.linspace(0, 24, 25, **f64)
    inside, beyond = observations.path_errors(
        t, observations.truth(t) + torch.tensor([0.3, 0.4], **f64)
    )
    assert (inside, beyond) == pytest.approx((0.5, 0.5))
    assert observations.path_errors(t[:5], observations.truth(t[:5])) == (0.0, 0.0)
    assert observations.field_error(lambda t, y: 1.1 * spiral(t, y)) == pytest.approx(0.1)


@pytest.mark.parametrize("w, h", [(2.0, 0.1), (1.0, 0.5)])
def test_what_euler_learns_of_a_rotation_goes_around_exactly(w, h):
    slope = (complex(math.cos(w * h), math.sin(w * h)) - 1) / h
    t = torch.arange(0, 5 + h / 2, h, **f64)

    def field(t, z):
        return torch.stack(
            [slope.real * z[0] - slope.imag * z[1], slope.imag * z[0] + slope.real * z[1]]
        )

    z = odeint(field, torch.tensor([1.0, 0.0], **f64), t, method="euler")
    assert torch.allclose(z, torch.stack([torch.cos(w * t), torch.sin(w * t)], 1), atol=1e-12)
    assert slope.real == pytest.approx(-(w**2) * h / 2, rel=0.05)


def test_a_field_learned_through_euler_pulls_inward_as_predicted():
    angle = torch.linspace(0, 2 * math.pi, 65, **f64)[:-1]
    circle = torch.stack([torch.cos(angle), torch.sin(angle)], 1)
    pulls = []
    for name in solvers.TRAINED[:3] + solvers.TRAINED[-1:]:
        field = solvers.trained_through(name).ode.func
        pulls.append((circle * field(0.0, circle)).sum(1).mean().item())
    predicted = [(math.cos(2 * h) - 1) / h for h in (0.2, 0.1, 0.05)] + [0.0]
    assert pulls == pytest.approx(predicted, abs=0.07)


def test_the_table_of_the_explorable_is_what_solves_give():
    data = solvers.compute(learned="Euler, h = 0.2", solver="dopri5, rtol 1e-6")
    model = solvers.trained_through("Euler, h = 0.2")
    t = torch.linspace(0, 12, 121, **f64)
    y = odeint(model.ode.func, model.start, t, rtol=1e-8, atol=1e-8)
    assert data.solved.error == pytest.approx(observations.path_errors(t, y)[0], abs=1e-3)
    assert data.table[0][5] == data.solved.error > 0.3


def test_agreement_is_no_proof():
    """Three fields of which each is wrong by half, and all alike."""
    points = torch.randn(20, 2, **f64)
    fields = [lambda t, y, s=s: (0.5 + s) * spiral(t, y) for s in (-0.01, 0.0, 0.01)]
    assert figures.disagreement(fields, points).max() < 0.05
    assert figures.relative_error(fields[1], 2 + points.abs()).min() == pytest.approx(0.5)


def test_a_live_picture_is_drawn_at_its_pace_and_at_the_end(capsys):
    drawn = []
    live = Live(lambda fig, model, history: drawn.append(len(history)), every=1e9)
    history = History(5)
    for _ in range(5):
        history.append({"loss": 0.5})
        live(None, history)
    assert drawn == [1, 5] and live.figure.meaning == "Step 5 of 5: the loss is 0.5."


def test_the_live_picture_of_a_training_is_readable():
    t, y = observations.observations()
    live = Live(
        lambda fig, model, history: figures.draw_training(fig, model, history, t, y),
        size=(8.6, 3.6),
    )
    history = History(9)
    for loss in (1.0, 0.5, 0.1):
        history.append({"loss": loss})
    live.draw(live.figure, recipes.new_model().ode.func, history)
    live.figure.draw_without_rendering()
    assert not text_problems(live.figure)


def test_smoothed_slopes_are_better_than_differences():
    t, y = observations.observations()
    middles = (t[1:] + t[:-1]) / 2
    true = spiral(0.0, observations.truth(middles))
    states, slopes = observations.smoothed(t, y, middles)
    differences = y.diff(dim=0) / t.diff()[:, None]
    assert (slopes - true).norm() < 0.2 * true.norm() < (differences - true).norm()
    assert (states - observations.truth(middles)).square().sum(1).mean().sqrt() < 0.1


def test_what_windows_learn_is_stored_as_it_is_learned():
    """One of the short trainings again; other processors end elsewhere, but not far from there."""
    stored = windows.STORED[1]["windows of 6"]
    errors = windows.errors_of(windows.learn(6, seed=1), observations.truth(windows.LONG[:1])[0])
    assert errors.field == pytest.approx(stored.field, abs=0.03)
    assert errors.beyond == pytest.approx(stored.beyond, abs=0.2)


def test_what_the_lesson_says_of_three_seeds_holds_for_each():
    for row in windows.STORED:
        beyond = {name: errors.beyond for name, errors in row.items()}
        assert beyond["windows of 16"] < 0.6 * beyond["windows of 6"]
        assert beyond["windows of 16"] < beyond["windows of 2"] / 2 < beyond["windows of 60"]
        assert row["80 on the whole"].field < row["80 more on windows"].field
        assert row["80 on the whole"].inside < 0.1


# ---- Exercises ----


def state(id, answer):
    return exercises.find(id).assess(answer).state


def test_a_rate_learned_through_euler_may_be_found_in_any_way():
    def by_torch(lam, h):
        return torch.expm1(torch.tensor(lam * h)) / h

    def by_search(lam, h):
        low, high = -1 / h, 9 / h
        while high - low > 1e-9:
            middle = (low + high) / 2
            low, high = (middle, high) if 1 + h * middle < math.exp(lam * h) else (low, middle)
        return low

    for right in (by_torch, by_search, lambda lam, h: np.float64(math.exp(lam * h) - 1) / h):
        assert state("05.2", right) == "correct"
    for wrong in (
        lambda lam, h: lam * math.exp(lam * h),
        lambda lam, h: (math.exp(lam) - 1) / h,
        lambda lam, h: lam + lam**2 * h / 2,
    ):
        assert state("05.2", wrong) == "not yet"
    assert "exp" not in exercises.find("05.2").otherwise


@pytest.mark.parametrize(
    ("id", "right", "wrong"),
    [
        ("05.1", (3.0, 2.99, torch.tensor([2.9956])), (2.0, 3.1, 4.49)),
        ("05.3", (1e-4, np.float32(1e-4), torch.tensor(0.0001)), (1e-3, 1e-5, 1e-1)),
    ],
)
def test_numbers_may_come_in_any_form(id, right, wrong):
    assert [state(id, answer) for answer in right] == ["correct"] * 3
    assert [state(id, answer) for answer in wrong] == ["not yet"] * 3


def test_a_loop_with_other_faults_is_refused_too():
    def never_moves(t, x):
        return 0.0

    def fits_the_ends(t, x):
        return 1.1 * torch.log(x[-1] / x[0]) / (t[-1] - t[0])

    def by_steps(t, x):
        return (x.diff() / t.diff() / x[:-1]).mean()

    for wrong in (never_moves, fits_the_ends, by_steps):
        assert state("05.4", wrong) == "not yet"
    for right in (
        lambda t, x: torch.log(x[-1] / x[0]) / (t[-1] - t[0]),
        lambda t, x: float(np.polyfit(t.numpy(), np.log(x.numpy()), 1)[0]),
        lambda t, x: (torch.log(x).diff() / t.diff()).mean(),
    ):
        assert state("05.4", right) == "correct"


def test_the_path_of_05_3_is_off_by_a_sixteenth_of_the_noise():
    t, _ = observations.observations()
    path = odeint(spiral, observations.truth(t[:1])[0], t, rtol=1e-4, atol=1e-4)
    worst = float((path - observations.truth(t)).norm(dim=1).max())
    assert worst == pytest.approx(observations.NOISE / 16, rel=0.1)
