"""Predict with an exported model by ONNX Runtime and NumPy alone: no torch, no shapmix.

    shapmix export RUN --onnx model.onnx
    python examples/onnx_predict.py model.onnx clip.npy [clip.npy ...]

Each .npy file has the raw keypoints of one clip, (frames, persons, joints, channels) or, of one
person, (frames, joints, channels), in the layout and units that the model's metadata name; joints
and persons that were not seen are zero.
"""

import json
import sys

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
names = json.loads(session.get_modelmeta().custom_metadata_map["shapmix.class_names"])
clips = [clip if clip.ndim == 4 else clip[:, None] for clip in map(np.load, sys.argv[2:])]
lengths = np.array([len(clip) for clip in clips])
keypoints = np.zeros((len(clips), max(lengths), *session.get_inputs()[0].shape[2:]), np.float32)
for padded, clip in zip(keypoints, clips, strict=True):
    padded[: len(clip), : clip.shape[1]] = clip[:, : padded.shape[1]]
(found,) = session.run(None, {"keypoints": keypoints, "lengths": lengths})
for path, row in zip(sys.argv[2:], found, strict=True):
    print(path, names[row.argmax()], f"{row.max():.3f}", sep="\t")
