"""Every code block of the documents: Python runs, commands are taken by the real command line, YAML
is what it is said to be. A block is left out only by `<!-- not run: REASON -->` before it."""

import ast
import doctest
import inspect
import re
import tomllib
import warnings
from importlib import import_module

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser
from torch import nn

import shapmix
from documents import (
    PAGES,
    ROOT,
    Block,
    blocks,
    command_lines,
    indented_commands,
    is_shell,
    name_of,
)
from shapmix.benchmarking.suite import load_suite
from shapmix.commands import cli, train
from shapmix.layouts import get_layout
from shapmix.training.config import TrainConfig

BLOCKS = [block for page in PAGES for block in blocks(page)]
SHELL = [block for block in BLOCKS if is_shell(block)] + [
    block
    for page in PAGES
    for block in indented_commands(page.read_text(encoding="utf-8"), name_of(page))
]
LANGUAGES = {"", "bash", "console", "python", "sh", "yaml"}  # what there may be
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def skip_if_told(block: Block) -> None:
    if block.reason is not None:
        pytest.skip(f"{block} is not run: {block.reason}")


def test_there_is_something_to_test():
    assert len(PAGES) > 20
    assert {block.language for block in BLOCKS} <= LANGUAGES
    assert {block.page for block in BLOCKS} >= {"README.md", "docs/plug_in.md", "docs/data.md"}
    assert len(SHELL) > 30


# Python: the blocks of a page are one program; these are the names that a page takes for granted.


def plug_in_names():
    """Clips of three classes in a loader, and a function for a model."""
    x = torch.randn(24, 3, 16, 25, 1)
    y = torch.arange(24) % 3
    return {
        "torch": torch,
        "class_counts": [12, 8, 4],
        "batches": [x],
        "loader": list(zip(x.split(8), y.split(8), strict=True)),
        "model": lambda clips: clips.mean((2, 3, 4)),
        "epochs": 2,
    }


def toolbox_names():
    """Batches and a recogniser with the shapes and the faces of PYSKL's."""
    recognizer = nn.Module()
    recognizer.backbone = nn.Sequential(nn.Flatten(), nn.Linear(2 * 16 * 17 * 3, 8))
    recognizer.cls_head = nn.Linear(8, 3)
    keypoint = torch.randn(2, 8, 1, 2, 16, 17, 3)  # (batches, N, clips, M, T, V, C)
    label = torch.arange(16).view(2, 8, 1) % 3
    return {"recognizer": recognizer, "pyskl_loader": list(zip(keypoint, label, strict=True))}


def keypoint_names():
    """One clip of COCO joints."""
    return {"keypoints": torch.rand(20, 1, 17, 3).numpy()}


QUICK_START = "docs/quick_start.md"  # is followed in test_quick_start.py, commands and all
GIVEN = {
    "README.md": plug_in_names,
    "docs/index.md": plug_in_names,
    "docs/methods/shapmix.md": plug_in_names,
    "docs/plug_in.md": toolbox_names,
    "docs/data.md": keypoint_names,
}


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder, and what torchrun would tell the only process of a group."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    group = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "0"}
    for name, value in group.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.mark.parametrize(
    "page", {b.page: None for b in BLOCKS if b.language == "python" and b.page != QUICK_START}
)
def test_python_runs(page, workplace):
    names = {"__name__": "page"} | GIVEN.get(page, dict)()
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="pytorch_lightning")
        torch.manual_seed(0)
        for block in BLOCKS:
            if (block.page, block.language) != (page, "python"):
                continue
            code = compile("\n" * block.line + block.text, str(ROOT / page), "exec")
            if block.reason is None:
                exec(code, names)
            else:
                print(f"{block} is not run: {block.reason}")


# Commands: `shapmix` up to where it would begin to work, others as far as they can be looked up.


def parse(words, monkeypatch):
    """Hand a command line to the real one, which stops before it runs; 0 if it is taken."""
    if words[:2] == ["import", "auto"]:
        words = ["import", "table", *words[2:]]  # any format does: which one is told by the source
    monkeypatch.setattr(cli, "_run", lambda _: 0)
    monkeypatch.setattr(cli, "_prepared", lambda words: words)  # looks at files that are not here
    try:
        return cli.main(words)
    except SystemExit as end:  # --help
        return end.code


