from __future__ import annotations

import base64
import csv
import io
import os
import re
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from pydicom import dcmread

from tests.cine.identified import HIDDEN, write_dicom_file
from tests.cine.screens import NAME, letters_in, scanner_screen, write
from usssl.cine import open_cine, write_dicom
from usssl.cine.deidentify import deidentify_folder
from usssl.cine.deidentify_file import Cleaned
from usssl.cine.deidentify_report import Failure, Report
from usssl.cine.pseudonym import Pseudonyms
from usssl.cine.review_sheet import PER_PAGE, write_review
from usssl.errors import OutputError, UsageError


def write_named_video(path: Path) -> np.ndarray:
    """A video with names in its metadata, its chapters' place, its sound and its pixels; returns the text's pixels."""
    pixels, _, text = scanner_screen(10, seed=3)
    with av.open(str(path), "w") as container:
        container.metadata.update({"title": NAME, "comment": "born 1931-02-28", "artist": "Walpurgis"})
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = pixels.shape[2], pixels.shape[1], "yuv420p"
        stream.metadata["handler_name"] = "Merryweather"
        sound = container.add_stream("aac", rate=16000, layout="mono")
        for frame in pixels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode(None))
        noise = np.random.default_rng(0).normal(0, 0.2, (1, 6400)).astype(np.float32)
        spoken = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
        spoken.sample_rate = 16000
        container.mux(sound.encode(spoken))
        container.mux(sound.encode(None))
    return text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("source")
    nested = source / "Schwarzenberg, Walpurgis"
    nested.mkdir()
    write_dicom_file(nested / "WALPURGIS_1.dcm", "3")
    write_dicom_file(nested / "no extension", "4")
    write_named_video(source / "vanderbilt hortense.mp4")
    (source / "schwarzenberg.dcm").write_text("a text about Schwarzenberg, named .dcm")
    (source / "list of patients.csv").write_text("Schwarzenberg")
    (source / ".hidden").write_text("Schwarzenberg")
    return source


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("key") / "pseudonym.key"


