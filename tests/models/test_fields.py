"""Fields that see the time, convolutional and second-order fields: formulas, clocks, refusals."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from node_tutorial import odeint, solve
from node_tutorial.models import (
    MLP,
    ConvField,
    RealNVP,
    SecondOrder,
    TimedLayer,
    TimedMLP,
    VectorField,
)
from node_tutorial.models.fields import TIMES

f64 = {"dtype": torch.float64}


def conv3x3(inputs, outputs):
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def make(layer, time, seed=0):
    torch.manual_seed(seed)
    return (
        TimedLayer(nn.Linear, 3, 4, time) if layer == "linear" else TimedLayer(conv3x3, 3, 4, time)
    ).double()


def x_for(layer):
    torch.manual_seed(1)
    return torch.randn(5, 3, **f64) if layer == "linear" else torch.randn(5, 3, 6, 6, **f64)


@pytest.mark.parametrize("layer", ["linear", "images"])
@pytest.mark.parametrize("time", TIMES)
def test_a_timed_layer_is_its_formula(layer, time):
    timed = make(layer, time)
    x = x_for(layer)
    t = torch.tensor(0.7, **f64)
    if time == "concat":
        dim = 1
        expected = timed.layer(torch.cat([x, 0.7 * torch.ones_like(x.narrow(dim, 0, 1))], dim))
    else:
        expected = timed.layer(x)
    if time == "shift":
        expected = expected + 0.7 * timed.v
    if time == "gate":
        expected = expected * torch.sigmoid(0.7 * timed.u + timed.w) + 0.7 * timed.v
    assert torch.allclose(timed(t, x), expected, rtol=0, atol=1e-14)
    assert torch.equal(timed(t, x), timed(2 * t, x)) == (time is None)


def test_a_linear_layer_with_time_as_an_entry_has_a_bias_that_grows_with_time():
    concat = make("linear", "concat")
    x = x_for("linear")
    weight = concat.layer.weight
    for t in (0.0, 0.4, -2.0):
        expected = x @ weight[:, :3].T + concat.layer.bias + t * weight[:, 3]
        assert torch.allclose(concat(torch.tensor(t, **f64), x), expected, atol=1e-14)


@pytest.mark.parametrize("layer", ["linear", "images"])
@pytest.mark.parametrize("time", TIMES)
def test_every_sample_may_have_its_own_clock(layer, time):
    timed = make(layer, time)
    x = x_for(layer)
    clocks = torch.linspace(0, 2, 5, **f64).reshape(5, *[1] * (x.dim() - 1))
    together = timed(clocks, x)
    for i in range(5):
        alone = timed(clocks[i].reshape(()), x[i : i + 1])
        assert torch.allclose(together[i : i + 1], alone, rtol=0, atol=1e-13)


def test_without_time_a_timed_mlp_is_an_mlp():
    timed = TimedMLP(2, 8, 8, 3, time=None)
    plain = MLP(2, 8, 8, 3)
    plain.load_state_dict(dict(zip(plain.state_dict(), timed.state_dict().values())))
    x = torch.randn(5, 2)
    assert torch.equal(timed(torch.tensor(0.3), x), plain(x))


def test_a_convolutional_field_treats_every_image_by_itself():
    torch.manual_seed(0)
    field = ConvField(8).double()
    y = torch.randn(4, 8, 4, 4, **f64)
    t = torch.tensor(0.3, **f64)
    together = field(t, y)
    for i in range(4):
        assert torch.allclose(field(t, y[i : i + 1]), together[i : i + 1], rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "field", [ConvField(8), ConvField(8, time="gate"), ConvField(8, normalize=False)]
)
def test_images_solved_with_their_own_steps_agree_with_those_solved_together(field):
    torch.manual_seed(0)
    field = field.double()
    y = torch.randn(3, 8, 4, 4, **f64)
    t = torch.tensor([0.0, 1.0], **f64)
    tight = {"rtol": 1e-8, "atol": 1e-8}
    own = solve(field, y, t, per_sample=True, **tight).y[:, -1]
    assert torch.allclose(own, odeint(field, y, t, **tight)[-1], rtol=0, atol=1e-6)


def test_the_last_norm_bounds_the_speed_whatever_the_state():
    torch.manual_seed(0)
    t = torch.tensor(0.0)
    y = torch.randn(4, 8, 4, 4)
    for scale in (0.1, 1.0, 100.0):
        speed = ConvField(8)(t, scale * y).square().mean().sqrt()
        assert speed.item() == pytest.approx(1, abs=0.02)
    free = ConvField(8, normalize=False)
    assert free(t, 100 * y).abs().mean() > 20 * free(t, y).abs().mean()


def test_a_second_order_field_solves_the_harmonic_oscillator():
    class Spring(nn.Module):
        def forward(self, t, y):
            return -y[..., :1]

    t = torch.linspace(0, math.pi, 5, **f64)
    y0 = torch.tensor([[1.0, 0.0], [0.0, 2.0]], **f64)
    y = odeint(SecondOrder(Spring()), y0, t, rtol=1e-9, atol=1e-9)
    assert torch.allclose(y[:, 0], torch.stack([torch.cos(t), -torch.sin(t)], 1), atol=1e-7)
    assert torch.allclose(y[:, 1], 2 * torch.stack([torch.sin(t), torch.cos(t)], 1), atol=1e-7)


def test_in_images_position_and_velocity_are_channels():
    torch.manual_seed(0)
    acceleration = ConvField(8, 4)
    y = torch.randn(2, 8, 4, 4)
    t = torch.tensor(0.1)
    slope = SecondOrder(acceleration, dim=1)(t, y)
    assert torch.equal(slope[:, :4], y[:, 4:]) and torch.equal(slope[:, 4:], acceleration(t, y))


@pytest.mark.parametrize(
    "make, error, message",
    [
        (
            lambda: TimedLayer(nn.Linear, 2, 3, "film"),
            ValueError,
            "time must be one of None, 'concat', .* got 'film'",
        ),
        (lambda: TimedMLP(2), ValueError, r"such as TimedMLP\(2, 32, 2\), got \(2,\)"),
        (lambda: ConvField(8, time="append"), ValueError, "time must be one of"),
        (
            lambda: SecondOrder(VectorField(MLP(4, 8, 4)))(torch.tensor(0.0), torch.ones(5, 4)),
            ValueError,
            r"half of y's 4 entries along dim -1.*got shape \(5, 4\) for y of shape \(5, 4\)",
        ),
        (
            lambda: SecondOrder(VectorField(MLP(5, 8, 2)))(torch.tensor(0.0), torch.ones(1, 5)),
            ValueError,
            "half of y's 5 entries",
        ),
    ],
)
def test_what_cannot_be_right_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_sizes_may_be_integers_of_numpy_and_no_truth_values():
    three = np.int64(3)
    assert MLP(three, 8, three)(torch.zeros(5, 3)).shape == (5, 3)
    assert RealNVP(three).log_prob(torch.zeros(5, 3)).shape == (5,)
    for make in (lambda: MLP(True, 2), lambda: RealNVP(2, True), lambda: MLP(2, 2.0)):
        with pytest.raises(ValueError, match="integer"):
            make()
