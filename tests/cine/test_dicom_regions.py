import pytest
from pydicom.dataset import Dataset

from usssl.cine import Region, open_cine, write_dicom
from usssl.cine.dicom_regions import pixel_spacing, read_regions


def region(box, spatial=1, data=1, units=(3, 3), delta=(0.02, 0.03)):
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType = spatial, data
    item.RegionLocationMinX0, item.RegionLocationMinY0, item.RegionLocationMaxX1, item.RegionLocationMaxY1 = box
    item.PhysicalUnitsXDirection, item.PhysicalUnitsYDirection = units
    item.PhysicalDeltaX, item.PhysicalDeltaY = delta
    return item


def header(*items, **tags):
    ds = Dataset()
    ds.SequenceOfUltrasoundRegions = list(items)
    for keyword, value in tags.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize(
    ("spatial", "data", "kind"),
    [(1, 1, "b_mode"), (1, 2, "color_flow"), (2, 1, "m_mode"), (2, 2, "m_mode"), (3, 3, "pw_doppler"), (3, 4,
    "cw_doppler"),
     (3, 6, "doppler_trace"), (4, 10, "ecg"), (4, 11, "pulse"), (5, 13, "gray_bar"), (5, 14, "color_bar"), (0, 0,
     "other"), (9, 99, "other"), (3, 1, "other")],
)  # fmt: skip
def test_kinds(spatial, data, kind):
    assert read_regions(header(region((0, 0, 9, 9), spatial, data)), 20, 20)[0].kind == kind


@pytest.mark.parametrize(
    ("stored", "box", "inside"),
    [
        ((2, 3, 7, 8), (2, 3, 8, 9), True),
        ((0, 0, 19, 9), (0, 0, 20, 10), True),  # the last pixel, as the standard wants it
        ((0, 0, 20, 10), (0, 0, 20, 10), True),  # the one after it, as some write it
        ((0, 0, 40, 5), (0, 0, 20, 6), False),
        ((30, 2, 40, 5), (20, 2, 20, 6), False),
        ((7, 3, 2, 8), (7, 3, 3, 9), False),
    ],
)
def test_boxes(stored, box, inside):
    found = read_regions(header(region(stored)), 10, 20)[0]
    assert (found.box, found.inside) == (box, inside)


def test_spacing_is_row_then_column_in_mm():
    ds = header(region((0, 0, 9, 9), delta=(0.02, -0.03)))
    assert pixel_spacing(ds, read_regions(ds, 20, 20))[0] == pytest.approx((0.3, 0.2))


def test_spacing_of_the_largest_image_region():
    ds = header(
        region((0, 0, 3, 3), delta=(0.05, 0.05)),
        region((0, 4, 15, 19)),
        region((0, 0, 19, 19), 3, 3, (4, 7), (0.001, 1.5)),
    )
    spacing, notes = pixel_spacing(ds, read_regions(ds, 20, 20))
    assert spacing == pytest.approx((0.3, 0.2))
    assert any("differ" in note for note in notes)


def test_doppler_alone_gives_no_spacing():
    ds = header(region((0, 0, 19, 19), 3, 3, (4, 7), (0.001, 1.5)))
    found = read_regions(ds, 20, 20)
    assert (found[0].units, found[0].spacing_mm) == (("s", "cm/s"), None)
    assert pixel_spacing(ds, found)[0] is None


def test_pixel_spacing_stands_in():
    assert pixel_spacing(header(PixelSpacing=[0.4, 0.5]), ())[0] == (0.4, 0.5)
    assert pixel_spacing(header(PixelSpacing=[0.0, 0.5]), ())[0] is None
    assert pixel_spacing(header(PixelSpacing=["0.4"]), ())[0] is None


def test_incomplete_items_are_passed_over():
    broken = Dataset()
    broken.RegionSpatialFormat = 1
    assert read_regions(header(broken, region((0, 0, 9, 9))), 20, 20)[0].kind == "b_mode"
    assert read_regions(Dataset(), 20, 20) == ()


def test_regions_written_are_read(tmp_path, scene):
    regions = (
        Region("b_mode", (0, 8, 60, 64), (0.01, 0.02), ("cm", "cm")),
        Region("ecg", (60, 0, 96, 64), (0.004, 1.0), ("s", "none")),
    )
    cine = open_cine(write_dicom(tmp_path / "r.dcm", scene[:2], 20, regions=regions))
    assert cine.regions == regions
    assert cine.spacing_mm == pytest.approx((0.2, 0.1))
