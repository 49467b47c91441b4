"""What a method claims, in a form that can be measured: arms, seeds, metrics, and which arm should beat which.

The verdict is a pure function of the measured values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from usssl.tasks.intervals import Interval, mean_interval, paired_interval

Measure = Callable[[str, int, Path], Mapping[str, float]]
Verdict = Literal["holds", "not shown", "contradicted"]
Values = Mapping[str, Mapping[str, Sequence[float]]]
"""Metric, then arm, to one value a seed, in the same order of seeds in every arm."""


@dataclass(frozen=True)
class Metric:
    """What is measured of every arm.

    Attributes:
        name: the key in what `measure` returns, such as `shift_sign_accuracy`.
        meaning: one line of words: of what, on what.
        higher_is_better: False for errors and divergences.
        chance: what guessing reaches, where known.
    """

    name: str
    meaning: str
    higher_is_better: bool = True
    chance: float | None = None


@dataclass(frozen=True)
class Comparison:
    """One part of a claim: an arm that should beat another.

    Attributes:
        better: the arm that should be better.
        worse: the other.
        metric: the name of the metric by which.
        part: False for a comparison that is shown beside the claim and does not enter its verdict.
    """

    better: str
    worse: str
    metric: str
    part: bool = True


@dataclass(frozen=True)
class Claim:
    """A method's own claim.

    Attributes:
        name: what `usssl reproduce` calls it.
        statement: one sentence that can be true or false.
        source: where it is claimed.
        data: what it is measured on, in one line.
        arms: name of each arm to a line of words; the first is drawn in grey, as what the others are compared with.
        seeds: that are reported; an arm is trained once for each. Settings were tried on others.
        metrics: what is measured.
        comparisons: which arm should beat which by what.
        measure: `(arm, seed, folder)` to a value for each metric. It depends on arm and seed alone, may keep data in
            `folder/data` and runs in `folder/runs`, and picks up what an interrupted call left there.
    """

    name: str
    statement: str
    source: str
    data: str
    arms: Mapping[str, str]
    seeds: tuple[int, ...]
    metrics: tuple[Metric, ...]
    comparisons: tuple[Comparison, ...]
    measure: Measure

    def __post_init__(self) -> None:
        names = {metric.name for metric in self.metrics}
        for one in self.comparisons:
            if not {one.better, one.worse} <= set(self.arms) or one.metric not in names:
                raise ValueError(f"the claim {self.name} compares what it does not measure: {one}")
        if not any(one.part for one in self.comparisons):
            raise ValueError(f"the claim {self.name} compares nothing")

    def metric(self, name: str) -> Metric:
        """The metric of a name."""
        return next(metric for metric in self.metrics if metric.name == name)


@dataclass(frozen=True)
class Finding:
    """A comparison and what was found.

    Attributes:
        comparison: which.
        difference: `better` minus `worse`, paired by seed, positive where `better` is better (so the sign is turned
            where lower values are better), with its 95 % t interval over seeds.
        verdict: `holds` where the whole interval is above 0, `contradicted` where it is below, else `not shown`.
    """

    comparison: Comparison
    difference: Interval
    verdict: Verdict

    def as_dict(self) -> dict[str, Any]:
        """For `claims.json`; an interval that one seed cannot have is null."""
        return asdict(self.comparison) | {"difference": figure_of(self.difference), "verdict": self.verdict}


def judge(interval: Interval) -> Verdict:
    """What an interval of a difference, positive in the direction that is claimed, says of the claim."""
    if not interval.excludes_zero:
        return "not shown"
    return "holds" if interval.mean > 0 else "contradicted"


def find(claim: Claim, values: Values) -> list[Finding]:
    """The paired difference and the verdict of each comparison."""
    findings = []
    for one in claim.comparisons:
        pair = (values[one.metric][one.better], values[one.metric][one.worse])
        interval = paired_interval(*(pair if claim.metric(one.metric).higher_is_better else reversed(pair)))
        findings.append(Finding(one, interval, judge(interval)))
    return findings


def overall(findings: Sequence[Finding]) -> Verdict:
    """`holds` where every part does, `contradicted` where one is, else `not shown`."""
    verdicts = {finding.verdict for finding in findings if finding.comparison.part}
    if "contradicted" in verdicts:
        return "contradicted"
    return "holds" if verdicts == {"holds"} else "not shown"


def summarise(claim: Claim, values: Values) -> list[dict[str, Any]]:
    """Values, mean and 95 % interval over seeds of each metric and arm, for `claims.json`."""
    return [
        {"metric": metric.name, "arm": arm, "values": list(values[metric.name][arm])}
        | figure_of(mean_interval(values[metric.name][arm]))
        for metric in claim.metrics
        for arm in claim.arms
    ]


def figure_of(interval: Interval) -> dict[str, Any]:
    """`mean` and `interval`, rounded to 6 digits; the interval is None for a single seed."""
    ends = None if interval.count < 2 else [round(interval.low, 6), round(interval.high, 6)]
    return {"mean": round(interval.mean, 6), "interval": ends}
