"""Clip sampling: which frames of a cine make the clips that a method asks for.

Samplers see a `Timeline` (when each frame was taken), never pixels or files, and answer with `Clip` records.
"""

from typing import Annotated

from pydantic import Field

from usssl.data.sampling.clips import DenseWindows, EvenClips, RandomClip, SegmentFrames, UniformClip
from usssl.data.sampling.intervals import IntervalPair, gap_cdf, gap_of
from usssl.data.sampling.motion import clip_motion
from usssl.data.sampling.order import OrderClips
from usssl.data.sampling.random import sample_rng
from usssl.data.sampling.sampler import Draws, Sampler
from usssl.data.sampling.segments import AudioSpan, Segments, synchronous_audio
from usssl.data.sampling.snippets import Snippets
from usssl.data.sampling.starts import IndependentPair
from usssl.data.sampling.timeline import Clip, Timeline
from usssl.data.sampling.triplets import Triplet, overlap

AnySampler = Annotated[
    RandomClip
    | UniformClip
    | EvenClips
    | DenseWindows
    | SegmentFrames
    | IntervalPair
    | Triplet
    | Snippets
    | IndependentPair
    | OrderClips
    | Segments,
    Field(discriminator="name"),
]
"""Any sampler, told apart by `name`, as recipes give it."""

__all__ = [
    "AnySampler",
    "AudioSpan",
    "Clip",
    "DenseWindows",
    "Draws",
    "EvenClips",
    "IndependentPair",
    "IntervalPair",
    "OrderClips",
    "RandomClip",
    "Sampler",
    "SegmentFrames",
    "Segments",
    "Snippets",
    "Timeline",
    "Triplet",
    "UniformClip",
    "clip_motion",
    "gap_cdf",
    "gap_of",
    "overlap",
    "sample_rng",
    "synchronous_audio",
]
