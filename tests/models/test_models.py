"""Every model: shapes, gradients that reach all parameters, saving, loading, dtypes, devices.

A new model gets a line in CASES; the last test fails until it has one.
"""

import copy
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from node_tutorial import models
from node_tutorial.models import (
    CNF,
    MLP,
    ODERNN,
    VAE,
    AugmentedODE,
    Autoencoder,
    ContinuousVAE,
    ConvField,
    GRUWithGaps,
    LatentODE,
    NeuralCDE,
    NeuralODE,
    ODENet,
    Oscillator,
    PlanarFlow,
    RealNVP,
    RegularizedODE,
    Residual,
    ResNet,
    SecondOrder,
    TimedLayer,
    TimedMLP,
    VectorField,
)
from node_tutorial.models.control_paths import linear


class Case(NamedTuple):
    """A model, its arguments, and the shapes of what it returns, in the order of its leaves."""

    make: Callable[[], nn.Module]
    inputs: Callable[[], tuple]
    shapes: list[tuple[int, ...]]


def points(*shape):
    return lambda: (torch.randn(*shape),)


def shares(*shape):
    return lambda: (torch.rand(*shape),)


def with_time(*shape):
    return lambda: (torch.tensor(0.3), torch.randn(*shape))


def over_times(*shape):
    return lambda: (torch.randn(*shape), torch.linspace(0, 1, 4))


def conv3x3(inputs, outputs):
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def series(*shape):
    return lambda: (torch.linspace(0, 1, shape[1]), torch.randn(*shape))


class Likelihood(nn.Module):
    """log p(x | z) of a VAE at a z that is not random: all of its parameters have a part in it."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, *inputs):
        mean, std = self.model.encode(*inputs)
        if isinstance(self.model, VAE):
            return self.model.log_prob(*inputs, mean + std)
        return self.model.log_likelihood(mean + std, *inputs)


class OfPoints(nn.Module):
    """A neural CDE of the straight lines between points (B, T, C)."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, points):
        return self.model(linear(points))


