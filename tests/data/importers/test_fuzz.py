"""Every importer survives damaged files: a hundred a format here, 2 000 with `make fuzz`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shapmix.data.importers import IMPORTERS

TESTS = Path(__file__).parents[2]
INPUTS = int(os.environ.get("SHAPMIX_FUZZ_INPUTS", "100"))


@pytest.mark.parametrize("name", IMPORTERS)
def test_damaged_sources(name: str) -> None:
    command = [sys.executable, str(TESTS / "fuzz_importers.py"), name, "--inputs", str(INPUTS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=TESTS)
    assert done.returncode == 0, done.stderr[-5000:]
    archives = int(done.stdout.split()[1])
    assert archives, "no damaged source could be imported: the generator or the importer is broken"
    assert archives < INPUTS, "no input was refused: the mutations do too little"
