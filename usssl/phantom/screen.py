"""The scanner's screen about the image: header with a fake patient, logo, depth scale, grey bar, focus mark, settings.

Every name, number and vendor is invented. They are burned into the pixels, as on most clinical cines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from usssl.phantom.sector import Sector

Picture = NDArray[np.uint8]

_FAMILY = (
    "ABENDROT",
    "BIRNBAUM",
    "CALLOWAY",
    "DELMONTE",
    "EKSTRAND",
    "FAIRWEATHER",
    "GRUENTAL",
    "HOLLOWAY",
    "IVERDALE",
    "JUNIPER",
    "KESTREL",
    "LINDENHOF",
    "MARIGOLD",
    "NIGHTINGALE",
    "OAKHURST",
    "PEMBERLEY",
    "QUILLFORD",
    "ROSENBAUM",
    "SILVERTON",
    "TANGLEWOOD",
)
_GIVEN = ("ADA", "BEA", "CLARA", "DORA", "ELSA", "FLORA", "GRETA", "HANNA", "IDA", "JUNE", "KARLA", "LENA")


@dataclass(frozen=True)
class Identity:
    """Who the screen and the file say was scanned; invented.

    Attributes:
        name: family and given name, as DICOM writes them (`FAMILY^GIVEN`).
        number: the hospital's number.
        date: date of the examination, `YYYY-MM-DD`.
        time: its time, `HH:MM`.
    """

    name: str
    number: str
    date: str
    time: str

    @classmethod
    def sample(cls, generator: np.random.Generator) -> Identity:
        """An invented person."""
        family, given = generator.choice(_FAMILY), generator.choice(_GIVEN)
        number = f"{generator.integers(10, 100)}-{generator.integers(100000, 1000000)}"
        date = f"{generator.integers(2012, 2026)}-{generator.integers(1, 13):02d}-{generator.integers(1, 29):02d}"
        return cls(
            f"{family}^{given}", number, date, f"{generator.integers(7, 19):02d}:{generator.integers(0, 60):02d}"
        )


@dataclass(frozen=True)
class Layout:
    """How a vendor arranges the screen; all lengths are shares of the frame.

    Attributes:
        vendor: its (invented) name.
        probe: name of its curved probe.
        area: where the image may be (left, top, right, bottom).
        header: height of the header.
        header_grey: its grey value.
        scale_right: whether the depth scale is on the right.
        bar: left and top of the grey bar; negative counts from the right.
        settings_right: whether the settings are listed on the right.
        lettering: OpenCV font.
        logo: which sign is drawn, 0 to 3.
    """

    vendor: str
    probe: str
    area: tuple[float, float, float, float]
    header: float
    header_grey: int
    scale_right: bool
    bar: tuple[float, float]
    settings_right: bool
    lettering: int
    logo: int


LAYOUTS = (
    Layout(
        "Orlanda E4",
        "CV2-6",
        (0.07, 0.075, 0.99, 0.99),
        0.068,
        24,
        False,
        (0.012, 0.16),
        True,
        cv2.FONT_HERSHEY_SIMPLEX,
        0,
    ),
    Layout(
        "Sonavia 70",
        "C5-1x",
        (0.02, 0.105, 0.93, 0.985),
        0.095,
        0,
        True,
        (-0.03, 0.14),
        False,
        cv2.FONT_HERSHEY_PLAIN,
        1,
    ),
    Layout(
        "ECHOLUX", "6C1", (0.04, 0.06, 0.96, 0.93), 0.05, 40, True, (0.015, 0.10), False, cv2.FONT_HERSHEY_DUPLEX, 2
    ),
    Layout(
        "Mirabel HX",
        "SC6-1U",
        (0.10, 0.07, 0.985, 0.95),
        0.06,
        12,
        False,
        (0.02, 0.30),
        True,
        cv2.FONT_HERSHEY_SIMPLEX,
        3,
    ),
)
"""The vendors."""


@dataclass(frozen=True)
class Screen:
    """A drawn screen without its image.

    Attributes:
        picture: its grey values, `(height, width)`.
        drawn: where something is drawn, `(height, width)`, 255 or 0.
        text_boxes: boxes (left, top, right, bottom) of the patient's name, number and date, in pixels.
    """

    picture: Picture
    drawn: Picture
    text_boxes: tuple[tuple[int, int, int, int], ...]

    def show(self, image: Picture) -> Picture:
        """The screen with an image, both `(height, width)`; what is drawn covers the image."""
        shown = image.copy()
        cv2.copyTo(self.picture, self.drawn, shown)
        return shown


def area_px(layout: Layout, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Where the image may be, in pixels (left, top, right, bottom), on a screen of that (height, width)."""
    height, width = size
    left, top, right, bottom = layout.area
    return round(left * width), round(top * height), round(right * width), round(bottom * height)


