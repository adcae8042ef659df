"""LatentODE: clocks, masks, padding, gradients, and Poisson likelihoods against closed forms."""

import math

import pytest
import torch
from torch import nn

from node_tutorial.data import collate, two_spirals, union_grid
from node_tutorial.models import MLP, ODERNN, GRUWithGaps, LatentODE
from node_tutorial.models.latent_ode import poisson_log_prob

f64 = {"dtype": torch.float64}
RECOGNITION = {
    "rnn": lambda: GRUWithGaps(2, 5, cell=nn.RNNCell),
    "gru": lambda: GRUWithGaps(2, 5),
    "ode_rnn": lambda: ODERNN(2, 5),
}


def model(recognition="gru", **keywords):
    torch.manual_seed(0)
    return LatentODE(
        2, 3, RECOGNITION[recognition](), **({"rtol": 1e-5, "atol": 1e-6} | keywords)
    ).double()


def ragged():
    """Three pieces of spirals at 4, 7 and 2 times, not all observed; the first begins at 0."""
    spirals = two_spirals(3, points=20, later=0, total=50, noise=0.1)
    t = spirals.t.double()
    series = []
    for i, kept in enumerate(([0, 5, 6, 19], [1, 3, 8, 9, 12, 15, 18], [5, 8])):
        series.append((t[kept], spirals.x[i, kept].double()))
    series[1][1][3], series[1][1][5, 0] = torch.nan, torch.nan
    return series


def seeded(function, *args):
    torch.manual_seed(0)
    return function(*args)


@pytest.mark.parametrize("intensity", [False, True])
@pytest.mark.parametrize("recognition", RECOGNITION)
def test_masked_values_never_count_and_all_parameters_learn(recognition, intensity):
    m = model(recognition, log_intensity=MLP(3, 4, 1) if intensity else None)
    t, x, mask = collate(ragged())
    x.requires_grad_()
    loss = seeded(m.loss, t, x, mask)
    (gradient,) = torch.autograd.grad(loss, x)
    assert (gradient[~mask] == 0).all() and (gradient[mask] != 0).all()
    for other in (7.0, torch.nan):
        changed = torch.where(mask, x, other)
        again = seeded(m.loss, t, changed, mask)
        assert torch.equal(again, loss)
        gradients = torch.autograd.grad(again, tuple(m.parameters()))
        assert all(g.isfinite().all() and (g != 0).any() for g in gradients)


