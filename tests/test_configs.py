"""The configurations: each is valid, and the commands at its top run on generated sources."""

import pickle
import re
import shlex
from collections import defaultdict
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from jsonargparse import ArgumentParser

from generators import kinetics_json, ntu_raw
from shapmix.commands import cli, train
from shapmix.data.archive import Archive
from shapmix.data.splits import Split
from shapmix.training.config import TrainConfig

ROOT = Path(__file__).parents[1]
CONFIGS = {
    str(path.relative_to(ROOT)): path
    for path in sorted(ROOT.glob("configs/*/*.yaml"))
    if path.parent.name != "suites"
}
GUIDE = ROOT / "docs" / "protocols.md"
STREAMS = ("joint", "bone", "joint_motion", "bone_motion")
SLIM = [
    *("--model-options.width", "8", "--accelerator", "cpu"),
    *("--progress", "false", "--fast-dev-run", "true"),
]
SMALL = ["--num-frames", "16", "--batch-size", "16", *SLIM]


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


def ntu60(path):
    """The official zip: six clips of every class, with both sides of every protocol."""
    names = ntu_raw.sample_names(6 * 60)
    kinds = ntu_raw.KINDS
    ntu_raw.write_dataset(path, names, zipped=True, kinds=kinds, pool=2 * len(kinds) + 1)


def ntu120(folder):
    """Both official zips: actions 61 to 120 are in the second only."""
    ntu60(folder / "nturgbd_skeletons_s001_to_s017.zip")
    names = [name for name in ntu_raw.sample_names(6 * 120, 120) if int(name[-3:]) > 60]
    second = folder / "nturgbd_skeletons_s018_to_s032.zip"
    ntu_raw.write_dataset(second, names, frames=20, zipped=True, kinds=ntu_raw.KINDS, pool=23)


def videos():
    """Part and label of 360 videos of six classes, the first class with the most."""
    labels = [("train", label) for label in range(6) for _ in range(66 - 8 * label)]
    return labels + [("val", label) for label in range(6) for _ in range(14)]


def hrnet(path):
    """Annotations of Kinetics-400 and, in a folder beside them, the detections of each class:
    the scenes of Kinetics-Skeleton in pixels, without the neck that COCO does not have."""
    rng = np.random.default_rng(0)
    annotations, split, detected = [], {"train": [], "val": []}, defaultdict(dict)
    for i, ((part, label), kind) in enumerate(zip(videos(), cycle(DETECTED), strict=False)):
        scene = kinetics_json.scene(kind, label, int(rng.integers(15, 26)), rng)
        frames = [number for number, bodies in enumerate(scene) for _ in bodies]
        points = np.array([body[COCO] for bodies in scene for body in bodies])
        name = f"video{i}"
        detected[label][name] = {"keypoint": (points * (320, 240, 1)).astype(np.float16)}
        split[part].append(name)
        annotations.append(
            {
                "frame_dir": name,
                "label": label,
                "total_frames": len(scene),
                "img_shape": (240, 320),
                "original_shape": (240, 320),
                "raw_file": f"/somewhere/else/class{label}.pkl",
                "frame_inds": np.array(frames, np.int16),
                "box_score": points[..., 2].mean(1).astype(np.float16),
                "valid": {0.5: len(set(frames))},
            }
        )
    kpfiles = path.parent / "kpfiles"
    kpfiles.mkdir()
    for label, clips in detected.items():
        (kpfiles / f"class{label}.pkl").write_bytes(pickle.dumps(clips))
    path.write_bytes(pickle.dumps({"split": split, "annotations": annotations}))


COCO = [0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10]  # joints of OpenPose
DETECTED = tuple(kind for kind in kinetics_json.KINDS if kind != "nobody")

