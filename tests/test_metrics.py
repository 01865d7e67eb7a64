import json
from itertools import pairwise

import numpy as np
import pytest
import sklearn.metrics as sk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shapmix.metrics import ACCURACIES, LEVEL, SHOTS, THIRDS, class_groups, evaluate
from shapmix.metrics import paired_difference as paired


def make_scores(seed=0, n=300, K=12, signal=2.0, labels=None):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, K, n) if labels is None else np.asarray(labels)
    logits = rng.normal(size=(len(y), K)).astype(np.float32)
    logits[np.arange(len(y)), y] += signal
    return logits, y


def counts_of(K=12):
    return np.geomspace(400, 5, K).astype(int)


# --- oracles ------------------------------------------------------------------------------------


def slow_accuracy(logits, labels, classes):
    """Mean over classes of the share of their clips that are right; None without any clip."""
    shares = []
    for k in classes:
        right = [row.argmax() == k for row, y in zip(logits, labels, strict=True) if y == k]
        if right:
            shares.append(sum(right) / len(right))
    return sum(shares) / len(shares) if shares else None


def slow_groups(counts):
    by_rank = sorted(range(len(counts)), key=lambda k: (-counts[k], k))
    sizes = [len(counts) // 3 + (i < len(counts) % 3) for i in range(3)]
    return {
        "many": [k for k, n in enumerate(counts) if n > 100],
        "medium": [k for k, n in enumerate(counts) if 20 <= n <= 100],
        "few": [k for k, n in enumerate(counts) if n < 20],
        "head": by_rank[: sizes[0]],
        "middle": by_rank[sizes[0] : sizes[0] + sizes[1]],
        "tail": by_rank[sizes[0] + sizes[1] :],
    }


def slow_ece(logits, labels, bins=15):
    exp = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    p = exp / exp.sum(1, keepdims=True)
    total = 0.0
    for low, high in pairwise(np.linspace(0, 1, bins + 1)):
        last = high == 1
        inside = [
            (row.max(), row.argmax() == y)
            for row, y in zip(p, labels, strict=True)
            if low <= row.max() < high or (last and row.max() == 1)
        ]
        if inside:
            confidence = sum(c for c, _ in inside) / len(inside)
            accuracy = sum(a for _, a in inside) / len(inside)
            total += abs(confidence - accuracy) * len(inside) / len(p)
    return total


# --- evaluate -----------------------------------------------------------------------------------


def test_against_scikit_learn():
    logits, y = make_scores()
    out = evaluate(logits, y, counts_of())
    guess = logits.argmax(1)
    assert out["top1"] == pytest.approx(sk.accuracy_score(y, guess))
    assert out["top5"] == pytest.approx(sk.top_k_accuracy_score(y, logits, k=5))
    assert out["mean_class"] == pytest.approx(sk.balanced_accuracy_score(y, guess))
    assert out["macro_f1"] == pytest.approx(sk.f1_score(y, guess, average="macro"))
    np.testing.assert_array_equal(out["confusion"], sk.confusion_matrix(y, guess))
    assert out["clips"] == len(y)


@pytest.mark.parametrize("signal", [0.5, 3.0, 60.0])
@pytest.mark.parametrize("scale", [1.0, 0.01])  # the last: logits that could be probabilities
def test_calibration_error_against_a_slow_loop(signal, scale):
    logits, y = make_scores(signal=signal)
    y[::7] = (y[::7] + 1) % 12
    logits = np.abs(logits) * np.float32(scale)
    out = evaluate(logits, y, counts_of(), resamples=0)
    assert out["ece"] == pytest.approx(slow_ece(logits, y), abs=1e-5)


def test_confidences_of_one_share_the_last_bin():
    """torchmetrics alone would count them in a sixteenth bin, and find 0.125."""
    logits = np.array([[np.log(0.95 / 0.05), 0]] * 5 + [[100, 0]] * 5)
    y = [0] * 9 + [1]
    assert slow_ece(logits, y) == pytest.approx(0.075)
    assert evaluate(logits, y, [3, 2])["ece"] == pytest.approx(0.075, abs=1e-6)


@pytest.mark.parametrize("K", [7, 8, 9, 12])
def test_groups_against_a_slow_loop(K):
    logits, y = make_scores(K=K)
    counts = np.random.default_rng(K).permutation(counts_of(K))
    out = evaluate(logits, y, counts, resamples=0)
    for name, classes in slow_groups(counts.tolist()).items():
        assert out[name] == pytest.approx(slow_accuracy(logits, y, classes)), name


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([5, 5, 5, 5], {"head": [0, 1], "middle": [2], "tail": [3], "few": [0, 1, 2, 3]}),
        ([19, 20, 100, 101], {"few": [0], "medium": [1, 2], "many": [3], "tail": [0]}),
        ([3, 9], {"head": [1], "middle": [0], "tail": []}),
    ],
)
def test_groups_at_their_edges(counts, expected):
    groups = class_groups(counts)
    assert {name: groups[name].tolist() for name in expected} == expected


