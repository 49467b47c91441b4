from __future__ import annotations

from pathlib import Path

import pytest

from tests.nobody import as_nobody, needs_users, reachable_folder
from usssl.data.folders import is_sequence, list_folders
from usssl.errors import UsageError


def touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def paths(*folders: Path) -> list[str]:
    return [found.path for found in list_folders(folders).found]


def test_everything_that_may_be_a_cine_is_found_in_order(tmp_path: Path) -> None:
    for name in ("b.mp4", "a/2", "a/1.dcm", ".hidden/x.mp4", ".DS_Store", "a/deep/er/z.avi"):
        touch(tmp_path / name)
    assert paths(tmp_path) == ["b.mp4", "a/1.dcm", "a/2", "a/deep/er/z.avi"]


def test_other_files_are_counted_and_label_files_are_kept(tmp_path: Path) -> None:
    for name in ("a.mp4", "labels.csv", "sub/gaze.csv", "notes.txt", "LICENSE", "x.WAV"):
        touch(tmp_path / name)
    listing = list_folders([tmp_path])
    assert [found.path for found in listing.found] == ["a.mp4"]
    assert listing.labels["labels.csv"] == [tmp_path.resolve() / "labels.csv"]
    assert listing.labels["gaze.csv"] == [tmp_path.resolve() / "sub" / "gaze.csv"]
    assert listing.skipped == {".csv": 2, ".txt": 1, "LICENSE": 1, ".wav": 1}


def test_a_loop_of_folders_ends_and_a_folder_named_twice_counts_once(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "x.mp4")
    (tmp_path / "a" / "back").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a", target_is_directory=True)
    assert paths(tmp_path, tmp_path / "a", tmp_path) == ["a/x.mp4"]


def test_a_link_to_another_place_is_followed_and_a_dangling_one_is_listed(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "x.mp4")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "data" / "gone.mp4").symlink_to(tmp_path / "nothing")
    listing = list_folders([tmp_path / "data"])
    assert [found.path for found in listing.found] == ["link/x.mp4"]
    assert [(path, reason) for _, path, reason in listing.closed] == [("gone.mp4", "no such file or directory")]


@needs_users
def test_a_folder_without_permission_is_listed() -> None:
    with reachable_folder() as folder:
        touch(folder / "shut" / "x.mp4")
        touch(folder / "y.mp4")
        (folder / "shut").chmod(0)
        with as_nobody():
            listing = list_folders([folder])
        (folder / "shut").chmod(0o700)
    assert [(path, reason) for _, path, reason in listing.closed] == [
        ("shut", "the folder cannot be listed: Permission denied")
    ]
    assert [found.path for found in listing.found] == ["y.mp4"]


def test_a_folder_of_numbered_images_is_one_cine(tmp_path: Path) -> None:
    for number in (9, 10, 11, 12):
        touch(tmp_path / "sweep" / f"frame{number}.png", b"x" * number)
    touch(tmp_path / "sweep" / "notes.txt")
    (found,) = list_folders([tmp_path]).found
    assert (found.path, found.size_bytes) == ("sweep", 42)


def test_labelled_images_are_stills_even_if_numbered(tmp_path: Path) -> None:
    for number in range(4):
        touch(tmp_path / "planes" / f"{number}.png")
    touch(tmp_path / "planes" / "labels.csv")
    assert len(list_folders([tmp_path]).found) == 4


@pytest.mark.parametrize(
    ("names", "sequence"),
    [
        (["1.png", "2.png", "3.png"], True),
        (["a_08.jpg", "a_09.jpg", "a_10.jpg"], True),
        (["1.png", "2.png"], False),
        (["1.png", "2.png", "4.png"], False),
        (["a1.png", "a2.png", "b3.png"], False),
        (["1.png", "2.png", "3.jpg"], False),
        (["1.mp4", "2.mp4", "3.mp4"], False),
        (["1.png", "2.png", "3.png", "scan.dcm"], False),
    ],
)
def test_only_images_numbered_without_a_gap_are_a_sequence(names: list[str], sequence: bool) -> None:
    assert is_sequence(names) == sequence


def test_a_missing_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        list_folders([tmp_path / "nowhere"])
