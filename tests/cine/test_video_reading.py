import contextlib
import csv
import random
import shutil
import subprocess
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from tests.cine.conftest import encode, frame_numbers, moving_scene
from usssl.cine import Limits, open_cine, write_video
from usssl.errors import CineError, CineLimitError

CODECS = {
    "h264 long gop, B-frames": ("libx264", "mp4", "yuv420p", {"g": "250", "bf": "3"}),
    "h264 short gop": ("libx264", "mp4", "yuv420p", {"g": "5", "bf": "2"}),
    "h264 open gop": ("libx264", "mp4", "yuv420p", {"g": "8", "x264-params": "open-gop=1:bframes=3:scenecut=0"}),
    "h264 in matroska": ("libx264", "matroska", "yuv420p", {"g": "12"}),
    "h264 in transport stream": ("libx264", "mpegts", "yuv420p", {"g": "12"}),
    "h264 without time stamps": ("libx264", "h264", "yuv420p", {"g": "12", "bf": "0"}),
    "h264 in AVI": ("libx264", "avi", "yuv420p", {"g": "12", "bf": "2"}),
    "h264 10 bit": ("libx264", "mp4", "yuv420p10le", {"g": "12"}),
    "h264 of full range": ("libx264", "mp4", "yuvj420p", {"g": "12"}),
    "hevc": ("libx265", "mp4", "yuv420p", {"g": "10", "x265-params": "log-level=none"}),
    "mpeg2": ("mpeg2video", "mpeg", "yuv420p", {"g": "9", "bf": "2", "b": "3M"}),
    "mpeg4 in AVI": ("mpeg4", "avi", "yuv420p", {"g": "9", "bf": "2", "b": "3M"}),
    "vp9": ("libvpx-vp9", "webm", "yuv420p", {"g": "20", "deadline": "realtime", "cpu-used": "8", "b": "1M"}),
    "vp8 with hidden frames": (
        "libvpx",
        "webm",
        "yuv420p",
        {"g": "20", "auto-alt-ref": "1", "lag-in-frames": "10", "b": "1M"},
    ),
    "mjpeg": ("mjpeg", "avi", "yuvj420p", {"qmin": "2", "qmax": "2"}),
    "ffv1": ("ffv1", "matroska", "gray", {}),
    "gif": ("gif", "gif", "gray", {}),
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory, scene):
    folder = tmp_path_factory.mktemp("videos")
    made = {}

    def make(name):
        if name not in made:
            codec, fmt, pix, options = CODECS[name]
            made[name] = encode(folder / f"{len(made)}", scene, codec, fmt, pix, **options)
        return made[name]

    return make


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("threads", [1, 3])
def test_any_order_gives_the_frames_that_were_asked_for(videos, scene, name, threads):
    """The frames carry their numbers, so a frame that is off by one cannot pass."""
    cine = open_cine(videos(name), color="grey", threads=threads)
    assert len(cine) == len(scene)
    whole = np.asarray(cine)
    assert frame_numbers(whole) == list(range(len(scene)))
    rng = random.Random(name)
    requests = [[39, 0], [20, 21, 22], list(range(3, 35, 2)), list(range(39, -1, -3)), [17], [16], [38], [0]]
    requests += [[rng.randrange(40) for _ in range(rng.randrange(1, 6))] for _ in range(6)]
    for request in requests:
        np.testing.assert_array_equal(cine.read(request), whole[request], err_msg=str(request))


@pytest.mark.parametrize("name", CODECS)
def test_pixels_are_near_the_original(videos, scene, name):
    cine = open_cine(videos(name), color="grey")
    assert np.abs(cine[:].astype(int) - scene).mean() < 3.0
    assert abs(float(cine[:].mean()) - float(scene.mean())) < 1.0  # the range is neither squeezed nor stretched


@pytest.mark.parametrize("name", ["h264 short gop", "h264 10 bit", "h264 of full range", "mjpeg", "vp9"])
def test_grey_is_the_luma_of_the_rgb(videos, name):
    grey = open_cine(videos(name), color="grey")[::7].astype(int)
    rgb = open_cine(videos(name), color="rgb")[::7]
    assert np.abs(rgb @ np.array([0.299, 0.587, 0.114]) - grey).max() <= 3.5  # of which FFmpeg's rounding is 2


def test_native_colour_is_what_the_format_declares(videos):
    assert open_cine(videos("ffv1")).shape == (40, 64, 96)
    assert open_cine(videos("h264 short gop")).shape == (40, 64, 96, 3)
    assert open_cine(videos("ffv1"), color="rgb").shape == (40, 64, 96, 3)


