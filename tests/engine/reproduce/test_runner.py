"""`usssl reproduce`: a stopped run goes on, results of another version are refused, mistakes get one sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from usssl.cli import main
from usssl.engine.reproduce import CLAIMS, load, reproduce, runner
from usssl.engine.reproduce.claim import Claim, Comparison, Metric
from usssl.errors import UsageError, UssslError

calls: list[tuple[str, int]] = []
stop_at: list[int] = []


def measure(arm: str, seed: int, folder: Path) -> Mapping[str, float]:
    if stop_at and len(calls) == stop_at[0]:
        raise KeyboardInterrupt
    calls.append((arm, seed))
    return {"m": (1.0 if arm == "with it" else 0.0) + 0.01 * seed}


def nothing(arm: str, seed: int, folder: Path) -> Mapping[str, float]:
    return {"m": float("nan")}


def toy(measured: object = measure, name: str = "toy") -> Claim:
    return Claim(
        name=name,
        statement="with it is better than without",
        source="nowhere",
        data="numbers",
        arms={"without": "one", "with it": "other"},
        seeds=(0, 1, 2),
        metrics=(Metric("m", "a number", chance=0.5),),
        comparisons=(Comparison("with it", "without", "m"),),
        measure=measured,  # type: ignore[arg-type]
    )


@pytest.fixture(autouse=True)
def _anew() -> None:
    calls.clear()
    stop_at.clear()


def test_a_stopped_claim_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    stop_at.append(3)
    with pytest.raises(KeyboardInterrupt):
        reproduce(toy(), out)
    assert len(list((out / "results").iterdir())) == 3
    assert not (out / "claims.json").exists()
    stop_at.clear()
    found = json.loads(reproduce(toy(), out).read_text())
    # each once, all arms of a seed before the next seed
    assert calls == [(arm, seed) for seed in (0, 1, 2) for arm in ("without", "with it")]
    assert found["verdict"] == "holds"
    assert found["comparisons"][0]["difference"] == {"mean": 1.0, "interval": [1.0, 1.0]}
    assert found["figures"][1]["values"] == [1.0, 1.01, 1.02]
    assert found["command"] == "usssl reproduce toy"
    (machine,) = found["machines"]
    assert machine["kind"] in ("cpu", "gpu")
    assert set(machine) == {"kind", "gpu", "cores", "threads", "instructions", "platform", "python"}, (
        "nothing that names the machine"
    )
    assert (out / "claims.png").read_bytes()[1:4] == b"PNG"
    calls.clear()
    reproduce(toy(), out)
    assert calls == []


def test_results_of_another_version_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reproduce(toy(), tmp_path, seeds=[7])
    monkeypatch.setattr(runner, "_version_of", lambda claim: "another")
    with pytest.raises(UsageError, match="another version of the claim toy; choose another -o"):
        reproduce(toy(), tmp_path, seeds=[7])
    monkeypatch.undo()
    (tmp_path / "results" / "without-7.json").write_text("{")
    with pytest.raises(UsageError, match=r"without-7\.json is not a result"):
        reproduce(toy(), tmp_path, seeds=[7])


def test_a_folder_of_another_claim_is_refused(tmp_path: Path) -> None:
    reproduce(toy(), tmp_path, seeds=[7])
    other = toy(name="other")
    with pytest.raises(UsageError, match=r"holds the claim toy; choose another -o for other$"):
        reproduce(other, tmp_path, seeds=[8])
    (tmp_path / "claims.json").unlink()
    with pytest.raises(UsageError, match="holds the claim toy"):
        reproduce(other, tmp_path, seeds=[8])
    assert calls == [("without", 7), ("with it", 7)], "nothing of the other was measured"
    reproduce(toy(), tmp_path, seeds=[7])
    for result in (tmp_path / "results").iterdir():
        result.unlink()
    with pytest.raises(UsageError, match="holds the claim toy"):
        reproduce(other, tmp_path, seeds=[8])


def test_a_result_that_is_no_number_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(UssslError, match="without, seed 0"):
        reproduce(toy(nothing), tmp_path)
    assert not list((tmp_path / "results").iterdir())


def test_an_unknown_claim_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="did you mean 'vtdl'"):
        load("vtld")
    with pytest.raises(SystemExit) as stopped:
        main(["reproduce", "xyzzy"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("usssl: there is no claim 'xyzzy'; known are: ")


def test_all_claims_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["reproduce"])
    assert stopped.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(CLAIMS)
    assert all(load(name).name == name for name in CLAIMS)


def test_the_command_says_what_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "load", lambda name: toy())
    with pytest.raises(SystemExit) as stopped:
        main(["reproduce", "toy", "-o", str(tmp_path)])
    assert stopped.value.code == 0
    first, second, where = capsys.readouterr().out.splitlines()
    assert first == "with it against without, m: +1.000 (95 % interval 1.000 to 1.000): holds"
    assert second == "toy: holds"
    assert where == str(tmp_path / "claims.json")
