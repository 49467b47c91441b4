"""What a report is made of: plain, frozen data that any part of the engine can fill; every part may be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
Map = NDArray[np.floating]


@dataclass(frozen=True)
class Figure:
    """A figure to read first, such as a macro F1.

    Attributes:
        name: what it is.
        value: as it is printed, with unit and interval.
        note: what it stands on or is compared with.
    """

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Curves:
    """What a training logged.

    Attributes:
        title: which training.
        series: name to `(step, value)` points; `val_<name>` is drawn beside `<name>`.
        chance: name to the value that guessing reaches, drawn as a line.
    """

    title: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    chance: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """One metric of several arms, such as random against pretrained, at one or more label budgets.

    Attributes:
        metric: its name, such as "macro F1".
        budgets: the label budgets, such as `("2 cines", "8 cines")`.
        arms: arm to a list for each budget of one value a seed, in the same order of seeds in each arm. The first arm
            is the one that the others are compared with.
        higher_is_better: False for divergences.
        task: the task that was measured.
        chance: the value that guessing reaches, where known.
    """

    metric: str
    budgets: Sequence[str]
    arms: Mapping[str, Sequence[Sequence[float]]]
    higher_is_better: bool = True
    task: str = ""
    chance: float | None = None

    def __post_init__(self) -> None:
        for arm, values in self.arms.items():
            if len(values) != len(self.budgets):
                raise ValueError(
                    f"arm {arm!r} has {len(values)} lists of values, but there are {len(self.budgets)} budgets"
                )


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix on test frames.

    Attributes:
        classes: their names.
        counts: `(classes, classes)`, rows the truth.
        title: which model, on what.
    """

    classes: Sequence[str]
    counts: NDArray[np.integer]
    title: str = ""

    def __post_init__(self) -> None:
        size = len(self.classes)
        if np.shape(self.counts) != (size, size):
            raise ValueError(f"a confusion matrix of {size} classes is {size} x {size}, not {np.shape(self.counts)}")


@dataclass(frozen=True)
class SaliencyExample:
    """A frame with the map that the model predicts and the one that was recorded.

    Attributes:
        cine: its name.
        time_s: time of the frame in the cine.
        frame: `(H, W)` or `(H, W, 3)` uint8.
        predicted: map of the whole frame, of any size.
        truth: recorded map of the whole frame, if there is one.
        fixations: recorded gaze points `(n, 2)`, row and column in pixels of the frame, if there are any.
        scores: metric to value.
    """

    cine: str
    time_s: float
    frame: Frame
    predicted: Map
    truth: Map | None = None
    fixations: NDArray[np.floating] | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PlaneFound:
    """The best frame of a plane in a cine.

    Attributes:
        plane: predicted plane.
        cine: the cine's name.
        time_s: time of the frame in the cine.
        probability: of the plane, 0 to 1.
        frame: `(H, W)` or `(H, W, 3)` uint8.
        truth: the plane that the frame really shows, where known.
    """

    plane: str
    cine: str
    time_s: float
    probability: float
    frame: Frame
    truth: str | None = None


@dataclass(frozen=True)
class Timeline:
    """Plane probabilities over a cine.

    Attributes:
        cine: its name.
        times: `(T,)` seconds.
        classes: their names.
        probabilities: `(T, classes)`.
        truth: `(T,)` class numbers, where known.
    """

    cine: str
    times: NDArray[np.floating]
    classes: Sequence[str]
    probabilities: NDArray[np.floating]
    truth: NDArray[np.integer] | None = None

    def __post_init__(self) -> None:
        expected = (len(self.times), len(self.classes))
        if np.shape(self.probabilities) != expected or (self.truth is not None and len(self.truth) != expected[0]):
            raise ValueError(f"the timeline of {self.cine} must have one row of {expected[1]} probabilities a time")


@dataclass(frozen=True)
class ShortcutCheck:
    """The pretext task's accuracy under one condition.

    Attributes:
        name: the condition, such as "Frozen cines".
        value: accuracy, 0 to 1.
        low: lower end of its interval, if there is one.
        high: upper end.
        expected: what should be seen if no shortcut is taken, in words.
        passed: whether it was seen.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    expected: str = ""
    passed: bool | None = None


@dataclass(frozen=True)
class ShortcutChecks:
    """Whether the pretext task was solved by the anatomy.

    Attributes:
        checks: the conditions.
        chance: what guessing reaches.
        measure: the name of the accuracy.
    """

    checks: Sequence[ShortcutCheck]
    chance: float
    measure: str = "Order accuracy on held-out patients"


@dataclass(frozen=True)
class Measured:
    """A metric with its interval.

    Attributes:
        name: of the metric.
        value: the estimate.
        low: lower end of its interval, if there is one.
        high: upper end.
        note: what it stands on, such as "12 test patients".
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True)
class BundleFacts:
    """An exported bundle.

    Attributes:
        name: of the bundle's folder.
        facts: what its metadata says: task, classes, parity, size, sha256.
        metrics: what it reaches on test patients.
    """

    name: str
    facts: Mapping[str, str]
    metrics: Sequence[Measured] = ()


@dataclass(frozen=True)
class Failure:
    """An input that failed.

    Attributes:
        path: the file.
        reason: why, in one sentence.
    """

    path: str
    reason: str


@dataclass(frozen=True)
class Report:
    """A report; a part that is empty is left out.

    Attributes:
        title: heads the page.
        lead: what the reader should know first, in a sentence or two.
        notice: a warning across the page, such as that the data are made up.
        figures: the few figures to read first.
        facts: about the run: name to value.
        recipe: the resolved recipe, as YAML.
        provenance: versions, seed, hardware, command: name to value.
        curves: one a training.
        comparisons: one a metric.
        confusions: one a model.
        saliency: examples.
        planes: best frames.
        timelines: one a cine.
        shortcuts: of the pretext task.
        bundles: exported ones.
        failures: inputs that failed.
    """

    title: str
    lead: str = ""
    notice: str = ""
    figures: Sequence[Figure] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    recipe: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict)
    curves: Sequence[Curves] = ()
    comparisons: Sequence[Comparison] = ()
    confusions: Sequence[Confusion] = ()
    saliency: Sequence[SaliencyExample] = ()
    planes: Sequence[PlaneFound] = ()
    timelines: Sequence[Timeline] = ()
    shortcuts: ShortcutChecks | None = None
    bundles: Sequence[BundleFacts] = ()
    failures: Sequence[Failure] = ()
