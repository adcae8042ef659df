"""`node-tutorial train NN`: make the long runs of a lesson that are not stored yet."""

import traceback
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from ..training import processes, rank
from ..training.distributed import wait_for_all
from .runs import OtherProtocol, Runs


def train(runs: Runs, only: str = "", again: bool = False, to: Path | None = None) -> int:
    """Make the results that are not stored yet, on one thread; 1 if some are missing then, else 0.

    Where torchrun has started several processes they make each result together, and the first of
    them stores it. Then the first failure ends it all.

    only: a part of the names of those to make. again: also those that are there. to: a folder for
    the files, in place of the lesson's.

    Raises SystemExit if that cannot be: no such name, a folder that cannot be written, files that
    are damaged or of another protocol.
    """
    home = runs.folder
    if to is not None:
        runs.read_from(to / runs.stem)
    try:
        return _train(runs, only, again)
    finally:
        runs.read_from(home)


def _train(runs: Runs, only: str, again: bool) -> int:
    names = [name for name in runs.results if only in name]
    if not names:
        raise SystemExit(f"No result has {only!r} in its name. There are\n{_list(runs.results)}")
    there = _there(runs, anew=again and not only)
    wanted = [name for name in names if again or name not in there]
    failed: list[str] = []
    if wanted:
        torch.set_num_threads(1)
        if rank() == 0:
            _check_writable(runs.folder)
            runs.write(there)
        failed = _make(runs, wanted)
    if rank():
        return 0
    there = runs.current()
    print(f"{len(there)} of {len(runs.results)} results are stored in {runs.folder}")
    if failed:
        print(f"{len(failed)} failed:\n{_list(failed)}")
    return 1 if failed or not there.keys() >= set(names) else 0


def _there(runs: Runs, anew: bool) -> dict[str, Any]:
    """What is stored already; nothing, if that is of another protocol and is to be made anew."""
    try:
        return runs.current()
    except OtherProtocol as error:
        if anew:
            return {}
        raise SystemExit(str(error)) from None
    except ValueError as error:
        raise SystemExit(str(error)) from None


def _make(runs: Runs, names: list[str]) -> list[str]:
    """Make and store these results, until Ctrl-C; what failed, and why."""
    from tqdm import tqdm

    failed = []
    shown = rank() == 0
    with tqdm(total=len(names), unit="result", disable=not shown) as bar, warnings.catch_warnings():
        # A training that diverges, or that Ctrl-C ends early, only warns; it must not be stored.
        warnings.filterwarnings("error", "diverged|interrupted", RuntimeWarning)
        for name in names:
            bar.set_postfix_str(name)
            run = runs.results[name]
            try:
                _store(runs, name, run.make(run.settings, run.seeds))
            except (KeyboardInterrupt, Exception) as error:
                if isinstance(error, KeyboardInterrupt) or str(error).startswith("interrupted"):
                    if shown:
                        bar.write("Interrupted; what has been made is stored.")
                    break
                if processes() > 1:
                    raise
                failed.append(f"{name}: {type(error).__name__}: {error}")
                bar.write(traceback.format_exc())
            bar.update()
    return failed


def _store(runs: Runs, name: str, found: dict[str, Any]) -> None:
    if rank() == 0:
        runs.store(name, found)
    wait_for_all()
    runs.read_from(runs.folder)  # the next result may read this one


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / ".trial"
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise SystemExit(
            f"Nothing can be stored in {folder} ({error}). Choose another folder: --to DIR"
        ) from None


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)
