"""Diffusion: floors, minimisers, densities in closed form, guidance, inpainting, refusals."""

import math

import pytest
import torch
from torch import nn

from node_tutorial.data import digits, gaussian, gaussian_mixture
from node_tutorial.models import PATHS, Diffusion, TimedMLP, exact_denoiser, predicted
from node_tutorial.models.diffusion import bits_per_dimension
from node_tutorial.models.gaussian_paths import PREDICTIONS, constant, cosine, linear
from node_tutorial.models.samplers import (
    SAMPLERS,
    ancestral,
    ddim,
    geometric,
    heun,
    predictor_corrector,
    to_data,
    uniform,
)
from node_tutorial.training import fit

f64 = torch.float64
TWO = gaussian_mixture([0.3, 0.7], [-1.0, 1.5], [0.2, 0.4])
PLANE = gaussian(torch.tensor([0.5, -0.2]), torch.tensor([[1.0, 0.6], [0.6, 0.5]]))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Exact(nn.Module):
    """The net that has learned a mixture without error."""

    def __init__(self, mixture, path, prediction="eps"):
        super().__init__()
        self.denoise = exact_denoiser(mixture, path)
        self.path = path
        self.prediction = prediction

    def forward(self, t, x):
        return predicted(self.path, self.prediction, t, self.denoise(t, x))


class ByClass(nn.Module):
    """Exact for two classes, N(-1, 0.2^2) and N(1.5, 0.4^2), and for their mixture."""

    parts = (gaussian_mixture([1.0], [-1.0], 0.2), gaussian_mixture([1.0], [1.5], 0.4), TWO)

    def __init__(self, path):
        super().__init__()
        self.nets = nn.ModuleList(Exact(part, path) for part in self.parts)

    def forward(self, t, x, label):
        found = torch.stack([net(t, x) for net in self.nets])
        return found[label, torch.arange(len(x))]


def model_of(mixture, path, prediction="eps", **options):
    shape = (mixture.size,)
    return Diffusion(
        Exact(mixture, path, prediction), path, shape=shape, prediction=prediction, **options
    )


def measured(model, x0, **arguments):
    """The loss over many draws, and its standard error."""
    parts = torch.stack(
        [
            model.loss(part, generator=seeded(1000 + k), **arguments)
            for k, part in enumerate(x0.split(5000))
        ]
    )
    return float(parts.mean()), float(parts.std() / math.sqrt(len(parts)))


# -- the loss --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("std", "floor"), [(0.3, 0.230769), (1.0, 0.5)])
def test_the_exact_net_has_the_loss_s_over_one_plus_s_on_the_cosine_path(std, floor):
    path = cosine()._replace(first=0.0, last=1.0)
    mixture = gaussian_mixture([1.0], [0.0], std)
    loss, error = measured(model_of(mixture, path), mixture.sample(200_000, seeded(1)).double())
    assert floor == pytest.approx(std / (1 + std), abs=1e-6)
    assert abs(loss - floor) < 4 * error and error < 0.002


def test_the_exact_net_has_the_known_loss_on_the_constant_path():
    floor = 0.047508037
    s = 0.3**2
    closed = s / ((1 - s) * 5) * math.log((1 - (1 - s) * math.exp(-5)) / s)
    assert floor == pytest.approx(closed, abs=1e-8)
    path = constant()._replace(first=1e-9)
    mixture = gaussian_mixture([1.0], [0.0], 0.3)
    loss, error = measured(model_of(mixture, path), mixture.sample(400_000, seeded(1)).double())
    assert abs(loss - floor) < 4 * error and error < 0.0005


@pytest.mark.parametrize(
    ("t", "floor"),
    [(0.05, 0.471111), (0.1, 0.510157), (0.3, 0.284923), (0.5, 0.113499), (1, 0.00965)],
)
def test_the_exact_net_has_the_known_loss_at_a_time_on_the_mixture(t, floor):
    model = model_of(TWO, constant())
    x0 = TWO.sample(200_000, seeded(1)).double()
    loss, error = measured(model, x0, t=torch.full((5000,), float(t)))
    assert abs(loss - floor) < 4 * error and error < 0.003


