"""Random numbers: independent of the batch, well distributed, named."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from usssl.augment import Seeds


def test_a_row_does_not_depend_on_its_batch():
    whole = Seeds.for_samples(5, 1, range(100), view=1)
    part = Seeds.for_samples(5, 1, [42, 7], view=1)
    for draw in (
        lambda s: s.uniform("x", count=3),
        lambda s: s.integers("i", 0, 9),
        lambda s: s.permutation("p", 5),
        lambda s: s.chance("c", 0.5),
        lambda s: s.child("op").uniform("x"),
        lambda s: s.per_frame(1).uniform("x"),
    ):
        assert torch.equal(draw(whole)[[42, 7]], draw(part))
    assert [g.initial_seed() for g in part.generators("n")] == [
        whole.generators("n")[i].initial_seed() for i in (42, 7)
    ]


def test_everything_that_names_a_draw_changes_it():
    base = Seeds.for_samples(1, 2, [3], view=4).uniform("x").item()
    others = [
        Seeds.for_samples(*at, view=view).uniform(name).item()
        for at, view, name in [
            ((0, 2, [3]), 4, "x"),
            ((1, 3, [3]), 4, "x"),
            ((1, 2, [4]), 4, "x"),
            ((1, 2, [3]), 5, "x"),
            ((1, 2, [3]), 4, "y"),
            ((2, 1, [3]), 4, "x"),
        ]
    ]
    assert len({base, *others}) == 7


def test_draws_are_uniform_and_independent():
    seeds = Seeds.for_samples(0, 0, range(20000))
    x, y = seeds.uniform("x"), seeds.uniform("y")
    assert stats.kstest(x.numpy(), "uniform").pvalue > 1e-3
    assert abs(torch.corrcoef(torch.stack([x, y]))[0, 1]) < 0.03
    assert abs(torch.corrcoef(torch.stack([x[:-1], x[1:]]))[0, 1]) < 0.03  # neighbouring samples
    integers = seeds.integers("i", 2, 7)
    assert stats.chisquare(torch.bincount(integers - 2).numpy()).pvalue > 1e-3
    assert seeds.chance("c", 0.3).double().mean().item() == pytest.approx(0.3, abs=0.015)


def test_a_torch_generator_serves_as_well_and_repeats():
    first, again = (Seeds.of(torch.Generator().manual_seed(3), 4).uniform("x") for _ in range(2))
    assert torch.equal(first, again)
    generator = torch.Generator().manual_seed(3)
    assert not torch.equal(Seeds.of(generator, 4).uniform("x"), Seeds.of(generator, 4).uniform("x"))


def test_one_seed_a_clip_is_asked_for():
    with pytest.raises(ValueError, match="one seed a clip"):
        Seeds.of(Seeds.for_samples(0, 0, range(3)), 4)
