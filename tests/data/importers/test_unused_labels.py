"""A CSV whose labels are of other clips, or of more, in every format of one clip a file."""

from importlib import import_module

import pytest

from shapmix.data.importers import IMPORTERS, load_importer, run_import
from shapmix.data.importers.base import SourceError
from shapmix.data.importers.file_sources import LabelledFiles

FORMATS = ("arrays", "bvh", "mediapipe", "openpose")


@pytest.fixture(params=FORMATS)
def imported(request, tmp_path):
    """Import two clips with labels from a CSV: `imported(rows)`, the report."""
    module = import_module(f"generators.{IMPORTERS[request.param].module}")
    source = module.write(tmp_path / "source", clips=2, seed=0)
    options = {}
    if request.param == "arrays":
        options["layout"] = "sbu15"

    def run(rows):
        table = tmp_path / "labels.csv"
        table.write_text("\n".join(["clip,label", *rows]))
        given = load_importer(request.param).Options(labels=str(table), **options)
        opened = load_importer(request.param).open_source(source, given)
        assert isinstance(opened, LabelledFiles)
        return opened, run_import(request.param, source, tmp_path / "a.arrow", given)

    return run


def test_labels_of_other_clips_are_refused(imported):
    with pytest.raises(SourceError, match="clips such as 'nobody', none of which is there"):
        imported(["nobody,wave"])


def test_labels_that_are_left_over_are_told(imported, tmp_path):
    with pytest.raises(SourceError) as refused:
        imported(["nobody,wave"])
    known = str(refused.value).split("the first without a label is '")[1].split("'")[0]
    _, report = imported([f"{known},wave", "nobody,wave"])
    assert report.repaired["labels of clips that are not there left out"] == ["nobody"]
    assert report.read == 1
