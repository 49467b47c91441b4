import base64
import csv
import hashlib
import io
import struct
import warnings
import zlib

import av
import cv2
import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_color_lut

from tests.cine.conftest import encode, frame_numbers
from tests.cine.dicom_making import END, color_patches, dicom, item, save, to_ybr, with_pixel_items
from usssl.cine import open_cine, write_dicom
from usssl.errors import CineError

JPEG, RLE, J2K, HTJ2K = (f"1.2.840.10008.1.2.{n}" for n in ("4.50", "5", "4.90", "4.201"))
NATIVE = {"implicit": "1.2.840.10008.1.2", "explicit": "1.2.840.10008.1.2.1", "big endian": "1.2.840.10008.1.2.2"}

# Made with ojph_compress (OpenJPH 0.9, reversible, colour transform) from the image of `test_htj2k`.
HTJ2K_IMAGE = base64.b64decode(
    "/0//UQAvQAAAAAAYAAAAEAAAAAAAAAAAAAAAGAAAABAAAAAAAAAAAAADBwEBBwEBBwEB/1AACAACAAAABP9SAAwAAgABAQIEBEAB/1wACiBYYG"
    "BgWFhg/2QAFgABT3BlbkpQSCBWZXIgMC45LjAu/5AACgAAAAABeQAB/5PAC3z/Yeun62L4fk0vs0NwXPlRNkKDpukAgxSIaAACqboAwAtk9+te"
    "w97vXifer9fSUc34AFxRUcAxZCdaAMALfLfz5DG57T7GmiLvd58nz+uh042qyAAMFjjDUETUugDABVQAVsAE4DJM7P7AQPZCdgAgQc5n9+AAlg"
    "AB7LgAigDoCFaVAMAFTABXQAVYIDSzztjA8lUAQdwdQEPz+uME4YLXdwCgAkYG/cGMdnnmAMAFRABWgIwx9tpwAnUAw2EYhuHgCPYQgey4AMAL"
    "QgBa8AFUgjd0e91B6vPgEgg4OnpZAIdlO4AIkdbxzMH/ABCMPJ790mcsAL0A73t9/w0hYeJ3AMALWgBbEAFcrHcSAO/X17Fo/vPAAFII3ttG0j"
    "/cAB/enhVNAXnl/ZAfxv8BAoVLffJ7LEC8AL+/X39/wP8IBmoYQngAwArIAWiAIiIiIvPwp6enwngAvbu7u7u7/xye/fJ798nsuwD/2Q=="
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "c.dcm"


def write_as(path, ds, array, name):
    syntax = NATIVE[name]
    order = ">" if name == "big endian" else "<"
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    ds.PixelData = array.astype(array.dtype.newbyteorder(order)).tobytes()
    ds["PixelData"].VR = "OB" if array.itemsize == 1 and name != "implicit" else "OW"
    pydicom.dcmwrite(
        path, ds, implicit_vr=name == "implicit", little_endian=name != "big endian", enforce_file_format=True
    )


@pytest.mark.parametrize("name", NATIVE)
def test_native_syntaxes(path, name):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (5, 8, 10, 3), dtype=np.uint8)
    write_as(path, dicom(8, 10, 5, "RGB"), frames, name)
    np.testing.assert_array_equal(np.asarray(open_cine(path)), frames)
    deep = rng.integers(0, 4096, (3, 8, 10), dtype=np.uint16)
    write_as(path, dicom(8, 10, 3, BitsAllocated=16, BitsStored=12, HighBit=11), deep, name)
    np.testing.assert_array_equal(np.asarray(open_cine(path)), np.rint(deep / 4095 * 255))


