"""Butcher tableaus against the order conditions of rooted trees (Hairer, Norsett, Wanner I, II.2).

A method has order p exactly if  sum_i b_i phi_i(tree) = 1 / gamma(tree)  for all trees of at most p
nodes, where phi_i of a tree is the product over its children's sum_j a_ij phi_j, and gamma the
product of the sizes of all subtrees.
"""

import dataclasses
from functools import cache

import numpy as np
import pytest
import torch

from node_tutorial import METHODS, Tableau, odeint, register_method
from node_tutorial.solvers import tableaus
from node_tutorial.solvers.methods import implicit_tableaus, long_tableaus

EXPLICIT = [*tableaus.FIXED, *tableaus.ADAPTIVE, *long_tableaus.ADAPTIVE]
IMPLICIT = [*implicit_tableaus.FIXED, *implicit_tableaus.ADAPTIVE]
TABLEAUS = [pytest.param(t, id=t.name) for t in (*EXPLICIT, *IMPLICIT)]
PAIRS = [pytest.param(t, id=t.name) for t in (*EXPLICIT, *IMPLICIT) if t.error is not None]
EMBEDDED_ORDER = {
    "adaptive_heun": 1,
    "fehlberg2": 1,
    "bosh3": 2,
    "dopri5": 4,
    "tsit5": 4,
    "dopri8": 7,
}
EMBEDDED_ORDER |= {"trbdf2": 3, "kvaerno3": 2, "kvaerno5": 4}
DENSE_ORDER = {
    "euler": 1,
    "adaptive_heun": 2,
    "fehlberg2": 2,
    "bosh3": 3,
    "dopri5": 4,
    "tsit5": 4,
    "dopri8": 5,
}
DENSE_ORDER |= {"trbdf2": 2, "kvaerno3": 3, "kvaerno5": 4}
FSAL = {"bosh3", "dopri5", "tsit5", "dopri8"}
FSAL |= {
    "implicit_euler",
    "trapezoid",
    "sdirk2",
    "radauIIA3",
    "radauIIA5",
    "trbdf2",
    "kvaerno3",
    "kvaerno5",
}
A_STABLE = {
    "implicit_midpoint",
    "trapezoid",
    "gl4",
    "gl6",
}  # |R| = 1 at infinity; the others are L-stable


@cache
def trees(n):
    """All rooted trees of n nodes; a tree is the sorted tuple of its children."""

    @cache
    def forests(nodes, largest):
        if nodes == 0:
            return [()]
        return [
            (child, *rest)
            for size in range(min(nodes, largest[0]), 0, -1)
            for i, child in enumerate(trees(size))
            if (size, i) <= largest
            for rest in forests(nodes - size, (size, i))
        ]

    return [()] if n == 1 else forests(n - 1, (n, 10**9))


def size(tree):
    return 1 + sum(map(size, tree))


def gamma(tree):
    return size(tree) * np.prod([gamma(child) for child in tree])


def defect(tableau, weights, order, theta=1.0):
    """The largest violation of the conditions for trees of exactly `order` nodes."""
    s = tableau.stages
    a = np.array([[*row, *[0.0] * (s - len(row))] for row in tableau.a])

    @cache
    def phi(tree):
        return np.prod([np.ones(s), *(a @ phi(child) for child in tree)], axis=0)

    return max(abs(weights @ phi(tree) - theta**order / gamma(tree)) for tree in trees(order))


def order_of(tableau, weights, theta=1.0):
    """The order to which all conditions hold: rounding is 1e-12, violated ones are above 1e-8."""
    return next(p for p in range(9) if defect(tableau, weights, p + 1, theta) > 1e-10)


def changed(tableau, name, index, amount):
    values = list(getattr(tableau, name))
    values[index] = (
        tuple(x + amount for x in values[index])
        if name in ("a", "dense")
        else values[index] + amount
    )
    return dataclasses.replace(tableau, **{name: tuple(values)})


def test_the_trees_are_all_rooted_trees():
    assert [len(trees(n)) for n in range(1, 9)] == [1, 1, 2, 4, 9, 20, 48, 115]
    assert all(size(tree) == n for n in range(1, 9) for tree in trees(n))


@pytest.mark.parametrize("tableau", TABLEAUS)
def test_a_step_has_exactly_the_declared_order(tableau):
    assert order_of(tableau, np.array(tableau.b)) == tableau.order
    assert max(defect(tableau, np.array(tableau.b), p) for p in range(1, tableau.order + 1)) < 1e-13


@pytest.mark.parametrize("tableau", PAIRS)
def test_the_embedded_method_has_another_order(tableau):
    embedded = order_of(tableau, np.array(tableau.b) - np.array(tableau.error))
    assert embedded == EMBEDDED_ORDER[tableau.name] != tableau.order
    assert (tableau.error_order or tableau.order) == min(embedded, tableau.order) + 1


