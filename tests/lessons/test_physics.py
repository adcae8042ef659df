"""Facts that lesson 09 relies on: areas, crossings, torques of least effort, its stored runs."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.autograd import gradcheck
from torch.autograd.functional import jacobian

from node_tutorial import exercises, explore, odeint
from node_tutorial.course.syllabus import SYLLABUS
from node_tutorial.data.mechanics import Arm
from node_tutorial.data.systems import oscillator, pendulum
from node_tutorial.lessons.physics import (
    disk_of_points,
    figures,
    least_effort,
    race,
    runs,
    trainings,
)
from node_tutorial.plotting import text_problems

f64 = torch.float64
ARM = Arm()
NOTEBOOK = Path(__file__).parents[2] / "notebooks" / SYLLABUS["09"].notebook


def vector(*entries):
    return torch.tensor(entries, dtype=f64)


# -- areas and energies ----------------------------------------------------------------------------


def test_a_step_on_the_spring_multiplies_energy_and_area_as_the_formulas_say():
    h = 0.5
    expected = {
        "euler": 1 + h**2,
        "heun2": 1 + h**4 / 4,
        "rk4_classic": 1 - h**6 / 72 + h**8 / 576,
        "implicit_midpoint": 1.0,
    }
    assert expected["rk4_classic"] == pytest.approx(0.999789768, abs=1e-9)
    for method, factor in expected.items():
        t = vector(0, h)
        for y in (vector(1, 0), vector(0.3, -0.7)):
            end = odeint(oscillator, y, t, method=method)[-1]
            assert float(end.square().sum() / y.square().sum()) == pytest.approx(factor, abs=1e-12)
        step = jacobian(lambda y, m=method, t=t: odeint(oscillator, y, t, method=m)[-1], y)
        area = torch.linalg.det(step)
        assert float(area) == pytest.approx(factor, abs=1e-12)
    assert race.growth("rk4", h) == pytest.approx(expected["rk4_classic"], abs=1e-14)
    assert [race.growth(m, h) for m in ("euler", "heun2")] == pytest.approx([1.25, 1.015625])


@pytest.mark.parametrize(
    "method, kept",
    [
        ("leapfrog", lambda q, p, h: p**2 + (1 - h**2 / 4) * q**2),
        ("semi_implicit_euler", lambda q, p, h: q**2 + p**2 - h * q * p),
    ],
)
def test_what_symplectic_methods_keep_on_the_spring(method, kept):
    h = 0.5
    y = odeint(oscillator, vector(1, 0), h * torch.arange(2001, dtype=f64), method=method)
    values = kept(y[:, 0], y[:, 1], h)
    assert (values - values[0]).abs().max() < 1e-12
    energy = y.square().sum(-1) / 2
    low, high = (0.46875, 0.5) if method == "leapfrog" else (0.4, 2 / 3)
    assert energy.min() > low - 1e-9 and energy.max() < high + 1e-9
    assert energy.min() < low + 1e-3 and energy.max() > high - 1e-3
    assert np.abs(energy.numpy() - race.leapfrog_energy(h, np.arange(2001))).max() < 1e-11 or (
        method != "leapfrog"
    )


def test_the_frequencies_on_the_spring():
    h = 0.5
    for method, omega in (("leapfrog", 1.010721021), ("rk4_classic", 0.999524871)):
        step = jacobian(
            lambda y, m=method: odeint(oscillator, y, vector(0, h), method=m)[-1], vector(1, 0)
        )
        turn = torch.linalg.eigvals(step).angle().abs().max()
        assert float(turn) / h == pytest.approx(omega, abs=1e-8)


def test_leapfrog_is_stable_to_2_and_yoshida_to_1_5735():
    for method, edge in (("leapfrog", 2.0), ("yoshida4", 1.5735)):
        for h, stable in ((edge - 1e-3, True), (edge + 1e-3, False)):
            step = jacobian(
                lambda y, m=method, h=h: odeint(oscillator, y, vector(0, h), method=m)[-1],
                vector(1, 0),
            )
            assert (torch.linalg.eigvals(step).abs().max() < 1 + 1e-9) == stable


def test_the_crossing_is_that_of_a_simulation():
    data = race.compute("rk4", "steps", 0.5, 3.0)
    assert data.crossing / 0.5 == pytest.approx(306.95, abs=0.01)
    assert data.crossing / (2 * math.pi) == pytest.approx(24.43, abs=0.005)
    half = math.log(0.5) / math.log(race.growth("rk4", 0.5))
    assert half == pytest.approx(3296.7, abs=0.1)
    other = race.compute("rk4", "evaluations", 0.1, 3.0)
    n = int(other.crossing / 0.4)
    y = odeint(oscillator, vector(1, 0), 0.4 * torch.arange(n + 2, dtype=f64), method="rk4_classic")
    lost = 0.5 - y.square().sum(-1) / 2
    assert lost[n] < 0.1**2 / 8 < lost[n + 1]


def test_at_no_time_is_leapfrogs_energy_outside_its_band():
    for h in race.STEPS:
        data = race.compute("rk4", "evaluations", h, 5.0)
        assert data.leapfrog.max() <= h**2 / 8 + 1e-12


def test_the_disk_under_symplectic_methods_keeps_its_area():
    for method in disk_of_points.COSTS:
        areas = disk_of_points.area(disk_of_points.edges(method, 32))
        symplectic = method in ("leapfrog", "semi_implicit_euler")
        assert (abs(areas / areas[0] - 1).max() < 0.01) == symplectic
    assert (areas / areas[0])[-1] == pytest.approx(1, abs=0.002)


def test_with_which_methods_the_disk_leaves_the_picture():
    for method in disk_of_points.COSTS:
        for n in (16, 32, 64, 128):
            last = disk_of_points.edges(method, n)[-1]
            leaves = method == "euler" or (method == "heun2" and n < 64)
            assert (np.abs(last[:, 0]).max() > disk_of_points.LIMIT) == leaves


def test_the_area_is_that_of_a_polygon():
    square = np.array([[0.0, 0.0], [2, 0], [2, 3], [0, 3]])
    assert disk_of_points.area(square) == 6 and disk_of_points.area(square[::-1]) == 6


# -- torques of least effort -----------------------------------------------------------------------


def test_gradients_through_the_simulation_are_right():
    u = torch.randn(3, 2, dtype=f64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert gradcheck(lambda u: least_effort.simulate(u, 0.3)[-1], (u,))
    _, jacobian_of_end = least_effort.linearized(u, 0.3)
    expected = jacobian(lambda u: least_effort.simulate(u, 0.3)[-1], u.detach())
    assert torch.allclose(jacobian_of_end, expected.flatten(1))


def test_the_simulation_is_the_solver_s():
    u = torch.randn(4, 2, dtype=f64, generator=torch.Generator().manual_seed(0))
    t = torch.linspace(0, 0.4, 5, dtype=f64)
    y = least_effort.HANGING
    for k in range(4):
        y = odeint(lambda t, y, k=k: ARM.field(t, y, u[k]), y, t[k : k + 2], method="rk4_classic")[
            -1
        ]
    assert torch.allclose(least_effort.simulate(u, 0.4)[-1], y, atol=1e-12)


@pytest.fixture(scope="module")
def best():
    posture = ARM.postures(vector(1.2, 0.5)).down
    return posture, least_effort.least_effort(posture, 1.0)


def test_the_best_torques_reach_the_target_and_are_a_gradient(best):
    posture, found = best
    assert found.miss < 1e-8 and found.effort == pytest.approx(67.9126, abs=1e-3)
    assert torch.allclose(found.path[-1], torch.cat([posture, vector(0, 0)]), atol=1e-8)
    _, j = least_effort.linearized(found.u, 1.0)
    nu = torch.linalg.lstsq(j.T, found.u.flatten()[:, None]).solution
    assert (j.T @ nu - found.u.flatten()[:, None]).norm() < 1e-4 * found.u.norm()


def test_another_optimizer_finds_no_less_effort(best):
    """scipy's SLSQP on the same 80 numbers, from three starts."""
    posture, found = best
    goal = torch.cat([posture, vector(0, 0)])
    memory = {}

    def end(flat):
        key = flat.tobytes()
        if key not in memory:
            u = torch.from_numpy(flat.copy()).view(-1, 2)
            path, j = least_effort.linearized(u, 1.0)
            memory.clear()
            memory[key] = ((path[-1] - goal).numpy(), j.numpy())
        return memory[key]

    start = 3 * np.random.default_rng(0).standard_normal(80)
    result = minimize(
        lambda u: (u @ u / 80, u / 40),
        start,
        jac=True,
        method="SLSQP",
        constraints={"type": "eq", "fun": lambda u: end(u)[0], "jac": lambda u: end(u)[1]},
        options={"maxiter": 120, "ftol": 1e-8},
    )
    assert np.abs(end(result.x)[0]).max() < 1e-5
    assert 2 * result.fun > found.effort * (1 - 1e-4)
    assert 2 * result.fun == pytest.approx(found.effort, rel=1e-3)


