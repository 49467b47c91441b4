import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_windowing

from tests.cine.dicom_making import dicom, save
from usssl.cine import open_cine
from usssl.cine.dicom_display import window_level


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("center", "width"), [(2048, 4096), (100, 50), (1000.5, 333.25), (40, 1)])
def test_windows_equal_pydicoms(function, center, width):
    ds = Dataset()
    ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = center, width, function
    ds.BitsStored, ds.PixelRepresentation, ds.PhotometricInterpretation = 12, 0, "MONOCHROME2"
    values = np.arange(4096, dtype=np.uint16)
    expected = apply_windowing(values, ds) / 4095
    np.testing.assert_allclose(window_level(values.astype(float), center, width, function), expected, atol=1e-9)


def deep(path, values, photometric="MONOCHROME2", **tags):
    values = np.asarray(values)
    signed = values.dtype.kind == "i"
    ds = dicom(
        1, len(values), 1, photometric, BitsAllocated=16, BitsStored=12, HighBit=11, PixelRepresentation=int(signed)
    )
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    save(path, ds, values.astype("<i2" if signed else "<u2").tobytes())
    return open_cine(path)[0, 0].tolist()


def test_twelve_bits(tmp_path):
    path = tmp_path / "d.dcm"
    values = np.array([0, 1000, 2000, 4095], np.uint16)
    assert deep(path, values) == [0, 62, 125, 255]
    # LINEAR, by hand: ((x - (c - 0.5)) / (w - 1) + 0.5) * 255 for c = 1500, w = 1001
    assert deep(path, values, WindowCenter=1500, WindowWidth=1001) == [0, 0, 255, 255]
    assert deep(path, np.array([1250, 1500], np.uint16), WindowCenter=1500, WindowWidth=1001) == [64, 128]
    assert deep(path, values, WindowCenter=[2000, 10], WindowWidth=[8000, 10])[1:3] == [96, 128]
    assert deep(path, values, "MONOCHROME1") == [255, 193, 130, 0]
    assert deep(path, values, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=1000, WindowWidth=2001)[:3] == [
        0,
        128,
        255,
    ]


def test_signed_samples(tmp_path):
    values = np.array([-2048, -1, 0, 2047], np.int16)
    assert deep(tmp_path / "s.dcm", values) == [0, 127, 128, 255]


def test_bits_above_the_stored_ones_do_not_count(tmp_path):
    """Old writers keep overlay bits there (retired), which must not reach the picture."""
    values = np.array([0x0000, 0xF000, 0x8FFF, 0x0FFF], np.uint16)
    assert deep(tmp_path / "o.dcm", values) == [0, 0, 255, 255]


def test_voi_lut(tmp_path):
    lut = Dataset()
    lut.LUTDescriptor, lut.LUTData = [4, 0, 16], [0, 65535, 32768, 257]
    lut["LUTDescriptor"].VR = lut["LUTData"].VR = "US"
    shown = deep(tmp_path / "v.dcm", np.array([0, 1, 2, 3, 4000], np.uint16), VOILUTSequence=[lut])
    assert shown == [0, 255, 128, 1, 1]


def test_eight_bits_are_shown_as_they_are_stored(tmp_path):
    values = np.arange(256, dtype=np.uint8)
    save(tmp_path / "e.dcm", dicom(16, 16, 1, WindowCenter=40, WindowWidth=20), values.tobytes())
    assert open_cine(tmp_path / "e.dcm")[0].ravel().tolist() == values.tolist()


@pytest.mark.parametrize("bits", [8, 16])
def test_palette_by_hand(tmp_path, bits):
    ds = dicom(2, 3, 1, "PALETTE COLOR")
    colors = {"Red": [10, 20, 30], "Green": [40, 50, 60], "Blue": [70, 80, 90]}
    for name, table in colors.items():
        setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [3, 5, bits])
        words = np.array(table, "<u2") << (8 if bits == 16 else 0)
        data = words.astype("<u2").tobytes() if bits == 16 else bytes(table) + b"\0"
        setattr(ds, f"{name}PaletteColorLookupTableData", data)
        ds[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
    save(tmp_path / "p.dcm", ds, bytes([0, 5, 6, 7, 8, 255]))
    shown = open_cine(tmp_path / "p.dcm")[0]
    first, last = [10, 40, 70], [30, 60, 90]  # below and above the table its ends count (C.7.6.3.1.5)
    assert shown.tolist() == [[first, first, [20, 50, 80]], [last, last, last]]
