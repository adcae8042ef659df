"""What answers look like: `number`, `array`, `one_of`, `function`.

Each returns a kind: called with a learner's answer it returns the answer in one form (a float, a
float64 array, a text, a `Behavior`), or raises `WrongKind` with a message that says what came and
what is expected. `kind.wanted` is what to put in place of the `...`. Python numbers, numpy scalars
and torch scalars are all welcome.
"""

import dis
import numbers

import numpy as np
import torch


class NotStarted(Exception):
    """The placeholder is still there."""


class WrongKind(Exception):
    """The answer has another type or shape than expected."""


class Raised(Exception):
    """The learner's function raised an exception."""


class Kind:
    """A named converter, see the module's docstring. `examples_of_wrong` feed the tests."""

    def __init__(self, convert, wanted, examples_of_wrong, takes_function=False):
        self.convert, self.wanted = convert, wanted
        self.examples_of_wrong, self.takes_function = examples_of_wrong, takes_function

    def __call__(self, answer):
        return self.convert(answer)


def number(wanted="a number"):
    """Kind: one real number, also as a scalar or one-element array of numpy or torch. -> float"""

    def convert(answer):
        value = answer
        if isinstance(answer, (torch.Tensor, np.ndarray, list, tuple)):
            values = _numpy(answer, wanted)
            if values.size != 1:
                raise WrongKind(
                    f"expected {wanted}, got {_called(answer)} of shape {values.shape}."
                )
            value = values.item()
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise WrongKind(f"expected {wanted}, got {_called(answer)}.{_if_callable(answer)}")
        return float(value)

    return Kind(convert, wanted, ["a text", [1.0, 2.0], {"a": 1}, lambda: 1.0])


