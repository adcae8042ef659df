"""Facts that lesson 13 relies on: blends, models, rivals, loops, and its exercises."""

import math

import numpy as np
import pytest
import torch

from node_tutorial import exercises, explore, odeint
from node_tutorial.data import motion
from node_tutorial.data.gait import MARCH, STROLL, between, feet, pose, walk
from node_tutorial.data.limit_cycles import euler_cycle, lock_of
from node_tutorial.lessons.motion import dials, figures, rivals, runs, trainings
from node_tutorial.models.fields import MLP, SecondOrder, VectorField
from node_tutorial.plotting import text_problems

f64 = torch.float64


def vector(*values):
    return torch.tensor(values, dtype=f64)


# -- panels ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("second", ["stroll", "march"])
@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_the_arms_amplitude_is_that_of_the_formula(second, share):
    for blend in ("poses", "phases"):
        data = explore.walking_figure(blend=blend, second=second, share=share, apart=0.6).data
        assert data.swing == pytest.approx(data.exact, abs=1e-3)


def test_blends_of_phases_do_not_slide_and_blends_of_poses_do():
    for apart in (0.5, 0.75, 1.0):
        for second in ("stroll", "march"):
            at = {"apart": apart, "second": second}
            assert explore.walking_figure(blend="phases", **at).data.slide < 1e-9
            assert explore.walking_figure(blend="poses", **at).data.slide > 0.25


def test_what_slides_leaves_a_bar_and_what_stands_leaves_dots():
    panel = explore.walking_figure()
    for frame in (0, 17, 47):
        pieces = {
            blend: panel.evaluate(frame=frame, blend=blend).data.touched
            for blend in ("poses", "phases")
        }
        slid, stood = ([abs(end - start) for start, end in row] for row in pieces.values())
        assert sum(slid) > 0.3 and max(stood) < 1e-3


def test_euler_ends_on_its_circle_in_the_panel():
    panel = explore.two_cycles(start=2.0)
    for h in (0.02, 0.05, 0.1, 0.15):
        data = panel.evaluate(h=h).data
        assert data.radius[1] == pytest.approx(data.exact, abs=1e-3)
        grown = (1 + (2 * math.pi * h) ** 2) ** (len(data.center) / 2 - 0.5)
        assert data.radius[0] == pytest.approx(2.0 * grown, rel=1e-6)


def test_two_legs_end_where_they_lock():
    panel = explore.two_legs()
    for coupling, detuning in ((0.4, 0.3), (-0.4, 0.3), (-0.3, -0.2)):
        data = panel.evaluate(coupling=coupling, detuning=detuning).data
        off = float(data.difference[-1]) - data.lock.difference
        assert math.cos(off) == pytest.approx(1, abs=1e-6)


def test_feet_that_stand_leave_dots_and_feet_that_slide_bars():
    panel = explore.walking_figure()
    for blend in ("poses", "phases"):
        assert len(panel.evaluate(frame=20, blend=blend).data.touched) >= 10


def test_noise_slides_and_jerks_by_the_frame_rate():
    slides, jerks = [], []
    for frames in (24, 60, 120):
        t = 1.2 / frames * torch.arange(2 * frames + 1, dtype=f64)
        shaken = torch.Generator().manual_seed(0)
        x = walk(t, 1.2)
        noisy = x + 0.02 * torch.randn(x.shape, generator=shaken, dtype=f64)
        slides.append(motion.slide(t, noisy, trainings.SPEED))
        jerks.append(motion.jerk(t, noisy) / motion.jerk(t, x))
    assert slides == sorted(slides) and slides[0] > 0.2 and slides[2] > 1
    assert jerks == sorted(jerks) and jerks[2] > 20 * jerks[0]


