"""`.ci/release.py` on a small repository. A real wheel is tried by whoever releases."""

import datetime
import importlib.util
import shutil
import subprocess
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[1]
specification = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
release = importlib.util.module_from_spec(specification)
specification.loader.exec_module(release)

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
FILES = {
    "pyproject.toml": '[project]\nname = "course"\nversion = "0.1.0"\n',
    "CITATION.cff": "cff-version: 1.2.0\nversion: 0.1.0\nlicense: MIT\n",
    "node_tutorial/__init__.py": '__version__ = "0.1.0"\n',
    "notebooks/00_start.ipynb": "{}",
    "CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n- All.\n\n## 0.1.0, 2026-01-01\n\n- Old.\n",
    ".gitignore": "dist/\n",
}


def git(root, *arguments):
    return release.git(root, *arguments)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository that can be released, whose wheel is whatever the package has."""
    for name in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.setenv(f"{name}_NAME", "somebody")
        monkeypatch.setenv(f"{name}_EMAIL", "somebody@example.org")
    root = tmp_path / "repository"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    subprocess.run(["git", "init", "--quiet", "-b", "main", str(root)], check=True)
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "all")
    monkeypatch.setattr(release, "make_wheel", zipped)
    monkeypatch.setattr(release, "check_installed", lambda *arguments: None)
    return root


def zipped(root, target):
    target.mkdir()
    wheel = target / f"course-{release.current_version(root)}-py3-none-any.whl"
    with ZipFile(wheel, "w") as archive:
        archive.write(root / "node_tutorial" / "__init__.py", "node_tutorial/__init__.py")
        lesson = "notebooks/00_start.ipynb"
        archive.write(root / lesson, f"node_tutorial/{lesson}")
    return wheel


def state(root):
    worktrees = git(root, "worktree", "list").splitlines()
    return git(root, "rev-parse", "HEAD"), git(root, "tag"), git(root, "status", "-s"), worktrees


def test_a_release_is_a_commit_with_a_tag_and_a_wheel(root):
    before = git(root, "rev-parse", "HEAD")
    wheel = release.release(root, "0.2.0")
    assert wheel == root / "dist" / "course-0.2.0-py3-none-any.whl" and wheel.exists()
    head, tags, changed, worktrees = state(root)
    assert (tags, changed, len(worktrees)) == ("v0.2.0", "", 1)
    assert git(root, "rev-parse", "HEAD^", "v0.2.0^{commit}").split() == [before, head]
    for name in ("pyproject.toml", "CITATION.cff", "node_tutorial/__init__.py"):
        text = (root / name).read_text("utf-8")
        assert text == FILES[name].replace("0.1.0", "0.2.0")
    today = datetime.date.today()
    assert (root / "CHANGELOG.md").read_text("utf-8") == FILES["CHANGELOG.md"].replace(
        "## Unreleased\n", f"## Unreleased\n\n## 0.2.0, {today}\n"
    )
    with pytest.raises(SystemExit, match="says nothing under Unreleased"):
        release.release(root, "0.3.0")  # nothing is new since


@pytest.mark.parametrize("version", ["0.1.0", "0.0.9", "0.1"])
def test_a_version_must_be_newer_than_the_last(root, version):
    before = state(root)
    with pytest.raises(SystemExit, match=r"not newer than 0\.1\.0|three numbers"):
        release.release(root, version)
    assert state(root) == before


def test_versions_are_compared_as_numbers(root):
    release.release(root, "0.10.0")
    with pytest.raises(SystemExit, match=r"0\.9\.0 is not newer than 0\.10\.0"):
        release.refuse(root, "0.9.0")


def test_a_tag_is_never_moved(root):
    git(root, "tag", "v0.2.0")
    with pytest.raises(SystemExit, match=r"a tag v0\.2\.0 already"):
        release.release(root, "0.2.0")


@pytest.mark.parametrize("name", ["notebooks/00_start.ipynb", "notebooks/01_new.ipynb"])
def test_what_is_not_committed_forbids_a_release(root, name):
    (root / name).write_text("changed")
    before = state(root)
    with pytest.raises(SystemExit, match=f"First commit, or take away:\n.*{name}"):
        release.release(root, "0.2.0")
    assert state(root) == before


def test_a_wheel_without_a_lesson_changes_nothing(root, monkeypatch):
    def without_lessons(root, target):
        wheel = zipped(root, target)
        with ZipFile(wheel, "w") as archive:
            archive.write(root / "node_tutorial" / "__init__.py", "node_tutorial/__init__.py")
        return wheel

    monkeypatch.setattr(release, "make_wheel", without_lessons)
    before = state(root)
    with pytest.raises(SystemExit, match=r"lacks, or has otherwise:\nnotebooks/00_start\.ipynb"):
        release.release(root, "0.2.0")
    assert state(root) == before and not (root / "dist").exists()


def test_a_wheel_that_does_not_work_changes_nothing(root, monkeypatch):
    def fails(*arguments):
        release._run("git", "no-such-command")

    monkeypatch.setattr(release, "check_installed", fails)
    before = state(root)
    with pytest.raises(SystemExit, match="This failed, and nothing was released: git no-such"):
        release.release(root, "0.2.0")
    assert state(root) == before and not (root / "dist").exists()


def test_a_file_without_its_version_is_named(root):
    (root / "CITATION.cff").write_text("cff-version: 1.2.0\n")
    git(root, "commit", "--quiet", "-am", "no version")
    with pytest.raises(SystemExit, match=r"CITATION\.cff has 0 lines with its version"):
        release.release(root, "0.2.0")


def test_this_repository_has_its_version_once_in_each_place_and_a_changelog():
    for name, pattern in release.PLACES.items():
        assert len(release.re.findall(pattern, (ROOT / name).read_text("utf-8"))) == 1, name
    assert (ROOT / "CHANGELOG.md").read_text("utf-8").count(release.UNRELEASED) == 1
