"""Build the site of the course: README.md as its first page, the executed lessons, docs/*.md.

    python docs/build.py            write build/site/_build/html/index.html; a warning is an error
    python docs/build.py --kit      bring what docs/teaching.md and docs/lessons.md take from the
    lessons up to date

The pages keep their places in the repository, so that links between them hold. Links to other files
lead to GitHub.
"""

import argparse
import json
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "build" / "site"
REPOSITORY = "https://github.com/node-tutorial/node_tutorial"
BINDER = "https://mybinder.org/v2/gh/node-tutorial/node_tutorial/HEAD?urlpath=lab/tree/notebooks"
COLAB = "https://colab.research.google.com/github/node-tutorial/node_tutorial/blob/main/notebooks"
TABLE = re.compile(r"(?<=<!-- lessons -->\n).*?(?=<!-- end of lessons -->)", re.DOTALL)

NOTE = """```{{note}}
This page was made from the executed lesson. Its explorables are pictures here, its exercises do not answer.
To move and to answer, open it [on Binder]({binder}/{name}), or [on your machine](../index.md#start).
```"""

KIT = """# Lesson by lesson

<!-- made by docs/build.py --kit from the lessons and their exercises: change those, not this -->

For whoever [teaches](teaching.md): the parts of each lesson, what to let predict, and the mistakes that its exercises
recognize.
The minutes of a part are its share of the reading time that the lesson states, by words and lines of code.
They do not include the exercises.
Each recognized mistake gets a hint of its own; the list says what to be prepared for.
"""


# -------------------------------------------------------------------------------- what there is


def lessons():
    """The lessons, in order."""
    return sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def parts():
    """The parts of the course as the table of README.md has them: title -> numbers of its lessons,
    "00", "01", ...
    """
    found = {}
    for part, number in re.findall(
        r"^\| +\| \*\*(.+?)\*\*|^\| (\d\d) \|", read("README.md"), re.MULTILINE
    ):
        if part:
            found[part] = numbers = []
        else:
            numbers.append(number)
    return found


def read(name):
    return (ROOT / name).read_text("utf-8")


# ---------------------------------------------------------------------------------- the pages


def contents():
    """The table of contents, as jupyter-book reads it."""
    lines = ["format: jb-book", "root: index", "parts:"]
    for part, numbers in parts().items():
        here = [lesson.stem for lesson in lessons() if lesson.stem[:2] in numbers]
        if here:
            lines += [
                f"- caption: {json.dumps(part)}",
                "  chapters:",
                *(f"  - file: notebooks/{name}" for name in here),
            ]
    lines += ['- caption: "Further pages"', "  chapters:"]
    lines += [f"  - file: docs/{file.stem}" for file in sorted((ROOT / "docs").glob("*.md"))]
    missing = [lesson.name for lesson in lessons() if f"/{lesson.stem}" not in "\n".join(lines)]
    if missing:
        raise SystemExit(
            f"README.md: the table of lessons has no line for {', '.join(missing)}; add one."
        )
    return "\n".join(lines) + "\n"


def first_page():
    """README.md, with the lessons before the installation."""
    head, *sections = re.split(r"(?m)^(?=## )", read("README.md"))
    return head + "".join(
        sorted(sections, key=lambda section: not section.startswith("## Lessons\n"))
    )


def page(text, folder):
    """Markdown whose links to what is not on the site lead to GitHub; `folder` is where it lies in
    the repository.
    """

    def target(match):
        path, anchor = match[1], match[2] or ""
        file = (ROOT / folder / path).resolve()
        on_site = file.suffix in (".ipynb", ".png") or (
            file.suffix == ".md" and file.parent == ROOT / "docs"
        )
        if (
            on_site or not file.exists()
        ):  # what does not exist is no link, but code: modes["replay"](func)
            return match[0]
        if file == ROOT / "README.md":
            return f"]({'../' if folder else ''}index.md{anchor})"
        kind = "tree" if file.is_dir() else "blob"
        return f"]({REPOSITORY}/{kind}/main/{file.relative_to(ROOT).as_posix()}{anchor})"

    return re.sub(r"\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)", target, text)


def lesson_page(path):
    """A lesson as the site shows it: with a note after its header, and with the sentence of a
    picture as its `alt`.
    """
    notebook = json.loads(path.read_text("utf-8"))
    note = NOTE.format(binder=BINDER, name=path.name)
    notebook["cells"].insert(
        1, {"cell_type": "markdown", "id": "site-note", "metadata": {}, "source": note}
    )
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = page("".join(cell["source"]), "notebooks")
        pictures = [
            output["data"]
            for output in cell.get("outputs", [])
            if "image/png" in output.get("data", {})
        ]
        if pictures:
            cell["metadata"]["mystnb"] = {"image": {"alt": "".join(pictures[0]["text/plain"])}}
    notebook["metadata"]["language_info"]["pygments_lexer"] = "ipython3"
    return json.dumps(notebook)


