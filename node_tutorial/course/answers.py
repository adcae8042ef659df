"""What answers look like: `number`, `array`, `one_of`, `function`.

Each returns a kind: called with a learner's answer it returns the answer in one form (a float, a
float64 array, a text, a `Behavior`), or raises `WrongKind` with a message that says what came and
what is expected. `kind.wanted` is what to put in place of the `...`. Python numbers, numpy scalars
and torch scalars are all welcome.
"""

import numbers
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import torch

__all__ = ["Behavior", "Kind", "array", "function", "number", "one_of"]


class NotStarted(Exception):
    """The placeholder is still there; the message says what to replace it by."""


class WrongKind(Exception):
    """The answer has another type or shape than expected."""


class Raised(Exception):
    """The learner's function raised an exception."""


class Kind:
    """A named converter, see the module's docstring. `examples_of_wrong` feed the tests."""

    def __init__(
        self,
        convert: Callable[[Any], Any],
        wanted: str,
        examples_of_wrong: Sequence[Any],
        takes_function: bool = False,
    ) -> None:
        self.convert = convert
        self.wanted = wanted
        self.examples_of_wrong = examples_of_wrong
        self.takes_function = takes_function

    def __call__(self, answer: Any) -> Any:
        return self.convert(answer)


def number(wanted: str = "a number") -> Kind:
    """Kind: one real number, also as a numpy or torch scalar or an array with one element.

    Converts to a float.
    """

    def convert(answer: Any) -> float:
        value = answer
        if isinstance(answer, (torch.Tensor, np.ndarray, list, tuple)):
            values = _numpy(answer, wanted)
            if values.size != 1:
                raise WrongKind(
                    f"expected {wanted}, got {_called(answer)} of shape {values.shape}."
                )
            value = values.item()
        if isinstance(value, bool) or not isinstance(value, (numbers.Real, Decimal)):
            raise WrongKind(f"expected {wanted}, got {_called(answer)}.{_if_callable(answer)}")
        try:
            return float(value)
        except OverflowError:
            raise WrongKind(f"expected {wanted}, got a number beyond all floats.") from None

    return Kind(convert, wanted, ["a text", [1.0, 2.0], {"a": 1}, lambda: 1.0])


def array(shape: int | Sequence[int | None], wanted: str | None = None) -> Kind:
    """Kind: a tensor, array or list of numbers of `shape`; None in it stands for any length.

    Converts to a float64 array.
    """
    lengths = (shape,) if isinstance(shape, int) else tuple(shape)
    expected = wanted or f"a tensor or array of shape {_shape_text(lengths)}"

    def convert(answer: Any) -> np.ndarray:
        if isinstance(answer, (list, tuple)) and any(is_placeholder(item) for item in answer):
            raise NotStarted("numbers at every place")
        values = _numpy(answer, expected, dtype=np.float64)
        fits = len(values.shape) == len(lengths) and all(
            n is None or n == m for n, m in zip(lengths, values.shape)
        )
        if not fits:
            raise WrongKind(f"expected {expected}, got shape {values.shape}.")
        return values

    scalar = 3.0 if lengths else [1.0]
    one_dimension_more = np.zeros((2,) * (len(lengths) + 1))
    return Kind(convert, expected, ["a text", scalar, one_dimension_more, lambda: 1.0])


def one_of(*options: str) -> Kind:
    """Kind: one of a few texts. Converts to a text in lower case."""
    wanted = "one of " + ", ".join(f'"{option}"' for option in options)
    admissible = {option.lower() for option in options}

    def convert(answer: Any) -> str:
        if not isinstance(answer, str) or answer.strip().lower() not in admissible:
            raise WrongKind(f"expected {wanted}, got {_called(answer)}.")
        return answer.strip().lower()

    return Kind(convert, wanted, ["none of these", 3.0, [options[0]]])


def function(
    *probes: tuple[Any, ...], returns: Kind | None = None, wanted: str = "your code"
) -> Kind:
    """Kind: a function. Converts to a `Behavior`.

    probes: tuples of arguments; the outputs for them are compared with those of the solution and of
        the mistakes. Leave them out where the exercise brings its own `check`.
    returns: the kind of an output, for probes `number()` unless given.
    """
    output = number() if returns is None and probes else returns

    def convert(answer: Any) -> Behavior:
        if not callable(answer):
            raise WrongKind(
                f"expected a function, got {_called(answer)}. Pass the function itself, do not "
                "call it."
            )
        behavior = Behavior(answer, probes, output)
        behavior.run()  # now, so that errors are reported as such
        return behavior

    return Kind(convert, wanted, ["a text", 3.0, [1.0]], takes_function=True)


