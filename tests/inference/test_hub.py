"""The Hugging Face hub, played by a folder: what is asked of it, and how its failures read."""

import shutil
import sys

import huggingface_hub
import numpy as np
import pytest
from small_recognizers import random_clips, small_recognizer

from shapmix.inference.ensemble import Ensemble, load_saved
from shapmix.inference.pretrained import PretrainedError
from shapmix.inference.recognizer import ActionRecognizer

CLIPS = random_clips(3, "ntu25")


class Hub:
    """Repositories in a folder, with the few functions of huggingface_hub that are called."""

    def __init__(self, folder):
        self.folder, self.calls = folder, []

    def snapshot_download(self, name, *, revision, token, allow_patterns):
        self.calls.append(("download", name, revision, token))
        if not (self.folder / name).is_dir():
            raise huggingface_hub.errors.LocalEntryNotFoundError(f"no {name}\nand more lines")
        found = self.folder / "cache"
        for path in (self.folder / name).rglob("*"):
            inside = path.relative_to(self.folder / name)
            if path.is_file() and list(
                huggingface_hub.utils.filter_repo_objects(
                    [str(inside)], allow_patterns=allow_patterns
                )
            ):
                (found / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, found / inside)
        return str(found)

    def HfApi(self, token):  # noqa: N802
        self.calls.append(("api", token))
        return self

    def create_repo(self, name, *, private, exist_ok):
        self.calls.append(("create", name, private, exist_ok))
        (self.folder / name).mkdir(parents=True, exist_ok=True)
        return huggingface_hub.RepoUrl(f"https://huggingface.co/{name}")

    def upload_folder(self, *, repo_id, folder_path, commit_message):
        self.calls.append(("upload", repo_id, commit_message))
        shutil.copytree(folder_path, self.folder / repo_id, dirs_exist_ok=True)
        (self.folder / repo_id / "evil.py").write_text("raise SystemExit")
        return f"https://huggingface.co/{repo_id}/commit/0"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    hub = Hub(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub.snapshot_download)
    monkeypatch.setattr(huggingface_hub, "HfApi", hub.HfApi)
    return hub


def test_there_and_back(hub):
    recognizer = small_recognizer()
    address = recognizer.push_to_hub("me/actions", private=True, token="secret", message="first")
    assert address == "https://huggingface.co/me/actions/commit/0"
    assert hub.calls == [
        ("api", "secret"),
        ("create", "me/actions", True, True),
        ("upload", "me/actions", "first"),
    ]
    found = ActionRecognizer.from_pretrained("me/actions", revision="v1", token="secret")
    assert hub.calls[-1] == ("download", "me/actions", "v1", "secret")
    np.testing.assert_array_equal(found.probabilities(CLIPS), recognizer.probabilities(CLIPS))
    fetched = {path.name for path in (hub.folder / "cache").iterdir()}
    assert fetched == {"README.md", "config.json", "model.safetensors"}


def test_ensembles_there_and_back(hub):
    inner = Ensemble([small_recognizer(seed=i) for i in range(2)])
    ensemble = Ensemble([inner, small_recognizer(stream="bone")])
    ensemble.push_to_hub("me/several")
    for load in (Ensemble.from_pretrained, load_saved):
        found = load("me/several")
        np.testing.assert_array_equal(found.probabilities(CLIPS), ensemble.probabilities(CLIPS))
    assert not list((hub.folder / "cache").rglob("*.py"))


def test_what_the_hub_does_not_have(hub):
    said = (
        r"^there is no folder me/nothing, and the Hugging Face hub gave LocalEntryNotFoundError: "
        r"no me/nothing$"
    )
    with pytest.raises(PretrainedError, match=said):
        ActionRecognizer.from_pretrained("me/nothing")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "runs/jiont",
            r"no folder runs/jiont \(did you mean 'joint'\?\); .* since runs is a folder",
        ),
        ("runs/xyz", r"there is no folder runs/xyz; the Hugging Face hub was not asked"),
        ("jiont", r"there is no folder jiont: give one that"),
        ("rusn", r"there is no folder rusn \(did you mean 'runs'\?\): give one that"),
        ("./rusn/joint", r"no folder \./rusn/joint \(did you mean 'runs'\?\): give one that"),
        ("rusn/joint", r"no folder rusn/joint \(did you mean 'runs'\?\), and the .* hub gave"),
    ],
)
def test_a_folder_that_is_misspelt(hub, tmp_path, monkeypatch, name, said):
    (tmp_path / "runs" / "joint").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for load in (ActionRecognizer.from_pretrained, load_saved):
        with pytest.raises(PretrainedError, match=said):
            load(name)
    assert bool(hub.calls) == (name == "rusn/joint")


def test_folders_come_first_and_need_no_hub(hub, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    small_recognizer().save_pretrained(tmp_path / "here" / "model")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    ActionRecognizer.from_pretrained("here/model")
    assert not hub.calls
    with pytest.raises(
        ImportError, match=r"no folder me/actions, and .* pip install 'shapmix\[hub\]'"
    ):
        ActionRecognizer.from_pretrained("me/actions")
    with pytest.raises(ImportError, match=r"pip install 'shapmix\[hub\]'"):
        small_recognizer().push_to_hub("me/actions")