@pytest.mark.parametrize("target", PREDICTIONS)
def test_a_net_of_any_prediction_has_the_same_loss_at_the_minimum(target):
    """Converted to one target, five exact nets are one."""
    path = linear()._replace(first=0.05)
    x0 = TWO.sample(500, seeded()).double()
    losses = [
        float(model_of(TWO, path, kind, target=target).loss(x0, generator=seeded(1)))
        for kind in PREDICTIONS
    ]
    assert losses == pytest.approx([losses[0]] * 5, rel=1e-6)


def test_targets_differ_by_a_weight_on_each_time():
    """|eps error| = (alpha / sigma) |x0 error| = sigma |score error|."""
    path = cosine()
    model = lambda target: Diffusion(TimedMLP(2, 8, 2), path, target=target)  # noqa: E731
    x0 = torch.randn(64, 2, generator=seeded())
    t = torch.full((64,), 0.4)
    at = path.at(torch.tensor(0.4))
    losses = {}
    for target in PREDICTIONS:
        torch.manual_seed(0)
        losses[target] = model(target).loss(x0, t=t, generator=seeded(1)).item()
    ratio = float(at.alpha / at.sigma) ** 2
    assert losses["eps"] == pytest.approx(ratio * losses["x0"], rel=1e-4)
    assert losses["eps"] == pytest.approx(float(at.sigma) ** 2 * losses["score"], rel=1e-4)


def test_a_trained_net_comes_close_to_the_exact_score_and_to_the_floor():
    """Two modes on a line: what regression finds is the mean noise, the exact one."""
    path = cosine()
    torch.manual_seed(0)
    model = Diffusion(TimedMLP(1, 64, 64, 1), path, shape=(1,))
    data = TWO.sample(20_000, seeded())

    def loss(model, step):
        return model.loss(data[torch.randint(len(data), (512,))])

    fit(model, loss, 1500, lr=4e-3, schedule=lambda k: 1 - k / 1500, seed=0, progress=False)
    x = torch.linspace(-2, 2.5, 50)[:, None]
    for t in (0.2, 0.5, 0.8):
        at = path.at(torch.tensor(t))
        weight = TWO.noised(at.alpha, at.sigma).log_prob(x).exp()[:, None]
        exact = exact_denoiser(TWO, path)(torch.tensor(t), x).eps
        with torch.no_grad():
            found = model.denoiser()(torch.tensor(t), x).eps
        wrong = float((weight * (found - exact).square()).sum() / weight.sum())
        assert wrong < 0.05
        assert wrong < 0.1 * float((weight * exact.square()).sum() / weight.sum())


def test_training_that_was_cut_short_goes_on_exactly(tmp_path):
    def trained(*lengths):
        torch.manual_seed(3)
        model = Diffusion(TimedMLP(2, 8, 2))
        data = PLANE.sample(200, seeded())
        for steps in lengths:
            file = tmp_path / f"{lengths}.pt"
            fit(model, lambda m, k: m.loss(data), steps, seed=1, checkpoint=file, progress=False)
        return torch.cat([p.flatten() for p in model.parameters()])

    assert torch.equal(trained(12), trained(5, 12))


# -- sampling --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLERS)
def test_samples_have_the_moments_of_the_data(name):
    path = cosine()
    model = model_of(PLANE, path)
    times = uniform(path, 150)
    x = model.sample(4000, times, sampler=SAMPLERS[name], generator=seeded()).x
    assert x.dtype == torch.float32
    assert torch.allclose(x.mean(0), torch.tensor([0.5, -0.2]), atol=0.07)
    assert torch.allclose(x.T.cov(), torch.tensor([[1.0, 0.6], [0.6, 0.5]]), atol=0.1)


