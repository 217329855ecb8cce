"""From a picture to the sensor's pixels: placing, windows, effects."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from uc_nn_pio.errors import VirtualBoardError
from uc_nn_pio.virtual import Scene
from uc_nn_pio.virtual.scene import SQUARE, Effects, Window, border_of, fit_picture, see

WHITE = (255,)
FIELD = (160, 120)  # the whole field, small


def digit(seed=0) -> np.ndarray:
    """28x28, ink on paper: noise within a white margin."""
    picture = np.full((28, 28), 255, np.uint8)
    picture[5:23, 6:22] = np.random.default_rng(seed).integers(0, 256, (18, 16), dtype=np.uint8)
    return picture


def look(pixels, window=SQUARE, size=(64, 64), frame=0, **effects) -> np.ndarray:
    scene = Scene.of(pixels, effects=Effects(**effects))
    return scene.see(scene.items[0], window, size, frame).astype(int)


def dot(x, y, side=41) -> np.ndarray:
    """White, with one black pixel."""
    picture = np.full((side, side), 255, np.uint8)
    picture[y, x] = 0
    return picture


def middle_of_ink(found) -> tuple[float, float]:
    """Where the ink's centre of mass is, in parts of the frame's width and height."""
    ink = 255 - found
    rows, columns = np.indices(ink.shape)
    return (
        ((columns + 0.5) * ink).sum() / ink.sum() / ink.shape[1],
        ((rows + 0.5) * ink).sum() / ink.sum() / ink.shape[0],
    )


# Placing ------------------------------------------------------------------------------------------------------------


def test_a_square_picture_through_the_square_window_is_fit_picture_to_the_bit():
    for seed in range(50):
        assert np.array_equal(look(digit(seed)), fit_picture(digit(seed), 64, 64))
    same = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    assert np.array_equal(look(same), same)


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
    ("shape", "left", "top"),
    [((30, 30), 20, 0), ((30, 40), 0, 0), ((30, 80), 0, 30), ((60, 20), 60, 0)],
)
def test_a_picture_is_shown_whole_with_its_border_beside_it(shape, left, top):
    """Fitted into 4:3: bars left and right of what is higher than that, above and below what is wider."""
    found = see(np.full(shape, 90, np.uint8), Window(), FIELD, WHITE)
    expected = np.full((120, 160), 255)
    expected[top : 120 - top, left : 160 - left] = 90
    inner = np.ones_like(expected, bool)
    for edge in (left, 160 - left):
        inner[:, max(0, edge - 4) : edge + 4] = False
    for edge in (top, 120 - top):
        inner[max(0, edge - 4) : edge + 4] = False
    assert inner.sum() > 8000
    assert np.array_equal(found[inner], expected[inner])


def test_the_border_is_that_of_the_pictures_edge_unless_asked(tmp_path):
    assert border_of(digit()) == (255,)
    assert border_of(255 - digit()) == (0,)
    assert border_of(np.full((3, 3, 3), (9, 8, 7), np.uint8)) == (9, 8, 7)
    Image.fromarray(digit()).save(tmp_path / "d.png")
    for border, expected in ((None, 255), (30, 30)):
        scene = Scene.load(tmp_path / "d.png", border=border)
        assert scene.see(scene.items[0], Window(), FIELD)[60, 3] == expected
    with pytest.raises(VirtualBoardError, match="no gray level"):
        Scene.load(tmp_path / "d.png", border=256)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    colour=st.booleans(),
    window=st.tuples(st.integers(0, 1599), st.integers(0, 1199), st.integers(1, 1600), st.integers(1, 1200)),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    moved=st.booleans(),
)
def test_any_picture_through_any_window(rows, columns, colour, window, size, moved):
    """The right shape, and of one colour if picture and border are of that colour."""
    picture = np.full((rows, columns, 3) if colour else (rows, columns), 77, np.uint8)
    effects = Effects(tilt=33, scale=0.7, shift=(0.1, -0.2)) if moved else Effects()
    found = effects.apply(picture, Window(*window), size, (77, 77, 77) if colour else (77,))
    assert found.shape == (size[1], size[0], 3) if colour else (size[1], size[0])
    assert found.dtype == np.uint8
    assert (found == 77).all()


@pytest.mark.parametrize("shape", [(1, 20_000), (20_000, 1), (6000, 5000)])
def test_huge_and_thin_pictures_need_no_huge_memory(shape):
    found = look(np.full(shape, 10, np.uint8), window=Window(), size=FIELD)
    assert found.shape == (120, 160)
    assert found[60, 80] == 10


# Effects ------------------------------------------------------------------------------------------------------------


def test_no_effect_is_no_change():
    assert np.array_equal(look(digit(), seed=5), look(digit()))


@pytest.mark.parametrize(
    ("effects", "level", "expected"),
    [
        ({"brightness": 0.1}, 100, 126),  # 100 + 25.5
        ({"brightness": -0.5}, 100, 0),
        ({"contrast": 0.5}, 227, 177),  # 127.5 + 99.5 / 2
        ({"contrast": 2}, 100, 72),  # 127.5 - 2 x 27.5
        ({"contrast": 0.5, "brightness": 0.2}, 255, 242),  # 127.5 + 63.75 + 51: contrast first
    ],
)
def test_light(effects, level, expected):
    assert set(look(np.full((28, 28), level, np.uint8), **effects).ravel()) == {expected}


def test_noise_has_its_strength_is_new_in_each_frame_and_repeats_with_the_seed():
    flat = np.full((28, 28), 128, np.uint8)
    first = look(flat, noise=0.1, frame=1)
    assert abs(first.std() - 25.5) < 1
    assert abs(first.mean() - 128) < 1.5
    assert np.array_equal(first, look(flat, noise=0.1, frame=1))
    assert not np.array_equal(first, look(flat, noise=0.1, frame=2))
    assert not np.array_equal(first, look(flat, noise=0.1, frame=1, seed=1))


def test_shift_is_in_heights_of_the_field_right_and_down():
    start = middle_of_ink(look(dot(20, 20), shift=(0.0, 1e-9)))
    assert start == pytest.approx((0.5, 0.5), abs=0.005)
    assert middle_of_ink(look(dot(20, 20), shift=(0.25, 0.125))) == pytest.approx((0.75, 0.625), abs=0.005)
    # In the whole field, a quarter of its height is 3/16 of its width.
    assert middle_of_ink(look(dot(20, 20), Window(), FIELD, shift=(0.25, 0))) == pytest.approx((0.6875, 0.5), abs=0.005)


@pytest.mark.parametrize(
    ("tilt", "expected"),
    [(90, (0.5, 0.25)), (-90, (0.5, 0.75)), (180, (0.25, 0.5)), (30, (0.5 + 0.25 * 0.866, 0.5 - 0.125))],
)
def test_tilt_turns_counter_clockwise(tilt, expected):
    """A dot a quarter to the right of the middle; also in a squeezed view, where the field's shape counts."""
    right = dot(30, 20)
    assert middle_of_ink(look(right, tilt=tilt)) == pytest.approx(expected, abs=0.01)
    squeezed = middle_of_ink(look(right, Window(), (64, 64), tilt=tilt))
    assert squeezed == pytest.approx(((expected[0] - 0.5) * 0.75 + 0.5, expected[1]), abs=0.01)


