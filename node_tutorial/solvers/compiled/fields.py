"""func as a graph: torch.compile's tracer reads it, once, into a function of tensors alone.

A program has to know all that func depends on. What are tensors, its parameters, buffers, variables
around it, become inputs of the program. What is Python, numbers, flags, the structure of a module,
goes into the graph; torch.compile notes it in `guards`, checks them at every call, and reads func
anew where one fails. So a field is asked for at every solve:

    func, t, y  ->  guards hold: the graph of then, and the tensors that func uses now
                ->  else: a new graph. If it is one that is known, by its text, its field is taken,
                    and so are the programs that were made of it.

The graph is caught by a backend of torch.compile that computes nothing (`Reading`).
"""

import contextlib
import functools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..inputs import unflatten
from .compiler import Uncompiled, call_again, kept, reason, trace

READINGS = 64  # that torch.compile remembers; then all are forgotten
REPEATS = 8  # readings of one func that gave a known graph, after which it is given up

_fields: OrderedDict[Any, "FieldGraph"] = OrderedDict()
_repeats: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
# The call that `Reading` was met by last: it has no other way to hand out what it was given.
_caught: list[tuple["Reading", tuple]] = []


class FieldGraph:
    """func as a function field(t, y, *used) of tensors alone; equal graphs have the same field."""

    def __init__(self, graph: torch.fx.GraphModule, places: tuple[str, ...]) -> None:
        self.graph = graph
        self.places = places  # of its inputs: "t", "y", or "" for a used tensor

    def __call__(self, t: Tensor, y: Tensor, *used: Tensor) -> Tensor:
        rest = iter(used)
        inputs = [t if p == "t" else y if p == "y" else next(rest) for p in self.places]
        slope = self.graph(*inputs)[0]
        if torch.promote_types(slope.dtype, y.dtype) != y.dtype:
            raise Uncompiled(f"func returns {slope.dtype} for a state of {y.dtype}")
        return slope if slope.dtype == y.dtype else slope.to(y.dtype)


class Reading:
    """A backend of torch.compile for one graph: it computes nothing, but takes down what it is
    called with.
    """

    made = 0  # since `_reader` was made

    def __init__(self, graph: torch.fx.GraphModule, examples: list) -> None:
        self.graph = graph
        self.field: FieldGraph | None = None
        Reading.made += 1

    def __call__(self, *inputs: Any) -> tuple:
        _caught.append((self, inputs))
        return (None,)  # instead of the slope; nobody looks at it


def trace_field(
    func: Callable, shapes: Sequence[torch.Size] | None, t: Tensor, y: Tensor
) -> tuple[FieldGraph, list[Tensor]]:
    """The field of func, and the tensors that it uses: parameters, buffers, variables around it.

    Microseconds where func is as it was, else a fraction of a second.

    Args:
        func: the vector field.
        shapes: of the parts of a tuple state, else None.
        t, y: a time and a flat state; tensors that func cannot know, so that they are told apart
            from those that it uses.

    Raises:
        Uncompiled: if func cannot be read.
    """
    try:
        _read(func, shapes, t, y)
    except Exception as error:
        raise Uncompiled(f"func cannot be read by torch.compile ({reason(error)})") from error
    if not _caught:
        raise Uncompiled("torch.compile is disabled")
    # Parameters and the like are inputs of the graph, wherever func has them from; so what they
    # are now comes with every call, also after load_state_dict or another assignment.
    reading, inputs = _caught[0]
    used = [x for x in inputs if x is not t and x is not y]
    # A new graph. The reading remembers its field, so that this happens once.
    if reading.field is None:
        reading.field = _field_of(reading.graph, inputs, used, func, t, y)
    return reading.field, used


