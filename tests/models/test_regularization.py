"""The penalties: closed forms, Hutchinson's mean, steps of a plain solve, gradients, refusals."""

import copy
import math
import pickle

import pytest
import torch
from torch import nn

from node_tutorial import odeint
from node_tutorial.gradients import GRADIENT_MODES
from node_tutorial.models import CNF, MLP, NeuralODE, RegularizedODE, VectorField, random_end

f64 = torch.float64
Y0 = torch.tensor([[1.0, 0.5], [-0.3, 0.8], [0.0, 0.0]], dtype=f64)
T = torch.tensor([0.0, 1.5], dtype=f64)
TIGHT = {"rtol": 1e-9, "atol": 1e-10}


class Linear(nn.Module):
    """dy/dt = A y."""

    def __init__(self, A):
        super().__init__()
        self.A = nn.Parameter(torch.tensor(A, dtype=f64))

    def forward(self, t, y):
        return y @ self.A.T


class Constant(nn.Module):
    def forward(self, t, y):
        return torch.tensor([3.0, -4.0], dtype=f64).expand_as(y)


def net():
    torch.manual_seed(0)
    return VectorField(MLP(3, 16, 2).double(), time=True)


@pytest.mark.parametrize("rate", [-2.0, 0.5])
def test_growth_has_its_closed_forms(rate):
    path = RegularizedODE(Linear([[rate, 0.0], [0.0, rate]]), **TIGHT)(Y0, T)
    kinetic = Y0.square().sum(1) * rate * (math.exp(2 * rate * 1.5) - 1) / 2
    assert torch.allclose(path.kinetic, kinetic, rtol=1e-7, atol=1e-9)
    assert torch.allclose(
        path.frobenius, torch.full((3,), 2 * rate**2 * 1.5, dtype=f64)
    )  # exact for diagonal A
    assert torch.allclose(path.y[-1], Y0 * math.exp(rate * 1.5), rtol=1e-7)


