"""Long runs: made one by one, stored as they are made, read lazily, refused if they are of another
protocol.
"""

import json
import re
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

from node_tutorial import cli
from node_tutorial.course import runs as course
from node_tutorial.course.runs import FOLDER, Run, Runs, numbers_of
from node_tutorial.course.train import train


@dataclass(frozen=True)
class Width:
    width: int


class Depth(NamedTuple):
    depth: int
    wide: Width = Width(3)


WEIGHTS = np.arange(6, dtype=np.float16).reshape(2, 3)


def made(settings, seeds):
    numbers = {"loss": 1 / 3, "wrong": [[1, 2], [3, 4]], "mean": np.float32(0.1), "at": {"1": 2}}
    return {**numbers, "weights": WEIGHTS + seeds[0], "net.bias": np.ones(2)}


def plain(settings, seeds):
    return {"width": settings.width, "seeds": list(seeds)}


def fail(settings, seeds):
    raise OSError("no such data")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "lesson"


def some(folder, results=None, **protocol):
    """Runs of lesson 01, in another folder."""
    results = results or {
        "first/0": Run(made, Depth(2)),
        "second": Run(plain, Width(4), (1, 2)),
    }
    runs = Runs("euler", {"EPOCHS": (8, 9), **protocol}, results)
    runs.read_from(folder)
    return runs


def output(capsys):
    return capsys.readouterr().out.splitlines()


def test_what_is_made_is_read_bit_for_bit(folder, capsys):
    assert train(some(folder)) == 0
    assert output(capsys) == [f"2 of 2 results are stored in {folder}"]
    runs = some(folder)
    numbers = runs.numbers()
    assert numbers["first/0"] == {
        "loss": 1 / 3,
        "wrong": [[1, 2], [3, 4]],
        "mean": float(np.float32(0.1)),
        "at": {"1": 2},
    }
    assert numbers["second"] == {"width": 4, "seeds": [1, 2]}
    arrays = runs.arrays()
    assert list(arrays) == ["first/0/weights", "first/0/net.bias"]
    assert arrays["first/0/weights"].dtype == np.float16
    assert np.array_equal(arrays["first/0/weights"], WEIGHTS)
    assert runs.numbers() is numbers and runs.arrays() is arrays  # read once


def test_beside_a_result_stands_with_what_and_on_what_it_was_measured(folder):
    train(some(folder))
    stored = json.loads((folder / "stored.json").read_text("utf-8"))
    assert stored["protocol"] == {"EPOCHS": [8, 9]}
    first, second = stored["results"].values()
    assert first["settings"] == {"depth": 2, "wide": {"width": 3}} and first["seeds"] == [0]
    assert second["settings"] == {"width": 4} and second["seeds"] == [1, 2]
    assert ", torch " in first["measured on"] and first["measured on"].endswith(", 1 thread")


def test_without_arrays_there_is_one_file(folder):
    train(some(folder, {"second": Run(plain, Width(4))}))
    assert [file.name for file in folder.iterdir()] == ["stored.json"]


def test_what_is_there_is_not_made_again_unless_asked(folder):
    calls = []

    def counted(settings, seeds):
        calls.append(settings.width)
        return {"calls": len(calls), "x": np.full(2, len(calls))}

    runs = some(folder, {f"net {n}": Run(counted, Width(n)) for n in (1, 2, 12)})
    assert train(runs, only="2") == 0 and calls == [2, 12]
    assert train(runs) == 0 and calls == [2, 12, 1]
    assert list(runs.numbers()) == ["net 1", "net 2", "net 12"]
    assert train(runs) == 0 and calls == [2, 12, 1]
    assert train(runs, only="net 2", again=True) == 0 and calls == [2, 12, 1, 2]
    assert runs.numbers()["net 2"] == {"calls": 4} and runs.numbers()["net 1"] == {"calls": 3}
    assert {name: x.tolist() for name, x in runs.arrays().items()} == {
        "net 1/x": [3, 3],
        "net 2/x": [4, 4],
        "net 12/x": [2, 2],
    }


def test_a_result_may_read_those_before_it(folder):
    def twice(settings, seeds):
        return {"width": 2 * runs.numbers()["one"]["width"]}

    runs = some(folder, {"one": Run(plain, Width(4)), "two": Run(twice, Width(4))})
    assert train(runs) == 0 and runs.numbers()["two"] == {"width": 8}


