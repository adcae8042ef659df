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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
        error_order: the power of h in that estimate; None: the order, the embedded method being of
            order p - 1.
        dense: s rows of polynomial coefficients (above), or None: then cubic Hermite interpolation
            is used.
        carry_last: the last stage, evaluated at a *predicted* point at t + h, stands in for f(t +
            h, y1) in the next step ("predict, evaluate, correct"). It saves one evaluation a step.
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

    @property
    def stages(self) -> int:
        return len(self.b)

    @property
    def implicit(self) -> bool:
        """Whether a stage depends on itself or on a later one."""
        return any(any(row[i:]) for i, row in enumerate(self.a))

    @property
    def fsal(self) -> bool:
        """First same as last: the last stage is f(t + h, y1), so that the next step has its first
        stage for free.
        """
        last = (*self.a[-1], *[0.0] * (self.stages - len(self.a[-1])))
        return self.c[-1] == 1 and last == self.b

    @property
    def evaluations(self) -> int:
        """Evaluations of f a step, once it is running."""
        return self.stages - 1 if self.fsal or self.carry_last else self.stages


def midpoint_dense(b: Row, mid: Row) -> tuple[Row, ...]:
    """Rows of the quartic through y0, y1, f0, f1 and the midpoint value y0 + h sum_j mid_j k_j, for
    an FSAL method.

    With B = sum_j b_j k_j and M = sum_j mid_j k_j, matching the five conditions gives
    y(theta) = y0 + h [ theta f0 + theta^2 (f1 - 4 f0 - 5 B + 16 M) + theta^3 (5 f0 - 3 f1 + 14 B -
    32 M) + theta^4 (2 f1 - 2 f0 - 8 B + 16 M) ].
    """
    rows = []
    for j, (b_j, m_j) in enumerate(zip(b, mid, strict=True)):
        first, last = float(j == 0), float(j == len(b) - 1)
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
    """Rows of the cubic through y0, y1, f0, f1, for a method whose last stage is f1 (HNW I,
    II.6.7).
    """
    rows = []
    for j, b_j in enumerate(b):
        first, last = float(j == 0), float(j == len(b) - 1)
        rows.append((first, 3 * b_j - 2 * first - last, -2 * b_j + first + last))
    return tuple(rows)


def _product(scale: float, *factors: Sequence[float]) -> Row:
    """Coefficients of theta, theta^2, .. of scale times polynomials, each given from its constant
    term upwards.
    """
    total = np.array([scale])
    for factor in factors:
        total = np.convolve(total, factor)
    return tuple(float(x) for x in total[1:])


# fmt: off
# ---- Fixed step ----------------------------------------------------------------------------------

EULER = Tableau(  # order 1, 1 stage
    "euler", 1, c=(0,), a=((),), b=(1,), dense=((1,),), reference="Euler 1768; HNW I, I.7")

MIDPOINT = Tableau(  # order 2, 2 stages
    "midpoint", 2, c=(0, 1/2), a=((), (1/2,)), b=(0, 1), reference="Runge 1895; HNW I, (II.1.4)")

HEUN2 = Tableau(  # order 2, 2 stages: the explicit trapezoid rule
    "heun2", 2, c=(0, 1), a=((), (1,)), b=(1/2, 1/2), reference="Heun 1900")

HEUN3 = Tableau(  # order 3, 3 stages
    "heun3", 3, c=(0, 1/3, 2/3), a=((), (1/3,), (0, 2/3)), b=(1/4, 0, 3/4), reference="Heun 1900; HNW I, table II.1.1")

# torchdiffeq's "rk4" is this one. Its error constant is a little smaller than the classical
# method's.
RK4 = Tableau(  # order 4, 4 stages: Kutta's 3/8 rule
    "rk4", 4, c=(0, 1/3, 2/3, 1), a=((), (1/3,), (-1/3, 1), (1, -1, 1)), b=(1/8, 3/8, 3/8, 1/8),
    reference="Kutta 1901; HNW I, table II.1.2, right")

