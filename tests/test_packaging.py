"""The files around the package agree with each other."""

import ast
import json
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
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


def test_one_constraint_pins_each_requirement_within_its_bounds():
    wrong = []
    for python in PYTHONS:
        for requirement in ALL:
            pins = [
                constraint
                for constraint in CONSTRAINTS
                if constraint.name == requirement.name
                and (
                    not constraint.marker or constraint.marker.evaluate({"python_version": python})
                )
            ]
            specifiers = [str(specifier) for pin in pins for specifier in pin.specifier]
            one = len(specifiers) == 1 and specifiers[0].startswith("==")
            if not one or not requirement.specifier.contains(specifiers[0].removeprefix("==")):
                wrong.append(f"Python {python}: {requirement} is pinned by {specifiers}")
    assert len(ALL) > 15 and not wrong, "\n".join(["constraints.txt:", *wrong])


def test_binder_installs_each_requirement_in_the_version_of_the_constraints():
    specs = dict(re.findall(r"^  - ([\w-]+)(.*)$", read("environment.yml"), re.MULTILINE))
    wrong = []
    for requirement in requirements("dependencies") + requirements("lab"):
        spec = specs.get(CONDA_NAMES.get(requirement.name, requirement.name))
        pins = [next(iter(c.specifier)).version for c in CONSTRAINTS if c.name == requirement.name]
        if spec is None or not all(
            f"{pin}.".startswith(f"{spec.removeprefix('=')}.") for pin in pins if spec
        ):
            wrong.append(f"{requirement}: {spec}, pinned to {pins}")
    assert not wrong, "\n".join(["environment.yml:", *wrong])


def test_the_version_is_the_same_everywhere():
    assert f"\nversion: {project_version()}\n" in read("CITATION.cff")
    assigned = [
        ast.literal_eval(node.value)
        for node in ast.parse(read("node_tutorial/__init__.py")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__"
    ]
    assert assigned == [project_version()]


@pytest.mark.parametrize(
    ("name", "last"), [("open", "node-tutorial open"), ("test", "pytest -n auto --dist loadfile")]
)
def test_readme_has_each_command_on_one_line(name, last):
    found = re.findall(rf"^<!-- command: {name} -->\n```sh\n(.*)\n```$", read("README.md"), re.M)
    assert len(found) == 1
    assert re.search(rf"/{last}( -.*)?$", found[0])
    assert "-c constraints.txt" in found[0]


def test_links_of_the_readme_to_files_lead_somewhere():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", read("README.md"))
    assert len(targets) > 5
    missing = [target for target in targets if not (ROOT / target).exists()]
    assert not missing


def test_annotations_and_templates_are_in_the_package():
    """The wheel takes all files of this folder; without py.typed no checker reads annotations."""
    assert (ROOT / "node_tutorial" / "py.typed").exists()
    assert len(list((ROOT / "node_tutorial" / "course" / "template").glob("*.txt"))) == 5


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
