"""Damaged and hostile files: a typed error or what is whole; never a hang, a crash or a wrong frame."""

import contextlib
import random
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from tests.cine.conftest import encode, frame_numbers, moving_scene
from tests.cine.dicom_making import END, dicom, item, save, with_pixel_items
from usssl.cine import Limits, open_cine, write_dicom, write_video
from usssl.errors import CineError

FRAMES = 12
LIMITS = Limits(max_frame_pixels=1 << 20, max_frames=4096, max_read_pixels=1 << 26)
KINDS = [
    "native.dcm", "jpeg.dcm", "rle.dcm", "deflated.dcm", "h264.mp4", "h264.ts", "mjpeg.avi", "mpeg2.mpg", "ffv1.mkv",
    "gif.gif", "tiff.tif", "numpy.npy", "numpy.npz", "meta.mha", "still.png",
]  # fmt: skip


def make(folder, name, scene):
    import cv2
    import pydicom

    path = folder / name
    kind, extension = name.split(".")
    if extension == "dcm":
        write_dicom(path, scene, 25, spacing_mm=(0.1, 0.1), transfer_syntax="native" if kind == "deflated" else kind)
        if kind == "deflated":
            ds = pydicom.dcmread(path)
            ds.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
            ds.save_as(path, enforce_file_format=True)
    elif name in ("h264.mp4", "mjpeg.avi", "ffv1.mkv"):
        write_video(path, scene, 25, codec=kind, gop=5)
    elif name == "h264.ts":
        encode(path, scene, "libx264", "mpegts", g="5")
    elif name == "mpeg2.mpg":
        encode(path, scene, "mpeg2video", "mpeg", g="5", bf="2", b="2M")
    elif name == "gif.gif":
        encode(path, scene, "gif", "gif", "gray")
    elif name == "tiff.tif":
        cv2.imwritemulti(str(path), list(scene))
    elif name == "numpy.npy":
        np.save(path, scene)
    elif name == "numpy.npz":
        np.savez_compressed(path, frames=scene, fps=25.0)
    elif name == "still.png":
        cv2.imwrite(str(path), scene[0])
    else:
        import zlib

        size = f"{scene.shape[2]} {scene.shape[1]} {len(scene)}"
        header = f"ObjectType = Image\nNDims = 3\nCompressedData = True\nDimSize = {size}\nElementType = MET_UCHAR\n"
        path.write_bytes(f"{header}ElementDataFile = LOCAL\n".encode() + zlib.compress(scene.tobytes()))
    return path


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    scene = moving_scene(FRAMES)
    contents = {name: make(folder, name, scene).read_bytes() for name in KINDS}
    whole = {name: np.asarray(open_cine(folder / name, color="grey")) for name in KINDS}
    return contents, whole


def check_sentence(error, path):
    assert error.path == path
    assert error.reason
    assert "\n" not in str(error)


def read_all(path):
    """Frames by their time in 25ths of a second, as far as they can be read; none where the file cannot be opened.

    Time it is, because where frames are missing the next ones move up in number, but keep their time. Only typed errors
    may come.
    """
    try:
        cine = open_cine(path, color="grey", limits=LIMITS)
    except CineError as error:
        check_sentence(error, path)
        return {}
    frames = {}
    for index in range(min(len(cine), 64)):
        time = cine.times[index]
        try:
            frames[round(time * 25) if np.isfinite(time) and time < 1e6 else index] = cine[index]
        except CineError as error:
            check_sentence(error, path)
    with contextlib.suppress(CineError):
        cine.read([len(cine) - 1, 0])
    with contextlib.suppress(CineError):
        assert cine.audio is None
    return frames