def test_at_the_edge_the_legs_creep_and_are_not_said_to_stay():
    for coupling, rest in ((0.5, 0.5), (-0.5, 1.5)):
        start = 0.0 if coupling > 0 else 1.0  # behind the rest, or it would be no creeping
        found = explore.two_legs(coupling=coupling, detuning=1.0, start=start)
        assert found.data.rest == pytest.approx(rest * math.pi) and found.data.lock is None
        assert f"creep to {rest:.3f} pi" in found.text
        assert float(found.data.difference[-1]) == pytest.approx(rest * math.pi, abs=0.06)
    around = explore.two_legs(coupling=0.5, detuning=1.0, start=0.8).data.difference[-1]
    assert float(around) == pytest.approx(2.5 * math.pi, abs=0.1)  # beyond, once around
    assert "keep their difference" in explore.two_legs(coupling=0.0, detuning=0.0).text
    assert "until touched" in explore.two_legs(coupling=-0.4, detuning=0.0, start=0.0).text
    assert "lock at 1.000" in explore.two_legs(coupling=-0.4, detuning=0.0, start=0.05).text


# -- models ----------------------------------------------------------------------------------------


def test_clips_have_their_key_frames_and_their_noise():
    data = trainings.clips(50, 7)
    seen = data.mask[..., 0]
    assert (seen.sum(1) == trainings.KEYS).all() and seen[:, [0, -1]].all()
    off = data.x - trainings.truth(data.t.double(), data.phase, data.style)
    assert float(off.std()) == pytest.approx(trainings.NOISE, rel=0.05)
    assert len({tuple(row.tolist()) for row in seen}) > 45  # irregular, another way in each


def test_models_of_a_size_have_about_as_many_parameters():
    count = {
        name: sum(p.numel() for p in trainings.untrained(name).parameters())
        for name in trainings.FIELDS
    }
    for pair in (
        ("second order, 1 + 1", "first order, 2"),
        ("second order, 2 + 2", "first order, 4"),
    ):
        assert abs(count[pair[0]] - count[pair[1]]) < 0.01 * count[pair[0]]
    assert max(count.values()) < 1.1 * min(count.values())


@pytest.mark.parametrize("name", trainings.FIELDS)
def test_fields_have_their_order_and_leave_the_style_alone(name):
    torch.manual_seed(0)
    model = trainings.untrained(name)
    order, size, _ = trainings.FIELDS[name]
    state = torch.randn(6, size + 1)
    slope = model.ode.func(torch.tensor(0.0), state)
    assert slope.shape == state.shape and (slope[:, -1] == 0).all()
    if order == 2:
        half = size // 2
        assert torch.allclose(slope[:, :half], trainings.PACE * state[:, half:size])
    model.ode.func.speed = 2.0
    assert torch.allclose(model.ode.func(torch.tensor(0.0), state), 2 * slope)


def test_the_field_is_that_of_the_package_where_there_is_no_style():
    torch.manual_seed(0)
    field = trainings.WithStyle(VectorField(MLP(3, 8, 1)), 2, 2)
    state = torch.randn(5, 3)
    plain = SecondOrder(lambda t, y: field.func(t, torch.cat([y, state[:, 2:]], -1)))
    expected = trainings.PACE * plain(torch.tensor(0.0), state[:, :2])
    assert torch.allclose(field(torch.tensor(0.0), state)[:, :2], expected)


def test_the_first_frames_come_first_in_a_training():
    seen = [trainings.horizon(step, 1000) for step in range(1000)]
    assert seen == sorted(seen) and seen[0] < 6 and seen[700] == trainings.FRAMES


def test_first_order_in_one_number_does_not_turn():
    for seed in range(20):
        torch.manual_seed(seed)
        net = MLP(1, 16, 1).double()
        for p in net.parameters():
            p.data *= 5
        path = odeint(VectorField(net), torch.randn(1, dtype=f64), vector(*range(60)))
        steps = path.detach()[:, 0].diff()
        assert not ((steps > 1e-3).any() and (steps < -1e-3).any())


def test_stored_results_are_of_the_stored_models():
    name = "second order, 1 + 1"
    row = runs.table()[f"learned/{name}"]
    again = trainings.measured(runs.stored_model(name))
    for key in ("within", "slide", "period"):
        assert getattr(again, key) == pytest.approx(row[key][row["middle"]], rel=0.02)


def test_training_with_long_steps_did_not_spoil_the_model():
    """Rolled out with the steps of its training, and with small tolerances."""
    model = runs.stored_model("second order, 1 + 1")
    data = trainings.clips(trainings.TEST, 99)
    z0 = trainings.encoded(model, data)
    t = data.t.double()
    fine = model.decode(z0, t)
    model.ode.method = "rk4_classic"
    coarse = model.decode(z0, t)
    model.ode.method = "dopri5"
    assert (fine - coarse).square().mean().sqrt() < 0.02


