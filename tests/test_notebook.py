"""The notebook runs from its first cell to its last, and is kept without outputs."""

import warnings

import nbformat
import pytest
from nbclient import NotebookClient

from documents import ROOT

PATH = ROOT / "examples" / "quickstart.ipynb"


@pytest.fixture
def notebook():
    return nbformat.read(PATH, as_version=4)


def test_it_is_kept_without_outputs(notebook):
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) > 5
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)


def test_it_runs(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where its data and runs go
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the messaging between client and kernel
        NotebookClient(
            notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
        ).execute()
    shown = [
        kind
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        for kind in output.get("data", {})
    ]
    assert shown.count("image/png") == 4
    assert (next(tmp_path.glob("shapmix-*")) / "shap-mix" / "metrics.json").exists()
