"""Learned energies: kept by any net, no divergence, friction, control, and they can be learned."""

import pytest
import torch
from torch.func import jacrev, vmap

from node_tutorial.data.systems import pendulum, pendulum_energy
from node_tutorial.models import HamiltonianNet, LagrangianNet
from node_tutorial.solvers.odeint import odeint
from node_tutorial.training import fit

f64 = torch.float64
NOW = torch.tensor(0.0)


def strong(make, **of):
    torch.manual_seed(0)
    net = make(2, (16, 16), **of).double()
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(1.5)
    return net


def states(n=5):
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(1), dtype=f64)


KINDS = {
    "hamiltonian": lambda **of: strong(HamiltonianNet, **of),
    "separable": lambda **of: strong(HamiltonianNet, separable=True, **of),
    "lagrangian": lambda **of: strong(LagrangianNet, **of),
    "lagrangian, of angles": lambda **of: strong(LagrangianNet, angles=True, **of),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_learned_energy_is_kept_whatever_the_net(kind):
    net = KINDS[kind]()
    y = states()
    way = odeint(net, y, torch.linspace(0, 3, 4, dtype=f64), rtol=1e-8, atol=1e-8).detach()
    assert (way - y).abs().max() > 0.5
    assert (net.energy(way) - net.energy(y)).abs().max() < 1e-6


@pytest.mark.parametrize("kind", ["hamiltonian", "separable"])
def test_a_hamiltonian_field_has_no_divergence(kind):
    net = KINDS[kind]()
    jacobians = vmap(jacrev(lambda y: net(NOW, y)))(states())
    assert jacobians.diagonal(dim1=1, dim2=2).sum(-1).abs().max() < 1e-12
    assert jacobians.abs().max() > 0.01


def test_only_the_separable_net_is_for_leapfrog():
    t = torch.linspace(0, 10, 401, dtype=f64)
    net = KINDS["separable"]()
    way = odeint(net, states(), t, method="leapfrog").detach()
    assert (net.energy(way) - net.energy(way[0])).abs().max() < 0.01
    with pytest.raises(ValueError):
        odeint(KINDS["hamiltonian"](), states(), t, method="leapfrog")


def test_the_lagrangian_field_obeys_the_euler_lagrange_equation():
    net = KINDS["lagrangian"]()
    y = states(1)[0]

    def momentum(y):
        q, w = y.chunk(2)
        return (net.mass(q) @ w[:, None])[:, 0]

    def slope_to_q(y):
        q, w = y.chunk(2)
        return torch.autograd.functional.jacobian(
            lambda q: w @ net.mass(q) @ w / 2 - net.potential(q), q
        )

    rate = torch.autograd.functional.jvp(momentum, y, net(NOW, y))[1]
    assert torch.allclose(rate, slope_to_q(y), atol=1e-10)


def test_the_mass_matrix_is_symmetric_and_positive_for_any_net():
    mass = KINDS["lagrangian"]().mass(10 * states(50)[:, :2])
    assert torch.equal(mass, mass.mT) and torch.linalg.eigvalsh(mass).min() > 0


def test_friction_takes_energy_and_is_positive():
    net = KINDS["hamiltonian"](friction=True)
    assert (net.friction > 0).all()
    way = odeint(net, states(), torch.linspace(0, 5, 11, dtype=f64)).detach()
    assert (net.energy(way).diff(dim=0) <= 1e-9).all()
    assert net.energy(way[-1]).sum() < net.energy(way[0]).sum() - 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_a_control_is_a_force(kind):
    def push(t, y):
        return torch.tensor([0.5, -0.2], dtype=f64).expand(*y.shape[:-1], 2) * (1 + t)

    free, pushed = KINDS[kind](), KINDS[kind](control=push)
    y = states()
    change = pushed(torch.tensor(1.0, dtype=f64), y) - free(NOW, y)
    force = torch.tensor([1.0, -0.4], dtype=f64).expand(5, 2)
    if kind.startswith("lagrangian"):
        force = torch.linalg.solve(free.mass(y[:, :2]), force)
    assert torch.allclose(change, torch.cat([torch.zeros(5, 2), force], 1), atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_the_parameters_also_through_a_solve(kind):
    net = KINDS[kind]()
    names = [name for name, p in net.named_parameters()]
    odeint(net, states(), torch.tensor([0.0, 1.0], dtype=f64))[-1].square().mean().backward()
    # The last bias is a constant of the energy, which no motion shows.
    silent = [n for n, p in zip(names, net.parameters()) if p.grad is None or not p.grad.any()]
    assert all(n.endswith("4.bias") and "factor" not in n for n in silent)
    with torch.no_grad():
        assert net(NOW, states()).shape == (5, 4)


def test_it_learns_a_pendulum_and_keeps_its_energy():
    torch.manual_seed(0)
    y = torch.rand(400, 2) * torch.tensor([3.0, 2.0]) - torch.tensor([1.5, 1.0])
    net = HamiltonianNet(1, (32, 32))
    fit(
        net,
        lambda net, step: (net(NOW, y) - pendulum(0, y)).square().mean(),
        400,
        lr=1e-2,
        progress=False,
    )
    start = torch.tensor([1.0, 0.0])
    way = odeint(net, start, torch.linspace(0, 60, 61), rtol=1e-6, atol=1e-6).detach()
    assert (pendulum_energy(way) - pendulum_energy(start)).abs().max() < 0.03


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="size"):
        HamiltonianNet(0)
    for kind in KINDS.values():
        with pytest.raises(ValueError, match="4 entries"):
            kind()(NOW, torch.zeros(5, 3, dtype=f64))


@pytest.mark.parametrize(
    "kind, method", [("separable", "leapfrog"), ("hamiltonian", "implicit_midpoint")]
)
def test_a_symplectic_step_of_a_learned_energy_keeps_the_form_and_rk4_does_not(kind, method):
    one, zero = torch.eye(2, dtype=f64), torch.zeros(2, 2, dtype=f64)
    form = torch.cat([torch.cat([zero, one], 1), torch.cat([-one, zero], 1)])
    net = KINDS[kind]()
    violated = []
    t = torch.tensor([0.0, 1.0], dtype=f64)
    for name in (method, "rk4_classic"):
        step = torch.autograd.functional.jacobian(
            lambda y, name=name: odeint(net, y, t, method=name, rtol=1e-12, atol=1e-12)[-1],
            states(1)[0],
        )
        violated.append((step.T @ form @ step - form).abs().max().item())
    assert violated[0] < 1e-9 and violated[1] > 10 * violated[0]


def test_implicit_midpoint_keeps_a_learned_energy_in_a_band():
    net = KINDS["hamiltonian"]()
    way = odeint(net, states(), torch.linspace(0, 40, 801, dtype=f64), method="implicit_midpoint")
    drift = (net.energy(way) - net.energy(way[0])).detach()
    assert drift[:400].abs().max() < 0.01 and drift[400:].abs().max() < 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_second_derivatives_are_right(kind):
    net = KINDS[kind]()
    first = next(net.parameters())

    def field(weight, y):
        names = {name for name, p in net.named_parameters() if p is first}
        return torch.func.functional_call(net, {names.pop(): weight}, (NOW, y))

    weight = first.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(field, (weight, states(2).requires_grad_()), atol=1e-6)


def test_it_learns_from_states_alone_through_the_solver():
    """From pairs of states half a unit of time apart."""
    torch.manual_seed(0)
    y = torch.rand(200, 2) * torch.tensor([3.0, 2.0]) - torch.tensor([1.5, 1.0])
    t = torch.tensor([0.0, 0.5])
    after = odeint(pendulum, y, t)[-1]
    net = HamiltonianNet(1, (32, 32), separable=True)

    def loss(net, step):
        return (
            (odeint(net, y, t, method="leapfrog", options={"step_size": 0.1})[-1] - after)
            .square()
            .mean()
        )

    fit(net, loss, 300, lr=1e-2, progress=False)
    assert (net(NOW, y) - pendulum(0, y)).square().mean() < 5e-3


def test_the_power_of_a_control_is_what_the_learned_energy_gains():
    def push(t, y):
        return torch.stack([torch.sin(t), torch.cos(2 * t)]).expand(*y.shape[:-1], 2)

    for kind in ("hamiltonian", "lagrangian"):
        net = KINDS[kind](control=push)

        def field(t, y, net=net):
            slope = net(t, y[:4])
            return torch.cat([slope, (push(t, y[:4]) * slope[:2]).sum()[None]])

        start = torch.cat([states(1)[0], torch.zeros(1, dtype=f64)])
        end = odeint(field, start, torch.tensor([0.0, 2.0], dtype=f64), rtol=1e-9, atol=1e-10)[-1]
        gained = net.energy(end[:4]) - net.energy(start[:4])
        assert gained.item() == pytest.approx(end[4].item(), abs=1e-6) and abs(end[4]) > 0.05
