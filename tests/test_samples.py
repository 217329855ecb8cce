"""Files of samples: what is read, and what is said of those that do not fit."""

from __future__ import annotations

import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from uc_nn_pio.errors import Location, SpecError
from uc_nn_pio.preprocess import preprocess
from uc_nn_pio.samples import Batches, network_input, read_samples
from uc_nn_pio.spec import Preprocess

WHERE = Location("model.yaml", 11, 15)


def images(count: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, *shape)).astype(np.uint8)


def save(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder / "data.npz"
    np.savez_compressed(path, **arrays)
    return path


def refused(path: Path, shape: tuple[int, ...] = (3, 4, 5), labels: bool = False) -> str:
    with pytest.raises(SpecError) as caught:
        read_samples(path, shape, what="calibration", where=WHERE, labels=labels)
    text = str(caught.value)
    assert text.startswith("model.yaml:11:15: error: ") and "  next: " in text
    return text


@pytest.mark.parametrize("shape", [(3, 4, 5), (7,)])
def test_images_and_labels_are_read(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = save(tmp_path, images=images(6, shape), labels=np.arange(6, dtype=np.uint8))
    for count, expected in ((None, 6), (4, 4), (99, 6)):
        found = read_samples(path, shape, what="test", where=WHERE, labels=True, count=count)
        assert np.array_equal(found.images, images(6, shape)[:expected])
        assert found.labels is not None and found.labels.dtype == np.int64
        assert found.labels.tolist() == list(range(expected))


def test_labels_are_not_needed_unless_asked_for(tmp_path: Path) -> None:
    path = save(tmp_path, images=images(2, (3, 4, 5)), labels=np.array([None, {}], dtype=object))
    assert read_samples(path, (3, 4, 5), what="calibration", where=WHERE, labels=False).labels is None
    assert "cannot read calibration data from data.npz: Object arrays" in refused(path, labels=True)
    assert "no array 'labels', but 'images'" in refused(save(tmp_path, images=images(2, (3, 4, 5))), labels=True)


def test_what_does_not_fit_the_network_is_named_with_its_cure(tmp_path: Path) -> None:
    fits = images(2, (3, 4, 5))
    assert "(2, 3, 4, 5) float32" in refused(save(tmp_path, images=fits.astype(np.float32)))
    assert "before any scaling" in refused(save(tmp_path, images=fits / 255))
    text = refused(save(tmp_path, images=fits.transpose(0, 2, 3, 1)))
    assert "(2, 4, 5, 3) uint8" in text and "(N, 3, 4, 5) uint8" in text and "transpose(0, 3, 1, 2)" in text
    assert "images[:, None]" in refused(save(tmp_path, images=fits[:, 0]), (1, 4, 5))
    assert "input.shape" in refused(save(tmp_path, images=images(2, (3, 4, 6))))
    assert "input.shape" in refused(save(tmp_path, images=np.uint8(3)))
    assert "holds no calibration images" in refused(save(tmp_path, images=fits[:0]))
    for labels in (np.arange(3), np.array([0.5, 1]), np.array([["a"], ["b"]])):
        assert "a label is the index" in refused(save(tmp_path, images=fits, labels=labels), labels=True)


def test_files_that_are_no_samples(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    path.write_text("hello")
    assert "cannot read calibration data" in refused(path)
    path.write_bytes(b"")
    assert "cannot read calibration data" in refused(path)
    np.save(tmp_path / "x.npy", images(2, (3, 4, 5)))
    (tmp_path / "x.npy").replace(path)
    assert "single array" in refused(path)
    assert "no array 'images', but 'pictures'" in refused(save(tmp_path, pictures=images(2, (3, 4, 5))))
    whole = save(tmp_path, images=images(200, (3, 4, 5))).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "cannot read calibration data" in refused(path)
    spoiled = bytearray(whole)
    spoiled[200:240] = bytes(40)
    path.write_bytes(spoiled)
    assert "cannot read calibration data" in refused(path)
    assert "cannot read calibration data" in refused(tmp_path / "missing.npz")


def test_a_header_that_promises_more_than_memory_is_an_error(tmp_path: Path) -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1 << 50, 3, 4, 5), }"
    header = header.replace(b"1 << 50", b"1125899906842624").ljust(117) + b"\n"
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    assert "cannot read calibration data" in refused(path)


@pytest.mark.parametrize(("shape", "mean"), [((2, 3, 4), (1.0, 2.0)), ((5,), (3.0,))])
def test_batches_are_what_preprocess_gives(shape: tuple[int, ...], mean: tuple[float, ...]) -> None:
    raw = images(7, shape)
    how = Preprocess(invert=True, threshold=100, scale=Fraction(1, 255), mean=mean)
    for stage in ("camera", "network"):
        expected = np.stack([preprocess(image, how, stage) for image in raw])
        assert np.array_equal(network_input(raw, how, stage), expected)
        batches = Batches(raw, how, stage, 3)
        assert [len(batch) for batch in batches] == [3, 3, 1]
        assert len(batches) == 3
        assert np.array_equal(np.concatenate(list(batches)), expected)