def stability(tableau, z):
    """R(z) of y1 = R(h lambda) y for y' = lambda y."""
    s = tableau.stages
    a = np.array([[*row, *[0.0] * (s - len(row))] for row in tableau.a])
    return 1 + z * np.array(tableau.b) @ np.linalg.solve(np.eye(s) - z * a, np.ones(s))


@pytest.mark.parametrize("tableau", [pytest.param(t, id=t.name) for t in IMPLICIT])
def test_implicit_methods_are_a_stable_and_all_but_some_l_stable(tableau):
    assert tableau.implicit
    axis = [abs(stability(tableau, 1j * y)) for y in np.geomspace(1e-3, 1e6, 400)]
    assert (
        max(axis) <= 1 + 1e-12
    )  # and no pole to the left: by the maximum principle the left half-plane is stable
    s = tableau.stages
    a = np.array([[*row, *[0.0] * (s - len(row))] for row in tableau.a])
    assert (np.linalg.eigvals(a).real >= 0).all()
    at_infinity = abs(stability(tableau, -1e9))
    assert (
        at_infinity == pytest.approx(1, abs=1e-6)
        if tableau.name in A_STABLE
        else at_infinity < 1e-6
    )


@pytest.mark.parametrize("tableau", [pytest.param(t, id=t.name) for t in EXPLICIT])
def test_explicit_methods_are_not(tableau):
    assert not tableau.implicit and abs(stability(tableau, -1e3)) > 1


@pytest.mark.parametrize("theta", [0.1, 0.37, 0.5, 0.92])
@pytest.mark.parametrize("name", DENSE_ORDER)
def test_the_dense_output_has_its_order_inside_the_step(name, theta):
    tableau = METHODS[name]
    weights = np.array(
        [sum(p * theta ** (i + 1) for i, p in enumerate(row)) for row in tableau.dense]
    )
    assert order_of(tableau, weights, theta) >= DENSE_ORDER[name]


def test_first_same_as_last_is_derived_from_the_numbers():
    assert {t.name for t in (*EXPLICIT, *IMPLICIT) if t.fsal} == FSAL
    for name in FSAL & {t.name for t in EXPLICIT}:
        t = METHODS[name]
        assert t.evaluations == t.stages - 1
        other_row = (t.a[-1][0] + 0.01, t.a[-1][1] - 0.01, *t.a[-1][2:])
        assert not dataclasses.replace(t, a=(*t.a[:-1], other_row)).fsal


@pytest.mark.parametrize("tableau", [pytest.param(t, id=t.name) for t in EXPLICIT])
def test_evaluations_a_step_is_what_a_long_solve_takes(tableau):
    calls = 0

    def f(t, y):
        nonlocal calls
        calls += 1
        return -y

    odeint(
        f, torch.ones(1), torch.tensor([0.0, 1.0]), method=tableau.name, options={"step_size": 0.01}
    )
    assert 0 <= calls - 100 * tableau.evaluations <= 1


@pytest.mark.parametrize(
    "name, index, message",
    [
        ("b", 2, "b must sum to 1"),
        ("c", 3, r"row 3 of a must sum to c\[3\]"),
        ("a", 4, r"row 4 of a must sum to c\[4\]"),
        ("error", 0, "error must sum to 0"),
        ("dense", 5, "each row of dense must sum to its b"),
    ],
)
def test_a_corrupted_tableau_is_refused(name, index, message):
    with pytest.raises(ValueError, match=f"tableau 'dopri5': {message}"):
        changed(METHODS["dopri5"], name, index, 1e-9)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"c": (0, 1 / 2, 1)}, "same length, 2 stages"),
        ({"a": ((), (1 / 2, 0))}, "row 1 of a must have 1 entries, it has 2"),
        ({"error": (0,)}, "error must have 2 entries"),
        ({"dense": ((1,),)}, "dense must have 2 rows"),
    ],
)
def test_a_tableau_of_the_wrong_shape_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(METHODS["midpoint"], **fields)


def test_a_registered_tableau_is_a_method_under_a_name_of_its_own():
    ralston = Tableau("ralston", 2, c=(0, 2 / 3), a=((), (2 / 3,)), b=(1 / 4, 3 / 4))
    try:
        assert register_method(ralston) is ralston is register_method(ralston)
        y = odeint(lambda t, y: t * y, torch.ones(1), torch.linspace(0, 1, 101), method="ralston")
        assert abs(y[-1].item() - 2.718281828**0.5) < 1e-4
        with pytest.raises(ValueError, match=r"'ralston' exists already.*choose another name"):
            register_method(dataclasses.replace(ralston, c=(0, 1), a=((), (1,)), b=(1 / 2, 1 / 2)))
    finally:
        METHODS.pop("ralston")