@pytest.mark.parametrize("recognition", RECOGNITION)
def test_a_series_alone_is_the_series_in_a_padded_batch(recognition):
    m = model(recognition)
    series = ragged()
    batch = collate(series)
    z0 = torch.randn(3, 3, **f64)
    q = m.encode(*batch)
    log_likelihood = m.log_likelihood(z0, *batch)
    for i, one in enumerate(series):
        alone = collate([one])
        assert torch.allclose(q.mean[i], m.encode(*alone).mean[0], rtol=0, atol=1e-12)
        assert torch.allclose(q.std[i], m.encode(*alone).std[0], rtol=0, atol=1e-12)
        assert torch.allclose(
            log_likelihood[i], m.log_likelihood(z0[i : i + 1], *alone)[0], rtol=1e-10, atol=1e-10
        )
    order = [2, 0, 1]
    assert torch.allclose(
        m.encode(*(part[order] for part in batch)).mean, q.mean[order], rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("recognition", RECOGNITION)
def test_the_union_grid_with_one_clock_gives_the_same_bound(recognition):
    m = model(recognition, rtol=1e-8, atol=1e-9)
    if recognition == "ode_rnn":
        m.encoder.net.solver |= {"options": {"step_size": 0.1}}
    batch = collate(ragged())
    z0 = torch.randn(3, 3, **f64)
    union = union_grid(batch)
    assert union.t.dim() == 1 and union.mask.sum() == batch.mask.sum()
    assert torch.allclose(m.encode(*union).mean, m.encode(*batch).mean, atol=1e-6)
    assert torch.allclose(m.log_likelihood(z0, *union), m.log_likelihood(z0, *batch), rtol=1e-6)


def test_times_of_their_own_give_what_one_clock_gives():
    m = model(rtol=1e-8, atol=1e-9)
    z0 = torch.randn(3, 3, **f64)
    t = torch.tensor([[0.0, 0.5, 2.0], [0.1, 0.2, 0.9], [1.0, 1.5, 1.6]], **f64)
    own = m.decode(z0, t)
    for i in range(3):
        assert torch.allclose(own[i], m.decode(z0, t[i])[i], atol=1e-7)
    assert torch.equal(m.decode(z0, t[:, :1])[0, 0], m.decoder(z0)[0])  # at t0 itself
    later = model(t0=0.5, rtol=1e-8, atol=1e-9)
    assert torch.allclose(
        later.decode(z0, t[2] + 0.5), m.decode(z0, t[2]), atol=1e-7
    )  # the field has no time in it


def test_one_observation_is_enough():
    m = model()
    t, x, mask = collate([(torch.tensor([0.7], **f64), torch.randn(1, 2, **f64))])
    assert m.loss(t, x, mask).isfinite() and m(t, x, mask).shape == (1, 1, 2)
    nothing = m.elbo(t, x, torch.zeros_like(mask))
    assert nothing.reconstruction == 0 and nothing.kl > 0


@pytest.mark.parametrize("intensity", [False, True])
@pytest.mark.parametrize("gradient", ["replay", "adjoint"])
def test_on_one_grid_every_gradient_mode_works(gradient, intensity):
    t = torch.linspace(0, 2, 6, **f64)
    x = torch.randn(3, 6, 2, **f64)
    wanted, found = (
        model(
            gradient=mode, rtol=1e-8, atol=1e-9, log_intensity=MLP(3, 4, 1) if intensity else None
        )
        for mode in ("direct", gradient)
    )
    found.load_state_dict(wanted.state_dict())
    a, b = (
        torch.autograd.grad(seeded(m.loss, t, x), tuple(m.parameters())) for m in (wanted, found)
    )
    for p, q in zip(a, b):
        assert torch.allclose(p, q, rtol=1e-5, atol=1e-6)


class Clock(nn.Module):
    """dz/dt = (1, 0, 0): the first entry of z is the time."""

    def forward(self, t, z):
        return torch.tensor([1.0, 0.0, 0.0], **f64).expand_as(z)


class LogRate(nn.Module):
    """log(a + b z_1)."""

    def __init__(self, a, b):
        super().__init__()
        self.a, self.b = (nn.Parameter(torch.tensor(value, **f64)) for value in (a, b))

    def forward(self, z):
        return torch.log(self.a + self.b * z[..., :1])


EVENTS = torch.tensor([[0.3, 1.2, 2.5, 4.0], [0.0, 1.0, 1.5, 3.0]], **f64)


@pytest.mark.parametrize("own", [True, False], ids=["own clocks", "one clock"])
@pytest.mark.parametrize("a, b", [(2.0, 0.0), (0.5, 0.8)])
def test_the_poisson_likelihood_is_its_closed_form(a, b, own):
    m = model(func=Clock(), log_intensity=LogRate(a, b), rtol=1e-9, atol=1e-9)
    t = EVENTS if own else EVENTS[0]
    z0 = torch.zeros(2, 3, **f64)
    z, log_rate, integral = m.events(z0, t)
    t = t.expand(2, 4)
    end = t[:, -1]
    assert torch.allclose(z[..., 0], t, atol=1e-8)
    assert torch.allclose(integral, a * t + b * t**2 / 2, atol=1e-7)
    events = torch.ones_like(t, dtype=torch.bool)
    events[:, -1] = False  # nothing happened at the end
    found = poisson_log_prob(log_rate, integral[:, -1], events)
    exact = torch.log(a + b * t[:, :-1]).sum(1) - a * end - b * end**2 / 2
    assert torch.allclose(found, exact, atol=1e-7)
    gradients = torch.autograd.grad(found.sum(), (m.log_intensity.a, m.log_intensity.b))
    rate = a + b * t[:, :-1]
    assert torch.allclose(gradients[0], ((1 / rate).sum(1) - end).sum(), atol=1e-6)
    assert torch.allclose(gradients[1], ((t[:, :-1] / rate).sum(1) - end**2 / 2).sum(), atol=1e-6)


def test_the_rate_that_maximizes_the_likelihood_is_events_over_time():
    t, events = torch.tensor([[0.5, 1.0, 2.0, 8.0]]), torch.tensor([[True, True, True, False]])
    rates = torch.linspace(0.1, 1.0, 91)
    values = [
        poisson_log_prob(torch.full_like(t, math.log(r)), 8 * r[None], events).item() for r in rates
    ]
    assert rates[torch.tensor(values).argmax()].item() == pytest.approx(3 / 8, abs=0.01)


def test_intensities_add_the_density_of_the_times_to_the_likelihood():
    batch = collate(ragged())
    z0 = torch.randn(3, 3, **f64)
    plain, m = model(), model(log_intensity=LogRate(2.0, 0.0))
    m.load_state_dict(plain.state_dict(), strict=False)
    number = batch.mask.any(-1).sum(1)
    extra = number * math.log(2.0) - 2.0 * batch.t[:, -1]
    assert torch.allclose(
        m.log_likelihood(z0, *batch), plain.log_likelihood(z0, *batch) + extra, atol=1e-4
    )


def test_without_intensities_there_are_no_events():
    with pytest.raises(ValueError, match=r"no intensities; use LatentODE\(.., log_intensity=MLP"):
        model().events(torch.zeros(3, 3, **f64), EVENTS)


def test_training_raises_the_bound():
    torch.manual_seed(0)
    spirals = two_spirals(20, points=8, later=0, total=40, noise=0.1)
    m = LatentODE(2, 4, noise=0.3)
    optimizer = torch.optim.Adam(m.parameters(), 0.02)
    before = m.loss(spirals.t, spirals.x).item()
    for _ in range(20):
        optimizer.zero_grad()
        m.loss(spirals.t, spirals.x).backward()
        optimizer.step()
    assert m.loss(spirals.t, spirals.x).item() < 0.5 * before
