"""Images, TIFF, NumPy and MetaImage."""

import csv
import struct
import zlib

import cv2
import numpy as np
import pytest

from usssl.cine import Limits, open_cine
from usssl.cine.pictures import natural_key
from usssl.cine.still import image_size
from usssl.cine.tones import to_display
from usssl.errors import CineError, CineLimitError


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 256, (12, 10, 14), dtype=np.uint8)


# --- folders and stills


def test_a_folder_is_read_in_natural_order(tmp_path, frames):
    for n, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / f"img{n}.png"), frame)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"x")
    (tmp_path / "deeper").mkdir()
    cine = open_cine(tmp_path)
    np.testing.assert_array_equal(np.asarray(cine), frames)
    np.testing.assert_array_equal(cine[[10, 2]], frames[[10, 2]])
    assert (cine.fps, cine.facts.container, cine.facts.frames) == (None, "folder", 12)
    before = cine.id
    cv2.imwrite(str(tmp_path / "img3.png"), frames[4])
    assert open_cine(tmp_path).id != before


def test_natural_order():
    names = ["a10b2.png", "a2b10.png", "a2b9.png", "b1.png", "A1.png", "10.png", "9.png", "x.png"]
    expected = ["9.png", "10.png", "A1.png", "a2b9.png", "a2b10.png", "a10b2.png", "b1.png", "x.png"]
    assert sorted(names, key=natural_key) == expected


def test_images_of_many_sizes_are_no_cine(tmp_path, frames):
    cv2.imwrite(str(tmp_path / "a.png"), frames[0])
    cv2.imwrite(str(tmp_path / "b.png"), frames[1][:, :-1])
    with pytest.raises(CineError, match=r"a\.png and b\.png"):
        open_cine(tmp_path)


def test_a_broken_image_is_named(tmp_path, frames):
    for n in range(3):
        cv2.imwrite(str(tmp_path / f"{n}.png"), frames[n])
    content = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(content[:40])
    cine = open_cine(tmp_path)
    with pytest.raises(CineError, match=r"image 1\.png"):
        cine[1]
    np.testing.assert_array_equal(cine[2], frames[2])
    assert cine.unreadable_frames() == [1]


@pytest.mark.parametrize("extension", [".png", ".bmp", ".tif", ".jpg"])
@pytest.mark.parametrize("colored", [False, True])
def test_stills(tmp_path, frames, extension, colored):
    image = np.stack([frames[0], frames[1], frames[2]], axis=-1) if colored else frames[0]
    path = tmp_path / f"still{extension}"
    cv2.imwrite(str(path), image[..., ::-1] if colored else image, [cv2.IMWRITE_JPEG_QUALITY, 100])
    assert image_size(path) == (10, 14)
    cine = open_cine(path)
    lossy = extension == ".jpg"
    assert len(cine) == 1
    if not (extension == ".bmp" and not colored):  # OpenCV reads grey BMP, which is of palette kind, as colour
        assert cine.shape[1:] == image.shape
    shown = open_cine(path, color="rgb" if colored else "grey")[0].astype(int)
    if not (lossy and colored):  # noise does not survive chroma subsampling
        assert np.abs(shown - image).max() <= (4 if lossy else 1)


def test_alpha_and_depth(tmp_path, frames):
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([frames[0], frames[1], frames[2], frames[3]]))
    np.testing.assert_array_equal(open_cine(tmp_path / "a.png")[0], np.dstack([frames[2], frames[1], frames[0]]))
    cv2.imwrite(str(tmp_path / "d.png"), frames[0].astype(np.uint16) * 257)
    np.testing.assert_array_equal(open_cine(tmp_path / "d.png")[0], frames[0])


def test_a_png_that_claims_too_much_is_not_decoded(tmp_path):
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "bomb.png").write_bytes(data + b"\0" * 100)
    with pytest.raises(CineLimitError):
        open_cine(tmp_path / "bomb.png")


# --- TIFF


def test_tiff_pages(tmp_path, frames):
    path = tmp_path / "t.tif"
    cv2.imwritemulti(str(path), list(frames))
    cine = open_cine(path)
    np.testing.assert_array_equal(np.asarray(cine), frames)
    np.testing.assert_array_equal(cine[[11, 3, 4, 5, 0]], frames[[11, 3, 4, 5, 0]])
    color = np.stack([frames, frames[::-1], 255 - frames], axis=-1)
    cv2.imwritemulti(str(path), [frame[..., ::-1] for frame in color])
    np.testing.assert_array_equal(np.asarray(open_cine(path)), color)


