"""Image formation against what theory says of speckle, blur, loss and compression."""

from __future__ import annotations

import numpy as np
import pytest

from usssl.phantom import Scanner, Sector, Settings
from usssl.phantom.medium import places, scatterers_and_texture
from usssl.phantom.poses import Frame, Pose, rotation
from usssl.phantom.slicing import Slice

SECTOR = Sector(50.0, 34.0, 120.0, 180, 336, (240, 320), (20, 16, 310, 238))
SILENT = Settings(noise_db=(-90.0, -90.0), clutter=0.0, reverberation=(0.0, 6.0), ring_down=0.0)


def uniform(sector: Sector = SECTOR, level: float = 0.0) -> Slice:
    shape = (sector.lines, sector.samples)
    return Slice(np.full(shape, level, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.float32))


def scatterers(seed: int, shift_mm: tuple[float, float, float] = (0, 0, 0), sector: Sector = SECTOR) -> np.ndarray:
    generator = np.random.default_rng(seed)
    medium = Frame(rotation(generator.normal(0, 60, 3)), generator.uniform(0, 70, 3))
    pose = Pose(np.zeros(3), np.eye(3)).moved(np.array(shift_mm, float), np.zeros(3))
    return scatterers_and_texture(places(pose, medium, *sector.beams))[..., :2]


def envelope(scanner: Scanner, seed: int, **shift) -> np.ndarray:
    return scanner.envelope(scanner.beamform(uniform(), scatterers(seed, **shift)))


@pytest.mark.parametrize("settings", [SILENT, Settings(), Settings(pulse_mm=0.3, beam_mm=0.5, focus_mm=40.0)])
def test_speckle_of_uniform_tissue_is_fully_developed(settings):
    scanner = Scanner(SECTOR, settings)
    speckle = np.concatenate([envelope(scanner, seed)[20:-20, 40:-20].ravel() for seed in range(4)])
    # Rayleigh: mean / std = sqrt(pi / (4 - pi)) = 1.913; median / mean = sqrt(2 ln 2) / sqrt(pi / 2) = 0.939.
    assert speckle.mean() / speckle.std() == pytest.approx(1.913, abs=0.05)
    assert np.median(speckle) / speckle.mean() == pytest.approx(0.939, abs=0.012)


def test_uniform_tissue_is_as_bright_at_every_depth():
    scanner = Scanner(SECTOR, SILENT)
    power = np.mean([envelope(scanner, seed)[10:-10] ** 2 for seed in range(12)], axis=(0, 1))
    bands = power[:330].reshape(10, 33).mean(axis=1)
    assert bands == pytest.approx(np.ones(10), abs=0.2)


def test_the_beam_is_narrowest_at_its_focus():
    scanner = Scanner(SECTOR, Settings(focus_mm=60.0, noise_db=(-90.0, -90.0), clutter=0.0))
    speckle = np.stack([envelope(scanner, seed) for seed in range(8)]).astype(np.float64)
    speckle -= speckle.mean()
    spacing = SECTOR.beam_spacing_mm()

    def width_mm(depth_mm: float) -> float:
        band = speckle[:, :, np.abs(SECTOR.depths - depth_mm) < 6]
        one_apart = (band[:, 1:] * band[:, :-1]).mean() / (band**2).mean()
        return float(spacing[np.argmin(np.abs(SECTOR.depths - depth_mm))] / np.sqrt(1 - one_apart))

    assert width_mm(60) < 0.8 * width_mm(112)


def test_tissue_behind_an_absorber_is_dark_and_beside_it_is_not():
    slice_ = uniform()
    slice_.loss_db_mm[60:100, 100:112] = 4.0
    lit, dark = (scanned(slice_)[20:40, 150:].mean(), scanned(slice_)[70:90, 150:].mean())
    # 12 samples of 0.358 mm lose 17.2 dB; what passes beside any obstacle leaves 24 (1 - exp(-17.2 / 24)) = 12.3 dB.
    assert 20 * np.log10(dark / lit) == pytest.approx(-12.3, abs=1.0)


def scanned(slice_: Slice) -> np.ndarray:
    scanner = Scanner(SECTOR, SILENT)
    return np.mean([scanner.envelope(scanner.beamform(slice_, scatterers(seed))) for seed in range(3)], axis=0)


def test_a_surface_reflects_what_it_meets_squarely():
    """A smooth plane across the beams is far brighter than the tissue around it; its echo is as long as the pulse."""
    slice_ = uniform(level=-20.0)
    slice_.echo[:, 150] = 10.0
    echo = scanned(slice_)[90]
    bright = np.flatnonzero(echo > echo.max() / 2)
    assert echo.argmax() == pytest.approx(150, abs=1)
    assert echo.max() > 10 * np.median(echo)
    # Full width at half maximum of a Gaussian pulse is 2.35 standard deviations: 1.18 mm.
    assert (bright[-1] - bright[0] + 1) * SECTOR.sample_mm == pytest.approx(1.18, abs=0.4)


def test_ten_decibels_are_ten_decibels_on_the_screen():
    scanner = Scanner(SECTOR, Settings(range_db=50.0, smoothing=0.0))
    one = np.ones((SECTOR.lines, SECTOR.samples), np.float32)
    low, high = scanner.compress(one), scanner.compress(one * np.float32(10**0.5))
    # 10 dB of a range of 50 are a fifth of 255 grey values.
    assert int(high[5, 5]) - int(low[5, 5]) == pytest.approx(51, abs=1)
    assert scanner.compress(one * 0).max() == 0
    assert scanner.compress(one * 1e6).min() == 255


def test_persistence_mixes_in_the_frame_before():
    scanner = Scanner(SECTOR, Settings(persistence=0.25))
    new, old = np.full((4, 4), 100, np.uint8), np.full((4, 4), 20, np.uint8)
    assert (scanner.persist(new, old) == 80).all()
    assert scanner.persist(new, None) is new


def test_speckle_moves_with_the_tissue_and_changes_out_of_plane():
    scanner = Scanner(SECTOR, SILENT)
    still = envelope(scanner, 1)[20:-20, 60:300]

    def likeness(other: np.ndarray) -> float:
        return float(np.corrcoef(still.ravel(), other.ravel())[0, 1])

    out_of_plane = [likeness(envelope(scanner, 1, shift_mm=(0, mm, 0))[20:-20, 60:300]) for mm in (0.0, 0.3, 0.8, 3.0)]
    assert out_of_plane[0] == pytest.approx(1.0)
    assert out_of_plane == sorted(out_of_plane, reverse=True)
    assert out_of_plane[1] > 0.6
    assert out_of_plane[2] < 0.5
    assert abs(out_of_plane[3]) < 0.05
    # The probe goes 2 mm into the body along the middle beam: the speckle comes up by as much, and is still the same.
    deeper = envelope(scanner, 1, shift_mm=(0, 0, 2.0))
    middle, samples = slice(84, 96), round(2.0 / SECTOR.sample_mm)
    before = envelope(scanner, 1)[middle, 60 + samples : 300 + samples]
    followed = np.corrcoef(before.ravel(), deeper[middle, 60:300].ravel())[0, 1]
    assert followed > 0.5
    assert followed > 3 * abs(np.corrcoef(before.ravel(), deeper[middle, 60 + samples : 300 + samples].ravel())[0, 1])
