"""Build the site of the course: README.md as its first page, the executed lessons, docs/*.md.

    python docs/build.py             write build/site/_build/html/index.html, and beside it
                                     node_tutorial.epub; a warning is an error
    python docs/build.py --kit       bring up to date what README.md and docs/ take from the lessons
    python docs/build.py --record    record the explorables whose code has changed, for their pages

The site needs neither PyTorch nor the package; what is made from the lessons' exercises, and the
recordings, need both.
The pages keep their places in the repository, so that links between them hold. Links to other files
lead to GitHub.
"""

import argparse
import gc
import importlib.util
import json
import multiprocessing
import os
import re
import shutil
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "build" / "site"
BOOK = ROOT / "build" / "book"

NOTE = """```{{note}}
This page was made from the executed lesson. Its explorables play recordings, its exercises do not
answer. To run it, open it [on Binder]({binder}), or [on your machine](../index.md#start).
```"""


LINK_TO_BOOK = """
```{only} not epub
All lessons as a book for e-readers, to read without a network:
<a href="node_tutorial.epub" download="">ePub</a>.
```
"""


def _module(name):
    """A module of course/ by its path: the package beside it may not be installed."""
    file = ROOT / "node_tutorial" / "course" / name
    specification = importlib.util.spec_from_file_location(name.split("/")[0], file)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # where its own files look for it
    specification.loader.exec_module(module)
    return module


syllabus = _module("syllabus.py")
player = _module("player/__init__.py")

PLAYED = "../explorables"  # from a lesson's page
HEAD = f'''<link rel="stylesheet" href="{PLAYED}/player.css" />
<script defer="" src="{PLAYED}/player.js"></script>'''
# In a page of docs/: what a player takes the place of.
MOVING = re.compile(r"!\[Moving:[^]]*\]\((\w+)\.gif\)")

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
    return head + "".join(first) + LINK_TO_BOOK


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


def source_of(name):
    """Where a page finds the recording of an explorable."""
    return f"{PLAYED}/{name}.js"


def moving(text):
    """The text of a page in docs/ whose moving pictures are explorables that play, if recorded."""

    def figure(match):
        name = match[1]
        lesson = syllabus.SYLLABUS["00"]
        if player.stale(name, lesson.stem, player.libraries(ROOT / "constraints.txt")):
            return match[0]
        recording = player.recording_of(name)
        sentence = recording["texts"][recording["frames"][recording["settings"][0][0]][0]]
        picture = f"../_images/{name}.gif"
        shown = player.figure(name, recording["question"], sentence, picture, 0, source_of(name))
        return f"{HEAD}\n{shown}"

    return MOVING.sub(figure, text)


def lesson_page(path, plays=True):
    """A lesson as the site shows it: with a note, with explorables that play what is recorded, and
    with sentences as `alt` of its other pictures.

    plays: False for a book, in which nothing moves.
    """
    notebook = json.loads(path.read_text("utf-8"))
    if plays:
        problems = player.let_play(
            notebook["cells"],
            path.stem[3:],
            HEAD,
            source_of,
            player.libraries(ROOT / "constraints.txt"),
        )
        for problem in problems:
            print(f"warning: {path.stem}: {problem}", file=sys.stderr)
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


def write_player(folder):
    """Write the player and the recordings into `folder`."""
    folder.mkdir(parents=True)
    for name in ("player.css", "player.js"):
        shutil.copy(player.PLAYER / name, folder)
    for name in player.index():
        (folder / f"{name}.js").write_text(player.script(name), "utf-8")


def write_sources(folder, plays=True):
    """Write all that Sphinx needs into `folder`, which is made anew. plays: see `lesson_page`."""
    table_of_contents = contents()
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("docs", "notebooks", "_static"):
        (folder / name).mkdir(parents=True)
    for lesson in lessons():
        (folder / "notebooks" / lesson.name).write_text(lesson_page(lesson, plays), "utf-8")
    for source in sorted((ROOT / "docs").iterdir()):
        if source.suffix == ".md":
            text = page(source.read_text("utf-8"), "docs")
            (folder / "docs" / source.name).write_text(moving(text) if plays else text, "utf-8")
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


