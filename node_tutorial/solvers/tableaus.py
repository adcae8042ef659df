"""Butcher tableaus of Runge-Kutta methods, as data; the numbers of the explicit ones.

One step of size h from (t, y) with s stages computes

    k_i = f(t + c_i h,  y + h sum_{j<i} a_ij k_j),     i = 1..s
    y1  = y + h sum_j b_j k_j

and, where the method is adaptive, an estimate of its local error, h sum_j e_j k_j. A tableau lists
the numbers:

     0  |
    c_2 | a_21
    c_3 | a_31  a_32
     :  |
    c_s | a_s1  a_s2 ... a_s,s-1
    ----+------------------------
        | b_1   b_2  ...  b_s         the step
        | e_1   e_2  ...  e_s         its error estimate: b minus the weights of the embedded method

Of an implicit method (`implicit_tableaus.py`) rows reach the diagonal or beyond: a stage depends on
itself.

`dense` holds one row per stage: the coefficients of theta, theta^2, ... in the weights b_j(theta)
of the continuous method, y(t + theta h) = y + h sum_j b_j(theta) k_j for 0 <= theta <= 1.

Source of the notation: Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations I", 2nd
ed., II.1 and II.6.
"""

from dataclasses import dataclass
from functools import cached_property

Row = tuple[float, ...]


@dataclass(frozen=True)
class Tableau:
    """A Runge-Kutta method; it checks itself when it is made.

    Args:
        name: the name under which `odeint` knows the method.
        order: the order p of the step: the global error is O(h^p).
        c: s stage times, in units of h; of an explicit method the first is 0.
        a: s rows; row i has i entries (the first row is empty), of an implicit method up to s.
        b: s weights of the step.
        error: s weights of the error estimate, or None for a method without one.
        error_order: the power of h in that estimate; None: p, the embedded method being of order
            p - 1.
        dense: s rows of polynomial coefficients (above), or None for cubic Hermite interpolation.
        carry_last: the last stage, evaluated at a *predicted* point at t + h, stands in for
            f(t + h, y1) in the next step ("predict, evaluate, correct"): one evaluation less.
        reference: where the numbers come from.

    Raises:
        ValueError: if the shapes do not fit, or a row of a does not sum to c, b to 1, error to 0,
            dense to b.
    """

    name: str
    order: int
    c: Row
    a: tuple[Row, ...]
    b: Row
    error: Row | None = None
    dense: tuple[Row, ...] | None = None
    carry_last: bool = False
    reference: str = ""
    error_order: int | None = None

    def __post_init__(self) -> None:
        s = len(self.b)

        def demand(ok: bool, what: str) -> None:
            if not ok:
                raise ValueError(f"tableau {self.name!r}: {what}")

        demand(len(self.c) == len(self.a) == s, f"c, a and b must have the same length, {s} stages")
        for i, row in enumerate(self.a):
            fits = i <= len(row) <= s if self.implicit else len(row) == i
            demand(fits, f"row {i} of a must have {i} entries, it has {len(row)}")
            off = abs(sum(row) - self.c[i])
            demand(
                off < 1e-12,
                f"row {i} of a must sum to c[{i}] = {self.c[i]:.6g}, it is off by {off:.1e}",
            )
        demand(abs(sum(self.b) - 1) < 1e-12, f"b must sum to 1, it sums to {sum(self.b):.12g}")
        if self.error is not None:
            demand(len(self.error) == s, f"error must have {s} entries")
            demand(
                abs(sum(self.error)) < 1e-12,
                f"error must sum to 0, it sums to {sum(self.error):.1e}",
            )
        if self.dense is not None:
            demand(len(self.dense) == s, f"dense must have {s} rows")
            off = max(abs(sum(row) - b) for row, b in zip(self.dense, self.b, strict=True))
            demand(
                off < 1e-11,
                f"each row of dense must sum to its b (theta = 1 ends the step), off by {off:.1e}",
            )

    def __hash__(self) -> int:
        return hash((self.name, self.order))  # all the numbers would take microseconds

    @property
    def stages(self) -> int:
        return len(self.b)

    @cached_property
    def implicit(self) -> bool:
        """Whether a stage depends on itself or on a later one."""
        return any(any(row[i:]) for i, row in enumerate(self.a))

    @property
    def fsal(self) -> bool:
        """First same as last: the last stage is f(t + h, y1), the first one of the next step."""
        last = (*self.a[-1], *[0.0] * (self.stages - len(self.a[-1])))
        return self.c[-1] == 1 and last == self.b

    @property
    def evaluations(self) -> int:
        """Evaluations of f a step, once it is running."""
        return self.stages - 1 if self.fsal or self.carry_last else self.stages


def midpoint_dense(b: Row, mid: Row) -> tuple[Row, ...]:
    """Rows of the quartic through y0, y1, f0, f1 and y0 + h sum_j mid_j k_j, for an FSAL method.

    With B = sum_j b_j k_j and M = sum_j mid_j k_j, matching the five conditions gives

        y(theta) = y0 + h [ theta f0 + theta^2 (f1 - 4 f0 - 5 B + 16 M)
                            + theta^3 (5 f0 - 3 f1 + 14 B - 32 M)
                            + theta^4 (2 f1 - 2 f0 - 8 B + 16 M) ].
    """
    rows = []
    for j, (b_j, m_j) in enumerate(zip(b, mid, strict=True)):
        first = float(j == 0)
        last = float(j == len(b) - 1)
        rows.append(
            (
                first,
                last - 4 * first - 5 * b_j + 16 * m_j,
                5 * first - 3 * last + 14 * b_j - 32 * m_j,
                2 * last - 2 * first - 8 * b_j + 16 * m_j,
            )
        )
    return tuple(rows)


