"""ContinuousVAE: fields in closed form, clocks, masks, the bound against a known likelihood."""

import math
import warnings

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal, kl_divergence

from node_tutorial import odeint
from node_tutorial.data import collate, exact_oscillation, oscillations
from node_tutorial.models import ContinuousVAE, Oscillator
from node_tutorial.models.vae import Posterior

f64 = {"dtype": torch.float64}
T = torch.tensor([0.0, 0.3, 1.1, 2.0, 4.5], **f64)
START = torch.tensor([[1.0, 0.0], [-0.5, 2.0], [0.0, 0.0]], **f64)
TIGHT = {"rtol": 1e-7, "atol": 1e-8}


@pytest.mark.parametrize("damping", [None, 0.3])
@pytest.mark.parametrize("omega", [0.5, 1.7])
def test_a_free_oscillator_follows_its_closed_form(omega, damping):
    y = odeint(Oscillator(omega, damping).double(), START, T, **TIGHT)
    exact = exact_oscillation(T, START, Oscillator(omega).double().omega.item(), damping or 0.0)
    assert torch.allclose(y.transpose(0, 1), exact, atol=1e-6)


def test_a_driven_oscillator_follows_its_closed_form():
    omega, force, drive = 1.5, 0.7, 1.0
    y = odeint(Oscillator(omega, force=force, drive=drive).double(), START, T, **TIGHT).transpose(
        0, 1
    )
    swing = force / (
        omega**2 - drive**2
    )  # the driven part, swing cos(drive t), and free oscillations about it
    free = exact_oscillation(T, START - torch.tensor([swing, 0.0], **f64), omega)
    driven = torch.stack(
        [swing * torch.cos(drive * T), -swing * drive * torch.sin(drive * T)], dim=-1
    )
    assert torch.allclose(y, free + driven, atol=2e-6)


def test_a_driven_damped_oscillator_forgets_its_start():
    omega, damping, force, drive = 1.5, 0.4, 0.7, 2.0
    field = Oscillator(omega, damping, force, drive).double()
    assert {name for name, _ in field.named_parameters()} == {"omega", "damping", "force", "drive"}
    q = odeint(field, START, torch.linspace(0, 20, 401, **f64), rtol=1e-5, atol=1e-6)[-80:, :, 0]
    amplitude = force / math.hypot(omega**2 - drive**2, 2 * damping * drive)
    assert torch.allclose(q.max(0).values, torch.full((3,), amplitude, **f64), rtol=5e-3)


class FixedEncoder(nn.Module):
    """The same q(z) for all."""

    def __init__(self, mean, std):
        super().__init__()
        self.mean, self.std = torch.tensor(mean, **f64), torch.tensor(std, **f64)

    def forward(self, t, x, mask, t0):
        return Posterior(self.mean.expand(len(x), 2), self.std.expand(len(x), 2))


def model(encoder=None, noise=0.4, **keywords):
    torch.manual_seed(0)
    return ContinuousVAE(
        1,
        2,
        Oscillator(1.7),
        encoder=encoder,
        decoder=nn.Linear(2, 1),
        noise=noise,
        **(TIGHT | keywords),
    ).double()


def ragged():
    """Oscillations with 4, 7 and 2 times, not all observed; the first series begins after 0."""
    series = [
        (t[:n].double(), x[:n].double())
        for (t, x), n in zip(oscillations(3, 7, end=4.0)[0], (4, 7, 2))
    ]
    series[0] = (series[0][0] + 0.2, series[0][1])
    series[1][1][3] = torch.nan
    return series