def test_the_torques_are_the_adjoint_of_the_momentum_and_near_pontryagins(best):
    _, found = best
    a = least_effort.adjoint(found, 1.0)
    middle = (a[1:, 2:] + a[:-1, 2:]) / 2
    assert (middle - found.u).abs().max() < 0.01 * found.u.abs().max()
    continuous = least_effort.by_pontryagin(found, 1.0)
    assert 0.998 * found.effort < continuous < found.effort


def test_the_best_torques_are_a_local_minimum_by_second_derivatives(best):
    """Of |u|^2 / 2 - nu . end(u), along torques that leave the end where it is."""
    _, found = best
    _, j = least_effort.linearized(found.u, 1.0)
    nu = torch.linalg.lstsq(j.T, found.u.flatten()[:, None]).solution[:, 0]

    def lagrangian(u):
        end = least_effort.simulate(u.view(-1, 2), 1.0)[-1]
        return u.square().sum() / 2 - nu @ end

    curved = torch.autograd.functional.hessian(lagrangian, found.u.flatten(), vectorize=True)
    free = torch.linalg.qr(j.T, mode="complete").Q[:, 4:]
    assert torch.linalg.eigvalsh(free.T @ curved @ free).min() > 0.5


def test_the_upper_arm_begins_away_from_its_goal_except_where_there_is_time():
    for target in runs.TARGETS:
        for seconds in runs.TIMES_GIVEN:
            panel = explore.reaching(target=target, seconds=seconds)
            assert panel.data.toward == (seconds == 2.0)
            assert ("toward" in panel.text) == panel.data.toward
        way = panel.data.q[:, 0] - panel.data.q[0, 0]  # in 2 s
        way = way * way[-1].sign()
        assert 0 < way[: way.argmin()].max() < -way.min() / 2  # it swings back farther than it went


