"""A learner's copies of the lessons: what was changed stays, the rest follows new versions."""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

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
    changed stays. Where both changed, ``ask`` decides.
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
            shutil.copyfile(lesson, mine)
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
                shutil.copyfile(lesson, mine)
        copied[lesson.name] = new
    _write_manifest(target, copied)


def _read_manifest(folder: Path) -> dict[str, str]:
    manifest = folder / MANIFEST
    return json.loads(manifest.read_text("utf-8")) if manifest.exists() else {}


def _write_manifest(folder: Path, copied: dict[str, str]) -> None:
    (folder / MANIFEST).write_text(json.dumps(copied, indent=1) + "\n", "utf-8")


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _set_aside(file: Path) -> Path:
    number = 1
    while (backup := file.with_name(f"{file.stem}.backup{number}{file.suffix}")).exists():
        number += 1
    return file.rename(backup)


def reset_lesson(lesson: Path, folder: Path) -> None:
    """Put ``lesson`` into ``folder`` as it was; what a learner changed stays beside it."""
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
    if mine.exists():
        print(f"Your version is now {_set_aside(mine)}")
    shutil.copyfile(lesson, mine)
    _write_manifest(folder, _read_manifest(folder) | {lesson.name: _digest(lesson)})
    print(
        f"{mine} is as it was. If it is open in JupyterLab, close its tab without saving, and "
        "open it again."
    )
