"""Verdicts, by numbers worked out by hand."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest

from usssl.engine.reproduce.claim import Claim, Comparison, Metric, find, judge, overall, summarise
from usssl.tasks.intervals import Interval


def claim(*comparisons: Comparison, higher: bool = True) -> Claim:
    return Claim(
        name="toy",
        statement="b beats a",
        source="nowhere",
        data="numbers",
        arms={"a": "one", "b": "other"},
        seeds=(0, 1, 2),
        metrics=(Metric("m", "a number", higher_is_better=higher),),
        comparisons=comparisons or (Comparison("b", "a", "m"),),
        measure=lambda arm, seed, folder: {"m": 0.0},
    )


def test_a_difference_that_is_alike_in_all_seeds_holds() -> None:
    # differences .1, .2, .3: mean .2, deviation .1, half width 4.302653 x .1 / sqrt(3) = .248414
    (loose,) = find(claim(), {"m": {"a": [0.5, 0.6, 0.7], "b": [0.6, 0.8, 1.0]}})
    assert loose.verdict == "not shown"
    assert loose.difference.mean == pytest.approx(0.2)
    assert (loose.difference.low, loose.difference.high) == pytest.approx((-0.048414, 0.448414), abs=1e-6)
    # differences .2, .21, .19: half width .024841
    (tight,) = find(claim(), {"m": {"a": [0.5, 0.1, 0.9], "b": [0.7, 0.31, 1.09]}})
    assert tight.verdict == "holds"
    assert tight.difference.low == pytest.approx(0.2 - 0.024841, abs=1e-6)


def test_the_sign_is_turned_where_lower_is_better() -> None:
    values = {"m": {"a": [0.5, 0.1, 0.9], "b": [0.7, 0.31, 1.09]}}
    (finding,) = find(claim(higher=False), values)
    assert finding.verdict == "contradicted"
    assert finding.difference.mean == pytest.approx(-0.2)
    assert find(claim(), {"m": {"a": values["m"]["b"], "b": values["m"]["a"]}})[0].verdict == "contradicted"


def test_one_seed_and_equal_arms_show_nothing() -> None:
    assert find(claim(), {"m": {"a": [0.1], "b": [0.9]}})[0].verdict == "not shown"
    assert find(claim(), {"m": {"a": [0.1, 0.2], "b": [0.1, 0.2]}})[0].verdict == "not shown"
    assert judge(Interval(0.1, math.nan, math.nan, 1, 0.95)) == "not shown"


def test_a_claim_holds_where_each_of_its_parts_does() -> None:
    shown, other = Comparison("b", "a", "m"), Comparison("a", "b", "m")
    beside = dataclasses.replace(other, part=False)
    values = {"m": {"a": [0.0, 0.0, 0.0], "b": [1.0, 1.1, 0.9]}}
    assert overall(find(claim(shown), values)) == "holds"
    assert overall(find(claim(shown, beside), values)) == "holds", "what is shown beside does not count"
    assert overall(find(claim(shown, other), values)) == "contradicted"
    loose = {"m": {"a": [0.0, 0.0, 0.0], "b": [1.0, 9.0, -5.0]}}
    assert overall(find(claim(shown), loose)) == "not shown"


def test_a_claim_compares_what_it_measures() -> None:
    with pytest.raises(ValueError, match="does not measure"):
        claim(Comparison("b", "c", "m"))
    with pytest.raises(ValueError, match="does not measure"):
        claim(Comparison("b", "a", "n"))
    with pytest.raises(ValueError, match="compares nothing"):
        claim(Comparison("b", "a", "m", part=False))


def test_the_summary_has_an_interval_from_two_seeds_on() -> None:
    first, second = summarise(claim(), {"m": {"a": [1.0, 3.0], "b": [2.0, 2.0]}})
    # mean 2, deviation sqrt(2), half width 12.706205 x sqrt(2) / sqrt(2)
    assert first == {"metric": "m", "arm": "a", "values": [1.0, 3.0], "mean": 2.0, "interval": [-10.706205, 14.706205]}
    assert second["interval"] == [2.0, 2.0]
    assert summarise(claim(), {"m": {"a": [1.0], "b": [2.0]}})[0]["interval"] is None


RESULTS = sorted((Path(__file__).resolve().parents[3] / "docs" / "results").glob("*.json"))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_committed_verdicts_follow_from_their_values(path: Path) -> None:
    found = json.loads(path.read_text())
    if "comparisons" not in found or "figures" not in found:
        pytest.skip("not a claim")
    values: dict[str, dict[str, list[float]]] = {}
    for line in found["figures"]:
        values.setdefault(line["metric"], {})[line["arm"]] = line["values"]
    told = dataclasses.replace(
        claim(),
        arms=found["arms"],
        metrics=tuple(Metric(**metric) for metric in found["metrics"]),
        comparisons=tuple(
            Comparison(*(line[key] for key in ("better", "worse", "metric", "part"))) for line in found["comparisons"]
        ),
    )
    findings = find(told, values)
    assert [finding.as_dict() for finding in findings] == found["comparisons"]
    assert overall(findings) == found["verdict"]
