"""Under autocast: the field in half precision, the state and its sums in single precision."""

import pytest
import torch

from node_tutorial import SolveError, solve
from node_tutorial.gradients import GRADIENT_MODES
from node_tutorial.models import MLP, NeuralODE, VectorField
from node_tutorial.solvers.methods.registry import METHODS, find_method

HALVES = [torch.bfloat16, torch.float16]
CUDA = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
)
T = torch.tensor([0.0, 1.0])
CHANCE = torch.Generator().manual_seed(0)
Y0 = torch.randn(16, 2, generator=CHANCE)
FIXED = {"method": "rk4", "options": {"step_size": 0.02}}
LOOSE = {"method": "dopri5", "rtol": 1e-2, "atol": 1e-2}
SOLVES = {
    **{f"{mode}, fixed": {"gradient": mode, **FIXED} for mode in GRADIENT_MODES},
    **{f"{mode}, adaptive": {"gradient": mode, **LOOSE} for mode in GRADIENT_MODES},
}
for name in ("reversible, fixed", "reversible, adaptive"):
    SOLVES[name]["method"] = "reversible_heun"
PLAIN = [
    name for name in METHODS if not find_method(name).separable and not find_method(name).solve
]


def field(device="cpu"):
    torch.manual_seed(0)
    return VectorField(MLP(2, 32, 2)).to(device)


def gradient(device, dtype=None, **settings):
    model = NeuralODE(field(device), **settings)
    with torch.autocast(device, dtype, enabled=dtype is not None):
        y = model(Y0.to(device), T.to(device))[-1]
        loss = y.square().mean()
    loss.backward()
    return y.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", SOLVES)
def test_every_gradient_mode_is_as_good_as_a_product_in_half_precision(name, dtype, device):
    y, g = gradient(device, dtype, **SOLVES[name])
    exact_y, exact_g = gradient(device, **SOLVES[name])
    assert y.dtype == g.dtype == torch.float32
    assert (y - exact_y).norm() < 0.01 * exact_y.norm()
    assert (g - exact_g).norm() < 0.02 * exact_g.norm()


@pytest.mark.parametrize("device", [CUDA])
@pytest.mark.parametrize("name", SOLVES)
def test_every_gradient_mode_computes_on_a_gpu_what_it_does_on_a_cpu(name, device):
    for there, here in zip(gradient(device, **SOLVES[name]), gradient("cpu", **SOLVES[name])):
        torch.testing.assert_close(there.cpu(), here, rtol=1e-2, atol=1e-4)


def test_gradients_of_many_evaluations_are_not_added_in_half_precision():
    t = T.clone()
    with torch.autocast("cpu", torch.bfloat16):  # what autocast does in a loop of one's own
        f = field()
        y = Y0
        for _ in range(400):
            y = y + f(t[0], y) / 400
        y.square().mean().backward()
    by_hand = torch.cat([p.grad.flatten() for p in f.parameters()])
    euler = {"method": "euler", "options": {"step_size": 1 / 400}}
    ours = gradient("cpu", torch.bfloat16, **euler)[1]
    exact = gradient("cpu", **euler)[1]
    assert (ours - exact).norm() < 0.01 * exact.norm()
    assert (by_hand - exact).norm() > 0.1 * exact.norm()


@pytest.mark.parametrize("name", PLAIN)
def test_a_method_solves_or_says_why_not(name):
    kind = find_method(name)
    settings = {"method": name, "rtol": 1e-2, "atol": 1e-2}
    if "step_size" in kind.known_options({}):
        settings["options"] = {"step_size": 0.1}
    exact = solve(field(), Y0, T, **settings).y
    try:
        with torch.autocast("cpu", torch.bfloat16):
            y = solve(field(), Y0, T, **settings).y
    except SolveError as error:
        assert kind.implicit and "Newton's iteration does not converge" in str(error)
        return
    torch.testing.assert_close(y, exact, rtol=0.02, atol=0.02)


def test_rows_with_clocks_of_their_own_are_solved_too():
    exact = solve(field(), Y0, T, rtol=1e-2, atol=1e-2, per_sample=True).y
    with torch.autocast("cpu", torch.bfloat16):
        y = solve(field(), Y0, T, rtol=1e-2, atol=1e-2, per_sample=True).y
    torch.testing.assert_close(y, exact, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_a_state_in_half_precision_is_refused_at_a_tolerance_below_it(dtype):
    f = field().to(dtype)
    assert solve(f, Y0.to(dtype), T, rtol=1e-2, atol=1e-2).y.dtype == dtype
    with pytest.raises(ValueError, match=f"below what {dtype} resolves"):
        solve(f, Y0.to(dtype), T, rtol=1e-5, atol=1e-5)
