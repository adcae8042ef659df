"""Bad inputs: the type of the error, and a message that names the argument and a remedy."""

import math

import pytest
import torch

from node_tutorial import METHODS, SolveError, odeint, odeint_adjoint, solve

f64 = {"dtype": torch.float64}
Y0 = torch.ones(3, 2)
T = torch.tensor([0.0, 1.0])


def decay(t, y):
    return -y


def refused(error, message, func=decay, y0=Y0, t=T, solver=odeint, **kwargs):
    with pytest.raises(error, match=message):
        solver(func, y0, t, **kwargs)


@pytest.mark.parametrize(
    "solver",
    [odeint, solve, lambda *a, **k: odeint_adjoint(*a, **k, adjoint_params=())],
    ids=["odeint", "solve", "odeint_adjoint"],
)
@pytest.mark.parametrize(
    "t, error, message",
    [
        ([0.0, 1.0], TypeError, r"^t must be a tensor of times, got list; use torch\.tensor"),
        (
            torch.tensor([0, 1]),
            TypeError,
            r"^t must be of floating point, got torch\.int64; use t\.double",
        ),
        (torch.tensor(1.0), ValueError, r"^t must be one dimensional.*shape \(\); use t\.reshape"),
        (
            torch.zeros(2, 2),
            ValueError,
            r"^t must be one dimensional.*shape \(2, 2\); use t\.reshape",
        ),
        (torch.zeros(0), ValueError, "^t is empty; its first entry is the initial time"),
        (
            torch.tensor([0.0, 1.0, 1.0]),
            ValueError,
            r"^t must be strictly.*t\[1\] = 1 .* torch\.unique",
        ),
        (
            torch.tensor([0.0, 1.0, 0.5]),
            ValueError,
            r"^t must be strictly.*t\[1\] = 1 .* by 0\.5; sort it",
        ),
        (
            torch.tensor([1.0, 0.5, 0.7]),
            ValueError,
            r"^t must be strictly.*t\[1\] = 0\.5 .* by 0\.7; sort it",
        ),
        (torch.tensor([0.0, math.nan]), ValueError, "^t must be finite, got .*nan"),
        (torch.tensor([0.0, math.inf]), ValueError, "^t must be finite, got .*inf"),
    ],
    ids=[
        "list",
        "int",
        "0-d",
        "2-d",
        "empty",
        "double",
        "unsorted",
        "unsorted falling",
        "nan",
        "inf",
    ],
)
def test_times_that_cannot_be_right(t, error, message, solver):
    refused(error, message, t=t, solver=solver)


@pytest.mark.parametrize(
    "y0, error, message",
    [
        (1.0, TypeError, r"^y0 must be a tensor.*got float; use torch\.as_tensor\(y0\)"),
        ([Y0, Y0], TypeError, r"^y0 must be a tensor.*got list; use tuple\(y0\)"),
        ((Y0, 2.0), TypeError, r"^y0\[1\] must be a tensor.*got float"),
        ((), ValueError, "^y0 is an empty tuple; it needs at least one tensor"),
        (
            torch.ones(2).long(),
            TypeError,
            r"^y0 must be of floating point, got torch\.int64; use y0\.float",
        ),
        (
            (Y0, Y0.double()),
            TypeError,
            "^the tensors of y0 must have one dtype.*float32, torch.float64; cast",
        ),
        (torch.tensor([1.0, math.nan]), ValueError, r"^y0 is not finite.*torch\.isfinite\(y0\)"),
        ((Y0, torch.tensor(math.inf)), ValueError, r"^y0\[1\] is not finite"),
    ],
    ids=["float", "list", "float in a tuple", "empty tuple", "int", "two dtypes", "nan", "inf"],
)
def test_states_that_cannot_be_right(y0, error, message):
    refused(error, message, y0=y0)


@pytest.mark.parametrize("method", ["dopri5", "rk4", "implicit_adams", "scipy_solver"])
@pytest.mark.parametrize(
    "func, error, message",
    [
        (3, TypeError, r"^func must be callable as func\(t, y\), got int"),
        (
            lambda t, y: y[0],
            ValueError,
            r"^func\(t, y\) has shape \(2,\).*state.*shape \(3, 2\).*must be equal",
        ),
        (lambda t, y: y.sum(), ValueError, r"^func\(t, y\) has shape \(\).*shape \(3, 2\)"),
        (
            lambda t, y: y.double(),
            TypeError,
            r"^func\(t, y\) is torch\.float64, but the state is torch\.float32; cast",
        ),
        (
            lambda t, y: y * 1j,
            TypeError,
            r"^func\(t, y\) is torch\.complex64, but the state is torch\.float32; cast",
        ),
        (
            lambda t, y: 1.0,
            TypeError,
            r"^func\(t, y\) must be a tensor, got float; use torch\.stack or",
        ),
        (lambda t, y: None, TypeError, r"^func\(t, y\) must be a tensor, got NoneType"),
    ],
    ids=["no function", "another shape", "scalar", "another dtype", "complex", "float", "nothing"],
)
def test_fields_that_cannot_be_right(func, error, message, method):
    refused(error, message, func=func, method=method)


