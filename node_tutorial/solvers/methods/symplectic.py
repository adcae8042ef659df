"""Symplectic methods: steps that keep the structure of a Hamiltonian system, for separable fields

    dq/dt = v(t, p),    dp/dt = a(t, q),

as of H = T(p) + V(q), with v = T'(p) and a = -V'(q).

They move p with q at rest ("kick") and q with p at rest ("drift"). Each is a shear, which preserves
volume in the phase space (q, p), and for Hamiltonian systems the symplectic form; so does every
composition. The energy is not exact then, but its error stays bounded over exponentially many
steps, where that of a Runge-Kutta method grows with time. Where v or a depend on time, a kick moves
the clock of v and a drift the clock of a, which keeps the orders.

    semi_implicit_euler   order 1   kick, drift
    leapfrog              order 2   half a kick, drift, half a kick (Stoermer, Verlet); reversible
    yoshida4              order 4   leapfrogs of 1.3512 h, -1.7024 h, 1.3512 h; reversible. It
                                    evaluates func up to 0.36 h outside of its step, also before
                                    t[0] and beyond t[-1].

Cost: 2 evaluations of func a step, 6 for yoshida4; and one or two more at the start. One call gives
both v and a, of which a kick or a drift needs one. They need each other's results, so that none can
be saved but the last a, which begins the next step. Output between the steps is free.

Sources: Hairer, Lubich, Wanner, "Geometric Numerical Integration", I.1.4 and II.4, II.5; Yoshida
1990, "Construction of higher order symplectic integrators", Physics Letters A 150.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..runge_kutta import Field, Step, Time, stage_times
from .method import Method

Pair = tuple[Tensor, Tensor]  # (q, p), or their slopes (v, a)
PairField = Callable[[Tensor, Pair], Pair]


def semi_implicit_euler(
    f: PairField, times: Sequence[Tensor], h: Time, y: Pair, slope: Pair
) -> tuple[Pair, None]:
    """p1 = p + h a(t, q),  q1 = q + h v(t + h, p1); `times` holds t + h / 2 and t + h."""
    q, p = y
    v, a = slope
    p1 = p + h * a
    v1, _ = f(times[1], (q + h * v, p1))
    return (q + h * v1, p1), None


def leapfrog(
    f: PairField, times: Sequence[Tensor], h: Time, y: Pair, slope: Pair
) -> tuple[Pair, Pair]:
    """p' = p + h/2 a(t, q),  q1 = q + h v(t + h/2, p'),  p1 = p' + h/2 a(t + h, q1).

    `times` holds t + h/2 and t + h.

    Returns:
        (q1, p1) and the slope there. The half of an argument that a call does not need is put to
        use: it is a guess at the state, of which the last is p1 + O(h^3). So the slope is that of
        the state, too, up to O(h^3): as good as cubic interpolation needs it. (With p' in its
        place, it would be off by O(h).)
    """
    q, p = y
    v, a = slope
    p_half = p + h / 2 * a
    v_half, a_half = f(times[0], (q + h / 2 * v, p_half))
    q1 = q + h * v_half
    v1, a1 = f(times[1], (q1, p + h * a_half))
    return (q1, p_half + h / 2 * a1), (v1, a1)


@dataclass(frozen=True)
class Splitting:
    """A composition of steps of the sizes `fractions` times h; it needs a separable field."""

    order: int
    substep: Callable
    fractions: tuple[float, ...] = (1.0,)
    dense: str = "cubic"


# The error of leapfrog is h^3 e_3 + h^5 e_5 + .., since it is symmetric; 2 w^3 + (1 - 2 w)^3 = 0
# removes e_3.
_W = 1 / (2 - 2 ** (1 / 3))
SPLITTINGS = {
    "semi_implicit_euler": Splitting(1, semi_implicit_euler, dense="linear"),
    "leapfrog": Splitting(2, leapfrog),
    "yoshida4": Splitting(4, leapfrog, (_W, 1 - 2 * _W, _W)),
}


class SplittingStepper:
    """What takes the steps of a splitting, on states whose last dimension holds q, then p.

    Raises (from the first step):
        ValueError: if dp/dt changes with p. By one more evaluation it compares dp/dt before and
            after the first kick of p; for a Hamiltonian field that also tells whether dq/dt changes
            with q. Other fields with such a dq/dt pass unseen, and the method loses its properties.
    """

    def __init__(self, name: str, splitting: Splitting) -> None:
        self.name = name
        self.splitting = splitting
        self.order = splitting.order
        self.times = [0.0]
        start = 0.0
        for w in splitting.fractions:
            self.times += [start + w / 2, start + w]
            start += w
        self.times[-1] = 1.0  # without the rounding of the sum
        self.checked = False

    def step(
        self,
        f: Field,
        t: Time,
        y: Tensor,
        h: Time,
        f0: Tensor | None = None,
        before_end: bool = False,
    ) -> Step:
        times = stage_times(self.times, t, h, y, before_end)
        f0 = f(times[0], y) if f0 is None else f0

        def field(t: Tensor, y: Pair) -> Pair:
            return halves(f(t, torch.cat(y, -1)))

        state = halves(y)
        slope = halves(f0)
        if not self.checked:
            self._check_separable(field, times[0], h, state, slope)
            self.checked = True
        for i, w in enumerate(self.splitting.fractions):
            state, slope = self.splitting.substep(field, times[2 * i + 1 :], w * h, state, slope)
        return Step(t, h, y, torch.cat(state, -1), slope and torch.cat(slope, -1), None, [f0])

    @torch.no_grad()
    def _check_separable(self, f: PairField, t: Tensor, h: Time, y: Pair, slope: Pair) -> None:
        q, p = y
        _, a = slope
        _, moved = f(t, (q, p + h / 2 * a))
        change = torch.linalg.vector_norm(moved - a).item()
        size = torch.linalg.vector_norm(a).item()
        if change > torch.finfo(p.dtype).eps ** 0.5 * size:
            raise ValueError(
                f"method {self.name!r} needs a separable field, dq/dt = v(t, p) and dp/dt = a(t, "
                "q), but dp/dt changes with p: after the first half step of p by "
                f"{change / size:.1e} of its size. Friction, magnetic forces and a mass that "
                "depends on q do that, and a network for all of H(q, p). Use another method, such "
                "as 'dopri5', or learn H as T(p) + V(q)"
            )


def halves(y: Tensor) -> Pair:
    """The two halves of the last dimension."""
    n = y.shape[-1] // 2
    return y[..., :n], y[..., n:]


def check_halves(method: str, y0: Tensor, shapes: Sequence[torch.Size] | None) -> None:
    """Raise ValueError unless the state is (q, p), or a tensor whose last dimension holds q, p."""
    if shapes is None:
        fits = y0.dim() > 0 and y0.shape[-1] % 2 == 0
        given = f"a tensor of shape {tuple(y0.shape)}"
    else:
        fits = len(shapes) == 2 and shapes[0] == shapes[1]
        given = f"a tuple of tensors of shapes {', '.join(str(tuple(s)) for s in shapes)}"
    if not fits:
        raise ValueError(
            f"method {method!r} moves positions q and momenta p in turn: y0 must be a tuple (q, "
            "p) of two tensors of the same shape, or one tensor whose last dimension, of even "
            f"size, holds q and then p; got {given}"
        )


def _symplectic(name: str, splitting: Splitting) -> Method:
    return Method(
        name,
        splitting.order,
        lambda setup: SplittingStepper(name, splitting),
        separable=True,
        dense=splitting.dense,
        replayable=True,
        check=check_halves,
    )


SYMPLECTIC = tuple(_symplectic(name, splitting) for name, splitting in SPLITTINGS.items())