SOURCES = {  # name of a source in the commands -> writer of a small one
    "nturgbd_skeletons_s001_to_s017.zip": ntu60,
    "ntu_zips": ntu120,
    "k400_hrnet.pkl": hrnet,
    "kinetics-skeleton": lambda path: kinetics_json.write_dataset(path, videos()),
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

    def archive(self, name):
        """The archive of a configuration, imported from a generated source at the first time."""
        importing, _, _ = commands(CONFIGS[name])
        _, _, source, archive, *_ = importing
        if not (self.folder / source).exists():
            SOURCES[source](self.folder / source)
        if not (self.folder / archive).exists():
            self.run(importing, "--workers", "1")
        return self.word(archive)

    def dry_run(self, name, *options, size=SMALL):
        """Import a generated source (once), split it, and train for a batch."""
        archive = self.archive(name)
        _, splitting, training = commands(CONFIGS[name])
        if "--n-max" in splitting:  # so that a few clips are a long tail and leave some out
            splitting[splitting.index("--n-max") + 1] = "3"
        self.run(splitting)
        split = self.word(splitting[splitting.index("--out") + 1])
        self.run(training, "--archive", archive, "--split", split, *size, *options)
        return Split.load(split, Archive(archive))


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


@pytest.mark.parametrize("form", ["", "_lt100"])
@pytest.mark.parametrize(
    "data", ["ntu/ntu60_xsub", "kinetics/k400_hrnet", "kinetics/kinetics_skeleton"]
)
def test_the_variants_and_all_streams_run(data, form, workplace, capsys):
    name = f"configs/{data}{form}.yaml"
    found = variants(CONFIGS[name])
    assert {options[1] for options in found if options[0] == "--stream"} == {*STREAMS[1:]}
    for options in found:
        workplace.dry_run(name, *options)


def test_a_batch_of_the_published_size_runs(workplace, capsys):
    """64 clips of 64 frames; the model has an eighth of its width."""
    name = "configs/ntu/ntu60_xsub_lt100.yaml"
    config = parse(CONFIGS[name])
    assert (config.num_frames, config.batch_size) == (64, 64)
    split = workplace.dry_run(name, size=SLIM)
    assert split.class_counts.sum() > config.batch_size


@pytest.mark.parametrize(
    "data",
    ["ntu/ntu60_xsub", "ntu/ntu120_xsub", "kinetics/k400_hrnet", "kinetics/kinetics_skeleton"],
)
def test_the_commands_run_on_many_kinds_of_clips(data, workplace, capsys):
    """Hundreds of them, long and short, of one and two persons who come and go."""
    archive = Archive(workplace.archive(f"configs/{data}.yaml"))
    assert len(archive) >= 300
    assert {*archive.num_persons.tolist()} == {1, 2}
    assert archive.num_frames.max() > 1.5 * archive.num_frames.min()
    seconds = [archive.keypoints(i)[:, 1] for i in np.flatnonzero(archive.num_persons == 2)]
    assert any(0 < second.any((1, 2)).mean() < 1 for second in seconds)


def test_the_guide_has_commands_that_run():
    """Each command of docs/protocols.md that is no mere variant heads a configuration."""
    blocks = [block for block in GUIDE.read_text().split("```")[1::2] if block[0] == "\n"]
    lines = "".join(blocks).replace("\\\n", " ").split("\n")
    found = [shlex.split(line, comments=True)[1:] for line in lines if line]
    known = [command for path in CONFIGS.values() for command in commands(path)]
    assert len(found) > 5
    assert [command for command in found if command not in known] == []


def test_the_guide_fuses_streams():
    """Its command is one of the tool's, with a weight for each run of the streams."""
    (words,) = re.findall(
        r"^shapmix ensemble (.*?)```", GUIDE.read_text(), re.DOTALL | re.MULTILINE
    )
    runs, given = words.replace("\\\n", " ").split(" ", 1)
    front, streams, back = re.fullmatch(r"(.*){(.*)}(.*)", runs).groups()
    runs = [front + stream + back for stream in streams.split(",")]
    parser, _ = cli.build_parser()
    found = parser.parse_args(["ensemble", *runs, *given.split()]).ensemble
    assert [run.name for run in found.runs] == [f"shapmix-{s}-s0" for s in streams.split(",")]
    assert streams.split(",") == ["joint", "bone", "joint_motion", "bone_motion"]
    assert [float(weight) for weight in found.weights] == [0.6, 0.6, 0.4, 0.4]


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/*.yaml")), ids=lambda path: path.stem)
def test_small_sets_from_their_own_files(path, real_data, tmp_path, monkeypatch, capsys):
    """The commands at the top do what it says, and a flag leads to the baseline."""
    monkeypatch.chdir(tmp_path)
    importing, splitting, training = commands(path)
    importing[2] = str(real_data / f"{path.stem.removesuffix('_lt')}.zip")
    training[training.index("--config") + 1] = str(path)
    assert cli.main(importing) == 0
    assert cli.main(splitting) == 0
    assert cli.main([*training, *SLIM[2:]]) == 0
    assert cli.main([*training, *SLIM[2:], "--mixer", "none"]) == 0
    config = parse(path)
    counts = Split.load(config.split, Archive(config.archive)).class_counts
    header = path.read_text().replace("\n# ", " ")
    told = re.search(r"\((\d+) (?:clips )?of the largest class, (\d+) of ", header)
    assert [counts.max(), counts.min()] == [int(number) for number in told.groups()]