def test_sampling_starts_from_the_spread_at_the_last_time_and_counts_evaluations():
    for make in PATHS.values():
        model = Diffusion(TimedMLP(2, 8, 2), make())
        last = model.path.at(torch.tensor(model.path.last))
        assert model.prior_std == pytest.approx(float(last.sigma), rel=1e-6)
    model = Diffusion(TimedMLP(2, 8, 2))
    found = model.sample(7, to_data(uniform(model.path, 11)), sampler=heun, keep=True)
    assert found.nfe == model.stats.nfe == 23
    assert found.states.shape == (13, 7, 2)
    assert model.sample(2).nfe == 50


def test_images_and_labels_pass_through():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(11))

        def forward(self, t, x, label):
            return x * self.scale[label].reshape(-1, 1, 1, 1) * (1 + t)

    images = digits(normalize=False).images[:6]
    model = Diffusion(Net(), shape=(1, 8, 8), classes=10)
    label = torch.arange(6)
    model.loss(images, label).backward()
    assert model.net.scale.grad[10] == 0 or model.net.scale.grad[:6].count_nonzero() == 5
    assert model.sample(3, label=torch.tensor([1, 2, 3]), guidance=2.0).x.shape == (3, 1, 8, 8)
    assert model.sample(3, label=4).x.shape == (3, 1, 8, 8)
    assert model.log_prob(images, label=label, trace="rademacher").shape == (6,)


def test_labels_are_dropped_at_the_rate_that_is_asked_for():
    seen = []

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.p = nn.Parameter(torch.zeros(1))

        def forward(self, t, x, label):
            seen.append(label)
            return x * self.p

    model = Diffusion(Net(), classes=3, drop=0.25)
    label = torch.arange(9000) % 3
    model.loss(torch.randn(9000, 2), label, generator=seeded())
    none = seen[0] == 3
    assert float(none.double().mean()) == pytest.approx(0.25, abs=0.02)
    assert torch.equal(seen[0][~none], label[~none])


# -- guidance --------------------------------------------------------------------------------------


def test_guidance_goes_from_all_classes_to_one_and_beyond():
    """0: the mixture; 1: the class; 3: further from the other class than its own data."""
    path = cosine()
    model = Diffusion(ByClass(path), path, shape=(1,), classes=2)
    times = to_data(geometric(path, 40))

    def draw(guidance):
        return model.sample(4000, times, label=0, guidance=guidance, generator=seeded())

    of_none, of_class, beyond = draw(0.0), draw(1.0), draw(3.0)
    assert float((of_none.x < 0.2).double().mean()) == pytest.approx(0.3, abs=0.03)
    assert float(of_class.x.mean()) == pytest.approx(-1, abs=0.02)
    assert float(of_class.x.std()) == pytest.approx(0.2, abs=0.02)
    assert (of_none.nfe, of_class.nfe, beyond.nfe) == (41, 41, 82)
    assert float(beyond.x.mean()) < -1 and float((beyond.x < 0).double().mean()) == 1.0


def test_guided_noise_is_the_line_through_both():
    path = cosine()
    model = Diffusion(ByClass(path), path, shape=(1,), classes=2)
    t = torch.tensor(0.4, dtype=f64)
    x = torch.linspace(-1, 1, 5, dtype=f64)[:, None]
    label = torch.zeros(5, dtype=torch.int64)
    none, own = (model.denoiser(label, w)(t, x).eps for w in (0.0, 1.0))
    guided = model.denoiser(label, 2.5)(t, x).eps
    assert torch.allclose(guided, none + 2.5 * (own - none), atol=1e-12)


# -- the flow: density, codes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prediction", "cnf"),
    [("eps", {}), ("v", {}), ("x0", {"method": "rk4", "options": {"step_size": 0.002}})],
)
def test_the_log_likelihood_of_a_gaussian_is_exact_to_1e_5(prediction, cnf):
    path = cosine()._replace(last=1 - 1e-6)  # N(0, sigma^2) stands for p there: alpha is 1.6e-6
    model = model_of(PLANE, path, prediction)
    x = PLANE.sample(50, seeded()).double()
    at = path.at(torch.tensor(path.first, dtype=f64))
    exact = PLANE.noised(at.alpha, at.sigma).log_prob(x)
    found = model.log_prob(x, **({"rtol": 1e-8, "atol": 1e-8, **cnf}))
    assert (found - exact).abs().max() < 1e-5
    assert model.stats.nfe > 10