def test_who_stands_has_no_period():
    row = runs.table()["learned/first order, 1"]
    assert max(row["swing"]) < 1e-4 and row["period"] == row["periodic"] == [0, 0, 0]


def test_three_seeds_said_too_much_for_the_second_order():
    more = runs.table()["more/second order, 1 + 1"]
    failed = [share < 0.9 for share in more["periodic"]]
    assert len(failed) == 4 and sum(failed) == 1
    assert more["beyond"][failed.index(True)] > 0.305  # worse than the mean pose


def test_in_step_the_mean_of_poses_does_not_slide():
    t = torch.linspace(0, 2.4, 289, dtype=f64)
    assert motion.slide(t, (walk(t, 1.2) + walk(t, 1.2, MARCH)) / 2, trainings.SPEED) < 1e-9


# -- rivals ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def some():
    return trainings.clips(16, 5)


def test_a_fourier_fit_finds_a_walk_of_few_harmonics(some):
    t = some.t.double().numpy()
    wave = np.stack([1 + np.sin(2 * np.pi * t / 1.2 + k) for k in range(9)], -1)
    clean = some._replace(x=torch.from_numpy(np.broadcast_to(wave, (16, *wave.shape)).copy()))
    late = np.linspace(3, 9, 50)
    expected = np.stack([1 + np.sin(2 * np.pi * late / 1.2 + k) for k in range(9)], -1)
    for period in (1.2, None):
        assert np.abs(rivals.fourier(clean, late, 1, period) - expected).max() < 1e-6


def test_the_common_period_is_found():
    assert rivals.common_period(1) == pytest.approx(trainings.PERIOD, abs=0.006)


def test_cross_validation_leaves_one_frame_out(some):
    (at, values), *_ = rivals._keys(some)
    one = some._replace(x=some.x[:1], mask=some.mask[:1])
    errors = []
    for k in range(len(at)):
        rest = np.arange(len(at)) != k
        rows = rivals.design(at, 1, 1.2)
        weights = np.linalg.lstsq(rows[rest], values[rest], rcond=None)[0]
        errors.append(np.square(values[k] - rows[k] @ weights).mean())
    assert rivals.cross_validation(one, 1, 1.2) == pytest.approx(np.mean(errors), rel=1e-6)


def test_splines_go_through_or_near_the_key_frames(some):
    t = some.t.double().numpy()
    seen = some.mask.numpy()
    through = rivals.spline(some, t)
    assert np.abs(through - some.x.double().numpy())[seen].max() < 1e-6
    assert np.abs(rivals.smooth(some, t) - through).max() > 1e-3


def test_templates_find_the_phase_and_the_style_of_each_clip():
    walks = rivals.learned_templates(1, 1.2)
    data, t, true = trainings.held_out()
    found = torch.from_numpy(rivals.templates(data, t.numpy(), walks, 1.2))
    assert trainings.error(found[:, :151], true[:, :151]) < 0.011
    assert trainings.error(found[:, 151:], true[:, 151:]) < 0.011


# -- dials -----------------------------------------------------------------------------------------


def test_a_loop_of_an_exact_walk_has_no_seam():
    class Exact:
        """A latent that is a phase."""

        def latents(self, z0, t):
            angle = torch.atan2(z0[:, :1], z0[:, 1:2]) + 2 * math.pi * t / 1.2
            return torch.stack([angle.sin(), angle.cos()], -1)

        def decode(self, z0, t):
            z = self.latents(z0, t)
            left = torch.atan2(z[..., 0], z[..., 1])
            return pose(left, left + math.pi)

    found = dials.loop(Exact(), vector(0.3, 0.9)[None], settle=2.0)
    assert found.period == pytest.approx(1.2, abs=1e-5)
    assert found.seam.gap < 1e-3 and found.seam.kink < 1


