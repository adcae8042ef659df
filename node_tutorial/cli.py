"""``node-tutorial``: open the lessons, check the set-up, run a lesson without a browser, teach.

    node-tutorial open 3        copy the lessons, start JupyterLab at lesson 03
    node-tutorial reset 3       lesson 03 as it was; the learner's copy is kept beside it
    node-tutorial check         is everything here that the lessons need?
    node-tutorial run 3         execute lesson 03, write 03_adaptive_steps.html; its sliders move,
                                without a network
    node-tutorial train 7       make the long runs of lesson 07 that are not stored;
                                with --processes 2, every training in two processes
    node-tutorial collect DIR   one table of the learners' reports in a folder

and in a checkout, for whoever writes lessons:

    node-tutorial new 16        a lesson that runs, and says where an author has to write
    node-tutorial lesson 16     execute lesson 16, check all that is asked of it

Heavy imports stay inside the functions, so that ``--help`` answers at once.
"""

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

PACKAGE = Path(__file__).resolve().parent

# -------------------------------------------------------------------------------- the lessons


def lessons_folder() -> Path:
    """Where the lessons are: inside an installed package, or beside it in a checkout."""
    for folder in (PACKAGE / "notebooks", PACKAGE.parent / "notebooks"):
        if any(folder.glob("[0-9][0-9]_*.ipynb")):
            return folder
    raise SystemExit("The lessons are missing: install node_tutorial again, or clone it anew.")


def find_lesson(name: str) -> Path:
    """The lesson called ``3``, ``03``, ``03_adaptive_steps`` or ``03_adaptive_steps.ipynb``."""
    lessons = sorted(lessons_folder().glob("[0-9][0-9]_*.ipynb"))
    for lesson in lessons:
        number = lesson.stem[:2]
        if name in (lesson.name, lesson.stem) or (name.isdecimal() and int(name) == int(number)):
            return lesson
    existing = "\n".join(f"  {lesson.stem}" for lesson in lessons)
    raise SystemExit(f"There is no lesson {name!r}. The lessons are:\n{existing}")


def folder(text: str) -> Path:
    """A folder that was named on the command line; not every shell replaces a ``~``."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # of nobody here
        return Path(text)


def positive(text: str) -> int:
    """A number of processes."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return int(text)