def test_without_gravity_half_the_time_takes_eight_times_the_effort():
    """Torques of a path that is run through s times as fast are s^2 times as large."""
    light = Arm(gravity=0.0)
    q, w = vector(0.3, 0.9), vector(0.5, -1.0)
    acceleration = vector(2.0, 1.0)

    def torque(s):
        return light.mass(q) @ (s**2 * acceleration) + light.coriolis(q, s * w)

    assert torch.allclose(torque(2.0), 4 * torque(1.0))


def test_the_posture_is_also_tried_a_turn_away():
    found = least_effort.turned(vector(1.0, -1.5))
    assert [round(float(q[0]), 3) for q in found] == [-5.283, 1.0]


# -- panels and figures ----------------------------------------------------------------------------


def test_the_panel_shows_torques_that_reach_the_target():
    for target in runs.TARGETS:
        efforts = []
        for seconds in runs.TIMES_GIVEN:
            panel = explore.reaching(target=target, seconds=seconds)
            assert np.hypot(*(panel.data.hand[-1] - target)) < 1e-5
            again = least_effort.effort_of(torch.from_numpy(panel.data.u), seconds)
            assert panel.data.effort == pytest.approx(again, abs=1e-5)
            efforts.append(panel.data.effort)
        assert efforts == sorted(efforts, reverse=True)


def test_figures_are_readable():
    for fig in (
        figures.disks_figure(),
        figures.curves_figure(trainings.KINDS),
        figures.others_figure(),
    ):
        fig.png()
        assert not text_problems(fig)


