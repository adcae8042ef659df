"""Long runs: what is trained once, stored beside its lesson, and read by it.

The runs.py of a lesson ends in a declaration of its results:

    RUNS = Runs(
        "ode_nets",
        protocol={"EPOCHS": EPOCHS, "BATCH": BATCH},
        results={f"net/{width}": Run(judged, Setting(width), seeds=(0, 1)) for width in WIDTHS},
        verify=verify,
    )

judged(settings, seeds) trains, and returns {key: number, list, dict or array}. What is not stored
yet is made by `node-tutorial train 07`, and each result stored at once. The lesson reads
RUNS.numbers()["net/8"]["wrong"] and RUNS.arrays()["net/8/parameters"].

In the lesson's folder, stored.json holds {"protocol": constants, "results": {name: {"settings",
"seeds", "measured on", "numbers"}}}, and stored.npz the arrays, if any, by "name/key".
"""

import io
import json
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..training import processes
from ..training.state import whole_file
from .syllabus import SYLLABUS

FOLDER = Path(__file__).parents[1] / "lessons"


class Run(NamedTuple):
    """One result: make(settings, seeds) -> {key: number, list, dict or array}.

    settings: a frozen dataclass, a NamedTuple, or one value; stored beside the result.
    """

    make: Callable[[Any, tuple[int, ...]], dict[str, Any]]
    settings: Any
    seeds: tuple[int, ...] = (0,)


class Check(NamedTuple):
    """A measure computed again from stored parameters, and as stored: at most `within` apart."""

    what: str
    again: float
    stored: float
    within: float


