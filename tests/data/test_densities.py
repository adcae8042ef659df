"""The densities: total mass, entropies, samples against log_prob, scikit-learn's points, the KL
gap.
"""

import math

import pytest
import torch
from scipy import integrate
from sklearn.datasets import make_circles, make_moons

from node_tutorial.data import (
    checkerboard,
    densities,
    gaussians,
    grid,
    kl_gap,
    on_grid,
    pinwheel,
    rings,
    target,
    two_circles,
    two_moons,
)

DENSITIES = {
    "gaussians": gaussians,
    "one Gaussian": lambda: gaussians(1, 0.0, 0.7),
    "rings": rings,
    "circles": two_circles,
    "moons": two_moons,
    "sharp moons": lambda: two_moons(0.1),
    "pinwheel": pinwheel,
    "checkerboard": checkerboard,
    **{f"U{number}": lambda number=number: target(number) for number in (1, 2, 3, 4)},
}


@pytest.fixture(params=DENSITIES, scope="module")
def density(request):
    return DENSITIES[request.param]()


def draws(density, n=20000, seed=0):
    return density.sample(n, torch.Generator().manual_seed(seed)).double()


def test_the_density_integrates_to_one(density):
    x, area = grid(density.bounds, 320)
    assert density.log_prob(x).exp().sum().item() * area == pytest.approx(1, abs=1e-6)


def test_the_entropy_is_the_mean_of_the_samples_negative_log_density(density):
    information = -density.log_prob(draws(density))
    error = information.std().item() / math.sqrt(20000)
    assert information.mean().item() == pytest.approx(density.entropy, abs=4 * error + 1e-5)


def test_samples_fill_every_part_of_the_plane_as_often_as_the_density_says(density):
    x = draws(density)
    left, right, bottom, top = density.bounds
    assert ((x > torch.tensor([left, bottom])) & (x < torch.tensor([right, top]))).all()
    cells, area = grid(density.bounds, 320)
    mass = density.log_prob(cells).exp().view(8, 40, 8, 40).sum((1, 3)) * area
    column = ((x[:, 0] - left) / (right - left) * 8).long()
    row = ((x[:, 1] - bottom) / (top - bottom) * 8).long()
    counts = (
        torch.zeros(64)
        .double()
        .index_add_(0, row * 8 + column, torch.ones(20000).double())
        .view(8, 8)
    )
    expected = 20000 * mass
    z = (counts - expected) / (expected * (1 - mass) + 1).sqrt()
    assert z.abs().max() < 5 and (counts > 0).sum() > 15 - 8 * ("Gaussian" in density.name)


def test_shapes_and_dtypes(density):
    x = draws(density, 12)
    log_p = density.log_prob(x)
    assert density.sample(7).dtype == torch.float32 and density.sample(0).shape == (0, 2)
    assert density.log_prob(x.view(3, 4, 2)).shape == (3, 4)
    assert torch.allclose(density.log_prob(x.view(3, 4, 2)).view(12), log_p)
    single = density.log_prob(x.float())
    assert single.dtype == torch.float32 and torch.allclose(single.double(), log_p, atol=2e-3)
    assert density.log_prob(x[0]).shape == ()


def test_a_generator_gives_its_points_and_leaves_the_global_one_alone(density):
    before = torch.get_rng_state()
    assert torch.equal(draws(density, 20), draws(density, 20)) and not torch.equal(
        draws(density, 20), draws(density, 20, seed=1)
    )
    assert torch.equal(torch.get_rng_state(), before)


def test_entropies_in_closed_form():
    assert gaussians(1, 0.0, 0.7).entropy == pytest.approx(
        math.log(2 * math.pi * math.e * 0.7**2), abs=1e-7
    )
    assert gaussians(8, 40.0, 0.5).log_prob(torch.tensor([40.0, 0.0])).item() == pytest.approx(
        -math.log(8 * 2 * math.pi * 0.25), abs=1e-5
    )
    assert checkerboard().entropy == pytest.approx(math.log(32))


def test_the_entropy_of_moons_is_that_of_the_literatures_scale():
    assert two_moons().entropy == pytest.approx(2.3939, abs=2e-4)
    # twice the size: log 4 more
    assert two_moons(0.2).entropy - math.log(4) == pytest.approx(1.0076, abs=2e-4)


