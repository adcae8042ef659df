"""PlanarFlow and RealNVP: inverses, log-determinants, mass, samples, the constraint, refusals."""

import math

import pytest
import torch
from torch.autograd.functional import jacobian

from node_tutorial.data import gaussians, grid
from node_tutorial.models import CNF, PlanarFlow, RealNVP, TimedMLP, normal_log_prob
from node_tutorial.models.flows import bisect

f64 = torch.float64
FLOWS = {
    "planar": lambda: PlanarFlow(2, 6),
    "planar, closed for samples": lambda: PlanarFlow(2, 6, closed="sample"),
    "planar, 3-D": lambda: PlanarFlow(3, 5),
    "RealNVP": lambda: RealNVP(2, 4, (16,)),
    "RealNVP, 3-D": lambda: RealNVP(3, 3, (16, 16)),
}


@pytest.fixture(params=FLOWS)
def flow(request):
    """A flow far from the identity, in double precision."""
    return strong(FLOWS[request.param]())


def strong(flow):
    torch.manual_seed(0)
    flow = flow.double()
    with torch.no_grad():
        for p in flow.parameters():
            p.copy_(torch.randn_like(p) * (0.7 if isinstance(flow, RealNVP) else 1.2))
    return flow


def points(flow, n=40):
    return torch.randn(n, flow.size, generator=torch.Generator().manual_seed(1), dtype=f64)


def test_each_way_undoes_the_other_and_its_log_det(flow):
    x = points(flow)
    z, there = flow(x)
    back, again = flow.inverse(z)
    assert (z - x).abs().max() > 0.5 and there.std() > 0.1  # it does something
    assert torch.allclose(back, x, atol=1e-9) and torch.allclose(there, -again, atol=1e-8)


@pytest.mark.parametrize("way", ["forward", "inverse"])
def test_the_log_det_is_that_of_autograds_jacobian(flow, way):
    x = points(flow, 6)
    log_det = getattr(flow, way)(x).log_det
    for row, expected in zip(x, log_det):
        matrix = jacobian(lambda x: getattr(flow, way)(x).y, row)
        assert torch.linalg.slogdet(matrix).logabsdet.item() == pytest.approx(
            expected.item(), abs=1e-8
        )


@pytest.mark.parametrize("name", ["planar", "planar, closed for samples", "RealNVP"])
def test_the_density_integrates_to_one(name):
    torch.manual_seed(1)
    flow = FLOWS[name]()
    with torch.no_grad():
        for p in flow.parameters():
            p.mul_(3.0 if isinstance(flow, RealNVP) else 1.5)
    x, area = grid((-14.0, 14.0, -14.0, 14.0), 400)
    with torch.no_grad():
        log_p = flow.double().log_prob(x)
    assert (log_p - normal_log_prob(x)).abs().max() > 0.2
    assert log_p.exp().sum().item() * area == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", ["planar", "planar, closed for samples", "RealNVP"])
def test_samples_follow_the_density(name):
    torch.manual_seed(0)
    flow = FLOWS[name]().double()
    x, log_p = flow.sample_with_log_prob(4000)
    assert torch.allclose(flow.log_prob(x), log_p, atol=1e-8)
    # E_q[p / q] = 1 for every density p, here one that is narrower than q.
    other = gaussians(3, 0.5, 0.5)
    ratio = (other.log_prob(x) - log_p).exp()
    assert ratio.mean().item() == pytest.approx(1, abs=4 * ratio.std().item() / math.sqrt(4000))
    assert ratio.std() < 3
    torch.manual_seed(3)
    alone = flow.sample(10)
    torch.manual_seed(3)
    assert torch.equal(alone, flow.sample_with_log_prob(10).x) and alone.shape == (10, 2)


@pytest.mark.parametrize("closed", ["log_prob", "sample"])
def test_planar_layers_stay_invertible_whatever_the_parameters(closed):
    torch.manual_seed(0)
    flow = PlanarFlow(2, 200, closed=closed).double()
    with torch.no_grad():
        flow.v.mul_(100)
    free = (flow.w * flow.v).sum(1)
    bound = (flow.w * flow.directions()).sum(1)
    assert free.min() < -5 and (bound >= -1).all() and (bound < -0.9).any()
    assert torch.allclose(bound, torch.nn.functional.softplus(free) - 1)
    change = flow.directions() - flow.v  # along w alone
    assert (change[:, 0] * flow.w[:, 1] - change[:, 1] * flow.w[:, 0]).abs().max() < 1e-9


def test_without_the_constraint_two_points_can_meet():
    w = torch.tensor([1.0, 0.0])
    u = torch.tensor([-2.0, 0.0])
    b = 0.0
    first = torch.linspace(-1, 1, 201)
    moved = first + u[0] * torch.tanh(w[0] * first + b)
    assert (moved.diff() > 0).any() and (moved.diff() < 0).any()


@pytest.mark.parametrize("dtype", [torch.float32, f64])
def test_bisection_finds_the_root_to_the_last_digits(dtype):
    for wu in (-1.0, -0.999, -0.3, 0.0, 5.0):
        wy = torch.linspace(-6, 6, 301, dtype=dtype)
        b = torch.tensor(0.4, dtype=dtype)
        a = bisect(wy, torch.tensor(wu, dtype=dtype), b)
        assert (a + wu * torch.tanh(a + b) - wy).abs().max() < 60 * torch.finfo(dtype).eps


def test_gradients_go_through_the_bisection():
    flow = strong(PlanarFlow(2, 2))
    z = points(flow, 3)

    def value(w, v, b, z):
        state = {"w": w, "v": v, "b": b}
        return torch.func.functional_call(
            Inverse(flow), {f"flow.{k}": x for k, x in state.items()}, (z,)
        )

    inputs = (*(p.detach().clone().requires_grad_() for p in flow.parameters()), z.requires_grad_())
    assert torch.autograd.gradcheck(value, inputs, eps=1e-6, atol=1e-5)