@pytest.mark.parametrize(
    "func, error, message",
    [
        (
            lambda t, y: y[0],
            TypeError,
            r"^func\(t, y\) must return a tuple of 2 tensors, as y0 is, got Tensor",
        ),
        (
            lambda t, y: (y[0],),
            ValueError,
            r"^func\(t, y\) must return 2 tensors, as y0 has, got 1",
        ),
        (
            lambda t, y: (y[0], y[0]),
            ValueError,
            r"^func\(t, y\)\[1\] has shape \(3, 2\).*shape \(4,\)",
        ),
        (lambda t, y: (y[0], 1.0), TypeError, r"^func\(t, y\)\[1\] must be a tensor, got float"),
    ],
    ids=["tensor", "too few", "another shape", "float"],
)
def test_fields_of_a_tuple_that_cannot_be_right(func, error, message):
    refused(error, message, func=func, y0=(Y0, torch.ones(4)))


def test_an_error_inside_func_reaches_the_caller():
    with pytest.raises(ZeroDivisionError):
        odeint(lambda t, y: y / (1 // 0), Y0, T)


@pytest.mark.parametrize(
    "method, message",
    [
        (
            "dopri6",
            r"^unknown method 'dopri6'\. Did you mean 'dopri[58]'\? It must be one of .*dopri5",
        ),
        ("RK4", r"^unknown method 'RK4'"),
        (["rk4"], r"^unknown method \['rk4'\].*one of"),
    ],
)
def test_unknown_methods(method, message):
    refused(ValueError, message, method=method)


@pytest.mark.parametrize("method", METHODS)
def test_unknown_options_are_refused_with_a_suggestion(method):
    refused(
        ValueError,
        f"^unknown option 'max_stepp' for method '{method}'.* It takes: ",
        method=method,
        options={"max_stepp": 0.1},
    )


@pytest.mark.parametrize(
    "method, option, message",
    [
        ("dopri5", {"frist_step": 0.1}, r"Did you mean 'first_step'\? It takes: .*min_step"),
        ("rk4", {"stepsize": 0.1}, r"Did you mean 'step_size'\? It takes: "),
        ("rk4", {"first_step": 0.1}, "unknown option 'first_step' for method 'rk4'"),
        ("dopri5", {"step_size": 0.1, "max_step": 0.1}, "'max_step'"),
        (
            "scipy_solver",
            {"step_size": 0.1},
            "unknown option 'step_size' for method 'scipy_solver'",
        ),
        (
            "rk4",
            {"step_size": 0.1, "grid_constructor": lambda f, y, t: t},
            "step_size or grid_constructor, not both",
        ),
        ("rk4", {"step_size": 0.0}, r"options\['step_size'\] must be a positive number, got 0"),
        (
            "dopri5",
            {"step_size": -0.1},
            r"options\['step_size'\] must be a positive number, got -0\.1.*decreasing t",
        ),
        (
            "rk4",
            {"grid_constructor": lambda f, y, t: t * 2},
            "^the grid must run from .* = 0 to .* = 1, got 0 to 2",
        ),
        (
            "rk4",
            {"interp": "quintic"},
            r"options\['interp'\] must be 'linear' or 'cubic', got 'quintic'",
        ),
        ("dopri5", {"first_step": -1.0}, r"options\['first_step'\] must be positive, got -1"),
        ("dopri5", {"first_step": 0.0}, r"options\['first_step'\] must be positive, got 0"),
        ("dopri5", {"max_step": 0.0}, r"options\['max_step'\] must be positive, got 0"),
        ("dopri5", {"max_step": math.nan}, r"options\['max_step'\] must be positive, got nan"),
        ("dopri5", {"min_step": 1.0, "max_step": 0.1}, "min_step.*max_step"),
        ("dopri5", {"max_num_steps": 0}, "max_num_steps"),
        ("dopri5", {"safety": 0.0}, r"options\['safety'\]"),
        ("dopri5", {"ifactor": 0.5}, r"options\['ifactor'\]"),
        ("dopri5", {"dfactor": 2.0}, r"options\['dfactor'\]"),
        (
            "dopri5",
            {"controller": "PID2"},
            r"options\['controller'\] must be one of \['I', 'PI'.*got 'PID2'",
        ),
        (
            "dopri5",
            {"step_t": [0.5], "jump_t": [0.5]},
            "0.5 stands twice in step_t and jump_t; name each time once",
        ),
        ("implicit_adams", {"max_order": 3}, r"options\['max_order'\] must be from 4 to 12.*got 3"),
        (
            "scipy_solver",
            {"solver": "RK99"},
            r"options\['solver'\] must be one of RK45, .*; got 'RK99'",
        ),
        ("scipy_solver", {"solver": "RK45", "min_step": 0.1}, "min_step.*LSODA only, not by RK45"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, dict) else None,
)
def test_options_that_cannot_be_right(method, option, message):
    refused(ValueError, message, method=method, options=option)


def test_a_grid_must_be_a_tensor():
    refused(
        TypeError,
        r"^options\['grid_constructor'\]\(func, y0, t\) must be a tensor of times, got list",
        method="rk4",
        options={"grid_constructor": lambda f, y, t: [0, 1]},
    )


def test_options_must_be_a_dictionary():
    refused(TypeError, "^options must be a dict", options=["max_step"])


@pytest.mark.parametrize("name", ["rtol", "atol"])
@pytest.mark.parametrize(
    "value, error, message",
    [
        (-1e-3, ValueError, "must be zero or positive, got -0.001"),
        (math.nan, ValueError, "must be zero or positive, got nan"),
        (
            torch.tensor(1e-3, requires_grad=True),
            ValueError,
            r"must not require gradients; use .*detach\(\)",
        ),
        (
            torch.full((5,), 1e-3),
            ValueError,
            r"of shape \(5,\) does not broadcast to the state's shape \(3, 2\)",
        ),
        (
            (1e-3, 1e-3),
            ValueError,
            "has 2 entries; give one number, or one per tensor of a tuple y0",
        ),
        (None, TypeError, "must be a number"),
        ("1e-3", TypeError, "must be a number"),
    ],
    ids=["negative", "nan", "with gradient", "shape", "tuple", "none", "string"],
)
def test_tolerances_that_cannot_be_right(name, value, error, message):
    refused(error, f"^{name} {message}", **{name: value})


def test_tolerances_below_the_precision_are_refused():
    refused(
        ValueError,
        r"rtol = 1\.0e-12 and atol = 1\.0e-13 are below.*float32.*Raise them.*y0\.double\(\)",
        rtol=1e-12,
        atol=1e-13,
    )
    refused(
        ValueError,
        r"below what torch\.float64 resolves.*Raise them",
        y0=Y0.double(),
        rtol=0.0,
        atol=0.0,
    )


@pytest.mark.parametrize("method", ["dopri5", "tsit5", "dopri8"])
def test_a_field_that_starts_with_nan_is_an_error_at_once(method):
    refused(
        SolveError,
        r"func\(t\[0\], y0\) is not finite at t = 0: 6 of 6 entries",
        lambda t, y: y * math.nan,
        method=method,
    )


@pytest.mark.parametrize(
    "func, end, message",
    [
        (
            lambda t, y: y * y,
            2.0,
            r"underflow in dt: at t = 1\.0.*step size fell to .*Largest \|y\| here.*diverges",
        ),
        (
            lambda t, y: torch.sqrt(1 - t) * y,
            2.0,
            "underflow in dt: at t = 1 .*not finite.*func leaves its domain",
        ),
        (
            lambda t, y: torch.exp(torch.exp(y)),
            9.0,
            "underflow in dt.*to try: the solution diverges",
        ),
    ],
    ids=["blow-up", "domain", "overflow"],
)
def test_a_solve_that_cannot_go_on_says_where_and_why(func, end, message):
    refused(SolveError, message, func, torch.ones(1, **f64), torch.tensor([0.0, end], **f64))


def test_too_many_steps_name_the_limit_and_the_remedies():
    refused(
        SolveError,
        r"^max_num_steps exceeded: 100 steps without reaching t = 1; .*rtol"
        r".*'max_num_steps'.*stiff",
        lambda t, y: -1e5 * (y - torch.cos(t)),
        options={"max_num_steps": 100},
    )


@pytest.mark.parametrize("method", ["euler", "rk4", "explicit_adams"])
def test_a_fixed_step_solution_that_overflows_is_an_error(method):
    refused(
        SolveError,
        r"^the solution is not finite from t\[\d+\] = .*method '.*smaller.*step_size.*'dopri5'",
        lambda t, y: y**3,
        t=torch.linspace(0, 5, 50),
        method=method,
    )


def test_solve_errors_are_what_users_of_torchdiffeq_catch():
    assert issubclass(SolveError, AssertionError) and issubclass(SolveError, RuntimeError)


def test_a_failure_of_scipy_is_passed_on_with_its_reason():
    refused(
        SolveError,
        r"^scipy's RK45 stopped after t = 0.*step size",
        lambda t, y: y * y,
        torch.ones(1, **f64),
        torch.tensor([0.0, 2.0], **f64),
        method="scipy_solver",
        options={"solver": "RK45"},
    )
    refused(
        ValueError,
        "^scipy's LSODA does not integrate complex states; use 'RK45'",
        y0=Y0 + 0j,
        method="scipy_solver",
    )


def test_an_iteration_that_does_not_converge_is_warned_about():
    with pytest.warns(
        UserWarning, match="did not converge in max_iters = 2 at t = .*smaller step_size"
    ):
        odeint(
            lambda t, y: -3 * y,
            Y0,
            torch.linspace(0, 1, 11),
            method="implicit_adams",
            options={"max_iters": 2},
        )


def test_a_part_of_a_tuple_that_is_not_a_number_is_no_accepted_step():
    """Python's max(0.5, nan) is 0.5: the second part must not hide behind the first."""
    start = (torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))

    def func(t, y):
        return -y[0], torch.where(t > 0.5, torch.nan, -y[1])

    with pytest.raises(SolveError):
        odeint(func, start, torch.tensor([0.0, 2.0], dtype=torch.float64), rtol=1e-3, atol=1e-3)
