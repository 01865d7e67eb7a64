"""The quick start of the documents, followed to the letter in an empty folder: its commands and its
Python, in the order of the page. Only the trainings are shorter."""

import re

import numpy as np

from documents import ROOT, blocks, console_steps
from shapmix.commands import cli

MEASURED = ("train", "compare", "report", "explain", "predict", "export")  # figures differ


def essential(line, words):
    """What a line must have: all of it, or what stands before the first figure."""
    return " ".join((re.split(r"[\d\[−+.│]", line)[0] if words[1] in MEASURED else line).split())


def shortened(words):
    """A training of two epochs; other commands as they are."""
    if "--epochs" not in words:
        return words
    at = words.index("--epochs") + 1
    return [*words[:at], "2", *words[at + 1 :]]


def follow(words, shown, capsys):
    """Run a command, which must succeed and print what is shown."""
    status = cli.main(words[1:])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    output = [" ".join(line.split()) for line in captured.out.splitlines()]
    for line in shown:
        wanted = essential(line, words)
        assert wanted
        assert any(other.startswith(wanted) for other in output), (
            f"{' '.join(words)} does not print {line!r}, but\n{captured.out}"
        )


def test_the_quick_start(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    names, commands = {}, 0
    for block in blocks(ROOT / "docs" / "quick_start.md"):
        if block.language == "python":
            exec(compile(block.text, str(block), "exec"), names)
        for words, shown in console_steps(block) if block.language == "console" else ():
            follow(shortened(words), shown, capsys)
            commands += 1
    assert commands > 8
    assert (tmp_path / "report.html").stat().st_size > 100_000
    assert names["recognizer"].class_names == tuple(names["names"])
    own = names["recognizer"].probabilities([names["clip"]])
    np.testing.assert_allclose(names["probabilities"], own, atol=1e-4)
