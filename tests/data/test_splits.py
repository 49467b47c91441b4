from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usssl.data.splits import (
    assign_splits,
    check_fractions,
    find_duplicates,
    joined_keys,
    split_of,
    stated_split,
    withhold_leaks,
)
from usssl.errors import CatalogError, UsageError

FRACTIONS = (0.6, 0.15, 0.25)
people = st.lists(st.text("abcdefgh", min_size=1, max_size=3), unique=True, max_size=30)


def splits_of(patients: list[str | None], ids: list[str] | None = None, stated: list[str | None] | None = None) -> list:
    ids = ids or [f"{number}" for number in range(len(patients))]
    return assign_splits(ids, patients, stated or [None] * len(ids), FRACTIONS, [f"{content}.mp4" for content in ids])


@given(people, people)
def test_a_patient_stays_in_its_split_whoever_else_comes_or_goes(first: list[str], second: list[str]) -> None:
    alone = dict(zip(first, splits_of(list(first)), strict=True))
    together = dict(zip(first + second, splits_of(first + second), strict=True))
    assert all(together[patient] == split for patient, split in alone.items())


@given(st.lists(st.sampled_from("abcde"), max_size=40))
def test_all_cines_of_a_patient_are_in_one_split(patients: list[str]) -> None:
    splits = splits_of(list(patients))
    assert len(set(zip(patients, splits, strict=True))) == len(set(patients))


def test_the_fractions_are_kept_on_average() -> None:
    patients = 20_000
    splits = [split_of(f"patient {number}", FRACTIONS) for number in range(patients)]
    for name, fraction in zip(("train", "val", "test"), FRACTIONS, strict=True):
        deviation = math.sqrt(fraction * (1 - fraction) / patients)
        assert abs(splits.count(name) / patients - fraction) < 4 * deviation


def test_larger_fractions_move_patients_only_one_way() -> None:
    keys = [str(number) for number in range(500)]
    small = {key for key in keys if split_of(key, (0.5, 0.25, 0.25)) == "train"}
    large = {key for key in keys if split_of(key, (0.7, 0.15, 0.15)) == "train"}
    assert small < large


def test_what_the_labels_state_holds_for_the_whole_patient() -> None:
    assert splits_of(["a", "a", "b"], stated=[None, "test", "val"]) == ["test", "test", "val"]


def test_a_patient_stated_in_two_splits_is_refused_with_both_files() -> None:
    with pytest.raises(CatalogError, match=r"1\.mp4 in 'train' and 2\.mp4 in 'test'"):
        splits_of(["a", "b", "b"], stated=[None, "train", "test"])


def test_cines_of_unknown_patients_are_split_by_content() -> None:
    first, second = splits_of([None, None], ids=["same", "same"])
    assert first == second
    assert len(set(splits_of([None] * 100))) == 3


def test_keys_that_cines_share_join_them_in_chains() -> None:
    keys = joined_keys([{"a"}, {"a", "b"}, {"c"}, {"b", "d"}, set(), {"d"}])
    assert keys[0] == keys[1] == keys[3] == keys[5]
    assert keys[2] == "c"
    assert keys[4] is None


@given(st.lists(st.sets(st.sampled_from("abcdefgh"), max_size=3), max_size=12))
def test_joined_keys_are_equal_exactly_where_a_chain_connects(keys: list[set[str]]) -> None:
    joined = joined_keys(keys)
    reach = [set(own) for own in keys]
    for _ in keys:  # the transitive closure, the slow way
        reach = [set().union(*(other for other in reach if own & other)) if own else set() for own in reach]
    for row, own in enumerate(reach):
        for column, other in enumerate(reach):
            if own and other:
                assert (joined[row] == joined[column]) == bool(own & other)


def test_duplicates_point_to_the_first_or_to_what_counted_before() -> None:
    assert find_duplicates(["x", "y", "x", "x"]) == [None, None, 0, 0]
    assert find_duplicates(["x", "y", "x", "x"], first={"x": 2}) == [2, None, None, 2]


def test_a_duplicate_is_withheld_where_its_original_is_on_another_side() -> None:
    assert withhold_leaks(["train", "test", "train"], [None, 0, 0]) == ["train", None, "train"]


@pytest.mark.parametrize(
    ("value", "split"), [("train", "train"), ("Validation", "val"), (" TEST ", "test"), ("example", None), (None, None)]
)
def test_stated_splits_are_understood_or_left_out(value: str | None, split: str | None) -> None:
    assert stated_split(value) == split


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (0.7, 0.7, -0.4), (0.6, 0.2, 0.1)])
def test_fractions_that_are_none_are_refused(fractions: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="sum to 1"):
        check_fractions(fractions)