def test_lossless_video_is_lossless(videos, scene):
    np.testing.assert_array_equal(np.asarray(open_cine(videos("ffv1"))), scene)


def test_colours_are_right(tmp_path):
    """Patches of known colour through YUV and back; a swap of planes or a green tint would be off by a hundred."""
    frame = np.zeros((64, 96, 3), np.uint8)
    for n, color in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (128, 128, 128), (0, 255, 255)]):
        frame[:, 16 * n : 16 * n + 16] = color
    for codec in ("h264", "mjpeg", "ffv1"):
        path = write_video(tmp_path / codec, [frame] * 3, 10, codec=codec, crf=4)
        shown = open_cine(path)[1].astype(int)
        middles = np.abs(shown - frame)[8:56, [8, 24, 40, 56, 72, 88]]
        assert middles.max() <= 6, codec


def test_times_and_rate(videos, mp4):
    cine = open_cine(mp4)
    assert cine.fps == 25.0
    np.testing.assert_allclose(cine.times, np.arange(40) / 25)
    assert (cine.facts.timing, cine.facts.codec, cine.facts.container) == ("pts", "h264", "mp4")
    without = open_cine(videos("h264 without time stamps"))
    assert without.facts.frames == 40


def test_variable_frame_rate_keeps_its_times(tmp_path, scene):
    seconds = np.cumsum([0.0, *np.tile([0.02, 0.05, 0.1], 13)])
    path = tmp_path / "v.mkv"
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("mjpeg", rate=1000)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuvj420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for n, frame in enumerate(scene):
            picture = av.VideoFrame.from_ndarray(frame, format="gray")
            picture.pts = round(seconds[n] * 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    cine = open_cine(path, color="grey")
    np.testing.assert_allclose(cine.times, seconds, atol=1e-3)
    assert cine.fps == pytest.approx(39 / seconds[-1], rel=1e-3)
    assert frame_numbers(cine[30:34]) == [30, 31, 32, 33]


def test_only_what_is_needed_is_decoded(tmp_path, scene, monkeypatch):
    """Of intra-coded video no other frame is decoded than those asked for."""
    path = write_video(tmp_path / "m.avi", scene, 25, codec="mjpeg")
    cine = open_cine(path, color="grey", threads=1)
    cine[0]
    decoded = []
    decoder = cine._backend._decoder
    original = decoder._decode
    monkeypatch.setattr(decoder, "_decode", lambda p, n: decoded.append(n) or original(p, n))
    cine[4:36:8]
    assert [n for n in decoded if n is not None] == [4, 12, 20, 28]


def test_sound(tmp_path, scene):
    rate = 16000
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(rate * 2) / rate)).astype(np.float32)
    path = write_video(tmp_path / "tone.mp4", scene, 20, audio=(tone, rate))
    cine = open_cine(path)
    assert cine.facts.has_audio
    assert cine.audio.rate == rate
    assert cine.audio.waveform.dtype == np.float32
    assert not cine.audio.is_silent
    assert abs(len(cine.audio.waveform) / rate - 2.0) < 0.15
    spectrum = np.abs(np.fft.rfft(cine.audio.waveform[2000:-2000]))
    peak = np.argmax(spectrum) * rate / len(cine.audio.waveform[2000:-2000])
    assert abs(peak - 440) < 2
    silent = write_video(tmp_path / "silent.mp4", scene, 20, audio=(tone * 0, rate))
    assert open_cine(silent).facts.has_audio
    assert open_cine(silent).audio.is_silent
    assert open_cine(write_video(tmp_path / "mute.mp4", scene, 20)).audio is None


def test_limits_of_a_video(mp4):
    with pytest.raises(CineLimitError):
        open_cine(mp4, limits=Limits(max_frames=39))
    with pytest.raises(CineError):
        open_cine(mp4, limits=Limits(max_frame_pixels=96 * 64 - 1))


def test_two_cines_on_one_file_do_not_disturb_each_other(mp4):
    first, second = open_cine(mp4, color="grey"), open_cine(mp4, color="grey")
    pairs = [(frame_numbers(first[n : n + 1])[0], frame_numbers(second[39 - n : 40 - n])[0]) for n in range(0, 40, 7)]
    assert pairs == [(n, 39 - n) for n in range(0, 40, 7)]


# --- real files -----------------------------------------------------------------------------------------------------


def real_videos(test_data):
    rows = csv.DictReader((test_data / "video_io" / "manifest.csv").open())
    return {row["file"].removeprefix("files/"): row for row in rows}