RK4_CLASSIC = Tableau(  # order 4, 4 stages: "the" Runge-Kutta method
    "rk4_classic", 4, c=(0, 1/2, 1/2, 1), a=((), (1/2,), (0, 1/2), (0, 0, 1)), b=(1/6, 1/3, 1/3, 1/6),
    reference="Kutta 1901; HNW I, table II.1.2, left")

# ---- Adaptive ------------------------------------------------------------------------------------

# The next step starts from f at the Euler predictor, not at y1, as torchdiffeq does: one evaluation
# a step.
ADAPTIVE_HEUN = Tableau(  # order 2, 2 stages, 1 evaluation a step, output of order 2
    "adaptive_heun", 2, c=(0, 1), a=((), (1,)), b=(1/2, 1/2), error=(1/2, -1/2), carry_last=True,
    dense=((1, -1/2), (0, 1/2)), reference="Heun 1900, with Euler embedded")

# Fehlberg carries the first-order solution, for which the last stage is FSAL; torchdiffeq carries
# the second-order one.
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
    # Embedded weights by Shampine; torchdiffeq uses them too. HNW's e is another choice of the free
    # parameter.
    error=(35/384 - 1951/21600, 0, 500/1113 - 22642/50085, 125/192 - 451/720,
           -2187/6784 + 12231/42400, 11/84 - 649/6300, -1/60),
    dense=midpoint_dense(_DOPRI5_B, (
        6025192743/30085553152/2, 0, 51252292925/65400821598/2, -2691868925/45128329728/2,
        187940372067/1594534317056/2, -1776094331/19743644256/2, 11237099/235043384/2)),
    reference="Dormand, Prince 1980, J. Comp. Appl. Math. 6(1); output: Shampine 1986, Math. Comp. 46(173)")

