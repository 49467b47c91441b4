"""DICOM files by other writers, which pydicom brings along, against pydicom's own decoders."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from usssl.cine import open_cine

# pydicom brings these along; every one is decoded by pydicom itself, too. Rounding of YCbCr and of the lossy inverse
# transform may differ by the levels given.
FOREIGN = {
    "ExplVR_BigEnd.dcm": 0, "GDCMJ2K_TextGBR.dcm": 0, "JPEGLSNearLossless_08.dcm": 0,
    "SC_jpeg_no_color_transform.dcm": 1, "SC_jpeg_no_color_transform_2.dcm": 1, "SC_rgb_dcmtk_+eb+cr.dcm": 1,
    "SC_rgb_dcmtk_+eb+cy+n1.dcm": 2, "SC_rgb_dcmtk_+eb+cy+np.dcm": 2, "SC_rgb_dcmtk_+eb+cy+s2.dcm": 2,
    "SC_rgb_dcmtk_+eb+cy+s4.dcm": 2, "SC_rgb_gdcm_KY.dcm": 0, "SC_rgb_jls_lossy_line.dcm": 0,
    "SC_rgb_jls_lossy_sample.dcm": 0, "SC_rgb_jpeg.dcm": 1, "SC_rgb_jpeg_app14_dcmd.dcm": 1,
    "SC_rgb_jpeg_dcmd.dcm": 1, "SC_rgb_jpeg_gdcm.dcm": 0, "SC_rgb_jpeg_lossy_gdcm.dcm": 2, "SC_rgb_rle.dcm": 0,
    "SC_rgb_rle_2frame.dcm": 0, "SC_rgb_small_odd.dcm": 0, "SC_rgb_small_odd_big_endian.dcm": 0,
    "SC_rgb_small_odd_jpeg.dcm": 2, "SC_ybr_full_422_uncompressed.dcm": 1, "examples_ybr_color.dcm": 3,
    "examples_jpeg2k.dcm": 0, "image_dfl.dcm": 0,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_other_writers_equal_an_independent_decoder(name):
    file = Path(pydicom.__file__).parent / "data" / "test_files" / name
    if not file.is_file():
        pytest.skip("this pydicom does not bring the file along")
    shown = np.asarray(open_cine(file)).astype(int)
    expected = pydicom.dcmread(file).pixel_array.reshape(shown.shape)
    assert np.abs(shown - expected).max() <= FOREIGN[name]


@pytest.mark.filterwarnings("ignore")
def test_extended_jpeg_of_12_bits(tmp_path):
    """JPEG extended, padded with FF: through the whole stored range where there is no window."""
    file = Path(pydicom.__file__).parent / "data" / "test_files" / "JPGExtended.dcm"
    ds = pydicom.dcmread(file)
    for keyword in ("WindowCenter", "WindowWidth"):
        if keyword in ds:
            del ds[keyword]
    ds.save_as(tmp_path / "c.dcm")
    shown = open_cine(tmp_path / "c.dcm")[0]
    stored = ds.pixel_array
    assert stored.max() > 255
    lowest, highest = (-2048, 2047) if ds.PixelRepresentation else (0, 4095)
    np.testing.assert_array_equal(shown, np.rint((stored.astype(float) - lowest) * 255 / (highest - lowest)))
