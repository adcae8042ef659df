"""The files around the package agree with each other."""

import ast
import json
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"torch": "pytorch-cpu", "matplotlib": "matplotlib-base"}


def read(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def table(name: str) -> str:
    """The lines of one list of pyproject.toml (Python 3.10 has no reader of TOML)."""
    found = re.search(rf"^{name} = \[\n(.*?)^\]", read("pyproject.toml"), re.MULTILINE | re.DOTALL)
    assert found, f"pyproject.toml has no list {name}"
    return found[1]


def requirements(name: str) -> list[Requirement]:
    return [Requirement(text) for text in re.findall(r'^ *"(.*)",', table(name), re.MULTILINE)]


def project_version() -> str:
    found = re.search(r'^version = "(.*)"', read("pyproject.toml"), re.MULTILINE)
    assert found
    return found[1]


ALL = [
    requirement
    for name in ("dependencies", "lab", "test", "browser", "site")
    for requirement in requirements(name)
    if requirement.name != "node-tutorial"
]
CONSTRAINTS = [
    Requirement(line)
    for line in read("constraints.txt").splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("requirement", ALL, ids=lambda requirement: requirement.name)
@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13", "3.14"])
def test_one_constraint_pins_each_requirement_within_its_bounds(requirement, python):
    pins = [
        constraint
        for constraint in CONSTRAINTS
        if constraint.name == requirement.name
        and (not constraint.marker or constraint.marker.evaluate({"python_version": python}))
    ]
    assert len(pins) == 1
    (pin,) = pins[0].specifier
    assert pin.operator == "=="
    assert requirement.specifier.contains(pin.version)


@pytest.mark.parametrize("requirement", requirements("dependencies") + requirements("lab"), ids=str)
def test_binder_installs_each_requirement(requirement):
    specs = dict(re.findall(r"^  - ([\w-]+)(.*)$", read("environment.yml"), re.MULTILINE))
    spec = specs[CONDA_NAMES.get(requirement.name, requirement.name)]
    if spec:  # one major version: the one that the constraints pin, too
        pins = [next(iter(c.specifier)).version for c in CONSTRAINTS if c.name == requirement.name]
        assert all(f"{pin}.".startswith(f"{spec.removeprefix('=')}.") for pin in pins)


def test_the_version_is_the_same_everywhere():
    assert f"\nversion: {project_version()}\n" in read("CITATION.cff")
    assigned = [
        ast.literal_eval(node.value)
        for node in ast.parse(read("node_tutorial/__init__.py")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__"
    ]
    assert assigned == [project_version()]


@pytest.mark.parametrize(("name", "last"), [("open", "node-tutorial open"), ("test", "pytest")])
def test_readme_has_each_command_on_one_line(name, last):
    found = re.findall(rf"^<!-- command: {name} -->\n```sh\n(.*)\n```$", read("README.md"), re.M)
    assert len(found) == 1
    assert found[0].endswith(last)
    assert "-c constraints.txt" in found[0]


def test_links_of_the_readme_to_files_lead_somewhere():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", read("README.md"))
    assert len(targets) > 5
    missing = [target for target in targets if not (ROOT / target).exists()]
    assert not missing


def test_the_readme_links_every_lesson():
    lessons = {path.name for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    assert lessons
    assert lessons == set(re.findall(r"\(notebooks/(.*?\.ipynb)\)", read("README.md")))


def test_the_shipped_jupyterlab_settings_exist_in_jupyterlab():
    shipped = read("node_tutorial/jupyter/labconfig/default_setting_overrides.json")
    application = pytest.importorskip("jupyterlab.commands").get_app_dir()
    for plugin, values in json.loads(shipped).items():
        extension, name = plugin.split(":")
        schema = json.loads((Path(application) / f"schemas/{extension}/{name}.json").read_text())
        for key, value in values.items():
            declared = schema["properties"][key]
            choices = [choice["const"] for choice in declared.get("oneOf", [])]
            assert value in choices if choices else isinstance(value, bool)
