"""The manifest, the reader and the folder list, and what the plugin imports; no window is opened."""

from __future__ import annotations

import ast
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.napari.conftest import stepped_frames
from usssl.cine import write_video
from usssl.errors import UsageError

PLUGIN = Path(__file__).resolve().parents[2] / "napari_plugin" / "napari_usssl"
PURE = ("clock", "frames", "folder", "layers", "palette", "predicting", "read_ahead", "time_axis", "wording")
ABSENT = ("qtpy", "PySide6", "PyQt6", "napari", "superqt", "torch", "monai", "ignite")
PRIVATE = ("_qt_viewer", "_qt_window", "window._", "viewer._", "napari._", "layer._")


@pytest.fixture(scope="module")
def manifest() -> object:
    npe2 = pytest.importorskip("npe2", reason="npe2 is not installed")
    return npe2.PluginManifest.from_file(PLUGIN / "napari.yaml")


def test_napari_finds_all_that_the_manifest_names(manifest: object) -> None:
    pytest.importorskip("napari", reason="napari is not installed")
    assert manifest.name == "usssl"  # npe2 wants the distribution's name
    if sys.platform.startswith("linux"):
        pytest.importorskip("PySide6", reason="PySide6 is not installed")
    manifest.validate_imports()


def test_the_reader_claims_cines_by_name_and_nothing_else(manifest: object) -> None:
    (reader,) = manifest.contributions.readers
    taken = lambda name: any(fnmatch(name.lower(), pattern) for pattern in reader.filename_patterns)  # noqa: E731
    assert all(taken(name) for name in ("a.mp4", "b.AVI", "IM1.dcm", "sweep.mha"))
    assert not any(taken(name) for name in ("a.png", "a.tif", "a.csv", "a", "a.nii.gz", "a.gif", "a.zarr"))
    assert not reader.accepts_directories


def test_the_reader_takes_files_and_lists_of_files_but_no_folder(video: Path, dicom: Path, tmp_path: Path) -> None:
    pytest.importorskip("napari", reason="napari is not installed")
    from napari_usssl.reader import get_reader

    assert get_reader(str(tmp_path)) is None
    assert get_reader(str(tmp_path / "none.mp4")) is None
    read = get_reader([str(video), str(dicom)])
    layers = read([str(video), str(dicom)])
    assert [data.shape for data, _, _ in layers] == [(60, 48, 64, 3), (20, 48, 64)]
    for data, _, _ in layers:
        data.close()


def test_a_folder_lists_its_cines_in_natural_order(tmp_path: Path) -> None:
    from napari_usssl.folder import cines_in

    for name in ("b10.mp4", "b9.mp4", "sub/a.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_video(tmp_path / name, stepped_frames(4), 20.0)
    (tmp_path / "labels.csv").write_text("file\n")
    assert [str(path.relative_to(tmp_path)) for path in cines_in(tmp_path)] == ["b9.mp4", "b10.mp4", "sub/a.mp4"]
    with pytest.raises(UsageError, match="no folder"):
        cines_in(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no cine"):
        cines_in(tmp_path / "empty")


@pytest.mark.parametrize("broken", [{"folder": "none"}, {"bundle": "none"}, {"bundle": "."}])
def test_review_refuses_what_is_not_there_before_it_opens_a_window(tmp_path: Path, broken: dict[str, str]) -> None:
    from napari_usssl.app import open_window

    with pytest.raises(UsageError, match=r"there is no file or folder|is not a bundle"):
        open_window(**{name: tmp_path / path for name, path in broken.items()})


def test_without_a_display_review_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_usssl.app import open_window

    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux may lack a display")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="there is no display"):
        open_window()


def test_the_pure_modules_need_neither_qt_nor_napari_nor_torch() -> None:
    modules = [f"napari_usssl.{name}" for name in PURE]
    code = (
        "import sys, importlib\n"
        f"for name in {ABSENT!r}: sys.modules[name] = None\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", sorted(PLUGIN.glob("*.py")), ids=lambda path: path.stem)
def test_it_uses_public_napari_only_and_stays_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not [word for word in PRIVATE if word in text]
    assert len(text.splitlines()) < 300
    imported = {
        node.module or ""
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("usssl")
    }
    assert all(name.split(".")[1:2] in ([], ["cine"], ["bundle"], ["errors"]) for name in imported)