def test_originals_are_whole(originals):
    whole = originals[1]
    for name in KINDS:
        count = 1 if name == "still.png" else FRAMES
        assert len(whole[name]) == count, name
        assert frame_numbers(whole[name]) == list(range(count)), name


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("eighth", range(8))
def test_truncated_at_every_eighth(originals, tmp_path, name, eighth):
    """What is read of a cut-off file is what the whole file has at that place."""
    contents, whole = originals
    path = tmp_path / name
    path.write_bytes(contents[name][: len(contents[name]) * eighth // 8])
    for index, frame in read_all(path).items():
        np.testing.assert_array_equal(frame, whole[name][index], err_msg=f"frame {index}")


@pytest.mark.parametrize("name", KINDS)
def test_flipped_bits(originals, tmp_path, name):
    """Many a flip within a picture no decoder can see; but it opens or is refused, and nothing worse."""
    contents, _ = originals
    rng = random.Random(name)
    path = tmp_path / name
    for trial in range(12):
        data = bytearray(contents[name])
        region = len(data) if trial % 2 else min(len(data), 1200)
        for _ in range(rng.choice([1, 2, 8])):
            data[rng.randrange(region)] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        for frame in read_all(path).values():
            assert frame.dtype == np.uint8
            assert frame.ndim == 2


@pytest.mark.parametrize(
    "name", ["native.dcm", "rle.dcm", "jpeg.dcm", "h264.mp4", "mjpeg.avi", "numpy.npy", "tiff.tif"]
)
def test_lengths_that_lie(originals, tmp_path, name):
    """Every word of the header in turn replaced by the largest numbers."""
    contents, _ = originals
    data = contents[name]
    path = tmp_path / name
    for place in range(0, min(len(data), 900), 37):
        for word in (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0"):
            path.write_bytes(data[:place] + word + data[place + 4 :])
            read_all(path)


@pytest.mark.parametrize("name", KINDS)
def test_content_and_name_swapped(originals, tmp_path, name):
    contents, whole = originals
    path = tmp_path / (name + ".dcm" if not name.endswith("dcm") else name + ".mp4")
    path.write_bytes(contents[name])
    np.testing.assert_array_equal(np.asarray(open_cine(path, color="grey")), whole[name])


def test_damage_within_a_video_stays_where_it_is(tmp_path):
    """A packet in the middle is overwritten: frames before it are the same, those after the next key frame too."""
    scene = moving_scene(30)
    path = write_video(tmp_path / "v.mp4", scene, 25, gop=10)
    whole = np.asarray(open_cine(path, color="grey"))
    import av

    with av.open(str(path)) as container:
        packets = sorted((p.pos, p.size, p.pts) for p in container.demux(video=0) if p.size)
    place, size, _ = packets[14]
    data = bytearray(path.read_bytes())
    data[place + 5 : place + size] = bytes(random.Random(0).randbytes(size - 5))
    path.write_bytes(data)
    for threads in (1, 2):
        cine = open_cine(path, color="grey", threads=threads)
        good = {}
        for index in [29, 3, 15, *range(30)]:
            try:
                good[index] = cine[index]
            except CineError as error:
                check_sentence(error, path)
        seconds = {index: round(cine.times[index] * 25) for index in good}
        for index, frame in good.items():
            np.testing.assert_array_equal(frame, whole[seconds[index]])
        assert set(range(10)) <= set(seconds.values())
        assert set(range(20, 30)) <= set(seconds.values())
        assert len(good) < 30


# --- fuzzing --------------------------------------------------------------------------------------------------------

BOUNDED = settings(
    max_examples=60, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
_CODES = "5 4.50 4.51 4.57 4.70 4.80 4.81 4.90 4.91 4.100 4.102 4.201 1.98 8.1"
SYNTAXES = [f"1.2.840.10008.1.2.{code}" for code in _CODES.split()]
NUMBERS = st.one_of(st.integers(-2, 70), st.sampled_from([255, 256, 4096, 32767, 65535]))
TEXTS = st.one_of(
    st.integers(-5, 10**6).map(str), st.sampled_from(["", "nan", "inf", "1e400", "abc", "0", "-0.0", "33.3"])
)
TAGS = {
    "Rows": NUMBERS,
    "Columns": NUMBERS,
    "SamplesPerPixel": NUMBERS,
    "BitsAllocated": st.sampled_from([0, 1, 8, 12, 16, 32, 64]),
    "BitsStored": st.sampled_from([0, 1, 8, 12, 16, 17]),
    "PixelRepresentation": NUMBERS,
    "PlanarConfiguration": NUMBERS,
    "PhotometricInterpretation": st.sampled_from(
        [
            "MONOCHROME1",
            "MONOCHROME2",
            "RGB",
            "YBR_FULL",
            "YBR_FULL_422",
            "YBR_ICT",
            "YBR_RCT",
            "PALETTE COLOR",
            "CMYK",
            "",
        ]
    ),
    "NumberOfFrames": TEXTS,
    "FrameTime": TEXTS,
    "CineRate": TEXTS,
    "RecommendedDisplayFrameRate": TEXTS,
    "FrameTimeVector": st.lists(TEXTS, max_size=5).map("\\".join),
    "PixelSpacing": st.lists(TEXTS, max_size=3).map("\\".join),
    "WindowCenter": TEXTS,
    "WindowWidth": TEXTS,
    "RescaleSlope": TEXTS,
    "RescaleIntercept": TEXTS,
    "PatientName": st.text(max_size=12),
    "SpecificCharacterSet": st.sampled_from(["ISO_IR 100", "ISO_IR 192", "nonsense", "ISO 2022 IR 87"]),
}


def raw_element(keyword, value):
    """An element with a value that pydicom would refuse to write: implicit little endian."""
    import pydicom.datadict as dictionary

    tag = dictionary.tag_for_keyword(keyword)
    data = struct.pack("<H", value & 0xFFFF) if isinstance(value, int) else str(value).encode("utf-8", "replace")
    data += b" " * (len(data) % 2)
    return tag, struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(data)) + data


@BOUNDED
@given(
    tags=st.fixed_dictionaries({}, optional=TAGS),
    pixels=st.binary(max_size=400),
    length=st.one_of(st.none(), st.integers(0, 2**32 - 1)),
)
def test_fuzzed_headers(tmp_path, tags, pixels, length):
    defaults = {"Rows": 8, "Columns": 8, "SamplesPerPixel": 1, "BitsAllocated": 8}
    defaults |= {"PhotometricInterpretation": "MONOCHROME2"}
    elements = sorted(raw_element(k, v) for k, v in {"Modality": "US", **defaults, **tags}.items())
    size = len(pixels) if length is None else length
    body = b"".join(data for _, data in elements) + struct.pack("<HHI", 0x7FE0, 0x0010, size) + pixels
    path = tmp_path / "fuzz.dcm"
    path.write_bytes(body)
    read_all(path)


ITEMS = st.lists(
    st.one_of(
        st.binary(max_size=60).map(item),
        st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=40)).map(
            lambda x: item(b"")[:4] + struct.pack("<I", x[0]) + x[1]
        ),
        st.lists(st.integers(0, 400), max_size=6).map(lambda x: item(struct.pack(f"<{len(x)}I", *x))),
        st.sampled_from(
            [b"\xff\xd8\xff\xc0\0\x0b\x08\0\x08\0\x08\x01\x01\x11\0", b"\xff\x4f\xff\x51" + b"\0" * 60]
        ).map(item),
        st.just(END + b"\0\0\0\0"),
        st.binary(max_size=12),
    ),
    max_size=8,
)


@BOUNDED
@given(
    items=ITEMS, syntax=st.sampled_from(SYNTAXES), frames=st.sampled_from([None, 1, 2, 3, 100000]), color=st.booleans()
)
def test_fuzzed_encapsulation(tmp_path, items, syntax, frames, color):
    path = tmp_path / "fuzz.dcm"
    ds = dicom(8, 8, frames, "RGB" if color else "MONOCHROME2")
    with_pixel_items(path, ds, "1.2.840.10008.1.2.4.50", b"".join(items))
    padded = syntax.encode().ljust(22, b"\0")
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.4.50", padded, 1))
    read_all(path)


@BOUNDED
@given(data=st.data(), name=st.sampled_from([name for name in KINDS if name != "numpy.npz"]))
def test_fuzzed_containers(originals, tmp_path, data, name):
    content = bytearray(originals[0][name])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["overwrite", "remove", "insert"]))
        piece = data.draw(st.binary(min_size=1, max_size=16))
        if kind == "overwrite":
            content[place : place + len(piece)] = piece
        elif kind == "remove":
            del content[place : place + data.draw(st.integers(1, 300))]
        else:
            content[place:place] = piece
    path = tmp_path / name
    path.write_bytes(content)
    read_all(path)