def _read(func: Callable, shapes: Sequence[torch.Size] | None, t: Tensor, y: Tensor) -> None:
    """Read func, or find it as it was; then `_caught` holds the reading and the inputs of its
    graph.
    """
    _caught.clear()
    if call_again(_flat_slope, {"func": func, "shapes": shapes, "t": t, "y": y}):
        return
    # At its limit torch.compile would raise an error that has no public name; so we stay below.
    if Reading.made >= READINGS:
        _reader.cache_clear()
        Reading.made = 0
    # What torch has to say about a func that it cannot read goes into our one warning.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _reader()(func, shapes, t, y)


@functools.cache
def _reader() -> Callable:
    # isolate_recompiles: the readings belong to this result of torch.compile, and are gone with it.
    # The limit is one that is never met: see `_read`.
    limits: dict[str, Any] = {"recompile_limit": 2 * READINGS, "isolate_recompiles": True}
    return torch.compile(_flat_slope, backend=Reading, fullgraph=True, dynamic=False, **limits)


def _flat_slope(
    func: Callable, shapes: Sequence[torch.Size] | None, t: Tensor, y: Tensor
) -> Tensor:
    """func on a flat state."""
    # Not a closure over func and shapes: torch.compile remembers readings of this one function.
    if shapes is None:
        return func(t, y).clone()  # a func that returns what it is given would leave no graph
    return torch.cat([part.reshape(-1) for part in func(t, unflatten(y, shapes))])


def _field_of(
    graph: torch.fx.GraphModule,
    inputs: Sequence[Any],
    used: Sequence[Any],
    func: Callable,
    t: Tensor,
    y: Tensor,
) -> FieldGraph:
    """The field of a graph, by `inputs`, what it was first called with: a known one if it is
    equal.
    """
    if not all(isinstance(x, Tensor) for x in inputs):
        raise Uncompiled("func uses a number that changes from call to call; make it a tensor")
    places = tuple("t" if x is t else "y" if x is y else "" for x in inputs)
    kinds = tuple((x.shape, x.stride(), x.dtype, x.requires_grad) for x in used)
    # A graph with constants or parts of its own is like no other.
    own = any(node.op in ("get_attr", "call_module") for node in graph.graph.nodes)
    key = (graph.code, places, kinds, graph if own else None)
    # As text, the graph is an old one; what has changed in Python makes no difference.
    if key in _fields:
        _count_repeats(func)
    return kept(_fields, key, lambda: FieldGraph(graph, places))


def _count_repeats(func: Callable) -> None:
    """Give up a func whose readings differ in nothing that matters: it would be read anew at every
    solve.
    """
    owner = getattr(func, "__self__", func)
    with contextlib.suppress(TypeError):  # not all callables can be referred to weakly
        _repeats[owner] = (_repeats[owner] if owner in _repeats else 0) + 1
    if owner in _repeats and _repeats[owner] > REPEATS:
        raise Uncompiled(
            "func is read anew at every solve, because it changes a number or another object of "
            "Python at every call, such as a counter; leave that out"
        )


def examine(field: FieldGraph, t: Tensor, y: Tensor, used: Sequence[Tensor]) -> None:
    """Refuse a field that is random, or writes into what it is given: a program evaluates it at
    other times, and more often, than a plain solve does.

    Raises:
        Uncompiled: saying so.
    """
    # Made functional, a graph writes at its end, by copy_, and only into what it was given.
    try:
        functional = torch.func.functionalize(field, remove="mutations")
        graph = trace(functional, [t, y, *used]).graph
    except Exception as error:
        raise Uncompiled(f"func cannot be traced ({reason(error)})") from error
    given = {node for node in graph.nodes if node.op == "placeholder"}
    for node in graph.nodes:
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            raise Uncompiled(
                f"func is random ({node.target}), and would draw other numbers than it does "
                "uncompiled"
            )
        writes = node.target is torch.ops.aten.copy_.default and node.args[0] in given
        # Batch normalization in training mode (its fifth argument) writes, too, but torch does not
        # say so. The third is the running mean.
        if "batch_norm" in str(node.target):
            writes = node.args[3] in given and True in node.args[5:6]
        if writes:
            raise Uncompiled("func writes into a tensor that it holds or is given")
