"""Write a table of skeletons as one's own recordings might be, with few clips of some actions.

    python examples/own_skeletons.py data/poses.csv
    shapmix import table data/poses.csv data/poses.arrow

docs/own_skeletons.md goes on from there.

One row a joint, as pose estimators give them: pixels and a score. Six actions of a stick figure,
by six subjects before two cameras; from 60 training clips (subjects 1 to 4) of the first action
down to 6 of the last, and 10 test clips of each (subjects 5 and 6). It is the same at every run.
"""

import csv
import sys
from pathlib import Path

import numpy as np

SEED = 0
TRAINING_CLIPS = {"wave": 60, "squat": 38, "clap": 24, "kick": 15, "bow": 10, "jump": 6}
TEST_CLIPS = 10
# A person of height 1 seen from the front: joint -> (x, y), y downwards, feet at y = 1.
STANDING = {
    "nose": (0.00, 0.08),
    "left_eye": (0.02, 0.06),
    "right_eye": (-0.02, 0.06),
    "left_ear": (0.04, 0.07),
    "right_ear": (-0.04, 0.07),
    "left_shoulder": (0.11, 0.19),
    "right_shoulder": (-0.11, 0.19),
    "left_elbow": (0.14, 0.34),
    "right_elbow": (-0.14, 0.34),
    "left_wrist": (0.15, 0.48),
    "right_wrist": (-0.15, 0.48),
    "left_hip": (0.07, 0.50),
    "right_hip": (-0.07, 0.50),
    "left_knee": (0.08, 0.74),
    "right_knee": (-0.08, 0.74),
    "left_ankle": (0.08, 0.97),
    "right_ankle": (-0.08, 0.97),
}
JOINTS = list(STANDING)
HEAD = [j for j, name in enumerate(JOINTS) if "eye" in name or "ear" in name or name == "nose"]
SHOULDERS, ELBOWS, WRISTS, HIPS, KNEES = ([j, j + 1] for j in (5, 7, 9, 11, 13))
ARMS, UPPER_BODY = [*ELBOWS, *WRISTS], [*HEAD, *SHOULDERS, *ELBOWS, *WRISTS]
RIGHT_ELBOW, RIGHT_WRIST, RIGHT_KNEE, RIGHT_ANKLE = 8, 10, 14, 16


def moved(action: str, time: np.ndarray, size: float) -> np.ndarray:
    """(T, 17, 2): the figure at `time`, in repetitions of the action, `size` times as large."""
    pose = np.tile(np.array(list(STANDING.values())), (len(time), 1, 1))
    swing, lift = np.sin(2 * np.pi * time) * size, np.sin(np.pi * time)[:, None] ** 2 * size
    x, y = pose[..., 0], pose[..., 1]
    if action == "wave":  # the right hand above the head
        y[:, RIGHT_ELBOW] -= 0.18
        y[:, RIGHT_WRIST] -= 0.48
        x[:, RIGHT_WRIST] += 0.12 * swing
    elif action == "clap":  # the hands meet before the chest
        y[:, ARMS] -= 0.12
        x[:, WRISTS] *= 1 - 0.9 * lift
    elif action == "squat":
        y[:, [*UPPER_BODY, *HIPS]] += 0.22 * lift
        x[:, KNEES] *= 1 + 0.9 * lift
    elif action == "kick":  # the right foot
        y[:, [RIGHT_KNEE]] -= 0.10 * lift
        y[:, [RIGHT_ANKLE]] -= 0.35 * lift
        x[:, [RIGHT_ANKLE]] -= 0.15 * lift
    elif action == "bow":
        y[:, HEAD] += 0.30 * lift
        y[:, SHOULDERS] += 0.20 * lift
        y[:, ARMS] += 0.12 * lift
    elif action == "jump":  # with the arms up
        y[:] -= 0.15 * lift
        y[:, WRISTS] -= 0.45 * lift
    return pose


def recorded(action: str, camera: int, random: np.random.Generator) -> np.ndarray:
    """(T, 17, 3): x and y in pixels and a score, of somebody doing an action once or twice."""
    frames = random.integers(25, 41)
    time = random.uniform() + np.linspace(0, random.uniform(0.8, 1.6), frames)
    pose = moved(action, time, random.uniform(0.2, 0.9))
    pose[..., 0] *= random.uniform(0.4, 1)  # turned away from the camera
    pose *= random.uniform(180, 240) + 70 * camera
    pose += random.uniform((200, 20), (440, 60)) + random.normal(scale=6, size=pose.shape)
    score = random.uniform(0.5, 1, size=(frames, len(JOINTS), 1))
    score[random.uniform(size=score.shape) < 0.02] = 0  # a joint that was not found
    return np.concatenate([pose * (score > 0), score], axis=2)


def main(path: Path) -> None:
    random = np.random.default_rng(SEED)
    clips = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["clip", "frame", "joint", "x", "y", "score", "label", "subject", "camera"])
        for action, training_clips in TRAINING_CLIPS.items():
            for number in range(training_clips + TEST_CLIPS):
                is_training = number < training_clips
                subject = 1 + number % 4 if is_training else 5 + number % 2
                camera = 1 + number // 4 % 2
                for t, pose in enumerate(recorded(action, camera, random)):
                    for joint, (x, y, score) in zip(JOINTS, pose, strict=True):
                        place = [f"{action}{number:03}", t, joint]
                        values = [f"{x:.1f}", f"{y:.1f}", f"{score:.2f}"]
                        table.writerow([*place, *values, action, subject, camera])
                clips += 1
    print(f"{clips} clips of {len(TRAINING_CLIPS)} actions in {path}")
    print(f"next: shapmix import table {path} {path.with_suffix('.arrow')}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "poses.csv"))
