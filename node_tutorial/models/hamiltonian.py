"""Learned mechanics: nets that are an energy, of which the motion follows.

A plain field may gain or lose energy without end. If instead a net is H(q, p), and the field

    q' = dH/dp,   p' = -dH/dq

then H is kept along every path, whatever the net. (It is the learned H; whether the true energy is
kept depends on how well it was learned.) This needs canonical coordinates: momenta, which for a
mass matrix that changes with q are not velocities. With velocities use a Lagrangian

    L(q, w) = w^T M(q) w / 2 - V(q),   d/dt dL/dw = dL/dq

whose mass matrix, by its Cholesky factor, is symmetric and positive definite whatever the net.

Sources: Greydanus, Dzamba, Yosinski 2019, "Hamiltonian neural networks", arXiv 1906.01563; Cranmer
et al. 2020, "Lagrangian neural networks", arXiv 2003.04630; the mass matrix: Lutter, Ritter, Peters
2019, "Deep Lagrangian networks", arXiv 1907.04490; friction and control: Zhong, Dey, Chakraborty
2020, "Symplectic ODE-Net", arXiv 1909.12077, and "Dissipative SymODEN", arXiv 2002.08860.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad, vjp
from torch.nn.functional import softplus

from .fields import MLP
from .sizes import check_points, check_sizes

Control = Callable[[Tensor, Tensor], Tensor]  # (t, y) -> force or torque (..., D)


class HamiltonianNet(nn.Module):
    """The field of a learned H(q, p), with friction and a control where wanted.

        q' = dH/dp,   p' = -dH/dq - r dH/dp + u(t, y)

    Args:
        size: D, the number of entries of q; states are y = (q, p) (..., 2 D).
        hidden: widths of the net's hidden layers.
        separable: H = T(p) + V(q), two nets, which leapfrog can solve; else one net, for
            implicit midpoint or dopri5.
        friction: learn D rates r >= 0; without it energy is kept.
        control: u(t, y) -> (..., D), a force on p; None: none.

    Raises:
        ValueError: for sizes that are no positive integers; at a call, for states of another size.

        >>> field = HamiltonianNet(1)
        >>> y = torch.randn(5, 2)
        >>> field(torch.tensor(0.0), y).shape, field.energy(y).shape
        (torch.Size([5, 2]), torch.Size([5]))
    """

    def __init__(
        self,
        size: int,
        hidden: tuple[int, ...] = (64, 64),
        *,
        separable: bool = False,
        friction: bool = False,
        control: Control | None = None,
    ) -> None:
        super().__init__()
        check_sizes(size=size)
        self.size = size
        widths = [size, size] if separable else [2 * size]
        self.nets = nn.ModuleList(MLP(width, *hidden, 1) for width in widths)
        self.raw_friction = nn.Parameter(torch.full((size,), -2.0)) if friction else None
        self.control = control

    def energy(self, y: Tensor) -> Tensor:
        """H of states (..., 2 D), (...)."""
        check_points(y, 2 * self.size)
        parts = y.chunk(2, -1) if len(self.nets) == 2 else (y,)
        return sum(net(part)[..., 0] for net, part in zip(self.nets, parts))

    @property
    def friction(self) -> Tensor | None:
        """r (D,), or None."""
        return None if self.raw_friction is None else softplus(self.raw_friction)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        # Rows do not see each other: the gradient of the sum is that of each.
        slope = grad(lambda y: self.energy(y).sum())(y)
        by_q, by_p = slope.chunk(2, -1)
        force = -by_q
        if self.friction is not None:
            force = force - self.friction * by_p
        if self.control is not None:
            force = force + self.control(t, y)
        return torch.cat([by_p, force], -1)


class LagrangianNet(nn.Module):
    """The field of a learned Lagrangian, for states of angles and velocities.

        M(q) w' = torque - dV/dq - (dM/dt) w + d/dq (w^T M(q) w / 2)

    Args:
        size: D, the number of entries of q; states are y = (q, w) (..., 2 D).
        hidden: widths of the hidden layers of the nets for M and V.
        control: torque u(t, y) -> (..., D); None: none.
        angles: give the nets cos q and sin q instead of q: for joints that turn.

    Raises:
        ValueError: as `HamiltonianNet`.

        >>> field = LagrangianNet(2)
        >>> field(torch.tensor(0.0), torch.randn(5, 4)).shape, field.mass(torch.randn(5, 2)).shape
        (torch.Size([5, 4]), torch.Size([5, 2, 2]))
    """

    rows: Tensor
    columns: Tensor

    def __init__(
        self,
        size: int,
        hidden: tuple[int, ...] = (64, 64),
        *,
        control: Control | None = None,
        angles: bool = False,
    ) -> None:
        super().__init__()
        check_sizes(size=size)
        self.size = size
        self.angles = angles
        inputs = 2 * size if angles else size
        self.factor = MLP(inputs, *hidden, size * (size + 1) // 2)
        self.height = MLP(inputs, *hidden, 1)
        self.control = control
        rows, columns = torch.tril_indices(size, size).unbind()
        self.register_buffer("rows", rows)
        self.register_buffer("columns", columns)

    def mass(self, q: Tensor) -> Tensor:
        """M(q) = C C^T (..., D, D), with a positive diagonal of the lower triangle C."""
        entries = self.factor(self._seen(q))
        diagonal = self.rows == self.columns
        entries = torch.where(diagonal, softplus(entries) + 1e-2, entries)
        place = nn.functional.one_hot(self.rows * self.size + self.columns, self.size**2)
        lower = (entries @ place.to(entries)).unflatten(-1, (self.size, self.size))
        return lower @ lower.mT

    def potential(self, q: Tensor) -> Tensor:
        """V(q), (...)."""
        return self.height(self._seen(q))[..., 0]

    def energy(self, y: Tensor) -> Tensor:
        """w^T M(q) w / 2 + V(q) of states (..., 2 D), (...)."""
        check_points(y, 2 * self.size)
        q, w = y.chunk(2, -1)
        momentum = (self.mass(q) @ w[..., None])[..., 0]
        return (w * momentum).sum(-1) / 2 + self.potential(q)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        check_points(y, 2 * self.size)
        q, w = y.chunk(2, -1)

        def momentum(q: Tensor) -> tuple[Tensor, Tensor]:
            mass = self.mass(q)
            return (mass @ w[..., None])[..., 0], mass

        found: Any = vjp(momentum, q, has_aux=True)
        _, pull, mass = found  # pull(v) = J^T v, J = dp/dq
        # (dM/dt) w = J w, as the slope of w (J^T v) with respect to v: torch's forward mode would
        # do it in one pass, but loads what it warns of as deprecated.
        turning = grad(lambda v: (w * pull(v)[0]).sum())(torch.zeros_like(w))
        down = grad(lambda q: self.potential(q).sum())(q)
        force = pull(w)[0] / 2 - turning - down
        if self.control is not None:
            force = force + self.control(t, y)
        return torch.cat([w, torch.linalg.solve(mass, force)], -1)

    def _seen(self, q: Tensor) -> Tensor:
        return torch.cat([torch.cos(q), torch.sin(q)], -1) if self.angles else q
