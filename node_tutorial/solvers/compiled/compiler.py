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
    # The operation knows flat tuples only; these sizes tell the three apart again.
    sizes = (len(carried), len(written), len(read))

    def parts(tensors: Sequence[Tensor]) -> list[tuple]:
        rest = iter(tensors)
        return [tuple(itertools.islice(rest, size)) for size in sizes]

    def flat_going(*tensors: Tensor) -> Tensor:
        before, _, constants = parts(tensors)
        return going(before, constants)

    def flat_body(*tensors: Tensor) -> tuple[Tensor, ...]:
        before, buffers, constants = parts(tensors)
        after = body(before, buffers, constants)
        # What a loop returns must not be what it was given.
        return tuple(x.clone() if any(x is given for given in before) else x for x in after)

    # The operation behind torch.while_loop; of it, `mutated_arg_indices` is not public. The public
    # function, which finds out by itself what the body reads and writes, was tried, and dropped:
    # it reads the body with torch.compile's tracer, which makes a symbol of every number that is
    # not what it was in the program before (rows, sizes), so that from the second shape on the loop
    # is compiled for sizes known only when it runs. Tracing took three times as long (0.76 s
    # instead of 0.25).
    loop: Any = torch.ops.higher_order.while_loop
    changed = ",".join(str(sizes[0] + i) for i in range(sizes[1]))
    return loop(
        flat_going, flat_body, tuple(carried), (*written, *read), mutated_arg_indices=changed
    )


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


def compile_program(function: Callable, examples: Sequence[Tensor]) -> Callable:
    """A function of tensors as a program in C++.

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
            # With cpp_wrapper the program is C++ as a whole, not Python that calls C++.
            return torch._inductor.compile(graph, list(examples), options={"cpp_wrapper": True})
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
