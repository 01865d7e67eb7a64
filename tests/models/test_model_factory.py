"""Models by name and by import path, and what the errors say."""

import re
from pathlib import Path

import pytest
import torch

from shapmix.layouts import LayoutError, get_layout
from shapmix.models import CTRGCN, STGCN, ModelError, create_model

OWN = """
import torch
from torch import nn

class Own(nn.Module):
    def __init__(self, layout, num_classes, num_persons, in_channels, depth=1):
        super().__init__()
        self.arguments = (layout, num_classes, num_persons, in_channels, depth)
        self.head = nn.Linear(in_channels, num_classes)

    def forward(self, x):
        return self.head(x.mean((2, 3, 4)))

class Family:
    Member = Own

class Needy(Own):
    def __init__(self, layout, num_classes, num_persons, in_channels, tables):
        pass

def build(**arguments):
    return Own(**arguments)

def forgetful(layout, **arguments):
    Own(layout, **arguments)

class Broken(nn.Module):
    def __init__(self, **arguments):
        raise RuntimeError("the model's own trouble")

NUMBER = 3
"""


@pytest.fixture(autouse=True)
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "__init__.py").write_text("")
    (tmp_path / "own_package" / "own.py").write_text(OWN)
    (tmp_path / "own_broken.py").write_text("import no_such_module_at_all")
    (tmp_path / "own_syntax.py").write_text("def :")
    monkeypatch.syspath_prepend(tmp_path)


def test_by_name() -> None:
    model = create_model("ctrgcn", "coco17", 7, num_persons=2, width=8, dropout=0.1)
    assert isinstance(model, CTRGCN)
    assert model(torch.randn(2, 3, 8, 17, 2)).shape == (2, 7)
    assert isinstance(create_model("stgcn", get_layout("utd20"), 7), STGCN)


@pytest.mark.parametrize("attribute", ["Own", "Family.Member", "build"])
def test_own_module_by_import_path(attribute: str) -> None:
    path = f"own_package.own:{attribute}"
    model = create_model(path, "kinect20", 7, num_persons=2, in_channels=2, depth=5)
    assert model.arguments == (get_layout("kinect20"), 7, 2, 2, 5)
    assert model(torch.randn(4, 2, 8, 20, 2)).shape == (4, 7)


def test_an_error_inside_an_own_module_is_its_own() -> None:
    with pytest.raises(RuntimeError, match="the model's own trouble"):
        create_model("own_package.own:Broken", "kinect20", 7)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("ctrgnc", {}, "unknown model 'ctrgnc' (did you mean 'ctrgcn'?); expected one of ctrgcn"),
        ("ST-GCN", {}, "unknown model 'ST-GCN' (did you mean 'stgcn'?)"),
        ("own_package.own", {}, "or the import path of your own, 'package.module:Class'"),
        (
            "ctrgcn",
            {"dropuot": 0.5},
            "model 'ctrgcn' got an unexpected keyword argument 'dropuot' (did you mean 'dropout'?)"
            "; it takes layout, num_classes, num_persons, in_channels, width, dropout",
        ),
        (
            "own_package.own:Own",
            {"width": 4},
            "model 'own_package.own:Own' got an unexpected keyword argument 'width'",
        ),
        ("own_package.own:Needy", {}, "missing a required argument: 'tables'; it takes layout"),
        ("own_package.own:", {}, "is incomplete; expected 'package.module:Class'"),
        (":Own", {}, "is incomplete; expected 'package.module:Class'"),
        ("own_package.own:Ovn", {}, "own_package.own has no 'Ovn' (did you mean 'Own'?)"),
        ("own_package.own:NUMBER", {}, "is int; expected an nn.Module class"),
        ("own_package.own:forgetful", {}, "returned NoneType; expected a torch.nn.Module"),
        (
            "no_such_package.own:Own",
            {},
            "importing 'no_such_package.own' failed with ModuleNotFoundError: No module named "
            "'no_such_package'; is it installed, or its folder on PYTHONPATH?",
        ),
        ("own_broken:Own", {}, "failed with ModuleNotFoundError: No module named 'no_such_modu"),
        ("own_syntax:Own", {}, "importing 'own_syntax' failed with SyntaxError"),
    ],
)
def test_errors_say_what_to_change(name: str, options: dict[str, float], expected: str) -> None:
    with pytest.raises(ModelError, match=re.escape(expected)):
        create_model(name, "kinect20", 7, **options)


def test_unknown_layout() -> None:
    with pytest.raises(LayoutError, match="did you mean 'ntu25'"):
        create_model("ctrgcn", "ntu52", 7)


LISTS = """
from torch import nn

class Lists(nn.Module):
    # As people write them: a list is joined to a list, and no hint tells of the default None.
    def __init__(
        self, layout, num_classes, num_persons, in_channels, channels: list[int] = [8],
        drop: float = None,
    ):
        super().__init__()
        self.channels, self.drop = [in_channels] + channels, drop
"""


def test_options_of_others_come_in_the_types_that_they_work_with(tmp_path, monkeypatch):
    (tmp_path / "with_lists.py").write_text(LISTS)
    monkeypatch.syspath_prepend(tmp_path)
    model = create_model("with_lists:Lists", "ntu25", 3, channels=[4, 5.0], drop=None)
    assert model.channels == [3, 4, 5]
    with pytest.raises(ModelError, match="drop is 'x'; expected a finite number"):
        create_model("with_lists:Lists", "ntu25", 3, drop="x")
