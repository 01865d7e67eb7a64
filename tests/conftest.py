"""Shared fixtures: one thread a process, no clock, and where the real data sets are."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data sets; tests that need it are skipped with a reason elsewhere."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SHAPMIX_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"real data sets not found at {folder}; set SHAPMIX_TEST_DATA to their folder")
    return folder
