"""Build the site of the course: README.md as its first page, the executed lessons, docs/*.md.

    python docs/build.py          write build/site/_build/html/index.html, and beside it
                                  node_tutorial.epub; a warning is an error
    python docs/build.py --kit    bring up to date what README.md and docs/ take from the lessons

The site needs neither PyTorch nor the package; what is made from the lessons' exercises needs both.
The pages keep their places in the repository, so that links between them hold. Links to other files
lead to GitHub.
"""

import argparse
import importlib.util
import json
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "build" / "site"

NOTE = """```{{note}}
This page was made from the executed lesson. Its explorables are pictures here, its exercises do not
answer. To move and to answer, open it [on Binder]({binder}), or
[on your machine](../index.md#start).
```"""


BOOK = """
```{only} not epub
All lessons as a book for e-readers, to read without a network:
<a href="node_tutorial.epub" download="">ePub</a>.
```
"""


def _syllabus():
    """course/syllabus.py by its path: the package beside it may not be installed."""
    file = ROOT / "node_tutorial" / "course" / "syllabus.py"
    specification = importlib.util.spec_from_file_location("syllabus", file)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


syllabus = _syllabus()

# -------------------------------------------------------------------------------- what there is


def lessons():
    """The lessons, in order."""
    return sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def read(name):
    return (ROOT / name).read_text("utf-8")


# ---------------------------------------------------------------------------------- the pages


def contents():
    """The table of contents, as sphinx-external-toc reads it."""
    lines = ["format: jb-book", "root: index", "parts:"]
    for part, name in syllabus.PARTS.items():
        here = [lesson.name for lesson in syllabus.READY.values() if lesson.part == part]
        if here:
            lines += [f"- caption: {json.dumps(name)}", "  chapters:"]
            lines += [f"  - file: notebooks/{lesson}" for lesson in here]
    lines += ['- caption: "Further pages"', "  chapters:"]
    lines += [f"  - file: docs/{file.stem}" for file in sorted((ROOT / "docs").glob("*.md"))]
    known = {lesson.notebook for lesson in syllabus.READY.values()}
    missing = [lesson.name for lesson in lessons() if lesson.name not in known]
    if missing:
        raise SystemExit(
            f"node_tutorial/course/syllabus.py does not know {', '.join(missing)}; add a line, and "
            "the lesson's folder in node_tutorial/lessons."
        )
    return "\n".join(lines) + "\n"


def first_page():
    """README.md, with the lessons before the installation."""
    head, *sections = re.split(r"(?m)^(?=## )", read("README.md"))
    first = sorted(sections, key=lambda section: not section.startswith("## Lessons\n"))
    return head + "".join(first) + BOOK


def page(text, folder):
    """Markdown whose links to what is not on the site lead to GitHub.

    folder: where the text lies in the repository.
    """

    def target(match):
        path = match[1]
        anchor = match[2] or ""
        file = (ROOT / folder / path).resolve()
        on_site = file.suffix in (".ipynb", ".png", ".gif") or (
            file.suffix == ".md" and file.parent == ROOT / "docs"
        )
        # What does not exist is no link, but code: modes["replay"](func).
        if on_site or not file.exists():
            return match[0]
        if file == ROOT / "README.md":
            return f"]({'../' if folder else ''}index.md{anchor})"
        kind = "tree" if file.is_dir() else "blob"
        return f"]({syllabus.REPOSITORY}/{kind}/main/{file.relative_to(ROOT).as_posix()}{anchor})"

    return re.sub(r"\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)", target, text)


