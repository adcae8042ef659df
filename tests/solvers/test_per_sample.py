"""`solve(..., per_sample=True)`: every row of a batch on its own clock."""

import pytest
import torch

from node_tutorial import METHODS, SolveError, solve

ADAPTIVE = [
    name
    for name, method in METHODS.items()
    if getattr(method, "error", None) and not method.implicit
]
f64 = {"dtype": torch.float64}
MU = torch.tensor([0.0, 1.0, 8.0, 30.0], **f64)
START = torch.tensor([[2.0, 0.0], [1.0, 1.0], [2.0, 0.0], [2.0, 0.0]], **f64)
TIMES = torch.linspace(0, 3, 6, **f64)


class VanDerPol(torch.nn.Module):
    def __init__(self, mu=MU):
        super().__init__()
        self.mu = torch.nn.Parameter(mu)

    def forward(self, t, y):
        assert t.shape == (len(y), 1)
        x, v = y[:, :1], y[:, 1:]
        return torch.cat([v, self.mu[:, None] * (1 - x**2) * v - x + 0.1 * torch.cos(t)], dim=1)


def run(y0=START, t=TIMES, mu=MU, tol=1e-6, field=None, **kwargs):
    return solve(field or VanDerPol(mu), y0, t, rtol=tol, atol=tol, per_sample=True, **kwargs)


@pytest.mark.parametrize("ends", [(0.0, 3.0), (0.1, 0.0)], ids=["forward", "backward"])
@pytest.mark.parametrize("method", ADAPTIVE)
def test_rows_solved_together_equal_rows_solved_alone(method, ends):
    tol = 1e-3 if METHODS[method].order < 3 else 1e-6
    t = torch.linspace(*ends, 6, **f64)
    together = run(t=t, method=method, tol=tol)
    assert together.y.shape == (4, 6, 2)
    for i in range(4):
        alone = run(START[i : i + 1], t, MU[i : i + 1], method=method, tol=tol)
        torch.testing.assert_close(together.y[i], alone.y[0], rtol=0, atol=1e-12)
        assert (
            together.stats.accepted[i] == alone.stats.accepted
            and together.stats.rejected[i] == alone.stats.rejected
        )


@pytest.mark.parametrize("method", ADAPTIVE)
def test_one_row_equals_the_solve_with_one_clock(method):
    row = START[1:2]
    mu = MU[1:2]
    single = solve(
        lambda t, y: VanDerPol(mu)(t.reshape(1, 1), y),
        row,
        TIMES,
        rtol=1e-4,
        atol=1e-4,
        method=method,
    )
    own = run(row, mu=mu, method=method, tol=1e-4)
    torch.testing.assert_close(own.y[0], single.y[:, 0], rtol=0, atol=1e-9)
    assert own.stats.nfe == single.stats.nfe


def test_easy_rows_take_fewer_steps_than_stiff_ones():
    stats = run().stats
    assert (
        stats.accepted[0] < stats.accepted[1] < stats.accepted[3]
        and stats.rejected[3] > stats.rejected[0]
    )


def test_every_row_may_have_its_own_output_times():
    t = torch.stack([torch.linspace(i, i + 1 + i, 5, **f64) for i in range(4)])
    y = run(t=t).y
    for i in range(4):
        torch.testing.assert_close(
            y[i], run(START[i : i + 1], t[i], MU[i : i + 1]).y[0], rtol=0, atol=1e-12
        )


def test_gradients_equal_those_of_rows_solved_alone():
    weights = torch.randn(4, 6, 2, generator=torch.Generator().manual_seed(0), **f64)

    def gradients(rows):
        y0 = START[rows].clone().requires_grad_()
        mu = MU[rows].clone()
        field = VanDerPol(mu)
        (run(y0, field=field).y * weights[rows]).sum().backward()
        return torch.cat([y0.grad, field.mu.grad[:, None]], dim=1)

    alone = torch.cat([gradients(slice(i, i + 1)) for i in range(4)])
    torch.testing.assert_close(gradients(slice(None)), alone, rtol=1e-9, atol=1e-9)


