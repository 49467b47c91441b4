"""Prediction over a folder of H.264 cines: frames a second over a bare onnxruntime loop on decoded arrays.

The folder run opens, hashes, decodes, finds the window, runs the model and writes the tables; the bare loop only runs
the model, on the same frames in calls of the same size, with onnxruntime's default threads. The model is what `usssl
export` writes for planes: SonoNet-16 at full width, untrained, for its speed does not depend on its weights.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import onnxruntime as ort
from measure import alternate, print_machine, ratio_line, speckle_cine

from usssl.bundle import open_bundle, predict_folder
from usssl.bundle.bundle import FRAMES_PER_CALL
from usssl.cine import open_cine, write_video
from usssl.engine.model_card import CardFacts
from usssl.engine.onnx_export import export_model
from usssl.models import encoders
from usssl.models.deployed import DeployedModel
from usssl.progress import set_quiet
from usssl.tasks.planes import PlaneHead

CINES, FRAMES, SIZE = 6, 32, (240, 320)
MODEL_SIZE, CLASSES = (112, 144), ("abdomen", "femur", "head", "background")
GOAL = 0.85


def write_bundle(folder: Path, example) -> Path:
    encoder = encoders.build("sononet16")
    model = DeployedModel(MODEL_SIZE, [(encoder, PlaneHead(encoder.dim, len(CLASSES), 0.2))])
    card = CardFacts("benchmark", "None.", "Untrained.", "None.", "None.")
    return export_model(
        model, folder, task=["planes"], classes=CLASSES, size=MODEL_SIZE, example_frames=[example], card=card
    )


def main() -> int:
    set_quiet(True)
    print_machine(["onnxruntime-gpu", "onnxruntime", "av", "numpy"])
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        source, out = root / "cines", root / "out"
        source.mkdir()
        for number in range(CINES):
            write_video(source / f"{number}.mp4", speckle_cine(FRAMES, *SIZE, seed=number), 30.0)
        decoded = [open_cine(path, color="grey").read(range(FRAMES)) for path in sorted(source.iterdir())]
        bundle = open_bundle(write_bundle(root / "bundle", decoded[0][:8]), device="cpu")
        options = ort.SessionOptions()
        options.log_severity_level = 3
        session = ort.InferenceSession(bundle.path / "models/model.onnx", options, providers=["CPUExecutionProvider"])

        def bare_loop():
            for frames in decoded:
                for start in range(0, FRAMES, FRAMES_PER_CALL):
                    session.run(["plane_probs", "window"], {"frames": frames[None, start : start + FRAMES_PER_CALL]})

        def folder_run():
            shutil.rmtree(out, ignore_errors=True)
            report = predict_folder(bundle, [source], out)
            assert report.frames == CINES * FRAMES
            assert not report.failed

        seconds = alternate({"folder": folder_run, "bare": bare_loop})
    for side, taken in seconds.items():
        print(f"{side}: {CINES * FRAMES / taken:.0f} frames/s")
    return 0 if ratio_line("predict_folder_over_bare_loop", seconds["bare"] / seconds["folder"], GOAL) else 1


if __name__ == "__main__":
    sys.exit(main())