# -- what is learned -------------------------------------------------------------------------------


def test_the_observed_pendulums_have_the_noise_and_the_slopes_they_are_said_to_have():
    data = trainings.observed("pendulum", 1)
    noise = data.seen - data.true
    assert float(noise.std()) == pytest.approx(trainings.NOISE, rel=0.1)
    assert torch.allclose(data.slopes, pendulum(0.0, data.true), atol=1e-6)
    t = trainings.SYSTEMS["pendulum"].spacing * torch.arange(trainings.TIMES)
    y = odeint(pendulum, data.true[:, 0].double(), t.double(), rtol=1e-9, atol=1e-9)
    assert (y.transpose(0, 1) - data.true).abs().max() < 1e-5


def test_a_window_is_predicted_from_its_first_state():
    data = trainings.observed("pendulum", 1)
    windows = data.true.unfold(1, trainings.WINDOW + 1, 1).transpose(-1, -2).flatten(0, 1)
    assert len(windows) == trainings.examples("states")
    assert torch.equal(windows[1], data.true[0, 1 : trainings.WINDOW + 2])
    loss = trainings.window_loss(pendulum, windows, 0.4)
    assert loss < 1e-6


def test_the_plain_nets_energy_error_grows_and_the_others_stay_in_a_band():
    for kind in trainings.KINDS:
        for net in trainings.NETS:
            for curve in runs.table()[runs.result("pendulum", kind, net)]["curve"]:
                if net == "plain":
                    assert curve[-1] > 5 * curve[5]
                else:
                    assert max(curve[51:]) < 1.2 * max(curve[1:51])


def test_a_path_that_flies_away_is_no_number():
    start = vector(1.0, 0.0).repeat(2, 1)
    path = trainings.roll_out(lambda t, y: 1e3 * y**3, start, vector(0, 1, 2), 0.1)
    assert path.shape == (3, 2, 2) and not path[-1, :, 0].isfinite().any()


def test_the_nets_of_a_system_have_about_as_many_parameters():
    for system, nets in (("pendulum", trainings.NETS), ("arm", trainings.ARM_NETS)):
        counts = [
            sum(p.numel() for p in trainings.untrained(system, net).parameters()) for net in nets
        ]
        assert max(counts) < 1.1 * min(counts)


def test_the_roll_out_is_rk4():
    t = torch.linspace(0, 3, 4, dtype=f64)
    start = trainings.observed("pendulum", 1).true[:3, 0].double()
    expected = odeint(pendulum, start, t, method="rk4_classic", options={"step_size": 0.2})
    assert torch.allclose(trainings.roll_out(pendulum, start, t, 0.2), expected, atol=1e-12)


def test_momenta_of_the_arm_are_what_the_hamiltonian_net_is_given():
    y = torch.randn(5, 4, dtype=f64, generator=torch.Generator().manual_seed(0))
    q, p = trainings.canonical(y).chunk(2, -1)
    assert torch.allclose(ARM.velocity(q, p), y[:, 2:])


# -- exercises -------------------------------------------------------------------------------------


def leapfrog_invariant_of_the_matrix(q, p, h):
    """Another way to write it: the quadratic form of a matrix."""
    form = np.array([[1 - h**2 / 4, 0], [0, 1.0]])
    y = np.array([q, p])
    return y @ form @ y


def postures_by_complex_numbers(x, y):
    z = complex(x, y)
    found = []
    for sign in (1, -1):
        q2 = sign * math.acos((abs(z) ** 2 - 1.64) / 1.6)
        turn = z / (1 + 0.8 * complex(math.cos(q2), math.sin(q2)))
        found.append((math.atan2(turn.imag, turn.real), q2))
    return torch.tensor(found)


def torque_by_energy(q1, q2):
    q = torch.tensor([q1, q2], dtype=f64, requires_grad=True)
    y1 = torch.sin(q[0])
    y2 = y1 + 0.8 * torch.sin(q[0] + q[1])
    return torch.autograd.grad(9.81 * (y1 + 0.5 * y2), q)[0]


