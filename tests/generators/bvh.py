"""A folder of BVH files, in folders named after their classes."""

from pathlib import Path

import numpy as np

SKELETON = """HIERARCHY
ROOT Hips
{
  OFFSET 0.0 0.0 0.0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Chest
  {
    OFFSET 0.0 20.0 0.0
    CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT Head
    {
      OFFSET 0.0 30.0 0.0
      CHANNELS 3 Zrotation Xrotation Yrotation
      End Site
      {
        OFFSET 0.0 10.0 0.0
      }
    }
    JOINT LeftArm
    {
      OFFSET 15.0 25.0 0.0
      CHANNELS 3 Zrotation Xrotation Yrotation
      JOINT LeftHand
      {
        OFFSET 30.0 0.0 0.0
        CHANNELS 3 Yrotation Zrotation Xrotation
        End Site
        {
          OFFSET 8.0 0.0 0.0
        }
      }
    }
    JOINT RightArm
    {
      OFFSET -15.0 25.0 0.0
      CHANNELS 3 Zrotation Xrotation Yrotation
      JOINT RightHand
      {
        OFFSET -30.0 0.0 0.0
        CHANNELS 3 Zrotation Xrotation Yrotation
      }
    }
  }
  JOINT LeftUpLeg
  {
    OFFSET 9.0 -5.0 0.0
    CHANNELS 3 Xrotation Yrotation Zrotation
    JOINT LeftFoot
    {
      OFFSET 0.0 -80.0 0.0
      CHANNELS 3 Zrotation Xrotation Yrotation
    }
  }
  JOINT RightUpLeg
  {
    OFFSET -9.0 -5.0 0.0
    CHANNELS 3 Zrotation Xrotation Yrotation
    JOINT RightFoot
    {
      OFFSET 0.0 -80.0 0.0
      CHANNELS 3 Zrotation Xrotation Yrotation
    }
  }
}
"""


def motion(values: np.ndarray, frame_time: str = "0.0333333") -> str:
    """The second half of a file."""
    rows = "\n".join(" ".join(f"{value:.5f}" for value in row) for row in values)
    return f"MOTION\nFrames: {len(values)}\nFrame Time: {frame_time}\n{rows}\n"


def write(folder: Path, *, clips: int = 6, seed: int = 0) -> Path:
    """The folder `mocap`, with the classes "walk" and "wave"."""
    random = np.random.default_rng(seed)
    for number in range(clips):
        label = ("walk", "wave")[number % 2]
        path = folder / "mocap" / label / f"take{number:02}.bvh"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = random.normal(scale=40, size=(5 + number, 36))
        path.write_text(SKELETON + motion(values), encoding="utf-8")
    return folder / "mocap"