def middle(values: Sequence[float]) -> int:
    """The place of the median, of an odd number of values: the seed that is shown."""
    return int(np.argsort(values)[len(values) // 2])


def short(value: Any) -> float:
    """A number, also of a tensor with one, as it is stored: with four digits."""
    return float(f"{float(value):.4g}")


class _Results(dict):
    """By name; a name that is not there says what to type."""

    def __init__(self, values: Mapping[str, Any], command: str) -> None:
        super().__init__(values)
        self.command = command

    def __missing__(self, name: str) -> Any:
        raise KeyError(f"no result {name!r} is stored; to make what is missing: {self.command}")


class OtherProtocol(ValueError):
    """What is stored was made with other constants or settings than the code has now."""


class Runs:
    """The long runs of a lesson.

    Args:
        stem: of the lesson, the name of its folder.
        protocol: name -> constant, of those that all results depend on.
        results: name -> Run, the important ones first; one may read those before it.
        verify: () -> Checks that the stored parameters are the models that were measured.
    """

    def __init__(
        self,
        stem: str,
        protocol: Mapping[str, Any],
        results: Mapping[str, Run],
        verify: Callable[[], Iterable[Check]] = tuple,
    ) -> None:
        self.stem = stem
        self.protocol = _plain(protocol)
        self.results = results
        self.verify = verify
        numbers = [lesson.number for lesson in SYLLABUS.values() if lesson.stem == stem]
        self.command = f"node-tutorial train {(numbers or [stem])[0]}"
        self.read_from(FOLDER / stem)

    def read_from(self, folder: Path) -> None:
        """From now on, read and write in another folder."""
        self.folder = folder
        self._numbers: _Results | None = None
        self._arrays: _Results | None = None

    def numbers(self) -> dict[str, dict[str, Any]]:
        """What is stored, arrays aside, by result; read once.

        Raises FileNotFoundError or ValueError that says what to type, if the file is missing,
        damaged or of another protocol.
        """
        if self._numbers is None:
            records = self._records()
            stale = self._stale(records)
            if stale:
                raise OtherProtocol(
                    f"{self._json} has {stale[0]!r} with other settings or seeds than the code; to "
                    f"make that anew, type: {self.command}"
                )
            numbers = {name: row["numbers"] for name, row in records.items()}
            self._numbers = _Results(numbers, self.command)
        return self._numbers

    def arrays(self) -> dict[str, np.ndarray]:
        """The stored arrays, by "name of the result/key"; read once. Raises as `numbers`."""
        if self._arrays is None:
            self.numbers()
            self._arrays = _Results(self._read_arrays(), self.command)
        return self._arrays

    def store(self, name: str, found: Mapping[str, Any]) -> None:
        """Put a result into the files. At no time is there half a file, or half a result."""
        records = self.current()
        arrays = self._read_arrays() if self._npz.is_file() else {}
        new = {f"{name}/{key}": x for key, x in found.items() if isinstance(x, np.ndarray)}
        if any(array.dtype.hasobject for array in new.values()):
            raise ValueError("an array of objects cannot be stored, only one of numbers")
        records.pop(name, None)
        kept = {key: x for key, x in arrays.items() if key.rpartition("/")[0] in records}
        if new or len(kept) < len(arrays):
            self.write(records)  # without it, until its arrays are there
            with whole_file(self._npz) as out:
                all_arrays: dict[str, Any] = kept | new
                np.savez_compressed(out, **all_arrays)
        run = self.results[name]
        records[name] = {
            **_of(run),
            "measured on": machine(),
            "numbers": {k: x for k, x in found.items() if not isinstance(x, np.ndarray)},
        }
        self.write(records)
        self.read_from(self.folder)

    def current(self) -> dict[str, Any]:
        """What is stored of the results that the code names, with its settings; {} without a file.

        Raises ValueError if the file is damaged or of another protocol.
        """
        records = self._records() if self._json.is_file() else {}
        wanted = self.results.keys() - set(self._stale(records))
        return {name: row for name, row in records.items() if name in wanted}

    @property
    def _json(self) -> Path:
        return self.folder / "stored.json"

    @property
    def _npz(self) -> Path:
        return self.folder / "stored.npz"

    def _stale(self, records: Mapping[str, Any]) -> list[str]:
        """Names of results that were made with other settings or seeds than the code has now."""
        both = [name for name in records if name in self.results]
        return [
            name for name in both if not _of(self.results[name]).items() <= records[name].items()
        ]

    def _records(self) -> dict[str, Any]:
        try:
            stored = json.loads(self._json.read_text("utf-8"))
            protocol = dict(stored["protocol"])
            records = stored["results"]
            complete = all(
                row.keys() >= {"settings", "seeds", "numbers"} for row in records.values()
            )
            if not complete:
                raise KeyError("settings, seeds or numbers")
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{self._json} is missing; to make it, type: {self.command}"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._damaged(self._json, error) from error
        for name in sorted(protocol.keys() | self.protocol.keys()):
            before, now = protocol.get(name), self.protocol.get(name)
            if before != now:
                raise OtherProtocol(
                    f"{self._json} was made with {name} = {before}, now it is {now}; change that "
                    f"back, or make all results anew: {self.command} --again"
                )
        return records

    def _read_arrays(self) -> dict[str, np.ndarray]:
        if not self._npz.is_file():
            raise FileNotFoundError(
                f"{self._npz} is missing; to make it, type: {self.command} --again"
            )
        try:
            with np.load(io.BytesIO(self._npz.read_bytes()), allow_pickle=False) as arrays:
                return dict(arrays)
        except Exception as error:  # a zip file can be damaged in many ways
            raise self._damaged(self._npz, error) from error

    def _damaged(self, file: Path, error: Exception) -> ValueError:
        return ValueError(
            f"{file} is damaged ({type(error).__name__}: {error}); delete stored.json and "
            f"stored.npz there and type: {self.command}"
        )

    def write(self, records: dict[str, Any]) -> None:
        """Put these results, as `current` returns them, in the place of all that are there."""
        ordered = {name: records[name] for name in self.results if name in records}
        contents = {"protocol": self.protocol, "results": ordered}
        text = json.dumps(contents, indent=1, default=_number) + "\n"
        with whole_file(self._json) as out:
            out.write(text.encode())


def numbers_of(stem: str) -> dict[str, dict[str, Any]]:
    """What another lesson has stored, arrays aside, by result: to set numbers beside each other.

    Lessons do not import each other, so whether it is of that lesson's protocol is not checked.
    """
    results = json.loads((FOLDER / stem / "stored.json").read_text("utf-8"))["results"]
    numbers = [lesson.number for lesson in SYLLABUS.values() if lesson.stem == stem]
    command = f"node-tutorial train {(numbers or [stem])[0]}"
    return _Results({name: row["numbers"] for name, row in results.items()}, command)


def machine() -> str:
    """What results are measured on: "x86_64, torch 2.13.0, Python 3.12.3, 1 thread"."""
    threads = torch.get_num_threads()
    together = f", {processes()} processes" if processes() > 1 else ""
    return (
        f"{platform.machine()}, torch {torch.__version__}, Python {platform.python_version()}, "
        f"{threads} thread{'s' * (threads > 1)}{together}"
    )


def _of(run: Run) -> dict[str, Any]:
    return {"settings": _plain(run.settings), "seeds": list(run.seeds)}


def _plain(value: Any) -> Any:
    """As json gives it back: NamedTuples and dataclasses as dicts, tuples as lists."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    elif hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def _number(value: Any) -> float | int:
    """Of numpy or torch, for json."""
    return value.item()