@pytest.mark.parametrize("size", [(8, 10), (3, 5)])
def test_bytes_in_words_of_big_endian_change_places(path, size):
    """PS3.5 8.1.1: VR OW swaps 8-bit samples in big endian; the frames of odd size share words."""
    frames = np.random.default_rng(1).integers(0, 256, (4, *size, 3), dtype=np.uint8)
    ds = dicom(*size, 4, "RGB")
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRBigEndian
    ds.PixelData = np.frombuffer(frames.tobytes(), np.uint16).byteswap().tobytes()
    ds["PixelData"].VR = "OW"
    pydicom.dcmwrite(path, ds, implicit_vr=False, little_endian=False, enforce_file_format=True)
    expected = pydicom.dcmread(path).pixel_array
    np.testing.assert_array_equal(np.asarray(open_cine(path)), expected)
    np.testing.assert_array_equal(expected, frames)
    np.testing.assert_array_equal(open_cine(path)[[3, 1]], frames[[3, 1]])


def test_deflated(path, scene):
    write_dicom(path, scene[:4], 25, transfer_syntax="native")
    ds = pydicom.dcmread(path)
    ds.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    ds.save_as(path, enforce_file_format=True)
    assert path.stat().st_size < scene[:4].nbytes
    cine = open_cine(path)
    np.testing.assert_array_equal(np.asarray(cine), scene[:4])
    assert cine.fps == 25


def test_frames_deflated_or_uncompressed_one_by_one(path, scene):
    packed = []
    for frame in scene[:4]:
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed.append(deflater.compress(frame.tobytes()) + deflater.flush())
    plain = [frame.tobytes() for frame in scene[:4]]
    for frames, syntax in ((packed, b"1.2.840.10008.1.2.8.1\0"), (plain, b"1.2.840.10008.1.2.1.98")):
        save(path, dicom(64, 96, 4), frames, JPEG)  # pydicom refuses syntaxes younger than itself
        path.write_bytes(path.read_bytes().replace(JPEG.encode(), syntax, 1))
        np.testing.assert_array_equal(np.asarray(open_cine(path)), scene[:4])


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_native_colour_and_planar_configuration(path, planar, photometric):
    frame = color_patches()
    stored = frame if photometric == "RGB" else to_ybr(frame)
    data = np.moveaxis(stored, -1, 0) if planar else stored
    save(path, dicom(32, 48, 1, photometric, PlanarConfiguration=planar), np.ascontiguousarray(data).tobytes())
    assert np.abs(open_cine(path)[0].astype(int) - frame).max() <= (0 if photometric == "RGB" else 2)


def test_native_422(path):
    frame = color_patches()
    ybr = to_ybr(frame)
    stored = np.empty((32, 24, 4), np.uint8)
    stored[..., 0], stored[..., 1] = ybr[:, ::2, 0], ybr[:, 1::2, 0]
    stored[..., 2:] = ybr[:, ::2, 1:]
    save(path, dicom(32, 48, 1, "YBR_FULL_422"), stored.tobytes())
    assert np.abs(open_cine(path)[0].astype(int) - frame).max() <= 2


def jpeg(frame, subsampling=None):
    options = [cv2.IMWRITE_JPEG_QUALITY, 98]
    if subsampling:
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, subsampling]
    return cv2.imencode(".jpg", frame[..., ::-1], options)[1].tobytes()


def without_jfif(data):
    assert data[2:4] == b"\xff\xe0"
    return data[:2] + data[4 + struct.unpack(">H", data[4:6])[0] :]


COLOR_JPEGS = {
    "YBR_FULL_422, JFIF": ("YBR_FULL_422", lambda f: jpeg(f, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422)),
    "YBR_FULL, JFIF": ("YBR_FULL", lambda f: jpeg(f, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)),
    "YBR_FULL, no marker": ("YBR_FULL", lambda f: without_jfif(jpeg(f, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444))),
    "tagged RGB, but JFIF": ("RGB", lambda f: jpeg(f, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)),
    "tagged RGB, but subsampled": ("RGB", lambda f: without_jfif(jpeg(f, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422))),
}


@pytest.mark.parametrize("name", COLOR_JPEGS)
def test_no_green_ultrasound(path, name):
    """The middle of each bar has its colour; YCbCr taken for RGB would be a hundred levels off."""
    photometric, code = COLOR_JPEGS[name]
    frame = color_patches()
    save(path, dicom(32, 48, 1, photometric), [code(frame)], JPEG)
    shown = open_cine(path)[0].astype(int)
    assert np.abs(shown - frame)[:, 4::8].max() <= 6


