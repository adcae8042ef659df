"""A report for whoever teaches: which exercises a learner checked, how often, with which result.

    report("anna.json")      a file for what this kernel has checked so far, and from now on

Set the environment variable NODE_TUTORIAL_REPORT to a file instead, and every lesson writes there
by itself. Without either, nothing is written. The file is JSON, one entry for each exercise:

    {"report": "node_tutorial",
     "exercises": {"03.2": {"state": "correct", "attempts": 3, "hints": 1, "solution": false,
                            "time": "2030-05-17T09:30:00+00:00"}}}

Several lessons, and the same lesson on another day, go into one file: attempts are added, the best
state stays, `time` is when it was reached. After a correct answer the entry stays as it is.
`node-tutorial collect` reads many such files.
"""

import csv
import json
import os
import sys
import warnings
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from .feedback import STATES

__all__ = ["collect", "note", "read_report", "report"]

Entry = dict[str, Any]  # of one exercise: COLUMNS -> value

VARIABLE = "NODE_TUTORIAL_REPORT"
MARKS = {"correct": "+", "not yet": "-", "wrong kind": "?", "not started": "."}
COLUMNS = ("state", "attempts", "hints", "solution", "time")
_EVENTS: list[
    tuple[str, Entry]
] = []  # (id, entry) for each check, hint and solution of this kernel
_WRITTEN: dict[Path, int] = {}  # file -> how many of these events are in it
_FILE: list[Path] = []  # where to write, once `report` was called


def report(file: str | Path) -> Path:
    """Write this kernel's exercises into a JSON file, now and after each further `check`.

    An existing report is continued; ".json" is added to a name without it. Returns the path.

    Raises:
        ValueError: the file exists and is no report, or the name is that of a folder, as "" is.
        OSError: it cannot be written.
    """
    path = _path(file)
    _write(path)
    _FILE[:] = [path]
    return path


def note(id: str, state: str = "not started", hints: int = 0, solution: bool = False) -> None:
    """Remember one event of exercise `id`, and write it if a report is wanted.

    hints: the number unfolded so far.
    """
    time = datetime.now(timezone.utc).isoformat(timespec="seconds")
    attempts = int(state != "not started")
    entry = {
        "state": state,
        "attempts": attempts,
        "hints": hints,
        "solution": solution,
        "time": time,
    }
    _EVENTS.append((id, entry))
    variable = os.environ.get(VARIABLE)
    files: list[Path | str] = [*_FILE] or ([variable] if variable else [])
    for file in files:
        try:
            _write(_path(file))
        except (OSError, ValueError) as error:  # the learner still gets an answer
            warnings.warn(f"your report is not written: {error}", stacklevel=3)


def _path(file: str | Path) -> Path:
    """The file with the suffix that `collect` looks for."""
    path = Path(file).expanduser().absolute()
    if Path(file).name in ("", ".."):
        raise ValueError(f"file must be the name of a file, such as 'anna.json', got {str(file)!r}")
    return path if path.suffix == ".json" else path.with_name(f"{path.name}.json")


def combined(old: Entry | None, new: Entry) -> Entry:
    """The entry of an exercise after `old`, if there is one, and then `new`."""
    if old is None or old["state"] == "correct":
        return old or new
    ranks = list(STATES)
    better = ranks.index(new["state"]) > ranks.index(old["state"])
    return {
        "state": (new if better else old)["state"],
        "attempts": old["attempts"] + new["attempts"],
        "hints": max(old["hints"], new["hints"]),
        "solution": old["solution"] or new["solution"],
        "time": (new if better else old)["time"],
    }


def read_report(path: str | Path) -> dict[str, Entry]:
    """The entries of the report in `path` by exercise; ValueError if it is no report."""
    try:
        content = json.loads(Path(path).read_text("utf-8"))
        entries = content["exercises"]
        if content["report"] == "node_tutorial" and all(
            entry.keys() >= set(COLUMNS) and entry["state"] in STATES for entry in entries.values()
        ):
            return entries
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise ValueError(
        f"{path} is no report of exercises; give another name, as in report('anna.json')"
    )


def _write(path: Path) -> None:
    if not path.parent.is_dir():
        raise OSError(f"the folder {path.parent} does not exist; make it, or name another file")
    there = path.exists()
    entries = read_report(path) if there else {}
    for id, entry in _EVENTS[_WRITTEN.get(path, 0) if there else 0 :]:
        entries[id] = combined(entries.get(id), entry)
    content = {"report": "node_tutorial", "exercises": dict(sorted(entries.items()))}
    beside = path.with_name(f"{path.name}.{os.getpid()}")  # then renamed: never half a report
    beside.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    os.replace(beside, path)
    _WRITTEN[path] = len(_EVENTS)


def collect(folder: Path, as_csv: bool = False) -> int:
    """Print the reports in `folder`, and in the folders in it, as one table.

    The table has learners in rows and exercises in columns; with `as_csv` it has a line for each
    learner and exercise. Returns 1 if a file had to be left out, else 0.

    Raises:
        SystemExit: there is no report, or no folder.
    """
    if not folder.is_dir():
        raise SystemExit(f"There is no folder {folder}.")
    reports: dict[str, dict[str, Entry]] = {}
    others: list[Path] = []
    for file in sorted(folder.rglob("*.json")):
        name = file.relative_to(folder).with_suffix("")
        if any(part.startswith(".") for part in name.parts):
            continue  # what programs keep there: the manifest of `node-tutorial open`, checkpoints
        try:
            reports[name.as_posix()] = read_report(file)
        except (OSError, ValueError):
            others.append(file)
    if not reports:
        raise SystemExit(
            f'There is no report in {folder}. A learner makes one with report("name.json") in a '
            "lesson."
        )
    if as_csv:
        if hasattr(sys.stdout, "reconfigure") and not sys.stdout.isatty():
            sys.stdout.reconfigure(encoding="utf-8")  # a file keeps all names
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow(("learner", "exercise", *COLUMNS))
        for learner, entries in reports.items():
            for id, entry in entries.items():
                table.writerow(map(_inert, (learner, id, *(entry[name] for name in COLUMNS))))
    else:
        print(_table(reports))
    for file in others:
        print(f"{file} is no report, and is left out.", file=sys.stderr)
    return 1 if others else 0


def _inert(value: Any) -> Any:
    """A text that a spreadsheet shows, and does not compute."""
    computed = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if computed else value


def _table(reports: dict[str, dict[str, Entry]]) -> str:
    ids = sorted({id for entries in reports.values() for id in entries})
    rows = [["", *ids]]
    for learner, entries in reports.items():
        rows.append([learner, *(_mark(entries.get(id)) for id in ids)])
    correct = [
        sum(entries.get(id, {}).get("state") == "correct" for entries in reports.values())
        for id in ids
    ]
    rows.append(["correct", *map(str, correct)])
    width = max(len(row[0]) for row in rows)
    lines = ["".join([f"{row[0]:<{width}}", *(f"{cell:>6}" for cell in row[1:])]) for row in rows]
    legend = ", ".join(f"{mark} {state}" for state, mark in MARKS.items())
    return "\n".join([*lines, "", f"{legend}; then the number of attempts"])


def _mark(entry: Entry | None) -> str:
    return f"{MARKS[entry['state']]}{entry['attempts'] or ''}" if entry else ""
