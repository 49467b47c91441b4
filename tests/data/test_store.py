from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from usssl.cine import open_cine, sector, write_video
from usssl.data import index_folders, open_store, prepare, read_catalog
from usssl.data.catalog import write_mapped
from usssl.data.framing import Framing, spread_frames
from usssl.data.workers import run_isolated
from usssl.errors import CatalogError, OutputError, UsageError

SIZE = (24, 40)
WriteCine = Callable[..., Path]


@pytest.fixture
def catalog(tmp_path: Path, write_cine: WriteCine) -> Path:
    folder = tmp_path / "cines"
    for number in range(7):
        write_cine(folder / f"{number}.mkv", seed=number, frames=8 + number)
    (folder / "labels.csv").write_text("file,split\n0.mkv,train\n")
    (folder / "frames.csv").write_text("file,frame,time_s,plane\n0.mkv,1,0.05,femur\n")
    (folder / "gaze.csv").write_text("file,frame,time_s,x,y\n0.mkv,1,0.05,0.5,0.5\n0.mkv,0,0,0.25,0.75\n")
    index_folders(folder, tmp_path / "c.parquet", workers=0)
    return tmp_path / "c.parquet"


def expected(path: Path, size: tuple[int, int]) -> tuple[np.ndarray, sector.Window]:
    """What the store must hold, straight from the cine."""
    with open_cine(path, color="grey") as cine:
        frames = np.asarray(cine)
        box = sector.content_box(cine.read(spread_frames(len(cine))))
        window = sector.crop_window(box, size)
        return sector.resample(frames, window, size), window


