"""A learner's copies of the lessons: what was changed stays, the rest follows new versions."""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["copy_lessons", "reset_lesson"]

MANIFEST = ".node_tutorial.json"  # in the learner's folder: what each lesson was when copied


def ask(name: str) -> str:
    """What to do with a lesson that both the learner and a new version changed: k, r or b."""
    if not sys.stdin.isatty():
        return "k"
    question = f"{name}: you changed it, and a new version is here. [k]eep, [r]eplace, [b]ackup? "
    while True:
        try:
            answer = input(question).strip().lower()[:1]
        except EOFError:
            return "k"
        if answer in ("k", "r", "b"):
            return answer


def copy_lessons(source: Path, target: Path, ask: Callable[[str], str] = ask) -> None:
    """Bring ``target`` up to date with the lessons in ``source``, keeping what a learner wrote.

    A lesson that the learner did not touch follows the new version. One that only the learner
    changed stays. Where both changed, ``ask`` decides. A file that is no notebook, such as half a
    copy, is set aside.
    """
    target.mkdir(parents=True, exist_ok=True)
    copied = _read_manifest(target)
    for lesson in sorted(source.glob("[0-9][0-9]_*.ipynb")):
        mine = target / lesson.name
        new = _digest(lesson)
        old = _digest(mine) if mine.exists() else None
        if old == new:
            pass
        elif old in (None, copied.get(lesson.name)):
            _put(lesson, mine)
        elif not _is_notebook(mine):
            backup = _set_aside(mine).name
            print(f"{lesson.name}: what was there is no notebook, and is now {backup}")
            _put(lesson, mine)
        elif copied.get(lesson.name) != new:
            answer = ask(lesson.name)
            if answer == "b":
                print(f"{lesson.name}: your version is now {_set_aside(mine).name}")
            if answer == "k":
                print(
                    f"{lesson.name}: kept as you changed it; for the new version: node-tutorial "
                    f"reset {lesson.stem}"
                )
            else:
                _put(lesson, mine)
        copied[lesson.name] = new
    _write_manifest(target, copied)


def _read_manifest(folder: Path) -> dict[str, str]:
    """What each lesson was when copied; nothing, if there is no manifest or a damaged one."""
    content = _json(folder / MANIFEST)
    return content if isinstance(content, dict) else {}


def _write_manifest(folder: Path, copied: dict[str, str]) -> None:
    with _renamed_to(folder / MANIFEST) as beside:
        beside.write_text(json.dumps(copied, indent=1) + "\n", "utf-8")


def _put(lesson: Path, mine: Path) -> None:
    with _renamed_to(mine) as beside:
        shutil.copyfile(lesson, beside)


@contextmanager
def _renamed_to(file: Path) -> Iterator[Path]:
    """Where to write a file that is renamed to `file` when it is whole, and never half there."""
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        yield beside
        os.replace(beside, file)
    finally:
        beside.unlink(missing_ok=True)


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8-sig"))
    except (FileNotFoundError, ValueError):
        return None


def _is_notebook(file: Path) -> bool:
    content = _json(file)
    return isinstance(content, dict) and "cells" in content


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _set_aside(file: Path) -> Path:
    number = 1
    while (backup := file.with_name(f"{file.stem}.backup{number}{file.suffix}")).exists():
        number += 1
    return file.rename(backup)


def reset_lesson(lesson: Path, folder: Path) -> None:
    """Put ``lesson`` into ``folder`` as it was; what a learner changed stays beside it.

    Raises:
        SystemExit: there is no such folder, or it has the originals.
        OSError: it cannot be written.
    """
    mine = folder / lesson.name
    if not folder.is_dir():
        raise SystemExit(
            f"There is no folder {folder}. To make one, type: node-tutorial open --folder DIR"
        )
    if folder.resolve() == lesson.parent:
        raise SystemExit(
            f"{folder} has the originals, there is nothing to reset. Choose another folder: "
            "--folder DIR"
        )
    if mine.exists() and _digest(mine) == _digest(lesson):
        print(f"{mine} is as it was.")
        return
    with _renamed_to(mine) as beside:
        shutil.copyfile(lesson, beside)  # first what may fail
        if mine.exists():
            print(f"Your version is now {_set_aside(mine)}")
    _write_manifest(folder, _read_manifest(folder) | {lesson.name: _digest(lesson)})
    print(
        f"{mine} is as it was. If it is open in JupyterLab, close its tab without saving, and "
        "open it again."
    )