def test_tiff_written_by_another_library(tmp_path, frames):
    tifffile = pytest.importorskip("tifffile")
    description = "ImageJ=1.53\nimages=12\nframes=12\nfinterval=0.04\nunit=mm\n"
    for name, options in {
        "plain": {"photometric": "minisblack"},
        "big": {"bigtiff": True, "photometric": "minisblack"},
        "big endian": {"byteorder": ">", "photometric": "minisblack"},
        "zlib": {"compression": "zlib", "photometric": "minisblack"},
    }.items():
        path = tmp_path / f"{name}.tif"
        with tifffile.TiffWriter(
            path, bigtiff=options.pop("bigtiff", False), byteorder=options.pop("byteorder", "<")
        ) as out:
            for frame in frames:
                out.write(frame, description=description, metadata=None, **options)
        cine = open_cine(path)
        np.testing.assert_array_equal(np.asarray(cine), frames, err_msg=name)
        assert cine.fps == pytest.approx(25)


def test_tiff_pages_of_another_size_are_left_out_and_told(tmp_path, frames):
    path = tmp_path / "t.tif"
    cv2.imwritemulti(str(path), [frames[0], frames[1][:4, :6], frames[2]])
    cine = open_cine(path)
    np.testing.assert_array_equal(np.asarray(cine), frames[[0, 2]])
    assert cine.facts.warnings == ("1 page(s) of another size were left out",)


def test_tiff_directories_in_a_circle(tmp_path, frames):
    path = tmp_path / "t.tif"
    cv2.imwritemulti(str(path), list(frames[:2]))
    content = bytearray(path.read_bytes())
    first = struct.unpack("<I", content[4:8])[0]
    count = struct.unpack("<H", content[first : first + 2])[0]
    link = first + 2 + 12 * count
    second = struct.unpack("<I", content[link : link + 4])[0]
    count = struct.unpack("<H", content[second : second + 2])[0]
    content[second + 2 + 12 * count : second + 6 + 12 * count] = struct.pack("<I", first)
    path.write_bytes(content)
    with pytest.raises(CineError, match="circle"):
        open_cine(path)


# --- NumPy


def test_numpy_archives(tmp_path, frames):
    np.savez_compressed(tmp_path / "a.npz", frames=frames, fps=20.0, labels=np.arange(12))
    cine = open_cine(tmp_path / "a.npz")
    np.testing.assert_array_equal(cine[3:9:2], frames[3:9:2])
    assert cine.fps == 20
    np.savez(tmp_path / "b.npz", anything=frames[..., None])
    assert open_cine(tmp_path / "b.npz").shape == frames.shape
    np.savez(tmp_path / "c.npz", one=frames, two=frames)
    with pytest.raises(CineError, match="named 'frames'"):
        open_cine(tmp_path / "c.npz")


def test_numpy_is_mapped_not_read(tmp_path):
    array = np.lib.format.open_memmap(tmp_path / "big.npy", mode="w+", dtype=np.uint8, shape=(4096, 1024, 1024))
    array[4000, 5, 6] = 9
    del array
    assert open_cine(tmp_path / "big.npy")[4000, 5, 6] == 9


