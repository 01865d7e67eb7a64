"""How long it takes until something happens: imports, and the help of every command.

    python benchmarks/startup.py [--quick] [--json FILE]

Fresh processes in turn, wall-clock time with the start of Python. Goals: `import shapmix`, and the
plug-in itself (the mixers, the loss), at most 1.1 times `import torch`; every help under 0.5 s.
"""

import subprocess
import sys
from collections.abc import Callable

from harness import Report, figure, in_turn, ratio, run

from shapmix.commands.cli import COMMANDS

IMPORTS = {
    "python": "pass",
    "torch": "import torch",
    "shapmix": "import shapmix",
    "plug-in": "from shapmix import BalancedSoftmaxLoss, ShapMix",
}


def process(*words: str) -> Callable[[], object]:
    """A fresh Python that runs these words."""
    command = [sys.executable, *words]
    return lambda: subprocess.run(command, check=True, capture_output=True)  # noqa: S603


def measure(quick: bool) -> Report:
    """Imports and helps."""
    rounds = 1 if quick else 7
    imports = in_turn({k: process("-c", code) for k, code in IMPORTS.items()}, rounds)
    commands = [*COMMANDS][:1] if quick else [*COMMANDS]
    start = "-m", "shapmix.commands.entry"
    works = {"shapmix --help": process(*start, "--help")}
    works |= {f"shapmix {name} --help": process(*start, name, "--help") for name in commands}
    helps = in_turn(works, rounds)
    figures = [figure(f"{IMPORTS[name]}", imports[name], "s") for name in IMPORTS]
    figures += [
        ratio(f"{IMPORTS[k]}, against import torch", imports[k], imports["torch"], goal=1.1)
        for k in ("shapmix", "plug-in")
    ]
    figures += [figure(name, seconds, "s", goal=0.5) for name, seconds in helps.items()]
    return Report({"rounds": rounds}, figures)


if __name__ == "__main__":
    run("startup", measure, __doc__)
