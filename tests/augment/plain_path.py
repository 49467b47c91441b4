"""The plain, unfused path: one op after the other, one frame after the other, in float64, sharing nothing with `usssl`.

It is what the fused path is measured against. Sampling is scipy's, sixteen samples a pixel where the map shrinks.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage

RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


def texture(shape, grain=2.0, seed=0):
    """Smooth random clips, uint8: as detailed as ultrasound at its usual resolution."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    smooth = ndimage.gaussian_filter(noise, (0,) * (len(shape) - 2) + (grain, grain))
    return np.clip(127 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def resample(frame, matrix, size):
    """One frame `(H, W)` through one map (pixels of the result to pixels of the frame, edges at 0 and W)."""
    samples = 1 if np.linalg.norm(matrix[:, :2], axis=0).max() <= 1 else 4
    offsets = (np.arange(samples) + 0.5) / samples
    total = np.zeros(size)
    for dy in offsets:
        for dx in offsets:
            x, y = np.meshgrid(np.arange(size[1]) + dx, np.arange(size[0]) + dy)
            sx = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
            sy = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]
            total += ndimage.map_coordinates(np.pad(frame, 1), [sy + 0.5, sx + 0.5], order=1, mode="constant")
    return total / samples**2


def geometry(clips, matrices, size):
    return np.stack([[[resample(p, m, size) for p in f] for f in c] for c, m in zip(clips, matrices, strict=True)])


def blur(clips, sigma, radius):
    taps = np.arange(-radius, radius + 1)
    out = clips.copy()
    for clip, s in zip(out, sigma, strict=True):
        if s > 0:
            kernel = np.exp(-(taps**2) / (2 * s * s))
            kernel /= kernel.sum()
            for axis in (-1, -2):
                clip[:] = ndimage.correlate1d(clip, kernel, axis=axis, mode="nearest")
    return out


def jitter(clips, brightness, contrast, saturation, hue, order):
    """Colour changes of clips `(batch, time, 3, H, W)` in 0..1, each applied by itself; clamped at the end only."""
    out = clips.copy()
    for i in range(len(out)):
        for change in order[i]:
            clip = out[i]
            luma = np.tensordot(RGB_TO_YIQ[0], clip, axes=(0, 1))[:, None]
            if change == 0:
                out[i] = clip * brightness[i]
            elif change == 1:
                out[i] = luma.mean() + contrast[i] * (clip - luma.mean())
            elif change == 2:
                out[i] = luma + saturation[i] * (clip - luma)
            else:
                turn = 2 * math.pi * hue[i]
                yiq = np.einsum("ij,tjhw->tihw", RGB_TO_YIQ, clip)
                turned = yiq.copy()
                turned[:, 1] = math.cos(turn) * yiq[:, 1] - math.sin(turn) * yiq[:, 2]
                turned[:, 2] = math.sin(turn) * yiq[:, 1] + math.cos(turn) * yiq[:, 2]
                out[i] = np.einsum("ij,tjhw->tihw", np.linalg.inv(RGB_TO_YIQ), turned)
    return out


def grey(clips, chosen):
    out = clips.copy()
    for clip, is_grey in zip(out, chosen, strict=True):
        if is_grey:
            clip[:] = np.tensordot(RGB_TO_YIQ[0], clip, axes=(0, 1))[:, None]
    return out


def unfused(pixels, augmentation, drawn):
    """Every op of a view by itself, in the order in which they are listed; bytes in, numbers in 0..1 out."""
    out = pixels.astype(np.float64) / 255
    for op, params in zip(augmentation.ops, drawn.values(), strict=True):
        size = (out.shape[-2], out.shape[-1])
        if op.stage.name == "GEOMETRY":
            out = geometry(out, op.matrices(params, size).numpy(), op.size_after(size))
        elif op.name == "gaussian_blur":
            out = blur(out, params.sigma.numpy(), op.radius)
        elif op.name == "colour_jitter":
            fields = (params.brightness, params.contrast, params.saturation, params.hue, params.order)
            out = jitter(out, *(field.numpy() for field in fields))
        elif op.name == "grey":
            out = grey(out, params.grey.numpy())
        else:
            raise ValueError(f"the plain path has no {op.name}")
    return out.clip(0, 1)
