"""Ragged batches: the right clips in the right order, however many workers and processes."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shapmix.data.archive import Archive, ArchiveError, ArchiveInfo, ArchiveWriter, Clip
from shapmix.data.loader import (
    ClipDataset,
    EpochSampler,
    RaggedBatch,
    Sample,
    collate,
    create_loader,
)
from shapmix.data.transforms import Transform
from shapmix.layouts import get_layout

TENSORS = ("frames", "lengths", "labels", "indices")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("loader") / "clips.arrow"
    info = ArchiveInfo(layout=get_layout("ntu25"), class_names=("a", "b", "c"))
    with ArchiveWriter(path, info) as writer:
        for i in range(23):
            shape = (int(rng.integers(1, 30)), 1 + i % 3, 25, 3)
            keypoints = rng.normal(size=shape).astype(np.float32)
            writer.write(Clip(name=f"clip{i:02}", label=i % 3, keypoints=keypoints))
    return Archive(path)


def equal(a: RaggedBatch, b: RaggedBatch) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in TENSORS)


@given(
    sizes=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4)), min_size=1, max_size=6),
    num_persons=st.integers(1, 3),
)
def test_collate_concatenates_and_pads_persons_only(
    sizes: list[tuple[int, int]], num_persons: int
) -> None:
    rng = np.random.default_rng(0)
    clips = [rng.normal(size=(T, M, 5, 2)).astype(np.float32) for T, M in sizes]
    batch = collate([Sample(c, 7 + i, 70 + i) for i, c in enumerate(clips)], num_persons)
    assert batch.frames.shape == (sum(T for T, _ in sizes), num_persons, 5, 2)
    assert batch.labels.tolist() == [7 + i for i in range(len(clips))]
    assert batch.indices.tolist() == [70 + i for i in range(len(clips))]
    assert [t.dtype for t in (batch.frames, batch.lengths, batch.labels, batch.indices)] == [
        torch.float32, torch.int64, torch.int64, torch.int64,
    ]  # fmt: skip
    for part, c in zip(batch.frames.split(batch.lengths.tolist()), clips, strict=True):
        kept = min(num_persons, c.shape[1])
        np.testing.assert_array_equal(part[:, :kept], c[:, :kept])
        assert not part[:, kept:].any()


def test_a_data_set_is_a_selection_in_order(archive: Archive) -> None:
    by_name = ClipDataset(archive, ["clip05", "clip00", "clip20"])
    by_index = ClipDataset(archive, np.array([5, 0, 20]))
    assert by_name.indices.tolist() == by_index.indices.tolist() == [5, 0, 20]
    assert by_name.names == ("clip05", "clip00", "clip20")
    assert by_name.labels.tolist() == [2, 0, 2]
    assert len(ClipDataset(archive)) == 23
    sample = by_name[2]
    assert (sample.label, sample.index) == (2, 20)
    np.testing.assert_array_equal(sample.keypoints, archive.keypoints(20))


def test_every_selection_has_the_archives_number_of_persons(archive: Archive) -> None:
    assert ClipDataset(archive, ["clip00"]).num_persons == 3
    dataset = ClipDataset(archive, num_persons=2)
    batch = dataset.collate([dataset[0], dataset[2]])
    assert batch.frames.shape[1] == 2


def test_wrong_selections_are_refused(archive: Archive) -> None:
    with pytest.raises(ArchiveError, match="clip99"):
        ClipDataset(archive, ["clip99"])
    with pytest.raises(IndexError, match="no clip 23 in an archive of 23"):
        ClipDataset(archive, [3, 23])
    with pytest.raises(IndexError, match="no clip -1"):
        ClipDataset(archive, [-1])
    with pytest.raises(ValueError, match="num_persons is 0"):
        ClipDataset(archive, num_persons=0)


@given(
    size=st.integers(1, 40),
    world_size=st.integers(1, 6),
    epoch=st.integers(0, 5),
    seed=st.integers(0, 9),
)
def test_shards_are_equal_and_cover_the_epoch(
    size: int, world_size: int, epoch: int, seed: int
) -> None:
    shards = []
    for rank in range(world_size):
        sampler = EpochSampler(size, seed=seed, rank=rank, world_size=world_size)
        sampler.set_epoch(epoch)
        shards.append(list(sampler))
        assert len(shards[-1]) == len(sampler)
    dealt = [i for group in zip(*shards, strict=True) for i in group]
    whole = EpochSampler(size, seed=seed)
    whole.set_epoch(epoch)
    assert dealt[:size] == list(whole)
    assert sorted(dealt[:size]) == list(range(size))
    assert len(dealt) - size < world_size
    assert dealt[size:] == [dealt[i % size] for i in range(len(dealt) - size)]


def test_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        sampler = EpochSampler(50, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 3) == order(1, 3)
    assert order(1, 3) != order(1, 4)
    assert order(1, 3) != order(2, 3)
    assert list(EpochSampler(5, shuffle=False)) == [0, 1, 2, 3, 4]


def test_impossible_samplers_are_refused(archive: Archive) -> None:
    with pytest.raises(ValueError, match="no clips"):
        EpochSampler(0)
    with pytest.raises(ValueError, match=r"rank is 2: expected 0\.\.1"):
        EpochSampler(5, rank=2, world_size=2)
    with pytest.raises(ValueError, match="23 clips fill no batch of 24"):
        create_loader(ClipDataset(archive), 24, drop_last=True)


def test_workers_change_nothing(archive: Archive) -> None:
    transform = Transform("ntu25", num_frames=8)

    def epochs(workers: int) -> list[list[torch.Tensor]]:
        source = torch.Generator().manual_seed(3)
        loader = create_loader(ClipDataset(archive), 4, shuffle=True, seed=5, workers=workers)
        out = []
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)
            out.append([transform(batch, source) for batch in loader])
        return out

    alone, shared = epochs(0), epochs(2)
    for one, two in zip(alone, shared, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(alone[0][0], alone[1][0])


def test_an_epoch_has_each_clip_once_and_resumes(archive: Archive) -> None:
    before = torch.random.get_rng_state()
    loader = create_loader(ClipDataset(archive), 4, shuffle=True, seed=5)
    batches = []
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)
        batches.append(list(loader))
    for epoch in batches:
        assert sorted(torch.cat([b.indices for b in epoch]).tolist()) == list(range(23))
        assert [len(b) for b in epoch] == [4, 4, 4, 4, 4, 3]
    resumed = create_loader(ClipDataset(archive), 4, shuffle=True, seed=5)
    resumed.sampler.set_epoch(2)
    assert all(equal(a, b) for a, b in zip(batches[2], resumed, strict=True))
    assert not equal(batches[1][0], batches[2][0])
    dropped = create_loader(ClipDataset(archive), 4, drop_last=True)
    assert [len(b) for b in dropped] == [4] * 5
    assert torch.equal(before, torch.random.get_rng_state())


def test_batches_move_and_data_sets_pickle(archive: Archive) -> None:
    dataset = ClipDataset(archive, ["clip03", "clip01"])
    copy = pickle.loads(pickle.dumps(dataset))
    batch, again = (d.collate([d[0], d[1]]) for d in (dataset, copy))
    assert equal(batch, again)
    assert equal(batch, batch.to("cpu"))
    assert batch.to("meta").frames.device.type == "meta"


def test_clips_are_read_as_they_are_mapped(archive: Archive) -> None:
    for i in range(len(archive)):
        clip = archive.read(i)
        np.testing.assert_array_equal(clip, archive.keypoints(i))
        assert clip.flags.writeable
        assert not np.shares_memory(clip, archive.keypoints(i))
        place = np.ones((len(clip) + 2, *clip.shape[1:]), np.float32)
        assert archive.read(i, place[1:-1]).base is place
        np.testing.assert_array_equal(place[1:-1], clip)
        assert (place[[0, -1]] == 1).all()
    with pytest.raises(IndexError):
        archive.read(len(archive))
    dataset = ClipDataset(archive)
    samples = [dataset[i] for i in range(len(dataset))]
    assert equal(dataset.collate(samples), collate(samples, dataset.num_persons))


def test_a_clip_is_read_only_where_it_fits(archive: Archive) -> None:
    shape = archive.keypoints(1).shape
    wide = np.zeros((shape[0], shape[1] + 1, *shape[2:]), np.float32)
    for out in (wide, wide[:, :-1], np.zeros(shape)):
        with pytest.raises(ValueError, match=r"out is float.*: expected contiguous float32 \("):
            archive.read(1, out)
    assert not wide.any()


@pytest.mark.parametrize("persons", [1, 2, 3, 4])
def test_collating_from_the_archive_is_collating_its_views(archive: Archive, persons: int) -> None:
    """Whether a clip has as many persons as the batch, more or fewer."""
    dataset = ClipDataset(archive, num_persons=persons)
    samples = [dataset[i] for i in range(len(dataset))]
    assert equal(dataset.collate(samples), collate(samples, persons))


@pytest.mark.skipif(not hasattr(os, "preadv"), reason="clips are copied from the mapping")
def test_a_file_cut_short_while_open_is_an_error(archive: Archive, tmp_path: Path) -> None:
    path = tmp_path / "cut.arrow"
    path.write_bytes(Path(archive.path).read_bytes())
    opened = Archive(path)
    os.truncate(path, path.stat().st_size // 4)
    with pytest.raises(ArchiveError, match=r"cut\.arrow was cut short while it was open"):
        opened.read(22)


def test_an_archive_on_disk_is_not_changed(archive: Archive) -> None:
    before = Path(archive.path).read_bytes()
    for batch in create_loader(ClipDataset(archive), 8):
        batch.frames.zero_()
    assert Path(archive.path).read_bytes() == before