def test_true_rgb_in_jpeg(path):
    """Without any marker the tag decides: components that are RGB must not be turned again."""
    frame = color_patches()
    # libjpeg codes what it takes for BGR as YCbCr; given YCbCr's inverse, the coded components are the RGB values.
    inverse = cv2.cvtColor(frame[..., [0, 2, 1]], cv2.COLOR_YCrCb2BGR)
    bars = np.abs(cv2.cvtColor(inverse, cv2.COLOR_BGR2YCrCb)[..., [0, 2, 1]].astype(int) - frame).max(axis=(0, 2)) <= 2
    assert bars.any()  # colours whose inverse is within range
    options = [cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    coded = without_jfif(cv2.imencode(".jpg", inverse, options)[1].tobytes())
    save(path, dicom(32, 48, 1, "RGB"), [coded], JPEG)
    shown = open_cine(path)[0].astype(int)
    middle = np.zeros(48, bool)
    middle[4::8] = True
    assert (bars & middle).any()
    assert np.abs(shown - frame)[:, bars & middle].max() <= 6


@pytest.mark.parametrize("syntax", ["jpeg", "rle", "native"])
def test_grey_is_the_luma_of_the_colours(path, syntax):
    frame = color_patches()
    write_dicom(path, [frame] * 2, 10, transfer_syntax=syntax)
    grey = open_cine(path, color="grey")
    assert grey.shape == (2, 32, 48)
    luma = frame @ np.array([0.299, 0.587, 0.114])
    assert np.abs(grey[1] - luma)[:, 4::8].max() <= 4


def test_j2k(path):
    from openjpeg.utils import encode_array

    frame = color_patches()
    coded = bytes(encode_array(frame, photometric_interpretation=1, use_mct=True))
    save(path, dicom(32, 48, 1, "YBR_RCT"), [coded], J2K)
    np.testing.assert_array_equal(open_cine(path)[0], frame)
    plain = bytes(encode_array(to_ybr(frame), photometric_interpretation=3, use_mct=False))
    save(path, dicom(32, 48, 1, "YBR_FULL"), [plain], J2K)
    assert np.abs(open_cine(path)[0].astype(int) - frame).max() <= 2


def test_htj2k(path):
    y, x = np.mgrid[:16, :24]
    frame = np.stack([x * 10 % 256, y * 15 % 256, x * y % 256], axis=-1)
    save(path, dicom(16, 24, 1, "YBR_RCT"), [HTJ2K_IMAGE], HTJ2K)
    cine = open_cine(path)
    np.testing.assert_array_equal(cine[0], frame)
    assert cine.facts.codec == "htj2k"


@pytest.mark.parametrize(
    ("codec", "fmt", "syntax"),
    [
        ("mpeg2video", "mpegts", "1.2.840.10008.1.2.4.100"),
        ("libx264", "mp4", "1.2.840.10008.1.2.4.102"),
        ("libx264", "mpegts", "1.2.840.10008.1.2.4.103"),
        ("libx265", "mp4", "1.2.840.10008.1.2.4.107"),
    ],
)
def test_video_in_dicom(path, tmp_path, scene, codec, fmt, syntax):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {"b": "3M"} if codec == "mpeg2video" else {}
    stream = encode(tmp_path / "stream", scene, codec, fmt, g="10", **options).read_bytes()
    stream += b"\0" * (len(stream) % 2)
    ds = dicom(64, 96, 40, "YBR_PARTIAL_420", FrameTime="50", FrameIncrementPointer=0x00181063)
    save(path, ds, [stream], syntax)
    cine = open_cine(path, color="grey")
    assert frame_numbers(cine[:]) == list(range(40))
    assert frame_numbers(cine[[30, 2, 17]]) == [30, 2, 17]
    assert (cine.fps, cine.facts.container, cine.facts.transfer_syntax) == (20, "dicom", syntax)
    half = len(stream) // 2
    ds = dicom(64, 96, 40, "YBR_PARTIAL_420", FrameTime="50")
    body = item(b"") + item(stream[: half - half % 2]) + item(stream[half - half % 2 :])
    for end in (END + b"\0\0\0\0", b""):
        with_pixel_items(path, ds, syntax, body + end)
        assert frame_numbers(open_cine(path, color="grey")[[39, 0]]) == [39, 0]


def test_monochrome1_is_inverted(path, scene):
    save(path, dicom(64, 96, 2, "MONOCHROME1"), scene[:2].tobytes())
    np.testing.assert_array_equal(np.asarray(open_cine(path)), 255 - scene[:2])
    coded = [cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes() for frame in scene[:2]]
    save(path, dicom(64, 96, 2, "MONOCHROME1"), coded, JPEG)
    assert np.abs(np.asarray(open_cine(path)).astype(int) - (255 - scene[:2])).max() <= 2


class Counting:
    """A file that keeps the sizes of what was read from it."""

    def __init__(self, stream):
        self.stream, self.sizes = stream, []

    def seek(self, *where):
        return self.stream.seek(*where)

    def read(self, size):
        self.sizes.append(size)
        return self.stream.read(size)

    def close(self):
        self.stream.close()


def test_only_the_frames_asked_for_are_read(path, scene):
    """Of a long cine, one frame must not cost the whole file."""
    frames = np.random.default_rng(0).integers(0, 256, (200, 64, 96), dtype=np.uint8)
    for syntax in ("native", "jpeg", "rle"):
        write_dicom(path, frames, 30, transfer_syntax=syntax)
        cine = open_cine(path)
        counting = cine._backend._file.stream = Counting(cine._backend._file.stream)
        cine[150]
        assert 0 < sum(counting.sizes) <= 2 * frames[0].nbytes


def test_patient_is_a_pseudonym(path, scene, tmp_path, monkeypatch):
    monkeypatch.setenv("USSSL_KEY", str(tmp_path / "key"))
    write_dicom(path, scene[:2], 25, patient_name="Doe^Jane", patient_id="ID-4711")
    other = write_dicom(tmp_path / "o.dcm", scene[2:4], 25, patient_name="DOE^JANE", patient_id="ID-4711")
    third = write_dicom(tmp_path / "t.dcm", scene[2:4], 25, patient_name="Doe^Jane", patient_id="ID-4712")
    cine = open_cine(path)
    assert cine.patient == open_cine(other).patient != open_cine(third).patient
    shown = repr(cine) + repr(cine.facts) + str(cine.patient) + cine.id
    assert "4711" not in shown
    assert "doe" not in shown.lower()
    assert open_cine(write_dicom(tmp_path / "n.dcm", scene[:2], 25)).patient is None


def test_errors_quote_no_header(path, scene):
    write_dicom(path, scene[:2], 25, patient_name="Doe^Jane", patient_id="4711", transfer_syntax="native",
                tags={"PhotometricInterpretation": "JANE DOE"})  # fmt: skip
    with pytest.raises(CineError) as caught:
        open_cine(path)
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        ({"BitsAllocated": 32, "BitsStored": 32}, "32 of 32 bits"),
        ({"BitsAllocated": 1, "BitsStored": 1}, "1 of 1 bits"),
        ({"PhotometricInterpretation": "CMYK"}, "CMYK"),
        ({"SamplesPerPixel": 3}, "3 sample"),
        ({"Rows": 0}, "96x0"),
        ({"Rows": None}, "Rows is missing"),
    ],
)
def test_what_is_not_supported_is_said(path, scene, tags, text):
    ds = dicom(64, 96, 2, **tags)
    save(path, ds, scene[:2].tobytes())
    with pytest.raises(CineError, match=text):
        open_cine(path)