@pytest.mark.parametrize("mean, std", [((0.0, 0.0), (1.0, 1.0)), ((0.8, -0.5), (0.3, 0.4))])
def test_the_bound_falls_short_of_the_likelihood_by_the_kl_to_the_posterior(mean, std):
    m = model(FixedEncoder(mean, std))
    t, x, mask = collate(ragged())
    with torch.no_grad():
        draws = torch.stack([m.elbo(t, x, mask, draws=1).total for _ in range(2)])
        assert draws.shape == (2, 3)
        for i in range(3):
            seen = mask[i, :, 0]
            basis = exact_oscillation(
                t[i, seen], torch.eye(2, **f64), m.ode.func.omega.item()
            )  # q, v from each start
            weight = (basis @ m.decoder.weight[0]).T  # (n, 2): x = weight z0 + bias + noise
            noise = m.log_noise.exp().item()
            value = x[i, seen, 0] - m.decoder.bias
            identity = torch.eye(len(value), **f64)
            likelihood = MultivariateNormal(
                torch.zeros_like(value), weight @ weight.T + noise**2 * identity
            )
            covariance = torch.linalg.inv(torch.eye(2, **f64) + weight.T @ weight / noise**2)
            posterior = MultivariateNormal(covariance @ weight.T @ value / noise**2, covariance)
            q = MultivariateNormal(m.encoder.mean, torch.diag(m.encoder.std**2))
            # the mean of the reconstruction over q, in closed form and from draws
            center = value - weight @ q.mean
            spread = (weight.square() @ m.encoder.std.square()).sum()
            constant = -len(value) * math.log(noise * math.sqrt(2 * math.pi))
            reconstruction = constant - (center.square().sum() + spread) / (2 * noise**2)
            bound = reconstruction - m.elbo(t, x, mask).kl[i]
            assert torch.allclose(
                likelihood.log_prob(value) - bound, kl_divergence(q, posterior), atol=1e-6
            )
            many = m.log_likelihood(
                q.sample((2000,)), t[i], x[i].expand(2000, -1, -1), mask[i].expand(2000, -1, -1)
            )
            assert abs(many.mean() - reconstruction) < 4 * many.std() / math.sqrt(2000)


def test_clocks_of_their_own_give_what_one_clock_gives():
    m = model()
    z0 = torch.randn(3, 2, **f64)
    for t in (T, T + 0.5, T[:1], T[2:3]):
        own, one = m.latents(z0, t.expand(3, -1)), m.latents(z0, t)
        assert own.shape == one.shape == (3, len(t), 2)
        assert torch.allclose(own, one, atol=1e-6)
        assert torch.allclose(one, exact_oscillation(t, z0, m.ode.func.omega.item()), atol=1e-5)
    assert torch.equal(m.latents(z0, T[:1])[:, 0], z0) and torch.equal(
        m.latents(z0, T[:1].expand(3, 1))[:, 0], z0
    )
    mixed = torch.stack([T, T + 0.5, T * 0.1])  # rows that begin at t0, and one that begins later
    for i in range(3):
        assert torch.allclose(
            m.latents(z0, mixed)[i], m.latents(z0[i : i + 1], mixed[i])[0], atol=1e-6
        )


def test_masked_values_never_count():
    m = model()
    (t, x, mask) = collate(ragged())
    x.requires_grad_()

    def bound(x):
        torch.manual_seed(0)
        return m.loss(t, x, mask)

    loss = bound(x)
    (gradient,) = torch.autograd.grad(loss, x)
    assert (gradient[~mask] == 0).all() and (gradient[mask] != 0).all()
    for other in (7.0, torch.nan):
        changed = torch.where(mask, x, other)
        assert torch.equal(bound(changed), loss)
        gradients = torch.autograd.grad(bound(changed), (x, *m.parameters()))
        assert all(g.isfinite().all() for g in gradients)
        assert torch.equal(m(t, changed, mask), m(t, x, mask))


def test_a_series_alone_is_the_series_in_a_padded_batch():
    m = model(rtol=1e-4, atol=1e-5)
    series = ragged()
    t, x, mask = collate(series)
    z0 = torch.randn(3, 2, **f64)
    mean, std = m.encode(t, x, mask)
    log_likelihood = m.log_likelihood(z0, t, x, mask)
    for i, one in enumerate(series):
        alone = collate([one])
        assert torch.allclose(mean[i], m.encode(*alone).mean[0], rtol=0, atol=1e-12)
        assert torch.allclose(std[i], m.encode(*alone).std[0], rtol=0, atol=1e-12)
        assert torch.allclose(
            log_likelihood[i], m.log_likelihood(z0[i : i + 1], *alone)[0], rtol=1e-10, atol=1e-10
        )
    order = [2, 0, 1]
    assert torch.allclose(
        m(t[order], x[order], mask[order]), m(t, x, mask)[order], rtol=0, atol=1e-12
    )


def test_the_set_encoder_does_not_care_for_the_order_within_the_mask_and_knows_the_number():
    m = model()
    (t, x, mask) = collate(ragged())
    nothing = m.encode(t, x, torch.zeros_like(mask))
    assert torch.allclose(nothing.mean[0], nothing.mean[1], atol=1e-14)
    (twice,) = torch.unique(mask.any(-1).sum(1))[:1].tolist()
    assert twice == 2 and not torch.allclose(
        m.encode(t, x, mask).std[0], m.encode(t, x, mask).std[2]
    )