@pytest.fixture(scope="module")
def done(folder: Path, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return deidentify_folder(folder, tmp_path_factory.mktemp("out") / "clean", key=key, workers=2)


def outputs(report: Report, suffix: str) -> list[Path]:
    return sorted(report.out.rglob(f"*{suffix}"))


def test_every_cine_is_written_and_what_failed_is_reported(done: Report, folder: Path) -> None:
    assert (done.written, done.already, done.ignored, done.failed) == (3, 0, 1, 1)
    assert done.exit_code == 1
    assert done.failures[0].path == folder / "schwarzenberg.dcm"
    assert len(outputs(done, ".dcm")) == 2
    assert len(outputs(done, ".mp4")) == 1
    assert not list(done.out.rglob("*.part"))


@pytest.mark.parametrize("secret", HIDDEN)
def test_no_identifier_survives_in_any_file_or_name(done: Report, secret: str) -> None:
    for path in done.out.rglob("*"):
        assert secret not in str(path.relative_to(done.out)).lower()
        if path.is_file():
            content = path.read_bytes().lower()
            for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
                assert secret.encode(encoding) not in content, path.name


def test_no_identifier_is_said_or_logged(
    folder: Path, key: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(0):
        deidentify_folder(folder, tmp_path / "out", key=key, workers=1, guarded=False)
    captured = capfd.readouterr()
    said = (captured.out + captured.err + caplog.text).lower()
    assert "3 written" in said
    assert not [secret for secret in HIDDEN if secret in said]


def test_no_text_pixel_survives_in_dicom_and_the_rest_is_untouched(done: Report) -> None:
    original, fan, text = scanner_screen(8)
    for path in outputs(done, ".dcm"):
        with open_cine(path) as cine:
            pixels = np.asarray(cine)
        assert pixels.shape == original.shape
        assert pixels[:, text].max() == 0
        kept = pixels.max(axis=0) > 0
        assert (kept & fan).sum() > 0.85 * fan.sum()
        assert np.array_equal(pixels[:, kept], original[:, kept])


def test_no_text_pixel_survives_in_video(done: Report) -> None:
    _, fan, text = scanner_screen(10, seed=3)
    with open_cine(outputs(done, ".mp4")[0], color="grey") as cine:
        pixels = np.asarray(cine)
    beside = text & ~cv2.dilate(fan.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    assert beside.any()
    assert pixels[:, beside].max() < 8
    # Text is at 230; what coding the black block's edges leaves stays far below.
    assert pixels[:, text & fan].mean() < 12
    assert pixels[:, fan].mean() > 60


def test_the_video_has_neither_sound_nor_metadata(done: Report) -> None:
    with av.open(str(outputs(done, ".mp4")[0])) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        said = {**container.metadata, **container.streams[0].metadata}
        assert set(said) <= {
            "major_brand",
            "minor_version",
            "compatible_brands",
            "encoder",
            "language",
            "handler_name",
            "vendor_id",
        }
        assert container.streams.video[0].average_rate == 25


def test_instances_of_a_patient_stay_together(done: Report) -> None:
    one, two = (dcmread(path) for path in outputs(done, ".dcm"))
    assert one.PatientID == two.PatientID == outputs(done, ".dcm")[0].parent.name
    assert one.StudyInstanceUID == two.StudyInstanceUID
    assert one.SOPInstanceUID != two.SOPInstanceUID
    assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
    assert "SourceApplicationEntityTitle" not in one.file_meta
    assert (one.BurnedInAnnotation, one.PatientIdentityRemoved) == ("NO", "YES")
    assert one.file_meta.TransferSyntaxUID.name == "RLE Lossless"


def test_a_file_whose_pixels_are_not_surely_clean_claims_nothing(key: Path, tmp_path: Path) -> None:
    """A still, and a cine in which nothing moves; the original's own NO is not to be relied on either."""
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    moving = scanner_screen(6)[0]
    write(moving, "DOE JOHN", (190, 150), 255)  # in no ink of the text beside the image
    for name, frames in {"moving": moving, "still": moving[:1], "frozen": np.repeat(moving[:1], 6, axis=0)}.items():
        write_dicom(source / f"{name}.dcm", frames, 25, tags={"BurnedInAnnotation": "NO", "PatientID": name})
    write_dicom(source / "admits.dcm", moving[:1], 25, tags={"BurnedInAnnotation": "YES", "PatientID": "admits"})
    report = deidentify_folder(source, out, key=key, workers=1, guarded=False, keep_doubtful=True)
    assert (report.written, report.held_back, report.exit_code) == (4, 0, 0)
    pseudonyms = Pseudonyms.from_file(key)
    claims = {}
    for name in ("moving", "still", "frozen", "admits"):
        (path,) = (out / (pseudonyms.patient(name, "", "", "") or "")).glob("*.dcm")
        clean = dcmread(path)
        codes = [item.CodeValue for item in clean.DeidentificationMethodCodeSequence]
        claims[name] = (clean.get("BurnedInAnnotation"), clean.PatientIdentityRemoved, codes)
    assert claims == {
        "moving": ("NO", "YES", ["113100", "113101"]),
        "still": (None, "NO", ["113100"]),
        "frozen": (None, "NO", ["113100"]),
        "admits": ("YES", "NO", ["113100"]),
    }
    assert report.unsearched == 3
    with (out / "look.csv").open(encoding="utf-8") as stream:
        listed = {row["file"] for row in csv.DictReader(stream)}
    clean_folder = out / (pseudonyms.patient("moving", "", "", "") or "")
    assert listed == {path.relative_to(out).as_posix() for path in out.rglob("*.dcm") if path.parent != clean_folder}


@pytest.mark.parametrize("trust_search", [False, True])
def test_a_still_whose_text_is_all_removed_claims_clean_pixels_where_asked_to(
    key: Path, tmp_path: Path, trust_search: bool
) -> None:
    """Its text is in the ink of the text beside the image, which is found to the pixel, and no other mark is there."""
    frames, _, text = scanner_screen(1)
    (tmp_path / "source").mkdir()
    write_dicom(tmp_path / "source" / "still.dcm", frames, 25, tags={"BurnedInAnnotation": "YES"})
    settings = {"key": key, "workers": 1, "guarded": False, "trust_search": trust_search, "keep_doubtful": True}
    report = deidentify_folder(tmp_path / "source", tmp_path / "out", **settings)
    assert report.unsearched == (0 if trust_search else 1)
    (path,) = outputs(report, ".dcm")
    assert dcmread(path).BurnedInAnnotation == ("NO" if trust_search else "YES")
    with open_cine(path) as cine:
        assert np.asarray(cine)[:, text].max() == 0


def test_thumbnails_show_the_image_and_no_letter_of_the_text(done: Report) -> None:
    page = done.review.read_text(encoding="utf-8")
    coded = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(coded) == 6
    assert not re.search(r'(src|href)="(?!data:)', page)
    for thumbnail in coded:
        shown = cv2.imdecode(np.frombuffer(base64.b64decode(thumbnail), np.uint8), cv2.IMREAD_GRAYSCALE)
        _, fan, text = scanner_screen(1)
        assert letters_in(shown, text) < 0.35
        inner = cv2.erode(cv2.resize(fan.astype(np.uint8), shown.shape[::-1]), np.ones((9, 9), np.uint8)) > 0
        assert shown[inner].mean() > 40


def test_the_original_is_shown_only_when_asked_for(folder: Path, key: Path, tmp_path: Path) -> None:
    report = deidentify_folder(folder, tmp_path / "out", key=key, workers=1, show_original=True, guarded=False)
    page = report.review.read_text(encoding="utf-8")
    assert "shows the originals" in page
    first = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)[0]
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(first), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert shown[:10].max() > 120  # the header bar's letters


def test_a_second_call_finds_everything_done(done: Report, folder: Path, key: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in outputs(done, ".dcm")}
    again = deidentify_folder(folder, done.out, key=key, workers=2)
    assert (again.written, again.already, again.failed) == (0, 3, 1)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_call_that_was_stopped_picks_up(
    folder: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import usssl.cine.deidentify as module

    calls = []
    real = module.clean_file

    def stopped(*arguments: object, **options: object) -> Cleaned:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "clean_file", stopped)
    with pytest.raises(KeyboardInterrupt):
        deidentify_folder(folder, tmp_path / "out", key=key, workers=1, guarded=False)
    assert not list((tmp_path / "out").rglob("*.part"))
    monkeypatch.setattr(module, "clean_file", real)
    report = deidentify_folder(folder, tmp_path / "out", key=key, workers=1, guarded=False)
    assert report.already >= 1
    assert report.written + report.already == 3


def test_a_file_that_cannot_be_finished_leaves_nothing_behind(
    folder: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import usssl.cine.deidentify_file as module

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no room for Schwarzenberg 4711")

    monkeypatch.setattr(module, "set_pixels", broken)
    report = deidentify_folder(folder / "Schwarzenberg, Walpurgis", tmp_path / "out", key=key, workers=1, guarded=False)
    assert report.failed == 2
    assert not list((tmp_path / "out").rglob("*.dcm")) + list((tmp_path / "out").rglob("*.part"))
    with (tmp_path / "out" / "failures.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["number"] for row in rows] == ["1", "2"]
    assert "RuntimeError" in report.failures[0].reason
    assert "schwarzenberg" not in (tmp_path / "out" / "failures.csv").read_text(encoding="utf-8").lower()


def test_what_a_killed_call_left_is_removed(done: Report, folder: Path, key: Path) -> None:
    stale, fresh = done.out / "UNKNOWN" / ".a.mp4.x.part", done.out / "UNKNOWN" / ".b.mp4.x.part"
    for path in (stale, fresh):
        path.write_bytes(b"half")
    os.utime(stale, (0, 0))
    deidentify_folder(folder, done.out, key=key, guarded=False)
    assert not stale.exists()
    assert fresh.exists()
    fresh.unlink()


def test_reasons_in_public_quote_nothing() -> None:
    failure = Failure(
        Path("x"), 1, "it is damaged (ValueError: 'Schwarzenberg' at 19610317); MRN-8812734 \"Walpurgis\""
    )
    assert not [secret for secret in HIDDEN if secret in failure.public_reason.lower()]
    assert failure.public_reason.startswith("it is damaged")


def test_impossible_calls_are_refused_in_one_sentence(folder: Path, key: Path, done: Report, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        deidentify_folder(tmp_path / "missing", tmp_path / "out", key=key)
    with pytest.raises(UsageError, match="name another"):
        deidentify_folder(folder, folder, key=key)
    with pytest.raises(UsageError, match="elsewhere"):
        deidentify_folder(folder, tmp_path / "out", key=tmp_path / "out" / "k")
    with pytest.raises(OutputError, match="another key"):
        deidentify_folder(folder, done.out, key=tmp_path / "other.key")
    (tmp_path / "empty").mkdir()
    doubtful = deidentify_folder(tmp_path / "empty", tmp_path / "doubtful", key=key, keep_doubtful=True).out
    with pytest.raises(OutputError, match="text may remain"):
        deidentify_folder(folder, doubtful, key=key)


def test_an_output_within_the_folder_is_not_read_again(folder: Path, key: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    write_dicom_file(source / "a.dcm", "3", frames=4)
    first = deidentify_folder(source, source / "clean", key=key, workers=1, guarded=False)
    second = deidentify_folder(source, source / "clean", key=key, workers=1, guarded=False)
    assert (first.written, second.written, second.already) == (1, 0, 1)


def test_the_review_sheet_is_cut_into_pages_and_what_wants_a_look_comes_first(tmp_path: Path) -> None:
    cines = [Cleaned(f"{n:04d}", f"P/{n:04d}.dcm", 1 + n % 2, 0.5, 0.0, n % 7 != 0, "AA==", "AA==") for n in range(450)]
    (tmp_path / "review-9.html").write_text("of an earlier, longer run")
    first = write_review(tmp_path, cines)
    assert sorted(path.name for path in tmp_path.glob("*.html")) == ["review-2.html", "review-3.html", "review.html"]
    page = first.read_text(encoding="utf-8")
    assert page.count("<figure") == PER_PAGE
    assert page.count('class="look"') == sum(n % 7 == 0 for n in range(450))
    assert 'href="review-3.html"' in page
    assert io.StringIO(page).readline() == "<!doctype html>\n"


def test_every_real_dicom_file_is_written_or_listed(test_data: Path, key: Path, tmp_path: Path) -> None:
    source = test_data / "dicom_us" / "files"
    report = deidentify_folder(source, tmp_path / "out", key=key, workers=2, guarded=False, keep_doubtful=True)
    assert (report.written, report.held_back) == (19, 0)
    assert report.failed == 0, [failure.reason for failure in report.failures]
    pseudonyms = Pseudonyms.from_file(key)
    clean = {dataset.SOPInstanceUID: dataset for dataset in map(dcmread, outputs(report, ".dcm"))}
    searched = 0
    for path in sorted(source.iterdir()):
        original = dcmread(path, stop_before_pixels=True)
        dataset = clean[pseudonyms.uid(original.SOPInstanceUID)] if "SOPInstanceUID" in original else None
        if dataset is None:
            continue
        assert dataset.pixel_array.any()
        stated = " ".join(str(one.value) for one in dataset.iterall() if one.VR not in ("SQ", "OB")).lower()
        for keyword in ("PatientName", "PatientID", "ReferringPhysicianName", "InstitutionName"):
            for word in re.split(r"[\^ =*]+", str(original.get(keyword) or "").lower()):
                if len(word) > 3:
                    searched += 1
                    assert word not in stated, f"{word} of {path.name}"
    assert searched > 10
