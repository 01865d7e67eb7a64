"""The configurations: each is valid, and the commands at its top run on generated sources."""

import json
import pickle
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jsonargparse import ArgumentParser

from generators import ntu_raw
from shapmix.commands import cli, train
from shapmix.data.archive import Archive
from shapmix.data.splits import Split
from shapmix.training.config import TrainConfig

ROOT = Path(__file__).parents[1]
CONFIGS = {str(path.relative_to(ROOT)): path for path in sorted(ROOT.glob("configs/*/*.yaml"))}
GUIDE = ROOT / "docs" / "protocols.md"
STREAMS = ("joint", "bone", "joint_motion", "bone_motion")
SMALL = [
    *("--num-frames", "16", "--model-options.width", "8", "--batch-size", "16"),
    *("--accelerator", "cpu", "--progress", "false", "--fast-dev-run", "true"),
]


def commands(path):
    """The commands at the top of a configuration, as lists of words."""
    header = [line[1:].strip() for line in path.read_text().splitlines() if line.startswith("#")]
    text = "\n".join(header).replace("\\\n", " ")
    return [shlex.split(line) for line in re.findall(r"^shapmix (.*)$", text, re.MULTILINE)]


def variants(path):
    """The options that the top of a configuration lists as variants, and the other streams."""
    lines = re.findall(r"^#   (--.*?)  .*$", path.read_text(), re.MULTILINE)
    found = [shlex.split(line) for line in lines]
    return [*found, *(["--stream", stream] for stream in STREAMS[2:])]


def parse(path, *words):
    """The configuration as `shapmix train --config` reads it."""
    parser = ArgumentParser(exit_on_error=False)
    train.add_arguments(parser, ())
    values = parser.parse_args(["--config", str(path), *words]).as_dict()
    return TrainConfig(**{key: value for key, value in values.items() if key != "config"})


def ntu(path, num_classes):
    """Six clips of every class, with both sides of every protocol."""
    names = ntu_raw.sample_names(6 * num_classes, num_classes)
    ntu_raw.write_dataset(path, names, frames=6, zipped=path.suffix == ".zip")


def write_hrnet(path):
    """Annotations of Kinetics-400 and, in a folder beside them, the detections of each class."""
    rng = np.random.default_rng(0)
    annotations, split = [], {"train": [], "val": []}
    kpfiles = path.parent / "kpfiles"
    kpfiles.mkdir()
    for label in range(6):
        detected = {}
        for i in range(14 - label):
            name, frames = f"video{label}_{i}", np.arange(20).repeat(1 + i % 2)
            points = rng.uniform(0, 200, (len(frames), 17, 3))
            points[..., 2] = rng.uniform(0.1, 1, points.shape[:2])
            detected[name] = {"keypoint": points.astype(np.float16)}
            split["val" if i % 3 == 0 else "train"].append(name)
            annotations.append(
                {
                    "frame_dir": name,
                    "label": label,
                    "total_frames": 20,
                    "img_shape": (240, 320),
                    "original_shape": (240, 320),
                    "raw_file": f"/somewhere/else/class{label}.pkl",
                    "frame_inds": frames.astype(np.int16),
                    "box_score": rng.uniform(0.6, 1, len(frames)).astype(np.float16),
                    "valid": {0.5: 20},
                }
            )
        (kpfiles / f"class{label}.pkl").write_bytes(pickle.dumps(detected))
    path.write_bytes(pickle.dumps({"split": split, "annotations": annotations}))