class Inverse(torch.nn.Module):
    def __init__(self, flow):
        super().__init__()
        self.flow = flow

    def forward(self, z):
        y, log_det = self.flow.inverse(z)
        return y.sum(0), log_det.sum()


def test_a_realnvp_begins_near_the_identity_and_bounds_its_scales():
    torch.manual_seed(0)
    flow = RealNVP(2, 8)
    x = torch.randn(50, 2)
    z, log_det = flow(x)
    assert (z - x).abs().max() < 0.1 and log_det.abs().max() < 0.1
    with torch.no_grad():
        for p in flow.parameters():
            p.mul_(1000)
    assert flow(x).log_det.abs().max() <= 8 * flow.bound + 1e-4


def test_a_coupling_keeps_half_and_every_entry_is_moved():
    flow = strong(RealNVP(5, 2))
    assert flow.kept.tolist() == [[0, 1, 0, 1, 0], [1, 0, 1, 0, 1]]
    x = points(flow)
    assert ((flow(x).y - x).abs().max(0).values > 0.1).all()


@pytest.mark.parametrize("name", FLOWS)
def test_leading_dimensions_and_empty_batches_are_kept(name):
    flow = FLOWS[name]()
    x = torch.randn(3, 4, flow.size)
    y, log_det = flow(x)
    assert y.shape == x.shape and log_det.shape == (3, 4)
    assert torch.allclose(flow.log_prob(x)[1, 2], flow.log_prob(x[1, 2]), atol=1e-5)
    assert flow.log_prob(x[:0, 0]).shape == (0,) and flow.sample(0).shape == (0, flow.size)


def test_maximum_likelihood_finds_a_known_gaussian():
    torch.manual_seed(0)
    scale, shift = torch.tensor([0.5, 2.0]), torch.tensor([1.0, -1.0])
    flow = RealNVP(2, 4, (16,))
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-2)
    for _ in range(300):
        loss = -flow.log_prob(scale * torch.randn(256, 2) + shift).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    entropy = 1 + math.log(2 * math.pi) + scale.log().sum().item()
    x = scale * torch.randn(5000, 2) + shift
    true = normal_log_prob((x - shift) / scale) - scale.log().sum()
    assert (true - flow.log_prob(x)).mean().item() == pytest.approx(0, abs=0.05)
    assert -true.mean().item() == pytest.approx(entropy, abs=0.06)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PlanarFlow(2, 0), "layers must be an integer of 1 or more, got 0"),
        (lambda: PlanarFlow(closed="both"), "closed must be 'log_prob' or 'sample', .* got 'both'"),
        (lambda: RealNVP(1), "size must be an integer of 2 or more, got 1"),
        (lambda: RealNVP(2, 1), "layers must be an integer of 2 or more, got 1"),
        (lambda: RealNVP(bound=0.0), r"bound must be positive and finite, .* got 0\.0"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "make", [PlanarFlow, RealNVP, lambda size: CNF(TimedMLP(size, 8, size), size)]
)
@pytest.mark.parametrize("shape", [(4, 1), (4, 4), (), (5, 3, 1)])
def test_points_of_another_number_of_dimensions_are_refused(make, shape):
    flow = make(5)
    for call in (flow, flow.inverse, flow.log_prob):
        with pytest.raises(
            ValueError, match=r"points must have 5 entries, \(\.\.\., 5\), got shape"
        ):
            call(torch.zeros(shape))


def test_the_density_of_a_continuous_flow_at_time_0_is_for_its_own_points_only():
    with pytest.raises(ValueError, match="points must have 3 entries"):
        CNF(TimedMLP(3, 8, 3), 3).log_prob(torch.zeros(4, 1), time=0)


@pytest.mark.parametrize("closed", ["log_prob", "sample"])
@pytest.mark.parametrize("push", [-12.0, -16.0, -40.0, -100.0])
def test_a_planar_layer_that_is_nearly_flat_keeps_a_finite_density(push, closed):
    for seed in range(50):
        torch.manual_seed(seed)
        flow = PlanarFlow(2, 1, closed=closed)
        w, b = flow.w.detach()[0], flow.b.detach()
        flow.v.data[0] = push * w / w.square().sum()
        x = (-b * w / w.square().sum())[None]  # where w.x + b = 0: it squeezes most
        way = flow if closed == "log_prob" else flow.inverse
        log_det = way(x).log_det
        assert log_det.item() > 1.001 * push
        assert log_det.item() == pytest.approx(push, rel=1e-3) or push < -16  # w.x + b is rounded
        [slope] = torch.autograd.grad(log_det.sum(), flow.v)
        assert slope.isfinite().all()


def test_the_least_slope_of_a_planar_layer_is_softplus_of_w_v():
    flow = PlanarFlow(2, 1)
    flow.b.data.zero_()
    for push in (-5.0, -16.0, -40.0, -80.0):
        flow.v.data = push * flow.w.detach() / flow.w.detach().square().sum()
        expected = math.log(math.log1p(math.exp(push)))
        assert flow(torch.zeros(1, 2)).log_det.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("closed", ["log_prob", "sample"])
def test_a_planar_layer_without_a_direction_shifts_all_points_alike(closed):
    flow = PlanarFlow(2, 1, closed=closed)
    flow.w.data.zero_()
    x = torch.randn(5, 2)
    z, log_det = flow(x)
    assert (log_det == 0).all()
    assert torch.allclose(z - x, (z - x)[:1].expand(5, 2), atol=1e-6)
    assert torch.allclose(flow.inverse(z).y, x, atol=1e-6)
