"""The documentation: every public name has its place in the API, and the site builds without a warning."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser import assert_readable, needs_browser

ROOT = Path(__file__).parents[1]
API = ROOT / "docs" / "api"
ROOMS = (
    "hfsim",
    "hfsim.devices",
    "hfsim.devices.ferroelectric",
    "hfsim.devices.memristor",
    "hfsim.devices.pulsed",
    "hfsim.devices.retention",
    "hfsim.circuits",
    "hfsim.crossbar",
    "hfsim.hybrid",
    "hfsim.learning",
    "hfsim.nn",
    "hfsim.studies",
    "hfsim.studies.calibration",
    "hfsim.io",
    "hfsim.plot",
    "hfsim.explorer",
    "hfsim.estimators",
    "hfsim.draws",
    "hfsim.roots",
    "hfsim.units",
)
"""In the order of the design; an object is documented on the page of the first room that exports it."""


def public(room):
    """What a room exports: names re-exported by a package, or defined by a file, without an underscore."""
    module = importlib.import_module(room)
    if not module.__file__.endswith("__init__.py"):
        own = {n: v for n, v in vars(module).items() if getattr(v, "__module__", None) == room}
        return {name: value for name, value in own.items() if not name.startswith("_")}
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    aliases = [a for node in tree.body if isinstance(node, ast.ImportFrom) for a in node.names]
    return {a.name: getattr(module, a.name) for a in aliases if a.asname == a.name}


def pages():
    """The names that each page of the API should have."""
    seen, found = [], {}
    for room in ROOMS:
        exported = {n: v for n, v in public(room).items() if not any(v is other for other in seen)}
        seen += [v for v in exported.values() if inspect.isclass(v) or inspect.isfunction(v)]
        found[room] = sorted(exported)
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_page_of_the_api_has_what_its_room_exports(room):
    text = (API / f"{room}.md").read_text(encoding="utf-8")
    assert re.findall(rf"^::: {re.escape(room)}\.(\w+)$", text, re.M) == pages()[room]


def test_every_room_of_the_package_has_a_page():
    inner = {"hfsim.cards", "hfsim.parameters", "hfsim.errors", "hfsim.citation"}  # exported by hfsim itself
    packages = {f"hfsim.{p.parent.name}" for p in (ROOT / "hfsim").glob("*/__init__.py")}
    assert packages - inner <= set(ROOMS)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    pytest.importorskip("mkdocs", reason="the site needs the extra docs")
    built = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(built)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    return built


def test_the_site_builds_without_a_warning(site):
    shown = (site / "api" / "hfsim.devices" / "index.html").read_text(encoding="utf-8")
    assert "rectangular voltage pulse" in shown


@needs_browser
@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("", ["Where to go on", "Monte Carlo"]),
        ("results/tables-accuracy", ["Fashion-MNIST", "floating point"]),
        ("models/filament", ["filament"]),
        ("api/hfsim.devices", ["rectangular voltage pulse"]),
    ],
)
def test_a_reader_sees_the_pages(site, page, words):
    assert_readable(site / page / "index.html", words)
