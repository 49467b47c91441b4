import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from usssl.cine import Limits, open_cine
from usssl.errors import CineError, CineLimitError


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    frames = np.random.default_rng(1).integers(0, 256, (11, 6, 8, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("npy") / "cine.npy"
    np.save(path, frames)
    return path, frames


@pytest.mark.parametrize(
    "key",
    [
        3,
        -1,
        np.int64(2),
        slice(None),
        slice(2, 9, 3),
        slice(None, None, -2),
        slice(9, 3, -1),
        slice(4, 4),
        slice(50, 60),
        [5, 1, 1, -2],
        np.array([0, 10]),
        [],
        np.arange(11) % 2 == 0,
        (slice(0, 4), slice(1, 5), slice(None, None, 2)),
        (3, slice(None), 2, 0),
        ([4, 2], Ellipsis, 1),
        Ellipsis,
        (Ellipsis, 0),
    ],
    ids=str,
)
def test_indexing_equals_numpy(stored, key):
    path, frames = stored
    with open_cine(path) as cine:
        np.testing.assert_array_equal(cine[key], frames[key])


@pytest.mark.parametrize("key", [11, -12, [0, 11], 1.5, "a", np.ones((2, 2), int), np.ones(5, bool)])
def test_what_numpy_refuses_is_refused(stored, key):
    with pytest.raises(IndexError):
        open_cine(stored[0])[key]


def test_array_protocol(stored):
    path, frames = stored
    cine = open_cine(path)
    assert (cine.shape, cine.dtype, cine.ndim, len(cine), cine.size) == (frames.shape, np.uint8, 4, 11, frames.size)
    np.testing.assert_array_equal(np.asarray(cine), frames)
    assert np.asarray(cine, dtype=np.float32).dtype == np.float32
    np.testing.assert_array_equal(np.stack(list(cine)), frames)
    with pytest.raises(ValueError, match="copy"):
        np.asarray(cine, copy=False)


def test_results_are_the_callers_own(stored):
    cine = open_cine(stored[0])
    cine[2][:] = 0
    cine[2:4][:] = 0
    np.testing.assert_array_equal(cine[2:4], stored[1][2:4])


def test_grey_is_rounded_601_luma(stored):
    path, frames = stored
    luma = np.rint(frames @ np.array([0.299, 0.587, 0.114]))
    grey = np.asarray(open_cine(path, color="grey")).astype(int)
    assert np.abs(grey - luma).max() <= 1  # OpenCV rounds in fixed point


def test_rgb_of_grey_repeats_it(tmp_path):
    frames = np.arange(48, dtype=np.uint8).reshape(2, 4, 6)
    np.save(tmp_path / "g.npy", frames)
    cine = open_cine(tmp_path / "g.npy", color="rgb")
    assert cine.shape == (2, 4, 6, 3)
    np.testing.assert_array_equal(np.asarray(cine), np.repeat(frames[..., None], 3, axis=-1))


def test_unknown_colour_is_refused(stored):
    with pytest.raises(ValueError, match="grey"):
        open_cine(stored[0], color="gray")


def test_read_limit_is_checked_before_anything_is_decoded(stored):
    cine = open_cine(stored[0], limits=Limits(max_read_pixels=6 * 8 * 3 * 4))
    assert cine[:4].shape[0] == 4
    with pytest.raises(CineLimitError, match="read fewer"):
        cine[:5]


@pytest.mark.parametrize("limits", [Limits(max_frames=10), Limits(max_frame_pixels=47)])
def test_opening_limits(stored, limits):
    with pytest.raises(CineLimitError):
        open_cine(stored[0], limits=limits)


def test_pickled_and_closed_cines_read_on(mp4):
    cine = open_cine(mp4, color="grey")
    frames = cine[5:9]
    copy = pickle.loads(pickle.dumps(cine))
    np.testing.assert_array_equal(copy[5:9], frames)
    assert (copy.shape, copy.fps, copy.facts) == (cine.shape, cine.fps, cine.facts)
    cine.close()
    cine.close()
    np.testing.assert_array_equal(cine[5:9], frames)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_children_do_not_disturb_the_parent(tmp_path):
    """A file position shared after a fork gives wrong frames; run apart, since a fork copies pytest's threads, too."""
    script = """
import os, sys, numpy as np
from usssl.cine import open_cine, write_dicom
frames = np.random.default_rng(0).integers(0, 256, (60, 16, 16), dtype=np.uint8)
path = write_dicom(sys.argv[1], frames, 20, transfer_syntax="native")
cine = open_cine(path)
cine[0]
children = []
for child in range(3):
    pid = os.fork()
    if pid == 0:
        good = all((cine[n] == frames[n]).all() for _ in range(5) for n in range(child, 60, 3))
        os._exit(0 if good else 1)
    children.append(pid)
good = all((cine[n] == frames[n]).all() for _ in range(5) for n in range(59, -1, -1))
codes = [os.waitpid(pid, 0)[1] for pid in children]
sys.exit(0 if good and not any(codes) else 1)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "f.dcm")], timeout=120)
    assert done.returncode == 0


def test_a_file_that_changed_is_not_read_as_if_it_had_not(tmp_path):
    path = tmp_path / "c.npy"
    np.save(path, np.zeros((3, 4, 4), np.uint8))
    cine = open_cine(path)
    cine.close()
    np.save(path, np.ones((5, 4, 4), np.uint8))
    with pytest.raises(CineError, match="changed"):
        cine[0]


def test_id_is_of_the_content_not_the_name(stored, tmp_path):
    path, frames = stored
    copy = tmp_path / "other name.npy"
    copy.write_bytes(path.read_bytes())
    np.save(tmp_path / "changed.npy", frames + 1)
    ids = [open_cine(p).id for p in (path, copy, tmp_path / "changed.npy")]
    assert ids[0] == ids[1] != ids[2]
    assert len(ids[0]) == 32
    assert int(ids[0], 16)


def test_importing_the_room_loads_no_decoder():
    script = (
        "import sys, usssl.cine; print([m for m in ('av', 'cv2', 'pydicom', 'torch', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