def test_a_last_time_with_data_left_is_seen_in_the_likelihood():
    """The noise at the end has the mean alpha m: an error of alpha m z in each log p."""
    x = PLANE.sample(200, seeded()).double()
    gaps = []
    for last in (0.999, 0.99):
        path = cosine()._replace(last=last)
        exact = PLANE.noised(*path.at(torch.tensor(path.first, dtype=f64))[:2]).log_prob(x)
        found = model_of(PLANE, path).log_prob(x, rtol=1e-8, atol=1e-8)
        gaps.append((found - exact).std().item())
    assert gaps[0] > 5e-4 and gaps[1] / gaps[0] == pytest.approx(10, rel=0.1)


def test_the_density_of_a_mixture_is_exact_and_has_mass_one():
    path = cosine()._replace(first=0.02, last=1 - 1e-6)
    model = model_of(TWO, path)
    at = path.at(torch.tensor(0.02, dtype=f64))
    x = torch.linspace(-2.5, 4, 400, dtype=f64)[:, None]
    found = model.log_prob(x, rtol=1e-8, atol=1e-8)
    exact = TWO.noised(at.alpha, at.sigma).log_prob(x)
    likely = exact > -10
    assert torch.allclose(found[likely], exact[likely], atol=2e-4)
    assert (found.exp().sum() * (x[1] - x[0])).item() == pytest.approx(1, abs=1e-3)


def test_hutchinsons_estimate_agrees_in_the_mean():
    model = model_of(PLANE, cosine())
    x = PLANE.sample(400, seeded()).double()
    torch.manual_seed(0)
    gap = (model.log_prob(x, trace="rademacher") - model.log_prob(x)).detach()
    assert abs(float(gap.mean())) < 4 * float(gap.std()) / 20 and float(gap.std()) > 0.01


def test_a_density_wrong_in_scale_is_seen():
    """A flow whose field is of narrower data: its log-likelihood is off by far more than 1e-5."""
    narrow = gaussian(torch.tensor([0.5, -0.2]), 0.8 * torch.tensor([[1.0, 0.6], [0.6, 0.5]]))
    x = PLANE.sample(50, seeded()).double()
    gap = model_of(narrow, cosine()).log_prob(x) - model_of(PLANE, cosine()).log_prob(x)
    assert gap.abs().mean().item() > 0.1


def test_decoding_undoes_encoding_and_codes_are_noise():
    model = model_of(PLANE, cosine())
    x = PLANE.sample(2000, seeded()).double()
    z = model.encode(x, rtol=1e-8, atol=1e-8)
    assert torch.allclose(model.decode(z, rtol=1e-8, atol=1e-8), x, atol=1e-4)
    assert torch.allclose(z.T.cov(), torch.eye(2, dtype=f64), atol=0.12)
    assert float(z.mean(0).abs().max()) < 0.1


def test_interpolation_begins_and_ends_at_the_data_and_stays_likely():
    round_data = gaussian_mixture([1.0], torch.zeros(1, 16), 1.0)
    model = model_of(round_data, cosine())
    a, b = round_data.sample(2, seeded())
    found = model.interpolate(a, b, 9, rtol=1e-6, atol=1e-6)
    assert torch.allclose(found[0], a, atol=1e-3) and torch.allclose(found[-1], b, atol=1e-3)
    shortest = min(float(a.norm()), float(b.norm()))
    assert float(found.norm(dim=1).min()) > 0.97 * shortest
    assert float(((a + b) / 2).norm()) < 0.9 * shortest


def test_bits_per_dimension_do_not_depend_on_the_scale_of_the_pixels():
    log_prob = torch.tensor([-10.0, 3.0])
    wide = bits_per_dimension(log_prob, 4, 1.0)
    narrow = bits_per_dimension(log_prob + 4 * math.log(8), 4, 1 / 8)
    assert torch.allclose(wide, narrow)
    assert float(wide[0]) == pytest.approx(10 / 4 / math.log(2), rel=1e-6)


