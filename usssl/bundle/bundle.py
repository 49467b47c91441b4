"""Opens a bundle and runs it on a cine."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from usssl.bundle.metadata import BundleMetadata, read_metadata
from usssl.bundle.prediction import Prediction, PredictionStoppedError
from usssl.bundle.session import FIXED_WINDOW, FRAMES, WINDOW, Session, read_model
from usssl.bundle.stream import FrameArray, Joined, decode, feed, frames_at_once, held, pieces, spread
from usssl.errors import BundleError, UsageError
from usssl.progress import say

FRAMES_PER_CALL = 32
# As many as the prepared store of training looks at (`usssl.data.window`), so that both find the same window.
WINDOW_FRAMES = 32
_PER_FRAME = ("plane_probs", "saliency", "embedding")


def open_bundle(path: str | Path, *, device: str = "auto", threads: int | None = None) -> Bundle:
    """Opens a bundle after checking it as a whole: metadata, hash, graph.

    Args:
        path: the folder that `usssl export` wrote.
        device: `auto` (a GPU if one really works), `cpu` or `cuda`.
        threads: cores that one call of the model may use; all by default.

    Raises:
        BundleError: the folder is missing, is no bundle, is damaged, or holds a model that does not fit or run.
        UsageError: an unknown device, or `cuda` where CUDA does not work.
    """
    folder = Path(path)
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise BundleError(f"the bundle {folder} {what}; give a folder that `usssl export` wrote")
    metadata = read_metadata(folder)
    session = Session(read_model(folder, metadata), metadata, device=device, threads=threads)
    if session.remark:
        say(session.remark)
    return Bundle(path=folder, metadata=metadata, session=session)


@dataclass(frozen=True, eq=False)
class Bundle:
    """An exported model, ready to run.

    Attributes:
        path: its folder.
        metadata: what `configs/metadata.json` says.
        session: the ONNX Runtime session.
    """

    path: Path
    metadata: BundleMetadata
    session: Session

    @property
    def task(self) -> tuple[str, ...]:
        """The tasks it does, such as ("planes", "saliency")."""
        return self.metadata.usssl.task

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of its classes."""
        return self.metadata.usssl.classes

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs a prediction can have: some of plane_probs, saliency, embedding, cine_probs."""
        return tuple(name for name in (*_PER_FRAME, "cine_probs") if name in self.session.outputs)

    def predict(
        self,
        cine: FrameArray,
        *,
        outputs: Collection[str] | None = None,
        progress: Callable[[int, int], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
        batch_frames: int = FRAMES_PER_CALL,
    ) -> Prediction:
        """Runs the model over a whole cine, a few frames at a time; memory does not grow with its length.

        Args:
            cine: a `Cine`, or a uint8 array (T, H, W) or (T, H, W, 3); RGB is turned to grey for a grey model.
            outputs: those wanted of `Bundle.outputs`; all by default. What is not asked for is not computed.
            progress: called with (frames done, frames in all) after each call of the model.
            should_stop: asked before each part of the work; True ends the work.
            batch_frames: the most frames in one call of the model.

        Raises:
            UsageError: the cine is empty or not of that shape and type, or the bundle lacks an output asked for.
            BundleError: the model fails, or gives outputs of the wrong shape.
            CineError: the cine cannot be decoded.
            PredictionStoppedError: `should_stop` said so.
        """
        wanted = self._wanted(outputs)
        total = _check_cine(cine)
        clip = self.metadata.usssl.clip
        plan = pieces(total, clip.frames, clip.stride, frames_at_once(cine.shape, batch_frames))

        def stop_if_asked() -> None:
            if should_stop is not None and should_stop():
                raise PredictionStoppedError("stopped before the end of the cine, as asked")

        source = held(cine, self.session.colour, stop_if_asked)
        feeds: dict[str, Any] = {}
        if self.session.takes_window:
            feeds[FIXED_WINDOW] = self._find_window(source, total)
        joined = {name: Joined(total, overlap=clip.frames > 1) for name in wanted if name in _PER_FRAME}
        cine_probs: list[Any] = []
        window: Any = None
        for piece, frames in feed(source, plan, self.session.colour):
            stop_if_asked()
            values = self.session.run([*wanted, WINDOW], {FRAMES: frames, **feeds})
            self._check_shapes(values, piece.shape)
            window = values[WINDOW][0] if window is None else window
            for name, result in joined.items():
                result.add(piece, values[name])
            if "cine_probs" in wanted:
                cine_probs.append((piece.size, values["cine_probs"].mean(axis=0)))
            if progress is not None:
                progress(int(piece.max()) + 1, total)
        x0, y0, x1, y1 = (float(value) for value in window)
        arrays = {name: result.result() for name, result in joined.items()}
        if cine_probs:
            weights, rows = zip(*cine_probs, strict=True)
            arrays["cine_probs"] = np.average(np.stack(rows), axis=0, weights=weights).astype(np.float32)
        return Prediction(times=_times(cine, total), classes=self.classes, window=(x0, y0, x1, y1), **arrays)

    def _wanted(self, outputs: Collection[str] | None) -> list[str]:
        if outputs is None:
            return list(self.outputs)
        for name in outputs:
            if name not in self.outputs:
                raise UsageError(f"the bundle {self.path} gives no {name}; it gives {', '.join(self.outputs)}")
        return [name for name in self.outputs if name in outputs]

    def _find_window(self, cine: FrameArray, total: int) -> Any:
        """The window that the graph itself finds on frames spread over the whole cine, (1, 4).

        A call of the model sees a few frames, and would crop each few to its own window.
        """
        chosen = spread(total, WINDOW_FRAMES)
        frames = np.empty((len(chosen), *cine.shape[1:3], *((3,) if self.session.colour else ())), np.uint8)
        for place, frame in enumerate(chosen):
            frames[place] = decode(cine, frame, frame + 1, self.session.colour)[0]
        return self.session.run([WINDOW], {FRAMES: frames[None]})[WINDOW]

    def _check_shapes(self, values: dict[str, Any], shape: tuple[int, ...]) -> None:
        """Refuses outputs that do not fit the frames given or the classes named."""
        classes = len(self.classes)
        for name, value in values.items():
            if name == WINDOW:
                good = value.shape == (shape[0], 4)
            elif name == "cine_probs":
                good = value.shape == (shape[0], classes)
            else:
                good = value.shape[:2] == shape and (name != "plane_probs" or value.shape[2:] == (classes,))
            if not good:
                raise BundleError(
                    f"the model of {self.path} gives {name} of shape {value.shape} for (batch, time) {shape} and "
                    f"{classes} classes; export the bundle again"
                )


def _check_cine(cine: FrameArray) -> int:
    shape = tuple(cine.shape)
    grey = len(shape) == 3
    if not (grey or (len(shape) == 4 and shape[3] == 3)) or getattr(cine, "dtype", np.uint8) != np.uint8:
        raise UsageError(f"a cine is uint8 (T, H, W) or (T, H, W, 3), not {getattr(cine, 'dtype', '')} {shape}")
    if 0 in shape:
        raise UsageError(f"the cine is empty: its shape is {shape}")
    return int(shape[0])


def _times(cine: FrameArray, total: int) -> Any:
    times = getattr(cine, "times", None)
    return np.full(total, np.nan) if times is None else np.asarray(times, np.float64)
