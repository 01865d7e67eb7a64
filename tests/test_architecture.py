"""Imports go downwards only, the plug-in needs torch and numpy only, and help needs neither."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import shapmix

ROOT = Path(shapmix.__file__).parent
# Each level may import the levels below it; rooms of one level do not import one another.
LEVELS = [
    {"commands"},
    {"reporting", "serving", "benchmarking"},
    {"training"},
    {"inference"},
    {"mixing", "models", "data", "losses", "metrics"},
    {"layouts"},
    {"counts", "settings"},
    {"suggest", "writing"},
]
LEVEL = {room: i for i, rooms in enumerate(LEVELS) for room in rooms}
FILES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.stem in LEVEL)


def room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_rooms(path):
    for node in ast.walk(ast.parse(path.read_text())):
        modules = []
        if isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module]
            if node.module == "shapmix":
                modules = [f"shapmix.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        for module in modules:
            first, _, rest = module.partition(".")
            if first == "shapmix" and rest:
                yield rest.split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_downwards(path):
    own = room(path)
    for other in set(imported_rooms(path)) - {own}:
        assert LEVEL[own] < LEVEL[other], f"{own} must not import {other}"
    if own == "reporting":
        lower = {"metrics", "layouts", "counts", "suggest", "writing"}
        assert set(imported_rooms(path)) <= {"reporting"} | lower
    if own in ("mixing", "losses"):
        allowed = {"torch", "numpy", "shapmix"} | set(sys.stdlib_module_names)
        names = {
            (node.module or "").split(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom)
        }
        assert names <= allowed


def loaded_after(statement):
    code = f"import sys; {statement}; print(*sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(out.stdout.splitlines()[-1].split())


HEAVY = {"torch", "pytorch_lightning", "pyarrow", "torchmetrics", "matplotlib"}


@pytest.mark.parametrize(
    "statement",
    [
        "import shapmix",
        "import shapmix.layouts",
        "from shapmix.commands import cli; cli.build_parser()",
    ],
)
def test_light_imports(statement):
    assert not HEAVY & loaded_after(statement)


def test_the_plug_in_loads_torch_and_numpy_only():
    statement = "from shapmix import ShapMix, STMix, Mixup, NoMix, BalancedSoftmaxLoss, mean_clip"
    assert not (HEAVY - {"torch"}) & loaded_after(statement)


def test_public_names():
    """Each promised name is there, is listed by dir(), and there are few."""
    for name in shapmix.__all__:
        assert getattr(shapmix, name) is not None
    assert set(shapmix.__all__) <= set(dir(shapmix))
    assert len(shapmix.__all__) <= 25


def test_unknown_public_name():
    with pytest.raises(AttributeError, match="ShapMixx"):
        shapmix.ShapMixx  # noqa: B018


def test_the_layout_in_the_data_guide_is_valid(tmp_path):
    from shapmix.layouts import get_layout

    guide = (Path(__file__).parents[1] / "docs" / "data.md").read_text()
    path = tmp_path / "stick7.yaml"
    path.write_text(guide.split("```yaml\n")[1].split("```")[0])
    assert get_layout(str(path)).num_parts == 5
