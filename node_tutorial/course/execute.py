"""Run lessons from top to bottom and store them so that every machine stores the same text.

    python -m node_tutorial.course.execute notebooks/01_*.ipynb

A lesson that fails is not stored. What is stored has execution counts 1, 2, 3, ..., cell ids
that depend only on the text of the cells, and neither timings, widget state nor paths.
"""

import argparse
import hashlib
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, CellExecutionError, DeadKernelError
from nbformat import NotebookNode

__all__ = ["LessonFailed", "code_cells", "execute", "normalize", "store"]

CELL_TIMEOUT = 600  # seconds; generous, for slow machines: the tests are stricter
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class LessonFailed(Exception):
    """A cell raised an error, took too long or ended its kernel."""


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells that run."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def execute(
    notebook: NotebookNode, folder: Path, *, after_cell: Callable[[], Any] = lambda: None
) -> list[float]:
    """Run ``notebook`` in place, in a new kernel that starts in ``folder``.

    Returns the seconds of processor time that each cell took: unlike those on a clock they do not
    depend on what else the machine does.

    Raises:
        LessonFailed: at the first cell that fails; the outputs until there are kept.
    """
    started: list[str] = []
    spent: list[float] = []

    def before(cell: NotebookNode, cell_index: int) -> None:
        started.append(cell.source)
        spent.append(-_processor_time(client))

    def after(cell: NotebookNode, cell_index: int, execute_reply: dict[str, Any]) -> None:
        spent[-1] += _processor_time(client)
        after_cell()

    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=CELL_TIMEOUT,
        coalesce_streams=True,
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
        on_cell_execute=before,
        on_cell_executed=after,
    )
    try:
        client.execute()
    except (CellControlSignal, DeadKernelError) as error:
        if isinstance(error, CellExecutionError):
            reason = f"{error.ename}: {error.evalue}"
        else:
            reason = str(error).splitlines()[0]
        head = "\n".join(f"    {line}" for line in started[-1].splitlines()[:8])
        raise LessonFailed(f"cell [{len(started)}] failed, {reason}\n{head}") from error
    return spent


def _processor_time(client: NotebookClient) -> float:
    """The seconds that the kernel has computed, on all its threads."""
    kernel: Any = client.km
    try:
        times = psutil.Process(kernel.provisioner.pid).cpu_times()
    except psutil.NoSuchProcess:  # the cell has ended its kernel
        return 0.0
    return times.user + times.system


def normalize(notebook: NotebookNode, folder: Path) -> None:
    """Remove from an executed notebook what differs between two runs or two machines."""
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = NotebookNode(
        kernelspec={
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "name": "python3",
        },
        language_info={"name": "python"},
    )
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        for name in ("collapsed", "execution", "scrolled", "trusted"):
            cell.metadata.pop(name, None)
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
        seen[digest] += 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
    for count, cell in enumerate(code_cells(notebook), start=1):
        cell.execution_count = count
        cell.outputs = [_normal_output(output, count, folder) for output in cell.outputs]


def store(notebook: NotebookNode, path: Path) -> None:
    """Write an executed notebook, the same text on every machine."""
    normalize(notebook, path.parent)
    nbformat.validate(notebook)
    path.write_text(nbformat.writes(notebook).rstrip("\n") + "\n", "utf-8", newline="\n")


def _normal_output(output: NotebookNode, count: int, folder: Path) -> NotebookNode:
    if "execution_count" in output:
        output.execution_count = count
    if "data" in output:
        output.data.pop(WIDGET_VIEW, None)
    return _without_paths(output, folder)


def _without_paths(value: Any, folder: Path) -> Any:
    """``value`` with the places of this checkout, environment, home and kernel taken out."""
    if isinstance(value, dict):
        pictures = {key for key in value if key.startswith("image/")}  # base64: not text
        return NotebookNode(
            {k: v if k in pictures else _without_paths(v, folder) for k, v in value.items()}
        )
    if isinstance(value, list):
        return [_without_paths(item, folder) for item in value]
    if not isinstance(value, str):
        return value
    value = re.sub(r"[^\s\"']*ipykernel_\d+[/\\]\d+\.py", "<cell>", value)
    places = {
        f"{folder.resolve().parent}{os.sep}": "",
        sys.prefix: "<environment>",
        str(Path.home()): "~",
    }
    for place, name in places.items():
        # In a container a place may be the root, whose path is in every link and fraction.
        if place.strip(os.sep):
            value = value.replace(place, name)
    return value


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m node_tutorial.course.execute", description="Execute lessons in place."
    )
    parser.add_argument("lessons", nargs="+", type=Path, metavar="LESSON")
    failed = 0
    for path in parser.parse_args(argv).lessons:
        notebook = nbformat.read(path, as_version=4)
        start = time.perf_counter()
        try:
            execute(notebook, path.parent)
        except LessonFailed as error:
            print(f"{path.name}: {error}", file=sys.stderr)
            failed = 1
            continue
        store(notebook, path)
        print(f"{path.name}: {time.perf_counter() - start:.0f} s", flush=True)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