def write_sources(folder):
    """Write all that jupyter-book needs into `folder`, which is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("docs", "notebooks", "_static"):
        (folder / name).mkdir(parents=True)
    for lesson in lessons():
        (folder / "notebooks" / lesson.name).write_text(lesson_page(lesson), "utf-8")
    for source in sorted((ROOT / "docs").iterdir()):
        if source.suffix == ".md":
            (folder / "docs" / source.name).write_text(
                page(source.read_text("utf-8"), "docs"), "utf-8"
            )
        elif source.suffix == ".png":
            shutil.copy(source, folder / "docs")
    shutil.copy(ROOT / "docs" / "site.css", folder / "_static")
    shutil.copy(ROOT / "docs" / "_config.yml", folder)
    (folder / "_toc.yml").write_text(contents(), "utf-8")
    (folder / "index.md").write_text(page(first_page(), ""), "utf-8")


# ------------------------------------------------------------------------------ for lecturers


def table():
    """A line for each lesson: what it takes, and where to open it without an installation."""
    lines = [
        "| lesson | minutes to read | seconds to run | exercises | open |",
        "| --- | --- | --- | --- | --- |",
    ]
    for path in lessons():
        cells = json.loads(path.read_text("utf-8"))["cells"]
        title, minutes, seconds = header(cells)
        exercises = {
            id
            for cell in cells
            for id in re.findall(r'\bcheck\("(\d\d\.\d+)"', "".join(cell["source"]))
        }
        lines.append(
            f"| [{title}](../notebooks/{path.name}) | {minutes} | {seconds} | {len(exercises)} "
            f"| [Binder]({BINDER}/{path.name}), [Colab]({COLAB}/{path.name}) |"
        )
    return "\n".join(lines) + "\n"


def header(cells):
    """The title of a lesson, its minutes and its seconds, as its first cell states them."""
    first = "".join(cells[0]["source"])
    minutes = re.search(r"\*\*Reading time\*\*:? *\D{0,9}(\d+(-\d+)?) minutes", first)[1]
    seconds = re.search(r"\*\*Running time\*\*:? *\D{0,9}(\d+(-\d+)?) seconds", first)[1]
    return re.match(r"# (.+)", first)[1], minutes, seconds


def kit():
    """docs/lessons.md: of each lesson the parts with their minutes, the predictions, the recognized
    mistakes.
    """
    from node_tutorial.exercises import load_all

    text = KIT
    for path in lessons():
        cells = json.loads(path.read_text("utf-8"))["cells"]
        title, minutes, _ = header(cells)
        sizes, questions = sections(cells)
        total, last = sum(sizes.values()), int(minutes.split("-")[-1])
        shares = [
            f"{name} ({max(1, round(last * size / total))})" for name, size in sizes.items() if size
        ]
        text += f"\n## {title}\n\n**Parts** (minutes): {' · '.join(shares)}\n\n**Predict**\n\n"
        text += (
            "".join(f"- {question} *({section})*\n" for section, question in questions)
            + "\n**Mistakes**\n\n"
        )
        for exercise in load_all().values():
            if exercise.id.startswith(path.stem[:2]):
                names = "; ".join(mistake.name for mistake in exercise.mistakes)
                text += f"- {exercise.id} “{exercise.title}”: {names}\n"
    return text


def sections(cells):
    """A dictionary section -> size, and a list of (section, prediction). A line of code counts as
    five words.
    """
    sizes, questions, section = {}, [], "beginning"
    for cell in cells[1:]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            sizes[section] = sizes.get(section, 0) + 5 * len(
                [line for line in source.splitlines() if line.strip()]
            )
            continue
        for paragraph in re.split(r"\n\s*\n", source):
            if heading := re.match(r"##+ (.*)", paragraph):
                section = heading[1]
            if section.startswith(("What to remember", "Pitfalls", "Further reading", "Glossary")):
                continue
            sizes[section] = sizes.get(section, 0) + len(paragraph.split())
            if "**Predict" in paragraph and not paragraph.startswith("**Exercise"):
                question = re.sub(
                    r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(paragraph.split())
                )  # without links
                question = re.sub(
                    r"\*\*Predict(?: first)?\*\*: *([a-z]|)",
                    lambda match: match[1].upper(),
                    question,
                )
                questions.append((section, question.replace("**", "")))
    return sizes, questions


def main():
    parser = argparse.ArgumentParser(
        prog="docs/build.py", description="Build the site of the course."
    )
    parser.add_argument(
        "--kit", action="store_true", help="bring the pages for lecturers up to date instead"
    )
    if parser.parse_args().kit:
        file = ROOT / "docs" / "teaching.md"
        file.write_text(TABLE.sub(lambda _: table(), file.read_text("utf-8")), "utf-8")
        (ROOT / "docs" / "lessons.md").write_text(kit(), "utf-8")
        return 0
    write_sources(SITE)
    from jupyter_book.cli.main import main as jupyter_book

    return jupyter_book(["build", str(SITE), "-W", "--keep-going", "-n"])


if __name__ == "__main__":
    raise SystemExit(main())