def lesson_page(path):
    """A lesson as the site shows it: with a note, and with sentences as `alt` of its pictures."""
    notebook = json.loads(path.read_text("utf-8"))
    note = NOTE.format(binder=syllabus.SYLLABUS[path.stem[:2]].binder)
    notebook["cells"].insert(
        1, {"cell_type": "markdown", "id": "site-note", "metadata": {}, "source": note}
    )
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            # The note has the link to Binder. The badge would be asked of another site.
            text = re.sub(r"(?m)^\[!\[Binder\].*\n+", "", "".join(cell["source"]))
            cell["source"] = page(text, "notebooks")
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):  # a book is XML
                text = "".join(output["data"]["text/html"])
                output["data"]["text/html"] = text.replace("<br>", "<br/>")
        pictures = [
            output["data"]
            for output in cell.get("outputs", [])
            if "image/png" in output.get("data", {})
        ]
        if pictures:
            cell["metadata"]["mystnb"] = {"image": {"alt": "".join(pictures[0]["text/plain"])}}
    notebook["metadata"]["language_info"]["pygments_lexer"] = "ipython3"
    return json.dumps(notebook)


def descriptions():
    """What search engines and previews of links say of each page, by its name."""
    said = {}
    for path in lessons():
        head = "".join(json.loads(path.read_text("utf-8"))["cells"][0]["source"])
        # The question of a lesson stands in bold, on a line of its own.
        said[f"notebooks/{path.stem}"] = re.search(r"(?m)^\*\*([^*]+)\*\*$", head)[1]
    pages = {f"docs/{path.stem}": path for path in (ROOT / "docs").glob("*.md")}
    for name, path in {"index": ROOT / "README.md", **pages}.items():
        text = re.sub(r"<!--.*?-->", "", path.read_text("utf-8"), flags=re.DOTALL)
        paragraph = re.search(r"\n\n(`?[A-Za-z].*?)\n\n", text, re.DOTALL)[1]
        paragraph = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", paragraph.replace("\n", " "))
        said[name] = re.match(r".{40,}?[.:](?= |$)", paragraph)[0]
    return {name: re.sub("[`*]", "", text) for name, text in said.items()}


def write_sources(folder):
    """Write all that Sphinx needs into `folder`, which is made anew."""
    table_of_contents = contents()
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
        elif source.suffix in (".png", ".gif"):
            shutil.copy(source, folder / "docs")
    shutil.copy(ROOT / "docs" / "site.css", folder / "_static")
    shutil.copytree(ROOT / "docs" / "katex", folder / "_static" / "katex")
    shutil.copy(ROOT / "docs" / "conf.py", folder)
    (folder / "_toc.yml").write_text(table_of_contents, "utf-8")
    (folder / "index.md").write_text(page(first_page(), ""), "utf-8")
    (folder / "_descriptions.json").write_text(json.dumps(descriptions()), "utf-8")


def with_lessons_to_download(pages):
    """Let the download of a page be the lesson, not the source that the page was made from."""
    for lesson in lessons():
        shutil.copy(lesson, pages / "_sources" / "notebooks")


def main():
    parser = argparse.ArgumentParser(
        prog="docs/build.py", description="Build the site of the course."
    )
    parser.add_argument("--kit", action="store_true", help="bring the pages up to date instead")
    if parser.parse_args().kit:
        from node_tutorial.course.pages import pages
        from node_tutorial.exercises import load_all

        for name, text in pages(ROOT, load_all()).items():
            (ROOT / name).write_text(text, "utf-8", newline="\n")
        return 0
    write_sources(SITE)
    pages = sphinx("html")
    with_lessons_to_download(pages)
    shutil.copy(sphinx("epub") / "node_tutorial.epub", pages)
    return 0


def sphinx(kind):
    """The folder with the site, "html", or the book, "epub". A warning is an error."""
    from sphinx.cmd.build import main as build

    made = SITE / "_build" / kind
    known = SITE / "_build" / f"{kind}_doctrees"
    version = re.search(r'(?m)^version = "(.*)"', read("pyproject.toml"))[1]
    strict = ["-W", "--keep-going", "-n", "-q", "-D", f"version={version}"]
    failed = build([*strict, "-b", kind, "-t", kind, "-d", str(known), str(SITE), str(made)])
    if failed:
        raise SystemExit(failed)
    return made


if __name__ == "__main__":
    raise SystemExit(main())
