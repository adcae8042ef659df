"""What torch's compiler does for a compiled solve: it reads func into a graph, and makes programs
of functions.
"""

import contextlib
import functools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch._C._dynamo.eval_frame import _debug_get_cache_entry_list
from torch.fx.experimental.proxy_tensor import make_fx

from ..inputs import unflatten

LANES = 16  # numbers in a vector of the processor
FEW = 4  # columns or rows of a narrow matrix
SMALL = 2**14  # multiplications of a small product
KEPT = 64  # readings and programs, the last used ones
REPEATS = 8  # readings of one func that gave a known graph, after which it is given up

_fields: OrderedDict[Any, "Field"] = OrderedDict()
_programs: OrderedDict[Any, Any] = OrderedDict()
_repeats: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
_caught: list[tuple["Reading", tuple]] = []  # what func was last read to: see `read`


class Uncompiled(Exception):
    """Says why a solve cannot be compiled."""


class Field:
    """func as a function field(t, y, *used) of tensors alone; equal graphs have the same field."""

    def __init__(self, graph: torch.fx.GraphModule, places: tuple[str, ...]) -> None:
        self.graph, self.places = graph, places  # of its inputs: "t", "y", or "" for a used tensor

    def __call__(self, t: Tensor, y: Tensor, *used: Tensor) -> Tensor:
        rest = iter(used)
        slope = self.graph(
            *(t if place == "t" else y if place == "y" else next(rest) for place in self.places)
        )[0]
        return slope if slope.dtype == y.dtype else slope.to(y.dtype)


class Reading:
    """A backend of torch.compile for one graph: it computes nothing, but takes down what it is
    called with.
    """

    def __init__(self, graph: torch.fx.GraphModule, examples: list) -> None:
        self.graph = graph
        self.field: Field | None = None

    def __call__(self, *inputs: Any) -> tuple:
        _caught.append((self, inputs))
        return (None,)


def read(
    func: Callable, shapes: Sequence[torch.Size] | None, t: Tensor, y: Tensor
) -> tuple[Field, list[Tensor]]:
    """The field of func, and the tensors that it uses: parameters, buffers, variables around it.

    torch.compile remembers what of Python a graph depends on. Where that has changed, func is read
    anew; else this takes microseconds. t and y are tensors that func cannot know.

    Raises:
        Uncompiled: if func cannot be read.
    """
    try:
        _look(func, shapes, t, y)
    except Exception as error:
        raise Uncompiled(f"func cannot be read by torch.compile ({reason(error)})") from error
    if not _caught:
        raise Uncompiled("torch.compile is disabled")
    reading, inputs = _caught[0]
    used = [x for x in inputs if x is not t and x is not y]
    if reading.field is None:
        if not all(isinstance(x, Tensor) for x in inputs):
            raise Uncompiled("func uses a number that changes from call to call; make it a tensor")
        places = tuple("t" if x is t else "y" if x is y else "" for x in inputs)
        kinds = tuple((x.shape, x.stride(), x.dtype, x.requires_grad) for x in used)
        # A graph with constants or parts of its own is like no other.
        own = any(node.op in ("get_attr", "call_module") for node in reading.graph.graph.nodes)
        key = (reading.graph.code, places, kinds, reading.graph if own else None)
        if key in _fields:
            _count_repeats(func)
        reading.field = kept(_fields, key, lambda: Field(reading.graph, places))
    return reading.field, used


def _look(func: Callable, shapes: Sequence[torch.Size] | None, t: Tensor, y: Tensor) -> None:
    """Read func, or find it as it was; then `_caught` holds the reading and the inputs of its
    graph.
    """
    _caught.clear()
    # What a call of `_reader` does where a reading is known; but that takes 20 us, this 5.
    for known in _debug_get_cache_entry_list(_slope.__code__):
        if known.guard_manager.check({"func": func, "shapes": shapes, "t": t, "y": y}):
            FunctionType(known.code, _slope.__globals__)(func, shapes, t, y)
            return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch._dynamo.exc import FailOnRecompileLimitHit  # takes seconds at first

        try:
            _reader()(func, shapes, t, y)
        except FailOnRecompileLimitHit:  # so many readings are remembered: forget them
            _reader.cache_clear()
            _reader()(func, shapes, t, y)


