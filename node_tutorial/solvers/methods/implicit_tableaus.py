"""Butcher tableaus of implicit Runge-Kutta methods (see `tableaus.py` for the notation).

Three kinds, by the shape of a:

    fully implicit     full            all stages are one system of s d equations
    DIRK, SDIRK        lower triangle  one system of d equations a stage; SDIRK: with equal diagonal
                                       entries, so that all stages share the factorization of
                                       I - h gamma df/dy
    ESDIRK             the same, and the first stage is explicit

Stability, for y' = lambda y with Re(lambda) <= 0: A-stable methods do not grow at any h; L-stable
ones also damp y to zero as h lambda -> -infinity. A method whose last row of a is b ("stiffly
accurate") and that is A-stable is L-stable.

Source: Hairer, Wanner, "Solving Ordinary Differential Equations II", 2nd ed., IV.5 and IV.6; HW II.
"""

from math import sqrt

from ..tableaus import Tableau, hermite_dense, midpoint_dense

_R2, _R3, _R6, _R15 = sqrt(2), sqrt(3), sqrt(6), sqrt(15)

# fmt: off
# ---- Fixed step ----------------------------------------------------------------------------------

IMPLICIT_EULER = Tableau(  # order 1, 1 stage, L-stable
    "implicit_euler", 1, c=(1,), a=((1,),), b=(1,), reference="HW II, IV.3")

IMPLICIT_MIDPOINT = Tableau(  # order 2, 1 stage, A-stable: Gauss with s = 1; symplectic
    "implicit_midpoint", 2, c=(1/2,), a=((1/2,),), b=(1,), reference="HW II, IV.5")

TRAPEZOID = Tableau(  # order 2, 2 stages, the first explicit, A-stable
    "trapezoid", 2, c=(0, 1), a=((), (1/2, 1/2)), b=(1/2, 1/2), reference="Crank, Nicolson 1947")

_G = 1 - _R2/2
SDIRK2 = Tableau(  # order 2, 2 stages, L-stable
    "sdirk2", 2, c=(_G, 1), a=((_G,), (1 - _G, _G)), b=(1 - _G, _G),
    reference="Alexander 1977, SIAM J. Numer. Anal. 14(6)")

GL4 = Tableau(  # order 4, 2 stages, A-stable: Gauss-Legendre
    "gl4", 4, c=(1/2 - _R3/6, 1/2 + _R3/6), a=((1/4, 1/4 - _R3/6), (1/4 + _R3/6, 1/4)), b=(1/2,
                                                                                           1/2),
    reference="Hammer, Hollingsworth 1955; HW II, IV.5")

GL6 = Tableau(  # order 6, 3 stages, A-stable: Gauss-Legendre
    "gl6", 6, c=(1/2 - _R15/10, 1/2, 1/2 + _R15/10),
    a=((5/36, 2/9 - _R15/15, 5/36 - _R15/30),
       (5/36 + _R15/24, 2/9, 5/36 - _R15/24),
       (5/36 + _R15/30, 2/9 + _R15/15, 5/36)),
    b=(5/18, 4/9, 5/18), reference="Kuntzmann 1961, Butcher 1964; HW II, IV.5")

RADAU_IIA3 = Tableau(  # order 3, 2 stages, L-stable
    "radauIIA3", 3, c=(1/3, 1), a=((5/12, -1/12), (3/4, 1/4)), b=(3/4, 1/4),
    reference="Ehle 1969; HW II, IV.5")

_RADAU_B = (4/9 - _R6/36, 4/9 + _R6/36, 1/9)
RADAU_IIA5 = Tableau(  # order 5, 3 stages, L-stable
    "radauIIA5", 5, c=(2/5 - _R6/10, 2/5 + _R6/10, 1),
    a=((11/45 - 7*_R6/360, 37/225 - 169*_R6/1800, -2/225 + _R6/75),
       (37/225 + 169*_R6/1800, 11/45 + 7*_R6/360, -2/225 - _R6/75),
       _RADAU_B),
    b=_RADAU_B, reference="Ehle 1969; HW II, IV.5")

