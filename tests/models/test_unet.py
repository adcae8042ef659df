"""The U-Net, the residual MLP, and what they are told: time and class."""

import math

import numpy as np
import pytest
import torch

from node_tutorial.models import ResidualMLP, UNet
from node_tutorial.models.conditions import Conditions

HALF = torch.tensor(0.5)


def unet(seed=0, **options):
    torch.manual_seed(seed)
    return UNet(**options).double()


def mlp(seed=0, **options):
    torch.manual_seed(seed)
    return ResidualMLP(64, **options).double()


def images(n=5, side=8, channels=1):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, channels, side, side, generator=generator, dtype=torch.float64)


NETS = {"unet": unet, "mlp": mlp}


@pytest.mark.parametrize(
    "options, side", [({}, 8), ({}, 28), ({"channels": 3}, 16), ({"widths": (8,)}, 7)]
)
def test_the_output_is_like_the_input(options, side):
    x = images(2, side, options.get("channels", 1))
    assert unet(**options)(HALF, x).shape == x.shape


def test_images_need_not_be_square():
    x = torch.zeros(2, 1, 8, 12, dtype=torch.float64)
    assert unet()(HALF, x).shape == x.shape


def test_the_mlp_takes_points_and_images_alike():
    net = mlp()
    x = images()
    assert torch.equal(net(HALF, x).flatten(1), net(HALF, x.flatten(1)))
    assert ResidualMLP(2, 16, 1)(HALF, torch.zeros(3, 2)).shape == (3, 2)


def test_it_is_small_enough_for_a_laptop():
    assert sum(p.numel() for p in UNet().parameters()) == 97_217


@pytest.mark.parametrize("name", NETS)
def test_every_parameter_gets_a_gradient(name):
    net = NETS[name](classes=3)
    x = images(4)
    net(torch.rand(4, 1, 1, 1), x, torch.arange(4)).square().sum().backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", NETS)
def test_each_sample_is_treated_by_itself_with_its_own_time_and_label(name):
    net = NETS[name](classes=10)
    x = images()
    t = torch.linspace(0, 1, 5).reshape(5, 1, 1, 1)
    label = torch.tensor([3, 10, 0, 9, 3])
    together = net(t, x, label)
    for k in range(5):
        alone = net(t[k, 0, 0, 0], x[k : k + 1], label[k : k + 1])
        assert torch.allclose(together[k : k + 1], alone, atol=1e-12)


@pytest.mark.parametrize("name", NETS)
def test_one_time_for_all_is_that_time_for_each(name):
    net = NETS[name]()
    x = images()
    one = net(torch.tensor(0.3), x)
    assert torch.allclose(net(torch.full((5, 1, 1, 1), 0.3), x), one, atol=1e-12)


@pytest.mark.parametrize("name", NETS)
def test_time_and_label_change_the_answer_and_no_label_is_the_label_behind_the_last(name):
    net = NETS[name](classes=10)
    x = images()
    labels = [torch.full((5,), k) for k in range(11)]
    answers = torch.stack([net(HALF, x, label) for label in labels] + [net(0 * HALF, x, labels[0])])
    apart = torch.cdist(answers.flatten(1), answers.flatten(1)) + torch.eye(12)
    assert apart.min() > 1e-3
    assert torch.equal(net(HALF, x), answers[10])


def test_a_net_that_commutes_with_a_mirror_shows_that_sizes_and_skips_fit_together():
    """With kernels that are their own mirror images nothing may tell left from right."""
    net = unet()
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() == 4:
                parameter.copy_((parameter + parameter.flip(3)) / 2)
    x = images()
    assert torch.allclose(net(HALF, x.flip(3)), net(HALF, x).flip(3), atol=1e-12)
    assert not torch.allclose(unet()(HALF, x.flip(3)), unet()(HALF, x).flip(3), atol=1e-3)


