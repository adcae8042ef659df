"""``node-tutorial``: open the lessons, check the set-up, run a lesson without a browser, teach.

    node-tutorial open 3        copy the lessons, start JupyterLab at lesson 03
    node-tutorial reset 3       lesson 03 as it was; the learner's copy is kept beside it
    node-tutorial check         is everything here that the lessons need?
    node-tutorial run 3         execute lesson 03, write 03_adaptive_steps.html
    node-tutorial train 7       make the long runs of lesson 07 that are not stored
    node-tutorial collect DIR   one table of the learners' reports in a folder

Heavy imports stay inside the functions, so that ``--help`` answers at once.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent
MANIFEST = ".node_tutorial.json"  # in the learner's folder: what each lesson was when copied

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


# --------------------------------------------------------------------------------------- open


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
    """Put ``lesson`` into ``folder`` as it was; a copy that the learner changed stays beside it,
    under another name.
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
    if mine.exists():
        print(f"Your version is now {_set_aside(mine)}")
    shutil.copyfile(lesson, mine)
    _write_manifest(folder, _read_manifest(folder) | {lesson.name: _digest(lesson)})
    print(
        f"{mine} is as it was. If it is open in JupyterLab, close its tab without saving, and "
        "open it again."
    )


def open_lessons(lesson: Path, folder: Path, jupyter_arguments: list[str]) -> None:
    """Copy the lessons to ``folder`` and become a JupyterLab that shows ``lesson``."""
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
        raise SystemExit(
            f"JupyterLab cannot be started ({error}). To install it, type\n"
            f'  "{sys.executable}" -m pip install "node-tutorial[lab]"'
        ) from None
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


# -------------------------------------------------------------------------------------- check

DISTRIBUTIONS = [
    *(
        "node-tutorial",
        "torch",
        "torchdiffeq",
        "numpy",
        "scipy",
        "scikit-learn",
        "statsmodels",
        "matplotlib",
    ),
    *("ipywidgets", "jupyterlab-widgets", "ipykernel", "jupyterlab"),
]
WIDGETS = {"ipywidgets": 8, "jupyterlab-widgets": 3}  # the major versions that fit together


def check() -> int:
    """Print what is installed and what is wrong; the number of things that are wrong."""
    print(f"Python {platform.python_version()}, {platform.platform()}")
    for name in DISTRIBUTIONS:
        print(f"  {name:<20}{_version(name) or 'not installed'}")
    problems = _check_solver() + _check_widgets()
    print(f"lessons: {lessons_folder()}")
    for problem in problems:
        print(f"PROBLEM: {problem}")
    print("Not ready yet." if problems else "Everything is ready.")
    return len(problems)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _check_solver() -> list[str]:
    try:
        import torch

        from node_tutorial import solve
    except (ImportError, OSError) as error:  # OSError: a library that torch needs
        return [f'{error}. Type: "{sys.executable}" -m pip install node-tutorial']
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none (none is needed)"
    print(f"threads: {torch.get_num_threads()}, GPU: {gpu}")

    y0 = torch.ones(1, dtype=torch.float64)
    t = torch.linspace(0.0, 1.0, 2, dtype=torch.float64)
    start = time.perf_counter()
    solution = solve(lambda t, y: -y, y0, t, rtol=1e-8, atol=1e-10)
    milliseconds = 1000 * (time.perf_counter() - start)
    off = float((solution.y[-1] - torch.exp(-t[-1])).abs())
    nfe = solution.stats.nfe
    print(f"solve y' = -y to t = 1: {milliseconds:.1f} ms, {nfe} evaluations, error {off:.1e}")
    return [] if off < 1e-6 else ["the solver is inaccurate: install node_tutorial anew"]


def _check_widgets() -> list[str]:
    kernel = _version("ipykernel")
    if kernel is None or _version("jupyterlab") is None:
        print(f'no JupyterLab here; for it: "{sys.executable}" -m pip install "node-tutorial[lab]"')
        return []
    problems = []
    for name, major in WIDGETS.items():
        found = _version(name)
        if found is None or int(found.split(".")[0]) != major:
            problems.append(
                f"widgets will not display: {name} is {found or 'missing'}, version {major} is "
                f'needed. Type: "{sys.executable}" -m pip install "{name}=={major}.*"'
            )
    if int(kernel.split(".")[0]) >= 7 and not _comms_on_main_thread():
        problems.append(
            "ipykernel 7 draws widgets' figures in a second thread, which can spoil them. "
            f'Type: "{sys.executable}" -m pip install "ipykernel<7"'
        )
    return problems


def _comms_on_main_thread() -> bool:
    """Is the setting that ships with the lessons in effect for every JupyterLab here?"""
    from jupyter_server.services.config import ConfigManager

    defaults = ConfigManager(config_dir_name="labconfig").get("default_setting_overrides")
    kernels = defaults.get("@jupyterlab/apputils-extension:kernels-settings", {})
    return kernels.get("commsOverSubshells") == "disabled"


# ---------------------------------------------------------------------------------------- run


def run(lesson: Path, output: Path) -> int:
    """Execute ``lesson`` and write it as HTML, as far as it got; 1 if a cell failed."""
    try:
        import nbformat
        from nbconvert import HTMLExporter
        from tqdm import tqdm

        from .course.execute import LessonFailed, code_cells, execute, normalize
    except ModuleNotFoundError as error:
        raise SystemExit(
            f'Lessons cannot be executed here ({error}). Type\n  "{sys.executable}" -m pip '
            'install "node-tutorial[lab]"'
        ) from None
    try:
        output.mkdir(parents=True, exist_ok=True)  # now, and not after minutes of work
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
    page, _ = HTMLExporter().from_notebook_node(
        notebook, resources={"metadata": {"name": lesson.stem}}
    )
    file = output / f"{lesson.stem}.html"
    file.write_text(page, "utf-8")
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


# --------------------------------------------------------------------------------------- main


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    split = argv.index("--") if "--" in argv else len(argv)
    argv, jupyter_arguments = argv[:split], argv[split + 1 :]

    parser = argparse.ArgumentParser(
        prog="node-tutorial", description="Neural ODEs: take the lessons, or teach them."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version(parser.prog)}")
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
        "type": Path,
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
    running.add_argument("--output", type=Path, default=Path(), metavar="DIR", help="default: here")

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
        "--to", type=Path, metavar="DIR", help="where to store them (default: in the package)"
    )

    collecting = commands.add_parser(
        "collect", help="one table of the learners' reports in a folder"
    )
    collecting.add_argument("folder", type=Path, metavar="DIR", help="holds the learners' files")
    collecting.add_argument(
        "--csv", action="store_true", help="one line for each learner and exercise"
    )

    arguments = parser.parse_args(argv)
    if arguments.command == "open":
        if arguments.no_browser:
            jupyter_arguments.append("--no-browser")
        open_lessons(find_lesson(arguments.lesson), arguments.folder, jupyter_arguments)
        return 0
    if arguments.command == "check":
        return 1 if check() else 0
    if arguments.command == "reset":
        reset_lesson(find_lesson(arguments.lesson), arguments.folder)
        return 0
    if arguments.command == "collect":
        from .course.reports import collect

        return collect(arguments.folder, as_csv=arguments.csv)
    if arguments.command == "train":
        lesson = find_lesson(arguments.lesson)
        return train(lesson, arguments.only, arguments.again, arguments.to)
    return run(find_lesson(arguments.lesson), arguments.output)


if __name__ == "__main__":
    raise SystemExit(main())
