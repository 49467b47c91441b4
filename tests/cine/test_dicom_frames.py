"""Where frames lie in encapsulated pixel data, whatever the offset table says of it."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cine.dicom_making import END, dicom, item, save, with_pixel_items
from usssl.cine import dicom_frames, open_cine, write_dicom
from usssl.cine.dicom_frames import encapsulated_frames, native_frames
from usssl.errors import CineError

FRAMES = [b"\xff\xd8\xff" + bytes([n]) * (9 + 2 * n) for n in range(4)]
CLOSED = END + b"\0\0\0\0"


def pieces(*cuts):
    """The four frames as fragments, frame n cut in cuts[n] pieces, and the places of their first items."""
    body, firsts = b"", []
    for frame, count in zip(FRAMES, cuts, strict=True):
        firsts.append(len(body))
        size = -(-len(frame) // count)
        for start in range(0, len(frame), size):
            body += item(frame[start : start + size])
    return body, firsts


def bot(offsets):
    return item(b"".join(struct.pack("<I", offset) for offset in offsets))


def found(content, declared, **how):
    stream = io.BytesIO(b"head" + content)
    table = encapsulated_frames(Path("x"), stream, 4, declared, **how)
    frames = []
    for segments in table.frames:
        frames.append(b"".join(stream.getvalue()[o : o + n] for o, n in segments))
    return frames, table.warnings


@pytest.mark.parametrize("cuts", [(1, 1, 1, 1), (2, 1, 3, 2), (4, 4, 4, 4)])
@pytest.mark.parametrize("how", ["basic", "extended", "neither"])
def test_whole_files(cuts, how):
    body, firsts = pieces(*cuts)
    content = bot(firsts if how == "basic" else []) + body + CLOSED
    frames, notes = found(content, 4, extended_offsets=firsts if how == "extended" else ())
    assert frames == FRAMES
    assert notes == ()


@pytest.mark.parametrize("offsets", [[0, 5, 9, 11], [8, 30, 60, 90], [0, 0, 0, 0], [0, 1 << 31, 1, 2], [30, 20, 10, 0]])
def test_a_lying_offset_table_is_not_believed(offsets):
    body, _ = pieces(2, 1, 3, 2)
    frames, notes = found(bot(offsets) + body + CLOSED, 4)
    assert frames == FRAMES
    assert any("offset table is wrong" in note for note in notes)


def test_a_table_that_misses_frames_yields_to_one_fragment_a_frame():
    body, firsts = pieces(1, 1, 1, 1)
    assert found(bot(firsts[:2]) + body + CLOSED, 4)[0] == FRAMES


def test_header_and_data_disagree():
    body, firsts = pieces(1, 1, 1, 1)
    frames, notes = found(bot(firsts) + body + CLOSED, 6)
    assert frames == FRAMES
    assert notes == ("the header claims 6 frames, the file holds 4",)
    frames, notes = found(bot(firsts) + body + CLOSED, 3)
    assert frames == FRAMES[:3]
    assert "left out" in notes[0]
    frames, notes = found(bot(firsts) + body + CLOSED, None)
    assert frames == FRAMES
    assert "no sensible number" in notes[0]


@pytest.mark.parametrize("cuts", [(1, 1, 1, 1), (3, 2, 3, 2)])
def test_cut_off_anywhere_gives_a_run_of_whole_frames(cuts):
    body, firsts = pieces(*cuts)
    content = bot(firsts) + body + CLOSED
    for length in range(len(bot(firsts)), len(content)):
        frames, notes = found(content[:length], 4)
        assert frames == FRAMES[: len(frames)], length
        assert len(frames) == 4 or notes


def test_one_frame_in_many_fragments():
    data = FRAMES[0] + FRAMES[1]  # a start marker inside one frame, as a thumbnail in it would have
    content = bot([]) + item(data[:9]) + item(FRAMES[0][9:]) + item(FRAMES[1]) + CLOSED
    assert found(content, 1)[0] == [data]


def test_not_items_at_all():
    with pytest.raises(CineError, match="start with an item"):
        found(b"junk and more junk", 4)
    assert found(b"", 4)[0] == []
    assert found(bot([]) + CLOSED, 4)[0] == []


def test_native_frames():
    assert native_frames(10, 100, 110, 25, 4).frames == tuple(((10 + 25 * n, 25),) for n in range(4))
    cut = native_frames(10, 100, 80, 25, 4)
    assert len(cut.frames) == 2
    assert cut.warnings == ("the header claims 4 frames, the file holds 2",)
    assert len(native_frames(10, 1 << 32, 110, 25, 1 << 30).frames) == 4


@pytest.mark.parametrize("syntax", ["native", "rle", "jpeg"])
@pytest.mark.parametrize("declared", [0, -3, 7, 2, 1 << 30])
def test_lying_frame_counts(tmp_path, scene, syntax, declared):
    path = write_dicom(tmp_path / "c.dcm", scene[:5], 25, transfer_syntax=syntax, tags={"NumberOfFrames": declared})
    cine = open_cine(path)
    assert len(cine) == (2 if declared == 2 else 5)
    assert np.abs(np.asarray(cine).astype(int) - scene[: len(cine)]).mean() < 2
    assert cine.facts.warnings
    assert cine.facts.reported_frames == (declared if declared > 0 else None)


def test_a_length_past_the_end_of_the_file(tmp_path, scene):
    path = write_dicom(tmp_path / "c.dcm", scene[:5], 25, transfer_syntax="native")
    content = path.read_bytes()
    place = content.index(b"\xe0\x7f\x10\x00OB\0\0") + 8
    path.write_bytes(content[:place] + b"\xfe\xff\xff\xff" + content[place + 4 :])
    np.testing.assert_array_equal(np.asarray(open_cine(path)), scene[:5])


def test_huge_size_is_refused_before_memory_is_taken(tmp_path):
    ds = dicom(65535, 65535, 1000, "RGB")
    save(tmp_path / "h.dcm", ds, b"\0" * 100)
    with pytest.raises(CineError, match="65535x65535"):
        open_cine(tmp_path / "h.dcm")


def test_coded_size_must_be_the_stated_one(tmp_path, scene):
    """A small header over a huge JPEG, or the other way round, is caught before the decoder runs."""
    import cv2

    coded = cv2.imencode(".jpg", scene[0])[1].tobytes()
    save(tmp_path / "s.dcm", dicom(32, 48, 1), [coded], "1.2.840.10008.1.2.4.50")
    with pytest.raises(CineError, match="coded size is 96x64x1, the header says 48x32x1"):
        open_cine(tmp_path / "s.dcm")[0]


def test_a_jpeg_without_its_end_is_damage_not_a_grey_frame(tmp_path, scene):
    import cv2

    coded = cv2.imencode(".jpg", scene[0])[1].tobytes()
    body = bot([]) + item(coded[: len(coded) // 4 * 2]) + item(coded) + CLOSED
    with_pixel_items(tmp_path / "j.dcm", dicom(64, 96, 2), "1.2.840.10008.1.2.4.50", body)
    cine = open_cine(tmp_path / "j.dcm")
    with pytest.raises(CineError, match="frame 0"):
        cine[0]
    assert np.abs(cine[1].astype(int) - scene[0]).mean() < 3
    assert cine.unreadable_frames() == [0]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=3), st.integers(0, 200), st.booleans())
def test_checking_all_items_at_once_gives_what_walking_from_one_to_the_next_does(changes, cut, extended):
    body, firsts = pieces(1, 1, 1, 1)
    content = bytearray(bot([] if extended else firsts) + body + CLOSED)
    for place, value in changes:
        content[place % len(content)] = value
    content = bytes(content[: len(content) - (cut if cut < 40 else 0)])
    how = {"extended_offsets": firsts} if extended else {}

    def outcome():
        try:
            return found(content, 4, **how)
        except CineError as error:
            return error.reason

    quick = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dicom_frames, "_listed_frames", lambda *_: None)
        assert quick == outcome()


def test_a_whole_file_is_checked_at_once():
    body, firsts = pieces(1, 1, 1, 1)
    content = bot(firsts) + body + CLOSED
    assert dicom_frames._listed_frames(io.BytesIO(content), 0, ()) is not None
    assert dicom_frames._listed_frames(io.BytesIO(content[:-1] + b"\1"), 0, ()) is not None
    assert dicom_frames._listed_frames(io.BytesIO(content[:-1]), 0, ()) is None
    assert dicom_frames._listed_frames(io.BytesIO(content), 0, [*firsts[:3], 1 << 63]) is None