def array(shape, wanted=None):
    """Kind: a tensor, array or list of numbers of `shape`; None in `shape` stands for any length.
    -> float64 array
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    wanted = wanted or f"a tensor or array of shape {_shape_text(shape)}"

    def convert(answer):
        if isinstance(answer, (list, tuple)) and any(is_placeholder(item) for item in answer):
            raise NotStarted("numbers at every place")
        if isinstance(answer, (list, tuple)) and len(shape) == 1:
            answer = [_without_dimensions(item) for item in answer]
        values = _numpy(answer, wanted, dtype=np.float64)
        fits = len(values.shape) == len(shape) and all(
            n is None or n == m for n, m in zip(shape, values.shape)
        )
        if not fits:
            raise WrongKind(f"expected {wanted}, got shape {values.shape}.")
        return values

    return Kind(
        convert,
        wanted,
        ["a text", 3.0 if shape else [1.0], np.zeros((2,) * (len(shape) + 1)), lambda: 1.0],
    )


def one_of(*options):
    """Kind: one of a few texts. -> str"""
    wanted = "one of " + ", ".join(f'"{option}"' for option in options)

    def convert(answer):
        if not isinstance(answer, str) or answer.strip().lower() not in {
            option.lower() for option in options
        }:
            raise WrongKind(f"expected {wanted}, got {_called(answer)}.")
        return answer.strip().lower()

    return Kind(convert, wanted, ["none of these", 3.0, [options[0]]])


def function(*probes, returns=None, wanted="your code"):
    """Kind: a function. -> Behavior

    probes: tuples of arguments; the outputs for them are compared with those of the solution and of
        the mistakes. Leave them out where the exercise brings its own `check`.
    returns: the kind of an output, for probes `number()` unless given.
    """
    returns = number() if returns is None and probes else returns

    def convert(answer):
        if not callable(answer):
            raise WrongKind(
                f"expected a function, got {_called(answer)}. Pass the function itself, do not "
                "call it."
            )
        behavior = Behavior(answer, probes, returns)
        behavior.run()  # now, so that errors are reported as such
        return behavior

    return Kind(convert, wanted, ["a text", 3.0, [1.0]], takes_function=True)


class Behavior:
    """A learner's function, safe to call: stubs and exceptions become feedback. `run()`: its
    results on the probes.
    """

    def __init__(self, function, probes=(), returns=None):
        self.function, self.probes, self.returns = function, probes, returns
        self._outputs = None

    def run(self):
        if self._outputs is None:
            self._outputs = [self.returns(self(*probe)) for probe in self.probes]
        return self._outputs

    def __call__(self, *args, **kwargs):
        if _has_empty_body(self.function):
            raise NotStarted("the body of the function")
        try:
            output = self.function(*map(_copy, args), **kwargs)
        except (NotStarted, WrongKind, Raised):
            raise
        except NotImplementedError:
            raise NotStarted("the body of the function") from None
        except Exception as error:
            if "ellipsis" in str(error):
                raise NotStarted("code; one is left in the body of the function") from None
            kind = WrongKind if _is_signature_error(error) else Raised
            raise kind(
                f"your function raised `{type(error).__name__}: {error}` when it was called with "
                f"{_arguments(args, kwargs)}."
            ) from error
        if output is Ellipsis:
            raise NotStarted("the body of the function")
        if output is None:
            raise WrongKind("your function returned None. Is a `return` missing?")
        if self.returns is not None:
            try:
                self.returns(output)
            except WrongKind as wrong:
                raise WrongKind(
                    f"called with {_arguments(args, kwargs)}, your function does not return what "
                    f"is expected: {wrong}"
                ) from None
        return output


def is_placeholder(answer):
    """Whether the answer is what a stub holds: `...` or None."""
    return answer is Ellipsis or answer is None


def agree(a, b, rtol, atol):
    """Whether two converted answers are equal within tolerances; never for numbers that are not
    finite.
    """
    if isinstance(a, Behavior):
        return len(a.run()) == len(b.run()) > 0 and all(
            agree(x, y, rtol, atol) for x, y in zip(a.run(), b.run())
        )
    if isinstance(a, str):
        return a == b
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return (
        a.shape == b.shape
        and bool(np.all(np.isfinite(a)))
        and np.allclose(a, b, rtol=rtol, atol=atol)
    )


def _numpy(answer, wanted, dtype=None):
    """Return a tensor, an array or a sequence of numbers as an array; raise WrongKind for what is
    none of these.
    """
    try:
        if isinstance(answer, (list, tuple)):
            answer = [
                item.detach().cpu() if isinstance(item, torch.Tensor) else item for item in answer
            ]
        return np.asarray(
            answer.detach().cpu() if isinstance(answer, torch.Tensor) else answer, dtype=dtype
        )
    except (TypeError, ValueError, RuntimeError):
        raise WrongKind(
            f"expected {wanted}, got {_called(answer)}.{_if_callable(answer)}"
        ) from None


def _without_dimensions(item):
    """A tensor or array of one element as one of no dimensions; all else as it is."""
    if isinstance(item, torch.Tensor) and item.numel() == 1:
        return item.reshape(())
    return item.reshape(()) if isinstance(item, np.ndarray) and item.size == 1 else item


def _copy(value):
    """Return a copy of an argument for a learner's function, which may write into it.

    Tensors, arrays, lists, tuples and dicts are copied, whatever they hold in each other;
    functions and all else are passed as they are.
    """
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) in (list, tuple):
        return type(value)(map(_copy, value))
    if type(value) is dict:
        return {key: _copy(item) for key, item in value.items()}
    return value


def _has_empty_body(f):
    """Whether the body of `f` is only a docstring, `...` or `pass`."""
    code = getattr(f, "__code__", None)
    if code is None or code.co_names:
        return False
    steps = [
        (i.opname, i.argval)
        for i in dis.get_instructions(code)
        if i.opname not in ("RESUME", "NOP")
    ]
    return steps in ([("LOAD_CONST", None), ("RETURN_VALUE", None)], [("RETURN_CONST", None)])


def _is_signature_error(error):
    """Whether calling failed before the body ran: the function takes other arguments."""
    trace = error.__traceback__  # starts in our own call
    return (
        isinstance(error, TypeError)
        and "argument" in str(error)
        and (trace is None or trace.tb_next is None)
    )


def _called(answer):
    """Name the type of an answer in words."""
    names = {
        str: "a text",
        bool: "True or False",
        list: "a list",
        tuple: "a tuple",
        dict: "a dict",
        torch.Tensor: "a tensor",
        np.ndarray: "an array",
        float: "a number",
        int: "a number",
    }
    if callable(answer):
        return "a function"
    value = f" {answer!r}" if isinstance(answer, (str, bool)) else ""
    return names.get(type(answer), f"a {type(answer).__name__}") + value


def _if_callable(answer):
    return " Call it, and pass what it returns." if callable(answer) else ""


def _shape_text(shape):
    text = ", ".join("any" if n is None else str(n) for n in shape)
    return f"({text},)" if len(shape) == 1 else f"({text})"


def _arguments(args, kwargs=()):
    parts = [_short(arg) for arg in args] + [
        f"{name}={_short(value)}" for name, value in dict(kwargs).items()
    ]
    return f"`({', '.join(parts)})`"


def _short(value):
    if callable(value):
        return getattr(value, "__name__", "a function")
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."
