"""The command line: composes the commands, each of which is one thin module beside this one.

Nothing here or at the top of a command imports torch, so that help is instant.
"""

import os
import re
import sys
import traceback
from argparse import Action, HelpFormatter, RawDescriptionHelpFormatter
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, DefaultHelpFormatter, Namespace

import shapmix
from shapmix.settings import SettingError
from shapmix.suggest import did_you_mean

COMMANDS = {
    "import": "shapmix.commands.import_",
    "info": "shapmix.commands.info",
    "check": "shapmix.commands.check",
    "split": "shapmix.commands.split",
    "train": "shapmix.commands.train",
    "second-stage": "shapmix.commands.second_stage",
    "evaluate": "shapmix.commands.evaluate",
    "ensemble": "shapmix.commands.ensemble",
    "compare": "shapmix.commands.compare",
    "report": "shapmix.commands.report",
    "figures": "shapmix.commands.figures",
    "export": "shapmix.commands.export",
    "benchmark": "shapmix.commands.benchmark",
    "predict": "shapmix.commands.predict",
    "explain": "shapmix.commands.explain",
    "serve": "shapmix.commands.serve",
    "demo": "shapmix.commands.demo",
}

OPTION = re.compile(r"--[a-z][a-z0-9_.]*")


class Formatter(RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """Descriptions keep their lines; the rest is wrapped. Types as people write them."""

    def _get_type_str(self, action: Action) -> str | None:
        shown = super()._get_type_str(action)
        if shown is None or shown.startswith("Literal["):  # choices stand beside the option
            return None
        return re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", shown)


class Parser(ArgumentParser):
    """Options are shown and taken with dashes, and an unknown one suggests the nearest."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        settings = {"formatter_class": Formatter} | kwargs
        super().__init__(*args, exit_on_error=False, allow_abbrev=False, **settings)

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        """Help with dashes in the names of options."""
        text: str = super().format_help(formatter)
        own = {name for action in self._actions for name in action.option_strings}
        return OPTION.sub(lambda m: m[0].replace("_", "-") if m[0] in own else m[0], text)

    def suggestion(self, message: str) -> str:
        """The known options nearest to the unknown one that an error message names."""
        unknown = re.search(r"option '([^']+)'", message, re.IGNORECASE)
        unknown = unknown or re.search(r"unrecognized arguments: (\S+)", message, re.IGNORECASE)
        literal = re.search(r"Literal\[(.*)\]\. Got value: (\S+)", message)
        if literal is not None:
            return did_you_mean(literal[2], re.findall(r"'([^']+)'", literal[1]))
        command = re.search(r"invalid choice: '([^']+)' \(choose from 'import'", message)
        if command is not None:
            return did_you_mean(command[1], COMMANDS)
        if unknown is None:
            return ""
        known = [s[2:] for action in self._actions for s in action.option_strings if s[:2] == "--"]
        name = unknown[1].lstrip("-").split("=")[0].split(".")[0].replace("-", "_")
        return did_you_mean(name, known).replace("_", "-")


def build_parser(words: Sequence[str] = ()) -> tuple[Parser, dict[str, Parser]]:
    """The parser of a command line of these words, and the parsers of its commands.

    Where the words begin with a command, only that one is imported and told its arguments; a help
    text of one command does not pay for the others.
    """
    parser = Parser(
        prog="shapmix",
        description=(
            "Long-tailed skeleton-based action recognition with Shap-Mix: import a data set, make "
            "a split, train, evaluate, compare. Start with `shapmix demo`."
        ),
        epilog="Each command explains itself: shapmix COMMAND --help",
    )
    parser.add_argument("--version", action="version", version=f"shapmix {shapmix.__version__}")
    subcommands = parser.add_subcommands(dest="command", title="commands", metavar="COMMAND")
    parsers = {}
    only = words[0] if words and words[0] in COMMANDS else None
    for name, path in COMMANDS.items():
        if only not in (name, None):
            subcommands.add_subcommand(name, Parser())
            continue
        module = import_module(path)
        parsers[name] = Parser(description=module.__doc__)
        module.add_arguments(parsers[name], words)
        subcommands.add_subcommand(name, parsers[name], help=module.HELP)
    return parser, parsers


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status: 0 done, 1 failed, 2 wrong command line, 130 interrupted."""
    words = [_with_underscores(word) for word in (sys.argv[1:] if argv is None else argv)]
    if not words:
        build_parser()[0].print_help()
        return 0
    try:
        words = _prepared(words)
    except (ValueError, OSError) as error:
        return refused(words[0], error)
    parser, parsers = build_parser(words)
    if words[0] in parsers:
        words = _switched_on(words, parsers[words[0]])
    try:
        args = parser.parse_args(words)
    except SettingError as error:
        return refused(words[0], error)
    except ArgumentError as error:
        name = words[0] if words[0] in parsers else None
        message = str(error).removeprefix("error: ")
        message = message.replace(f"{name}.", "")  # arguments are named without their command
        suggestion = (parsers[name] if name else parser).suggestion(message)
        where = f"shapmix {name}" if name else "shapmix"
        print(f"{where}: {message}{suggestion}\nTry `{where} --help`.", file=sys.stderr)
        return 2
    return _run(args)


def _with_underscores(word: str) -> str:
    """`--n-max=3` as `--n_max=3`; anything else as it is."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def _switched_on(words: list[str], parser: Parser) -> list[str]:
    """`--keep_missing` without a value as `--keep_missing=true`."""
    switches = {
        name
        for action in parser._actions
        if getattr(action, "_typehint", None) is bool
        for name in action.option_strings
    }
    following = [*words[1:], ""]
    return [
        word + "=true" if word in switches and after.lower() not in ("true", "false") else word
        for word, after in zip(words, following, strict=True)
    ]


def _prepared(words: list[str]) -> list[str]:
    """The words as a command wants them, if it wants to see them before they are parsed."""
    module = import_module(COMMANDS[words[0]]) if words[0] in COMMANDS else None
    prepare = getattr(module, "prepare", None)
    return words if prepare is None else [words[0], *prepare(words[1:])]


def _run(args: Namespace) -> int:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # where a user's own model is imported from
    try:
        import_module(COMMANDS[args.command]).run(args[args.command])
    except KeyboardInterrupt as interrupt:
        print("interrupted", *map(": {}".format, interrupt.args), sep="", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError) as error:
        return refused(args.command, error)
    return 0


def refused(command: str, error: Exception) -> int:
    """Say what was wrong: with the settings, status 2; with anything else, status 1."""
    if os.environ.get("SHAPMIX_TRACEBACK"):
        traceback.print_exc()
    print(f"shapmix {command}: {_told(error)}", file=sys.stderr)
    if not isinstance(error, SettingError):
        return 1
    print(f"Try `shapmix {command} --help`.", file=sys.stderr)
    return 2


def _told(error: Exception) -> str:
    """An error in words; those of the system name the file, and no number."""
    from shapmix.data.reading import reason

    if not isinstance(error, OSError) or error.filename is None:
        return str(error)
    return f"{error.filename2 or error.filename}: {reason(error)}"


if __name__ == "__main__":
    sys.exit(main())
