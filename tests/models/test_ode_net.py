"""ResNet and ODE-Net: what they compute, their parameters, memory, evaluations and gradients."""

import pytest
import torch
from torch import nn

from node_tutorial import Minibatches, fit, odeint
from node_tutorial.gradients.memory import bytes_kept
from node_tutorial.models import ConvField, NeuralODE, ODENet, ResNet, SecondOrder

f64 = {"dtype": torch.float64}
RK4 = {"method": "rk4_classic", "options": {"step_size": 0.5}}


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.randn(4, 1, 8, 8)


def size(net):
    return sum(p.numel() for p in net.parameters())


def kept(net, images):
    with bytes_kept(exclude=[images, *net.parameters()]) as found:
        net(images)
    return found.bytes


def test_an_ode_net_is_downsampling_a_solve_and_a_classifier(images):
    net = ODENet(8, rtol=1e-5, atol=1e-5)
    x1 = odeint(net.block.func, net.stem(images), torch.tensor([0.0, 1.0]), rtol=1e-5, atol=1e-5)[
        -1
    ]
    assert torch.equal(net(images), net.head(x1))
    assert net.stem(images).shape == (4, 8, 4, 4)


def test_one_euler_step_of_the_same_field_is_a_residual_block(images):
    block = ResNet(8, blocks=1)
    net = ODENet(8, field=ConvField(8, time=None), method="euler", options={"step_size": 1.0})
    net.load_state_dict(dict(zip(net.state_dict(), block.state_dict().values())))
    assert torch.allclose(net(images), block(images), atol=1e-6) and net.block.stats.nfe == 1


@pytest.mark.parametrize("net", [ResNet(8, blocks=3), ODENet(8, rtol=1e-6, atol=1e-6)])
def test_features_lead_from_the_stem_to_the_scores(net, images):
    args = () if isinstance(net, ResNet) else (torch.tensor([0.0, 0.2, 0.7, 1.0]),)
    features = net.features(images, *args)
    assert features.shape == (4, 4, 8, 4, 4)
    assert torch.equal(features[0], net.stem(images))
    assert torch.allclose(net.head(features[-1]), net(images), atol=1e-4)


def test_a_block_has_the_parameters_of_the_formula():
    c = 16
    norms, layers = 3 * 2 * c, 2 * (9 * c * c + c)
    per_block = [size(ResNet(c, blocks=n)) - size(ResNet(c, blocks=0)) for n in (1, 2, 7)]
    assert per_block == [n * (layers + norms) for n in (1, 2, 7)]
    assert (
        size(ODENet(c)) - size(ResNet(c, blocks=0)) == layers + norms + 2 * 9 * c
    )  # a channel more for the time
    assert size(ODENet(c, **RK4)) == size(ODENet(c, gradient="adjoint")) == size(ODENet(c))


def test_with_the_sizes_of_the_paper_parameters_are_those_of_its_table():
    assert size(ResNet(64, blocks=6, halvings=2)) == pytest.approx(0.60e6, rel=0.05)
    assert size(ODENet(64, halvings=2)) == pytest.approx(0.22e6, rel=0.06)


@pytest.mark.parametrize("halvings, side", [(0, 28), (1, 14), (2, 7)])
def test_halvings_halve_the_features(halvings, side):
    assert ResNet(4, blocks=1, halvings=halvings).features(torch.zeros(2, 1, 28, 28)).shape == (
        2,
        2,
        4,
        side,
        side,
    )
    assert ODENet(4, inputs=3, classes=7, halvings=halvings)(torch.zeros(2, 3, 28, 28)).shape == (
        2,
        7,
    )


def test_memory_grows_with_blocks_and_steps_but_not_with_the_adjoint(images):
    nets = {n: ResNet(8, blocks=n) for n in (2, 4, 6)}
    two, four, six = (kept(net, images) for net in nets.values())
    assert four - two == six - four > 0

    def fixed(gradient, n):
        return kept(
            ODENet(8, method="rk4", gradient=gradient, options={"step_size": 1 / n}), images
        )

    assert fixed("direct", 6) - fixed("direct", 4) == fixed("direct", 4) - fixed("direct", 2) > 0
    assert fixed("adjoint", 6) == fixed("adjoint", 2)


def test_an_rk_net_evaluates_its_field_four_times_a_step(images):
    net = ODENet(8, **RK4)
    net(images).sum().backward()
    assert net.block.stats == (8, 0)


def test_fit_records_the_evaluations_of_both_passes_once(images):
    calls = 0

    class Watched(ConvField):
        def forward(self, t, y):
            nonlocal calls
            calls += 1
            return super().forward(t, y)

    net = ODENet(8, field=Watched(8), rtol=1e-3, atol=1e-3, gradient="adjoint")
    labels = torch.tensor([0, 1, 2, 3])

    def loss(net, batch):
        return nn.functional.cross_entropy(net(batch[0]), batch[1])

    history = fit(net, loss, 2, batches=Minibatches(images, labels, size=4), progress=False)
    assert sum(history["nfe"]) + sum(history["nfe_backward"]) == calls
    assert min(history["nfe_backward"]) > 0


def gradients(net, images):
    return torch.autograd.grad(net(images).square().sum(), list(net.parameters()))


def test_gradient_modes_agree_in_the_limit_of_tight_tolerances(images):
    torch.manual_seed(0)
    net = ODENet(8, rtol=1e-9, atol=1e-9).double()
    images = images.double()
    exact = gradients(net, images)
    for gradient, bound in (("replay", 1e-10), ("adjoint", 1e-5)):
        net.block.gradient = gradient
        for a, b in zip(gradients(net, images), exact):
            assert (a - b).norm() <= bound * b.norm() + 1e-9


def test_scores_converge_as_the_tolerance_shrinks(images):
    torch.manual_seed(0)
    net = ODENet(8).double()
    images = images.double()

    def scores(tol):
        net.block.rtol = net.block.atol = tol
        return net(images)

    with torch.no_grad():
        exact = scores(1e-11)
        errors = [float((scores(tol) - exact).abs().max()) for tol in (1e-3, 1e-5, 1e-7)]
    assert errors[0] > 10 * errors[1] > 100 * errors[2] > 0


def test_any_field_of_the_right_shape_can_be_the_block(images):
    net = ODENet(8, field=SecondOrder(ConvField(8, 4), dim=1))
    assert net(images).shape == (4, 10) and isinstance(net.block, NeuralODE)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ResNet(blocks=-1), "blocks must be an integer of 0 or more, got -1"),
        (lambda: ResNet(0), "channels must be an integer of 1 or more, got 0"),
        (lambda: ODENet(8, halvings=1.0), "halvings must be an integer of 0 or more, got 1.0"),
        (lambda: ODENet(8, classes=0), "classes must be an integer of 1 or more, got 0"),
        (lambda: ODENet(8, gradient="none"), "gradient must be one of direct, adjoint"),
    ],
)
def test_what_cannot_be_right_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
