"""16 of 240 frames of a JPEG DICOM cine: time of pydicom's `iter_pixels(indices=…)` and `pixel_array` over ours.

A colour cine (YBR_FULL_422, as scanners write them) and a grey one; every side opens the file by its path and gives the
frames as a person would see them: RGB, or grey bytes. Of `pixel_array` the goal is a hundred where the work is the same
fifteenth of the frames, so most of it must come from the decoder; a grey frame is mostly Huffman decoding, which all
sides do alike. Last, without a goal: how the colour cine opens and scrubs as DICOM and as MP4.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
from measure import alternate, print_machine, ratio_line, speckle_cine
from pydicom.pixels import iter_pixels

from usssl.cine import open_cine, write_dicom, write_video

FRAMES, SIZE, CHOSEN = 240, (480, 640), 16
CALLS = 5  # in one turn of the quick sides, whose single calls are too short to time beside busy neighbours
GOALS = {"iter_pixels": 5.0, "pixel_array": 100.0}


def main() -> int:
    print_machine(["usssl", "pydicom", "pylibjpeg-libjpeg", "opencv-python-headless"])
    indices = np.random.default_rng(0).permutation(FRAMES)[:CHOSEN].tolist()
    grey = speckle_cine(FRAMES, *SIZE)
    tinted = np.stack([grey, grey // 2 + 40, 255 - grey // 3], axis=-1)
    met = True
    with tempfile.TemporaryDirectory() as folder:
        for name, frames in {"grey": grey, "colour": tinted}.items():
            path = write_dicom(Path(folder, f"{name}.dcm"), frames, 30, quality=90)

            def ours(path=path):
                with open_cine(path) as cine:
                    return cine.read(indices)

            def iterated(path=path):
                return np.stack(list(iter_pixels(path, indices=indices)))

            def whole(path=path):
                return pydicom.dcmread(path).pixel_array[indices]

            for theirs in (iterated(), whole()):
                apart = np.abs(ours().astype(int) - theirs)
                assert apart.mean() < 1, f"another picture: {apart.mean():.2f} levels apart"
            quick = {"ours": repeated(ours), "iter_pixels": repeated(iterated)}
            seconds = alternate({**quick, "pixel_array": whole})
            seconds |= {side: seconds[side] / CALLS for side in quick}
            print(", ".join(f"{side} {1000 * taken:.1f} ms" for side, taken in seconds.items()))
            for peer, goal in GOALS.items():
                met &= ratio_line(f"dicom_{name}_{peer}", seconds[peer] / seconds["ours"], goal)
        print_feel(write_video(Path(folder, "colour.mp4"), tinted, 30), path)
    return 0 if met else 1


def repeated(call: Callable[[], object]) -> Callable[[], None]:
    """Calls `CALLS` times."""

    def calls() -> None:
        for _ in range(CALLS):
            call()

    return calls


def print_feel(mp4: Path, dicom: Path) -> None:
    """What a person at the slider and a loader feel of one cine as MP4 and as DICOM: milliseconds, no goal."""
    rng = np.random.default_rng(1)
    steps = rng.integers(0, FRAMES, 20).tolist()
    starts = rng.integers(0, FRAMES - CHOSEN, 4).tolist()

    def opened(path):
        for _ in steps:
            open_cine(path).close()

    def stepped(cine):
        for step in steps:
            cine.read([step])

    def clipped(cine):
        for start in starts:
            cine.read(range(start, start + CHOSEN))

    with open_cine(mp4) as video, open_cine(dicom) as cine:
        for what, act, sides, count in (
            ("opening", opened, (mp4, dicom), len(steps)),
            ("a random frame", stepped, (video, cine), len(steps)),
            (f"a random clip of {CHOSEN} frames", clipped, (video, cine), len(starts)),
        ):
            taken = alternate({name: partial(act, side) for name, side in zip(("MP4", "DICOM"), sides, strict=True)})
            print(f"{what}: " + ", ".join(f"{side} {1000 * t / count:.1f} ms" for side, t in taken.items()))


if __name__ == "__main__":
    sys.exit(main())
