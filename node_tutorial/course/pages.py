"""What README.md and docs/ take from the syllabus, the lessons and their exercises.

`python docs/build.py --kit` writes it.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from .exercises import Exercise
from .notebooks import cells_of, contents, exercise_ids, times
from .syllabus import PARTS, READY, SYLLABUS

__all__ = ["pages", "with_table"]

TABLE = re.compile(r"(?<=<!-- lessons -->\n).*?(?=<!-- end of lessons -->)", re.DOTALL)

# What one may come for, and the lessons that lead there; those that they need come by themselves.
GOALS = {
    "The solver: how it works, when it fails, what a gradient through it costs": ("04", "06", "20"),
    "Time series: irregular, noisy, with a forecast and its band": ("12", "13", "23"),
    "Generative models: all families, beside each other": ("19",),
}

LESSON_BY_LESSON = """# Lesson by lesson

<!-- made by docs/build.py from the lessons and their exercises: change those, not this -->

For whoever [teaches](teaching.md): the parts of each lesson, what to let predict, and the mistakes
that its exercises recognize.
The minutes of a part are its share of the reading time that the lesson states, by words and lines
of code. They do not include the exercises.
Each recognized mistake gets a hint of its own; the list says what to be prepared for.
"""


def pages(root: Path, exercises: Mapping[str, Exercise]) -> dict[str, str]:
    """The pages of the checkout `root` that hold what is made from the lessons, as they should be.

    Raises:
        ValueError: a page has no place for its table, or a lesson does not state its times.
    """
    return {
        "README.md": with_table(root / "README.md", syllabus_table()),
        "docs/teaching.md": with_table(root / "docs/teaching.md", lecturers_table(root)),
        "docs/is_this_for_me.md": with_table(root / "docs/is_this_for_me.md", paths_table(root)),
        "docs/lessons.md": lesson_by_lesson(root, exercises),
    }


def with_table(page: Path, table: str) -> str:
    """The text of `page` with `table` between its two marks."""
    text, places = TABLE.subn(lambda _: table, page.read_text("utf-8"))
    if places != 1:
        raise ValueError(
            f"{page.name}: its table belongs between two lines, '<!-- lessons -->' and "
            "'<!-- end of lessons -->'"
        )
    return text


def syllabus_table() -> str:
    """The lessons by parts, with a link to each that is ready."""
    lines = ["| No. | Lesson | About |", "| --- | --- | --- |"]
    for part, name in PARTS.items():
        lines.append(f"| | **{name}** | |")
        for lesson in SYLLABUS.values():
            if lesson.part != part:
                continue
            if lesson.ready:
                link = f"[{lesson.title}](notebooks/{lesson.notebook})"
                lines.append(f"| {lesson.number} | {link} | {lesson.about} |")
            else:
                lines.append(f"| {lesson.number} | {lesson.title} | *planned*: {lesson.about} |")
    return "\n".join(lines) + "\n"


def lecturers_table(root: Path) -> str:
    """A line for each lesson: what it takes, and where to open it without an installation."""
    lines = [
        "| lesson | minutes to read | seconds to run | exercises | open |",
        "| --- | --- | --- | --- | --- |",
    ]
    for lesson in READY.values():
        cells = cells_of(root / "notebooks" / lesson.notebook)
        minutes, seconds = times(cells, lesson.notebook)
        lines.append(
            f"| [{lesson.number} {lesson.title}](../notebooks/{lesson.notebook}) | {minutes} "
            f"| {seconds} | {len(exercise_ids(cells))} "
            f"| [Binder]({lesson.binder}) |"
        )
    return "\n".join(lines) + "\n"


def paths_table(root: Path) -> str:
    """For each of GOALS the lessons on the shortest way, in order, and the hours to read them."""
    lines = ["| I come for | lessons | hours |", "| --- | --- | --- |"]
    for goal, ends in GOALS.items():
        way: set[str] = set()
        ahead = [end for end in ends if end in READY]
        while ahead:
            number = ahead.pop()
            way.add(number)
            ahead += [need for need in SYLLABUS[number].needs if need not in way]
        minutes = 0
        links = []
        for number in sorted(way):
            lesson = READY[number]
            cells = cells_of(root / "notebooks" / lesson.notebook)
            minutes += int(times(cells, lesson.notebook).minutes_to_read.split("-")[-1])
            links.append(f"[{number}](../notebooks/{lesson.notebook})")
        lines.append(f"| {goal} | {', '.join(links)} | {minutes / 60:.0f} |")
    return "\n".join(lines) + "\n"


def lesson_by_lesson(root: Path, exercises: Mapping[str, Exercise]) -> str:
    """docs/lessons.md: the parts with their minutes, the predictions, the recognized mistakes."""
    text = LESSON_BY_LESSON
    for lesson in READY.values():
        cells = cells_of(root / "notebooks" / lesson.notebook)
        minutes = int(times(cells, lesson.notebook).minutes_to_read.split("-")[-1])
        sizes, predictions = contents(cells)
        total = sum(sizes.values())
        shares = " · ".join(
            f"{part} ({max(1, round(minutes * size / total))})"
            for part, size in sizes.items()
            if size
        )
        text += f"\n## {lesson.number} {lesson.title}\n\n**Parts** (minutes): {shares}\n"
        text += "\n**Predict**\n\n"
        text += "".join(f"- {question} *({part})*\n" for part, question in predictions)
        text += "\n**Mistakes**\n\n"
        for exercise in exercises.values():
            if exercise.id.startswith(lesson.number):
                names = "; ".join(mistake.name for mistake in exercise.mistakes)
                text += f"- {exercise.id} “{exercise.title}”: {names}\n"
    return text