def test_facts_of_real_videos(test_data):
    for name, row in real_videos(test_data).items():
        cine = open_cine(test_data / "video_io" / "files" / name)
        width, height = int(row["width"]), int(row["height"])
        if name == "video_90.mov":
            width, height = height, width
        assert cine.shape[1:3] == (height, width), name
        assert cine.fps == pytest.approx(float(row["fps"]), rel=2e-3), name
        expected = 29 if name == "corrupted.mp4" else int(row["frames_decoded"])
        assert len(cine) == expected, name
        assert cine.facts.reported_frames == (int(row["frames_header"]) or None), name
        assert cine.facts.has_audio == (int(row["audio_streams"]) > 0), name


SMALL = ("h264_10bits.mp4", "h265_video.mp4", "nasa_13013.mp4", "realshort.mp4", "part_0.mp4", "carphone_distorted.mp4")


@pytest.mark.parametrize("name", SMALL)
def test_random_access_equals_sequential_decoding_by_pyav(test_data, name):
    path = test_data / "video_io" / "files" / name
    cine = open_cine(path, color="rgb", threads=2)
    frames = range(0, min(len(cine), 90))
    with av.open(str(path)) as container:
        expected = [f.to_ndarray(format="rgb24") for f, _ in zip(container.decode(video=0), frames, strict=False)]
    rng = random.Random(name)
    for _ in range(8):
        chosen = [rng.choice(frames) for _ in range(4)]
        np.testing.assert_array_equal(cine.read(chosen), np.stack([expected[n] for n in chosen]))


@pytest.mark.parametrize("group", ["pocus_lung_us/videos/*/*", "covid_blues/**/*.mp4"])
def test_real_ultrasound_random_access(test_data, group):
    paths = sorted(test_data.glob(group))[::11]
    assert paths
    for path in paths:
        cine = open_cine(path, color="grey")
        first = cine[: min(len(cine), 48)]
        for chosen in ([40 % len(first), 3], list(range(1, len(first), 9)), [0]):
            np.testing.assert_array_equal(cine.read(chosen), first[chosen], err_msg=str(path))


def test_rotation_as_opencv_shows_it(test_data):
    path = test_data / "video_io" / "files" / "video_90.mov"
    capture = cv2.VideoCapture(str(path))
    expected = cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB).astype(int)
    cine = open_cine(path)
    assert cine.facts.rotation in (90, 270)
    assert cine.shape[1:] == expected.shape
    assert np.abs(cine[0].astype(int) - expected).mean() < 3


@pytest.mark.parametrize("threads", [1, 2])
def test_corrupted_file_never_gives_a_wrong_frame(test_data, threads):
    """29 frames come before the damage in decoding and in display; what FFmpeg patches together after it stays away."""
    path = test_data / "video_io" / "files" / "corrupted.mp4"
    cine = open_cine(path, threads=threads)
    assert cine.facts.reported_frames == 50
    assert any("21 of 50 frames" in warning for warning in cine.facts.warnings)
    expected = []
    with av.open(str(path)) as container, contextlib.suppress(av.error.InvalidDataError):
        expected.extend(frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))
    assert len(expected) == 28
    for n in (len(expected) - 1, 5, 20):
        np.testing.assert_array_equal(cine[n], expected[n])
    assert cine[28].shape == (720, 1280, 3)


def test_other_streams_are_told(test_data):
    cine = open_cine(test_data / "video_io" / "files" / "nasa_13013.mp4")
    assert any("more video stream" in warning for warning in cine.facts.warnings)
    assert (cine.audio.rate, cine.audio.waveform.ndim) == (8000, 1)
    assert not cine.audio.is_silent


def test_silent_tracks_of_the_lung_videos(test_data):
    """The data set's README: eight files have a sound track that is silent."""
    with (test_data / "pocus_lung_us" / "labels.csv").open() as rows:
        sounding = [
            row["file"] for row in csv.DictReader(rows) if row["audio_stream"] not in ("", "0", "False", "none")
        ]
    assert sounding
    for name in sounding[:3]:
        path = next((test_data / "pocus_lung_us").rglob(name.split("/")[-1]))
        assert open_cine(path).audio.is_silent


def test_ffprobe_agrees_on_frame_counts(test_data):
    if shutil.which("ffprobe") is None:
        pytest.skip("no ffprobe on this machine")
    for path in sorted((test_data / "pocus_lung_us" / "videos").glob("*/*"))[::15]:
        done = subprocess.run(
            ["ffprobe", "-v", "error", "-select_streams", "v:0", "-count_frames", "-show_entries",
             "stream=nb_read_frames", "-of", "csv=p=0", str(path)], capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert len(open_cine(path)) == int(done.stdout.strip().strip(","))


def test_moving_scene_tells_its_numbers():
    assert frame_numbers(moving_scene(7)) == list(range(7))