def _count_repeats(func: Callable) -> None:
    owner = getattr(func, "__self__", func)
    with contextlib.suppress(TypeError):  # not all callables can be referred to weakly
        _repeats[owner] = (_repeats[owner] if owner in _repeats else 0) + 1
    if owner in _repeats and _repeats[owner] > REPEATS:
        raise Uncompiled(
            "func is read anew at every solve, because it changes a number or another object of "
            "Python at every call, "
            "such as a counter; leave that out"
        )


@functools.cache
def _reader() -> Callable:
    limits: dict[str, Any] = {"recompile_limit": KEPT, "isolate_recompiles": True}
    return torch.compile(_slope, backend=Reading, fullgraph=True, dynamic=False, **limits)


def _slope(func: Callable, shapes: Sequence[torch.Size] | None, t: Tensor, y: Tensor) -> Tensor:
    """func on a flat state."""
    if shapes is None:
        return func(t, y).clone()
    return torch.cat([part.reshape(-1) for part in func(t, unflatten(y, shapes))])


def kept(cache: OrderedDict, key: Any, make: Callable) -> Any:
    """What `make` makes, kept under the key; the cache holds what was used last."""
    if key not in cache:
        cache[key] = make()
    cache.move_to_end(key)
    while len(cache) > KEPT:
        cache.popitem(last=False)
    return cache[key]


def program(key: Any, make: Callable) -> Any:
    """A compiled program, kept."""
    return kept(_programs, key, make)


def examine(field: Field, t: Tensor, y: Tensor, used: Sequence[Tensor]) -> None:
    """Refuse a field that is random, that writes into what it is given, or whose slope is not like
    y.

    Raises:
        Uncompiled: saying so.
    """
    try:
        graph = traced(field, [t, y, *used]).graph
    except Exception as error:
        raise Uncompiled(f"func cannot be traced ({reason(error)})") from error
    given = {node for node in graph.nodes if node.op == "placeholder"}
    for node in graph.nodes:
        if not isinstance(node.target, torch._ops.OpOverload):
            continue
        if torch.Tag.nondeterministic_seeded in node.target.tags:
            raise Uncompiled(
                f"func is random ({node.target}), and would draw other numbers than it does "
                "uncompiled"
            )
        arguments = zip(node.args, node.target._schema.arguments)
        written = {
            x
            for x, a in arguments
            if isinstance(x, torch.fx.Node) and a.alias_info and a.alias_info.is_write
        }
        statistics = (
            "batch_norm" in str(node.target) and node.args[3] in given and True in node.args[5:6]
        )
        if statistics or given & written:
            raise Uncompiled(f"func writes into a tensor that it holds or is given ({node.target})")


def traced(function: Callable, examples: Sequence[Tensor]) -> Any:
    """A function of tensors as a graph of torch's elementary operations, for the shapes of the
    examples.
    """
    with torch.no_grad():
        return make_fx(function, _rewritten(), tracing_mode="fake")(*examples)


def compiled(function: Callable, examples: Sequence[Tensor]) -> Callable:
    """A function of tensors as a program.

    Raises:
        Uncompiled: if that fails, for whatever reason.
    """
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch._inductor.compile_fx import compile_fx, compile_fx_inner  # takes a second

            graph, programs = traced(function, examples), []
            signature = _signature(graph)

            def keep(inner: torch.fx.GraphModule, inputs: Sequence, **options: Any) -> Any:
                programs.append(compile_fx_inner(inner, inputs, **options))
                if _signature(inner) != signature:
                    raise Uncompiled(
                        "torch.compile has changed the inputs or outputs of the program"
                    )
                return programs[-1]

            compile_fx(graph, list(examples), keep, {"cpp_wrapper": True})
            # Called directly: what compile_fx returns takes 20 us more, for cases which are none of
            # ours.
            return lambda *inputs: programs[0](list(inputs))
    except Exception as error:
        raise Uncompiled(reason(error)) from error