@pytest.mark.parametrize("noise", [0.02, 0.2, 1.0])
def test_the_moons_density_is_scipys_integral_over_the_arcs(noise):
    moons = two_moons(noise)
    for x, y in [(1.05, -0.1), (-1.0, 1.85), (0.0, 0.3), (-3.0, -0.2), (1.0, 1.2), (2.5, -1.0)]:

        def on_arcs(angle, x=x, y=y):
            c, s = math.cos(angle), math.sin(angle)
            squares = [
                (x - 2 * c + 1) ** 2 + (y - 2 * s + 0.2) ** 2,
                (x - 1 + 2 * c) ** 2 + (y - 0.8 + 2 * s) ** 2,
            ]
            return sum(math.exp(-q / (2 * noise**2)) for q in squares)

        total, _ = integrate.quad(on_arcs, 0, math.pi, limit=400, epsabs=0, epsrel=1e-11)
        expected = total / (2 * math.pi) / (2 * math.pi * noise**2)
        if expected > 1e-200:
            found = moons.log_prob(torch.tensor([x, y], dtype=torch.float64)).item()
            assert found == pytest.approx(math.log(expected), abs=1e-8)


def test_scikit_learns_points_are_as_likely_as_ours():
    x, _ = make_moons(20000, noise=0.1, random_state=0)
    circles, _ = make_circles(20000, noise=0.08, factor=0.5, random_state=0)
    for density, theirs in [(two_moons(), 2 * x + [-1.0, -0.2]), (two_circles(), 3 * circles)]:
        information = -density.log_prob(torch.tensor(theirs))
        assert information.mean().item() == pytest.approx(
            density.entropy, abs=4 * information.std().item() / math.sqrt(20000)
        )


def test_targets_are_the_papers_energies_up_to_a_constant():
    z = torch.tensor([[0.5, 1.0], [-2.0, 0.3], [1.0, -2.0], [3.0, 0.0]], dtype=torch.float64)
    z1, z2 = z.T
    w1 = torch.sin(2 * math.pi * z1 / 4)
    w2 = 3 * torch.exp(-0.5 * ((z1 - 1) / 0.6) ** 2)
    w3 = 3 * torch.sigmoid((z1 - 1) / 0.3)
    energies = [
        0.5 * ((z.norm(dim=1) - 2) / 0.4) ** 2
        - torch.log(
            torch.exp(-0.5 * ((z1 - 2) / 0.6) ** 2) + torch.exp(-0.5 * ((z1 + 2) / 0.6) ** 2)
        ),
        0.5 * ((z2 - w1) / 0.4) ** 2,
        -torch.log(
            torch.exp(-0.5 * ((z2 - w1) / 0.35) ** 2)
            + torch.exp(-0.5 * ((z2 - w1 + w2) / 0.35) ** 2)
        ),
        -torch.log(
            torch.exp(-0.5 * ((z2 - w1) / 0.4) ** 2)
            + torch.exp(-0.5 * ((z2 - w1 + w3) / 0.35) ** 2)
        ),
    ]
    for number, energy in enumerate(energies, 1):
        constant = target(number).log_prob(z) + energy
        assert torch.allclose(constant, constant[:1].expand(4), atol=1e-9)


@pytest.mark.parametrize("number", [0, 5, "U1"])
def test_other_targets_are_refused(number):
    with pytest.raises(ValueError, match="number must be 1, 2, 3 or 4, for U1 to U4"):
        target(number)


def test_the_grid_runs_along_x_first_and_its_cells_fill_the_rectangle():
    x, area = grid((0.0, 2.0, -1.0, 2.0), 10)
    assert x.shape == (100, 2) and x.dtype == torch.float64 and area * 100 == pytest.approx(6)
    assert (
        torch.allclose(x[0], torch.tensor([0.1, -0.85]).double())
        and x[1, 0] > x[0, 0]
        and x[1, 1] == x[0, 1]
    )


def test_a_picture_of_a_density_has_the_values_of_its_grid_from_the_bottom_up():
    moons = two_moons()
    values = on_grid(moons.log_prob, moons.bounds, 40)
    x, _ = grid(moons.bounds, 40)
    assert torch.equal(values[0], moons.log_prob(x[:40]))
    assert torch.equal(values.reshape(-1), moons.log_prob(x))


def test_the_kl_gap_is_the_closed_form_between_gaussians():
    p, q = gaussians(1, 0.0, 1.0), gaussians(1, 0.0, 2.0)
    gap = kl_gap(p, q.log_prob, draws(p), batch=3000)
    exact = 2 * (math.log(2) + 1 / 8 - 1 / 2)
    assert gap.standard_error < 0.006
    assert gap.kl == pytest.approx(exact, abs=4 * gap.standard_error)
    assert gap.cross_entropy - gap.entropy == pytest.approx(exact, abs=0.05)
    truth = kl_gap(p, p.log_prob, draws(p))
    assert truth.kl == pytest.approx(0, abs=1e-12) and truth.standard_error == pytest.approx(
        0, abs=1e-12
    )


