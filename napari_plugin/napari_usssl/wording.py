"""The words that the panel says: facts of a cine, frames and times, and errors as one sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from usssl.errors import CineError, UssslError

if TYPE_CHECKING:
    from usssl.bundle import BundleMetadata, Prediction
    from usssl.cine import Cine

FOOTER = "For research use, not a medical device."


def duration(seconds: float) -> str:
    """Such as "1.48 s" or "2:05 min"; a dash where it is not known."""
    if not math.isfinite(seconds):
        return "–"
    if seconds < 60:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d} min"


def position(frame: int, times: Sequence[float]) -> str:
    """Where the slider stands, such as "frame 37 / 239 · 1.48 s"; counted from 0, as napari's slider does."""
    place = f"frame {frame} / {len(times) - 1}"
    seconds = float(times[frame]) if 0 <= frame < len(times) else math.nan
    return f"{place} · {duration(seconds)}" if math.isfinite(seconds) else place


def words(name: str) -> str:
    """A class as a person writes it, such as "brain transventricular"."""
    return name.replace("_", " ")


def top_class(prediction: Prediction | None, frame: int) -> str:
    """The most probable class of a frame, such as "femur 0.97"; empty where it is not known."""
    if prediction is None or prediction.plane_probs is None:
        return ""
    probs = prediction.plane_probs[frame]
    return f"{words(prediction.classes[int(probs.argmax())])} {probs.max():.2f}"


def run_report(prediction: Prediction, seconds: float) -> str:
    """One sentence on a run that is done, and what it says of the cine as a whole."""
    frames = len(prediction)
    text = f"Done: {frames} frames in {seconds:.1f} s, {frames / max(seconds, 1e-3):.0f} a second."
    if prediction.cine_probs is not None:
        best = int(prediction.cine_probs.argmax())
        text += f" Whole cine: {words(prediction.classes[best])} {prediction.cine_probs[best]:.2f}."
    return text


def cine_facts(cine: Cine) -> str:
    """The facts of a cine that matter to a reader, none of which can name a patient; two lines."""
    frames, height, width = cine.shape[:3]
    time = [f"{frames} frame{'' if frames == 1 else 's'}"]
    if frames > 1:
        time += [duration(frames / cine.fps), f"{cine.fps:.4g} frames/s"] if cine.fps else ["frame rate not known"]
    space = [f"{width} × {height} pixels"]
    if cine.spacing_mm:
        space.append(f"{cine.spacing_mm[1]:.3g} mm/pixel")
    return f"{' · '.join(time)}\n{' · '.join(space)}"


def bundle_facts(metadata: BundleMetadata) -> str:
    """The name of a bundle and what it does; two lines."""
    facts = metadata.usssl
    does = [f"{len(facts.planes)} planes" if task == "planes" else task for task in facts.task]
    return f"{metadata.name or 'no name'}\n{' · '.join(does)}"


def problem(error: Exception, name: str) -> str:
    """One sentence on what went wrong.

    Args:
        error: what was raised.
        name: what the cine is called on the screen; its path is left out, since it may name the patient.
    """
    if isinstance(error, CineError):
        return f"Cannot read {name}: {error.reason}"
    text = str(error) if isinstance(error, UssslError) else f"{type(error).__name__}: {error}"
    return text[:1].upper() + text[1:]


def breakable(text: str) -> str:
    """Lets a label wrap a long path after its slashes."""
    return text.replace("/", "/\u200b").replace("\\", "\\\u200b")