def content(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_store_gives_what_decoding_cropping_and_resizing_gives(catalog: Path, tmp_path: Path) -> None:
    prepare(catalog, tmp_path / "store", size=SIZE, workers=1)
    store = open_store(tmp_path / "store", verify=True)
    assert len(store) == 7
    for row, (folder, path) in enumerate(zip(store.table["folder"], store.table["path"], strict=True)):
        frames, window = expected(Path(folder.as_py()) / path.as_py(), SIZE)
        assert np.array_equal(store.read(row, range(len(frames))), frames)
        assert store.window(row) == pytest.approx(window)
        chosen = [3, 0, -1, 3]
        assert np.array_equal(store.read(row, chosen), frames[chosen])


def test_real_ultrasound_is_stored_as_decoding_gives_it(test_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cines"
    folder.mkdir()
    for path in ("us_misc/files/clarius-ocular-short.mp4", "us_misc/files/gastroc_jumping.mp4"):
        (folder / Path(path).name).symlink_to(test_data / path)
    index_folders(folder, tmp_path / "c.parquet", workers=0)
    prepare(tmp_path / "c.parquet", tmp_path / "store", size=(112, 144), workers=2)
    store = open_store(tmp_path / "store")
    for row, path in enumerate(store.table["path"]):
        frames, _ = expected(folder / path.as_py(), (112, 144))
        assert np.array_equal(store.read(row, range(len(frames))), frames)
        assert frames.std() > 10


def test_a_mask_blackens_what_is_drawn_over_the_image(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = np.zeros((12, 240, 320, 3), np.uint8)
    frames[:, 30:220, 40:280] = rng.integers(60, 120, (12, 190, 240, 1))
    frames[:, 100:130, 100:140] = (255, 40, 0)  # colour Doppler
    (tmp_path / "cines").mkdir()
    write_video(tmp_path / "cines" / "a.mkv", frames, 20, codec="ffv1")
    index_folders(tmp_path / "cines", tmp_path / "c.parquet", workers=0)
    for mask in (False, True):
        prepare(tmp_path / "c.parquet", tmp_path / f"store{mask}", size=(120, 160), mask=mask, workers=0)
    plain, masked = (open_store(tmp_path / f"store{mask}") for mask in (False, True))
    assert plain.window(0) == masked.window(0)
    changed = plain.read(0, [5])[0] != masked.read(0, [5])[0]
    x0, y0, x1, y1 = plain.window(0)
    row, column = int((115 - y0) / (y1 - y0) * 120), int((120 - x0) / (x1 - x0) * 160)
    assert masked.read(0, [5])[0, row, column] == 0 != plain.read(0, [5])[0, row, column]
    assert changed.mean() < 0.2


@pytest.fixture
def natural(tmp_path: Path) -> Path:
    """A catalogue of one colour video without loss, and one of grey frames."""
    frames = np.random.default_rng(1).integers(20, 250, (9, 48, 64, 3), dtype=np.uint8)
    frames[..., 2] //= 3
    (tmp_path / "cines").mkdir()
    write_video(tmp_path / "cines" / "colour.mkv", frames, 20, codec="ffv1")
    write_video(tmp_path / "cines" / "grey.mkv", frames[..., 0], 20, codec="ffv1")
    index_folders(tmp_path / "cines", tmp_path / "c.parquet", workers=0)
    return tmp_path / "c.parquet"


def test_a_colour_store_gives_what_decoding_in_colour_gives(natural: Path, tmp_path: Path) -> None:
    report = prepare(natural, tmp_path / "store", size=SIZE, color="rgb", workers=1)
    store = open_store(tmp_path / "store", verify=True)
    assert (store.color, store.frame_shape, store.frames_held, report.frames) == ("rgb", (*SIZE, 3), 18, 18)
    for row, path in enumerate(store.table["path"].to_pylist()):
        with open_cine(tmp_path / "cines" / path, color="rgb") as cine:
            frames = np.asarray(cine)
        planes = [sector.resample(frames[..., n], sector.Window(*store.window(row)), SIZE) for n in range(3)]
        assert np.array_equal(store.frames(row), np.stack(planes, axis=-1))
        assert store.read(row, [3, -1]).shape == (2, *SIZE, 3)
    colour, grey = (store.read(row, [0])[0].astype(int) for row in (0, 1))
    assert colour[..., 2].mean() < 0.5 * colour[..., 0].mean()
    assert np.array_equal(grey[..., 0], grey[..., 2])


def test_grey_is_the_default_and_colours_are_another_store(natural: Path, tmp_path: Path) -> None:
    prepare(natural, tmp_path / "plain", size=SIZE, workers=0)
    prepare(natural, tmp_path / "grey", size=SIZE, color="grey", workers=0)
    assert content(tmp_path / "plain") == content(tmp_path / "grey")
    grey = open_store(tmp_path / "plain")
    assert (grey.color, grey.frame_shape) == ("grey", SIZE)
    again = prepare(natural, tmp_path / "grey", size=SIZE, color="rgb", known=[grey], workers=0)
    assert (again.kept, again.copied, again.decoded) == (False, 0, 2)
    assert open_store(tmp_path / "grey").window(0) == grey.window(0)
    with pytest.raises(UsageError, match="color 'cmyk' is not one of grey, rgb"):
        prepare(natural, tmp_path / "other", size=SIZE, color="cmyk", workers=0)  # type: ignore[arg-type]


def test_a_store_of_older_code_is_a_sentence_and_is_made_again(catalog: Path, tmp_path: Path) -> None:
    prepare(catalog, tmp_path / "store", size=SIZE, workers=0)
    index = tmp_path / "store" / "index.arrow"
    table = open_store(tmp_path / "store").table
    about = json.loads(table.schema.metadata[b"usssl store"])
    del about["law"]  # what stores had no note of at first
    older = table.replace_schema_metadata({"usssl store": json.dumps(about)})
    write_mapped(older, tmp_path / "older.arrow")
    (tmp_path / "older.arrow").replace(index)
    with pytest.raises(CatalogError, match="not a prepared store of this version: make it again") as refused:
        open_store(tmp_path / "store")
    assert "\n" not in str(refused.value)
    report = prepare(catalog, tmp_path / "store", size=SIZE, workers=0)
    assert (report.kept, report.decoded) == (False, 7)
    open_store(tmp_path / "store", verify=True)


def test_a_folder_of_somebody_elses_arrow_file_is_left_alone(catalog: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    write_mapped(read_catalog(catalog).replace_schema_metadata(None), tmp_path / "theirs" / "index.arrow")
    with pytest.raises(CatalogError, match="not a prepared store"):
        prepare(catalog, tmp_path / "theirs", size=SIZE, workers=0)
    assert (tmp_path / "theirs" / "index.arrow").is_file()


def test_a_store_pickles_by_its_path_and_maps_its_frames(catalog: Path, tmp_path: Path) -> None:
    prepare(catalog, tmp_path / "store", size=SIZE, workers=0)
    store = open_store(tmp_path / "store")
    packed = pickle.dumps(store)
    assert len(packed) < 1000
    assert np.array_equal(pickle.loads(packed).read(2, [1, 0]), store.read(2, [1, 0]))
    assert isinstance(store.frames(0).base.base, np.memmap) or isinstance(store.frames(0), np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        store.frames(0)[:] = 0


def test_labels_times_and_fixations_travel_with_the_frames(catalog: Path, tmp_path: Path) -> None:
    prepare(catalog, tmp_path / "store", size=SIZE, workers=0)
    store = open_store(tmp_path / "store")
    assert store.frame_labels(0, "plane") == [None, "femur"] + [None] * 6
    assert store.frame_labels(1, "plane") == [None] * 9
    assert store.table["split"][0].as_py() == "train"
    assert np.allclose(store.times(2), np.arange(10) / 20, atol=2e-3)
    gaze = store.fixations(0)
    assert gaze.frame.tolist() == [0, 1]
    assert gaze.xy.tolist() == [[0.25, 0.75], [0.5, 0.5]]
    x0, y0, x1, y1 = store.window(0)
    expected_xy = [((0.25 * 64 - x0) / (x1 - x0), (0.75 * 48 - y0) / (y1 - y0))]
    assert gaze.window_xy[0].tolist() == pytest.approx(expected_xy[0])
    assert len(store.fixations(3)) == 0
    with pytest.raises(CatalogError, match="no frame labels 'phase'"):
        store.frame_labels(0, "phase")


def test_a_fixation_lies_on_the_same_tissue_in_the_window(tmp_path: Path, write_cine: WriteCine) -> None:
    folder = tmp_path / "cines"
    folder.mkdir()
    frames = np.zeros((3, 120, 200), np.uint8)
    frames[:, 30:110, 20:160] = 90
    frames[:, 60:64, 80:84] = 255  # looked at: its middle is (82, 62)
    write_video(folder / "a.mkv", frames, 20, codec="ffv1")
    (folder / "gaze.csv").write_text(f"file,frame,time_s,x,y\na.mkv,0,0,{82 / 200},{62 / 120}\n")
    index_folders(folder, tmp_path / "c.parquet", workers=0)
    prepare(tmp_path / "c.parquet", tmp_path / "store", size=(64, 96), workers=0)
    store = open_store(tmp_path / "store")
    image = store.read(0, [0])[0].astype(float)
    rows, columns = np.nonzero(image > 150)
    x, y = store.fixations(0).window_xy[0]
    assert x * 96 == pytest.approx(columns.mean() + 0.5, abs=0.6)
    assert y * 64 == pytest.approx(rows.mean() + 0.5, abs=0.6)


@pytest.mark.parametrize("bad", [7, -8])
def test_a_cine_or_frame_that_is_not_there_is_an_index_error(catalog: Path, tmp_path: Path, bad: int) -> None:
    prepare(catalog, tmp_path / "store", size=SIZE, workers=0)
    store = open_store(tmp_path / "store")
    with pytest.raises(IndexError):
        store.read(bad, [0])
    with pytest.raises(IndexError):
        store.read(0, [8])


def test_the_bytes_depend_neither_on_workers_nor_on_shards_being_small(catalog: Path, tmp_path: Path) -> None:
    for workers in (0, 1, 3):
        prepare(catalog, tmp_path / f"store{workers}", size=SIZE, workers=workers, shard_bytes=30_000)
    one, two, three = (content(tmp_path / f"store{workers}") for workers in (0, 1, 3))
    assert one == two == three
    shards = [name for name in one if name.startswith("shard")]
    assert len(shards) > 2
    assert all(len(one[name]) <= 30_000 for name in shards)
    assert set(one) == {"index.arrow", *shards}


def test_duplicates_share_their_frames(catalog: Path, tmp_path: Path) -> None:
    cines = tmp_path / "cines"
    shutil.copy(cines / "2.mkv", cines / "z.mkv")
    index_folders(cines, catalog, workers=0)
    report = prepare(catalog, tmp_path / "store", size=SIZE, workers=0)
    assert (report.cines, report.decoded) == (8, 7)
    store = open_store(tmp_path / "store")
    assert np.array_equal(store.frames(2), store.frames(7))
    assert (tmp_path / "store" / "shard-00000.bin").stat().st_size == report.frames * SIZE[0] * SIZE[1]
    assert prepare(catalog, tmp_path / "store", size=SIZE).frames == report.frames


@pytest.mark.parametrize("killed_after", [0, 3, 6])
def test_a_killed_build_goes_on_and_ends_in_the_same_bytes(catalog: Path, tmp_path: Path, killed_after: int) -> None:
    out = tmp_path / "store"
    code = (
        "import os, signal\n"
        "from usssl.data import prepare\n"
        "from usssl.data.shards import Shards\n"
        "add, count = Shards.add, 0\n"
        "def killed(self, *args):\n"
        "    global count\n"
        f"    if count == {killed_after}: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    count += 1\n"
        "    add(self, *args)\n"
        "Shards.add = killed\n"
        f"prepare({str(catalog)!r}, {str(out)!r}, size={SIZE}, workers=2, shard_bytes=30_000)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=120, stderr=subprocess.DEVNULL)
    assert done.returncode == -signal.SIGKILL
    assert not out.exists()
    journal = tmp_path / "store.partial" / "journal.jsonl"
    with journal.open("a") as lines:
        lines.write('\n{"id": "half a li')
    report = prepare(catalog, out, size=SIZE, workers=1, shard_bytes=30_000)
    assert report.decoded == 7 - killed_after
    prepare(catalog, tmp_path / "whole", size=SIZE, workers=1, shard_bytes=30_000)
    assert content(out) == content(tmp_path / "whole")
    assert not (tmp_path / "store.partial").exists()


def test_a_part_that_was_damaged_meanwhile_is_made_again(catalog: Path, tmp_path: Path) -> None:
    from usssl.data.preparing import _first_rows, store_key
    from usssl.data.shards import Shards

    table = read_catalog(catalog)
    order = list(_first_rows(table))
    shards = Shards(tmp_path / "store.partial", store_key(table, Framing(SIZE)), 1 << 20, order)
    shards.part(order[0]).write_bytes(b"torn")
    frames = b"frames"
    result = {"frames": 8, "bytes": 4, "sha256": hashlib.sha256(frames).hexdigest(), "window": [0, 0, 1, 1]}
    shards.add(order[0], result, None)
    report = prepare(catalog, tmp_path / "store", size=SIZE, workers=0, shard_bytes=1 << 20)
    assert report.decoded == 7
    assert open_store(tmp_path / "store").frames(0).shape == (8, *SIZE)


def test_a_finished_store_is_kept_and_another_is_replaced(catalog: Path, tmp_path: Path) -> None:
    first = prepare(catalog, tmp_path / "store", size=SIZE, workers=0)
    again = prepare(catalog, tmp_path / "store", size=SIZE, workers=0)
    assert (first.kept, again.kept, again.cines, again.frames) == (False, True, 7, first.frames)
    used = pickle.dumps(open_store(tmp_path / "store"))
    other = prepare(catalog, tmp_path / "store", size=(24, 44), workers=0)
    assert (other.kept, other.decoded, open_store(tmp_path / "store").size) == (False, 7, (24, 44))
    with pytest.raises(CatalogError, match="replaced while it was in use"):
        pickle.loads(used)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.parquet", "cines", "store"]


def test_a_folder_that_is_no_store_is_left_alone(catalog: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    with pytest.raises(CatalogError, match="not a prepared store"):
        prepare(catalog, tmp_path / "precious", size=SIZE, workers=0)


def test_new_labels_and_new_cines_cost_only_what_is_new(catalog: Path, tmp_path: Path, write_cine: WriteCine) -> None:
    cines = tmp_path / "cines"
    prepare(catalog, tmp_path / "store", size=SIZE, workers=0)
    (cines / "labels.csv").write_text("file,grade\n6.mkv,5\n")
    (cines / "2.mkv").unlink()
    write_cine(cines / "new.mkv", seed=50)
    index_folders(cines, catalog, workers=0)
    report = prepare(catalog, tmp_path / "store", size=SIZE, workers=0)
    assert (report.cines, report.copied, report.decoded) == (7, 6, 1)
    assert open_store(tmp_path / "store").table["grade"].to_pylist()[-2:] == [5, None]
    prepare(catalog, tmp_path / "fresh", size=SIZE, workers=0)
    assert content(tmp_path / "store") == content(tmp_path / "fresh")


def test_frames_of_a_damaged_store_are_not_copied(catalog: Path, tmp_path: Path) -> None:
    prepare(catalog, tmp_path / "store", size=SIZE, workers=0)
    shard = tmp_path / "store" / "shard-00000.bin"
    shard.write_bytes(bytes(shard.stat().st_size))
    known = [open_store(tmp_path / "store")]
    report = prepare(catalog, tmp_path / "other", size=SIZE, known=known, workers=0)
    assert (report.copied, report.decoded) == (0, 7)


def test_a_disk_that_cannot_be_written_ends_the_run_and_blames_no_cine(catalog: Path, tmp_path: Path) -> None:
    row = read_catalog(catalog).to_pylist()[0]
    item = {
        "folder": row["folder"],
        "path": row["path"],
        "id": row["id"],
        "size": [24, 40],
        "mask": False,
        "color": "grey",
    }
    items = [{**item, "part": str(tmp_path / "no such folder" / "0.bin")}]
    for workers in (0, 1):
        with pytest.raises(OutputError, match=r"cannot write .*0\.bin: No such file"):
            list(run_isolated("usssl.data.part:prepare_cine", items, workers=workers))


def test_part_of_a_table_can_be_prepared(catalog: Path, tmp_path: Path) -> None:
    table = read_catalog(catalog)
    report = prepare(table.filter(pc.greater(table["frames"], 10)), tmp_path / "store", size=SIZE, workers=0)
    assert report.cines == 4
    assert min(open_store(tmp_path / "store").frame_counts) == 11


def test_what_cannot_be_decoded_is_listed_and_the_rest_is_stored(
    catalog: Path, tmp_path: Path, write_cine: WriteCine
) -> None:
    cines = tmp_path / "cines"
    write_cine(cines / "3.mkv", seed=77)
    (cines / "5.mkv").unlink()
    report = prepare(catalog, tmp_path / "store", size=SIZE, workers=1)
    assert (report.cines, report.failed) == (5, 2)
    assert report.failures is not None
    listed = report.failures.read_text()
    assert "it has changed since it was indexed" in listed
    assert "no such file" in listed
    assert open_store(tmp_path / "store").table["path"].to_pylist() == ["0.mkv", "1.mkv", "2.mkv", "4.mkv", "6.mkv"]


def test_nothing_readable_leaves_no_store(catalog: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "cines")
    with pytest.raises(UsageError, match="no cine of the catalogue could be read"):
        prepare(catalog, tmp_path / "store", size=SIZE, workers=0)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_shard_that_is_not_whole_is_found_on_opening(catalog: Path, tmp_path: Path, damage: str) -> None:
    prepare(catalog, tmp_path / "store", size=SIZE, workers=0)
    shard = tmp_path / "store" / "shard-00000.bin"
    if damage == "missing":
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(CatalogError, match=r"shard-00000\.bin (is missing|holds .* instead of)"):
        open_store(tmp_path / "store")


def test_a_flipped_bit_is_found_by_verifying(catalog: Path, tmp_path: Path) -> None:
    prepare(catalog, tmp_path / "store", size=SIZE, workers=0)
    shard = tmp_path / "store" / "shard-00000.bin"
    data = bytearray(shard.read_bytes())
    data[1000] ^= 4
    shard.write_bytes(data)
    open_store(tmp_path / "store")
    with pytest.raises(CatalogError, match="damaged"):
        open_store(tmp_path / "store", verify=True)


def test_a_truncated_index_is_refused(catalog: Path, tmp_path: Path) -> None:
    prepare(catalog, tmp_path / "store", size=SIZE, workers=0)
    index = tmp_path / "store" / "index.arrow"
    data = index.read_bytes()
    for eighth in range(8):
        index.write_bytes(data[: len(data) * eighth // 8])
        with pytest.raises(CatalogError) as refused:
            open_store(tmp_path / "store")
        assert "\n" not in str(refused.value)


def test_places_and_sizes_that_cannot_be_are_sentences(catalog: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write the store"):
        prepare(catalog, tmp_path / "file" / "store", size=SIZE, workers=0)
    with pytest.raises(UsageError, match="size"):
        prepare(catalog, tmp_path / "store", size=(0, 40), workers=0)
    with pytest.raises(CatalogError, match="not a prepared store"):
        open_store(tmp_path)
