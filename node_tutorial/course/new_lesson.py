"""`node-tutorial new`: a lesson of 25 cells that runs, and says what is to be written.

What it holds lies in `template/`, one file for each; words in <angle brackets> are filled in.
"""

import keyword
import re
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from .execute import store
from .syllabus import PARTS, SYLLABUS, TEXT, Lesson, neighbors, read, write

__all__ = ["create", "planned"]

TEMPLATE = Path(__file__).parent / "template"
SNAKE_CASE = r"[a-z][a-z0-9]*(_[a-z0-9]+)*"


def planned(
    number: str, stem: str, title: str, part: str, needs: tuple[str, ...]
) -> dict[str, Lesson]:
    """The syllabus with this lesson; what is empty is as the syllabus has it.

    Raises:
        SystemExit: that says what does not fit.
    """
    known = SYLLABUS.get(number)
    if known is not None and known.ready:
        raise SystemExit(f"Lesson {number} exists: {known.name}. Choose another number.")
    if not re.fullmatch(r"\d\d", number):
        raise SystemExit(f"A lesson has a number of two digits, as 07 or 25, not {number!r}.")
    if known is None and not (stem and title):
        raise SystemExit(
            f"The syllabus plans no lesson {number}. Give it a stem and a title: "
            f'node-tutorial new {number} stem "Title"'
        )
    last = max((other for other in SYLLABUS if other < number), default="")
    otherwise = known or Lesson(number, "", "", SYLLABUS[last].part if last else "I", (), "TODO")
    lesson = Lesson(
        number,
        stem or otherwise.stem,
        title or otherwise.title,
        part or otherwise.part,
        needs or otherwise.needs,
        otherwise.about,
    )
    if not re.fullmatch(SNAKE_CASE, lesson.stem) or keyword.iskeyword(lesson.stem):
        raise SystemExit(
            f"{lesson.stem!r} cannot be the name of a folder that Python imports. Write words in "
            "lower case with underscores between them, as flow_matching."
        )
    if lesson.part not in PARTS:
        raise SystemExit(f"There is no part {lesson.part!r}. The parts are {', '.join(PARTS)}.")
    lessons = {**SYLLABUS, number: lesson}
    lessons = dict(sorted(lessons.items()))
    try:
        read(write(PARTS, lessons))
    except ValueError as error:
        raise SystemExit(f"{error}.") from None
    return lessons


def create(root: Path, lessons: dict[str, Lesson], number: str, explorable: str) -> None:
    """Write lesson `number` of the syllabus `lessons` into the checkout `root`, and execute it.

    Raises:
        SystemExit: a file is there already, the name of the explorable does not fit, or the lesson
            does not run.
    """
    lesson = lessons[number]
    package = root / "node_tutorial"
    folder = package / "lessons" / lesson.stem
    notebook = root / "notebooks" / lesson.notebook
    table = (package / "explore.py").read_text("utf-8")
    if not re.fullmatch(SNAKE_CASE, explorable) or keyword.iskeyword(explorable):
        raise SystemExit(f"{explorable!r} is no name in lower case with underscores.")
    if explorable in ("figures", "runs") or re.search(rf"\b{explorable}\b", table):
        raise SystemExit(f"The name {explorable!r} is taken. Choose another: --explorable NAME")
    files = {
        folder / f"{explorable}.py": "explorable",
        folder / "figures.py": "figures",
        folder / "exercises.py": "exercises",
        root / "tests" / "lessons" / f"test_{lesson.stem}.py": "test",
    }
    for path in (folder, notebook, *files):
        if path.exists():
            raise SystemExit(f"{path.relative_to(root)} is there already. Choose another stem.")

    words = _words(lesson, lessons, explorable)
    folder.mkdir()
    (folder / "__init__.py").touch()
    for path, name in files.items():
        _write(path, _filled(name, words))
    syllabus = package / "course" / "syllabus.py"
    text = write(PARTS, lessons)
    _write(syllabus, syllabus.read_text("utf-8").replace(TEXT, text))
    _write(package / "explore.py", _with_line(table, lessons, lesson, explorable))
    teaching = root / "docs" / "teaching.md"
    _write(teaching, _with_row(teaching.read_text("utf-8"), lesson))
    for other, way in zip(neighbors(lesson.number), ("Next", "Back")):
        if other is not None:
            _link(root / "notebooks" / other.notebook, way, lesson)
    nbformat.write(_cells(_filled("notebook", words)), notebook)
    _run("-m", f"{__package__}.execute", str(notebook))
    _run(str(root / "docs" / "build.py"), "--kit")


