"""Programs: functions of tensors, traced to graphs, and compiled to C++ by torch's inductor.

A program goes three ways: `trace` runs the function once on tensors without values, and writes down
the operations of torch that it does (loops over steps stay loops, `while_loop`); `compile_program`
has inductor make C++ of that graph; `kept` keeps the result under what it was made for.

Whatever the compiled solve takes from torch that is not public stands in this file, and nowhere
else; each place says what was tried instead, and what that costs. `missing` looks for it all when
the package is loaded. (Microseconds here are of the processor, torch 2.13, one thread of an Intel
Xeon, medians; the net is 2-50-2, rtol 1e-6, ten steps.)
"""

import inspect
import itertools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from .kernels import REWRITTEN

KEPT = 64  # fields and programs, those used last

# With cpp_wrapper a program is C++ as a whole, not Python that calls C++. inductor's reuse of
# buffers fails on programs with loops that write ("End index out of bounds").
ALWAYS: dict[str, Any] = {"cpp_wrapper": True, "allow_buffer_reuse": False}
# Of small tensors a program spends most of its time in making them: of 95 us for ten steps of the
# net 2-50-2, batch 1, two thirds. With temporaries on the stack these are 32 us. inductor does so
# if nothing in the program is a call of a library, such as a large matrix product, and all
# temporaries together are small (100 KB).
ON_STACK: dict[str, Any] = {"aot_inductor.allow_stack_allocation": True}

_programs: OrderedDict[Any, Any] = OrderedDict()

_results: Callable[[Any], Sequence] | None = None  # what torch.compile keeps of a function
try:
    from torch._C._dynamo.eval_frame import _debug_get_cache_entry_list as _results
except ImportError:  # `call_again` can do without
    pass


class Uncompiled(Exception):
    """Says why a solve cannot be compiled."""


def missing() -> list[str]:
    """What this version of torch lacks of what a compiled solve needs, by name."""
    import torch._inductor
    import torch.fx.experimental.proxy_tensor as proxy_tensor

    needed = {
        "torch.fx.experimental.proxy_tensor.make_fx": (proxy_tensor, "make_fx"),
        "torch.ops.higher_order.while_loop": (torch.ops.higher_order, "while_loop"),
        "torch._inductor.compile": (torch._inductor, "compile"),
        "torch.func.functionalize": (torch.func, "functionalize"),
    }
    lacking = [name for name, (owner, attribute) in needed.items() if not hasattr(owner, attribute)]
    arguments = inspect.signature(torch.compile).parameters
    for argument in ("recompile_limit", "isolate_recompiles"):
        if argument not in arguments:
            lacking.append(f"torch.compile({argument}=...)")
    return lacking


if lacking := missing():
    raise ImportError(", ".join(lacking))  # `odeint` makes a warning of it, and solves as always


def while_loop(
    going: Callable[[tuple, tuple], Tensor],
    body: Callable[[tuple, tuple, tuple], tuple],
    carried: Sequence[Tensor],
    written: Sequence[Tensor],
    read: Sequence[Tensor],
) -> tuple[Tensor, ...]:
    """carried = body(carried, written, read) while going(carried, read); the last `carried`.

    All three are tensors; the body may write into those of `written`. (A loop whose result is not
    used would be left out of the program, even if it writes.)
    """
    # To the operation below, all of this is `written`: in each turn the body copies its results
    # into what is carried. The one thing that it carries itself is whether to go on. So a turn
    # makes no new tensors, but for its temporaries, and these may be on the stack (see
    # `compile_program`).
    copies = [x.clone() for x in carried]
    buffers = (*copies, *written)

    def parts(tensors: Sequence[Tensor]) -> list[tuple]:
        # The operation knows flat tuples only; these sizes tell the parts apart again.
        rest = iter(tensors)
        return [tuple(itertools.islice(rest, n)) for n in (1, len(carried), len(written))] + [
            tuple(rest)
        ]

    def flat_going(*tensors: Tensor) -> Tensor:
        return tensors[0][0, 0]

    def flat_body(*tensors: Tensor) -> tuple[Tensor]:
        _, before, others, constants = parts(tensors)
        after = body(before, others, constants)
        flag = _flag(going(after, constants))
        for x, y in zip(before, after, strict=True):
            if x is not y:
                x.copy_(y)
        return (flag,)

    # The operation behind torch.while_loop; of it, `mutated_arg_indices` is not public. The public
    # function, which finds out by itself what the body reads and writes, was tried, and dropped:
    # it reads the body with torch.compile's tracer, which makes a symbol of every number that is
    # not what it was in the program before (rows, sizes), so that from the second shape on the loop
    # is compiled for sizes known only when it runs. Tracing took three times as long (0.76 s
    # instead of 0.25).
    loop: Any = torch.ops.higher_order.while_loop
    changed = ",".join(str(1 + i) for i in range(len(buffers)))
    flag = _flag(going(tuple(copies), tuple(read)))
    (flag,) = loop(flat_going, flat_body, (flag,), (*buffers, *read), mutated_arg_indices=changed)
    return tuple(torch.where(flag[0, 0], x, x) for x in copies)


