from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from usssl.data.labels import join_frames, join_gaze, join_labels, names_a_person, read_labels
from usssl.errors import UsageError


def catalogue(folder: Path, *files: str) -> dict[str, int]:
    return {str(folder / file): row for row, file in enumerate(files)}


def test_rows_are_joined_by_file_and_others_are_null(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,grade,note\nb.mp4,3,left\n./sub/../a.mp4,2,\nmissing.mp4,1,x\n")
    columns, unmatched = join_labels(
        [read_labels(tmp_path / "labels.csv")], catalogue(tmp_path, "a.mp4", "b.mp4", "c.mp4"), 3
    )
    assert columns["grade"].to_pylist() == [2, 3, None]
    assert columns["note"].to_pylist() == [None, "left", None]
    assert unmatched == 1


def test_two_label_files_share_a_column_in_a_type_that_holds_both(tmp_path: Path) -> None:
    for name, rows in {"one": "a.mp4,1,5\n", "two": "b.mp4,x,2.5\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "labels.csv").write_text("file,grade,size\n" + rows)
    tables = [read_labels(tmp_path / name / "labels.csv") for name in ("one", "two")]
    columns, _ = join_labels(tables, catalogue(tmp_path, "one/a.mp4", "two/b.mp4"), 2)
    assert columns["grade"].to_pylist() == ["1", "x"]
    assert columns["size"].to_pylist() == [5.0, 2.5]


def test_frame_labels_are_as_long_as_the_cine(tmp_path: Path) -> None:
    (tmp_path / "frames.csv").write_text(
        "file,frame,time_s,plane\nb.mp4,2,0.1,femur\nb.mp4,0,0,background\na.mp4,7,0.3,femur\nb.mp4,-1,0,femur\n"
    )
    columns = join_frames(
        [read_labels(tmp_path / "frames.csv", "frames.csv")],
        catalogue(tmp_path, "a.mp4", "b.mp4", "c.mp4"),
        np.array([2, 3, 4]),
    )
    assert columns["plane"].to_pylist() == [None, ["background", None, "femur"], None]
    assert set(columns) == {"plane"}


def test_fixations_come_in_order_of_time(tmp_path: Path) -> None:
    (tmp_path / "gaze.csv").write_text(
        "file,frame,time_s,x,y\nb.mp4,1,0.05,0.5,0.25\nx.mp4,0,0,0,0\na.mp4,0,0,1,0\nb.mp4,0,0,0.75,0.5\n"
    )
    gaze = join_gaze(
        [read_labels(tmp_path / "gaze.csv", "gaze.csv")], catalogue(tmp_path, "a.mp4", "b.mp4", "c.mp4"), 3
    )
    assert gaze is not None
    rows = gaze.to_pylist()
    assert [(one["frame"], one["x"], one["y"]) for one in rows[1]] == [(0, 0.75, 0.5), (1, 0.5, 0.25)]
    assert rows[0] == [{"frame": 0, "time_s": 0.0, "x": 1.0, "y": 0.0}]
    assert rows[2] is None


@pytest.mark.parametrize(
    ("kind", "text", "complaint"),
    [
        ("labels.csv", "path,grade\na.mp4,1\n", "no column 'file'"),
        ("frames.csv", "file,plane\na.mp4,femur\n", "no column 'frame'"),
        ("gaze.csv", "file,frame,time_s,x,y\na.mp4,one,0,0,0\n", "column 'frame' .* not all numbers"),
        ("labels.csv", "", "not a CSV table"),
        ("labels.csv", "file,grade\na.mp4\n", "not a CSV table"),
    ],
)
def test_an_unusable_label_file_is_refused_in_one_sentence(
    tmp_path: Path, kind: str, text: str, complaint: str
) -> None:
    (tmp_path / kind).write_text(text)
    with pytest.raises(UsageError, match=complaint) as refused:
        read_labels(tmp_path / kind, kind)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "column", ["patient_name", "PatientName", "mrn", "birth_date", "patient_id_stated", "last_name"]
)
def test_columns_that_name_a_person_are_known(column: str) -> None:
    assert names_a_person(column)


@pytest.mark.parametrize("column", ["plane", "patient", "name_of_plane", "group", "comment", "admission"])
def test_other_columns_are_not(column: str) -> None:
    assert not names_a_person(column)