_TSIT5_B = (.09646076681806523, 1/100, .4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774, 0)
TSIT5 = Tableau(  # order 5, 7 stages, FSAL, output of order 4
    "tsit5", 5,
    c=(0, 161/1000, 327/1000, 9/10, .9800255409045097, 1, 1),
    a=((),
       (161/1000,),
       (-.008480655492356989, .335480655492357),
       (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
       (5.325864828439257, -11.748883564062828, 7.4955393428898365, -.09249506636175525),
       (5.86145544294642, -12.92096931784711, 8.159367898576159, -.071584973281401, -.028269050394068383),
       _TSIT5_B[:-1]),
    b=_TSIT5_B,
    error=(-.001780011052225772, -.0008164344596567469, .007880878010261995, -.1447110071732629,
           .5823571654525552, -.45808210592918697, 1/66),
    dense=(_product(-1.0530884977290216, (0, 1), (-1.329989018975412, 1),
                    (.7139816917074209, -1.4364028541716351, 1)),
           _product(.1017, (0, 0, 1), (1.2949852507374631, -2.1966568338249754, 1)),
           _product(2.490627285651252793, (0, 0, 1), (1.57803468208092486, -2.38535645472061657, 1)),
           _product(-16.54810288924490272, (0, 0, 1), (-1.21712927295533244, 1), (-.61620406037800089, 1)),
           _product(47.37952196281928122, (0, 0, 1), (-1.203071208372362603, 1), (-.658047292653547382, 1)),
           _product(-34.87065786149660974, (0, 0, 1), (-1.2, 1), (-2/3, 1)),
           _product(2.5, (0, 0, 1), (-1, 1), (-.6, 1))),
    reference="Tsitouras 2011, Comput. Math. Appl. 62(2)")

_DOPRI8_B = (14005451/335480064, 0, 0, 0, 0, -59238493/1068277825, 181606767/758867731, 561292985/797845732,
             -1041891430/1371343529, 760417239/1151165299, 118820643/751138087, -528747749/2220607170, 1/4, 0)
DOPRI8 = Tableau(  # order 8, 14 stages (13 and one at the end), FSAL, output of order 5
    "dopri8", 8,
    c=(0, 1/18, 1/12, 1/8, 5/16, 3/8, 59/400, 93/200, 5490023248/9719169821, 13/20, 1201146811/1299019798, 1, 1, 1),
    a=((),
       (1/18,),
       (1/48, 1/16),
       (1/32, 0, 3/32),
       (5/16, 0, -75/64, 75/64),
       (3/80, 0, 0, 3/16, 3/20),
       (29443841/614563906, 0, 0, 77736538/692538347, -28693883/1125000000, 23124283/1800000000),
       (16016141/946692911, 0, 0, 61564180/158732637, 22789713/633445777, 545815736/2771057229, -180193667/1043307555),
       (39632708/573591083, 0, 0, -433636366/683701615, -421739975/2616292301, 100302831/723423059,
        790204164/839813087, 800635310/3783071287),
       (246121993/1340847787, 0, 0, -37695042795/15268766246, -309121744/1061227803, -12992083/490766935,
        6005943493/2108947869, 393006217/1396673457, 123872331/1001029789),
       (-1028468189/846180014, 0, 0, 8478235783/508512852, 1311729495/1432422823, -10304129995/1701304382,
        -48777925059/3047939560, 15336726248/1032824649, -45442868181/3398467696, 3065993473/597172653),
       (185892177/718116043, 0, 0, -3185094517/667107341, -477755414/1098053517, -703635378/230739211,
        5731566787/1027545527, 5232866602/850066563, -4093664535/808688257, 3962137247/1805957418, 65686358/487910083),
       (403863854/491063109, 0, 0, -5068492393/434740067, -411421997/543043805, 652783627/914296604,
        11173962825/925320556, -13158990841/6184727034, 3936647629/1978049680, -160528059/685178525,
        248638103/1413531060, 0),
       _DOPRI8_B[:-1]),
    b=_DOPRI8_B,
    error=(14005451/335480064 - 13451932/455176623, 0, 0, 0, 0, -59238493/1068277825 + 808719846/976000145,
           181606767/758867731 - 1757004468/5645159321, 561292985/797845732 - 656045339/265891186,
           -1041891430/1371343529 + 3867574721/1518517206, 760417239/1151165299 - 465885868/322736535,
           118820643/751138087 - 53011238/667516719, -528747749/2220607170 - 2/45, 1/4, 0),
    dense=((1, -6.6910181737837595697, 19.9990069333683970610, -30.0610568289666450593, 22.1396504998094068976,
            -6.3448349392860401388),
           (0,), (0,), (0,), (0,),
           (0, -7.6142658045872677172, 52.2273532792945524050, -121.4999627731334642623, 116.4422149550342161651,
            -39.6107919852202505218),
           (0, 10.7281392630428866124, -46.8919164181093621583, 83.1721004639847717481, -67.1451318825957197185,
            20.3761213808791436958),
           (0, 0.5526637063753648783, -0.1890893225010595467, 9.5724507555993664382, -16.5672243527496524646,
            7.3347098826795362023),
           (0, 4.2186562625665153803, -35.7075975946222072821, 87.8406057677205645007, -89.9916014847245016028,
            32.8801774352459155182),
           (0, -0.6627209125361597559, 6.2736448083240352160, -17.4152107770762969005, 22.6237489648532849093,
            -10.1588990526426760954),
           (0, -1.2636789001135462218, 10.3160881272450748458, -28.5903289514790976966, 32.2362340167355370113,
            -12.5401268098782561200),
           (0, 5.4106037898590422230, -34.7650769866611817349, 81.6630950584341412934, -82.1020315488359848644,
            29.5553001484516038033),
           (0, -7.0321379067945741781, 47.7457971078225540396, -114.9375291377009418170, 116.2662185791119533462,
            -41.7923486424390588923),
           (0, 2.3537586759714983486, -19.0082099341608028453, 50.2558364226176017553, -53.9020777466385396792,
            20.3006925822100825485)),
    reference="Prince, Dormand 1981, J. Comp. Appl. Math. 7(1), RK8(7)13M")
# fmt: on

FIXED = (EULER, MIDPOINT, HEUN2, HEUN3, RK4, RK4_CLASSIC)
ADAPTIVE = (ADAPTIVE_HEUN, FEHLBERG2, BOSH3, DOPRI5, TSIT5, DOPRI8)
