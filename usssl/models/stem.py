"""Weights from grey to RGB and back: the first convolution alone knows how many channels come in."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from usssl.models.encoders import Encoder


def fit_stem(state: Mapping[str, Tensor], encoder: Encoder) -> dict[str, Tensor]:
    """Makes the first convolution of weights take as many channels as an encoder does; the rest is left as it is.

    RGB to grey sums over the channels, grey to RGB shares the weights out: a grey image repeated three times, through
    the RGB network, gives the same as the image itself through the grey one, which repeats nothing in memory.

    Args:
        state: weights of the same encoder for 1 or 3 channels.
        encoder: what they shall be loaded into.
    """
    fitted = dict(state)
    for name, wanted in encoder.state_dict().items():
        given = state.get(name)
        if given is None or given.ndim < 4 or given.shape[0] != wanted.shape[0] or given.shape[2:] != wanted.shape[2:]:
            continue
        if given.shape[1] == 3 and wanted.shape[1] == 1:
            fitted[name] = given.sum(dim=1, keepdim=True)
        elif given.shape[1] == 1 and wanted.shape[1] == 3:
            fitted[name] = (given / 3).repeat_interleave(3, dim=1)
    return fitted