def draw_screen(layout: Layout, identity: Identity, sector: Sector, focus_mm: float, notes: tuple[str, ...]) -> Screen:
    """Draws everything but the image.

    Args:
        layout: the vendor's arrangement.
        identity: who was scanned.
        sector: the image, for the depth scale.
        focus_mm: depth of the focus.
        notes: lines of settings, such as `Gn 3`.
    """
    height, width = sector.size
    picture, drawn = np.zeros(sector.size, np.uint8), np.zeros(sector.size, np.uint8)
    write = _pen(picture, drawn, layout.lettering, height / 240)
    header = round(layout.header * height)
    if header > 1 and layout.header_grey:
        cv2.rectangle(picture, (0, 0), (width - 1, header - 1), layout.header_grey, -1)
        cv2.rectangle(drawn, (0, 0), (width - 1, header - 1), 255, -1)
    name = identity.name.replace("^", ", ")
    left = round(0.13 * width)
    boxes = [
        write(name, (left, round(0.036 * height)), 0.9, 225),
        write(identity.number, (round(0.44 * width), round(0.036 * height)), 0.9, 210),
        write(f"{identity.date} {identity.time}", (round(0.70 * width), round(0.036 * height)), 0.9, 210),
    ]
    if layout.header > 0.08:
        write(f"{layout.vendor}  {layout.probe}", (left, round(0.082 * height)), 0.8, 170)
    else:
        write(layout.vendor, (round(0.02 * width), round(0.975 * height)), 0.75, 150)
    _logo(
        picture, drawn, layout.logo, (round(0.055 * width), max(4, round(0.04 * height))), max(3, round(0.03 * height))
    )
    edge = round((0.865 if layout.settings_right else 0.04) * width)
    for row, note in enumerate((layout.probe, *notes)):
        write(note, (edge, round((0.15 + 0.042 * row) * height)), 0.78, 165)
    _grey_bar(picture, drawn, layout, sector.size)
    _depth_scale(picture, drawn, layout, sector, focus_mm, write)
    return Screen(picture, drawn, tuple(boxes))


Pen = Callable[[str, tuple[int, int], float, int], tuple[int, int, int, int]]


def _pen(picture: Picture, drawn: Picture, lettering: int, scale: float) -> Pen:
    """A function that writes text at a place, size and grey, and returns its box."""

    def write(text: str, where: tuple[int, int], size: float, grey: int) -> tuple[int, int, int, int]:
        factor = scale * size * (0.62 if lettering == cv2.FONT_HERSHEY_PLAIN else 0.30)
        (wide, tall), below = cv2.getTextSize(text, lettering, factor, 1)
        x, y = where[0], where[1] + tall // 2
        for target, value in ((picture, grey), (drawn, 255)):
            cv2.putText(
                target, text, (x, y), lettering, factor, value, 1, cv2.LINE_AA if target is picture else cv2.LINE_8
            )
        np.copyto(drawn, 255, where=picture > 60)
        return max(0, x), max(0, y - tall), min(picture.shape[1], x + wide), min(picture.shape[0], y + below)

    return write


def _logo(picture: Picture, drawn: Picture, kind: int, centre: tuple[int, int], size: int) -> None:
    x, y = centre
    for target, value in ((picture, 200), (drawn, 255)):
        if kind == 0:
            cv2.circle(target, centre, size, value, 1, cv2.LINE_AA)
            cv2.ellipse(target, centre, (size // 2, size), 30, 0, 360, value, 1, cv2.LINE_AA)
        elif kind == 1:
            for step in range(3):
                cv2.ellipse(target, (x - size, y), (size * (step + 1) * 2 // 3,) * 2, 0, -40, 40, value, 1, cv2.LINE_AA)
        elif kind == 2:
            cv2.fillPoly(
                target, [np.array([[x - size, y + size], [x, y - size], [x + size, y + size]], np.int32)], value
            )
        else:
            cv2.rectangle(target, (x - size, y - size), (x + size, y + size), value, 1)
            cv2.line(target, (x - size, y + size), (x + size, y - size), value, 1, cv2.LINE_AA)


def _grey_bar(picture: Picture, drawn: Picture, layout: Layout, size: tuple[int, int]) -> None:
    height, width = size
    left = round((layout.bar[0] % 1.0) * width)
    top, tall, wide = round(layout.bar[1] * height), round(0.26 * height), max(2, round(0.014 * width))
    ramp = np.linspace(255, 0, tall).astype(np.uint8)[:, None]
    picture[top : top + tall, left : left + wide] = ramp
    drawn[top : top + tall, left : left + wide] = 255


def _depth_scale(picture: Picture, drawn: Picture, layout: Layout, sector: Sector, focus_mm: float, write: Pen) -> None:
    """A tick every centimetre, a longer one with a number every five, and a triangle at the focus."""
    height, width = sector.size
    x = round((0.975 if layout.scale_right else 0.055) * width)
    _, face = sector.face_px
    out = -1 if layout.scale_right else 1
    for centimetre in range(int(sector.depth_mm // 10) + 1):
        y = round(face + 10 * centimetre / sector.spacing_mm)
        if not 0 <= y < height:
            continue
        long = centimetre % 5 == 0
        for target, value in ((picture, 220 if long else 150), (drawn, 255)):
            cv2.line(target, (x, y), (x + out * (4 if long else 2), y), value, 1)
        if long and centimetre:
            write(str(centimetre), (x - (14 if layout.scale_right else -6) * width // 320, y), 0.7, 150)
    y = round(face + focus_mm / sector.spacing_mm)
    size = max(2, height // 80)
    mark = np.array([[x - out * 2, y], [x - out * (2 + size), y - size], [x - out * (2 + size), y + size]], np.int32)
    for target, value in ((picture, 230), (drawn, 255)):
        cv2.fillPoly(target, [mark], value)