def test_a_point_is_seen_everywhere_because_the_bottom_attends():
    net = unet(widths=(8, 8))
    x = images(1, 32).requires_grad_()
    with torch.no_grad():
        for block in net.down:  # no norm may carry the news
            block.norm = block.middle = torch.nn.Identity()
        net.up[0].norm = net.up[0].middle = net.last[0] = torch.nn.Identity()
        net.attention.norm = torch.nn.Identity()
    (seen,) = torch.autograd.grad(net(HALF, x)[0, 0, 0, 0], x)
    assert seen[0, 0, 31, 31].abs() > 0
    torch.nn.init.zeros_(net.attention.out.weight)
    (seen,) = torch.autograd.grad(net(HALF, x)[0, 0, 0, 0], x)
    assert seen[0, 0, 31, 31] == 0


def test_the_code_of_a_time_tells_all_times_from_0_to_1_apart():
    torch.manual_seed(0)
    conditions = Conditions(64).double()
    t = torch.linspace(0, 1, 201, dtype=torch.float64)
    code = conditions(t, batch=201)
    apart = torch.cdist(code, code)
    steps = apart.diagonal(1)
    assert steps.min() > 0.02 * steps.max()  # nowhere does it stand still
    far = (t[:, None] - t).abs() > 0.1
    assert apart[far].min() > 2 * steps.max()  # and it never comes back


def test_the_sinusoids_of_whole_steps_would_see_little_of_it():
    """Those of DDPM for t itself: between 0 and 1 most of them hardly move."""
    w = 10_000 ** -torch.linspace(0, 1, 16)
    moves = (2 - 2 * w.cos()).sqrt()  # of (cos w t, sin w t), from t = 0 to t = 1
    ours = Conditions().frequencies
    assert (moves < 0.1).sum() == 12
    assert ours.min() == pytest.approx(math.pi / 2) and (ours > 0.1).all()


def test_the_number_of_classes_may_be_of_numpy():
    assert Conditions(8, np.int64(3)).classes == 3


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(
    "classes, label, message",
    [
        (0, torch.tensor([1] * 5), "without classes; make the net with classes=10"),
        (10, torch.tensor([1.0] * 5), r"int64 of shape \(5,\).*got torch.float32"),
        (10, torch.tensor([1] * 4), r"int64 of shape \(5,\), one for each sample.*\(4,\)"),
        (10, torch.tensor([11] * 5), "from 0 to 9, or 10 for no class, got 11 to 11"),
        (10, torch.tensor([-1] * 5), "from 0 to 9, or 10 for no class, got -1 to -1"),
    ],
)
def test_wrong_labels_are_refused(name, classes, label, message):
    with pytest.raises(ValueError, match=message):
        NETS[name](classes=classes)(HALF, images(), label)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: UNet(0), "channels must be an integer of 1 or more, got 0"),
        (lambda: UNet(widths=()), r"widths must be one or more positive integers.*got \(\)"),
        (lambda: UNet(widths=(8, 0)), r"widths must be .*got \(8, 0\)"),
        (lambda: UNet(classes=-1), "classes must be an integer of 0 or more, got -1"),
        (lambda: unet()(HALF, images(side=10)), r"multiples of 4 for 3 widths.*10\); pad them"),
        (lambda: unet()(HALF, images(channels=2)), r"must be \(B, 1, height, width\)"),
        (lambda: unet()(HALF, images()[0]), r"got shape \(1, 8, 8\)"),
        (lambda: unet()(torch.zeros(3, 1, 1, 1), images()), "one for each of the 5 samples"),
        (lambda: ResidualMLP(0), "size must be an integer of 1 or more, got 0"),
        (lambda: ResidualMLP(2, blocks=0), "blocks must be an integer of 1 or more, got 0"),
        (lambda: mlp()(HALF, images(side=4)), "samples must have 64 entries each"),
        (lambda: mlp()(HALF, images()[0, 0, 0]), r"got shape \(8,\)"),
    ],
)
def test_bad_sizes_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