def test_unknown_transfer_syntax_is_named(path, scene):
    save(path, dicom(64, 96, 1), [scene[0].tobytes()], "1.2.840.10008.1.2.4.94")
    with pytest.raises(CineError, match="JPIP"):
        open_cine(path)


def test_files_without_an_image(path, tmp_path, scene):
    ds = dicom(64, 96, 2)
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    ds.save_as(path, enforce_file_format=True)
    with pytest.raises(CineError, match="without pixel data"):
        open_cine(path)
    ds.DirectoryRecordSequence = []
    ds.save_as(path, enforce_file_format=True)
    with pytest.raises(CineError, match="DICOMDIR"):
        open_cine(path)


# --- real files -----------------------------------------------------------------------------------------------------


def manifest(test_data):
    return list(csv.DictReader((test_data / "dicom_us" / "manifest.csv").open()))


def independent(path, row):
    """The same file through pydicom's own decoders, in RGB or grey bytes; its raw pixels must be the manifest's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(path)
        pixels = ds.pixel_array
    assert hashlib.sha1(pixels.tobytes()).hexdigest().startswith(row["pixel_sha1"])
    if ds.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, ds)
        pixels = pixels >> 8 if pixels.dtype == np.uint16 else pixels
    return pixels


# Levels (largest, mean) by which our decoder may differ. Lossless: none. Native YCbCr: the rounding of the conversion.
# Lossy JPEG: two decoders, each within what the standard allows for the inverse DCT.
TOLERANCE = {"lossless": (0, 0.0), "ybr": (1, 1e-3), "jpeg": (3, 0.05)}


def test_every_ultrasound_file_equals_an_independent_decoder(test_data):
    opened = 0
    for row in manifest(test_data):
        path = test_data / "dicom_us" / row["file"]
        cine = open_cine(path)
        opened += 1
        if not row["pixel_sha1"]:
            continue
        expected = independent(path, row).reshape(cine.shape)
        apart = np.abs(np.asarray(cine).astype(int) - expected)
        kind = "jpeg" if row["transfer_syntax"] == JPEG else "ybr" if "YBR_FULL" in row["photometric"] else "lossless"
        assert apart.max() <= TOLERANCE[kind][0], path.name
        assert apart.mean() <= TOLERANCE[kind][1], path.name
        some = [len(cine) - 1, 0]
        np.testing.assert_array_equal(cine.read(some), np.asarray(cine)[some], err_msg=path.name)
    assert opened == 19


def test_facts_of_every_ultrasound_file(test_data):
    for row in manifest(test_data):
        cine = open_cine(test_data / "dicom_us" / row["file"])
        name = row["file"]
        assert cine.facts.transfer_syntax == row["transfer_syntax"], name
        assert cine.facts.pixel_format == row["photometric"] or "mpeg4" in name, name
        assert cine.shape[:3] == (int(row["frames"] or 1), int(row["rows"]), int(row["cols"])), name
        assert len(cine.regions) == int(row["n_regions"]), name
        assert cine.facts.modality == "US", name
        if row["frame_time_ms"]:
            assert cine.fps == pytest.approx(1000 / float(row["frame_time_ms"])), name
        assert cine.times.shape == (len(cine),), name
        if cine.fps is not None:
            assert np.diff(cine.times).min(initial=1.0) > 0, name


def test_real_frame_time_vector(test_data):
    path = test_data / "dicom_us/files/ivrle_rgb_8f.dcm"
    vector = [float(v) for v in pydicom.dcmread(path).FrameTimeVector]
    cine = open_cine(path)
    assert cine.facts.timing == "FrameTimeVector"
    np.testing.assert_allclose(cine.times, np.cumsum([0, *vector[1:]]) / 1000)


def test_regions_outside_the_frame_give_no_spacing(test_data):
    cine = open_cine(test_data / "dicom_us/files/jpeg_ybr422_30f.dcm")
    assert not cine.regions[0].inside
    assert cine.regions[0].box == (84, 31, 320, 240)
    assert cine.spacing_mm is None
    assert any("outside the frame" in warning for warning in cine.facts.warnings)


def test_mpeg4_in_dicom_equals_its_video(test_data):
    path = test_data / "dicom_us/files/mpeg4avc_in_dicom_75f.dcm"
    stream = next(pydicom.encaps.generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1))
    with av.open(io.BytesIO(stream)) as container:
        expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    cine = open_cine(path)
    assert len(cine) == len(expected) == 75
    np.testing.assert_array_equal(cine[[74, 3, 40]], np.stack([expected[n] for n in (74, 3, 40)]))
