import copy
import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import kept_area

from shapmix.mixing.cmo import CMO, NOT_IN_BATCH, RecentClips
from shapmix.mixing.functional import presence

COUNTS = [500, 120, 60, 17, 9, 6]


def marked(x, first=1.0):
    """Every clip made of a value of its own, absent bodies kept."""
    return torch.arange(first, first + len(x)).view(-1, 1, 1, 1, 1) * (x != 0)


@settings(max_examples=40)
@given(
    batches=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), min_size=1, max_size=5),
    per_class=st.integers(1, 4),
)
def test_the_memory_holds_the_last_clips_of_each_class(batches, per_class):
    memory, offered = RecentClips(3, per_class), {0: [], 1: [], 2: []}
    number = 0
    for labels in batches:
        x = torch.arange(number + 1.0, number + len(labels) + 1).view(-1, 1, 1, 1, 1)
        memory.add(x, torch.tensor(labels))
        for label, value in zip(labels, x.flatten().tolist(), strict=True):
            offered[label].append(value)
        number += len(labels)
    available = memory.available().tolist()
    for label, values in offered.items():
        assert available[label] == min(len(values), per_class)
        slots = torch.arange(available[label])
        held = memory.take(torch.full_like(slots, label), slots).flatten().tolist()
        assert sorted(held) == sorted(values[-per_class:])


def test_nothing_to_take_from_an_empty_memory():
    with pytest.raises(RuntimeError, match="no clip was offered"):
        RecentClips(3, 2).take(torch.tensor([0]), torch.tensor([0]))


def test_the_first_batch_is_not_mixed_and_later_ones_with_earlier_clips(batch, generator):
    x, y = batch
    mixer = CMO("ntu25", COUNTS, generator=generator)
    first = mixer(marked(x), y)
    assert torch.equal(first.x, marked(x))
    assert torch.equal(first.lam, torch.ones(12))
    assert torch.equal(first.partner, torch.arange(12))
    clips = marked(x, 101.0)
    before = clips.clone()
    mixed = mixer(clips, y)
    assert torch.equal(clips, before)
    given = mixed.x[(mixed.x != clips)]
    assert given.numel()
    assert set(given.tolist()) <= set(range(1, 13)), "clips of the batch itself are no partners"
    assert (mixed.partner == NOT_IN_BATCH).all()


def test_lam_is_the_kept_area_and_the_label_the_pasted_clips(batch, generator):
    x, y = batch
    x = marked(x)
    mixer = CMO("ntu25", COUNTS, generator=generator)
    mixer(x, y)
    for _ in range(20):
        foreground = mixer.draw(x)
        other = mixer.memory.take(foreground.classes, foreground.slot)
        mixed = mixer.mix(x, y, foreground)
        box, both = foreground.box, presence(x) & presence(other)
        cells = torch.zeros(16, 25, dtype=torch.bool)
        cells[box.start : box.start + box.length] = box.joints
        taken = cells[..., None] & both[:, None, None]
        torch.testing.assert_close(mixed.lam, kept_area(x, taken, presence(x)))
        assert torch.equal(mixed.x, torch.where(taken[:, None], other, x))
        for i in range(12):
            value = float(other[i].amax())
            assert y[int(value) - 1] == foreground.classes[i], "the label is the clip's own"
            expected = torch.zeros(6)
            expected[y[i]] += mixed.lam[i]
            expected[foreground.classes[i]] += 1 - mixed.lam[i]
            torch.testing.assert_close(mixed.target[i], expected)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_classes_are_drawn_by_inverse_frequency_among_those_remembered(power, generator):
    counts = [40, 20, 10, 5]
    mixer = CMO("kinect20", counts, power=power, memory=3, generator=generator)
    x = torch.ones(7, 3, 8, 20, 1)
    y = torch.tensor([0, 1, 1, 1, 1, 3, 3])  # none of class 2
    mixer(x, y)
    drawn = mixer.draw(x[:1].expand(20000, -1, -1, -1, -1))
    weights = torch.tensor([n**-power if k != 2 else 0.0 for k, n in enumerate(counts)])
    share = torch.bincount(drawn.classes, minlength=4) / 20000
    torch.testing.assert_close(share, weights / weights.sum(), atol=0.02, rtol=0)
    for label, held in enumerate([1, 3, 0, 2]):
        slots = drawn.slot[drawn.classes == label]
        assert set(slots.tolist()) == set(range(held))
        if held:
            shares = torch.bincount(slots, minlength=held) / len(slots)
            torch.testing.assert_close(shares, torch.full((held,), 1 / held), atol=0.03, rtol=0)


def test_resumes_exactly_from_a_checkpoint(batch):
    """Through torch.save with weights_only, into a mixer that has seen nothing."""
    x, y = batch
    first = CMO("ntu25", COUNTS, memory=2, generator=torch.Generator().manual_seed(0))
    for i in range(4):
        first(x + i, y.roll(i))
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    other = torch.Generator()
    other.set_state(first.generator.get_state())
    second = CMO("ntu25", COUNTS, memory=2, generator=other)
    second.load_state_dict(torch.load(file, weights_only=True))
    for i in range(4):
        a, b = first(x - i, y), second(x - i, y)
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.target, b.target)
    assert torch.equal(first.memory.clips, second.memory.clips)


def test_a_checkpoint_is_resumed_on_another_device(batch):
    """Checkpoints are read to the CPU; "meta" stands for a device that does not mix with it."""
    x, y = batch
    first = CMO("ntu25", COUNTS, memory=2)
    first(x, y)
    second = CMO("ntu25", COUNTS, memory=2)
    second.load_state_dict(first.state_dict())
    assert second.memory.on(torch.device("meta")).device.type == "meta"
    foreground = second.to("meta").draw(x.to("meta"))
    taken = second.memory.take(foreground.classes, foreground.slot)
    assert (taken.shape, taken.device.type) == (x.shape, "meta")


def test_state_before_the_first_batch_and_independence_of_a_loaded_copy(batch):
    x, y = batch
    fresh = CMO("ntu25", COUNTS)
    loaded = CMO("ntu25", COUNTS)
    loaded.load_state_dict(fresh.state_dict())
    assert torch.equal(loaded(x, y).x, x), "nothing is remembered yet"
    copied = CMO("ntu25", COUNTS)
    copied.load_state_dict(loaded.state_dict())
    before = copy.deepcopy(copied.memory.clips)
    loaded(x + 1, y)
    assert torch.equal(copied.memory.clips, before)


def test_no_buffer_that_other_processes_would_overwrite(batch):
    mixer = CMO("ntu25", COUNTS)
    mixer(*batch)
    assert {name for name, _ in mixer.named_buffers()} == {"weights", "walk"}


def test_clips_of_another_shape_start_anew(batch, generator):
    x, y = batch
    mixer = CMO("ntu25", COUNTS, generator=generator)
    mixer(x, y)
    short = x[:, :, :8]
    assert torch.equal(mixer(short, y).x, short)
    assert mixer.memory.seen.sum() == 12
    assert mixer(short, y).x.shape == short.shape


@pytest.mark.parametrize("options", [{"alpha": 0.0}, {"power": -1.0}, {"memory": 0}])
def test_impossible_options(options):
    with pytest.raises(ValueError, match="at least 1 clip of each class"):
        CMO("ntu25", COUNTS, **options)
