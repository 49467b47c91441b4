import hashlib
import multiprocessing
import signal
import time

import av
import numpy as np
import pydicom
import pytest

from tests.cine.conftest import frame_numbers, moving_scene
from usssl.cine import Region, open_cine, write_dicom, write_video
from usssl.errors import OutputError


def rgb(frames):
    return np.stack([frames, 255 - frames, frames // 2], axis=-1)


@pytest.mark.parametrize("codec", ["h264", "mjpeg", "ffv1"])
@pytest.mark.parametrize("size", [(64, 96), (63, 95)])
@pytest.mark.parametrize("colored", [False, True])
def test_video_round_trip(tmp_path, codec, size, colored):
    frames = moving_scene(10, *size)
    frames = rgb(frames) if colored else frames
    path = write_video(tmp_path / "v", iter(frames), 12.5, codec=codec, crf=10)
    cine = open_cine(path, color="rgb" if colored else "grey")
    assert cine.fps == 12.5
    assert cine.shape[:3] == (10, size[0] + size[0] % 2, size[1] + size[1] % 2)
    apart = np.abs(cine[:, : size[0], : size[1]].astype(int) - frames).mean()
    assert apart == 0 if codec == "ffv1" else apart < (8 if colored else 3)  # chroma is halved
    if size == (63, 95):
        np.testing.assert_allclose(cine[0, 63, :95].astype(int), cine[0, 62, :95], atol=0 if codec == "ffv1" else 25)


def test_reproducible_video_is_coded_alike_on_any_machine(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (4, 240, 320), dtype=np.uint8)
    video = write_video(tmp_path / "a.mp4", frames, 25.0, reproducible=True).read_bytes()
    # The encoder writes its settings into the file: bytes depend on the number of threads, and its tree is not exact.
    assert b" threads=1 " in video
    assert b" mbtree=0 " in video


def test_video_plays_elsewhere(mp4):
    with av.open(str(mp4)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert container.duration == 1_600_000


@pytest.mark.parametrize("syntax", ["jpeg", "rle", "native"])
@pytest.mark.parametrize("colored", [False, True])
@pytest.mark.parametrize("count", [1, 5])
def test_dicom_round_trip(tmp_path, syntax, colored, count):
    frames = moving_scene(count, 63, 95)
    frames = rgb(frames) if colored else frames
    path = write_dicom(tmp_path / "d.dcm", frames, 30, spacing_mm=(0.2, 0.3), transfer_syntax=syntax)
    cine = open_cine(path)
    assert cine.shape == frames.shape
    assert cine.spacing_mm == pytest.approx((0.2, 0.3))
    assert cine.fps == (pytest.approx(30) if count > 1 else None)
    apart = np.abs(np.asarray(cine).astype(int) - frames).mean()
    assert apart < 3 if syntax == "jpeg" else apart == 0
    assert pydicom.dcmread(path).pixel_array.reshape(frames.shape).shape == frames.shape


def test_dicom_header(tmp_path, scene):
    regions = (Region("b_mode", (0, 16, 96, 64)), Region("pw_doppler", (0, 0, 96, 16), (0.001, 2.0), ("s", "cm/s")))
    path = write_dicom(
        tmp_path / "h.dcm", scene, 25, spacing_mm=(0.5, 0.4), regions=regions, patient_name="Doe^Jane", patient_id="7",
        tags={"Manufacturer": "Phantom", "SeriesDescription": "sweep"},
    )  # fmt: skip
    ds = pydicom.dcmread(path)
    assert ds.SOPClassUID == pydicom.uid.UltrasoundMultiFrameImageStorage
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert (ds.PatientName, ds.PatientID, ds.Manufacturer, ds.SeriesDescription) == (
        "Doe^Jane",
        "7",
        "Phantom",
        "sweep",
    )
    assert (ds.FrameIncrementPointer, float(ds.FrameTime), ds.NumberOfFrames) == (0x00181063, 40.0, 40)
    assert ds.LossyImageCompression == "01"
    first, second = ds.SequenceOfUltrasoundRegions
    assert (first.RegionLocationMaxX1, first.RegionLocationMaxY1) == (95, 63)  # the last pixel, PS3.3 C.8.5.5.1.3
    assert (first.PhysicalDeltaX, first.PhysicalDeltaY) == (0.04, 0.05)  # cm
    assert (first.RegionSpatialFormat, first.RegionDataType, second.RegionSpatialFormat, second.RegionDataType) == (
        1,
        1,
        3,
        3,
    )
    assert (second.PhysicalUnitsXDirection, second.PhysicalUnitsYDirection) == (4, 7)
    single = pydicom.dcmread(write_dicom(tmp_path / "s.dcm", scene[:1], None))
    assert single.SOPClassUID == pydicom.uid.UltrasoundImageStorage
    assert "NumberOfFrames" not in single
    assert "FrameTime" not in single


def test_uids(tmp_path, scene):
    def written(name, seed):
        path = write_dicom(tmp_path / name, scene[:2], 25, seed=seed, transfer_syntax="native")
        return pydicom.dcmread(path), hashlib.sha256(path.read_bytes()).hexdigest()

    (a, first), (_, again) = written("a", "study 1/1"), written("b", "study 1/1")
    assert first == again
    (c, _), (d, _), (e, _) = written("c", "study 1/2"), written("d", None), written("e", None)
    assert a.StudyInstanceUID == c.StudyInstanceUID
    assert a.SOPInstanceUID != c.SOPInstanceUID
    assert d.SOPInstanceUID != e.SOPInstanceUID
    for ds in (a, c, d):
        for uid in (ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID):
            assert uid.is_valid
            assert len(uid) <= 64


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        ([], "no frames"),
        ([np.zeros((4, 4), np.float32)], "uint8"),
        ([np.zeros((4, 4, 4), np.uint8)], "uint8"),
        ([np.zeros((4, 4), np.uint8), np.zeros((4, 6), np.uint8)], r"\(4, 6\)|same shape"),
    ],
)
def test_frames_that_do_not_fit(tmp_path, frames, text):
    for write in (write_video, write_dicom):
        with pytest.raises(OutputError, match=text):
            write(tmp_path / "x", iter(frames), 25)
        assert list(tmp_path.iterdir()) == []


def test_places_that_do_not_fit(tmp_path, scene):
    for write in (write_video, write_dicom):
        with pytest.raises(OutputError, match="no such file"):
            write(tmp_path / "absent" / "x", scene, 25)
        (tmp_path / "taken").mkdir(exist_ok=True)
        (tmp_path / "taken" / "file").touch()
        with pytest.raises(OutputError):
            write(tmp_path / "taken", scene[:2], 25)
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]
    with pytest.raises(OutputError, match="codec"):
        write_video(tmp_path / "x.mp4", scene, 25, codec="vp9")
    with pytest.raises(OutputError, match="frame rate"):
        write_video(tmp_path / "x.mp4", scene, 0)


def test_an_error_midway_leaves_the_old_file(tmp_path, scene):
    path = write_video(tmp_path / "v.mp4", scene, 25)
    before = path.read_bytes()

    def failing():
        yield from scene[:20]
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        write_video(path, failing(), 25)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def _write_slowly(path):
    def frames():
        for frame in moving_scene(200):
            time.sleep(0.05)
            yield frame

    write_video(path, frames(), 25)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_writer_that_is_killed_leaves_nothing_under_the_name(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_write_slowly, args=(tmp_path / "v.mp4",))
    process.start()
    deadline = time.monotonic() + 90
    while not list(tmp_path.glob(".v.mp4*.part")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.join()
    assert not (tmp_path / "v.mp4").exists()
    write_video(tmp_path / "v.mp4", moving_scene(4), 25)
    assert frame_numbers(open_cine(tmp_path / "v.mp4", color="grey")[:]) == [0, 1, 2, 3]