@pytest.mark.parametrize(
    "id, answer",
    [
        ("09.1", leapfrog_invariant_of_the_matrix),
        ("09.1", lambda q, p, h: torch.tensor(q * q + p * p - (h * q / 2) ** 2)),
        ("09.1", lambda q, p, h: np.float64(p * p + q * q * (1 - h / 2) * (1 + h / 2))),
        ("09.1", lambda q, p, h: (p**2 + (1 - h**2 / 4) * q**2) / 2),
        ("09.1", lambda q, p, h: q**2 + p**2 / (1 - h**2 / 4)),
        ("09.1", lambda q, p, h: math.sqrt(p**2 + (1 - h**2 / 4) * q**2)),
        ("09.2", lambda h: math.log1p(-(h**2) / 4) / math.log1p(-(h**6) / 72 + h**8 / 576)),
        ("09.2", lambda h: math.ceil(math.log(1 - h**2 / 4) / math.log(race.growth("rk4", h)))),
        ("09.2", lambda h: torch.tensor(race.crossing("rk4", h, h) / h)),
        ("09.3", postures_by_complex_numbers),
        ("09.3", lambda x, y: torch.stack(list(ARM.postures(vector(x, y))))),
        ("09.3", lambda x, y: np.mod(postures_by_complex_numbers(x, y).numpy(), 2 * math.pi)),
        ("09.3", lambda x, y: [q.tolist() for q in ARM.postures(vector(x, y))]),
        ("09.5", torch.trace),
        ("09.5", lambda j: sum(j[i][i] for i in range(len(j)))),
        ("09.5", lambda j: torch.einsum("ii", j).item()),
        ("09.5", lambda j: torch.linalg.eigvals(j).sum().real),
        ("09.4", torque_by_energy),
        ("09.4", lambda q1, q2: ARM.holding_torque(vector(q1, q2)).numpy()),
        ("09.4", lambda q1, q2: tuple(ARM.holding_torque(vector(q1, q2)).tolist())),
    ],
)
def test_other_right_forms_are_accepted(id, answer):
    assert exercises.load_all()[id].assess(answer).state == "correct"


def test_an_invariant_must_tell_orbits_apart_and_must_not_change():
    exercise = exercises.load_all()["09.1"]
    assert "twice as far out" in exercise.assess(lambda q, p, h: 1.0).message
    assert "It changes" in exercise.assess(lambda q, p, h: p**2 + 0.9 * q**2).message


def test_losses_that_are_added_are_told_to_be_multiplied():
    answer = exercises.load_all()["09.2"].assess(lambda h: (h**2 / 4) / (h**6 / 72 - h**8 / 576))
    assert answer.state != "correct" and "multiply" in answer.message


def test_the_meanings_of_exercises_are_true():
    assert math.ceil(exercises.load_all()["09.2"].solution(0.5)) == 307
    y = torch.cat([vector(0.3, 0.9), vector(0.5, -1.0)])
    trace = jacobian(lambda y: ARM.field(0, y), y).trace()
    assert float(trace) == pytest.approx(0.372607607, abs=1e-9)


# -- the arm's chaos -------------------------------------------------------------------------------


def test_a_small_error_of_the_dropped_arm_grows_some_thirty_times():
    start = torch.zeros(2, 4, dtype=f64)
    start[1, 0] = 1e-6
    y = odeint(ARM.field, start, vector(0, 5, 10), rtol=1e-10, atol=1e-11)
    grown = (y[:, 1] - y[:, 0]).norm(dim=-1) / 1e-6
    assert grown[1] == pytest.approx(31, abs=1) and grown[2] == pytest.approx(25, abs=1)


def test_from_a_high_start_long_steps_keep_no_energy_with_either_method():
    posture = ARM.postures(vector(1.2, 0.5)).down
    start = torch.cat([posture, vector(0, 0)]).repeat(3, 1)
    start[:, 0] += 1e-7 * torch.arange(3)
    t = torch.linspace(0, 100, 1501, dtype=f64)
    for method in ("implicit_midpoint", "rk4_classic"):
        y = odeint(ARM.canonical_field, start, t, method=method)
        assert ((ARM.hamiltonian(y) - ARM.hamiltonian(start)).abs().amax(0) > 0.5).all()
