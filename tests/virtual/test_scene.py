"""Scenes: files in, gray pictures of the camera's size out."""

import gzip
import struct

import numpy as np
import pytest
from PIL import Image

from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.virtual import Scene
from uc_nn_pio.virtual.scene import fit_picture

IMAGES = np.random.default_rng(3).integers(0, 256, (5, 28, 28), dtype=np.uint8)
LABELS = [7, 2, 1, 0, 4]


def write_idx(folder, *, compress=False, labels=True):
    opener, suffix = (gzip.open, ".gz") if compress else (open, "")
    path = folder / f"t10k-images-idx3-ubyte{suffix}"
    with opener(path, "wb") as file:
        file.write(struct.pack(">4I", 2051, 5, 28, 28) + IMAGES.tobytes())
    if labels:
        with opener(folder / f"t10k-labels-idx1-ubyte{suffix}", "wb") as file:
            file.write(struct.pack(">2I", 2049, 5) + bytes(LABELS))
    return path


@pytest.mark.parametrize("compress", [False, True])
def test_mnist_is_ink_on_paper_unless_asked(tmp_path, compress):
    path = write_idx(tmp_path, compress=compress)
    paper, screen = Scene.load(path), Scene.load(path, polarity="screen")
    assert np.array_equal(paper.at(2).pixels, 255 - IMAGES[2])
    assert np.array_equal(screen.at(2).pixels, IMAGES[2])
    assert [paper.at(i).label for i in range(5)] == LABELS


def test_idx_without_labels(tmp_path):
    assert Scene.load(write_idx(tmp_path, labels=False)).at(0).label is None


def test_npz_and_pictures_are_as_they_are_unless_asked(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=np.array(LABELS))
    Image.fromarray(IMAGES[0]).save(tmp_path / "b.png")
    npz = Scene.load(tmp_path / "a.npz")
    assert np.array_equal(npz.at(4).pixels, IMAGES[4])
    assert npz.at(4).label == 4
    assert np.array_equal(Scene.load(tmp_path / "a.npz", polarity="paper").at(1).pixels, 255 - IMAGES[1])
    assert np.array_equal(Scene.load(tmp_path / "b.png").at(0).pixels, IMAGES[0])
    assert np.array_equal(Scene.load(tmp_path / "b.png", polarity="paper").at(0).pixels, 255 - IMAGES[0])


def test_a_folder_is_its_files_by_name(tmp_path):
    Image.fromarray(IMAGES[1]).save(tmp_path / "2.png")
    Image.fromarray(IMAGES[0]).save(tmp_path / "1.png")
    (tmp_path / "notes.txt").write_text("no picture")
    scene = Scene.load(tmp_path)
    assert [item.name for item in scene.items] == ["1.png", "2.png"]


def test_ends():
    names = [item.name for item in Scene.of(IMAGES).items]
    loop, hold, stop = (Scene.of(IMAGES, end=end) for end in ("loop", "hold", "stop"))
    assert [loop.at(i).name for i in (0, 4, 5, 11)] == [names[0], names[4], names[0], names[1]]
    assert hold.at(9).name == names[4]
    assert (stop.over(4), stop.over(5), loop.over(99)) == (False, True, False)


def test_colour_becomes_gray(tmp_path):
    Image.new("RGB", (10, 10), (255, 0, 0)).save(tmp_path / "red.png")
    assert Scene.load(tmp_path / "red.png").at(0).pixels[0, 0] == 76  # ITU-R 601: 0.299 x 255


def test_fitting_is_bilinear_and_cuts_the_middle_out():
    ramp = np.tile(np.arange(0, 200, 2, dtype=np.uint8), (50, 1))  # 100 wide, 50 high
    fitted = fit_picture(ramp, 64, 64)
    assert fitted.shape == (64, 64)
    # The middle 50 columns hold values 50 to 148; ends lie half an output pixel inside.
    assert abs(int(fitted[5, 0]) - 50) <= 1
    assert abs(int(fitted[5, -1]) - 148) <= 1
    assert abs(int(fitted[5, 32]) - 99) <= 1
    assert np.all(np.diff(fitted[9].astype(int)) >= 0)


@pytest.mark.parametrize(
    "name", ["missing.png", "text.png", "short-idx3-ubyte", "bad.npz", "float.npz", "x.txt", "empty"]
)
def test_bad_scenes_are_errors_with_the_file(tmp_path, name):
    path = tmp_path / name
    if name == "float.npz":
        np.savez(path, images=np.zeros((2, 8, 8)))
    elif name == "empty":
        path.mkdir()
    elif name != "missing.png":
        path.write_bytes(b"not this")
    with pytest.raises(VirtualBoardError) as caught:
        Scene.load(path)
    assert name in str(caught.value) or name == "empty"


def test_pickles_in_npz_are_not_loaded(tmp_path):
    np.savez(tmp_path / "p.npz", images=np.array([{"a": 1}], dtype=object))
    with pytest.raises(VirtualBoardError):
        Scene.load(tmp_path / "p.npz")
