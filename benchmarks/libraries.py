"""The libraries under test: each is a function (mode, field, case) -> solver(y0, t) -> states (T,
B, D), or None.
"""

import warnings

import torch
import torchdiffeq

import node_tutorial
from node_tutorial.gradients import GRADIENT_MODES
from node_tutorial.models import VectorField


def drop_in(library):
    def make(mode, f, case):
        solver = library.odeint_adjoint if mode == "adjoint" else library.odeint
        return lambda y0, t: solver(f, y0, t, rtol=case.rtol, atol=case.rtol, method="dopri5")

    return make


def in_mode(name):
    """A gradient mode of this package, as (field, case) -> solver."""
    mode = GRADIENT_MODES[name]
    return lambda f, case: (
        lambda y0, t: mode(f, y0, t, rtol=case.rtol, atol=case.rtol, method="dopri5")
    )


def compiled(mode, f, case):
    """This package's compiled solve; the first call, which compiles, is not timed."""
    field = VectorField(f.net)  # f itself counts its calls, which a compiled field cannot
    options = {"compile": True}
    if mode == "adjoint":
        return lambda y0, t: node_tutorial.odeint_adjoint(
            field, y0, t, rtol=case.rtol, atol=case.rtol, method="dopri5", options=options
        )

    def run(y0, t):
        solution = node_tutorial.solve(
            field, y0, t, rtol=case.rtol, atol=case.rtol, method="dopri5", options=options
        )
        f.nfe += solution.stats.nfe
        return solution.y

    return run


def with_torchode(mode, f, case):
    import torchode

    if mode == "adjoint":
        return None
    term = torchode.ODETerm(f)
    controller = torchode.IntegralController(atol=case.rtol, rtol=case.rtol, term=term)
    solver = torchode.AutoDiffAdjoint(torchode.Dopri5(term=term), controller)

    def run(y0, t):
        problem = torchode.InitialValueProblem(y0=y0, t_eval=t.expand(len(y0), -1))
        return solver.solve(problem).ys.transpose(0, 1)

    return run


def with_torchdyn(mode, f, case):
    from torchdyn.core import ODEProblem

    tols = {
        "atol": case.rtol,
        "rtol": case.rtol,
        "atol_adjoint": case.rtol,
        "rtol_adjoint": case.rtol,
    }
    sensitivity = "adjoint" if mode == "adjoint" else "autograd"
    problem = ODEProblem(f, solver="dopri5", sensitivity=sensitivity, **tols)
    return lambda y0, t: problem(y0, t)[1]


def with_scipy(mode, f, case):
    from scipy.integrate import solve_ivp

    if mode != "forward":
        return None

    def run(y0, t):
        def field(s, y):
            return f(s, torch.from_numpy(y).float().reshape(y0.shape)).reshape(-1).numpy()

        ends = (t[0].item(), t[-1].item())
        start = y0.reshape(-1).numpy()
        result = solve_ivp(field, ends, start, "RK45", t.numpy(), rtol=case.rtol, atol=case.rtol)
        return torch.from_numpy(result.y.T).float().reshape(-1, *y0.shape)

    return run


def with_diffrax(mode, f, case):
    """Compiled by jax; the first call, which compiles, is not timed; calls are not counted."""
    import diffrax
    import jax

    weights = [jax.numpy.asarray(p.detach().numpy()) for p in f.parameters()]
    adjoint = (
        diffrax.BacksolveAdjoint() if mode == "adjoint" else diffrax.RecursiveCheckpointAdjoint()
    )

    def field(t, y, w):
        return jax.numpy.tanh(y @ w[0].T + w[1]) @ w[2].T + w[3]

    def states(y0, t, w):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            diffrax.Dopri5(),
            t[0],
            t[-1],
            None,
            y0,
            w,
            adjoint=adjoint,
            max_steps=4096,
            saveat=diffrax.SaveAt(ts=t),
            stepsize_controller=diffrax.PIDController(case.rtol, case.rtol),
        ).ys

    wanted = (
        states
        if mode == "forward"
        else jax.grad(lambda *x: (states(*x) ** 2).sum(), argnums=(0, 2))
    )
    compiled = jax.jit(wanted)

    def as_torch(result):
        parts = [result] if mode == "forward" else [result[0], *result[1]]
        tensors = [torch.tensor(jax.device_get(x)) for x in parts]
        return tensors[0] if mode == "forward" else tensors

    def prepared(y0, t):
        """A solve of arrays that jax already has, to arrays of jax."""
        arrays = jax.numpy.asarray(y0.detach().numpy()), jax.numpy.asarray(t.numpy())
        solve = lambda: jax.block_until_ready(compiled(*arrays, weights))  # noqa: E731
        solve.as_torch = as_torch
        return solve

    def run(y0, t):
        return as_torch(prepared(y0, t)())

    run.prepared = prepared
    return run


def installed(mode, f, case):
    """The solvers, by the name of their library, of all that can be imported and have this mode."""
    solvers = {}
    for name, make in LIBRARIES.items():
        try:
            solvers[name] = make(mode, f, case)
        except ImportError:
            continue
        except RuntimeError as error:  # what a package compiled for another torch raises
            warnings.warn(f"{name} is left out: {error}", stacklevel=2)
    return {name: solver for name, solver in solvers.items() if solver}


LIBRARIES = {
    "torchdiffeq": drop_in(torchdiffeq),
    "node_tutorial": drop_in(node_tutorial),
    "node_tutorial, compiled": compiled,
    "torchode": with_torchode,
    "torchdyn": with_torchdyn,
    "scipy": with_scipy,
    "diffrax": with_diffrax,
}