# ---- Adaptive ------------------------------------------------------------------------------------

# A trapezoid step of length 2 gamma h, then the second-order backward difference formula. The
# embedded method is of order 3 and not even A-stable, so that the raw estimate overrates stiff
# components; `implicit.py` filters it.
_W, _D = _R2/4, 1 - _R2/2
TRBDF2 = Tableau(  # order 2, 3 stages, the first explicit, FSAL, L-stable
    "trbdf2", 2, c=(0, 2*_D, 1), a=((), (_D, _D), (_W, _W, _D)), b=(_W, _W, _D),
    error=(_W - (1 - _W)/3, _W - (3*_W + 1)/3, _D - _D/3), error_order=3, dense=hermite_dense((_W,
                                                                                               _W,
                                                                                               _D)),
    reference="Bank et al. 1985; as a pair: Hosea, Shampine 1996, Appl. Numer. Math. 20")

# The embedded methods of both pairs are their second last stages, stiffly accurate themselves: no
# filter is needed.
_G3 = .43586652150845899941601945  # root of 6 x^3 - 18 x^2 + 9 x - 1
_KV3_HAT = ((-4*_G3**2 + 6*_G3 - 1)/(4*_G3), (1 - 2*_G3)/(4*_G3), _G3, 0)
_KV3_B = ((6*_G3 - 1)/(12*_G3), -1/((24*_G3 - 12)*_G3), (-6*_G3**2 + 6*_G3 - 1)/(6*_G3 - 3), _G3)
KVAERNO3 = Tableau(  # order 3, 4 stages, the first explicit, FSAL, L-stable
    "kvaerno3", 3, c=(0, 2*_G3, 1, 1), a=((), (_G3, _G3), _KV3_HAT[:3], _KV3_B), b=_KV3_B,
    error=tuple(b - e for b, e in zip(_KV3_B, _KV3_HAT)), dense=hermite_dense(_KV3_B),
    reference="Kvaerno 2004, BIT 44(3), ESDIRK 3/2")

_KV5_HAT = (.13855640231268224, 0, -.04245337201752043, .02446657898003141, .61943039072480676,
            .26, 0)
_KV5_B = (.13659751177640291, 0, -.05496908796538376, -.04118626728321046, .62993304899016403,
          .06962479448202728, .26)
# One stage lies beyond the step, at t + 1.23 h: func is evaluated beyond t[-1] too.
KVAERNO5 = Tableau(  # order 5, 7 stages, the first explicit, FSAL, L-stable, output of order 4
    "kvaerno5", 5,
    c=(0, .52, 1.230333209967908, .8957659843500759, .43639360985864756, 1, 1),
    a=((),
       (.26, .26),
       (.13, .84033320996790809, .26),
       (.22371961478320505, .47675532319799699, -.06470895363112615, .26),
       (.16648564323248321, .10450018841591720, .03631482272098715, -.13090704451073998, .26),
       _KV5_HAT[:6],
       _KV5_B),
    b=_KV5_B,
    error=tuple(b - e for b, e in zip(_KV5_B, _KV5_HAT)),
    # The midpoint's weights: the solution of the conditions up to order 4 at theta = 1/2 that has
    # the least norm.
    dense=midpoint_dense(_KV5_B, (
        .16471420497370018, 0, .045266810114915, -.003259509437107156,
        .3922098832259763, -.049465694438742575, -.049465694438742575)),
    reference="Kvaerno 2004, BIT 44(3), ESDIRK 5/4")
# fmt: on

FIXED = (IMPLICIT_EULER, IMPLICIT_MIDPOINT, TRAPEZOID, SDIRK2, RADAU_IIA3, GL4, RADAU_IIA5, GL6)
ADAPTIVE = (TRBDF2, KVAERNO3, KVAERNO5)
