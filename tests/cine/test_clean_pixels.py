from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cine.screens import moving_fan, scanner_screen
from usssl.cine import open_cine
from usssl.cine.clean_pixels import clean_pixels
from usssl.cine.sector_mask import find_sector, sampled_frames
from usssl.cine.sharp_marks import search_is_sure, searched_part, sharp_marks

FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_PLAIN, cv2.FONT_HERSHEY_COMPLEX)
LEGIBLE = 50  # grey levels between ink and tissue


@pytest.fixture(scope="module")
def still() -> tuple[np.ndarray, np.ndarray]:
    """A phantom's still without its screen, magnified as scanners magnify what their probes see, and its sector."""
    from usssl.phantom.simulation import simulate_cine

    cine = simulate_cine(1, 4, frames=1)
    size = (640, 480)
    fan = cv2.resize(cine.sector.mask.astype(np.uint8), size, interpolation=cv2.INTER_LINEAR) > 0
    return np.where(fan, cv2.resize(cine.frames[0], size, interpolation=cv2.INTER_CUBIC), np.uint8(0)), fan


def written(
    frame: np.ndarray, text: str, at: tuple[int, int], ink: int | tuple[int, ...], font: int, size: float, thick: int
) -> tuple[np.ndarray, np.ndarray]:
    """The frame with text over it, antialiased, and the text's pixels."""
    letters = np.zeros(frame.shape[:2], np.uint8)
    cv2.putText(letters, text, at, font, size, 255, thick, cv2.LINE_AA)
    cover = letters / 255 if frame.ndim == 2 else letters[..., None] / 255
    return np.rint(frame * (1 - cover) + np.array(ink) * cover).astype(np.uint8), letters > 127


def cleaned(frame: np.ndarray) -> tuple[np.ndarray, str | None]:
    sector = find_sector(frame[None])
    assert sector is not None
    clean = clean_pixels(frame[None], sector, every_frame=True)
    return clean.keep, clean.doubt


def test_a_still_without_text_is_surely_clean_and_stays_whole(still: tuple[np.ndarray, np.ndarray]) -> None:
    frame, truth = still
    keep, doubt = cleaned(frame)
    assert doubt is None
    lit = truth & (frame > 3)
    assert (keep & lit).sum() > 0.93 * lit.sum()
    assert not (keep & ~truth).any()


@pytest.mark.parametrize("color", [False, True])
def test_no_legible_letter_survives_in_a_still_that_claims_to_be_clean(
    still: tuple[np.ndarray, np.ndarray], color: bool
) -> None:
    frame, truth = still
    rng = np.random.default_rng(int(color))
    inks = ((255, 255, 0), (0, 255, 0), (255, 160, 0)) if color else (255, 220, 170, 0)
    claims, doubts = 0, 0
    for text in ("VANDERBILT", "DOE JOHN", "1931-02-28", "MRN 8812"):
        for size, thick in ((0.4, 1), (0.7, 1), (1.0, 2)):
            at = (int(rng.integers(0, 480)), int(rng.integers(20, 470)))
            ground = np.repeat(frame[..., None], 3, axis=2) if color else frame
            ink = inks[int(rng.integers(len(inks)))]
            shown, letters = written(ground, text, at, ink, FONTS[int(rng.integers(3))], size, thick)
            keep, doubt = cleaned(shown)
            difference = np.abs(shown.astype(int) - ground)
            legible = letters & ((difference.max(axis=2) if color else difference) >= LEGIBLE)
            if doubt is None:
                claims += 1
                assert not (legible & keep).any(), (text, at, ink, size)
            else:
                doubts += 1
            if not (letters & truth).any():  # text beside the fan goes, and is no reason for doubt
                assert doubt is None
    assert claims >= 1
    assert doubts >= 3


def test_text_in_a_still_raises_doubt_and_is_blacked(still: tuple[np.ndarray, np.ndarray]) -> None:
    frame, _ = still
    for ink in (255, 0, 200):
        shown, letters = written(frame, "DOE JOHN", (260, 250), ink, FONTS[0], 0.6, 1)
        keep, doubt = cleaned(shown)
        assert doubt == "nothing moves in it, and marks that may be text lie over the image"
        legible = letters & (np.abs(shown.astype(int) - frame) >= LEGIBLE)
        assert legible.sum() > 50
        assert not (legible & keep).any()


def test_a_caliper_is_blacked_and_raises_no_doubt(still: tuple[np.ndarray, np.ndarray]) -> None:
    frame, _ = still
    shown = frame.copy()
    shown[250, 315:326] = shown[245:256, 320] = 255
    keep, doubt = cleaned(shown)
    assert doubt is None
    assert not keep[244:257, 314:327].any()


def test_where_tissue_is_as_sharp_as_letters_nothing_is_claimed() -> None:
    fan = moving_fan(frames=1)[1]
    noise = np.random.default_rng(0).integers(20, 220, fan.shape).astype(np.uint8)
    assert cleaned(np.where(fan, noise, np.uint8(0)))[1] is not None
    coarse = cv2.GaussianBlur(noise, (0, 0), 0.8)
    frame = np.where(fan, coarse, np.uint8(0))
    assert not search_is_sure(frame, searched_part(frame, fan))
    assert cleaned(frame)[1] == "nothing moves in it, so that text over the image cannot be told from tissue"


def test_one_frame_of_many_is_not_enough(still: tuple[np.ndarray, np.ndarray]) -> None:
    frames = still[0][None]
    sector = find_sector(frames)
    assert sector is not None
    assert clean_pixels(frames, sector, every_frame=False).doubt == (
        "nothing moves in it, and not every frame was searched for text"
    )


def test_a_cine_that_moves_is_searched_by_its_stillness() -> None:
    frames, _, text = scanner_screen()
    sector = find_sector(frames)
    assert sector is not None
    clean = clean_pixels(frames, sector, every_frame=False)
    assert clean.doubt is None
    assert not (clean.keep & text).any()


def test_borders_of_insets_are_no_letters() -> None:
    y, x = np.mgrid[:400, :500]
    frame = (110 + 40 * np.sin(x / 19) * np.cos(y / 23)).astype(np.uint8)
    frame[300:, 350:] = 0
    frame[:, 120] = 230  # a side of a colour box
    part = searched_part(frame, np.ones(frame.shape, dtype=bool))
    assert not sharp_marks(frame, part).blocks[:, 200:].any()
    assert not part[297:, 347:].any()


# Stills of one scanner; in the second "FL 32.3mm GA 20w0d" stands in the corner of the image.
REAL = {"fetal_planes/images/4ch.jpg": True, "fetal_planes/images/femur.jpg": False}


@pytest.mark.parametrize("name", REAL)
def test_real_stills(test_data: Path, name: str) -> None:
    with open_cine(test_data / name) as cine:
        frames = sampled_frames(cine)
    sector = find_sector(frames)
    assert sector is not None
    clean = clean_pixels(frames, sector, every_frame=True)
    assert (clean.doubt is None) == REAL[name]
    if not REAL[name]:
        assert not clean.keep[690:, 860:].any()
