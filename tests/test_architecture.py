"""The arrows between packages, cycles between modules, and the paths that ARCHITECTURE.md names."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("reid", "export", "tracker")
ALLOWED = {"reid": {"reid"}, "export": {"export", "reid"}, "tracker": {"tracker", "export", "reid"}}
TOP_LEVEL = {
    "tracker", "reid", "export", "tests", "samples", "pyproject.toml",
    "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE",
}  # fmt: skip


def modules():
    """Dotted name -> file, for every module of ours."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name, *, at_top=False):
    """Our own modules that a module imports, lazy imports included unless ``at_top``."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    nodes = tree.body if at_top else ast.walk(tree)
    targets = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            targets |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import"
            targets |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    owned = set()
    for target in targets:
        while target and target not in MODULES:
            target = target.rpartition(".")[0]
        if target and target != name:
            owned.add(target)
    return owned


@pytest.mark.parametrize("name", sorted(MODULES))
def test_arrows_point_one_way(name):
    allowed = ALLOWED[name.partition(".")[0]]
    assert {target.partition(".")[0] for target in imports(name)} <= allowed


def test_no_cycles_between_modules():
    graph = {name: {t for t in imports(name, at_top=True) if not name.startswith(t + ".")} for name in MODULES}
    state = {}

    def visit(name, way):
        if state.get(name) == "done":
            return
        assert state.get(name) != "open", f"cycle: {' -> '.join([*way, name])}"
        state[name] = "open"
        for target in sorted(graph[name]):
            visit(target, [*way, name])
        state[name] = "done"

    for name in sorted(graph):
        visit(name, [])


def test_every_path_in_architecture_exists():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:tracker|reid|export|tests|samples)/[\w./]*)`", text)
    assert len(paths) > 15
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_top_level_holds_nothing_else():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=True
    ).stdout.splitlines()
    top = {line.partition("/")[0] for line in listed}
    assert {name for name in top if not name.startswith(".")} <= TOP_LEVEL


@pytest.mark.parametrize("package", PACKAGES)
def test_installed_packages_are_ours(package):
    """The index has unrelated distributions of these names; from elsewhere, ours must be what imports."""
    code = f"import {package}, pathlib; print(pathlib.Path({package}.__file__).parent / '__init__.py')"
    made = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(sys.prefix), capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip("the project is not installed in this environment")
    installed = Path(made.stdout.strip()).read_text(encoding="utf-8")
    assert installed == (ROOT / package / "__init__.py").read_text(encoding="utf-8")
