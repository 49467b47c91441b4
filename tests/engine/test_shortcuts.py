"""The shortcut checks run on what either variant of order_transform has trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import usssl
from usssl.engine.shortcuts import check_shortcuts
from usssl.methods.order_transform import OrderTransform


@pytest.mark.parametrize("variant", ["parallel", "sequential"])
def test_both_variants_are_checked(
    tmp_path: Path, pretrain_recipe: dict[str, Any], variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = {"name": "order_transform", "variant": variant, "hidden": 16, "orders": 2, "min_motion": 0}
    trainer = {**pretrain_recipe["trainer"], "epochs": 1, "clips_per_epoch": 4}
    run = usssl.pretrain(pretrain_recipe | {"method": method, "trainer": trainer}, out=tmp_path / "run")
    seen: list[dict[str, torch.Tensor]] = []
    scores = OrderTransform.order_scores

    def keep(self: OrderTransform, views: dict[str, torch.Tensor]) -> torch.Tensor:
        seen.append(views)
        return scores(self, views)

    monkeypatch.setattr(OrderTransform, "order_scores", keep)
    found = check_shortcuts(run, clips=32, out=tmp_path / "checks.json")
    assert [one.condition for one in found] == ["held_out", "frozen", "masked_border", "border_only"]
    assert all(0 <= one.low <= one.accuracy <= one.high <= 1 and one.clips == 32 for one in found)
    assert {one.chance for one in found} == {1 / 12}
    assert [row["accuracy"] for row in json.loads((tmp_path / "checks.json").read_text())] == [
        one.accuracy for one in found
    ]
    for name in ("clip", "transformed"):  # the head of either variant is shown no view unmasked
        whole, _, masked, border = (views[name] for views in seen)
        assert (masked[..., :5, :] == whole.amin()).all()
        assert (border[..., 5:-5, 6:-6] == whole.amin()).all()
        torch.testing.assert_close(masked[..., 5:-5, 6:-6], whole[..., 5:-5, 6:-6])
