"""A device without double precision, such as Apple's GPUs: states stay there, clocks do not.

There is none here, so that one is pretended: every operation is watched.
"""

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from node_tutorial import odeint, odeint_checkpoint, odeint_replay, odeint_reversible, solve
from node_tutorial.models import MLP, VectorField

MIXED = "tensors of two devices"


def place(x):
    return x.untyped_storage().data_ptr()


class Watch(TorchDispatchMode):
    """What is made of a tensor there is there too, must not be float64, and meets no others.

    Single numbers may: that the gradient of one goes back to where it came from is not pretended.
    """

    def __init__(self):
        super().__init__()
        self.there = set()

    def put(self, x):
        self.there.add(place(x))
        return x

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        inputs = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        if func is torch.ops.aten.lift_fresh.default:  # a new one, maybe in the place of an old one
            self.there.discard(place(inputs[0]))
        there = [place(x) in self.there for x in inputs]
        # A single number may meet any tensor.
        if len({at for at, x in zip(there, inputs, strict=True) if x.dim()}) > 1:
            raise RuntimeError(f"{func}: {MIXED}")
        made = func(*args, **(kwargs or {}))
        for x in tree_leaves(made):
            if isinstance(x, torch.Tensor) and x.numel():
                if any(there) and x.dtype == torch.float64 and x.dim():
                    raise TypeError(f"{func}: this device has no float64")
                (self.there.add if any(there) else self.there.discard)(place(x))
        return made


class Moves(TorchFunctionMode):
    """A device that is named is the pretended one; `cpu` leads away from it."""

    def __init__(self, watch):
        super().__init__()
        self.watch = watch

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        made = func(*args, **kwargs)
        if func is torch.Tensor.cpu:
            made = made.clone()
            self.watch.there.discard(place(made))
        elif kwargs.get("device") or any(isinstance(x, torch.device) for x in args):
            if made.dtype == torch.float64:
                raise TypeError(f"{func}: this device has no float64")
            made = self.watch.put(made.clone())
        return made


def on_the_device(run):
    """run(put), where put(x) brings x to the device."""
    watch = Watch()
    with watch, Moves(watch):
        return run(lambda x: watch.put(x.clone()))


def net():
    torch.manual_seed(0)
    return VectorField(MLP(2, 8, 2))


Y0 = torch.tensor([[1.0, 0.5], [-0.3, 0.8], [0.2, 0.1]])
T = torch.linspace(0, 2, 5)


def test_the_pretended_device_refuses_what_a_device_would():
    with pytest.raises(TypeError, match="no float64"):
        on_the_device(lambda put: put(Y0).double())
    with pytest.raises(RuntimeError, match=MIXED):
        on_the_device(lambda put: put(Y0) + Y0)
    on_the_device(lambda put: put(Y0).cpu().double() + Y0)


@pytest.mark.parametrize("rows", [False, True])
def test_rows_with_clocks_of_their_own_are_solved_there(rows):
    t = T + torch.tensor([[0.0], [0.3], [0.1]]) if rows else T

    def run(put):
        f = net()
        for p in f.parameters():
            p.data = put(p.data)
        y0 = put(Y0).requires_grad_()
        solution = solve(f, y0, t, per_sample=True, rtol=1e-4, atol=1e-4, record=True)
        (gradient,) = torch.autograd.grad(solution.y.square().sum(), y0)
        return solution.y.detach(), gradient, solution.stats.accepted

    for found, expected in zip(on_the_device(run), run(torch.clone), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("wants_t", [False, True])
@pytest.mark.parametrize(
    ("mode", "method", "options"),
    [
        (odeint, "dopri5", None),
        (odeint_replay, "dopri5", None),
        (odeint_checkpoint, "rk4", {"step_size": 0.25}),
        (odeint_reversible, "reversible_heun", {"step_size": 0.25}),
    ],
    ids=lambda x: getattr(x, "__name__", None),
)
def test_recorded_steps_are_redone_there(mode, method, options, wants_t):
    if wants_t and mode is odeint:
        pytest.skip("the way back of a gradient from the device is not pretended")
    # Without outputs inside the steps, for the same reason.
    times = T if options else T[[0, -1]]

    def run(put):
        f = net()
        for p in f.parameters():
            p.data = put(p.data)
        y0 = put(Y0).requires_grad_()
        t = times.clone().requires_grad_(wants_t)
        y = mode(f, y0, t, rtol=1e-4, atol=1e-4, method=method, options=options)
        return torch.autograd.grad(y.square().sum(), (y0, t) if wants_t else (y0,))

    for found, expected in zip(on_the_device(run), run(torch.clone), strict=True):
        torch.testing.assert_close(found, expected)


class Reads(TorchFunctionMode):
    """Counts what makes a processor wait for a GPU: numbers that are read from tensors."""

    NAMES = ("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.count += getattr(func, "__name__", "") in self.NAMES
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", ["dopri5", "tsit5", "bosh3", "dopri8"])
def test_an_adaptive_step_waits_once(method):
    def reads(tol):
        torch.manual_seed(0)
        field = VectorField(MLP(2, 8, 2))
        t = torch.tensor([0.0, 9.0])
        with Reads() as seen, torch.no_grad():
            stats = solve(field, torch.ones(3, 2), t, method=method, rtol=tol, atol=tol).stats
        return seen.count, stats.accepted + stats.rejected

    few, many = reads(1e-2), reads(1e-5)
    assert many[1] > few[1]
    assert many[0] - few[0] == many[1] - few[1]


def test_fixed_steps_do_not_wait():
    def reads(steps):
        f = VectorField(MLP(2, 8, 2))
        options = {"step_size": 1 / steps}
        with Reads() as seen, torch.no_grad():
            solve(f, torch.ones(3, 2), torch.tensor([0.0, 1.0]), method="rk4", options=options)
        return seen.count

    assert reads(10) == reads(40)
