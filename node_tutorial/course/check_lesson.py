"""`node-tutorial lesson`: execute a lesson, check all that is asked of it, show one screen."""

import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

import nbformat

from . import player
from .execute import LessonFailed, execute, store
from .syllabus import Lesson

__all__ = ["check_lesson"]

CELL_BUDGET = 30.0  # seconds of processor time
LESSON_BUDGET = 90.0


class Result(NamedTuple):
    """One line of the screen; below it a note, such as what the first failure says."""

    what: str
    passed: int
    failed: int
    note: str
    seconds: float

    def __str__(self) -> str:
        counts = f"{self.passed} passed" + (f", {self.failed} failed" if self.failed else "")
        line = f"{self.what:<30}{counts:<24}{self.seconds:5.0f} s"
        return f"{line}\n    {self.note}" if self.note else line


def check_lesson(root: Path, lesson: Lesson, explorables: list[str]) -> int:
    """Print one screen about a lesson of the checkout `root`; 1 if anything failed, else 0.

    The lesson is executed and stored first, unless a cell fails. Explorables to record are named
    last; they are no failure.

    explorables: the names of those that belong to the lesson.
    """
    print(f"{lesson.number} {lesson.title}")
    executed = _execute(root / "notebooks" / lesson.notebook)
    print(executed, flush=True)
    results = [executed, *_tests(root, lesson, explorables)]
    print(*results[1:], sep="\n")
    print(to_record(root, lesson, explorables), end="")
    return int(any(result.failed or not result.passed for result in results))


def to_record(root: Path, lesson: Lesson, explorables: list[str]) -> str:
    """Which explorables of a lesson have no recording of what they are now, and what to type."""
    versions = player.libraries(root / "constraints.txt")
    reasons = {name: player.stale(name, lesson.stem, versions) for name in explorables}
    wrong = {name: reason for name, reason in reasons.items() if reason}
    if not wrong:
        return ""
    lines = [f"record {name}: {reason}" for name, reason in wrong.items()]
    return "\n".join([*lines, f"    python docs/build.py --record {' '.join(wrong)}", ""])


def _execute(path: Path) -> Result:
    """Execute a notebook in place; a cell or a lesson over its budget counts as a failure."""
    start = time.perf_counter()
    notebook = nbformat.read(path, as_version=4)
    try:
        spent = execute(notebook, path.parent)
    except LessonFailed as error:
        return Result("executed", 0, 1, str(error), time.perf_counter() - start)
    store(notebook, path)
    problems = [
        f"cell [{number}] takes {seconds:.0f} s of processor time, the limit is {CELL_BUDGET:.0f}"
        for number, seconds in enumerate(spent, start=1)
        if seconds > CELL_BUDGET
    ]
    if sum(spent) > LESSON_BUDGET:
        problems.append(
            f"it takes {sum(spent):.0f} s of processor time, the limit is {LESSON_BUDGET:.0f}"
        )
    slowest = spent.index(max(spent)) + 1
    note = f"{sum(spent):.0f} s of processor time, {max(spent):.0f} s of it in cell [{slowest}]"
    passed = len(spent) - len(problems)
    seconds = time.perf_counter() - start
    return Result("executed", passed, len(problems), "\n    ".join([*problems, note]), seconds)


def _tests(root: Path, lesson: Lesson, explorables: list[str]) -> list[Result]:
    """All tests that concern a lesson, in one process."""
    facts = f"test_{lesson.stem}"
    groups = {  # the name of a file, as pytest reports it -> what its tests check
        f"notebooks.{lesson.name}": "compared with its outputs",
        "test_standard": "the standard for lessons",
        "test_explorables": "its explorables",
        "test_exercises": "its exercises",
        facts: "its facts",
        "test_site": "README and docs",
    }
    files = [
        f"notebooks/{lesson.notebook}",
        "tests/lessons/test_standard.py",
        "tests/lessons/test_explorables.py",
        "tests/lessons/test_exercises.py",
        f"tests/lessons/{facts}.py",
        "tests/test_site.py",
    ]
    if (root / "node_tutorial" / "lessons" / lesson.stem / "stored.json").exists():
        groups["test_runs"] = "its long runs"
        files.append("tests/lessons/test_runs.py")
    chosen = [
        lesson.name,
        f"{lesson.number}.",
        *explorables,
        facts,
        f"[{lesson.stem}]",
        "test_site",
    ]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider"),
                *("-o", "junit_family=legacy"),  # the tests record properties
                *(f"--junitxml={report}", "-k", " or ".join(chosen)),
                *(file for file in files if (root / file).exists()),
            ],
            cwd=root,
            capture_output=True,
            text=True,
        )
        if not report.exists():
            raise SystemExit(f"pytest did not start:\n{done.stdout}{done.stderr}")
        cases = list(ElementTree.parse(report).iter("testcase"))
    results = []
    for name, what in groups.items():
        mine = [case for case in cases if _file_of(case).endswith(name)]
        results.append(_result(what, mine))
    return results


def _file_of(case: ElementTree.Element) -> str:
    return case.get("classname", "").removesuffix(".ipynb")


def _result(what: str, cases: list[ElementTree.Element]) -> Result:
    """Count the tests of one file; no test at all is a failure, too."""
    if not cases:
        return Result(what, 0, 1, "there are no tests for it", 0.0)
    failures = [
        failure
        for case in cases
        for failure in (case.find("failure"), case.find("error"))
        if failure is not None
    ]
    skipped = sum(case.find("skipped") is not None for case in cases)
    passed = len(cases) - len(failures) - skipped
    seconds = sum(float(case.get("time", 0)) for case in cases)
    note = _sentence(failures[0].get("message", "")) if failures else ""
    return Result(what, passed, len(failures), note, seconds)


def _sentence(message: str) -> str:
    """What a failure says, without the traces of the machinery."""
    plain = re.sub(r"(\x1b|#x1B)\[[0-9;]*m", "", message)
    said = re.split(r"\nassert |\nE ", plain)[0].strip()
    return said.removeprefix("AssertionError: ").replace("\n", "\n    ")
