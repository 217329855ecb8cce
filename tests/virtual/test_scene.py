"""Scenes: files in, pictures out, each shown for its time."""

import gzip
import struct

import numpy as np
import pytest
from PIL import Image

from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.virtual import Scene
from uc_nn_pio.virtual.scene import Hold, Player

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


def pixels(path, index=0, **options):
    return Scene.load(path, **options).items[index].pixels


# Files --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [False, True])
def test_mnist_is_ink_on_paper_unless_asked(tmp_path, compress):
    path = write_idx(tmp_path, compress=compress)
    assert np.array_equal(pixels(path, 2), 255 - IMAGES[2])
    assert np.array_equal(pixels(path, 2, polarity="screen"), IMAGES[2])
    assert [item.label for item in Scene.load(path).items] == LABELS


def test_idx_without_labels(tmp_path):
    assert Scene.load(write_idx(tmp_path, labels=False)).items[0].label is None


def test_npz_and_pictures_are_as_they_are_unless_asked(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES, labels=np.array(LABELS))
    Image.fromarray(IMAGES[0]).save(tmp_path / "b.png")
    npz = Scene.load(tmp_path / "a.npz")
    assert np.array_equal(npz.items[4].pixels, IMAGES[4])
    assert npz.items[4].label == 4
    assert np.array_equal(pixels(tmp_path / "a.npz", 1, polarity="paper"), 255 - IMAGES[1])
    assert np.array_equal(pixels(tmp_path / "b.png"), IMAGES[0])
    assert np.array_equal(pixels(tmp_path / "b.png", polarity="paper"), 255 - IMAGES[0])


def test_a_folder_is_its_files_by_name(tmp_path):
    Image.fromarray(IMAGES[1]).save(tmp_path / "2.png")
    Image.fromarray(IMAGES[0]).save(tmp_path / "1.png")
    (tmp_path / "notes.txt").write_text("no picture")
    scene = Scene.load(tmp_path)
    assert [item.name for item in scene.items] == ["1.png", "2.png"]


def test_several_sources_follow_each_other(tmp_path):
    Image.fromarray(IMAGES[1]).save(tmp_path / "x.png")
    scene = Scene.load([tmp_path / "x.png", write_idx(tmp_path)])
    assert [item.name for item in scene.items][:2] == ["x.png", "t10k-images-idx3-ubyte[0]"]
    assert len(scene) == 6


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 77, 77),
        ("1", 1, 255),
        ("RGB", (9, 9, 9), 9),  # gray in three channels is gray
        ("RGB", (255, 0, 0), (255, 0, 0)),
        ("RGBA", (0, 0, 0, 0), 255),  # what is transparent shows white paper
        ("RGBA", (0, 0, 0, 255), 0),
        ("RGBA", (0, 0, 0, 51), 204),  # a fifth of the ink
        ("LA", (100, 0), 255),
        ("I;16", 0xFFFF, 255),
        ("I;16", 0x8080, 128),
        ("I;16", 300, 1),  # 300 / 257, not cut off at 255
    ],
)
def test_pngs_of_every_kind_are_8_bits(tmp_path, mode, colour, expected):
    Image.new(mode, (10, 6), colour).save(tmp_path / "p.png")
    found = pixels(tmp_path / "p.png")
    assert found.dtype == np.uint8
    assert found.shape == ((6, 10, 3) if isinstance(expected, tuple) else (6, 10))
    assert (found == expected).all()


def test_palettes_with_a_transparent_colour(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 40, 40, 40])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "p.png", transparency=0)
    assert pixels(tmp_path / "p.png").tolist() == [[255, 40]]


def test_transparent_is_paper_in_both_polarities(tmp_path):
    """White ink on nothing, shown as ink on paper, is black on white."""
    image = Image.new("LA", (2, 1), (255, 255))
    image.putpixel((1, 0), (0, 0))
    image.save(tmp_path / "p.png")
    assert pixels(tmp_path / "p.png", polarity="paper").tolist() == [[0, 255]]


def test_colour_archives(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (2, 5, 6, 3), dtype=np.uint8)
    np.savez(tmp_path / "c.npz", images=images)
    assert np.array_equal(pixels(tmp_path / "c.npz", 1), images[1])
    assert np.array_equal(Scene.of(images).items[0].pixels, images[0])


@pytest.mark.parametrize(
    "name",
    [
        *("missing.png", "text.png", "cut.png", "short-idx3-ubyte", "bad.npz", "float.npz", "thin.npz", "x.dat"),
        *("empty", "bomb.png"),
    ],
)
def test_bad_scenes_are_errors_with_the_file(tmp_path, name):
    path = tmp_path / name
    if name == "float.npz":
        np.savez(path, images=np.zeros((2, 8, 8)))
    elif name == "thin.npz":
        np.savez(path, images=np.zeros((2, 8, 0), np.uint8))
    elif name == "empty":
        path.mkdir()
    elif name == "bomb.png":  # a header that promises 10^10 pixels
        Image.new("L", (1, 1)).save(path)
        data = bytearray(path.read_bytes())
        data[16:24] = struct.pack(">2I", 100_000, 100_000)
        path.write_bytes(data)
    elif name == "cut.png":
        Image.fromarray(IMAGES[0]).save(path)
        path.write_bytes(path.read_bytes()[:200])
    elif name != "missing.png":
        path.write_bytes(b"not this")
    with pytest.raises(VirtualBoardError) as caught:
        Scene.load(path)
    assert name in str(caught.value) or name == "empty"


