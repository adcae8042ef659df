"""What is stored of long runs: it comes back as it was saved, and stays small."""

import numpy as np
import pytest

from node_tutorial.course import runs as stored


def test_what_is_saved_is_loaded(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(stored, "FOLDER", tmp_path)
    (tmp_path / "some").mkdir()
    numbers, arrays = (
        {"runs": {"a/0": [1.5, 2.0]}},
        {"a/0": np.arange(3.0), "b": np.ones((2, 2), dtype=np.float16)},
    )
    stored.save("some.json", numbers)
    stored.save("some.npz", arrays)
    assert stored.load("some.json") == numbers
    loaded = stored.load("some.npz")
    assert loaded.keys() == arrays.keys() and all(
        np.array_equal(loaded[name], arrays[name]) for name in arrays
    )
    assert capsys.readouterr().out == "some.json: 0 KB\nsome.npz: 0 KB\n"


def test_what_is_not_there_is_named_or_replaced():
    with pytest.raises(FileNotFoundError, match=r"'some\.json'; there are autoencoders\.json"):
        stored.load("some.json")
    assert stored.load("some.json", otherwise={}) == {}


def test_stored_files_are_small():
    for file in stored.FOLDER.glob("*/stored.*"):
        assert file.is_dir() or file.stat().st_size < 300 * 1024, file.name
