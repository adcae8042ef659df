"""``node-tutorial`` and the execution of lessons, on two tiny lessons of its own."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from node_tutorial import cli
from node_tutorial.course import check_lesson, copies, execute, installation, player
from node_tutorial.course.syllabus import SYLLABUS

ROOT = Path(__file__).parents[1]
NOTES = '{"cells": [], "metadata": {"by": "a learner"}}'


def lesson(folder, name, *cells):
    notebook = new_notebook(cells=[new_markdown_cell("# A lesson"), *map(new_code_cell, cells)])
    nbformat.write(notebook, folder / name)
    return folder / name


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    folder = tmp_path / "shipped"
    folder.mkdir()
    lesson(folder, "00_start.ipynb", "print('hello')")
    lesson(folder, "03_fails.ipynb", "print('before')", "x = 1\nx / 0", "print('after')")
    monkeypatch.setattr(cli, "lessons_folder", lambda: folder)
    return folder


def never(name):
    raise AssertionError(f"asked about {name}")


# ----------------------------------------------------------------------------- which lesson


@pytest.mark.parametrize("name", ["3", "03", "03_fails", "03_fails.ipynb"])
def test_a_lesson_is_found_by_number_or_name(shipped, name):
    assert cli.find_lesson(name) == shipped / "03_fails.ipynb"


@pytest.mark.parametrize("name", ["7", "fails", "²", "", "../03_fails"])
def test_an_unknown_lesson_lists_those_that_exist(shipped, name):
    with pytest.raises(SystemExit, match=r"00_start\n  03_fails"):
        cli.find_lesson(name)


def test_the_lessons_of_this_checkout_are_found():
    assert cli.find_lesson("0").parent == cli.lessons_folder()


# ------------------------------------------------------------------------------------- open


def test_lessons_are_copied_once(shipped, tmp_path):
    mine = tmp_path / "mine"
    copies.copy_lessons(shipped, mine, never)
    assert (mine / "03_fails.ipynb").read_bytes() == (shipped / "03_fails.ipynb").read_bytes()
    copies.copy_lessons(shipped, mine, never)


def test_what_only_the_learner_changed_stays_without_a_question(shipped, tmp_path):
    mine = tmp_path / "mine"
    copies.copy_lessons(shipped, mine, never)
    (mine / "00_start.ipynb").write_text(NOTES)
    copies.copy_lessons(shipped, mine, never)
    assert (mine / "00_start.ipynb").read_text() == NOTES


def test_a_lesson_that_the_learner_did_not_touch_follows_the_new_version(shipped, tmp_path):
    mine = tmp_path / "mine"
    copies.copy_lessons(shipped, mine, never)
    (shipped / "00_start.ipynb").write_text("second edition")
    copies.copy_lessons(shipped, mine, never)
    assert (mine / "00_start.ipynb").read_text() == "second edition"


def test_a_deleted_lesson_comes_back(shipped, tmp_path):
    mine = tmp_path / "mine"
    copies.copy_lessons(shipped, mine, never)
    (mine / "00_start.ipynb").unlink()
    copies.copy_lessons(shipped, mine, never)
    assert (mine / "00_start.ipynb").exists()


@pytest.mark.parametrize(
    ("answer", "content", "backups"),
    [("k", NOTES, []), ("r", "second edition", []), ("b", "second edition", [NOTES])],
)
def test_where_both_changed_the_learner_decides_once(shipped, tmp_path, answer, content, backups):
    mine = tmp_path / "mine"
    copies.copy_lessons(shipped, mine, never)
    (mine / "00_start.ipynb").write_text(NOTES)
    (shipped / "00_start.ipynb").write_text("second edition")
    copies.copy_lessons(shipped, mine, lambda name: answer)
    copies.copy_lessons(shipped, mine, never)
    assert (mine / "00_start.ipynb").read_text() == content
    assert [path.read_text() for path in mine.glob("00_start.backup*.ipynb")] == backups


def test_a_backup_overwrites_no_other_backup(shipped, tmp_path):
    mine = tmp_path / "mine"
    for edition in ("first", "second", "third"):
        (shipped / "00_start.ipynb").write_text(edition)
        copies.copy_lessons(shipped, mine, lambda name: "b")
        (mine / "00_start.ipynb").write_text(f'{{"cells": ["{edition}"]}}')
    backups = sorted(path.read_text() for path in mine.glob("*.backup*"))
    assert backups == ['{"cells": ["first"]}', '{"cells": ["second"]}']


def test_a_file_that_was_never_copied_is_not_overwritten(shipped, tmp_path):
    (tmp_path / "00_start.ipynb").write_text(NOTES)
    copies.copy_lessons(shipped, tmp_path, lambda name: "k")
    assert (tmp_path / "00_start.ipynb").read_text() == NOTES


def test_what_is_no_notebook_is_set_aside(shipped, tmp_path, capsys):
    whole = (shipped / "00_start.ipynb").read_bytes()
    for i, found in enumerate((whole[:100], b"", b"[]", b"\xff\xfe", b"null")):
        mine = tmp_path / str(i)
        mine.mkdir()
        (mine / "00_start.ipynb").write_bytes(found)
        copies.copy_lessons(shipped, mine, never)
        assert (mine / "00_start.ipynb").read_bytes() == whole
        assert (mine / "00_start.backup1.ipynb").read_bytes() == found
        assert "is no notebook, and is now 00_start.backup1.ipynb" in capsys.readouterr().out


def test_an_interrupted_copy_leaves_no_half_of_a_lesson(shipped, tmp_path, monkeypatch):
    def half(source, target):
        Path(target).write_bytes(Path(source).read_bytes()[:100])
        raise KeyboardInterrupt

    mine = tmp_path / "mine"
    monkeypatch.setattr(copies.shutil, "copyfile", half)
    with pytest.raises(KeyboardInterrupt):
        copies.copy_lessons(shipped, mine, never)
    assert not list(mine.iterdir())
    monkeypatch.undo()
    copies.copy_lessons(shipped, mine, never)
    assert (mine / "00_start.ipynb").read_bytes() == (shipped / "00_start.ipynb").read_bytes()


@pytest.mark.parametrize(
    "manifest",
    [b"", b"null", b"[]", b"{", b"\xff\xfe{}", b"\xef\xbb\xbf{}", b'"text"', b'{"a": 1}'],
)
def test_a_damaged_manifest_locks_nobody_out(shipped, tmp_path, manifest):
    mine = tmp_path / "mine"
    copies.copy_lessons(shipped, mine, never)
    (mine / "00_start.ipynb").write_text(NOTES)
    (mine / copies.MANIFEST).write_bytes(manifest)
    copies.copy_lessons(shipped, mine, lambda name: "k")
    assert (mine / "00_start.ipynb").read_text() == NOTES
    copies.copy_lessons(shipped, mine, never)
    (mine / copies.MANIFEST).write_bytes(manifest)
    assert cli.main(["reset", "0", "--folder", str(mine)]) == 0
    assert (mine / "00_start.backup1.ipynb").read_text() == NOTES


def test_the_manifest_is_never_half_written(shipped, tmp_path, monkeypatch):
    mine = tmp_path / "mine"
    copies.copy_lessons(shipped, mine, never)
    before = (mine / copies.MANIFEST).read_bytes()

    def full(self, text, encoding):
        self.write_bytes(text[:5].encode(encoding))
        raise OSError("No space left on device")

    (shipped / "00_start.ipynb").write_text("second edition")
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        copies.copy_lessons(shipped, mine, never)
    assert (mine / copies.MANIFEST).read_bytes() == before


def test_without_a_terminal_a_changed_lesson_is_kept(monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert copies.ask("00_start.ipynb") == "k"


def test_the_question_is_repeated_until_it_is_answered(monkeypatch):
    answers = iter(["", "what?", " Backup "])
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: next(answers))
    assert copies.ask("00_start.ipynb") == "b"


def launched(monkeypatch, *argv):
    """The arguments and the configuration path with which JupyterLab would start."""
    labapp = pytest.importorskip("jupyterlab.labapp")
    calls = []

    def launch(arguments):
        calls.append((arguments, os.environ["JUPYTER_CONFIG_PATH"].split(os.pathsep)))

    monkeypatch.setattr(labapp.LabApp, "launch_instance", launch)
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "elsewhere")
    assert cli.main(["open", *map(str, argv)]) == 0
    return calls[0]


def test_open_starts_jupyterlab_at_the_lesson_with_the_shipped_settings(
    shipped, tmp_path, monkeypatch
):
    mine = tmp_path / "mine"
    arguments, path = launched(
        monkeypatch, "3", "--folder", mine, "--no-browser", "--", "--port=9999"
    )
    assert f"--ServerApp.root_dir={mine.resolve()}" in arguments
    assert "--LabApp.default_url=/lab/tree/03_fails.ipynb" in arguments
    assert {"--no-browser", "--port=9999"} <= set(arguments)
    assert path == [str(cli.PACKAGE / "jupyter"), "elsewhere"]


def test_open_says_where_the_lessons_are_and_how_to_stop(shipped, tmp_path, monkeypatch, capsys):
    mine = tmp_path / "mine"
    arguments, _ = launched(monkeypatch, "--folder", mine)
    first, browser, stop = capsys.readouterr().out.splitlines()
    assert first == f"Your lessons are in {mine.resolve()}"
    assert "addresses below" in browser and "press Ctrl-C twice" in stop
    quiet = "--Application.log_level=WARN"  # which still shows the addresses
    assert quiet in arguments
    arguments, _ = launched(monkeypatch, "--folder", mine, "--", "--log-level=INFO")
    assert quiet not in arguments


def test_root_starts_jupyterlab_with_a_word_about_it(shipped, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    arguments, _ = launched(monkeypatch, "--folder", tmp_path / "mine")
    assert "--allow-root" in arguments
    assert "You are root, as in a container" in capsys.readouterr().err
    arguments, _ = launched(monkeypatch, "--folder", tmp_path / "mine", "--", "--allow-root")
    assert arguments.count("--allow-root") == 1
    assert not capsys.readouterr().err
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    assert "--allow-root" not in launched(monkeypatch, "--folder", tmp_path / "mine")[0]


def test_a_tilde_is_the_home_even_where_the_shell_leaves_it(shipped, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    launched(monkeypatch, "--folder=~/mine")
    assert (tmp_path / "mine" / "00_start.ipynb").exists() and not (tmp_path / "~").exists()
    assert cli.main(["reset", "0", "--folder=~/mine"]) == 0
    assert cli.folder("~nobody_here/x") == Path("~nobody_here/x")


def test_open_on_the_originals_copies_nothing(shipped, monkeypatch):
    before = set(shipped.iterdir())
    arguments, _ = launched(monkeypatch, "--folder", shipped)
    assert "--LabApp.default_url=/lab/tree/00_start.ipynb" in arguments
    assert set(shipped.iterdir()) == before


def test_open_without_jupyterlab_says_what_to_type(shipped, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jupyterlab.labapp", None)
    with pytest.raises(SystemExit, match=r"pip install .node-tutorial\[lab\]"):
        cli.main(["open", "--folder", str(tmp_path / "mine")])
    assert (tmp_path / "mine" / "00_start.ipynb").exists()


def test_open_into_a_file_says_what_to_do(shipped, tmp_path):
    (tmp_path / "mine").write_text("a file")
    with pytest.raises(SystemExit, match="--folder DIR"):
        cli.main(["open", "--folder", str(tmp_path / "mine")])


# ------------------------------------------------------------------------------------ reset


def test_reset_keeps_the_old_copy_beside_the_new_one(shipped, tmp_path, capsys):
    mine = tmp_path / "mine"
    copies.copy_lessons(shipped, mine, never)
    for notes in ("first notes", "second notes"):
        (mine / "03_fails.ipynb").write_text(notes)
        assert cli.main(["reset", "3", "--folder", str(mine)]) == 0
        assert (mine / "03_fails.ipynb").read_bytes() == (shipped / "03_fails.ipynb").read_bytes()
    assert (mine / "03_fails.backup1.ipynb").read_text() == "first notes"
    assert (mine / "03_fails.backup2.ipynb").read_text() == "second notes"
    assert "03_fails.backup2.ipynb" in capsys.readouterr().out


def test_reset_touches_no_other_lesson_and_open_asks_nothing_afterward(shipped, tmp_path):
    mine = tmp_path / "mine"
    copies.copy_lessons(shipped, mine, never)
    (mine / "00_start.ipynb").write_text(NOTES)
    (mine / "03_fails.ipynb").write_text(NOTES)
    (shipped / "03_fails.ipynb").write_text("second edition")
    cli.main(["reset", "03", "--folder", str(mine)])
    copies.copy_lessons(shipped, mine, never)
    assert (mine / "00_start.ipynb").read_text() == NOTES
    assert (mine / "03_fails.ipynb").read_text() == "second edition"
    (shipped / "03_fails.ipynb").write_text("third edition")
    copies.copy_lessons(shipped, mine, never)  # untouched since the reset: it follows
    assert (mine / "03_fails.ipynb").read_text() == "third edition"


def test_reset_of_an_unchanged_lesson_makes_no_backup_and_brings_back_a_deleted_one(
    shipped, tmp_path, capsys
):
    mine = tmp_path / "mine"
    copies.copy_lessons(shipped, mine, never)
    cli.main(["reset", "3", "--folder", str(mine)])
    assert "is as it was." in capsys.readouterr().out
    (mine / "03_fails.ipynb").unlink()
    cli.main(["reset", "3", "--folder", str(mine)])
    assert (mine / "03_fails.ipynb").exists()
    assert not list(mine.glob("*.backup*"))


def test_reset_without_copies_or_on_the_originals_is_refused(shipped, tmp_path):
    with pytest.raises(SystemExit, match=r"There is no folder .*nowhere"):
        cli.main(["reset", "3", "--folder", str(tmp_path / "nowhere")])
    before = (shipped / "03_fails.ipynb").read_bytes()
    with pytest.raises(SystemExit, match="nothing to reset"):
        cli.main(["reset", "3", "--folder", str(shipped)])
    assert (shipped / "03_fails.ipynb").read_bytes() == before


def test_reset_where_nothing_can_be_written_says_what_to_do(shipped, tmp_path, monkeypatch):
    mine = tmp_path / "mine"
    copies.copy_lessons(shipped, mine, never)
    (mine / "03_fails.ipynb").write_text(NOTES)

    def read_only(source, target):
        raise OSError(f"[Errno 30] Read-only file system: '{target}'")

    monkeypatch.setattr(copies.shutil, "copyfile", read_only)
    with pytest.raises(SystemExit, match=r"Read-only.*Choose another folder: --folder DIR"):
        cli.main(["reset", "3", "--folder", str(mine)])
    assert (mine / "03_fails.ipynb").read_text() == NOTES


# ---------------------------------------------------------------------------------- collect


def entry(state, attempts):
    time = "2030-05-17T09:30:00+00:00"
    return {"state": state, "attempts": attempts, "hints": 1, "solution": False, "time": time}


@pytest.fixture
def handed_in(tmp_path):
    content = {
        "anna.json": {"00.2": entry("correct", 2), "03.1": entry("not yet", 14)},
        "group/ben.json": {
            "03.1": entry("correct", 1),
            "03.2": entry("not started", 0),
            "03.3": entry("wrong kind", 3),
        },
    }
    for name, entries in content.items():
        file = tmp_path / "handed_in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"report": "node_tutorial", "exercises": entries}))
    return tmp_path / "handed_in"


def test_collect_prints_one_table_of_learners_and_exercises(handed_in, capsys):
    (handed_in / ".node_tutorial.json").write_text("{}")
    assert cli.main(["collect", str(handed_in)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["00.2", "03.1", "03.2", "03.3"]
    assert lines[1].split() == ["anna", "+2", "-14"]
    assert lines[2].split() == ["group/ben", "+1", ".", "?3"]
    assert lines[3].split() == ["correct", "1", "1", "0", "0"]
    assert lines[1].index("-14") + 3 == lines[2].index("+1") + 2 == lines[0].index("03.1") + 4
    assert "+ correct" in lines[-1]


def test_collect_as_csv_has_a_line_for_each_learner_and_exercise(handed_in, capsys):
    assert cli.main(["collect", str(handed_in), "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["learner"], row["exercise"]) for row in rows] == [
        *(("anna", id) for id in ("00.2", "03.1")),
        *(("group/ben", id) for id in ("03.1", "03.2", "03.3")),
    ]
    assert rows[1]["state"] == "not yet" and rows[1]["attempts"] == "14" and rows[1]["hints"] == "1"


def test_collect_names_the_files_that_are_no_reports(handed_in, capsys):
    (handed_in / "broken.json").write_text("{")
    assert cli.main(["collect", str(handed_in)]) == 1
    captured = capsys.readouterr()
    assert "broken.json is no report, and is left out." in captured.err and "anna" in captured.out


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.parametrize("flag", [[], ["--csv"]])
def test_collect_prints_names_that_the_encoding_lacks(handed_in, encoding, flag):
    (handed_in / "anna.json").rename(handed_in / "\u6570\u5b57.json")
    done = subprocess.run(
        [sys.executable, "-m", "node_tutorial", "collect", str(handed_in), *flag],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    name = "\u6570\u5b57" if flag else r"\u6570\u5b57"
    assert name in done.stdout.decode("utf-8")


def test_collect_hands_no_formula_to_a_spreadsheet(handed_in, capsys):
    content = {"report": "node_tutorial", "exercises": {"@x": entry("correct", 1)}}
    (handed_in / "=cmd.json").write_text(json.dumps(content))
    content["exercises"]["@x"]["time"] = "+1"
    (handed_in / "-1.json").write_text(json.dumps(content))
    assert cli.main(["collect", str(handed_in), "--csv"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert {row[0] for row in rows} >= {"'=cmd", "'-1", "anna"}
    assert not [cell for row in rows for cell in row if cell[:1] in "=+-@" and cell]


def test_collect_of_a_folder_that_is_not_there_says_so(tmp_path):
    with pytest.raises(SystemExit, match=r"There is no folder .*nowhere"):
        cli.main(["collect", str(tmp_path / "nowhere")])


def test_collect_from_an_empty_folder_says_how_a_report_is_made(tmp_path):
    with pytest.raises(SystemExit, match=r'report\("name.json"\)'):
        cli.main(["collect", str(tmp_path)])


# ------------------------------------------------------------------------------------ check


def test_check_reports_a_working_setup(shipped, capsys):
    assert cli.main(["check"]) == 0
    report = capsys.readouterr().out
    assert "Everything is ready." in report
    assert re.search(r"torch +\d", report)
    assert re.search(r"solve y' = -y to t = 1: [\d.]+ ms, \d+ evaluations", report)


@pytest.mark.parametrize(
    ("versions", "problem"),
    [
        ({"ipywidgets": "7.8.1"}, "ipywidgets is 7.8.1, version 8 is needed"),
        ({"jupyterlab-widgets": None}, "jupyterlab-widgets is missing, version 3 is needed"),
        ({"ipykernel": "7.1.0"}, "ipykernel 7"),
    ],
)
def test_check_names_what_keeps_widgets_from_working(
    versions, problem, shipped, monkeypatch, capsys
):
    installed = installation._version
    monkeypatch.setattr(installation, "_version", lambda name: versions.get(name, installed(name)))
    assert cli.main(["check"]) == 1
    report = capsys.readouterr().out
    assert problem in report
    assert "-m pip install" in report


def test_ipykernel_7_is_fine_where_the_shipped_setting_is_in_effect(monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(cli.PACKAGE / "jupyter"))
    installed = installation._version
    monkeypatch.setattr(
        installation, "_version", lambda n: "7.1" if n == "ipykernel" else installed(n)
    )
    assert installation._check_widgets() == []


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (
            ["/nowhere/python", "-m", "ipykernel_launcher"],
            "for '/nowhere/python', which is not there",
        ),
        ([], "which is not there"),
        (None, "there is no kernel 'python3'"),
    ],
)
def test_check_names_a_kernel_that_cannot_start(argv, problem, shipped, monkeypatch, capsys):
    kernelspec = pytest.importorskip("jupyter_client.kernelspec")

    def get(self, name):
        if argv is None:
            raise kernelspec.NoSuchKernel(name)
        return kernelspec.KernelSpec(argv=argv, resource_dir="/home/anna/kernels/python3")

    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", get)
    assert cli.main(["check"]) == 1
    report = capsys.readouterr().out
    assert problem in report and "Type: " in report


def test_check_without_jupyterlab_is_no_problem(monkeypatch, capsys):
    installed = installation._version
    monkeypatch.setattr(
        installation, "_version", lambda n: None if n == "jupyterlab" else installed(n)
    )
    assert installation._check_widgets() == []
    assert "no JupyterLab here" in capsys.readouterr().out


# -------------------------------------------------------------------------------------- run


def test_run_writes_html(shipped, tmp_path, capsys):
    assert cli.main(["run", "0", "--output", str(tmp_path / "pages")]) == 0
    assert "hello" in (tmp_path / "pages" / "00_start.html").read_text("utf-8")


def test_run_shows_the_cell_that_failed_and_writes_what_there_is(shipped, tmp_path, capsys):
    assert cli.main(["run", "03", "--output", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert "cell [2] failed, ZeroDivisionError: division by zero\n    x = 1\n    x / 0" in message
    page = (tmp_path / "03_fails.html").read_text("utf-8")
    assert "before" in page
    assert "after</pre>" not in page


def test_run_says_at_once_where_it_cannot_write(shipped, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="Choose another folder: --output DIR"):
        cli.main(["run", "0", "--output", str(tmp_path / "file")])


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a folder that takes no files")
def test_run_says_at_once_where_a_folder_takes_no_files(shipped):
    with pytest.raises(SystemExit, match="Choose another folder: --output DIR"):
        cli.main(["run", "0", "--output", "/proc"])


# ---------------------------------------------------------------------------------- execute


def test_execute_stores_the_same_file_twice(tmp_path, capsys):
    path = lesson(
        tmp_path,
        "00_start.ipynb",
        "import sys\nprint('a')\nprint('b')\nprint('c', file=sys.stderr)",
        "",
        "6 * 7",
        "6 * 7",
    )
    assert execute.main([str(path)]) == 0
    first = path.read_bytes()
    assert execute.main([str(path)]) == 0
    assert path.read_bytes() == first
    assert first.endswith(b"}\n")
    assert re.search(r"00_start.ipynb: \d+ s\n", capsys.readouterr().out)

    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in execute.code_cells(notebook)] == [1, 2, 3]
    assert [output.text for output in notebook.cells[1].outputs] == ["a\nb\n", "c\n"]
    assert notebook.cells[3].outputs[0].execution_count == 2
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert notebook.metadata == {
        "kernelspec": {
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
    }


def test_execute_keeps_the_picture_of_a_widget_and_drops_its_state(tmp_path):
    path = lesson(tmp_path, "00_start.ipynb", "import ipywidgets\nipywidgets.IntSlider(3)")
    assert execute.main([str(path)]) == 0
    notebook = nbformat.read(path, as_version=4)
    assert "widgets" not in notebook.metadata
    assert list(notebook.cells[1].outputs[0].data) == ["text/plain"]


def test_a_lesson_that_fails_is_not_stored(shipped, capsys):
    path = shipped / "03_fails.ipynb"
    before = path.read_bytes()
    assert execute.main([str(path), str(shipped / "00_start.ipynb")]) == 1
    assert path.read_bytes() == before
    captured = capsys.readouterr()
    assert "03_fails.ipynb: cell [2] failed, ZeroDivisionError" in captured.err
    assert "00_start.ipynb: " in captured.out


def test_a_kernel_that_dies_is_reported(tmp_path, capsys):
    path = lesson(tmp_path, "00_start.ipynb", "import os\nos._exit(1)")
    assert execute.main([str(path)]) == 1
    assert "cell [1] failed, Kernel died" in capsys.readouterr().err


def test_a_cell_that_takes_too_long_is_reported(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(execute, "CELL_TIMEOUT", 1)
    path = lesson(tmp_path, "00_start.ipynb", "import time\ntime.sleep(30)")
    assert execute.main([str(path)]) == 1
    assert "cell [1] failed, A cell timed out" in capsys.readouterr().err


def test_paths_of_this_machine_are_not_stored(tmp_path):
    folder = tmp_path / "notebooks"
    text = f"{tmp_path / 'file.py'} and {sys.prefix} and {tmp_path}/ipykernel_12/345.py:1: warning"
    notebook = new_notebook(cells=[new_code_cell("0")])
    notebook.cells[0].outputs = [
        new_output("stream", text=text),
        new_output("display_data", data={"image/png": str(tmp_path / "x"), "text/plain": text}),
    ]
    execute.normalize(notebook, folder)
    stream, display = notebook.cells[0].outputs
    assert stream.text == display.data["text/plain"]
    assert stream.text == "file.py and <environment> and <cell>:1: warning"
    assert display.data["image/png"] == str(tmp_path / "x")


def test_a_lesson_whose_home_and_checkout_are_the_root_keeps_its_links_and_fractions(monkeypatch):
    monkeypatch.setattr(execute.Path, "home", lambda: execute.Path("/"))
    notebook = new_notebook(cells=[new_code_cell("0")])
    notebook.cells[0].outputs = [new_output("stream", text="1 / 2, https://arxiv.org")]
    execute.normalize(notebook, execute.Path("/notebooks"))
    assert notebook.cells[0].outputs[0].text == "1 / 2, https://arxiv.org"


def test_the_processor_time_of_each_cell_is_measured(tmp_path):
    path = lesson(tmp_path, "00_start.ipynb", "sum(range(3_000_000))", "import time; time.sleep(1)")
    spent = execute.execute(nbformat.read(path, as_version=4), tmp_path)
    assert len(spent) == 2 and spent[0] > 0 and spent[1] < 0.5


# ------------------------------------------------------------------------------ for authors


@pytest.fixture
def copy(tmp_path):
    """A copy of this checkout, for lessons to be written into."""
    others = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "node_tutorial_lessons")
    return shutil.copytree(ROOT, tmp_path / "copy", ignore=others)


def author(copy, *argv):
    """Run node-tutorial in a copy of the checkout; what it did."""
    return subprocess.run(
        [sys.executable, "-m", "node_tutorial", *argv],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
    )


def test_a_new_lesson_meets_the_standard_but_for_what_is_to_be_written(copy):
    made = author(copy, "new", "25", "delays", "Delay equations", "--needs", "03", "--part", "IV")
    assert made.returncode == 0, made.stdout + made.stderr
    assert "node-tutorial lesson 00" in made.stdout  # its picture shows which lessons exist

    checked = author(copy, "lesson", "25")
    assert checked.returncode == 1, checked.stdout + checked.stderr
    title, *lines, missing, command = checked.stdout.splitlines()
    assert missing == "record delays_panel: not recorded"
    assert command.strip() == "python docs/build.py --record delays_panel"
    results = {line[:30].strip(): line[30:].split(" passed") for line in lines if line[0] != " "}
    assert title == "25 Delay equations" and len(results) == 7
    assert all(int(passed) > 0 for passed, _ in results.values())
    failing = [what for what, (_, rest) in results.items() if "failed" in rest]
    assert failing == ["the standard for lessons"], checked.stdout
    times, problem = (line.strip() for line in lines if line[0] == " ")
    assert "s of processor time" in times
    assert problem.startswith("TODO: ") and "notebooks/25_delays.ipynb" in problem

    again = author(copy, "new", "25")
    assert again.returncode == 1 and "Lesson 25 exists" in again.stderr


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["15"], "Lesson 15 exists: 15_continuous_flows. Choose another number."),
        (["x1", "y", "Z"], "a number of two digits, as 07 or 25, not 'x1'"),
        (["99"], 'Give it a stem and a title: node-tutorial new 99 stem "Title"'),
        (["99", "euler", "Again"], "lesson 99 has the stem 'euler' of another lesson"),
        (["99", "Motion-2", "Motion"], "'Motion-2' cannot be the name of a folder"),
        (["99", "lambda", "Motion"], "'lambda' cannot be the name of a folder"),
        (["99", "more", "More", "--needs", "98"], "lesson 99 needs 98, which does not stand"),
        (["99", "more", "More", "--part", "V"], "no part 'V'. The parts are I, II, III, IV"),
        (["99", "more", "More", "--part", "I"], "lessons stand in order, each once"),
        (["99", "more", "More", "--explorable", "crossing"], "The name 'crossing' is taken"),
        (["99", "more", "More", "--explorable", "figures"], "The name 'figures' is taken"),
        (["99", "more", "More", "--explorable", "A b"], "'A b' is no name"),
    ],
)
def test_a_lesson_that_does_not_fit_is_refused(argv, message, monkeypatch, tmp_path):
    shutil.copytree(ROOT / "node_tutorial", tmp_path / "node_tutorial")
    monkeypatch.setattr(cli, "checkout", lambda: tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as refusal:
        cli.main(["new", *argv])
    assert message in str(refusal.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("argv", [["new", "99", "more", "More"], ["lesson", "3"]])
def test_an_installed_package_is_no_place_for_a_new_lesson(argv, monkeypatch, tmp_path, shipped):
    monkeypatch.setattr(cli, "PACKAGE", tmp_path / "site-packages" / "node_tutorial")
    with pytest.raises(SystemExit, match=r"no checkout of the repository(.|\n)*CONTRIBUTING\.md"):
        cli.main(argv)


def test_a_lesson_that_the_syllabus_does_not_know_is_not_checked(shipped):
    with pytest.raises(SystemExit, match=r"syllabus\.py has no lesson 03_fails"):
        cli.main(["lesson", "3"])


def test_a_cell_that_fails_is_on_the_screen(shipped, monkeypatch, capsys):
    monkeypatch.setattr(check_lesson, "_tests", lambda *arguments: [])
    renamed = SYLLABUS["03"]._replace(stem="fails")
    (shipped.parent / "notebooks").mkdir()
    shutil.copy(shipped / "03_fails.ipynb", shipped.parent / "notebooks")
    shutil.copy(ROOT / "constraints.txt", shipped.parent)
    assert check_lesson.check_lesson(shipped.parent, renamed, []) == 1
    screen = capsys.readouterr().out
    assert "1 failed" in screen and "cell [2] failed, ZeroDivisionError" in screen


def test_an_author_is_told_what_to_record(monkeypatch):
    names = ["crossing", "tunnel"]
    monkeypatch.setattr(player, "stale", lambda name, stem, versions: "")
    assert check_lesson.to_record(ROOT, SYLLABUS["08"], names) == ""
    reasons = {"crossing": "", "tunnel": "its code has changed"}
    monkeypatch.setattr(player, "stale", lambda name, stem, versions: reasons[name])
    told = check_lesson.to_record(ROOT, SYLLABUS["08"], names)
    assert told.splitlines() == [
        "record tunnel: its code has changed",
        "    python docs/build.py --record tunnel",
    ]


def test_a_cell_over_its_budget_is_named(shipped, monkeypatch):
    monkeypatch.setattr(check_lesson, "execute", lambda *arguments: [1.0, 31.0])
    result = check_lesson._execute(shipped / "00_start.ipynb")
    assert (result.passed, result.failed) == (1, 1)
    assert "cell [2] takes 31 s of processor time, the limit is 30" in result.note
