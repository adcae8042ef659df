"""A program made for torchdiffeq, run with it or with our package in its place.

    python drop_in.py ours|torchdiffeq example.py [its arguments]
    python drop_in.py ours|torchdiffeq torchcde|flow_matching

Prints what the program prints, and, as the last line, numbers that it has computed, in JSON.
"""

import json
import pathlib
import runpy
import sys
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

# Of each example what it computes and does not print.
RESULTS = {"bouncing_ball": ["event_times", "trajectory"], "learn_physics": ["event_times"]}


def example(script: pathlib.Path, arguments: list[str]) -> dict[str, list[float]]:
    sys.path.insert(0, str(script.parent))
    sys.argv = [str(script), *arguments]
    results = runpy.run_path(str(script), run_name="__main__")
    return {
        name: [float(torch.as_tensor(x).detach()) for x in results[name]]
        for name in RESULTS.get(script.stem, [])
    }


class Net(nn.Module):
    """Two layers; of shape `out` behind the batch."""

    def __init__(self, width: int, *out: int) -> None:
        super().__init__()
        self.out = out
        size = int(np.prod(out))
        self.net = nn.Sequential(nn.Linear(width, 16), nn.Tanh(), nn.Linear(16, size))

    def forward(self, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.net(y).tanh().view(*y.shape[:-1], *self.out)


class Pair(nn.Module):
    """The field of a tuple state."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Net(3, 3, 2)
        self.second = Net(4, 4, 2)

    def forward(self, t: torch.Tensor, y: tuple) -> tuple:
        return self.first(t, y[0]), self.second(t, y[1])


class Both(nn.Module):
    """The same control for both parts of a tuple state."""

    def __init__(self, path: nn.Module) -> None:
        super().__init__()
        self.path = path

    def derivative(self, t: torch.Tensor) -> tuple:
        return (self.path.derivative(t),) * 2


def torchcde() -> Iterator[tuple[str, list[float]]]:
    """Solves and gradients of `cdeint`: kinds of control, gradients, methods, states."""
    import torchcde

    torch.set_default_dtype(torch.float64)
    t = torch.linspace(0, 9, 10)
    data = torch.stack([t.cos(), torch.linspace(0, 1, 10)], -1).repeat(4, 1, 1)
    data = data + 0.1 * torch.randn(4, 10, 2)
    hermite = torchcde.hermite_cubic_coefficients_with_backward_differences(data)
    spline = torchcde.CubicSpline(hermite)
    natural = torchcde.CubicSpline(torchcde.natural_cubic_coeffs(data))
    linear = torchcde.LinearInterpolation(torchcde.linear_interpolation_coeffs(data))
    jumps = {"jump_t": linear.grid_points}
    fixed = {"step_size": 0.5}
    # A spline has kinks; steps that do not end on them err by more than the tolerance.
    tight = {"rtol": 1e-8, "atol": 1e-10}
    solves = {
        "adjoint": (spline, tight),
        "direct": (natural, {"adjoint": False, **tight}),
        "fixed steps": (spline, {"adjoint": False, "method": "midpoint", "options": fixed}),
        "adjoint with fixed steps": (spline, {"method": "rk4", "options": fixed}),
        "jumps": (linear, {"adjoint": False, "method": "dopri5", "options": jumps}),
        "adjoint with jumps": (
            linear,
            {"method": "dopri5", "options": jumps, "adjoint_options": jumps},
        ),
    }
    for name, (path, settings) in solves.items():
        torch.manual_seed(1)
        func = Net(3, 3, 2)
        z0 = torch.randn(4, 3, requires_grad=True)
        z = torchcde.cdeint(path, func, z0, path.grid_points, **settings)
        found = torch.autograd.grad(z.square().sum(), (z0, *func.parameters()))
        yield name, flat(z, *found)
    func = Pair()
    z = torchcde.cdeint(Both(spline), func, (torch.randn(4, 3), torch.randn(4, 4)), t[:3], **tight)
    found = torch.autograd.grad(sum(x.square().sum() for x in z), tuple(func.parameters()))
    yield "tuple", flat(*z, *found)


def flow_matching() -> Iterator[tuple[str, list[float]]]:
    """Samples, their gradients, and likelihoods of `ODESolver`."""
    from flow_matching.solver import ODESolver
    from flow_matching.utils import ModelWrapper

    class Model(ModelWrapper):
        def forward(self, x: torch.Tensor, t: torch.Tensor, **extras: float) -> torch.Tensor:
            return self.model(t, x) * extras.get("scale", 1.0) + t

    net = Net(2, 2)
    solver = ODESolver(velocity_model=Model(net))
    x = torch.randn(8, 2)
    grid = torch.linspace(0, 1, 6)
    back = torch.linspace(1, 0, 6)

    def log_p0(z: torch.Tensor) -> torch.Tensor:
        return -z.square().sum(1) / 2 - np.log(2 * np.pi)

    for method, step in (("euler", 0.05), ("midpoint", 0.1), ("heun3", 0.1), ("rk4", None)):
        found = solver.sample(
            x, step_size=step, method=method, time_grid=grid, return_intermediates=True
        )
        yield method, flat(found)
    yield "dopri5", flat(solver.sample(x, step_size=None, method="dopri5", scale=2.0))
    yield "backwards", flat(solver.sample(x, step_size=None, method="dopri5", time_grid=back))
    sample = solver.sample(x, step_size=0.1, method="midpoint", enable_grad=True)
    yield "gradient", flat(*torch.autograd.grad(sample.square().sum(), tuple(net.parameters())))
    for exact in (True, False):
        for method, step in (("euler", 0.05), ("dopri5", None)):
            torch.manual_seed(2)
            found = solver.compute_likelihood(
                x, log_p0, step_size=step, method=method, exact_divergence=exact
            )
            yield f"likelihood, {method}, {'exact' if exact else 'estimated'}", flat(*found)


def flat(*tensors: torch.Tensor) -> list[float]:
    return torch.cat([x.detach().reshape(-1) for x in tensors]).tolist()


if __name__ == "__main__":
    which, program, *rest = sys.argv[1:]
    if which == "ours":
        import node_tutorial

        sys.modules["torchdiffeq"] = node_tutorial
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  # the examples draw from it
    if program.endswith(".py"):
        numbers = example(pathlib.Path(program), rest)
    else:
        numbers = dict({"torchcde": torchcde, "flow_matching": flow_matching}[program]())
    print(json.dumps(numbers))