def hermite_dense(b: Row) -> tuple[Row, ...]:
    """Rows of the cubic through y0, y1, f0, f1, for a method whose last stage is f1.

    HNW I, (II.6.7).
    """
    rows = []
    for j, b_j in enumerate(b):
        first = float(j == 0)
        last = float(j == len(b) - 1)
        rows.append((first, 3 * b_j - 2 * first - last, -2 * b_j + first + last))
    return tuple(rows)


# fmt: off
# ---- Fixed step ----------------------------------------------------------------------------------

EULER = Tableau(  # order 1, 1 stage
    "euler", 1, c=(0,), a=((),), b=(1,), dense=((1,),), reference="Euler 1768; HNW I, I.7")

MIDPOINT = Tableau(  # order 2, 2 stages
    "midpoint", 2, c=(0, 1/2), a=((), (1/2,)), b=(0, 1), reference="Runge 1895; HNW I, (II.1.4)")

HEUN2 = Tableau(  # order 2, 2 stages: the explicit trapezoid rule
    "heun2", 2, c=(0, 1), a=((), (1,)), b=(1/2, 1/2), reference="Heun 1900")

HEUN3 = Tableau(  # order 3, 3 stages
    "heun3", 3, c=(0, 1/3, 2/3), a=((), (1/3,), (0, 2/3)), b=(1/4, 0, 3/4),
    reference="Heun 1900; HNW I, table II.1.1")

# torchdiffeq's "rk4" is this one. Its error constant is a little below the classical method's.
RK4 = Tableau(  # order 4, 4 stages: Kutta's 3/8 rule
    "rk4", 4, c=(0, 1/3, 2/3, 1), a=((), (1/3,), (-1/3, 1), (1, -1, 1)), b=(1/8, 3/8, 3/8, 1/8),
    reference="Kutta 1901; HNW I, table II.1.2, right")

RK4_CLASSIC = Tableau(  # order 4, 4 stages: "the" Runge-Kutta method
    "rk4_classic", 4, c=(0, 1/2, 1/2, 1), a=((), (1/2,), (0, 1/2), (0, 0, 1)),
    b=(1/6, 1/3, 1/3, 1/6), reference="Kutta 1901; HNW I, table II.1.2, left")

# ---- Adaptive ------------------------------------------------------------------------------------

# The next step starts from f at the Euler predictor, not at y1: one evaluation a step, as
# torchdiffeq does.
ADAPTIVE_HEUN = Tableau(  # order 2, 2 stages, 1 evaluation a step, output of order 2
    "adaptive_heun", 2, c=(0, 1), a=((), (1,)), b=(1/2, 1/2), error=(1/2, -1/2), carry_last=True,
    dense=((1, -1/2), (0, 1/2)), reference="Heun 1900, with Euler embedded")

# Fehlberg carries the first-order solution, for which the last stage is FSAL; torchdiffeq the
# second-order one.
FEHLBERG2 = Tableau(  # order 2, 3 stages, 2 evaluations a step, output of order 2
    "fehlberg2", 2, c=(0, 1/2, 1), a=((), (1/2,), (1/256, 255/256)), b=(1/512, 255/256, 1/512),
    error=(-1/512, 0, 1/512), carry_last=True, dense=hermite_dense((1/512, 255/256, 1/512)),
    reference="Fehlberg 1969, NASA TR R-315, RK1(2)")

# torchdiffeq's interior output takes k_2 / 2 for the increment at the midpoint: off by O(h^2).
# Cubic Hermite is not.
BOSH3 = Tableau(  # order 3, 4 stages, FSAL, output of order 3
    "bosh3", 3, c=(0, 1/2, 3/4, 1), a=((), (1/2,), (0, 3/4), (2/9, 1/3, 4/9)), b=(2/9, 1/3, 4/9, 0),
    error=(2/9 - 7/24, 1/3 - 1/4, 4/9 - 1/3, -1/8), dense=hermite_dense((2/9, 1/3, 4/9, 0)),
    reference="Bogacki, Shampine 1989, Appl. Math. Lett. 2(4)")

_DOPRI5_B = (35/384, 0, 500/1113, 125/192, -2187/6784, 11/84, 0)
DOPRI5 = Tableau(  # order 5, 7 stages, FSAL, output of order 4
    "dopri5", 5,
    c=(0, 1/5, 3/10, 4/5, 8/9, 1, 1),
    a=((),
       (1/5,),
       (3/40, 9/40),
       (44/45, -56/15, 32/9),
       (19372/6561, -25360/2187, 64448/6561, -212/729),
       (9017/3168, -355/33, 46732/5247, 49/176, -5103/18656),
       _DOPRI5_B[:-1]),
    b=_DOPRI5_B,
    # Embedded weights by Shampine, as in torchdiffeq. HNW's e chooses the free parameter otherwise.
    error=(35/384 - 1951/21600, 0, 500/1113 - 22642/50085, 125/192 - 451/720,
           -2187/6784 + 12231/42400, 11/84 - 649/6300, -1/60),
    dense=midpoint_dense(_DOPRI5_B, (
        6025192743/30085553152/2, 0, 51252292925/65400821598/2, -2691868925/45128329728/2,
        187940372067/1594534317056/2, -1776094331/19743644256/2, 11237099/235043384/2)),
    reference="Dormand, Prince 1980, J. Comp. Appl. Math. 6(1); "
              "output: Shampine 1986, Math. Comp. 46(173)")
# fmt: on

FIXED = (EULER, MIDPOINT, HEUN2, HEUN3, RK4, RK4_CLASSIC)
ADAPTIVE = (ADAPTIVE_HEUN, FEHLBERG2, BOSH3, DOPRI5)
