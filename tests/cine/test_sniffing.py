import os
import shutil

import numpy as np
import pytest

from tests.nobody import as_nobody, needs_users, reachable_folder
from usssl.cine import open_cine, write_dicom, write_video
from usssl.errors import CineError


def reason(path):
    with pytest.raises(CineError) as caught:
        open_cine(path)
    assert caught.value.path == path
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_content_decides_not_the_name(mp4, tmp_path, scene):
    disguised = shutil.copy(mp4, tmp_path / "video.dcm")
    assert open_cine(disguised).facts.container == "mp4"
    dicom = write_dicom(tmp_path / "cine.mp4", scene[:2], 25)
    assert open_cine(dicom).facts.container == "dicom"
    bare = tmp_path / "no_extension"
    shutil.copy(write_video(tmp_path / "a.avi", scene[:2], 25, codec="mjpeg"), bare)
    assert open_cine(bare).facts.container == "avi"


def test_dicom_without_preamble(tmp_path, scene):
    path = write_dicom(tmp_path / "c.dcm", scene[:2], 25, transfer_syntax="native")
    content = path.read_bytes()
    length = int.from_bytes(content[140:144], "little")
    path.write_bytes(content[144 + length :])
    cine = open_cine(path)
    np.testing.assert_array_equal(np.asarray(cine), scene[:2])


def test_reasons(tmp_path):
    text = tmp_path / "notes.dcm"
    text.write_text("Patient was scanned on Monday.\n" * 100)
    assert "no known kind" in reason(text)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    assert reason(empty) == "the file is empty"
    assert "no such file" in reason(tmp_path / "absent.mp4")
    folder = tmp_path / "folder"
    folder.mkdir()
    assert "without images" in reason(folder)
    for size in (1, 3, 8, 131, 132):
        short = tmp_path / f"short{size}"
        short.write_bytes((b"\0" * 128 + b"DICM")[:size])
        assert reason(short)


def test_a_playlist_or_sdp_is_never_opened(tmp_path):
    for name, content in {
        "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        "concat.txt": "ffconcat version 1.0\nfile /etc/passwd\n",
        "s.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    }.items():
        path = tmp_path / name
        path.write_text(content)
        assert "no known kind" in reason(path)


def test_names_that_look_like_addresses_are_names(mp4, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a.mp4", "http:a.mp4", "%03d.mp4", "a b?.mp4"):
        shutil.copy(mp4, name)
        assert len(open_cine(name)) == 40


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "regular file" in reason(tmp_path / "pipe")


@needs_users
def test_no_permission():
    with reachable_folder() as folder:
        closed, open_to_all = folder / "closed.mp4", folder / "open.mp4"
        for path, mode in ((closed, 0), (open_to_all, 0o644)):
            path.write_bytes(b"x")
            path.chmod(mode)
        with as_nobody():
            assert reason(closed) == "permission denied"
            assert "no known kind" in reason(open_to_all)


def test_a_link_that_leads_to_itself(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert reason(tmp_path / "loop")
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "again").symlink_to(folder)
    assert "without images" in reason(folder)