# ------------------------------------------------------------------------------ the recordings


def record(names):
    """Record the explorables that are named, or else all whose recordings are not good."""
    from node_tutorial.explore import LESSON_OF

    unknown = sorted(set(names) - set(LESSON_OF))
    if unknown:
        raise SystemExit(f"There is no explorable {', '.join(unknown)}.")
    pinned = player.libraries(ROOT / "constraints.txt")
    installed = {name: version(name).split("+")[0] for name in pinned}
    if installed != pinned:
        raise SystemExit(f"Recordings are made with {pinned}; here is {installed}.")
    todo = names or [n for n, stem in LESSON_OF.items() if player.stale(n, stem, pinned)]
    from tqdm import tqdm

    spawn = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(os.cpu_count(), spawn) as pool,
        tqdm(total=len(todo), desc="recorded", unit="explorable") as bar,
    ):
        for done in as_completed([pool.submit(record_one, name) for name in todo]):
            name, data, seconds = done.result()
            player.store(name, LESSON_OF[name], data, pinned)
            bar.write(f"{name}: {len(data) / 1000:.0f} KB, {seconds:.0f} s")
            bar.update()
    for file in player.RECORDINGS.glob("*.json.gz"):
        if file.name.split(".")[0] not in LESSON_OF:
            file.unlink()
    return 0


def record_one(name):
    """Record one explorable; returns its name, the recording, and the processor's seconds."""
    import torch

    from node_tutorial.course.recording import named_of, recording
    from node_tutorial.explore import EXPLORABLES, LESSON_OF

    torch.set_num_threads(1)
    begin = time.process_time()
    panel = EXPLORABLES[name]()
    lesson = next(ready for ready in syllabus.READY.values() if ready.stem == LESSON_OF[name])
    named = named_of(name, panel, ROOT / "notebooks" / lesson.notebook)
    gc.freeze()  # a fifth of the time: what torch and matplotlib hold need not be looked through
    return name, recording(name, panel, named), time.process_time() - begin


def main():
    parser = argparse.ArgumentParser(
        prog="docs/build.py", description="Build the site of the course."
    )
    parser.add_argument("--kit", action="store_true", help="bring the pages up to date instead")
    parser.add_argument(
        "--record",
        nargs="*",
        metavar="NAME",
        help="record explorables instead: these, or all whose recordings are stale",
    )
    arguments = parser.parse_args()
    if arguments.record is not None:
        return record(arguments.record)
    if arguments.kit:
        from node_tutorial.course.pages import pages
        from node_tutorial.exercises import load_all

        for name, text in pages(ROOT, load_all()).items():
            (ROOT / name).write_text(text, "utf-8", newline="\n")
        return 0
    write_sources(SITE)
    pages = sphinx(SITE, "html")
    write_player(pages / "explorables")
    with_lessons_to_download(pages)
    write_sources(BOOK, plays=False)
    shutil.copy(sphinx(BOOK, "epub") / "node_tutorial.epub", pages)
    return 0


def sphinx(folder, kind):
    """The folder with the site, "html", or the book, "epub". A warning is an error."""
    from sphinx.cmd.build import main as build

    made = folder / "_build" / kind
    version = re.search(r'(?m)^version = "(.*)"', read("pyproject.toml"))[1]
    strict = ["-W", "--keep-going", "-n", "-q", "-D", f"version={version}"]
    # What Sphinx remembers lies beside a book, not in it.
    known = ["-d", str(folder / "_build" / "doctrees")]
    failed = build([*strict, "-b", kind, "-t", kind, *known, str(folder), str(made)])
    if failed:
        raise SystemExit(failed)
    return made


if __name__ == "__main__":
    raise SystemExit(main())
