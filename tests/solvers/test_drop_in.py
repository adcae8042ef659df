"""Programs that were made for torchdiffeq give the same numbers with our package in its place.

torchdiffeq's own examples, all five that need no download, unmodified; and the libraries torchcde
and flow_matching. Each program runs twice, with torchdiffeq and with us, and what it prints and
computes is compared. `.ci/drop_in` has all that it takes, and runs it every night.

    git clone https://github.com/rtqichen/torchdiffeq
    git -C torchdiffeq checkout a88aac5    # version 0.2.5
    pip install -c constraints.txt torchcde flow_matching
    TORCHDIFFEQ_TESTS=torchdiffeq/tests pytest tests/solvers/test_drop_in.py
"""

import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

TESTS = os.environ.get("TORCHDIFFEQ_TESTS")
HERE = pathlib.Path(__file__).parent

# Arguments that make a short run, and the relative difference that the tolerances allow.
EXAMPLES = [
    ("bouncing_ball 5", 1e-7),
    ("bouncing_ball 5 --adjoint", 1e-7),
    ("ode_demo --niters 20 --test_freq 5", 1e-4),
    ("ode_demo --niters 20 --test_freq 5 --adjoint", 1e-4),
    ("cnf --niters 4", 2e-4),
    ("cnf --niters 4 --adjoint", 2e-4),
    ("latent_ode --niters 6", 1e-5),
    ("latent_ode --niters 6 --adjoint True", 1e-5),
    ("learn_physics --num_iterations 21", 1e-5),
    ("learn_physics --num_iterations 11 --no_events", 1e-4),
]
NUMBER = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")


def ran(which: str, program: str, arguments: list[str], folder: pathlib.Path) -> tuple[str, dict]:
    """What a program prints, and the numbers that `drop_in.py` reads off it."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", HERE / "drop_in.py", which, program, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    text, _, last = done.stdout.rstrip().rpartition("\n")
    return text, json.loads(last)


def assert_same(ours: dict, theirs: dict, tolerance: float) -> None:
    assert list(ours) == list(theirs)
    for name, values in theirs.items():
        assert len(ours[name]) == len(values), name
        scale = max(map(abs, values), default=1.0)
        off = np.abs(np.subtract(ours[name], values)).max(initial=0.0)
        assert off <= tolerance * scale, (name, off, scale)


@pytest.mark.skipif(not TESTS, reason="set TORCHDIFFEQ_TESTS, see the docstring")
@pytest.mark.parametrize(("command", "tolerance"), EXAMPLES)
def test_an_example_of_torchdiffeq_gives_its_numbers(command, tolerance, tmp_path):
    name, *arguments = command.split()
    script = str(pathlib.Path(TESTS).resolve().parent / "examples" / f"{name}.py")
    text, ours = ran("ours", script, arguments, tmp_path)
    expected, theirs = ran("torchdiffeq", script, arguments, tmp_path)
    assert NUMBER.sub("#", text) == NUMBER.sub("#", expected)
    printed = [float(x) for x in NUMBER.findall(text)]
    assert printed == pytest.approx([float(x) for x in NUMBER.findall(expected)], rel=tolerance)
    assert printed or ours
    assert_same(ours, theirs, tolerance)


@pytest.mark.parametrize(("library", "tolerance"), [("torchcde", 1e-5), ("flow_matching", 2e-5)])
def test_a_library_that_calls_torchdiffeq_gives_the_same_numbers(library, tolerance, tmp_path):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed, see the docstring")
    _, ours = ran("ours", library, [], tmp_path)
    _, theirs = ran("torchdiffeq", library, [], tmp_path)
    assert len(ours) >= 7
    assert_same(ours, theirs, tolerance)
