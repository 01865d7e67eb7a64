"""Warnings of this package are read by people who type commands; those of others by programmers."""

import subprocess
import sys
import warnings

import shapmix
from shapmix.commands.entry import PACKAGE, show_warning

PROGRAM = """
import sys, warnings
from shapmix.commands import cli, entry

def main():
    warnings.warn_explicit("mind the tail", UserWarning, {ours!r}, 7)
    warnings.warn_explicit("old", DeprecationWarning, "elsewhere.py", 3, module="__main__")
    return 5

cli.main = main
sys.exit(entry.main())
"""


def test_a_user_reads_what_is_said_and_not_where():
    ours = f"{PACKAGE}/reporting/canvas.py"
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", PROGRAM.format(ours=ours)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5
    assert "Warning: mind the tail\n" in done.stderr
    assert "canvas.py" not in done.stderr
    assert "elsewhere.py:3: DeprecationWarning: old" in done.stderr


def test_where_it_is_written(capsys, tmp_path):
    assert (PACKAGE / "__init__.py").samefile(shapmix.__file__)
    with (tmp_path / "log").open("w+") as log:
        show_warning("a", UserWarning, shapmix.__file__, 1, log)
        assert not capsys.readouterr().err
        log.seek(0)
        assert log.read() == "Warning: a\n"
    assert warnings.showwarning is not show_warning, "only the console script changes it"
