"""Pictures of a prediction: stills of the best planes, and the cine with its saliency and plane names.

Both show the ultrasound image alone: the scanner's screen around it, and what `sector_mask` takes for burned-in text
and drawings, are black. No such mask is perfect: look at a picture before it leaves the house.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from usssl.bundle.prediction import Float32, Prediction
from usssl.bundle.stream import to_model
from usssl.cine import Cine, open_cine, write_video
from usssl.cine.sector import Box
from usssl.cine.sector_mask import sector_mask
from usssl.cine.video_writing import atomic_path
from usssl.errors import OutputError

UInt8 = npt.NDArray[np.uint8]

_CAPTION_HEIGHT = 24
_OPACITY = 0.6
_FALLBACK_FPS = 25.0


@dataclass(frozen=True)
class ImagePart:
    """What a picture shows of a frame.

    Attributes:
        box: the rectangle cut out, pixels.
        keep: bool (H, W) of the box; what is False is black.
    """

    box: Box
    keep: npt.NDArray[np.bool_]

    def cut(self, frame: UInt8) -> UInt8:
        """The part of a frame (H, W) or (H, W, 3), in grey."""
        x0, y0, x1, y1 = self.box
        return np.where(self.keep, to_model(frame[None, y0:y1, x0:x1], colour=False)[0], np.uint8(0))


def image_part(path: Path) -> ImagePart:
    """Finds the ultrasound image of a cine, in the file's own colours, which tell drawings from tissue."""
    with open_cine(path, threads=1) as cine:
        mask = sector_mask(cine)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return ImagePart(Box(0, 0, mask.shape[1], mask.shape[0]), mask)
    box = Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return ImagePart(box, mask[box.y0 : box.y1, box.x0 : box.x1])


def write_stills(folder: Path, cine: Cine, prediction: Prediction, part: ImagePart) -> list[Path]:
    """Writes a PNG of the best frame of each plane that the model names there.

    Args:
        folder: where to write `<cine>_<plane>_frame<number>.png`.
        cine: opened in any colour.
        prediction: of the cine, with `plane_probs`.
        part: what to show.

    Raises:
        OutputError: the folder cannot be written.
    """
    assert prediction.plane_probs is not None
    named = prediction.plane_probs.argmax(axis=1)
    written = []
    for plane, (frame, _) in prediction.best_frames().items():
        if prediction.classes[named[frame]] != plane:
            continue
        name = re.sub(r"[^\w-]+", "-", plane)
        path = folder / f"{cine.id[:16]}_{name}_frame{frame:05d}.png"
        image = part.cut(cine.read([frame])[0])
        good, png = cv2.imencode(".png", image)
        if not good:
            raise OutputError(f"cannot write {path}: the image of {image.shape} is not a picture")
        with atomic_path(path) as temporary:
            temporary.write_bytes(png.tobytes())
        written.append(path)
    return written


def write_overlay(path: Path, cine: Cine, prediction: Prediction, part: ImagePart) -> Path:
    """Writes the cine as an MP4 with its saliency as colour and the most probable plane under it.

    Args:
        path: the file to write.
        cine: opened in any colour.
        prediction: of the cine.
        part: what to show.

    Raises:
        OutputError: the file cannot be written.
    """
    return write_video(path, _overlaid(cine, prediction, part), cine.fps or _FALLBACK_FPS, crf=20)


def _overlaid(cine: Cine, prediction: Prediction, part: ImagePart) -> Iterator[UInt8]:
    for number, frame in enumerate(cine.iter_frames()):
        image = np.repeat(part.cut(frame)[..., None], 3, axis=2)
        if prediction.saliency is not None:
            image = blend(image, prediction.saliency[number], prediction.window, part.box)
        if prediction.plane_probs is not None:
            best = int(prediction.plane_probs[number].argmax())
            text = f"{prediction.classes[best]} {prediction.plane_probs[number, best]:.2f}"
            image = np.concatenate([image, _caption(image.shape[1], text)])
        yield image


def blend(image: UInt8, saliency: Float32, window: tuple[float, float, float, float], box: Box) -> UInt8:
    """Lays a saliency map over an image, RGB (H, W, 3).

    Args:
        image: the part of the frame within `box`.
        saliency: the map (h, w), which covers `window`.
        window: rectangle in pixels of the frame.
        box: rectangle in pixels of the frame.
    """
    height, width = saliency.shape
    x0, y0, x1, y1 = window
    sx, sy = (x1 - x0) / width, (y1 - y0) / height
    # The centre of the map's pixel j lies at x0 + (j + 1/2) sx of the frame; OpenCV counts from the centre of pixel 0.
    to_image = np.array([[sx, 0, x0 - box.x0 + sx / 2 - 0.5], [0, sy, y0 - box.y0 + sy / 2 - 0.5]])
    heat = cv2.warpAffine(saliency / max(float(saliency.max()), 1e-12), to_image, (image.shape[1], image.shape[0]))
    colour = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    weight = _OPACITY * heat[..., None]
    return np.asarray((1 - weight) * image + weight * colour, np.uint8)


def _caption(width: int, text: str) -> UInt8:
    strip = np.zeros((_CAPTION_HEIGHT, width, 3), np.uint8)
    cv2.putText(strip, text, (6, _CAPTION_HEIGHT - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return strip