# -- inpainting ------------------------------------------------------------------------------------


def inpainted(sampler, **options):
    """Two spots on a diagonal: a known first coordinate leaves one place for the second."""
    corners = gaussian_mixture([0.5, 0.5], torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), 0.15)
    path = cosine()
    model = model_of(corners, path)
    known = torch.tensor([[-1.0, 9.0], [1.0, 9.0]]).repeat(1000, 1)
    times = to_data(geometric(path, 40))
    mask = torch.tensor([True, False])
    x = model.inpaint(known, mask, times, sampler=sampler, generator=seeded(3), **options).x
    assert torch.equal(x[:, 0], known[:, 0])
    return float((x[:, 1] * known[:, 0] > 0).double().mean())


@pytest.mark.parametrize("sampler", [ddim, ancestral, heun])
def test_known_pixels_come_back_and_most_others_follow_them(sampler):
    assert inpainted(sampler) > 0.8


def test_corrections_bring_the_others_to_the_known_pixels():
    """The more often the net is asked at a time, the better; one step is too few."""
    few = inpainted(predictor_corrector)
    many = inpainted(predictor_corrector, corrections=10, snr=0.3)
    assert 0.85 < few < 0.95 and many > 0.98


# -- refusals --------------------------------------------------------------------------------------


def net():
    return TimedMLP(2, 8, 2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"net": lambda t, x: x}, TypeError, "net must be an nn.Module"),
        ({"path": "quadratic"}, ValueError, "path must be one of constant, linear, cosine"),
        ({"path": cosine}, TypeError, "path must be a GaussianPath"),
        ({"prediction": "noise"}, ValueError, "prediction must be one of eps, x0, v, score"),
        ({"target": "noise"}, ValueError, "target must be one of"),
        ({"shape": 2}, ValueError, "shape must be a tuple"),
        ({"shape": (0,)}, ValueError, r"shape\[0\] must be an integer of 1 or more"),
        ({"classes": -1}, ValueError, "classes must be an integer of 0 or more"),
        ({"classes": None}, ValueError, "classes must be an integer of 0 or more, got None"),
        ({"drop": 1.5}, ValueError, r"drop must be in \[0, 1\]"),
    ],
)
def test_models_that_cannot_be_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Diffusion(**{"net": net(), **arguments})


def test_bad_data_times_and_labels_are_refused_with_the_remedy():
    model = Diffusion(net())
    x = torch.zeros(4, 2)
    with pytest.raises(ValueError, match=r"data must be floats \(B, 2\), got .* \(4, 3\)"):
        model.loss(torch.zeros(4, 3))
    with pytest.raises(ValueError, match=r"t must be \(4,\), one time in \[0, 1\]"):
        model.loss(x, t=torch.tensor([0.1, 0.5, 1.2, 0.3]))
    with pytest.raises(ValueError, match="label is given, but the model has no classes"):
        model.loss(x, torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"guidance = 2.0 needs classes: train the model with"):
        model.sample(3, guidance=2.0)
    with pytest.raises(ValueError, match="mask must be bool"):
        model.inpaint(x, torch.ones(2))
    with pytest.raises(ValueError, match="n must be an integer of 1 or more"):
        model.sample(0)
    classes = Diffusion(net(), classes=3)
    with pytest.raises(ValueError, match="label is missing: the model has 3 classes"):
        classes.loss(x)
    with pytest.raises(ValueError, match="label must be from 0 to 2, got 0 to 3"):
        classes.loss(x, torch.tensor([0, 1, 2, 3]))
    with pytest.raises(ValueError, match=r"label must be \(4,\) integers"):
        classes.loss(x, torch.zeros(4))
    with pytest.raises(ValueError, match=r"guidance = 2.0 needs a label to guide to"):
        classes.sample(3, guidance=2.0)
    with pytest.raises(ValueError, match="label must be from 0 to 2, got 7 to 7"):
        classes.sample(3, label=7)