def test_a_rejected_trial_that_overflows_leaves_the_gradients_finite():
    y0 = torch.tensor([[1.0], [0.5]], **f64, requires_grad=True)
    t = torch.tensor([0.0, 1.0], **f64)
    solution = solve(
        lambda t, y: -torch.sqrt(y),
        y0,
        t,
        per_sample=True,
        options={"first_step": 1.0},
        record=True,
    )
    assert solution.steps[0].error_ratio.isnan().tolist() == [False, True]
    (gradient,) = torch.autograd.grad(solution.y[:, -1].sum(), y0)  # of (sqrt(y0) - t / 2)^2
    torch.testing.assert_close(gradient, 1 - 0.5 / torch.sqrt(y0), rtol=1e-6, atol=0)


def test_single_precision_and_other_shapes_work():
    y0 = torch.rand(3, 2, 2)
    y = solve(lambda t, y: -y * (1 + t), y0, TIMES.float(), per_sample=True, rtol=1e-5, atol=1e-6).y
    exact = y0[:, None] * torch.exp(-TIMES - TIMES**2 / 2).reshape(1, -1, 1, 1)
    assert y.dtype == torch.float32 and y.shape == (3, 6, 2, 2)
    torch.testing.assert_close(y, exact.float(), rtol=0, atol=1e-4)
    assert solve(lambda t, y: -y, torch.ones(5), TIMES, per_sample=True).y.shape == (5, 6)
    assert solve(lambda t, y: -y, torch.ones(0, 2), TIMES, per_sample=True).y.shape == (0, 6, 2)
    assert run(t=TIMES[:1]).y.shape == (4, 1, 2)


def test_the_record_holds_every_attempt_of_every_row():
    solution = run(record=True)
    moved = torch.stack([s.h for s in solution.steps]) > 0
    accepted = torch.stack([s.accepted for s in solution.steps])
    assert torch.equal((moved & accepted).sum(0), solution.stats.accepted)
    assert torch.equal((moved & ~accepted).sum(0), solution.stats.rejected)


def test_the_options_bound_the_steps_of_every_row():
    h = torch.stack(
        [s.h for s in run(record=True, options={"max_step": 0.05, "first_step": 0.01}).steps]
    )
    assert (h <= 0.05).all() and (h[0] == 0.01).all()


@pytest.mark.parametrize(
    "change, error, message",
    [
        (
            {"method": "rk4"},
            ValueError,
            "needs an explicit adaptive .* with dense output, such as 'dopri5'.*got 'rk4'",
        ),
        ({"method": "dopri6"}, ValueError, "unknown method 'dopri6'. Did you mean"),
        ({"options": {"max_steps": 3}}, ValueError, "'max_steps'.*Did you mean"),
        ({"y0": torch.tensor(1.0)}, TypeError, "y0 as one tensor"),
        ({"y0": (START, START)}, TypeError, "y0 as one tensor.*torch.cat"),
        ({"t": torch.zeros(3, 2)}, ValueError, "t has 3 rows.*y0 has 4"),
        (
            {"t": torch.tensor([[0.0, 1.0]] * 3 + [[1.0, 1.0]])},
            ValueError,
            r"t\[3\] must be strictly increasing",
        ),
        (
            {"t": torch.tensor([[0.0, 1.0]] * 3 + [[1.0, 0.0]])},
            ValueError,
            "all increase or all decrease",
        ),
        ({"t": TIMES.clone().requires_grad_()}, ValueError, r"t.detach\(\)"),
        ({"options": {"max_num_steps": 3}}, SolveError, "max_num_steps"),
        ({"field": lambda t, y: y * y * 9}, SolveError, "row 0 of the batch.*Solve it alone"),
        ({"field": lambda t, y: y / 0}, SolveError, "not finite"),
    ],
    ids=lambda x: str(x)[:30] if isinstance(x, dict) else "",
)
def test_what_cannot_be_solved_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        run(**change)
