"""A suite that trains in a second a run."""

import copy

from shapmix.benchmarking.suite import parse_suite

CONTENT = {
    "name": "tiny",
    "baseline": "ce",
    "train": {
        "num_frames": 16,
        "batch_size": 16,
        "epochs": 1,
        "lr": 0.05,
        "lr_warmup_epochs": 0,
        "accelerator": "cpu",
    },
    "datasets": {
        "embedded": {
            "synthetic": {"clips_per_class": 20},
            "split": {"imbalance": 3, "n_max": 3, "order": "permuted", "val_per_class": 1},
        }
    },
    "backbones": {"tcn": {"model": "tcn", "model_options": {"width": 8}}},
    "methods": {
        "ce": {"mixer": "none", "loss": "ce"},
        "mixup": {"mixer": "mixup"},
        "tau-norm": {"of": "ce", "second_stage": {"kind": "tau-norm"}},
    },
    "runs": [{"methods": ["ce", "mixup"], "seeds": 2}],
}


def content(**changes):
    """The suite above as plain data, its top keys replaced."""
    return copy.deepcopy(CONTENT) | changes


def tiny(**changes):
    return parse_suite(content(**changes))
