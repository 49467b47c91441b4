import numpy as np
import pytest
from pydicom.dataset import Dataset

from usssl.cine.dicom_timing import frame_times

TIME, VECTOR = 0x00181063, 0x00181065


def header(**tags):
    ds = Dataset()
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize(
    ("tags", "used", "fps"),
    [
        ({"FrameTime": "40", "FrameIncrementPointer": TIME}, "FrameTime", 25),
        ({"FrameTime": "40", "FrameTimeVector": [0, 10, 10, 10], "FrameIncrementPointer": TIME}, "FrameTime", 25),
        (
            {"FrameTime": "40", "FrameTimeVector": [0, 10, 10, 10], "FrameIncrementPointer": VECTOR},
            "FrameTimeVector",
            100,
        ),
        ({"FrameTime": "40", "FrameTimeVector": [0, 10, 10, 10]}, "FrameTimeVector", 100),
        ({"FrameTime": "40", "CineRate": 30, "RecommendedDisplayFrameRate": 15}, "FrameTime", 25),
        ({"FrameTime": "0", "CineRate": 30}, "CineRate", 30),
        ({"FrameTime": "", "CineRate": 30}, "CineRate", 30),
        ({"ActualFrameDuration": 20, "CineRate": 30}, "ActualFrameDuration", 50),
        ({"CineRate": 30, "RecommendedDisplayFrameRate": 15}, "CineRate", 30),
        ({"RecommendedDisplayFrameRate": 15}, "RecommendedDisplayFrameRate", 15),
        ({"FrameTime": "-40", "RecommendedDisplayFrameRate": 15}, "RecommendedDisplayFrameRate", 15),
        ({"FrameIncrementPointer": TIME, "CineRate": 12}, "CineRate", 12),
        ({"FrameIncrementPointer": 0x00200013, "FrameTime": "50"}, "FrameTime", 20),
    ],
)
def test_order_of_precedence(tags, used, fps):
    rate, times, name, _ = frame_times(header(**tags), 4)
    assert (name, rate) == (used, pytest.approx(fps))
    np.testing.assert_allclose(times, np.arange(4) / fps)


@pytest.mark.parametrize("vector", [[0, 20, 30, 50], [20, 30, 50], [7, 20, 30, 50], [0, 20, 30, 50, 9, 9]])
def test_uneven_times_by_hand(vector):
    """Frame n comes at the sum of the increments up to n; the first at zero, whatever its own says."""
    rate, times, _, _ = frame_times(header(FrameTimeVector=vector, FrameIncrementPointer=VECTOR), 4)
    np.testing.assert_allclose(times, [0, 0.02, 0.05, 0.1])
    assert rate == pytest.approx(30)


@pytest.mark.parametrize("vector", [[0, 20], [0, 20, 0, 20], [0, 20, -5, 20], [0, 20, float("nan"), 9]])
def test_a_vector_that_makes_no_sense_is_not_used(vector):
    rate, _, name, notes = frame_times(header(FrameTimeVector=vector, CineRate=10), 4)
    assert (rate, name) == (10, "CineRate")
    assert any("FrameTimeVector" in note for note in notes)


def test_nothing_stated_is_nothing_claimed():
    rate, times, name, notes = frame_times(header(), 3)
    assert (rate, name) == (None, "none")
    assert times[0] == 0
    assert np.isnan(times[1:]).all()
    assert notes == ("the file states no frame rate",)
    assert frame_times(header(), 1)[3] == ()


def test_disagreement_is_told():
    notes = frame_times(header(FrameTime="33.3", CineRate=60), 5)[3]
    assert notes == ("FrameTime gives 30.03 frames a second, CineRate 60",)
    assert frame_times(header(FrameTime="33.3", CineRate=30), 5)[3] == ()
