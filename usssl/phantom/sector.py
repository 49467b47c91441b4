"""The geometry of a curved-array image: the grid of beams, and where it falls on the screen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from usssl.phantom.poses import Vector
from usssl.phantom.solids import Field


@dataclass(frozen=True)
class Sector:
    """A curved-array image and its place on the screen.

    Attributes:
        radius_mm: radius of the probe's face.
        half_angle: half of the opening angle, in degrees.
        depth_mm: depth of the image below the face.
        lines: number of beams.
        samples: number of points along a beam.
        size: the screen (height, width), in pixels.
        area: the part of the screen that the image may fill (left, top, right, bottom), in pixels.
        mirrored: whether the image is shown left to right reversed.
    """

    radius_mm: float
    half_angle: float
    depth_mm: float
    lines: int
    samples: int
    size: tuple[int, int]
    area: tuple[int, int, int, int]
    mirrored: bool = False

    @property
    def sample_mm(self) -> float:
        """Distance between points along a beam."""
        return self.depth_mm / (self.samples - 1)

    @property
    def _sagitta_mm(self) -> float:
        return self.radius_mm * (1 - float(np.cos(np.radians(self.half_angle))))

    @property
    def spacing_mm(self) -> float:
        """Size of a (square) pixel."""
        _, top, _, bottom = self.area
        return (self.depth_mm + self._sagitta_mm) / (bottom - top)

    @property
    def face_px(self) -> tuple[float, float]:
        """Pixel (x, y) of the middle of the probe's face."""
        left, top, right, _ = self.area
        return (left + right) / 2, top + self._sagitta_mm / self.spacing_mm

    @cached_property
    def beams(self) -> tuple[Field, Field]:
        """Lateral and axial millimetres of every grid point, each `(lines, samples)`."""
        angle = np.radians(np.linspace(-self.half_angle, self.half_angle, self.lines))[:, None]
        radius = self.radius_mm + np.linspace(0.0, self.depth_mm, self.samples)[None]
        return (radius * np.sin(angle)).astype(np.float32), (radius * np.cos(angle) - self.radius_mm).astype(np.float32)

    @cached_property
    def depths(self) -> NDArray[np.float32]:
        """Millimetres below the face of the points along a beam."""
        return np.linspace(0.0, self.depth_mm, self.samples, dtype=np.float32)

    def beam_spacing_mm(self) -> NDArray[np.float32]:
        """Distance between neighbouring beams at each of `depths`."""
        step = np.radians(2 * self.half_angle / (self.lines - 1))
        return np.asarray((self.radius_mm + self.depths) * np.float32(step), np.float32)

    def to_pixels(self, lateral: Vector | float, axial: Vector | float) -> tuple[Vector, Vector]:
        """Pixel coordinates (x, y) of points of the image given in millimetres."""
        x, y = self.face_px
        sign = -1.0 if self.mirrored else 1.0
        return np.asarray(x + sign * np.asarray(lateral) / self.spacing_mm), np.asarray(
            y + np.asarray(axial) / self.spacing_mm
        )

    def shows(self, lateral: Vector, axial: Vector, margin_mm: float = 0.0) -> NDArray[np.bool_]:
        """Whether points of the image plane, in millimetres, are inside the image with that margin."""
        radius = np.hypot(lateral, axial + self.radius_mm)
        angle = np.arctan2(np.abs(lateral), axial + self.radius_mm)
        edge = np.radians(self.half_angle) - margin_mm / radius
        x, y = self.to_pixels(lateral, axial)
        left, top, right, bottom = self.area
        margin = margin_mm / self.spacing_mm
        return np.asarray(
            (radius >= self.radius_mm + margin_mm)
            & (radius <= self.radius_mm + self.depth_mm - margin_mm)
            & (angle <= edge)
            & (x >= left + margin)
            & (x <= right - margin)
            & (y >= top + margin)
            & (y <= bottom - margin)
        )

    @cached_property
    def _conversion(self) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
        height, width = self.size
        face_x, face_y = self.face_px
        column, row = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
        lateral = (column - face_x) * self.spacing_mm * (-1.0 if self.mirrored else 1.0)
        axial = (row - face_y) * self.spacing_mm + self.radius_mm
        sample = (np.hypot(lateral, axial) - self.radius_mm) / self.sample_mm
        line = (np.degrees(np.arctan2(lateral, axial)) / self.half_angle + 1) / 2 * (self.lines - 1)
        left, top, right, bottom = self.area
        outside = (column < left) | (column >= right) | (row < top) | (row >= bottom)
        sample[outside] = -10.0
        coarse, fine = cv2.convertMaps(sample.astype(np.float32), line.astype(np.float32), cv2.CV_16SC2)
        return coarse, fine

    def scan_convert(self, grid: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The screen `(height, width)` that shows a grey grid `(lines, samples)`; black outside of the image."""
        coarse, fine = self._conversion
        return np.asarray(
            cv2.remap(grid, coarse, fine, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0), np.uint8
        )

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """The pixels of the screen that belong to the image, `(height, width)`."""
        return self.scan_convert(np.full((self.lines, self.samples), 255, np.uint8)) > 127