TIGHT = {"rtol": 1e-5, "atol": 1e-5}
CASES = {
    "MLP": Case(lambda: MLP(2, 8, 3), points(5, 2), [(5, 3)]),
    "VectorField": Case(lambda: VectorField(MLP(2, 8, 2)), with_time(5, 2), [(5, 2)]),
    "VectorField, time": Case(
        lambda: VectorField(MLP(3, 8, 2), time=True), with_time(5, 2), [(5, 2)]
    ),
    "TimedLayer, linear, gate": Case(
        lambda: TimedLayer(nn.Linear, 2, 3, "gate"), with_time(5, 2), [(5, 3)]
    ),
    "TimedLayer, images, shift": Case(
        lambda: TimedLayer(conv3x3, 2, 3, "shift"), with_time(5, 2, 4, 4), [(5, 3, 4, 4)]
    ),
    "TimedMLP": Case(lambda: TimedMLP(2, 8, 2), with_time(5, 2), [(5, 2)]),
    "ConvField": Case(lambda: ConvField(8), with_time(5, 8, 4, 4), [(5, 8, 4, 4)]),
    "ConvField, no norms": Case(
        lambda: ConvField(8, normalize=False), with_time(5, 8, 4, 4), [(5, 8, 4, 4)]
    ),
    "SecondOrder": Case(lambda: SecondOrder(TimedMLP(4, 8, 2)), with_time(5, 4), [(5, 4)]),
    "SecondOrder, images": Case(
        lambda: SecondOrder(ConvField(8, 4), dim=1), with_time(5, 8, 4, 4), [(5, 8, 4, 4)]
    ),
    "Residual": Case(lambda: Residual(VectorField(MLP(2, 8, 2))), points(5, 2), [(5, 2)]),
    "ResNet": Case(lambda: ResNet(8, blocks=2), points(5, 1, 8, 8), [(5, 10)]),
    "NeuralODE": Case(
        lambda: NeuralODE(VectorField(MLP(2, 8, 2)), **TIGHT), over_times(5, 2), [(4, 5, 2)]
    ),
    "NeuralODE, adjoint": Case(
        lambda: NeuralODE(TimedMLP(2, 8, 2, time="gate"), gradient="adjoint", **TIGHT),
        over_times(5, 2),
        [(4, 5, 2)],
    ),
    "AugmentedODE": Case(
        lambda: AugmentedODE(VectorField(MLP(3, 8, 3)), nn.Linear(2, 1), **TIGHT),
        over_times(5, 2),
        [(4, 5, 3)],
    ),
    "RegularizedODE": Case(
        lambda: RegularizedODE(VectorField(MLP(2, 8, 2)), **TIGHT),
        over_times(5, 2),
        [(4, 5, 2), (5,), (5,)],
    ),
    "NeuralCDE": Case(lambda: OfPoints(NeuralCDE(3, 4, 2)), shares(5, 6, 3), [(5, 2)]),
    "ODENet": Case(lambda: ODENet(8, **TIGHT), points(5, 1, 8, 8), [(5, 10)]),
    "ODENet, adjoint": Case(
        lambda: ODENet(8, gradient="adjoint", **TIGHT), points(5, 1, 8, 8), [(5, 10)]
    ),
    "PlanarFlow": Case(lambda: PlanarFlow(2, 4), points(5, 2), [(5, 2), (5,)]),
    "PlanarFlow, by bisection": Case(
        lambda: PlanarFlow(2, 4, closed="sample"), points(5, 2), [(5, 2), (5,)]
    ),
    "RealNVP": Case(lambda: RealNVP(2, 4, (8,)), points(5, 2), [(5, 2), (5,)]),
    "CNF": Case(lambda: CNF(TimedMLP(2, 8, 2)), points(5, 2), [(5, 2), (5,)]),
    "CNF, adjoint": Case(
        lambda: CNF(TimedMLP(2, 8, 2), gradient="adjoint"), points(5, 2), [(5, 2), (5,)]
    ),
    "CNF, Hutchinson": Case(
        lambda: CNF(TimedMLP(2, 8, 2), trace="gaussian"), points(5, 2), [(5, 2), (5,)]
    ),
    "CNF, context": Case(
        lambda: CNF(TimedMLP(3, 8, 2)),
        lambda: (torch.randn(5, 2), torch.randn(5, 1)),
        [(5, 2), (5,)],
    ),
    "Autoencoder": Case(lambda: Autoencoder(6, 2, 8), points(5, 6), [(5, 6)]),
    "VAE": Case(lambda: Likelihood(VAE(6, 2, 8)), shares(5, 6), [(5,)]),
    "VAE, gaussian": Case(
        lambda: Likelihood(VAE(6, 2, 8, likelihood="gaussian")), points(5, 6), [(5,)]
    ),
    "Oscillator": Case(lambda: Oscillator(*torch.rand(4).tolist()), with_time(5, 2), [(5, 2)]),
    "ContinuousVAE": Case(
        lambda: Likelihood(ContinuousVAE(1, 2, Oscillator(), **TIGHT)), series(5, 4, 1), [(5,)]
    ),
    "GRUWithGaps": Case(lambda: GRUWithGaps(2, 6), series(5, 4, 2), [(5, 4, 2), (5, 4, 6)]),
    "ODERNN": Case(lambda: ODERNN(2, 6), series(5, 4, 2), [(5, 4, 2), (5, 4, 6)]),
    "ODERNN, adaptive": Case(
        lambda: ODERNN(2, 6, method="dopri5", **TIGHT), series(5, 4, 2), [(5, 4, 2), (5, 4, 6)]
    ),
    "LatentODE": Case(lambda: Likelihood(LatentODE(2, 4, **TIGHT)), series(5, 4, 2), [(5,)]),
    "LatentODE, ODERNN, intensity": Case(
        lambda: Likelihood(LatentODE(2, 4, ODERNN(2, 6), log_intensity=MLP(4, 6, 1), **TIGHT)),
        series(5, 4, 2),
        [(5,)],
    ),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def make(case, seed=0):
    """The model and its inputs, of which the random ones require gradients."""
    torch.manual_seed(seed)
    model = case.make()
    inputs = case.inputs()
    return model, tuple(x.requires_grad_() if x.dim() > 1 else x for x in inputs)


def run(model, inputs):
    torch.manual_seed(1)  # for models that draw random numbers
    return tree_leaves(model(*inputs))


def moved(model, inputs, *args):
    """Both on another device, or in another dtype."""
    return copy.deepcopy(model).to(*args), tree_map(lambda x: x.detach().to(*args), inputs)


def test_the_output_has_the_shapes_that_are_documented(case):
    outputs = run(*make(case))
    assert [tuple(x.shape) for x in outputs] == case.shapes
    assert all(x.dtype == torch.float32 and x.isfinite().all() for x in outputs)


def test_finite_gradients_reach_every_parameter_and_the_input(case):
    model, inputs = make(case)
    sum((x * torch.randn_like(x)).sum() for x in run(model, inputs)).backward()
    reached = dict(model.named_parameters()) | {"input": next(x for x in inputs if x.requires_grad)}
    for name, p in reached.items():
        assert p.grad is not None and p.grad.isfinite().all() and p.grad.abs().max() > 0, name


def test_a_saved_state_makes_another_model_the_same(case, tmp_path):
    model, inputs = make(case)
    other, _ = make(case, seed=2)
    outputs = run(model, inputs)
    if list(model.parameters()):
        assert not all(torch.equal(a, b) for a, b in zip(run(other, inputs), outputs))
    torch.save(model.state_dict(), tmp_path / "state.pt")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert all(torch.equal(a, b) for a, b in zip(run(other, inputs), outputs))


def test_double_precision_computes_the_same_with_more_digits(case):
    model, inputs = make(case)
    outputs = run(model, inputs)
    for a, b in zip(run(*moved(model, inputs, torch.float64)), outputs):
        assert a.dtype == torch.float64 and torch.allclose(a.float(), b, rtol=1e-2, atol=1e-3)


DEVICES = [device for device in ("cuda", "mps") if getattr(torch, device).is_available()]


if DEVICES:  # else there is nothing to collect

    @pytest.mark.parametrize("device", DEVICES)
    def test_another_device_computes_the_same(case, device):
        model, inputs = make(case)
        outputs = run(model, inputs)
        for a, b in zip(run(*moved(model, inputs, device)), outputs):
            assert a.device.type == device
            if (
                not hasattr(model, "jacobian") and getattr(model, "trace", "exact") == "exact"
            ):  # else it draws its noise there
                assert torch.allclose(a.cpu(), b, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast_computes_nearly_the_same_or_is_refused(case, dtype):
    model, inputs = make(case)
    outputs = run(model, inputs)
    try:
        with torch.autocast("cpu", dtype):
            found = run(model, inputs)
    except ValueError as error:  # an encoder gives the solve a state in half precision
        assert f"below what {dtype} resolves" in str(error)
        return
    for a, b in zip(found, outputs):
        assert torch.allclose(a.float(), b, rtol=0.03, atol=0.03 * b.abs().max().item())


def test_a_copy_has_parameters_of_its_own(case):
    model, inputs = make(case)
    outputs = run(model, inputs)
    other = copy.deepcopy(model)
    assert all(torch.equal(a, b) for a, b in zip(run(other, inputs), outputs))
    with torch.no_grad():
        for p in other.parameters():
            p.zero_()
    assert all(torch.equal(a, b) for a, b in zip(run(model, inputs), outputs))


# Their inputs are whole numbers, or their outputs samples and losses; each has a test file.
OTHERS = {
    "Autoregressive": "test_autoregressive.py",
    "CausalNet": "test_autoregressive.py",
    "Diffusion": "test_diffusion.py",
    "EncoderDecoder": "test_encoder_decoder.py",
    "FlowMatching": "test_flow_matching.py",
    "GAN": "test_gan.py",
    "HamiltonianNet": "test_hamiltonian.py",
    "LagrangianNet": "test_hamiltonian.py",
    "MarginalVelocity": "test_flow_matching.py",
    "Marched": "test_pinn.py",
    "MaskedMLP": "test_autoregressive.py",
    "PINN": "test_pinn.py",
    "Recurrent": "test_autoregressive.py",
    "ResidualMLP": "test_unet.py",
    "Transformer": "test_autoregressive.py",
    "UNet": "test_unet.py",
}


def test_every_model_has_a_case_or_tests_of_its_own():
    for name, file in OTHERS.items():
        assert name in (Path(__file__).parent / file).read_text("utf-8"), name
    exported = {
        name for name, x in vars(models).items() if inspect.isclass(x) and issubclass(x, nn.Module)
    }
    assert exported - OTHERS.keys() == {
        type(getattr(m, "model", m)).__name__ for m in (case.make() for case in CASES.values())
    }
