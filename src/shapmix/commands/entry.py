"""The console script, which also works where only the plug-in is installed."""

import sys


def main() -> int:
    """Run the command line, or say what it needs."""
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


if __name__ == "__main__":
    sys.exit(main())