def test_what_fails_is_reported_and_loses_nothing_else(folder, capsys):
    results = {
        "a": Run(plain, Width(1)),
        "b": Run(fail, Width(2)),
        "c": Run(plain, Width(3)),
        "d": Run(lambda settings, seeds: {"odd": object()}, Width(4)),
        "e": Run(lambda settings, seeds: {"odd": np.array([object()])}, Width(5)),
    }
    assert train(some(folder, results)) == 1
    lines = output(capsys)
    assert lines[-5:-3] == [f"2 of 5 results are stored in {folder}", "3 failed:"]
    assert lines[-3] == "  b: OSError: no such data" and lines[-2].startswith("  d: AttributeError")
    assert lines[-1].startswith("  e: ValueError: an array of objects")
    assert list(some(folder, results).numbers()) == ["a", "c"]


@pytest.mark.parametrize("how", ["key", "within fit"])
def test_an_interruption_keeps_what_is_there_and_stores_no_half_trained_net(folder, capsys, how):
    def stopped(settings, seeds):
        if how == "key":
            raise KeyboardInterrupt
        warnings.warn("interrupted after 3 of 9 steps", RuntimeWarning, stacklevel=1)  # as fit does
        return {"loss": 1.0}

    results = {"a": Run(plain, Width(1)), "b": Run(stopped, Width(2)), "c": Run(plain, Width(3))}
    assert train(some(folder, results)) == 1
    assert output(capsys)[-1] == f"1 of 3 results are stored in {folder}"
    assert train(some(folder, {**results, "b": Run(plain, Width(2))})) == 0


def test_a_training_that_diverges_is_not_stored(folder, capsys):
    def diverged(settings, seeds):
        warnings.warn("diverged at step 3: the loss is nan", RuntimeWarning, stacklevel=1)
        return {"loss": 1.0}

    assert train(some(folder, {"a": Run(diverged, Width(1))})) == 1
    assert "a: RuntimeWarning: diverged at step 3" in capsys.readouterr().out


@pytest.mark.parametrize("write", [0, 1, 2])
def test_a_write_that_fails_leaves_whole_results(folder, monkeypatch, write):
    """Writes of a result that is made again: json without it, npz, json."""

    def other(settings, seeds):
        return {"loss": 2.0, "weights": WEIGHTS + 1}

    train(some(folder))
    replaced = []
    replace = course.whole_file.__wrapped__.__globals__["os"].replace

    def failing(new, file):
        if len(replaced) == write + 1:  # the first write of train itself is that of what is there
            raise OSError("disk full")
        replaced.append(file)
        replace(new, file)

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", failing)
        results = {"first/0": Run(other, Depth(2)), "second": Run(plain, Width(4), (1, 2))}
        assert train(some(folder, results), only="first", again=True) == 1
    runs = some(folder)
    assert runs.numbers()["second"] == {"width": 4, "seeds": [1, 2]}
    if write == 0:
        assert runs.numbers()["first/0"]["loss"] == 1 / 3
        assert np.array_equal(runs.arrays()["first/0/weights"], WEIGHTS)
    else:
        assert "first/0" not in runs.numbers()
    assert train(some(folder)) == 0 and some(folder).numbers()["first/0"]["loss"] == 1 / 3


def test_what_cannot_be_read_says_what_to_type(folder):
    with pytest.raises(FileNotFoundError, match=r"stored\.json is missing.*node-tutorial train 01"):
        some(folder).numbers()
    train(some(folder))
    with pytest.raises(KeyError, match=r"no result 'third' is stored.*node-tutorial train 01"):
        some(folder).numbers()["third"]
    with pytest.raises(KeyError, match=r"no result 'first/0/bias' is stored"):
        some(folder).arrays()["first/0/bias"]
    whole = (folder / "stored.npz").read_bytes()
    (folder / "stored.npz").write_bytes(whole[:100])
    with pytest.raises(ValueError, match=r"stored\.npz is damaged .*delete stored\.json and"):
        some(folder).arrays()
    (folder / "stored.npz").unlink()
    with pytest.raises(FileNotFoundError, match=r"stored\.npz is missing.* train 01 --again"):
        some(folder).arrays()
    for text in ("{", "[]", '{"results": {}}', '{"protocol": {}, "results": {"a": {}}}'):
        (folder / "stored.json").write_text(text, "utf-8")
        with pytest.raises(ValueError, match=r"stored\.json is damaged .*node-tutorial train 01"):
            some(folder).numbers()
        with pytest.raises(SystemExit, match="is damaged"):
            train(some(folder))


