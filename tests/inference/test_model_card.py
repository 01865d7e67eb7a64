"""The model card: what the hub reads, and what people read."""

import re

import numpy as np
import pytest
from huggingface_hub import ModelCard
from small_recognizers import CLASSES, random_clips, small_recognizer

from shapmix.inference.ensemble import Ensemble
from shapmix.inference.model_card import model_card
from shapmix.metrics import evaluate

COUNTS = (210, 60, 30, 12, 7)


@pytest.fixture(scope="module")
def metrics():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 200)
    logits = rng.normal(size=(200, 5)) + 2 * np.eye(5)[labels]
    return {"test": evaluate(logits, labels, COUNTS), "calibration": {"clips": 42}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, metrics):
    facts = {"metrics": metrics, "class_counts": COUNTS, "licence": "CC-BY-4.0"}
    recognizer = small_recognizer(info=facts | {"source": "A set\nof mine: 2 | 3"})
    path = tmp_path_factory.mktemp("card")
    recognizer.save_pretrained(path)
    return path


def test_the_hub_reads_the_head(folder, metrics):
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "shapmix"
    assert card.data.license == "cc-by-4.0"
    assert "skeleton-based-action-recognition" in card.data.tags
    results = {result.metric_type: result for result in card.data.eval_results}
    assert results["accuracy"].metric_value == pytest.approx(metrics["test"]["top1"], abs=1e-4)
    assert results["f1"].metric_value == pytest.approx(metrics["test"]["macro_f1"], abs=1e-4)
    assert results["accuracy"].dataset_name == "A set of mine: 2 | 3"


def test_people_read_the_rest(folder, metrics):
    text = (folder / "README.md").read_text()
    test = metrics["test"]
    low, high = test["intervals"]["mean_class"]
    row = f"| {100 * test['mean_class']:.1f} | {100 * low:.1f} to {100 * high:.1f} |"
    assert f"| mean of the classes' accuracies {row}" in text
    assert "319 clips of 5 classes" in text
    assert "7 clips, the most frequent one 210, 30 times as many" in text
    assert "1 many, 2 medium, 2 few" in text
    accuracy = test["per_class"][4]["accuracy"]
    assert f"| 4 | {CLASSES[4]} | 7 | {100 * accuracy:.1f} |" in text
    assert "temperature 1.300, fitted on 42 validation clips" in text
    assert "## Licence\n\nCC-BY-4.0" in text
    for heading in ("How to use", "Intended use and limits", "How good", "Training data"):
        assert f"## {heading}" in text


def test_the_code_of_the_card_runs(folder, tmp_path, capsys):
    members = [small_recognizer(seed=i) for i in range(2)]
    Ensemble(members).save_pretrained(tmp_path)
    for path in (folder, tmp_path):
        (code,) = re.findall(r"```python\n(.*?)```", (path / "README.md").read_text(), re.DOTALL)
        assert len([line for line in code.splitlines() if line]) <= 5
        code, changed = re.subn(r'"this folder[^"]*"', repr(str(path)), code)
        assert changed == 1
        exec(code, {"keypoints": random_clips(1, "ntu25")[0]})
        assert len(capsys.readouterr().out.splitlines()) == 5


def test_what_is_not_known_is_said(tmp_path):
    small_recognizer().save_pretrained(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "license:" not in text
    assert "Not stated: ask" in text
    assert "Not measured." in text
    assert "numbers of training clips are not known" in text
    assert ModelCard.load(tmp_path / "README.md").data.library_name == "shapmix"


@pytest.mark.parametrize(
    "metrics",
    [
        {"test": None},
        {"test": []},
        {"test": {"top1": "high", "intervals": 3, "per_class": [None, {"label": []}]}},
        {"test": {"top1": 0.5, "intervals": {"top1": [1]}, "clips": None}, "calibration": "x"},
        {"test": {"per_class": 3}},
    ],
)
def test_odd_metrics_are_left_out(metrics, tmp_path):
    """Metrics of a loaded file are not trusted; a card is written all the same."""
    small_recognizer(info={"metrics": metrics, "class_counts": (0, 0, 0, 0, 0)}).save_pretrained(
        tmp_path
    )
    assert "## Classes" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(
    ("models", "call"),
    [
        (["tcn"], 'hub")'),
        (["a:B"], 'hub", model="a:B")'),
        (["a:B", "tcn", 'c:"'], r'hub", model="a:B,c:\"")'),
        (["a:B", ""], 'hub", model=...)'),
    ],
)
def test_the_code_of_a_network_is_asked_for(models, call):
    recognizer = small_recognizer()
    facts = (recognizer.layout, recognizer.class_names, recognizer.info)
    card = model_card(*facts, network="A network.", models=models)
    assert f'from_pretrained("this folder, or owner/name on the {call}\n' in card