def write_openpose(path):
    """The two folders of Kinetics-Skeleton and their files of labels."""
    rng = np.random.default_rng(0)
    for part, clips in (("train", 10), ("val", 4)):
        folder, labels = path / f"kinetics_{part}", {}
        folder.mkdir(parents=True)
        for label in range(6):
            for i in range(clips - label // 2):
                frames = []
                for frame in range(1, 21):
                    pose = rng.uniform(0.1, 0.9, 36).round(3).tolist()
                    score = rng.uniform(0.1, 1, 18).round(3).tolist()
                    skeletons = [{"pose": pose, "score": score}] * (1 + i % 2)
                    frames.append({"frame_index": frame, "skeleton": skeletons})
                named = {"label": f"class {label}", "label_index": label}
                name = f"{part}{label}_{i}"
                (folder / f"{name}.json").write_text(json.dumps({"data": frames} | named))
                labels[name] = {"has_skeleton": True} | named
        (path / f"kinetics_{part}_label.json").write_text(json.dumps(labels))


SOURCES = {  # name of a source in the commands -> writer of a small one
    "nturgbd_skeletons_s001_to_s017.zip": lambda path: ntu(path, 60),
    "ntu_zips": lambda path: ntu(path, 120),
    "k400_hrnet.pkl": write_hrnet,
    "kinetics-skeleton": write_openpose,
}


class Workplace:
    """A folder in which the commands of the configurations are carried out."""

    def __init__(self, folder):
        self.folder = folder

    def word(self, word):
        """A word of a command, with its files in this folder."""
        if word.startswith(("data/", "runs/")) or word in (*SOURCES, "kpfiles"):
            return str(self.folder / word)
        return str(ROOT / word) if word.startswith("configs/") else word

    def run(self, words, *more):
        assert cli.main([*map(self.word, words), *more]) == 0

    def dry_run(self, name, *options):
        """Import a generated source (once), split it, and train for a batch."""
        importing, splitting, training = commands(CONFIGS[name])
        _, _, source, archive, *_ = importing
        if not (self.folder / source).exists():
            SOURCES[source](self.folder / source)
        if not (self.folder / archive).exists():
            self.run(importing, "--workers", "1")
        if "--n-max" in splitting:  # so that a few clips are a long tail and leave some out
            splitting[splitting.index("--n-max") + 1] = "3"
        self.run(splitting)
        split = self.word(splitting[splitting.index("--out") + 1])
        files = ("--archive", self.word(archive), "--split", split)
        self.run(training, *files, *SMALL, *options)
        return Split.load(split, Archive(self.word(archive)))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    return Workplace(tmp_path_factory.mktemp("workplace"))


def test_there_are_configurations():
    assert len([name for name in CONFIGS if name.startswith("configs/ntu/")]) == 16


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_is_valid_and_fits_its_commands(name):
    config = parse(CONFIGS[name])
    importing, splitting, training = commands(CONFIGS[name])
    assert [words[0] for words in (importing, splitting, training)] == ["import", "split", "train"]
    assert importing[3] == splitting[1] == str(config.archive)
    assert splitting[splitting.index("--out") + 1] == str(config.split)
    assert training[training.index("--config") + 1] == name
    assert config.split.stem == CONFIGS[name].stem
    assert "*not run here*" in CONFIGS[name].read_text().lower()


@pytest.mark.parametrize("family", ["ntu/*_lt*", "ntu/*[a-z].yaml"])
def test_a_family_differs_in_its_data_only(family):
    """What is not the archive or the split is the same, so that results can be compared."""
    configs = [parse(path) for path in ROOT.glob(f"configs/{family}")]
    assert len(configs) > 2
    one = replace(configs[0], archive=Path("a"), split=None)
    assert all(replace(config, archive=Path("a"), split=None) == one for config in configs)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_commands_run(name, workplace, capsys):
    split = workplace.dry_run(name)
    assert bool(split.val) == ("_lt" in name)
    assert split.test
    if "_lt" in name:
        assert split.class_counts.max() > split.class_counts.min()


@pytest.mark.parametrize(
    "data", ["ntu/ntu60_xsub", "kinetics/k400_hrnet", "kinetics/kinetics_skeleton"]
)
def test_the_variants_run(data, workplace, capsys):
    name = f"configs/{data}_lt100.yaml"
    found = variants(CONFIGS[name])
    assert len(found) >= 4
    for options in found:
        workplace.dry_run(name, *options)


def test_the_guide_has_commands_that_run():
    """Each command of docs/protocols.md that is no mere variant heads a configuration."""
    blocks = [block for block in GUIDE.read_text().split("```")[1::2] if block[0] == "\n"]
    lines = "".join(blocks).replace("\\\n", " ").split("\n")
    found = [shlex.split(line, comments=True)[1:] for line in lines if line]
    known = [command for path in CONFIGS.values() for command in commands(path)]
    assert len(found) > 5
    assert [command for command in found if command not in known] == []


def test_the_guide_fuses_streams(tmp_path, monkeypatch, capsys):
    """Joints and bones outweigh the motions; two streams that err alone are put right."""
    monkeypatch.chdir(tmp_path)
    wrong = {"joint": 0, "bone": 1, "joint_motion": 2, "bone_motion": 2}
    for stream, clip in wrong.items():
        logits = np.eye(3)
        logits[clip] = np.roll(logits[clip], 1)
        folder = Path("runs", "ntu60_xsub", f"shapmix-{stream}-s0")
        folder.mkdir(parents=True)
        np.savez(folder / "scores.npz", logits_last=logits, labels=np.arange(3))
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out == "top-1 100.0\n"