def test_another_protocol_is_refused_and_made_anew_if_asked(folder):
    train(some(folder))
    changed = some(folder, EPOCHS=9, BATCH=3)
    with pytest.raises(ValueError, match=r"with BATCH = None, now it is 3; .* --again"):
        changed.numbers()
    for options in ({}, {"again": True, "only": "first"}):
        with pytest.raises(SystemExit, match=r"with BATCH = None, now it is 3"):
            train(changed, **options)
    assert some(folder).numbers()  # still as it was
    assert train(changed, again=True) == 0
    assert set(changed.numbers()) == {"first/0", "second"}


@pytest.mark.parametrize("run", [Run(plain, Width(5), (1, 2)), Run(plain, Width(4), (1,))])
def test_a_result_of_other_settings_or_seeds_is_made_anew(folder, run):
    train(some(folder))
    changed = some(folder, {"first/0": Run(fail, Depth(2)), "second": run})
    with pytest.raises(ValueError, match=r"has 'second' with other settings or seeds"):
        changed.numbers()
    assert train(changed) == 0
    assert changed.numbers()["second"] == plain(run.settings, run.seeds)
    assert changed.numbers()["first/0"]["loss"] == 1 / 3


def test_results_that_the_code_no_longer_names_go_with_the_next_write(folder):
    train(some(folder))
    fewer = some(folder, {"second": Run(plain, Width(4), (1, 2)), "new": Run(made, Depth(1))})
    assert train(fewer) == 0
    assert set(fewer.numbers()) == {"second", "new"}
    assert set(fewer.arrays()) == {"new/weights", "new/net.bias"}


def test_results_go_to_another_folder_if_asked(folder, tmp_path):
    runs = some(folder)
    assert train(runs, to=tmp_path / "mine") == 0
    assert runs.folder == folder and not folder.exists()
    assert set(some(tmp_path / "mine" / "euler").numbers()) == {"first/0", "second"}


def test_a_folder_that_cannot_be_written_is_said_before_the_work(folder):
    folder.write_text("a file where a folder should be", "utf-8")
    with pytest.raises(SystemExit, match=r"Nothing can be stored in .*--to DIR"):
        train(some(folder, {"a": Run(fail, Width(1))}))


def test_a_part_of_no_name_is_refused_with_the_names(folder):
    with pytest.raises(SystemExit, match=r"No result has 'thrid' in its name\. .*\n  first/0\n"):
        train(some(folder), only="thrid")


def test_the_command_line_makes_results(tmp_path, capsys):
    assert cli.main(["train", "10"]) == 0
    assert re.search(r"(\d+) of \1 results are stored in", capsys.readouterr().out)
    with pytest.raises(SystemExit, match="16 latents, 50 draws"):
        cli.main(["train", "10", "--to", str(tmp_path), "--only", "no such name"])
    assert not list(tmp_path.iterdir())


def test_several_processes_are_started_as_torchrun_does(monkeypatch, capsys):
    given = []
    monkeypatch.setattr("torch.distributed.run.main", given.extend)
    assert cli.main(["train", "10", "--processes", "2", "--only", "beta 1"]) == 0
    assert given[:3] == ["--standalone", "--nproc-per-node", "2"]
    once = given[given.index("train") :]
    monkeypatch.setattr(cli, "train", lambda *arguments: arguments)
    assert cli.main(once) == cli.main(["train", "10", "--only", "beta 1"])
    with pytest.raises(SystemExit):
        cli.main(["train", "10", "--processes", "0"])
    assert "'0' is no positive number" in capsys.readouterr().err


@pytest.mark.parametrize("lesson", ["03_adaptive_steps", "05_learning_dynamics"])
def test_a_lesson_without_long_runs_is_told_from_those_that_have_them(lesson):
    with pytest.raises(SystemExit, match=rf"{lesson} has no long runs.*07_ode_nets, 08_"):
        cli.main(["train", lesson])


def test_the_numbers_of_another_lesson_are_read_without_importing_it():
    numbers = numbers_of("continuous_flows")
    file = FOLDER / "continuous_flows" / "stored.json"
    assert set(numbers) == set(json.loads(file.read_text("utf-8"))["results"])
    with pytest.raises(KeyError, match="node-tutorial train 15"):
        numbers["no such result"]