def test_nested_sequences_without_end(tmp_path):
    """A header of sequences within sequences must not exhaust the stack."""
    start = struct.pack("<HHI", 0x0018, 0x6011, 0xFFFFFFFF) + item(b"")[:4] + b"\xff\xff\xff\xff"
    path = tmp_path / "deep.dcm"
    path.write_bytes(raw_element("Modality", "US")[1] + start * 5000)
    with pytest.raises(CineError):
        open_cine(path)


def test_many_fragments_without_content(tmp_path):
    body = item(b"") * 200_000
    path = with_pixel_items(tmp_path / "f.dcm", dicom(8, 8, 5), "1.2.840.10008.1.2.4.50", body + END + b"\0\0\0\0")
    with pytest.raises(CineError):
        np.asarray(open_cine(path))


def test_missing_tags(tmp_path, scene):
    """Each element in turn is left out: the file is read right, or refused."""
    write_dicom(tmp_path / "c.dcm", scene[:3], 25, transfer_syntax="native", spacing_mm=(0.1, 0.1))
    import pydicom

    whole = pydicom.dcmread(tmp_path / "c.dcm")
    for keyword in [element.keyword for element in whole if element.keyword not in ("PixelData", "FrameTime")]:
        ds = pydicom.dcmread(tmp_path / "c.dcm")
        del ds[keyword]
        ds.save_as(tmp_path / "m.dcm")
        try:
            cine = open_cine(tmp_path / "m.dcm")
        except CineError:
            assert keyword in ("Rows", "Columns")
            continue
        np.testing.assert_array_equal(cine[0], scene[0], err_msg=keyword)
        assert len(cine) == (1 if keyword == "NumberOfFrames" else 3)


def test_regions_of_nonsense(tmp_path):
    broken = Dataset()
    broken.RegionSpatialFormat = 1
    ds = dicom(8, 8, 1, SequenceOfUltrasoundRegions=[broken, Dataset()])
    assert open_cine(save(tmp_path / "r.dcm", ds, bytes(64))).regions == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_many_mutations(originals, tmp_path, name):
    rng = random.Random(1)
    for _ in range(400):
        data = bytearray(originals[0][name])
        for _ in range(rng.choice([1, 3, 20])):
            data[rng.randrange(len(data))] = rng.randrange(256)
        (tmp_path / name).write_bytes(data[: rng.choice([len(data), rng.randrange(1, len(data))])])
        read_all(tmp_path / name)