def test_the_kl_gap_tells_a_function_that_is_no_density():
    p = two_moons()
    gap = kl_gap(p, lambda x: p.log_prob(x) + 1.0, draws(p))
    assert gap.kl == pytest.approx(-1) and gap.cross_entropy < gap.entropy - 0.9


def test_points_and_log_densities_of_another_shape_are_refused():
    p = gaussians()
    with pytest.raises(ValueError, match=r"x must be points \(N, 2\), .* got \(5, 3\)"):
        kl_gap(p, p.log_prob, torch.zeros(5, 3))
    with pytest.raises(ValueError, match=r"one number for each of the 5 points, got \(5, 1\)"):
        kl_gap(p, lambda x: p.log_prob(x)[:, None], torch.zeros(5, 2))
    with pytest.raises(ValueError, match="n must be the number of points to draw"):
        p.sample(1.5)


def test_points_of_another_number_of_dimensions_have_no_density(density):
    for shape in ((4, 3), (4, 1), (2, 3), ()):
        with pytest.raises(ValueError, match=r"x must be points in the plane, \(\.\.\., 2\), got"):
            density.log_prob(torch.zeros(shape))


def test_integers_count_as_floats(density):
    x = torch.tensor([[1, 0], [-1, 2]])
    assert torch.equal(density.log_prob(x), density.log_prob(x.to(torch.get_default_dtype())))


def test_far_out_the_density_is_a_number_with_a_slope(density):
    x = torch.tensor([[180.0, 0.0], [-150.0, 90.0], [1e4, -1e4], [0.0, 0.0]], requires_grad=True)
    log_p = density.log_prob(x)
    assert not log_p.isnan().any()
    if density.name != "checkerboard":
        single = density.log_prob(x.detach()).double()
        assert torch.allclose(single, density.log_prob(x.detach().double()), rtol=1e-3)
        [slope] = torch.autograd.grad(log_p.sum(), x)
        assert not slope[:3].isnan().any()


def test_no_point_has_no_density(density):
    assert density.log_prob(torch.tensor([[math.nan, 0.0], [0.0, math.nan]])).isnan().all()


def test_arms_of_the_pinwheel_wind_no_further_where_nothing_is():
    x = torch.tensor([[12.0, 0.0], [40.0, 0.0]], dtype=torch.float64)  # radii 6 and 20 undoubled
    turned = 0.25 * math.exp(6.0) + 2 * math.pi / 5 * torch.arange(5, dtype=torch.float64)
    for point, log_p in zip(x, pinwheel().log_prob(x)):
        r = point[0] / 2
        squares = ((r * turned.cos() - 1) / 0.3) ** 2 + (r * turned.sin() / 0.1) ** 2
        expected = (-squares / 2).logsumexp(0) - math.log(4 * 2 * math.pi * 0.03 * 5)
        assert log_p.item() == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("noise", [0.099, 0.03, 0.01])
def test_moons_of_little_noise_have_a_density_too(noise):
    moons = two_moons(noise)
    # Far from its ends an arc is a line of length 2 pi: p = N(distance; 0, noise^2) / (4 pi).
    radius = 2 + noise * torch.tensor([0.0, 1.0, -2.0], dtype=torch.float64)
    x = torch.stack([torch.zeros_like(radius) - 1, radius - 0.2], dim=1)
    line = -((radius - 2) / noise).square() / 2 - math.log(math.sqrt(2 * math.pi) * noise)
    assert torch.allclose(moons.log_prob(x), line - math.log(4 * math.pi), atol=2 * noise)
    assert moons.log_prob(moons.sample(2000)).mean().item() == pytest.approx(
        -1.42 - math.log(noise) - math.log(4 * math.pi), abs=0.1
    )


def test_panels_change_nothing_of_the_quadrature(monkeypatch):
    x = two_moons().sample(50).double()
    monkeypatch.setattr(densities, "NODES", 48)
    finer = two_moons(0.05).log_prob(x)
    monkeypatch.undo()
    assert torch.allclose(two_moons(0.05).log_prob(x), finer, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "make",
    [
        lambda: two_moons(0.0),
        lambda: two_moons(1e-4),
        lambda: two_moons(math.nan),
        lambda: gaussians(0),
        lambda: gaussians(std=0.0),
        lambda: rings(()),
        lambda: rings((-1.0,)),
    ],
)
def test_a_shape_that_is_no_density_is_refused(make):
    with pytest.raises(ValueError, match="must be"):
        make()