def test_empty_groups_and_untested_classes_are_none_not_zero():
    logits, y = make_scores(K=4, labels=[0, 0, 1, 3, 3, 3])
    out = evaluate(logits, y, [50, 40, 10, 30])
    assert out["many"] is None
    assert out["intervals"]["many"] is None
    assert out["few"] is None, "class 2, the only few-shot class, has no test clips"
    assert out["top5"] is None, "there are only four classes"
    assert out["untested_classes"] == [2]
    assert [row["accuracy"] is None for row in out["per_class"]] == [False, False, True, False]
    assert out["mean_class"] == pytest.approx(slow_accuracy(logits, y, range(4)))
    guess = logits.argmax(1)
    f1 = sk.f1_score(y, guess, labels=[0, 1, 3], average="macro", zero_division=0)
    assert out["macro_f1"] == pytest.approx(f1)


def test_it_is_json_and_takes_tensors_of_any_dtype():
    logits, y = make_scores()
    out = evaluate(logits, y, counts_of())
    assert json.loads(json.dumps(out, allow_nan=False)) == out
    tensor = torch.from_numpy(logits).requires_grad_()
    assert evaluate(tensor, torch.from_numpy(y), torch.from_numpy(counts_of())) == out
    assert evaluate(tensor.bfloat16(), y, counts_of(), resamples=0)["top1"] == pytest.approx(
        out["top1"], abs=0.02
    )


def test_without_resamples_there_are_no_intervals():
    logits, y = make_scores()
    out = evaluate(logits, y, counts_of(), resamples=0)
    assert set(out["intervals"].values()) == {None}
    assert out["top1"] == evaluate(logits, y, counts_of())["top1"]


def test_perfect_and_constant_predictors():
    K, y = 6, np.arange(60) % 6
    perfect = evaluate(np.eye(K)[y] * 50, y, [500, 60, 60, 60, 5, 5])
    constant = evaluate(np.zeros((60, K)), y, [500, 60, 60, 60, 5, 5])
    for name in ACCURACIES:
        assert perfect[name] == 1, name
        assert perfect["intervals"][name] == [1, 1], name
    assert perfect["ece"] == pytest.approx(0, abs=1e-6)
    assert constant["many"] == 1, "equal logits: the lowest label"
    assert constant["few"] == 0
    assert constant["mean_class"] == pytest.approx(1 / K)
    assert constant["top5"] == pytest.approx(5 / K), "label 5 is the last among equals"


@settings(max_examples=60)
@given(data=st.data())
def test_properties(data):
    K = data.draw(st.integers(2, 9))
    n = data.draw(st.integers(1, 40))
    integers = st.integers(0, K - 1)
    y = np.array(data.draw(st.lists(integers, min_size=n, max_size=n)))
    guess = np.array(data.draw(st.lists(integers, min_size=n, max_size=n)))
    counts = data.draw(st.lists(st.integers(1, 200), min_size=K, max_size=K))
    out = evaluate(np.eye(K)[guess], y, counts, resamples=200)
    tested = np.flatnonzero(np.bincount(y, minlength=K))
    for names in (SHOTS, THIRDS):
        sizes = [np.isin(class_groups(counts)[name], tested).sum() for name in names]
        total = sum(s * out[name] for s, name in zip(sizes, names, strict=True) if s)
        assert total / len(tested) == pytest.approx(out["mean_class"])
        assert [out[name] is None for name in names] == [s == 0 for s in sizes]
    for name in set(ACCURACIES) - {"macro_f1"}:  # F1 is no mean of clips: its bootstrap is biased
        if out[name] is not None:
            low, high = out["intervals"][name]
            assert 0 <= low <= out[name] + 1e-12
            assert out[name] - 1e-12 <= high <= 1 + 1e-12


@settings(max_examples=30)
@given(K=st.integers(2, 60), seed=st.integers(0, 99))
def test_thirds_are_a_balanced_partition_by_rank(K, seed):
    counts = np.random.default_rng(seed).integers(1, 9, K)
    thirds = [class_groups(counts)[name] for name in THIRDS]
    assert sorted(np.concatenate(thirds)) == list(range(K))
    assert max(map(len, thirds)) - min(map(len, thirds)) <= 1
    for richer, poorer in pairwise(third for third in thirds if len(third)):
        assert counts[richer].min() >= counts[poorer].max()