def test_lift_and_arm_are_read_from_the_motion():
    t = torch.linspace(0, 1.2, 241, dtype=f64)
    for style in (STROLL, MARCH, between(STROLL, MARCH, 0.5)):
        lift, arm = dials.lift_and_arm(walk(t, 1.2, style))
        assert lift == pytest.approx(style.lift, rel=1e-2) and arm == pytest.approx(
            style.arm, rel=1e-3
        )


# -- figures ---------------------------------------------------------------------------------------


def test_figures_are_readable():
    t = torch.linspace(0, 1.2, 121, dtype=f64)
    drawn = [
        figures.strips_figure(t, {"one": walk(t, 1.2), "two": walk(t, 1.2)}),
        figures.learned_figure(0.3),
        figures.styles_figure(
            [0.0, 1.0],
            [0.1, 0.2],
            [0.1, 0.2],
            {"lift of a foot (m)": (0.1, 0.2), "swing of an arm (rad)": (0.3, 0.4)},
        ),
        figures.latent_figure(torch.randn(3, 50, 3)),
    ]
    for fig in drawn:
        fig.png()
        assert not text_problems(fig)


# -- exercises -------------------------------------------------------------------------------------


def blend_by_complex_numbers(a, b, one, other):
    z = complex(math.cos(a), math.sin(a)) + complex(math.cos(b), math.sin(b))
    left = torch.tensor(math.atan2(z.imag, z.real) % (2 * math.pi), dtype=f64)
    return pose(left, left - math.pi, between(one, other, 0.5))


def blend_of_poses_in_step(a, b, one, other):
    left = torch.tensor(math.atan2(math.sin(a) + math.sin(b), math.cos(a) + math.cos(b)))
    return (pose(left, left + math.pi, one) + pose(left, left + math.pi, other)) / 2


def blend_with_floats(a, b, one, other):
    left = math.atan2(math.sin(a) + math.sin(b), math.cos(a) + math.cos(b))
    return pose(left, left + math.pi, between(one, other, 0.5))


def blend_by_the_short_way(a, b, one, other):
    way = (b - a + math.pi) % (2 * math.pi) - math.pi
    return pose(a + way / 2, a + way / 2 + math.pi, between(one, other, 0.5))


def step_by_bisection(radius, omega):
    low, high = 1e-9, 1 / omega
    for _ in range(60):
        h = (low + high) / 2
        low, high = (h, high) if euler_cycle(h, omega) < radius else (low, h)
    return torch.tensor(h)


def step_that_keeps_the_circle(radius, omega):
    """By Euler's steps themselves."""
    low, high = 1e-9, 1.0
    for _ in range(60):
        h = (low + high) / 2
        stays = abs(1 + h * (1 + 1j * omega - radius**2)) < 1
        low, high = (h, high) if stays else (low, h)
    return np.float64(h)


def cut_at_the_first_dip(z):
    off = np.linalg.norm((z - z[0]).numpy(), axis=1)
    i = int(np.flatnonzero(off > 1)[0])
    while off[i + 1] < off[i] or off[i] > 0.5:
        i += 1
    return i


def cut_in_a_loop(z):
    left, best = False, None
    for i, off in enumerate((z - z[0]).square().sum(-1)):
        left = left or off > 1
        if left and off < 0.25 and (best is None or off < best[0]):
            best = (off, i)
        if best is not None and off > 0.3:
            break
    return torch.tensor(best[1])


def cut_of_a_slice(z):
    off = (z - z[0]).norm(dim=-1)
    away = off > 0.7
    changes = (away[1:] != away[:-1]).nonzero()[:, 0] + 1
    end = changes[2] if len(changes) > 2 else len(z)
    return np.int64(changes[1] + off[changes[1] : end].argmin())