def test_samples_and_paths_have_the_moments_of_their_gaussians():
    mean = (0.8, -0.5)
    std = (0.3, 0.4)
    m = model(FixedEncoder(mean, std))
    omega = m.ode.func.omega.item()
    weight = m.decoder.weight[0].detach()
    basis = exact_oscillation(T, torch.eye(2, **f64), omega) @ weight  # (2, T)
    with torch.no_grad():
        torch.manual_seed(0)
        prior = m.sample(5000, T)[..., 0]
        paths = m.paths(T, torch.zeros(2, 5, 1, **f64), None, T, draws=5000)[..., 0]
    assert torch.allclose(prior.std(0), basis.square().sum(0).sqrt(), rtol=0.03)
    assert torch.allclose(prior.mean(0), m.decoder.bias.detach().expand(5), atol=0.03)
    spread = (basis.square() * torch.tensor(std, **f64)[:, None].square()).sum(0).sqrt()
    assert paths.shape == (5000, 2, 5)
    assert torch.allclose(paths.std(0), spread.expand(2, 5), rtol=0.03)
    middle = m(T, torch.zeros(2, 5, 1, **f64)).detach()[..., 0]
    assert torch.allclose(paths.mean(0), middle, atol=0.02)


def test_paths_can_be_asked_for_at_other_times_for_each_series():
    m = model()
    (t, x, mask) = collate(ragged())
    times = torch.stack([T, T + 1, T * 2])
    torch.manual_seed(0)
    own = m.paths(t, x, mask, times, draws=4)
    torch.manual_seed(0)
    shared = m.paths(t, x, mask, T + 1, draws=4)
    assert own.shape == (4, 3, 5, 1) and torch.allclose(own[:, 1], shared[:, 1], atol=1e-6)


def test_the_likelihood_pulls_omega_to_the_truth():
    series, start = oscillations(30, 12, end=4.0)
    t, x, mask = (part.double() if part.is_floating_point() else part for part in collate(series))
    m = model(noise=0.1, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        m.decoder.weight.copy_(torch.tensor([[1.0, 0.0]]))
        m.decoder.bias.zero_()
    pull = []
    for omega in (1.6, 1.69, 1.71, 1.8):
        m.ode.func.omega.data.fill_(omega)
        (gradient,) = torch.autograd.grad(
            m.log_likelihood(start.double(), t, x, mask).sum(), m.ode.func.omega
        )
        pull.append(gradient.item())
    assert pull[0] > pull[1] > 0 > pull[2] > pull[3]


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda m, x: m.latents(torch.zeros(3, 2, **f64), T - 1),
            "t must not be before t0 = 0.*got -1",
        ),
        (
            lambda m, x: m.loss(T.flip(0), x),
            "t must be strictly increasing in every row, row 0 is not",
        ),
        (lambda m, x: m.loss(T[:4], x), r"t must have shape \(5,\) or \(3, 5\)"),
        (
            lambda m, x: model(gradient="replay").loss(T.expand(3, 5), x),
            "gradient='direct'; got 'replay'.*union_grid",
        ),
        (
            lambda m, x: model(method="rk4").loss(T.expand(3, 5), x),
            "per_sample=True needs an explicit adaptive",
        ),
        (lambda m, x: model(noise=-1.0), "noise must be positive"),
        (lambda m, x: m.elbo(T, x, draws=0), "draws must be an integer of 1 or more, got 0"),
        (lambda m, x: m.paths(T, x, None, T, draws=0), "draws must be an integer of 1 or more"),
        (lambda m, x: m.loss(T, x[:0]), r"at least one row, got shape \(0, 5, 1\)"),
        (lambda m, x: m.loss(T[:0], x[:, :0]), "x must have one time or more"),
        (lambda m, x: m.loss(T, x.expand(3, 5, 2)), "x must have 1 entries at each time"),
        (lambda m, x: m.loss(T, x / 0), "x holds NaN where it counts as observed"),
    ],
)
def test_what_cannot_be_right_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(model(), torch.zeros(3, 5, 1, **f64))


def test_a_start_that_is_far_from_the_observations_is_named():
    hours = 1.7e9 + 3600 * torch.arange(5.0, **f64)
    x = torch.zeros(3, 5, 1, **f64)
    with pytest.warns(UserWarning, match=r"is 118056 times as far from t0 = 0 as .* last") as seen:
        model().encode(hours, x)
    assert len(seen) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model().encode(hours - hours[0], x)
        model(t0=1.7e9).encode(hours, x)
        model().encode(torch.ones(1, **f64), x[:, :1])