def _signature(graph: torch.fx.GraphModule) -> tuple[int, int]:
    """Numbers of inputs and outputs."""
    outputs: Any = graph.graph.output_node().args[0]
    return len(graph.graph.find_nodes(op="placeholder")), len(outputs)


def reason(error: BaseException) -> str:
    """What went wrong, in one line."""
    chain: BaseException | None = error
    while chain is not None:
        if "InvalidCxxCompiler" in type(chain).__name__:
            return "no C++ compiler was found; install one, such as g++ or clang++, or name it in the variable CXX"
        chain = chain.__cause__ or chain.__context__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    return f"{type(error).__name__}: {lines[0]}"[:300]


def _rewritten() -> dict:
    """Operations that run faster in another form."""
    aten = torch.ops.aten
    return {
        aten.mm.default: _product,
        aten.addmm.default: _product_plus_bias,
        aten.tanh.default: _tanh,
    }


def arranged(used: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The same tensors; of a narrow matrix a copy whose columns are contiguous, for `_product` goes
    along them.
    """

    def narrow(x: Tensor) -> bool:
        return x.dim() == 2 and x.shape[1] <= FEW < x.shape[0] and x.dtype == torch.float32

    return tuple(x.t().contiguous().t() if narrow(x) else x for x in used)


def _product(a: Tensor, b: Tensor) -> Any:
    """a @ b of small matrices, one of them narrow, as sums: they are fused with what comes before
    and after.

    (Measured: a solve and its gradient with the net 2-50-2 take 0.31 ms inside the programs instead
    of 0.63 with batch 1, 0.66 instead of 1.07 with batch 20. For larger products the library is
    faster: a solve with the net 4-20-4, batch 1000, took 1.67 ms instead of 1.14.) Only in single
    precision: there, rounding shows anyway.
    """
    if not _is_small(a, b):
        return NotImplemented
    if a.shape[1] <= FEW:
        return sum(a[:, i : i + 1] * b[i] for i in range(a.shape[1]))
    return (a.unsqueeze(1) * b.t().unsqueeze(0)).sum(2)


def _is_small(a: Tensor, b: Tensor) -> bool:
    columns = b.shape[1]
    return (
        a.dtype == torch.float32
        and min(*a.shape, columns) <= FEW
        and 0 < a.numel() * columns <= SMALL
    )


def _product_plus_bias(
    bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1
) -> Any:
    """bias + a @ b in two operations: the sum is fused with what follows it, and the bias not
    copied first.

    (Measured: a third of the time for (1000, 4) @ (4, 20), half for (20, 2) @ (2, 50). Written as a
    difference, because inductor makes one `addmm` of a sum.) But a row that fills the vectors of
    the processor badly would make all that follows a loop over such rows: then the operation stays
    as it is.
    """
    columns = b.shape[1]
    if alpha == beta == 1 and _is_small(a, b):
        return _product(a, b) + bias
    if alpha != 1 or beta != 1 or -(-columns // LANES) * LANES > 1.5 * columns:
        return NotImplemented
    return torch.mm(a, b) - (-bias)


def _tanh(x: Tensor) -> Any:
    """tanh in single precision: 1 - 2 / (exp(2x) + 1), near 0 a polynomial (of Moshier's Cephes
    library).

    Its relative error is at most 2.6e-7, four times that of torch's. (Measured, 65536 numbers:
    inductor's tanh takes 97 us, one in terms of exp 24 us.)
    """
    if x.dtype != torch.float32:
        return NotImplemented
    z = x * x
    series: Any = -5.70498872745e-3
    for coefficient in (2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1):
        series = series * z + coefficient
    return torch.where(x.abs() < 0.625, x + x * z * series, 1 - 2 / (torch.exp(2 * x) + 1))