def test_pickles_in_npz_are_not_loaded(tmp_path):
    np.savez(tmp_path / "p.npz", images=np.array([{"a": 1}], dtype=object))
    with pytest.raises(VirtualBoardError):
        Scene.load(tmp_path / "p.npz")


# Lists --------------------------------------------------------------------------------------------------------------


def test_a_list_names_files_pictures_holds_and_labels(tmp_path):
    write_idx(tmp_path)
    Image.fromarray(IMAGES[0]).save(tmp_path / "my digit.png")
    (tmp_path / "tour.txt").write_text(
        '# a tour\n\n"my digit.png" hold=2 label=9\nt10k-images-idx3-ubyte[3] hold=0.25s  # one of five\n'
        "t10k-images-idx3-ubyte\n"
    )
    items = Scene.load(tmp_path / "tour.txt", hold=Hold(frames=4)).items
    assert [(item.name, item.label, item.hold) for item in items[:3]] == [
        ("my digit.png", 9, Hold(frames=2)),
        ("t10k-images-idx3-ubyte[3]", 0, Hold(seconds=0.25)),
        ("t10k-images-idx3-ubyte[0]", 7, Hold(frames=4)),
    ]
    assert len(items) == 7
    assert np.array_equal(items[1].pixels, 255 - IMAGES[3])


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("none.png", "none.png"),
        ("a.png show=2", "'show=2' is not known"),
        ("a.png hold=0", "held for '0'"),
        ("a.png hold=1e9s", "held for '1e9s'"),
        ("a.npz[5]", "has no picture 5"),
        ("list.txt", "cannot name another list"),
        ('"a.png', "cannot be read"),
    ],
)
def test_mistakes_in_a_list_have_its_line(tmp_path, line, text):
    Image.fromarray(IMAGES[0]).save(tmp_path / "a.png")
    np.savez(tmp_path / "a.npz", images=IMAGES)
    (tmp_path / "list.txt").write_text(f"a.png\n{line}\n")
    with pytest.raises(VirtualBoardError) as caught:
        Scene.load(tmp_path / "list.txt")
    assert f"list.txt:2: error: {caught.value.what}" in str(caught.value)
    assert text in str(caught.value)


# What is shown when -------------------------------------------------------------------------------------------------


def shown(scene, reads):
    """Names of the pictures seen by captures at these seconds, each read; then whether the scene is over."""
    player, found = Player(scene), []
    for seconds in reads:
        found.append(player.item(seconds).name)
        player.frame_read(seconds)
    return found, player.over


def test_ends():
    names = [item.name for item in Scene.of(IMAGES).items]
    loop, hold, stop = (Scene.of(IMAGES, end=end) for end in ("loop", "hold", "stop"))
    assert shown(loop, range(7)) == ([*names, *names[:2]], False)
    assert shown(hold, range(7)) == ([*names, names[4], names[4]], False)
    assert shown(stop, range(4)) == (names[:4], False)
    assert shown(stop, range(5)) == (names, True)


def test_what_is_captured_and_not_read_does_not_advance_the_scene():
    player = Player(Scene.of(IMAGES))
    assert {player.item(seconds).name for seconds in range(20)} == {"image 0"}


def test_holds_count_frames_or_seconds(tmp_path):
    np.savez(tmp_path / "a.npz", images=IMAGES[:2])
    (tmp_path / "l.txt").write_text("a.npz[0] hold=2\na.npz[1] hold=0.5s\n")
    scene = Scene.load(tmp_path / "l.txt")
    # Two frames of the first until 0.1 s, then half a second of the second, then the first again.
    assert shown(scene, [0.0, 0.1, 0.2, 0.59])[0] == ["a.npz[0]", "a.npz[0]", "a.npz[1]", "a.npz[1]"]
    assert shown(scene, [0.0, 0.1, 0.61, 0.7])[0] == ["a.npz[0]", "a.npz[0]", "a.npz[0]", "a.npz[0]"]


@pytest.mark.parametrize("end", ["loop", "hold", "stop"])
def test_holds_of_seconds_are_exact_over_long_times(tmp_path, end):
    np.savez(tmp_path / "a.npz", images=IMAGES)
    player = Player(Scene.load(tmp_path / "a.npz", hold=Hold.parse("0.5s"), end=end))
    assert player.item(0.499).name == "a.npz[0]"
    assert player.item(1.0).name == "a.npz[2]"
    assert player.item(2.4).name == "a.npz[4]"
    assert player.item(1000.1).name == ("a.npz[0]" if end == "loop" else "a.npz[4]")
    assert player.over == (end == "stop")


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "s", "0s", "0.0001s", "nan", "3 frames"])
def test_holds_that_are_none(text):
    with pytest.raises(VirtualBoardError, match="held for"):
        Hold.parse(text)


def test_one_scene_serves_two_boards():
    scene = Scene.of(IMAGES)
    first, second = Player(scene), Player(scene)
    first.frame_read(0.0)
    assert (first.item(0.1).name, second.item(0.1).name) == ("image 1", "image 0")
