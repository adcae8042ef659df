"""torchdiffeq's own tests, unmodified, with our package in its place.

    git clone https://github.com/rtqichen/torchdiffeq
    git -C torchdiffeq checkout a88aac5    # version 0.2.5
    TORCHDIFFEQ_TESTS=torchdiffeq/tests pytest tests/solvers/test_torchdiffeq_suite.py
    git -C torchdiffeq checkout 657943a    # newest: implicit methods

It takes two minutes.
"""

import json
import os
import pathlib
import subprocess
import sys

import pytest

TESTS = os.environ.get("TORCHDIFFEQ_TESTS")
CHECKS = {
    "api_tests": 15,
    "event_tests": 96,
    "gradient_tests": 35,
    "norm_tests": 31,
    "odeint_tests": 460,
}
NEWEST = {
    "api_tests": 18,
    "event_tests": 176,
    "gradient_tests": 57,
    "norm_tests": 34,
    "odeint_tests": 928,
}

# Checks that torchdiffeq fails itself: LSODA takes more than 50 evaluations also with a min_step of
# 2.
KNOWN = {"odeint_tests": ["TestMinMaxStep.test_min_max_step"]}
# There trbdf2 is not adaptive, and warns that it accepts and rejects no steps; ours does.
KNOWN_NEWEST = {"odeint_tests": ["TestCallbacks.test_wrong_callback"] * 2 + KNOWN["odeint_tests"]}

RUNNER = """
import json, os, sys, unittest, warnings
import node_tutorial
sys.modules["torchdiffeq"] = node_tutorial
sys.path.insert(0, sys.argv[1])
warnings.simplefilter("ignore")

class Result(unittest.TextTestResult):
    checks, bad = 0, []

    def note(self, test, error):
        name = ".".join(test.id().split(".")[1:3]).split(" ")[0]
        Result.bad.append((name, str(test), str(error[1])[:300]))

    def addSubTest(self, test, subtest, error):
        Result.checks += 1
        if error:
            self.note(subtest, error)

    def addFailure(self, test, error):
        self.note(test, error)

    addError = addFailure

suite = unittest.defaultTestLoader.loadTestsFromName(sys.argv[2])
unittest.TextTestRunner(open(os.devnull, "w"), resultclass=Result).run(suite)
print(json.dumps([Result.checks, Result.bad]))
"""


@pytest.mark.skipif(
    not TESTS, reason="set TORCHDIFFEQ_TESTS to the tests of torchdiffeq 0.2.5 (docstring)"
)
@pytest.mark.parametrize("module", CHECKS)
def test_the_suite_of_torchdiffeq_passes_with_us_in_its_place(module):
    folder = pathlib.Path(TESTS).resolve()
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, folder, module], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    checks, bad = json.loads(done.stdout.splitlines()[-1])
    newest = "implicit_euler" in (folder / "problems.py").read_text("utf-8")
    assert [name for name, *_ in bad] == (KNOWN_NEWEST if newest else KNOWN).get(module, []), bad
    assert checks == (NEWEST if newest else CHECKS)[module]