def test_a_rotation_has_more_kinetic_energy_than_the_straight_line_by_pi_squared_over_four():
    turn = Linear([[0.0, -math.pi], [math.pi, 0.0]])
    path = RegularizedODE(turn, **TIGHT)(Y0, torch.tensor([0.0, 1.0], dtype=f64))
    straight = (path.y[-1] - Y0).square().sum(1)
    assert torch.allclose(path.kinetic, math.pi**2 / 4 * straight, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("end", [0.5, 3.0])
def test_no_path_has_less_kinetic_energy_than_the_straight_one(end):
    t = torch.tensor([0.0, end], dtype=f64)
    path = RegularizedODE(net(), **TIGHT)(Y0, t)
    assert (path.kinetic > (path.y[-1] - Y0).square().sum(1) / end).all()
    path = RegularizedODE(Constant(), **TIGHT)(Y0, t)
    assert (
        torch.allclose(path.kinetic, (path.y[-1] - Y0).square().sum(1) / end)
        and (path.frobenius == 0).all()
    )


def test_a_path_walked_backward_costs_what_it_costs_forward():
    model = RegularizedODE(Linear([[-0.5, 0.0], [0.0, 1.0]]), **TIGHT)
    there = model(Y0, T)
    back = model(there.y[-1], T.flip(0))
    assert torch.allclose(back.y[-1], Y0, atol=1e-7) and (there.kinetic[:2] > 0).all()
    assert torch.allclose(back.kinetic, there.kinetic, rtol=1e-6) and torch.allclose(
        back.frobenius, there.frobenius
    )


def test_the_estimate_of_the_frobenius_norm_is_right_in_the_mean():
    A = [[0.3, -1.0], [2.0, 0.4]]
    start = Y0[:1].expand(4000, 2)
    samples = RegularizedODE(Linear(A), **TIGHT)(start, T).frobenius / 1.5
    exact = torch.tensor(A).square().sum()
    off_diagonal = (torch.tensor(A) @ torch.tensor(A).T)[0, 1]
    assert samples.mean().item() == pytest.approx(
        exact.item(), abs=4 * samples.std().item() / math.sqrt(4000)
    )
    assert samples.std().item() == pytest.approx(
        2 * abs(off_diagonal.item()), rel=0.05
    )  # of e1 e2 2 S_12


def test_the_estimate_agrees_with_the_jacobian_along_the_path_of_a_net():
    f = net()
    t = torch.linspace(0, 1, 201, dtype=f64)
    y = odeint(f, Y0[0], t, **TIGHT).detach()
    jacobians = torch.stack(
        [torch.autograd.functional.jacobian(lambda y, s=s: f(s, y), x) for s, x in zip(t, y)]
    )
    exact = torch.trapezoid(jacobians.square().sum((1, 2)), t)
    samples = RegularizedODE(f, rtol=1e-6, atol=1e-6)(Y0[:1].expand(4000, 2), t[[0, -1]]).frobenius
    assert samples.mean().item() == pytest.approx(
        exact.item(), abs=4 * samples.std().item() / math.sqrt(4000) + 1e-4
    )


@pytest.mark.parametrize("jacobian", [True, False])
def test_the_steps_are_those_of_a_plain_solve(jacobian):
    plain = NeuralODE(net())
    model = RegularizedODE(net(), jacobian=jacobian)
    assert torch.equal(plain(Y0, T), model(Y0, T).y) and plain.stats == model.stats


def test_a_norm_of_the_user_is_kept():
    def largest(y):
        return y.abs().max().item()

    options = {"norm": largest}
    plain = NeuralODE(net(), options=options)
    model = RegularizedODE(net(), options=options)
    assert torch.equal(plain(Y0, T), model(Y0, T).y) and plain.stats == model.stats


@pytest.mark.parametrize("gradient", [mode for mode in GRADIENT_MODES if mode != "reversible"])
def test_gradients_of_both_penalties_in_every_mode(gradient):
    f = net()
    signs = torch.tensor([[1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]], dtype=f64)

    @torch.enable_grad()  # the solver chooses its first step without
    def by_hand(t, state):
        y = state[0] if state[0].requires_grad else state[0].detach().requires_grad_()
        slope = f(t, y)
        (pulled,) = torch.autograd.grad(slope, y, signs, create_graph=True)
        return slope, slope.square().sum(1), pulled.square().sum(1)

    y0 = Y0.clone().requires_grad_()
    parts = odeint(by_hand, (y0, torch.zeros(3, dtype=f64), torch.zeros(3, dtype=f64)), T, **TIGHT)
    wanted = torch.autograd.grad(
        (parts[1] + 2 * parts[2])[-1].sum() + parts[0].sum(), (y0, *f.parameters())
    )
    model = RegularizedODE(f, gradient=gradient, **TIGHT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "randint_like", lambda *_: (signs + 1) / 2)
        path = model(y0, T)
    loss = (path.kinetic + 2 * path.frobenius).sum() + path.y.sum()
    found = torch.autograd.grad(loss, (y0, *model.parameters()))
    for a, b in zip(found, wanted):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5)


def test_penalties_can_be_computed_without_a_graph_and_without_the_jacobian():
    model = RegularizedODE(net())
    with torch.no_grad():
        path = model(Y0, T)
    assert not any(part.requires_grad for part in path)
    assert RegularizedODE(net(), jacobian=False)(Y0, T).frobenius is None


def test_signs_are_drawn_anew_for_each_solve_and_row():
    model = RegularizedODE(Linear([[0.0, 1.0], [1.0, 1.0]]))
    one, two = (model(Y0[:1].expand(50, 2), T).frobenius for _ in range(2))
    assert not torch.equal(one, two) and one.unique().numel() > 1