@pytest.mark.parametrize(
    "id, answer",
    [
        ("13.1", lambda hip, knee: feet(pose_of(hip, knee))[0]),
        ("13.1", lambda hip, knee: np.array([
            0.45 * np.sin(hip) + 0.45 * np.sin(hip - knee),
            -0.45 * np.cos(hip) - 0.45 * np.cos(hip - knee),
        ], dtype=np.float32)),
        ("13.1", lambda hip, knee: (
            0.9 * math.cos(knee / 2) * math.sin(hip - knee / 2),
            -0.9 * math.cos(knee / 2) * math.cos(hip - knee / 2),
        )),
        ("13.2", blend_by_complex_numbers),
        ("13.2", blend_of_poses_in_step),
        ("13.2", lambda *args: blend_by_complex_numbers(*args).tolist()),
        ("13.2", blend_with_floats),
        ("13.2", blend_by_the_short_way),
        ("13.3", step_by_bisection),
        ("13.3", step_that_keeps_the_circle),
        ("13.3", lambda r, w: np.float32(2 / ((r * r - 1) + w * w / (r * r - 1)))),
        ("13.4", lambda dw, rate: -0.5 * math.hypot(dw, rate)),
        ("13.4", lambda dw, rate: -(torch.tensor([dw, rate]).norm()) / 2),
        ("13.4", lambda dw, rate: np.array(-np.sqrt(dw**2 + rate**2) / 2)),
        ("13.5", cut_at_the_first_dip),
        ("13.5", cut_in_a_loop),
        ("13.5", cut_of_a_slice),
    ],
)  # fmt: skip
def test_other_right_forms_are_accepted(id, answer):
    feedback = exercises.load_all()[id].assess(answer)
    assert feedback.state == "correct", feedback.message


def pose_of(hip, knee):
    angles = torch.zeros(9, dtype=f64)
    angles[0] = hip
    angles[1] = knee
    return angles


@pytest.mark.parametrize(
    "id, answer, says",
    [
        ("13.2", lambda a, b, one, other: pose_of(0.1, 0.2), "not the pose of the walker halfway"),
        ("13.1", lambda hip, knee: (math.sin(hip) + math.sin(hip - knee),
                                    -math.cos(hip) - math.cos(hip - knee)), "0.45 meters"),
        ("13.1", lambda hip, knee: (0.45 * (math.sin(hip) + math.sin(knee - hip)),
                                    -0.45 * (math.cos(hip) + math.cos(knee - hip))), "wrong sign"),
        ("13.1", lambda hip, knee: (-0.45 * (math.cos(hip) + math.cos(hip - knee)),
                                    0.45 * (math.sin(hip) + math.sin(hip - knee))), "swapped"),
        ("13.2", lambda a, b, one, other: pose(
            a + ((b - a) % 6.283185307) / 2, a + ((b - a) % 6.283185307) / 2 + math.pi,
            between(one, other, 0.5)), "long way round"),
        ("13.3", lambda r, w: euler_cycle(0.01, w), "not the value"),
        ("13.3", lambda r, w: 2 * r**2 / (r**4 + w**2), "less 1"),
        ("13.3", lambda r, w: 2 * (r - 1) / ((r - 1) ** 2 + w**2), "square of the radius"),
        ("13.3", lambda r, w: 2 * (r**2 - 1) / w**2, "small steps"),
        ("13.3", lambda r, w: (r**2 - 1) / ((r**2 - 1) ** 2 + w**2), "factor of 2"),
        ("13.4", lambda d, r: -math.sqrt(d**2 / 4 + r**2), "rate has lost its 2"),
        ("13.4", lambda d, r: -math.sqrt(d**2 + r**2 / 4), "detuning has lost its 2"),
        ("13.4", lambda d, r: -(d + r) / 2, "right triangle"),
        ("13.4", lambda d, r: r / 2, "step together"),
        ("13.5", lambda z: (z - z[0]).norm(dim=-1).argmin(), "nearest to itself"),
        ("13.5", lambda z: 1 + (z - z[0]).norm(dim=-1)[1:].argmin(), "not left yet"),
        ("13.5", lambda z: 20 + (z - z[0]).norm(dim=-1)[20:].argmin(), "turns later"),
        ("13.5", lambda z: 7.0, "first return"),
    ],
)  # fmt: skip
def test_wrong_answers_get_an_answer(id, answer, says):
    feedback = exercises.load_all()[id].assess(answer)
    assert feedback.state == "not yet" and says in feedback.message


def test_the_coupling_of_the_exercise_walks_and_comes_home_at_its_rate():
    for detuning, rate in ((0.3, 1.0), (-0.8, 0.6)):
        lock = lock_of(detuning, exercises.load_all()["13.4"].solution(detuning, rate))
        assert math.cos(lock.difference) < 0 and lock.rate == pytest.approx(rate)