def test_intervals_agree_with_a_bootstrap_that_draws_clips():
    logits, y = make_scores(n=200, K=7, signal=1.5)
    counts = [300, 150, 80, 40, 25, 12, 6]
    rng = np.random.default_rng(1)
    out = evaluate(logits, y, counts, resamples=4000)
    drawn = []
    for _ in range(600):
        clips = [rng.choice(np.flatnonzero(y == k), (y == k).sum()) for k in range(7)]
        sample = np.concatenate(clips)
        guess = logits[sample].argmax(1)
        drawn.append(
            {
                "top1": sk.accuracy_score(y[sample], guess),
                "top5": sk.top_k_accuracy_score(y[sample], logits[sample], k=5),
                "macro_f1": sk.f1_score(y[sample], guess, average="macro"),
                "few": slow_accuracy(logits[sample], y[sample], [5, 6]),
            }
        )
    for name in drawn[0]:
        spread = [d[name] for d in drawn]
        expected = np.quantile(spread, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        np.testing.assert_allclose(out["intervals"][name], expected, atol=0.02, err_msg=name)


# --- paired_difference --------------------------------------------------------------------------


def slow_paired(a, b, y, classes, resamples, rng):
    """Hierarchical bootstrap that draws runs and clips one by one: mean over classes of b - a."""
    drawn = []
    for _ in range(resamples):
        runs = rng.integers(0, len(a), len(a))
        values = []
        for k in classes:
            clips = rng.choice(np.flatnonzero(y == k), (y == k).sum())
            values.append(b[runs][:, clips].mean() - a[runs][:, clips].mean())
        drawn.append(np.mean(values))
    return np.quantile(drawn, [0.025, 0.975])


@pytest.mark.parametrize("runs", [1, 3])
def test_paired_difference_against_a_slow_bootstrap(runs):
    rng = np.random.default_rng(0)
    y = np.arange(240) % 6
    easy = rng.random(240)
    a = rng.random((runs, 240)) * 0.5 + 0.5 * easy > 0.50
    b = rng.random((runs, 240)) * 0.5 + 0.5 * easy > 0.42
    counts = [300, 200, 60, 50, 10, 9]
    out = paired(a, b, y, counts, resamples=4000)
    gain = b.mean(0) - a.mean(0)
    assert out["top1"]["difference"] == pytest.approx(gain.mean())
    groups = {"mean_class": range(6), "many": [0, 1], "few": [4, 5], "head": [0, 1]}
    for name, classes in groups.items():
        expected = np.mean([gain[y == k].mean() for k in classes])
        assert out[name]["difference"] == pytest.approx(expected), name
    for name in ("mean_class", "few"):
        slow = slow_paired(a, b, y, groups[name], 1500, rng)
        np.testing.assert_allclose(out[name]["interval"], slow, atol=0.02, err_msg=name)


def test_pairing_cancels_what_both_runs_share():
    rng = np.random.default_rng(0)
    y = np.arange(400) % 4
    a = rng.random(400) < 0.5
    b = a | (np.arange(400) % 40 == 0)  # right wherever a is, and a little more
    out = paired(a, b, y, [9, 8, 7, 6])["top1"]
    shuffled = paired(a, rng.permutation(b), y, [9, 8, 7, 6])["top1"]
    width, apart = np.diff(out["interval"])[0], np.diff(shuffled["interval"])[0]
    assert out["interval"][0] > 0
    assert width < apart / 3


def test_paired_difference_is_antisymmetric_and_zero_against_itself():
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    a, b = rng.random((2, 2, 90)) < [[[0.4]], [[0.7]]]
    counts = [200, 50, 60]
    ab, ba = paired(a, b, y, counts), paired(b, a, y, counts)
    assert ab["few"] is None
    assert list(ab) == ["top1", "mean_class", *SHOTS, *THIRDS]
    assert ab["top1"]["difference"] == -ba["top1"]["difference"]
    assert paired(a, a, y, counts)["top1"] == {"difference": 0, "interval": [0, 0]}
    assert json.loads(json.dumps(ab)) == ab


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": np.zeros((4, 2))}, r"shape \(4, 2\); expected numbers of shape \(n, 3\)"),
        ({"logits": np.full((4, 3), np.nan)}, "NaN or infinite values for 4 clips"),
        ({"labels": [0, 1, 2]}, r"shape \(3,\) for 4 clips"),
        ({"labels": [0.0, 1, 2, 0]}, "float64.*expected whole numbers"),
        ({"labels": [0, 1, 3, -1]}, "from -1 to 3; expected 0 to 2"),
        ({"logits": np.zeros((0, 3)), "labels": np.zeros(0, int)}, "at least one clip"),
        ({"class_counts": [3, 0, 1]}, r"classes \[1\] have no training clips"),
        ({"resamples": -1}, "expected 0 or more"),
    ],
)
def test_evaluate_refuses(change, message):
    arguments = {"logits": np.zeros((4, 3)), "labels": [0, 1, 2, 0], "class_counts": [3, 2, 1]}
    with pytest.raises(ValueError, match=message):
        evaluate(**(arguments | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"correct_b": np.ones(3, bool)}, "expected the same clips"),
        ({"correct_a": np.ones(4)}, "correct_a is float64.*expected booleans"),
        ({"labels": [0, 1, 2, 9]}, "from 0 to 9"),
        ({"resamples": 0}, "expected 1 or more"),
    ],
)
def test_paired_difference_refuses(change, message):
    right = np.ones(4, bool)
    arguments = {"correct_a": right, "correct_b": right, "labels": [0, 1, 2, 0]}
    with pytest.raises(ValueError, match=message):
        paired(**({**arguments, "class_counts": [3, 2, 1]} | change))