class Behavior:
    """A learner's function, safe to call: stubs and exceptions become feedback.

    `run()` returns its results on the probes.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        probes: Sequence[tuple[Any, ...]] = (),
        returns: Kind | None = None,
    ) -> None:
        self.function = function
        self.probes = probes
        self.returns = returns
        self._outputs: list[Any] | None = None

    def run(self) -> list[Any]:
        if self._outputs is None:
            outputs = [self(*probe) for probe in self.probes]
            self._outputs = outputs if self.returns is None else list(map(self.returns, outputs))
        return self._outputs

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            output = self.function(*map(copy_of, args), **kwargs)
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
        if output is Ellipsis or (output is None and _is_as_short_as_a_stub(self.function)):
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


def is_placeholder(answer: Any) -> bool:
    """Whether the answer is what a stub holds: `...` or None."""
    return answer is Ellipsis or answer is None


def agree(a: Any, b: Any, rtol: float, atol: float) -> bool:
    """Whether two converted answers are equal within tolerances; never if they are not finite."""
    if isinstance(a, Behavior):
        return len(a.run()) == len(b.run()) > 0 and all(
            agree(x, y, rtol, atol) for x, y in zip(a.run(), b.run())
        )
    if isinstance(a, str):
        return a == b
    a = np.asarray(a, dtype=np.float64)
    b = np.asarray(b, dtype=np.float64)
    return (
        a.shape == b.shape
        and bool(np.all(np.isfinite(a)))
        and np.allclose(a, b, rtol=rtol, atol=atol)
    )


def copy_of(value: Any) -> Any:
    """A tensor, array or list of its own, for whoever may write into it; all else as it is."""
    if isinstance(value, list):
        return [copy_of(item) for item in value]
    if isinstance(value, torch.Tensor):
        return value.clone()
    return value.copy() if isinstance(value, np.ndarray) else value


def _stub() -> None: ...


def _is_as_short_as_a_stub(f: Callable[..., Any]) -> bool:
    """Whether the body of `f` is only a docstring, `...` or `pass`: shorter code there is none.

    (Looking at the source instead was tried: code that was typed at a prompt or made by `exec` has
    none.)
    """
    code = getattr(f, "__code__", None)
    return code is not None and len(code.co_code) <= len(_stub.__code__.co_code)


def _numpy(answer: Any, wanted: str, dtype: type | None = None) -> np.ndarray:
    """A tensor, an array or a sequence of numbers as an array; WrongKind for what is none."""
    try:
        if isinstance(answer, (list, tuple)):
            values = np.asarray([_detached(item) for item in answer])
        else:
            values = np.asarray(_detached(answer))
        if values.dtype.kind in "USc":  # numpy would read texts, and drop imaginary parts
            raise TypeError
        return values if dtype is None else values.astype(dtype)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise WrongKind(
            f"expected {wanted}, got {_called(answer)}.{_if_callable(answer)}"
        ) from None


def _detached(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach().cpu()
    return value.float() if value.dtype == torch.bfloat16 else value  # which numpy does not have


def _is_signature_error(error: Exception) -> bool:
    """Whether calling failed before the body ran: the function takes other arguments."""
    trace = error.__traceback__  # starts in our own call
    return (
        isinstance(error, TypeError)
        and "argument" in str(error)
        and (trace is None or trace.tb_next is None)
    )


def _called(answer: Any) -> str:
    """The type of an answer in words."""
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


def _if_callable(answer: Any) -> str:
    return " Call it, and pass what it returns." if callable(answer) else ""


def _shape_text(shape: Sequence[int | None]) -> str:
    text = ", ".join("any" if n is None else str(n) for n in shape)
    return f"({text},)" if len(shape) == 1 else f"({text})"


def _arguments(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    named = [f"{name}={_short(value)}" for name, value in kwargs.items()]
    return f"`({', '.join([*map(_short, args), *named])})`"


def _short(value: Any) -> str:
    if callable(value):
        return getattr(value, "__name__", "a function")
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."