def _print_any_name() -> None:
    """Let names be printed that the encoding of the output lacks: as ``\\u6570``."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _cannot(what: str, error: ModuleNotFoundError, extra: str) -> SystemExit:
    """What is missing, and what to type."""
    return SystemExit(
        f'{what} ({error}). Type\n  "{sys.executable}" -m pip install "node-tutorial[{extra}]"'
    )


# --------------------------------------------------------------------------------------- open


def open_lessons(lesson: Path, folder: Path, jupyter_arguments: list[str]) -> None:
    """Copy the lessons to ``folder`` and become a JupyterLab that shows ``lesson``."""
    from .course.copies import copy_lessons

    folder = folder.resolve()
    if folder != lesson.parent:  # an author may open the originals
        try:
            copy_lessons(lesson.parent, folder)
        except OSError as error:
            raise SystemExit(f"{error}. Choose another folder: --folder DIR") from None
    print(f"Your lessons are in {folder}")
    try:
        from jupyterlab.labapp import LabApp
    except ModuleNotFoundError as error:
        raise _cannot("JupyterLab cannot be started", error, "lab") from None
    print(
        "If no browser opens, copy one of the addresses below into yours.\n"
        "To stop, save your work in JupyterLab, then press Ctrl-C twice in this terminal."
    )
    if _is_root() and not any("allow" in given for given in jupyter_arguments):
        print(
            "You are root, as in a container: JupyterLab is started with --allow-root. Where you "
            "can, work as another user.",
            file=sys.stderr,
        )
        jupyter_arguments = ["--allow-root", *jupyter_arguments]
    if not any("log" in given for given in jupyter_arguments):
        # Else twenty lines about what JupyterLab loads drown the three above.
        jupyter_arguments = ["--Application.log_level=WARN", *jupyter_arguments]
    # A further folder of defaults. The learner's own settings stay where they are and win.
    settings = [str(PACKAGE / "jupyter"), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, settings))
    LabApp.launch_instance(
        [
            f"--ServerApp.root_dir={folder}",
            f"--LabApp.default_url=/lab/tree/{lesson.name}",
            *jupyter_arguments,
        ]
    )


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


# ---------------------------------------------------------------------------------------- run


def run(lesson: Path, output: Path) -> int:
    """Execute ``lesson`` and write it as HTML, as far as it got; 1 if a cell failed."""
    try:
        import nbformat
        from tqdm import tqdm

        from .course import player
        from .course.execute import LessonFailed, code_cells, execute, normalize
        from .course.handout import handout
    except ModuleNotFoundError as error:
        raise _cannot("Lessons cannot be executed here", error, "lab") from None
    try:
        output.mkdir(parents=True, exist_ok=True)  # now, and not after minutes of work
        TemporaryFile(dir=output).close()
    except OSError as error:
        raise SystemExit(f"{error}. Choose another folder: --output DIR") from None
    notebook = nbformat.read(lesson, as_version=4)
    for cell in code_cells(notebook):
        cell.update(outputs=[], execution_count=None)
    failure = None
    with tqdm(total=len(code_cells(notebook)), desc=lesson.stem, unit="cell") as bar:
        try:
            execute(notebook, lesson.parent, after_cell=bar.update)
        except LessonFailed as error:
            failure = error
    normalize(notebook, lesson.parent)
    for problem in player.let_play(notebook.cells, lesson.stem[3:], player.player()):
        print(problem, file=sys.stderr)
    file = output / f"{lesson.stem}.html"
    file.write_text(handout(notebook, lesson.stem), "utf-8")
    print(f"wrote {file}")
    if failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


# -------------------------------------------------------------------------------------- train


def train(lesson: Path, only: str, again: bool, to: Path | None) -> int:
    """Make the long runs of ``lesson`` that are not stored; 1 if some could not be made."""
    from importlib import import_module

    from .course.train import train as make

    folder = PACKAGE / "lessons" / lesson.stem[3:]
    runs = None
    if (folder / "runs.py").exists():
        module = import_module(f".lessons.{folder.name}.runs", __package__)
        runs = getattr(module, "RUNS", None)  # another lesson's runs.py trains in the notebook
    if runs is None:
        having = {file.parent.name for file in folder.parent.glob("*/stored.json")}
        names = [
            file.stem for file in sorted(lesson.parent.glob("*.ipynb")) if file.stem[3:] in having
        ]
        raise SystemExit(f"{lesson.stem} has no long runs. Those have: {', '.join(names)}.")
    return make(runs, only, again, to)


def in_processes(count: int, command: list[str]) -> int:
    """Give this command to ``count`` processes, as torchrun does; 1 if one of them failed."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # each of them uses one thread
    start = ["--standalone", "--nproc-per-node", str(count), "-m", __package__]
    try:
        torchrun([*start, *command])
    except (ChildFailedError, SignalException) as error:
        print(f"Stopped: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    return 0


# ------------------------------------------------------------------------------- for authors


def checkout() -> Path:
    """The repository around this package: lessons are written there, not where it is installed."""
    root = PACKAGE.parent
    if not all((root / name).exists() for name in ("pyproject.toml", "notebooks", "tests")):
        raise SystemExit(
            f"{PACKAGE} is no checkout of the repository, and lessons are written there only.\n"
            "CONTRIBUTING.md says how to set it up; then call its own .venv/bin/node-tutorial."
        )
    return root


def new(
    number: str, stem: str, title: str, part: str, needs: tuple[str, ...], explorable: str
) -> int:
    """Create lesson ``number``; 1 if a cell of it failed."""
    root = checkout()
    try:
        from .course import new_lesson
        from .course.syllabus import SYLLABUS
    except ModuleNotFoundError as error:
        raise _cannot("Lessons cannot be written here", error, "test") from None
    number = number.zfill(2)
    lessons = new_lesson.planned(number, stem, title, part, needs)
    lesson = lessons[number]
    new_lesson.create(root, lessons, number, explorable or f"{lesson.stem}_panel")
    print(f"""Lesson {number} is in
  notebooks/{lesson.notebook}
  node_tutorial/lessons/{lesson.stem}/
  tests/lessons/test_{lesson.stem}.py
Write where they say TODO, and in its row of docs/teaching.md. To check it, type
  node-tutorial lesson {number}
Lesson 00 shows which lessons exist, so execute it, too:
  node-tutorial lesson 00""")
    if number not in SYLLABUS:
        print("First give the new lesson a place on its map, in lessons/start_here/figures.py.")
    return 0


def check_lesson(path: Path) -> int:
    """Execute a lesson, and check all that is asked of it; 1 if anything failed."""
    root = checkout()
    try:
        from .course.check_lesson import check_lesson
        from .course.syllabus import SYLLABUS
        from .explore import LESSON_OF
    except ModuleNotFoundError as error:
        raise _cannot("Lessons cannot be checked here", error, "test") from None
    lesson = SYLLABUS.get(path.stem[:2])
    if lesson is None or lesson.name != path.stem:
        raise SystemExit(f"course/syllabus.py has no lesson {path.stem}; add its two lines.")
    explorables = [name for name, stem in LESSON_OF.items() if stem == lesson.stem]
    return check_lesson(root, lesson, explorables)


# --------------------------------------------------------------------------------------- main


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    from . import __version__

    _print_any_name()
    argv = sys.argv[1:] if argv is None else argv
    split = argv.index("--") if "--" in argv else len(argv)
    argv, jupyter_arguments = argv[:split], argv[split + 1 :]

    parser = argparse.ArgumentParser(
        prog="node-tutorial", description="Neural ODEs: take the lessons, or teach them."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)

    opening = commands.add_parser(
        "open",
        help="copy the lessons into a folder of yours and open JupyterLab there",
        description="Copy the lessons into a folder of yours and open JupyterLab there. "
        "What you changed stays yours. Arguments after -- go to JupyterLab.",
    )
    number = "a lesson: 3, 03 or 03_adaptive_steps"
    opening.add_argument("lesson", nargs="?", default="0", metavar="NN", help=number)
    place: dict[str, Any] = {
        "type": folder,
        "default": Path("node_tutorial_lessons"),
        "metavar": "DIR",
    }
    opening.add_argument(
        "--folder", **place, help="where to put the lessons (default: %(default)s)"
    )
    opening.add_argument("--no-browser", action="store_true", help="print the address only")

    resetting = commands.add_parser("reset", help="a lesson as it was; your copy is kept beside it")
    resetting.add_argument("lesson", metavar="NN", help=number)
    resetting.add_argument(
        "--folder", **place, help="where your lessons are (default: %(default)s)"
    )

    commands.add_parser("check", help="is everything here that the lessons need?")

    running = commands.add_parser("run", help="execute a lesson and write it as HTML")
    running.add_argument("lesson", metavar="NN", help=number)
    running.add_argument(
        "--output", type=folder, default=Path(), metavar="DIR", help="default: here"
    )

    training = commands.add_parser(
        "train",
        help="make the long runs of a lesson that are not stored",
        description="Make the long runs of a lesson that are not stored, on one thread. Each is "
        "stored when it is made; after Ctrl-C the same command goes on.",
    )
    training.add_argument("lesson", metavar="NN", help=number)
    training.add_argument(
        "--only", default="", metavar="TEXT", help="the results with this text in their names"
    )
    training.add_argument("--again", action="store_true", help="those that are stored, too")
    training.add_argument(
        "--to", type=folder, metavar="DIR", help="where to store them (default: in the package)"
    )
    training.add_argument(
        "--processes",
        type=positive,
        default=1,
        metavar="N",
        help="share every batch among so many (default: %(default)s)",
    )

    collecting = commands.add_parser(
        "collect", help="one table of the learners' reports in a folder"
    )
    collecting.add_argument("folder", type=folder, metavar="DIR", help="holds the learners' files")
    collecting.add_argument(
        "--csv", action="store_true", help="one line for each learner and exercise"
    )

    _add_commands_for_authors(commands, number)
    arguments = parser.parse_args(argv)
    if arguments.command == "open":
        if arguments.no_browser:
            jupyter_arguments.append("--no-browser")
        open_lessons(find_lesson(arguments.lesson), arguments.folder, jupyter_arguments)
        return 0
    if arguments.command == "check":
        from .course.installation import check

        return 1 if check(lessons_folder()) else 0
    if arguments.command == "reset":
        from .course.copies import reset_lesson

        try:
            reset_lesson(find_lesson(arguments.lesson), arguments.folder)
        except OSError as error:
            raise SystemExit(f"{error}. Choose another folder: --folder DIR") from None
        return 0
    if arguments.command == "collect":
        from .course.reports import collect

        return collect(arguments.folder, as_csv=arguments.csv)
    if arguments.command == "new":
        given = (arguments.stem, arguments.title, arguments.part, tuple(arguments.needs))
        return new(arguments.number, *given, arguments.explorable)
    if arguments.command == "lesson":
        return check_lesson(find_lesson(arguments.lesson))
    if arguments.command == "train":
        lesson = find_lesson(arguments.lesson)
        if arguments.processes > 1:
            return in_processes(arguments.processes, [*argv, "--processes", "1"])
        return train(lesson, arguments.only, arguments.again, arguments.to)
    return run(find_lesson(arguments.lesson), arguments.output)


def _add_commands_for_authors(commands: Any, number: str) -> None:
    creating = commands.add_parser(
        "new",
        help="create a lesson, in a checkout",
        description="Create a lesson that runs, and says where an author has to write. "
        "What is left out is as the syllabus plans it.",
    )
    creating.add_argument("number", metavar="NN", help="its number, two digits")
    creating.add_argument("stem", nargs="?", default="", help="the name of its folder: snake_case")
    creating.add_argument("title", nargs="?", default="", help='as in "What a flow cannot do"')
    creating.add_argument("--needs", nargs="+", default=[], metavar="NN", help="lessons before it")
    creating.add_argument("--part", default="", metavar="III", help="the part of the course")
    creating.add_argument(
        "--explorable", default="", metavar="NAME", help="of its explorable (default: STEM_panel)"
    )

    checking = commands.add_parser("lesson", help="execute and check a lesson, in a checkout")
    checking.add_argument("lesson", metavar="NN", help=number)


if __name__ == "__main__":
    raise SystemExit(main())