def _flag(go: Tensor) -> Tensor:
    """A truth value as a matrix that is not contiguous: such tensors inductor keeps off the stack,
    where the result of a turn must not be.
    """
    like = torch.empty_strided((2, 2), (1, 2), dtype=torch.bool)
    return torch.logical_or(torch.zeros_like(like), go)


def trace(function: Callable, examples: Sequence[Tensor]) -> torch.fx.GraphModule:
    """A function of tensors as a graph of torch's elementary operations, for the shapes of the
    examples, with those of `kernels.py` in place.
    """
    # Documented, though among torch's experiments. Tried instead: torch.export.export. It refuses
    # the gradient of a step ("a fake tensor in the exported program constant's list"); its
    # run_decompositions, needed for REWRITTEN, refuses loops that write ("'aten.copy_.default' is
    # not functional").
    from torch.fx.experimental.proxy_tensor import make_fx

    with torch.no_grad():
        return make_fx(function, REWRITTEN, tracing_mode="fake")(*examples)


def compile_program(
    function: Callable, examples: Sequence[Tensor], *, small: bool = False
) -> Callable:
    """A function of tensors as a program in C++, whose tensors are `small` or not.

    Raises:
        Uncompiled: if that fails, for whatever reason.
    """
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = trace(function, examples)
            # torch.compile(graph) is the public way. Its result checks 25 arguments in each call: a
            # call of the gradient's program takes 163 us instead of 113, and still 135 with
            # guard_filter_fn=torch.compiler.skip_all_guards_unsafe (and such a graph it accepts
            # only without mutated_arg_indices). The function below is what it calls in the end;
            # going one step deeper, to `compile_fx_inner`, saves another 2 us: not worth it.
            options = ALWAYS | ON_STACK if small else ALWAYS
            return torch._inductor.compile(graph, list(examples), options=options)
    except Exception as error:
        raise Uncompiled(reason(error)) from error


def call_again(function: Callable, arguments: dict[str, Any]) -> bool:
    """Call a function that torch.compile has compiled, if one of its results for earlier arguments
    holds for these; returns whether.

    A plain call of torch.compile's result does the same, but prepares for compilation first, and
    what it sets and resets slows down what comes after it. Measured, batch 1: a solve takes 164 us,
    with its gradient 479; with the plain call 184 and 512. That is what is lost, and all, where a
    torch has these private names no more.
    """
    # A result is compiled code, and the checks (`guards`) that say for which arguments it holds.
    for result in _results(function.__code__) if _results else ():
        try:
            holds = result.guard_manager.check(arguments)
        except AttributeError:
            return False
        if holds:
            FunctionType(result.code, function.__globals__)(**arguments)
            return True
    return False


def kept(cache: OrderedDict, key: Any, make: Callable) -> Any:
    """What `make` makes, kept under the key; the cache holds what was used last."""
    if key not in cache:
        cache[key] = make()
    # An OrderedDict as a queue: what was used last stands last.
    cache.move_to_end(key)
    while len(cache) > KEPT:
        cache.popitem(last=False)
    return cache[key]


def kept_program(key: Any, make: Callable) -> Any:
    """A compiled program, kept."""
    return kept(_programs, key, make)


def reason(error: BaseException) -> str:
    """What went wrong, in one line."""
    # A missing compiler is what most often goes wrong, and is wrapped in errors of others.
    chain: BaseException | None = error
    while chain is not None:
        if "InvalidCxxCompiler" in type(chain).__name__:
            return (
                "no C++ compiler was found; install one, such as g++ or clang++, or name it in the "
                "variable CXX"
            )
        chain = chain.__cause__ or chain.__context__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    return f"{type(error).__name__}: {lines[0]}"[:300]