def problem_of(words, monkeypatch, capsys):
    """What is wrong with a command; None if nothing is."""
    while re.fullmatch(r"\w+=\S*", words[0]):
        words = words[1:]
    program, *rest = words
    if program == "shapmix":
        status = parse(rest, monkeypatch)
        problem = capsys.readouterr().err if status else None
        absent = [w for w in rest if w.startswith("configs/") and not (ROOT / w).exists()]
        return problem or (f"no file {absent}" if absent else None)
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return None if set(rest) <= set(targets) else f"no target {rest}"
    if program == "pip":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        extras = {e for word in rest for e in re.findall(r"[\w-]+", word.partition("[")[2])}
        unknown = extras - set(project["optional-dependencies"])
        return f"no extra {unknown}" if unknown else None
    file = ROOT / (rest[0] if program == "python" else program)
    return None if file.is_file() or program == "source" else f"no program {words}"


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_commands_are_taken(block, monkeypatch, capsys):
    skip_if_told(block)
    found = command_lines(block)
    assert found, f"{block} has no command"
    for words in found:
        problem = problem_of(words, monkeypatch, capsys)
        assert problem is None, f"{block}: {' '.join(words)}\n{problem}"


def test_what_is_wrong_is_noticed(monkeypatch, capsys):
    """The checks above can fail."""
    for line in (
        "shapmix trian --archive a.arrow",
        "shapmix info a.arrow --htm b.html",
        "shapmix split a.arrow --out b.json --order sizes",
        "shapmix train --config configs/nowhere.yaml",
        "make sandwich",
        "pip install .[sandwich]",
        "python nowhere.py",
        "sandwich",
    ):
        assert problem_of(line.split(), monkeypatch, capsys), line


def test_commands_in_running_text(capsys):
    """`shapmix COMMAND --option` within a sentence names a command and options that there are."""
    helps = {}
    for page in PAGES:
        text = re.sub(r"^ *```.*?^ *```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        for words in re.findall(r"`shapmix ([a-z][a-z-]+)((?:\s[^`]*)?)`", text):
            command, options = words[0], re.findall(r"(?<!\S)--([a-z][a-z-]*)", words[1])
            assert command in cli.COMMANDS, f"{page}: shapmix {command}"
            if options and command != "import":
                if command not in helps:
                    with pytest.raises(SystemExit):
                        cli.main([command, "--help"])
                    helps[command] = set(re.findall(r"--([a-z][a-z-]*)", capsys.readouterr().out))
                assert set(options) <= helps[command], f"{page}: shapmix {command} {words[1]}"
    assert len(helps) > 3


# YAML: layouts, suites and settings of a training, each read by what reads it for a user.


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "yaml"], ids=str)
def test_yaml_is_valid(block, tmp_path):
    skip_if_told(block)
    path = tmp_path / "block.yaml"
    path.write_text(block.text, encoding="utf-8")
    content = yaml.safe_load(block.text)
    if "bones" in content:
        assert get_layout(str(path)).num_joints == len(content["joints"])
    elif "datasets" in content:
        assert load_suite(path).methods
    else:
        parser = ArgumentParser(exit_on_error=False)
        train.add_arguments(parser, ())
        values = parser.parse_args(["--config", str(path)]).as_dict()
        values.pop("config")
        assert TrainConfig(**values).archive


# Docstrings: what is code in them runs, too.

FORMULAS = {"ctrgcn.py", "stgcn.py"}  # literal blocks that are no code


def docstrings(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            text = ast.get_docstring(node)
            if text is not None:
                yield text


def literal_blocks(text):
    """Blocks after a line that ends in two colons."""
    for found in re.finditer(r"::\n\n((?:(?: {4}[^\n]*)?\n?)+)", text):
        yield inspect.cleandoc("\n" + found[1])


def test_examples_in_docstrings_run(workplace):
    """With a mixer, a batch and all public names at hand."""
    examples = [
        example
        for path in SOURCES
        for text in docstrings(path)
        for example in (
            *(literal_blocks(text) if path.name not in FORMULAS else ()),
            "".join(given.source for given in doctest.DocTestParser().get_examples(text)),
        )
        if example
    ]
    assert len(examples) >= 2
    for example in examples:
        names = {name: getattr(shapmix, name) for name in shapmix.__all__} | plug_in_names()
        x, y = names["loader"][0]
        mixer = shapmix.ShapMix("ntu25", names["class_counts"], shapmix.mean_clip([x]))
        exec(example, names | {"x": x, "y": y, "mixer": mixer})


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_examples_in_help_are_taken(command, monkeypatch, capsys):
    """Commands in the text of a help; capitals may stand for a file or a folder."""
    text = inspect.cleandoc(import_module(cli.COMMANDS[command]).__doc__) + "\n"
    for block in indented_commands(text, command):
        for line in block.text.splitlines():
            words = re.split(r" {3,}|\[", line)[0].replace("FORMAT", "table").split()
            if words[0] == "shapmix":
                problem = problem_of(words, monkeypatch, capsys)
                assert problem is None, f"{line}\n{problem}"
