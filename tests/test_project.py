"""The project keeps its own rules: imports, pins, packages, version, and a command line that starts at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version


@pytest.fixture(scope="module")
def project(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def pins(repository):
    lines = (repository / "constraints.txt").read_text().splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"==[^,*+]+", str(one.specifier)) for one in requirements), "each line pins one version"
    found = {canonicalize_name(one.name): Version(str(one.specifier)[2:]) for one in requirements}
    assert len(found) == len(requirements), "a name is pinned once"
    return found


def requirements_of(project):
    extras = project["project"]["optional-dependencies"].values()
    everything = [*project["project"]["dependencies"], *(one for extra in extras for one in extra)]
    return [one for one in map(Requirement, everything) if canonicalize_name(one.name) != "usssl"]


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)


def test_imports_go_down_the_rooms_only(repository):
    found = run(Path(sys.executable).with_name("lint-imports"), cwd=repository)
    assert found.returncode == 0, found.stdout


def test_every_dependency_is_pinned_at_a_version_that_its_range_allows(project, pins):
    for requirement in requirements_of(project):
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} is not in constraints.txt"
        assert requirement.specifier.contains(pins[name]), f"{requirement} does not allow {pins[name]}"


def test_make_bench_installs_every_peer(project, repository):
    makefile = (repository / "Makefile").read_text()
    peers = {canonicalize_name(name) for name in re.search(r"^PEERS := (.*)$", makefile, re.M)[1].split()}
    assert {
        canonicalize_name(Requirement(one).name) for one in project["project"]["optional-dependencies"]["bench"]
    } <= peers


def test_every_package_of_the_tree_is_distributed(project, repository):
    roots = {"usssl": repository / "usssl", "napari_usssl": repository / "napari_plugin" / "napari_usssl"}
    found = {
        ".".join((name, *file.parent.relative_to(root).parts))
        for name, root in roots.items()
        for file in root.rglob("__init__.py")
    }
    assert found == set(project["tool"]["setuptools"]["packages"])


def test_the_version_is_the_same_everywhere(project, repository):
    import usssl

    version = project["project"]["version"]
    assert usssl.__version__ == version
    changelog = (repository / "CHANGELOG.md").read_text()
    released = re.findall(r"^## \[(\d[^\]]*)\]", changelog, re.M)
    assert "## [Unreleased]" in changelog or released[0] == version
    assert all(Version(one) <= Version(version) for one in released)


def test_help_comes_at_once():
    usssl = Path(sys.executable).with_name("usssl")
    wall, processor = [], []
    for _ in range(5):
        start, before = time.perf_counter(), os.times()
        found = run(usssl, "--help")
        wall.append(time.perf_counter() - start)
        after = os.times()
        processor.append(after.children_user + after.children_system - before.children_user - before.children_system)
        assert found.returncode == 0, found.stderr
    assert "pretrain" in found.stdout
    busy = os.getloadavg()[0] > (os.cpu_count() or 1)  # then waiting for others is most of the wall time
    assert min(processor if busy else wall) < 0.3


@pytest.mark.parametrize("code", ["import usssl", "import usssl; dir(usssl)", "from usssl import cli; cli.app"])
def test_light_imports_stay_light(code, repository):
    heavy = ("torch", "monai", "ignite", "napari", "matplotlib", "pandas", "cv2", "onnxruntime")
    check = f"import sys; print(*[name for name in {heavy} if name in sys.modules])"
    found = run(sys.executable, "-c", f"{code}\n{check}", cwd=repository)
    assert found.returncode == 0, found.stderr
    assert not found.stdout.strip()


def test_the_base_install_and_the_plugin_need_no_torch(repository):
    code = (
        "import sys\n"
        "for name in ('torch', 'monai', 'ignite'): sys.modules[name] = None\n"
        "import usssl, usssl.cli, usssl.cine, usssl.bundle, usssl.phantom, napari_usssl\n"
        "usssl.open_cine, usssl.open_bundle\n"
    )
    found = run(sys.executable, "-c", code, cwd=repository)
    assert found.returncode == 0, found.stderr


def test_files_have_one_subject(repository):
    """The house style: none past 400 lines, half of them below 150 or so."""
    lines = {
        path: len(path.read_text().splitlines())
        for folder in ("usssl", "napari_plugin")
        for path in (repository / folder).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert not {str(path): count for path, count in lines.items() if count > 400}
    assert sorted(lines.values())[len(lines) // 2] <= 180


def test_no_file_names_a_machine(repository):
    """Paths of one machine do not belong into files that are read on another."""
    listed = run("git", "ls-files", "-z", cwd=repository)
    if listed.returncode:
        pytest.skip("this is not a git checkout")
    home = re.compile(rb"(?<![\w.])/(?:home|Users)/[a-z]\w*/|(?<![\w.])/(?:work|root)/\w")
    found = []
    for name in listed.stdout.split("\0"):
        path = repository / name
        if (
            path.is_file()
            and path.stat().st_size < 1_000_000
            and path != Path(__file__)
            and home.search(path.read_bytes())
        ):
            found.append(name)
    assert not found


def test_scripts_can_be_run(repository):
    for name in (".ci/run", ".ci/window-packages"):
        assert os.access(repository / name, os.X_OK), f"{name} is not executable"
        assert run("bash", "-n", repository / name).returncode == 0
