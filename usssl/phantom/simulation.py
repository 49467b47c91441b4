"""From a seed to a cine: samples a patient, a scanner and a hand, and films what they do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from usssl.phantom.gaze import Gaze, watch
from usssl.phantom.planes import label
from usssl.phantom.probe import ProbePath
from usssl.phantom.scanner import Scanner, Settings
from usssl.phantom.scene import Scene, sample_scene
from usssl.phantom.screen import LAYOUTS, Identity, Layout, Screen, area_px, draw_screen
from usssl.phantom.sector import Sector

_FRAMES_BEFORE = 2
_FRAME_RATES = (25.0, 27.0, 28.0, 30.0)


@dataclass(frozen=True)
class Patient:
    """One examination: a pregnancy on a scanner.

    Attributes:
        scene: fetus and mother.
        scanner: what she is scanned with.
        layout: the vendor's screen.
        identity: who the screen says she is.
        fps: frames a second.
    """

    scene: Scene
    scanner: Scanner
    layout: Layout
    identity: Identity
    fps: float

    @cached_property
    def screen(self) -> Screen:
        """The screen without its image."""
        settings, sector = self.scanner.settings, self.scanner.sector
        notes = (
            f"{sector.depth_mm / 10:.1f}cm",
            f"Gn {settings.gain_db:+.0f}",
            f"DR {settings.range_db:.0f}",
            f"P{round(10 * settings.persistence)}/E{round(5 * settings.smoothing)}",
            f"MI {0.7 + 0.01 * settings.range_db % 0.5:.1f}",
        )
        return draw_screen(self.layout, self.identity, sector, settings.focus_mm, notes)


@dataclass(frozen=True)
class SimulatedCine:
    """A cine with everything that is known of it.

    Attributes:
        frames: uint8 `(frames, height, width)`.
        planes: label of each frame: one of `usssl.phantom.planes.PLANES` or `background`.
        gaze: where a sonographer looked.
        path: where probe and fetus were in each frame.
        patient: the examination.
    """

    frames: NDArray[np.uint8]
    planes: tuple[str, ...]
    gaze: Gaze
    path: ProbePath
    patient: Patient

    @property
    def fps(self) -> float:
        """Frames a second."""
        return self.patient.fps

    @property
    def sector(self) -> Sector:
        """Geometry of the image on the frame."""
        return self.patient.scanner.sector

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Size of a pixel (row, column)."""
        return self.sector.spacing_mm, self.sector.spacing_mm

    @cached_property
    def saliency(self) -> NDArray[np.uint8]:
        """Saliency maps `(frames, height / 4, width / 4)`, each with a maximum of 255."""
        return self.gaze.saliency(len(self.frames), self.sector.size, self.fps)


def sample_patient(generator: np.random.Generator, size: tuple[int, int] = (240, 320)) -> Patient:
    """A random examination.

    Args:
        generator: source of chance.
        size: height and width of the screen, in pixels.
    """
    scene = sample_scene(generator)
    layout = LAYOUTS[int(generator.integers(len(LAYOUTS)))]
    middle = scene.womb.fetus_depth_mm
    sector = Sector(
        radius_mm=generator.uniform(40, 62),
        half_angle=generator.uniform(31, 38),
        depth_mm=scene.deepest_plane_mm() + generator.uniform(0, 14),
        lines=round(0.56 * size[1]),
        samples=round(1.4 * size[0]),
        size=size,
        area=area_px(layout, size),
        mirrored=bool(generator.random() < 0.5),
    )
    settings = _settings(generator, middle)
    return Patient(
        scene, Scanner(sector, settings), layout, Identity.sample(generator), float(generator.choice(_FRAME_RATES))
    )


def _settings(generator: np.random.Generator, fetus_depth_mm: float) -> Settings:
    return Settings(
        pulse_mm=generator.uniform(0.28, 0.45),
        beam_mm=generator.uniform(0.45, 0.75),
        focus_mm=fetus_depth_mm + generator.uniform(-15, 15),
        gain_db=generator.normal(0, 3.0),
        range_db=generator.uniform(50, 64),
        gain_curve_db=tuple(generator.normal(0, 1.8, 6) + np.linspace(-1, 1, 6) * generator.normal(-1, 2.5)),
        noise_db=(generator.uniform(-54, -46), generator.uniform(-42, -32)),
        contact_db=(generator.exponential(4), generator.exponential(4)),
        clutter=generator.uniform(0.005, 0.03),
        reverberation=(generator.uniform(0.05, 0.25), generator.uniform(4, 9)),
        ring_down=generator.uniform(0.05, 0.35),
        smoothing=generator.uniform(0.0, 0.7),
        persistence=generator.uniform(0.1, 0.45),
        gamma=generator.uniform(0.9, 1.4),
    )


def film(patient: Patient, path: ProbePath, noise_at: int = 0) -> Iterator[NDArray[np.uint8]]:
    """The frames `(height, width)` that the scanner shows along a path, one after the other."""
    scanner, last = patient.scanner, None
    # The scanner runs before it records: without a past to persist, the first frame would stand out.
    for number in range(-_FRAMES_BEFORE, len(path.poses)):
        pose, instant = path.poses[max(number, 0)], path.instants[max(number, 0)]
        slice_, scatterers = patient.scene.cut(pose, instant, scanner.sector)
        signal = scanner.beamform(slice_, scatterers, noise_at + 104729 * number)
        last = scanner.persist(scanner.compress(scanner.envelope(signal)), last)
        if number >= 0:
            yield patient.screen.show(scanner.sector.scan_convert(last))


def simulate_cine(
    seed: int, patient: int = 1, number: int = 1, *, size: tuple[int, int] = (240, 320), frames: int = 96
) -> SimulatedCine:
    """Simulates a cine; the same arguments give the same bytes.

    Args:
        seed: seed of the whole collection.
        patient: number of the patient.
        number: number of the cine of this patient.
        size: height and width, in pixels.
        frames: length.
    """
    examination = sample_patient(np.random.default_rng([seed, patient]), size)
    generator = np.random.default_rng([seed, patient, number])
    fetus, rest = examination.scene.fetus, examination.scene.rest
    path = ProbePath.sample(generator, fetus, rest, frames, examination.fps)
    sector, planes = examination.scanner.sector, fetus.planes()
    names = tuple(
        label(planes, pose, instant.fetus, sector) for pose, instant in zip(path.poses, path.instants, strict=True)
    )
    gaze = watch(generator, path, fetus.landmarks(), sector, examination.fps)
    pixels = np.stack(list(film(examination, path, int(generator.integers(1 << 20)))))
    return SimulatedCine(pixels, names, gaze, path, examination)