def test_a_model_survives_copying_pickling_and_its_state_dict():
    model = RegularizedODE(net(), jacobian=False, rtol=1e-6)
    path = model(Y0, T)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other(Y0, T).kinetic, path.kinetic)
    fresh = RegularizedODE(
        VectorField(MLP(3, 16, 2).double(), time=True), jacobian=False, rtol=1e-6
    )
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh(Y0, T).kinetic, path.kinetic)


def test_a_tuple_is_refused():
    with pytest.raises(TypeError, match=r"y0 must be one tensor \(\.\.\., D\), got tuple"):
        RegularizedODE(net())((Y0, Y0), T)


def test_random_ends_are_uniform_and_keep_the_other_times():
    torch.manual_seed(0)
    t = torch.tensor([0.0, 0.5, 2.0], dtype=f64)
    ends = torch.stack([random_end(t, 1.2) for _ in range(2000)])
    assert (ends[:, :2] == t[:2]).all() and (ends[:, 2] - 2).abs().max() <= 1.2
    assert ends[:, 2].mean().item() == pytest.approx(2, abs=0.07)
    assert ends[:, 2].std().item() == pytest.approx(1.2 / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize("spread", [0.0, -0.1, 1.5, 2.0])
def test_a_spread_that_could_end_before_the_last_output_is_refused(spread):
    with pytest.raises(
        ValueError, match=r"spread must be positive and less than the last interval of t, 1\.5"
    ):
        random_end(torch.tensor([0.0, 0.5, 2.0]), spread)


@pytest.mark.parametrize("gradient", [mode for mode in GRADIENT_MODES if mode != "reversible"])
def test_a_second_solve_before_the_backward_pass_of_the_first_leaves_its_signs_alone(gradient):
    gradients = []
    for calls in (1, 2):
        torch.manual_seed(0)
        model = RegularizedODE(net(), gradient=gradient, **TIGHT)
        loss = model(Y0, T).frobenius.sum()
        if calls > 1:
            model(Y0[:2], T)
        gradients.append(torch.autograd.grad(loss, list(model.parameters())))
    for a, b in zip(*gradients, strict=True):
        assert torch.equal(a, b)


class Watched(nn.Module):
    """A field with callbacks."""

    def __init__(self):
        super().__init__()
        self.net = net()
        self.seen = []

    def forward(self, t, y):
        return self.net(t, y)

    def callback_step(self, t, y, h):
        self.seen.append(("step", float(t), y.shape))

    def callback_accept_step(self, t, y, h):
        self.seen.append(("accepted", float(t), y.shape))


@pytest.mark.parametrize("jacobian", [True, False])
def test_callbacks_of_the_field_are_called_as_by_a_plain_solve(jacobian):
    fields = Watched(), Watched(), Watched()
    NeuralODE(fields[0], **TIGHT)(Y0, T)
    RegularizedODE(fields[1], jacobian=jacobian, **TIGHT)(Y0, T)
    assert len(fields[0].seen) > 5 and fields[1].seen == fields[0].seen
    CNF(fields[2], 2, end=1.5, **TIGHT).path(Y0, T)
    assert {shape for *_, shape in fields[2].seen} == {Y0.shape}


@pytest.mark.parametrize("gradient", ["direct", "adjoint", "replay"])
@pytest.mark.parametrize("name", ["rtol", "atol"])
def test_a_tolerance_for_each_entry_is_that_of_a_plain_solve(name, gradient):
    tolerances = {"rtol": 1e-6, "atol": 1e-6, name: torch.tensor([1e-3, 1e-7], dtype=f64)}
    plain = NeuralODE(net(), gradient=gradient, **tolerances)
    model = RegularizedODE(net(), gradient=gradient, **tolerances)
    y = model(Y0, T)
    torch.testing.assert_close(y.y, plain(Y0, T), rtol=1e-14, atol=1e-14)
    assert model.stats.nfe == plain.stats.nfe
    y.kinetic.sum().backward()
    with pytest.raises(ValueError, match=name):
        RegularizedODE(net(), **{name: torch.tensor([1e-3] * 3, dtype=f64)})(Y0[:, :2], T)
