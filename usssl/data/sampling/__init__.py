"""Clip sampling: which frames of a cine make the clips that a method asks for.

Samplers see a `Timeline` (when each frame was taken), never pixels or files, and answer with `Clip` records.
"""

from usssl.data.sampling.motion import clip_motion
from usssl.data.sampling.order import OrderClips, OrderIndex
from usssl.data.sampling.random import sample_rng
from usssl.data.sampling.timeline import Clip, Timeline

__all__ = [
    "Clip",
    "OrderClips",
    "OrderIndex",
    "Timeline",
    "clip_motion",
    "sample_rng",
]