def _run(*command: str) -> None:
    """Run Python in a process of its own: this one has read the syllabus as it was."""
    if subprocess.run([sys.executable, *command]).returncode:
        raise SystemExit(f"All files are written, but this failed: python {' '.join(command)}")


def _words(lesson: Lesson, lessons: dict[str, Lesson], explorable: str) -> dict[str, str]:
    """What stands for the words in angle brackets."""
    before, after = neighbors(lesson.number)
    links = [
        f"**{way}**: [{other.number} {other.title}]({other.notebook})."
        for way, other in (("Next", after), ("Back", before))
        if other is not None
    ]
    if after is None:
        links.insert(0, "**Next**: TODO: what is planned.")
    needed = [lessons[number] for number in lesson.needs]
    prerequisites = [
        f"[{other.number} {other.title}]({other.notebook})"
        if other.ready
        else f"{other.number} {other.title} (planned)"
        for other in needed
    ]
    return {
        "number": lesson.number,
        "stem": lesson.stem,
        "title": lesson.title,
        "binder": lesson.binder,
        "explorable": explorable,
        "prerequisites": ", ".join([*prerequisites, "TODO: what of it is used"]),
        "links": " ".join(links),
    }


def _filled(name: str, words: dict[str, str]) -> str:
    text = (TEMPLATE / f"{name}.txt").read_text("utf-8")
    return re.sub(rf"<({'|'.join(words)})>", lambda match: words[match[1]], text)


def _cells(text: str) -> nbformat.NotebookNode:
    """A notebook of the cells that stand below lines `# %% [markdown]` and `# %% [code]`."""
    make = {"markdown": new_markdown_cell, "code": new_code_cell}
    _, *parts = re.split(r"^# %% \[(\w+)\]\n", text, flags=re.MULTILINE)
    cells = [make[kind](source.strip("\n")) for kind, source in zip(parts[::2], parts[1::2])]
    return new_notebook(cells=cells)


def _link(path: Path, way: str, lesson: Lesson) -> None:
    """Let the last line of another lesson lead to this one, as its "Next" or its "Back"."""
    notebook = nbformat.read(path, as_version=4)
    cell = [cell for cell in notebook.cells if cell.cell_type == "markdown"][-1]
    *lines, last = cell.source.split("\n")
    parts = dict(re.findall(r"\*\*(Next|Back)\*\*: (.*?)(?= \*\*Back|$)", last))
    parts[way] = f"[{lesson.number} {lesson.title}]({lesson.notebook})."
    line = " ".join(f"**{name}**: {parts[name]}" for name in ("Next", "Back") if name in parts)
    cell.source = "\n".join([*lines, line])
    store(notebook, path)


def _with_line(table: str, lessons: dict[str, Lesson], lesson: Lesson, explorable: str) -> str:
    """The text of explore.py with a line for the explorable, behind those of lessons before it."""
    numbers = {other.stem: other.number for other in lessons.values()}
    lines = table.splitlines(keepends=True)
    place = 0
    for number, line in enumerate(lines, start=1):
        found = re.match(r'\w+ = _of\("(\w+)", ', line)
        if found and numbers[found[1]] < lesson.number:
            place = number
    lines.insert(place, f'{explorable} = _of("{lesson.stem}", "{explorable}")\n')
    return "".join(lines)


def _with_row(text: str, lesson: Lesson) -> str:
    """The text of docs/teaching.md with a row in the plan for 45 or 90 minutes."""
    rows = list(re.finditer(r"^\| (\d\d) \|.*\n", text, re.MULTILINE))
    before = [row for row in rows if row[1] < lesson.number]
    place = before[-1].end() if before else rows[0].start()
    row = f"| {lesson.number} | TODO | | {lesson.number}.1 | TODO |\n"
    return text[:place] + row + text[place:]


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8", newline="\n")
