"""The console script, which also works where only the plug-in is installed."""

import sys
import warnings
from pathlib import Path
from typing import TextIO

PACKAGE = Path(__file__).parents[1]


def main() -> int:
    """Run the command line, or say what it needs."""
    warnings.showwarning = show_warning
    try:
        from shapmix.commands.cli import main as run
    except ModuleNotFoundError as error:
        print(
            f"shapmix: the command line needs {error.name}; install it with "
            'pip install "shapmix[train,report]"',
            file=sys.stderr,
        )
        return 1
    return run()


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning: those of this package without the line of the program that gave them."""
    if Path(filename).is_relative_to(PACKAGE):
        text = f"Warning: {message}\n"
    else:
        text = warnings.formatwarning(message, category, filename, lineno, line)
    print(text, end="", file=file or sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
