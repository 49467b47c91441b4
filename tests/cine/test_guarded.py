import os
import signal
import sys
import time

import numpy as np
import pytest

from tests.cine.conftest import frame_numbers
from tests.cine.dicom_making import dicom, save
from usssl.cine import Limits, guarded, open_cine, open_cine_guarded, write_video
from usssl.errors import CineError, CineLimitError


def test_guarded_reading_equals_plain_reading(mp4):
    plain, safe = open_cine(mp4), open_cine_guarded(mp4)
    assert (safe.shape, safe.fps, safe.facts, safe.patient) == (plain.shape, plain.fps, plain.facts, plain.patient)
    np.testing.assert_array_equal(safe.times, plain.times)
    np.testing.assert_array_equal(safe[[30, 2, 2, 17]], plain[[30, 2, 2, 17]])
    safe.close()
    np.testing.assert_array_equal(safe[-1], plain[-1])


def test_everything_crosses_the_pipe(tmp_path, scene, test_data):
    tone = np.sin(np.arange(16000) / 5).astype(np.float32)
    path = write_video(tmp_path / "a.mp4", scene, 25, audio=(tone, 16000))
    np.testing.assert_array_equal(open_cine_guarded(path).audio.waveform, open_cine(path).audio.waveform)
    path = test_data / "dicom_us/files/ivrle_rgb_8f.dcm"
    plain, safe = open_cine(path), open_cine_guarded(path, color="grey")
    assert (safe.regions, safe.facts) == (plain.regions, plain.facts)
    assert safe.shape == plain.shape[:3]


def test_errors_cross_the_pipe(tmp_path):
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(b"text" * 100)
    with pytest.raises(CineError, match="no known kind") as caught:
        open_cine_guarded(bad)
    assert caught.value.path == bad


def test_a_decoder_that_dies_is_an_error_and_is_replaced(mp4):
    cine = open_cine_guarded(mp4, color="grey")
    os.kill(cine._backend._process.pid, signal.SIGKILL)
    with pytest.raises(CineError, match=r"died \(SIGKILL\)"):
        cine[3]
    assert frame_numbers(cine[3:5]) == [3, 4]


@pytest.fixture
def worker(monkeypatch, tmp_path):
    """Puts a program in the place of the decoder's."""

    def use(program):
        script = tmp_path / "worker.py"
        script.write_text(program)
        monkeypatch.setattr(guarded.sys, "executable", sys.executable)
        original = guarded.subprocess.Popen
        monkeypatch.setattr(
            guarded.subprocess, "Popen", lambda _, **how: original([sys.executable, str(script)], **how)
        )

    return use


def test_a_decoder_that_hangs_is_stopped(worker, mp4):
    worker("import time; time.sleep(600)")
    started = time.monotonic()
    with pytest.raises(CineLimitError, match=r"longer than 0\.5 s"):
        open_cine_guarded(mp4, limits=Limits(max_seconds=0.5))
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    "answer",
    [
        b"not json",
        b"{}",
        b'{"facts": 1, "times": [], "regions": [], "poses": null, "channels": 1}',
        b'{"facts": {"container": "x", "codec": "x", "frames": "many"}, "times": [0], "regions": [], "poses": null}',
        None,
    ],
)
def test_a_decoder_in_foreign_hands_can_only_cause_errors(worker, mp4, answer):
    length = (1 << 60) if answer is None else len(answer)
    message = f"{length}.to_bytes(8, 'little') + {answer or b'x'!r}"
    worker(f"import sys; sys.stdout.buffer.write({message}); sys.stdout.flush()")
    with pytest.raises(CineError):
        open_cine_guarded(mp4, limits=Limits(max_seconds=30))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited on Linux only")
def test_a_decoder_that_swells_is_an_error(tmp_path):
    """A deflated file of 130 kB that inflates to 128 MB."""
    save(tmp_path / "z.dcm", dicom(1024, 1024, 128), bytes(128 << 20), "1.2.840.10008.1.2.1.99")
    assert (tmp_path / "z.dcm").stat().st_size < 1 << 20
    assert open_cine_guarded(tmp_path / "z.dcm").shape == (128, 1024, 1024)
    with pytest.raises(CineLimitError, match="memory"):
        open_cine_guarded(tmp_path / "z.dcm", limits=Limits(max_memory=64 << 20))
