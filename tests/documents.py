"""The documents of the project as a test reads them: pages, fenced blocks, commands."""

import re
import shlex
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n)?"
    r"(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```[ ]*$",
    re.DOTALL | re.MULTILINE,
)
INDENTED = re.compile(r"(?<=\n\n)((?: {4}[^\n]*\n)+)")
COMMAND = re.compile(r"(?:\w+=\S+ )*(?:shapmix|make|python|pip|benchmarks/\S+) ")


@dataclass(frozen=True)
class Block:
    """A block of code: where it begins, its language as written, and why it is not run, if so."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            name_of(page),
            text.count("\n", 0, found.start("text")),
            found["language"],
            dedent(found["text"]),
            found["reason"],
        )
        for found in FENCE.finditer(text)
    ]


def indented_commands(text: str, page: str) -> list[Block]:
    """Blocks that are code by their indentation and begin with a command."""
    unfenced = FENCE.sub(lambda found: "\n" * found[0].count("\n"), text)
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, "", dedent(found[0]))
        for found in INDENTED.finditer(unfenced)
        if COMMAND.match(found[0].lstrip())
    ]


def is_shell(block: Block) -> bool:
    """Whether a block holds commands; without a language, if it begins with one."""
    if block.language == "":
        return COMMAND.match(block.text) is not None
    return block.language in ("bash", "sh", "console")


def command_lines(block: Block) -> list[list[str]]:
    """The words of each command of a block: comments are left out, {a,b} is what a shell makes."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    split = [shlex.split(line, comments=True) for line in lines]
    return [[made for word in words for made in expanded(word)] for words in split if words]


def expanded(word: str) -> list[str]:
    """`a-{b,c}` as `a-b`, `a-c`."""
    pieces = re.split(r"\{([^{}]*,[^{}]*)\}", word)
    choices = [piece.split(",") if i % 2 else [piece] for i, piece in enumerate(pieces)]
    return ["".join(chosen) for chosen in product(*choices)]


def console_steps(block: Block) -> list[tuple[list[str], list[str]]]:
    """Each command of a console block, and the lines of output that are shown for it."""
    steps = []
    for part in re.split(r"^\$ ", block.text.replace("\\\n", ""), flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        steps.append((shlex.split(command), [line for line in shown if line not in ("...", "")]))
    return steps