def test_pickles_are_never_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    np.save(tmp_path / "b.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "b.npz", frames=np.array([Bomb()], dtype=object))
    (tmp_path / "exploded").unlink(missing_ok=True)
    for name in ("b.npy", "b.npz"):
        with pytest.raises(CineError):
            open_cine(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


def test_arrays_that_are_no_cine(tmp_path, frames):
    for array in (frames[0], frames[..., None, None], frames.astype(np.float32), frames[:, :0], frames[:0]):
        np.save(tmp_path / "x.npy", array)
        with pytest.raises(CineError):
            open_cine(tmp_path / "x.npy")


def test_an_archive_that_inflates_without_end_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "z.npz", frames=np.zeros((64, 256, 256), np.uint8))
    assert (tmp_path / "z.npz").stat().st_size < 10_000
    with pytest.raises(CineLimitError):
        open_cine(tmp_path / "z.npz", limits=Limits(max_memory=1 << 20))


@pytest.mark.parametrize(
    ("samples", "shown"),
    [
        (np.array([0, 128, 255], np.uint8), [0, 128, 255]),
        (np.array([-128, 0, 127], np.int8), [0, 128, 255]),
        (np.array([0, 32896, 65535], np.uint16), [0, 128, 255]),
        (np.array([0, 32896, 65535], ">u2"), [0, 128, 255]),
        (np.array([-32768, 0, 32767], np.int16), [0, 128, 255]),
        (np.array([False, True]), [0, 255]),
    ],
)
def test_tones(samples, shown):
    assert to_display(samples).tolist() == shown


# --- MetaImage


def meta(path, frames, packed=False, order="False", **fields):
    height, width = frames.shape[1:3]
    data = frames.tobytes()
    header = {
        "ObjectType": "Image", "NDims": "3", "CompressedData": str(packed),
        "DimSize": f"{width} {height} {len(frames)}",
        "BinaryDataByteOrderMSB": order, "ElementSpacing": "0.2 0.3 1", "ElementType": "MET_UCHAR", **fields,
        "ElementDataFile": fields.get("ElementDataFile", "LOCAL"),
    }  # fmt: skip
    text = "".join(f"{key} = {value}\n" for key, value in header.items())
    path.write_bytes(text.encode() + (zlib.compress(data) if packed else data))
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_metaimage(tmp_path, packed):
    frames = np.random.default_rng(0).integers(0, 256, (50, 10, 14), dtype=np.uint8)
    cine = open_cine(meta(tmp_path / "m.mha", frames, packed))
    for request in ([49, 0], [20, 19, 18], [3, 40], [33], [32], [31], [0]):
        np.testing.assert_array_equal(cine[request], frames[request])
    np.testing.assert_array_equal(np.asarray(cine), frames)
    assert cine.spacing_mm == (0.3, 0.2)
    assert cine.fps is None


def test_metaimage_variants(tmp_path, frames):
    deep = frames.astype(">u2") * 257
    cine = open_cine(meta(tmp_path / "d.mha", deep, order="True", ElementType="MET_USHORT"))
    np.testing.assert_array_equal(np.asarray(cine), frames)
    color = np.stack([frames, frames[::-1], 255 - frames], axis=-1)
    cine = open_cine(meta(tmp_path / "c.mha", color, ElementNumberOfChannels="3"))
    np.testing.assert_array_equal(np.asarray(cine), color)
    cine = open_cine(meta(tmp_path / "s.mha", frames, ElementSpacing="1 1 1", UltrasoundImageOrientation="UNA"))
    assert cine.spacing_mm is None
    assert "UNA" in cine.facts.warnings[0]


@pytest.mark.parametrize("packed", [False, True])
def test_metaimage_cut_off(tmp_path, packed):
    frames = np.random.default_rng(0).integers(0, 256, (40, 10, 14), dtype=np.uint8)
    path = meta(tmp_path / "m.mha", frames, packed)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    cine = open_cine(path)
    assert 20 < len(cine) < 30
    np.testing.assert_array_equal(np.asarray(cine), frames[: len(cine)])
    assert "claims 40 frames" in cine.facts.warnings[0]


def test_metaimage_never_opens_another_file(tmp_path, frames):
    (tmp_path / "secret.raw").write_bytes(frames.tobytes())
    for target in ("secret.raw", "/etc/passwd", "LIST"):
        with pytest.raises(CineError, match="another file"):
            open_cine(meta(tmp_path / "m.mhd", frames, ElementDataFile=target))


@pytest.mark.parametrize("sizes", ["0 10 12", "-1 10 12", "a b c", "14 10 99999999999", "1000000 1000000 3", "5"])
def test_metaimage_sizes(tmp_path, frames, sizes):
    with pytest.raises(CineError):
        open_cine(
            meta(tmp_path / "m.mha", frames, DimSize=sizes, CompressedData="False"), limits=Limits(max_frames=1000)
        )


def test_tracked_sweep(test_data):
    """Poses and times are the ones that stand in the text of the header."""
    path = test_data / "us_misc/files/NwirePhantomFreehand.igs.mha"
    cine = open_cine(path)
    assert cine.shape == (97, 616, 820)
    assert set(cine.poses) == {"ProbeToTracker", "ReferenceToTracker", "StylusToTracker"}
    probe = cine.poses["ProbeToTracker"]
    assert probe.shape == (97, 4, 4)
    np.testing.assert_allclose(probe[0, :, 3], [-190.886, -98.0911, -1949.07, 1])
    np.testing.assert_allclose(probe[96, 0], [0.948947, -0.307147, 0.0718355, -188.788])
    np.testing.assert_allclose(
        probe[:, :3, :3] @ probe[:, :3, :3].transpose(0, 2, 1), np.tile(np.eye(3), (97, 1, 1)), atol=1e-4
    )
    assert np.isnan(cine.poses["StylusToTracker"]).all()  # INVALID throughout
    assert cine.times[1] == pytest.approx(345.706100 - 345.627957)
    assert cine.times[96] == pytest.approx(355.783014 - 345.627957)
    content = path.read_bytes()
    start = content.index(b"ElementDataFile = LOCAL\n") + 24
    pixels = np.frombuffer(zlib.decompress(content[start:]), np.uint8).reshape(97, 616, 820)
    np.testing.assert_array_equal(cine[[96, 50, 0]], pixels[[96, 50, 0]])


def test_animated_gif_equals_opencv(test_data):
    path = next((test_data / "pocus_lung_us/videos/convex").glob("*.gif"))
    cine = open_cine(path)
    assert cine.facts.container == "gif"
    with (test_data / "pocus_lung_us" / "labels.csv").open() as rows:
        row = next(row for row in csv.DictReader(rows) if row["file"].endswith(path.name))
    assert (len(cine), cine.fps) == (int(row["frames_decoded"]), pytest.approx(float(row["fps"]), rel=0.01))
    done, animation = cv2.imreadmulti(str(path), flags=cv2.IMREAD_COLOR_RGB)
    assert done
    for n in (0, 7, len(cine) - 1):
        np.testing.assert_array_equal(cine[n], animation[n])
