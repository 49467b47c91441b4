"""Random steps of napari's slider through an H.264 cine: our layer over the quicker of napari-video and napari-pyav.

Model time: the viewer without a window, from setting the slider to the sliced frame. 240 frames of 640 × 480, a key
frame every 250. Our layer reads such a cine through in about a second; the ratio counts the steps from then on, when it
holds all frames in bounded memory (`napari_usssl.frames.MEMORY`). `at once` are steps without a pause from the opening
on, while it still reads. The peers keep nothing, so to them both are the same.

The peers are plugins that would show up in every napari of this environment, so they are looked for on the path only:

    pip install --no-deps --target peers napari-video napari-pyav pyvideoreader
    PYTHONPATH=peers python benchmarks/napari.py
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import ROUNDS, print_machine, speckle_cine

# This file is called as the package that it measures; from here on "napari" is the package.
sys.path = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]

from usssl.cine import write_video  # noqa: E402

FRAMES, SIZE, GOP = 240, (480, 640), 250
STEPS = 24
GOAL = 0.1
PEERS = {"napari-video": "napari_video.napari_video", "napari-pyav": "napari_pyav._reader"}


def ours(path: Path):
    from napari_usssl.reader import open_layer

    return open_layer(path)[0]


def peer(module: str) -> Callable[[Path], object] | None:
    import importlib

    try:
        reader = importlib.import_module(module).napari_get_reader
    except ImportError as error:
        print(f"peer {module.split('.')[0]} is left out: {error}")
        return None
    return lambda path: reader(str(path))(str(path))[0][0]


def steps(viewer, numbers) -> list[float]:
    taken = []
    for number in numbers:
        started = time.perf_counter()
        viewer.dims.set_current_step(0, int(number))
        taken.append(1e3 * (time.perf_counter() - started))
    return taken


def one_round(open_array: Callable[[Path], object], path: Path, seed: int) -> dict[str, list[float]]:
    from napari.components import ViewerModel

    numbers = np.random.default_rng(seed).permutation(FRAMES)[:STEPS]
    started = time.perf_counter()
    array = open_array(path)
    viewer = ViewerModel()
    viewer.add_image(array, rgb=True, contrast_limits=(0, 255))
    opened = 1e3 * (time.perf_counter() - started)
    taken = {"open": [opened]}
    if hasattr(array, "cached"):
        taken["at once"] = steps(viewer, np.roll(numbers, 1))
        while array.cached < FRAMES:
            time.sleep(0.01)
    taken["step"] = steps(viewer, numbers)
    if hasattr(array, "cached"):
        array.close()
    viewer.layers.clear()
    return taken


def middle(rounds: list[list[float]], percent: float) -> float:
    """The median over the rounds of a percentile of each."""
    return statistics.median(float(np.percentile(values, percent)) for values in rounds)


def main() -> int:
    warnings.simplefilter("ignore")
    print_machine(["napari", "napari-video", "napari-pyav", "av"])
    sides = {"usssl": ours} | {name: found for name, module in PEERS.items() if (found := peer(module))}
    if len(sides) == 1:
        print("no peer is installed, so there is nothing to compare with; see the top of this file")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(Path(folder) / "cine.mp4", speckle_cine(FRAMES, *SIZE), 25.0, gop=GOP)
        results = {name: {"open": [], "at once": [], "step": []} for name in sides}
        for seed in range(-1, ROUNDS):
            for name, side in sides.items():
                for kind, values in one_round(side, path, abs(seed)).items():
                    if seed >= 0:  # the first round warms imports and the file cache
                        results[name][kind].append(values)
    for name, kinds in results.items():
        line = f"{name}: opening {middle(kinds['open'], 50):.0f} ms"
        for kind in ("at once", "step"):
            if kinds[kind]:
                line += f", {kind} {middle(kinds[kind], 50):.1f} ms (95 %: {middle(kinds[kind], 95):.1f})"
        print(line)
    medians = {name: middle(kinds["step"], 50) for name, kinds in results.items()}
    value = medians.pop("usssl") / min(medians.values())
    print(f"RATIO napari {value:.3f} goal <={GOAL:g}", flush=True)
    return int(value > GOAL)


if __name__ == "__main__":
    sys.exit(main())