def test_scale_is_about_the_middle():
    assert middle_of_ink(look(dot(30, 20), scale=0.5)) == pytest.approx((0.625, 0.5), abs=0.01)
    assert middle_of_ink(look(dot(30, 20), scale=1.5)) == pytest.approx((0.875, 0.5), abs=0.01)


def test_scale_comes_before_tilt_and_tilt_before_shift():
    found = middle_of_ink(look(dot(30, 20), scale=0.8, tilt=90, shift=(0.25, 0)))
    assert found == pytest.approx((0.75, 0.3), abs=0.01)


def test_blur_is_a_gaussian_in_heights_of_the_field():
    """The variance of a dot grows by that of the Gaussian: 0.05 of 64 rows is 3.2."""

    def variance(found):
        ink = (255 - found).sum(axis=0) / (255 - found).sum()
        places = np.arange(64)
        return (ink * places**2).sum() - (ink * places).sum() ** 2

    thick = np.full((41, 41), 255, np.uint8)
    thick[17:24, 17:24] = 0
    grown = variance(look(thick, blur=0.05)) - variance(look(thick))
    assert grown == pytest.approx(3.2**2, rel=0.05)


def test_effects_on_colour_keep_it():
    red = np.full((1, 28, 28, 3), (200, 20, 20), np.uint8)
    found = look(red, tilt=10, blur=0.02, brightness=0.2, scale=2)
    assert found.shape == (64, 64, 3)
    assert found[32, 32].tolist() == [251, 71, 71]


@pytest.mark.parametrize("bad", [{"scale": 0}, {"tilt": 181}, {"shift": (0, 2)}, {"noise": float("nan")}, {"seed": -1}])
def test_strengths_out_of_range_are_refused(bad):
    with pytest.raises(VirtualBoardError, match=f"scene effect {next(iter(bad))}"):
        Effects(**bad)
