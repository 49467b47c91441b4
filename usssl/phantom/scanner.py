"""Image formation: from what the beam meets to grey values, as a curved-array scanner does it.

Complex scatterers are convolved with a pulse and a depth-dependent beam; the envelope of their sum is speckle. Where
many scatterers fill the resolution cell its amplitude is Rayleigh distributed: mean / standard deviation =
sqrt(π / (4 - π)) = 1.91 (Burckhardt, IEEE Trans Sonics Ultrason 25:1, 1978). Then come time-gain compensation, log
compression, speckle reduction and persistence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from usssl.phantom.medium import SIDE, block
from usssl.phantom.sector import Sector
from usssl.phantom.slicing import Slice
from usssl.phantom.solids import Field

_SCATTERER_BLUR_MM = 0.5
_DEEPEST_SHADOW_DB = 24.0
_NEAR_FIELD_MM = 16.0
_RING_DOWN_MM = 9.0


@dataclass(frozen=True)
class Settings:
    """What a vendor's presets and the sonographer's hand set.

    Attributes:
        pulse_mm: length of the pulse (standard deviation of its envelope).
        beam_mm: width of the beam at its focus (standard deviation).
        focus_mm: depth of the focus.
        gain_db: overall gain.
        range_db: dynamic range of the display.
        gain_curve_db: residual of time-gain compensation at evenly spaced depths.
        noise_db: electronic noise at the face and at full depth, relative to liver.
        contact_db: loss at the left and right end of the probe, where the skin curves away.
        clutter: side lobes, as an amplitude.
        reverberation: strength of the repeated echo of the near field, and its delay in millimetres.
        ring_down: strength of the haze behind strong echoes.
        smoothing: share of speckle reduction, 0 to 1.
        persistence: share of the last frame that stays, 0 to 1.
        gamma: exponent of the grey map.
    """

    pulse_mm: float = 0.5
    beam_mm: float = 0.9
    focus_mm: float = 65.0
    gain_db: float = 0.0
    range_db: float = 54.0
    gain_curve_db: tuple[float, ...] = (0.0, 0.0)
    noise_db: tuple[float, float] = (-46.0, -32.0)
    contact_db: tuple[float, float] = (0.0, 0.0)
    clutter: float = 0.02
    reverberation: tuple[float, float] = (0.08, 6.0)
    ring_down: float = 0.15
    smoothing: float = 0.2
    persistence: float = 0.3
    gamma: float = 1.0


@dataclass(frozen=True)
class Scanner:
    """A curved-array scanner: settings and geometry.

    Attributes:
        sector: the grid of beams and its place on the screen.
        settings: what is set on it.
    """

    sector: Sector
    settings: Settings = field(default_factory=Settings)

    @cached_property
    def _pulse(self) -> NDArray[np.float32]:
        return _gaussian(self.settings.pulse_mm / self.sector.sample_mm)

    @cached_property
    def _beams(self) -> tuple[list[NDArray[np.float32]], list[Field]]:
        """Kernels to apply one after the other across the lines, and at each depth the weight of each result."""
        settings, sector = self.settings, self.sector
        depths = sector.depths.astype(np.float64)
        off_focus = (depths - settings.focus_mm) / settings.focus_mm
        width_mm = settings.beam_mm * (0.55 + 0.45 * (depths + 30) / (settings.focus_mm + 30))
        wanted = np.sqrt(width_mm**2 + (0.9 * off_focus) ** 2) / sector.beam_spacing_mm()
        widths = np.geomspace(wanted.min(), max(wanted.max(), wanted.min() * 1.05), 3)
        steps = np.sqrt(np.diff(widths**2, prepend=0.0))
        position = np.interp(wanted, widths, np.arange(len(widths)))
        weights = np.maximum(0.0, 1 - np.abs(position[None] - np.arange(len(widths))[:, None]))
        energy = self._speckle_energy(widths, weights)
        return [_gaussian(step) for step in steps], [
            (w / np.sqrt(energy)).astype(np.float32)[None, :, None] for w in weights
        ]

    def _speckle_energy(self, widths: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean square that unit scatterers have after pulse and beam, at each depth."""
        sector = self.sector
        pulse = self._pulse.astype(np.float64)
        energy = _correlated_energy(pulse, np.full(1, sector.sample_mm))[0]
        kernels = [_gaussian(width, radius=int(np.ceil(3 * widths[-1]))).astype(np.float64) for width in widths]
        mixed = np.einsum("kd,kn->dn", weights, np.stack(kernels))
        return np.asarray(energy * _correlated_energy(mixed, sector.beam_spacing_mm().astype(np.float64)))

    def beamform(self, slice_: Slice, scatterers: NDArray[np.float32], noise_at: int = 0) -> NDArray[np.float32]:
        """The received signal.

        Args:
            slice_: what the beam meets.
            scatterers: complex scatterers at each grid point, `(lines, samples, 2)`, mean square 1.
            noise_at: which piece of the medium serves as electronic noise.

        Returns:
            Complex signal `(lines, samples, 2)`, relative to liver.
        """
        settings, sector = self.settings, self.sector
        loss = np.cumsum(slice_.loss_db_mm, axis=1)
        loss *= np.float32(sector.sample_mm)
        # A beam is formed by many elements: a shadow's edge is as soft as the aperture is wide.
        loss = cv2.blur(loss, (1, 5), borderType=cv2.BORDER_REPLICATE)
        # Some of the beam passes beside any obstacle: no shadow is quite black.
        depth_of_shadow = np.float32(_DEEPEST_SHADOW_DB)
        dark = np.maximum(loss, 0) * (-1 / depth_of_shadow)
        np.exp(dark, out=dark)
        dark -= 1
        dark *= -depth_of_shadow
        loss = np.minimum(loss, dark, out=loss)
        weight = np.maximum(slice_.level_db - loss, np.float32(-60.0))
        weight *= np.float32(np.log(10) / 20)
        np.exp(weight, out=weight)
        loss *= np.float32(-np.log(10) / 20)
        np.exp(loss, out=loss)
        loss *= slice_.echo
        signal = scatterers * weight[..., None]
        # Surfaces are partly smooth (one phase) and partly rough (the phase of the scatterers).
        signal += scatterers * (loss * np.float32(0.35))[..., None]
        signal[..., 0] += loss
        signal += scatterers * self._ring_down(loss)[..., None]
        signal = cv2.sepFilter2D(signal, cv2.CV_32F, self._pulse, _ONE, borderType=cv2.BORDER_REPLICATE)
        signal = self._widen(signal)
        delay = round(settings.reverberation[1] / sector.sample_mm)
        if settings.reverberation[0] and 0 < 2 * delay < sector.samples:
            ghosts = signal[:, :-delay] * self._near_field[:, :-delay]
            signal[:, delay:] += ghosts
            signal[:, 2 * delay :] += np.float32(0.5) * ghosts[:, :-delay]
        signal += self._noise(noise_at)
        return signal

    def _ring_down(self, echo: Field) -> Field:
        """Haze behind strong echoes, from sound that goes to and fro between them and what lies above."""
        length = max(1, round(_RING_DOWN_MM / self.sector.sample_mm))
        haze = cv2.boxFilter(echo, -1, (length, 1), anchor=(length - 1, 0), borderType=cv2.BORDER_REPLICATE)
        haze *= np.float32(self.settings.ring_down)
        return np.asarray(haze, np.float32)

    @cached_property
    def _near_field(self) -> Field:
        """How much of each depth's echo comes back once more: only what is close to the probe's face."""
        weight = self.settings.reverberation[0] * np.exp(-0.5 * (self.sector.depths / _NEAR_FIELD_MM) ** 2)
        return np.asarray(weight, np.float32)[None, :, None]

    def _widen(self, signal: NDArray[np.float32]) -> NDArray[np.float32]:
        kernels, weights = self._beams
        total: NDArray[np.float32] | None = None
        for kernel, weight in zip(kernels, weights, strict=True):
            signal = cv2.sepFilter2D(signal, cv2.CV_32F, _ONE, kernel, borderType=cv2.BORDER_REPLICATE)
            total = signal * weight if total is None else np.add(total, signal * weight, out=total)
        assert total is not None
        if self.settings.clutter:
            lobes = cv2.blur(signal, (1, self.sector.lines // 4 | 1), borderType=cv2.BORDER_REPLICATE)
            lobes *= weights[-1] * 0 + np.float32(self.settings.clutter / float(np.mean(self._pulse.max())))
            total += lobes
        return total

    @cached_property
    def _noise_weight(self) -> Field:
        near, far = self.settings.noise_db
        level = np.linspace(near, far, self.sector.samples)
        return np.asarray(10 ** (level / 20), np.float32)[None, :, None]

    def _noise(self, start: int) -> NDArray[np.float32]:
        lines, samples = self.sector.lines, self.sector.samples
        start %= SIDE**3 - lines * samples
        piece = block()[start : start + lines * samples].view(np.float32).reshape(lines, samples, 4)
        return piece[..., :2] * self._noise_weight

    def envelope(self, signal: NDArray[np.float32]) -> Field:
        """The echo's amplitude `(lines, samples)`, before any compression."""
        return np.asarray(cv2.magnitude(signal[..., 0], signal[..., 1]), np.float32)

    @cached_property
    def _offset_db(self) -> Field:
        settings, sector = self.settings, self.sector
        curve = np.interp(
            np.linspace(0, 1, sector.samples), np.linspace(0, 1, len(settings.gain_curve_db)), settings.gain_curve_db
        )
        across = np.linspace(0, 1, sector.lines)
        left, right = settings.contact_db
        contact = left * np.clip(1 - across / 0.35, 0, 1) ** 2 + right * np.clip((across - 0.65) / 0.35, 0, 1) ** 2
        middle_of_liver_db = 0.50 * settings.range_db
        return np.asarray(settings.gain_db + middle_of_liver_db + curve[None] - contact[:, None], np.float32)

    @cached_property
    def _grey_map(self) -> NDArray[np.uint8]:
        level = np.linspace(0, 1, 256) ** self.settings.gamma
        return np.asarray(np.rint(255 * level), np.uint8)

    def compress(self, envelope: Field) -> NDArray[np.uint8]:
        """Grey values `(lines, samples)`: gain curve, log compression, speckle reduction, grey map."""
        grey = np.maximum(envelope, np.float32(1e-4))
        np.log(grey, out=grey)
        grey *= np.float32(20 / np.log(10))
        grey += self._offset_db
        grey *= np.float32(255 / self.settings.range_db)
        levels = cv2.convertScaleAbs(np.maximum(grey, 0, out=grey))
        if self.settings.smoothing:
            soft = cv2.GaussianBlur(levels, (5, 5), 0, borderType=cv2.BORDER_REPLICATE)
            levels = cv2.addWeighted(levels, 1 - self.settings.smoothing, soft, self.settings.smoothing, 0)
        return np.asarray(cv2.LUT(levels, self._grey_map), np.uint8)

    def persist(self, grey: NDArray[np.uint8], last: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
        """The new grey values mixed with those on the screen (None: nothing is there yet)."""
        share = self.settings.persistence
        if last is None or not share:
            return grey
        return np.asarray(cv2.addWeighted(grey, 1 - share, last, share, 0), np.uint8)


_ONE = np.ones(1, np.float32)


def _gaussian(sigma: float, radius: int | None = None) -> NDArray[np.float32]:
    """A Gaussian kernel of sum 1."""
    if sigma < 0.2 and radius is None:
        return _ONE
    radius = max(1, int(np.ceil(3 * sigma))) if radius is None else radius
    offset = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offset / max(sigma, 0.05)) ** 2)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _correlated_energy(kernels: NDArray[np.float64], step_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean square of smoothed scatterers convolved with a kernel (a row), taken every `step_mm` (one a row)."""
    kernels = np.atleast_2d(kernels)
    offset = np.arange(kernels.shape[1])
    apart = (offset[:, None] - offset[None])[None] * step_mm[:, None, None]
    correlation = np.exp(-(apart**2) / (4 * _SCATTERER_BLUR_MM**2))
    return np.einsum("di,dij,dj->d", kernels, correlation, kernels)
