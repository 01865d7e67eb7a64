"""Run folders for the tests."""

import pytest
from run_folders import write_run

from shapmix.reporting import load_run


@pytest.fixture
def run_folder(tmp_path):
    return write_run(tmp_path / "run")


@pytest.fixture
def new_run(tmp_path):
    """Write a run folder of the given name and settings, and load it."""
    return lambda name, **options: load_run(write_run(tmp_path / name, **options))
