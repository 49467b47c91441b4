"""Measures a claim, one arm and seed after the other, and writes what was found; a stopped run goes on."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from usssl import progress
from usssl.engine.reproduce.claim import Claim, Measure, Values, find, overall, summarise
from usssl.engine.run import Run, machine, write_text
from usssl.errors import UsageError, UssslError

CLAIMS = ("cate", "cep", "cvrl", "order_transform", "vtdl")
"""Each is a module of this package with a `CLAIM`."""


def load(name: str) -> Claim:
    """A claim by its name.

    Raises:
        UsageError: there is none of that name; the nearest is suggested.
    """
    if name not in CLAIMS:
        close = get_close_matches(name, CLAIMS, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"known are: {', '.join(CLAIMS)}"
        raise UsageError(f"there is no claim {name!r}; {hint}")
    claim: Claim = import_module(f"usssl.engine.reproduce.{name}").CLAIM
    return claim


def reproduce(claim: str | Claim, out: str | Path | None = None, *, seeds: Sequence[int] | None = None) -> Path:
    """Measures a method's own claim and says whether it holds.

    Every result is written whole to `OUT/results/<arm>-<seed>.json` as soon as it is there, and is not measured again.

    Args:
        claim: the name of one, or a claim.
        out: the folder; `runs/reproduce/<claim>` where None.
        seeds: in place of the claim's own, to try settings on seeds that are not reported.

    Returns:
        `claims.json`; `claims.png` beside it draws the same.

    Raises:
        UsageError: no such claim, or the folder holds another claim, or results of another version of this one.
        OutputError: the folder cannot be written.
    """
    if isinstance(claim, str):
        claim = load(claim)
    out = Path(out or Path("runs") / "reproduce" / claim.name)
    seeds = tuple(claim.seeds if seeds is None else seeds)
    _version_of(claim)
    Run.check_writable(out)
    _check_own(claim, out)
    (out / "results").mkdir(parents=True, exist_ok=True)
    # A seed of all arms before the next seed: a run that is stopped early has pairs to compare.
    trials = [(arm, seed) for seed in seeds for arm in claim.arms]
    kept = {trial: found for trial in trials if (found := _kept(claim, *trial, out))}
    if kept:
        progress.say(f"{len(kept)} of {len(trials)} results are there already")
    missing = [trial for trial in trials if trial not in kept]
    for trial in progress.track(missing, f"Reproducing {claim.name}", unit="result"):
        kept[trial] = _kept(claim, *trial, out) or _measure(claim, *trial, out)  # another process may share the work
    values = {m.name: {arm: [kept[arm, seed]["metrics"][m.name] for seed in seeds] for arm in claim.arms}
              for m in claim.metrics}  # fmt: skip
    return _write(claim, seeds, values, list(kept.values()), out)


def _check_own(claim: Claim, out: Path) -> None:
    """Refuses a folder in which another claim was measured: arms of one name would be taken for each other's."""
    for path in (out / "claims.json", *sorted((out / "results").glob("*.json"))):
        try:
            name = json.loads(path.read_text())["claim"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # `_kept` says of a result that it is none
        if name != claim.name:
            raise UsageError(f"{out} holds the claim {name}; choose another -o for {claim.name}")


def _measure(claim: Claim, arm: str, seed: int, out: Path) -> dict[str, Any]:
    started = time.monotonic()
    with _quiet():
        metrics = dict(claim.measure(arm, seed, out))
    wanted = {metric.name for metric in claim.metrics}
    if set(metrics) != wanted or not all(math.isfinite(value) for value in metrics.values()):
        raise UssslError(f"{claim.name}: {arm}, seed {seed}, gave {metrics}, not a number for each of {sorted(wanted)}")
    result = {
        "claim": claim.name,
        "version": _version_of(claim),
        "arm": arm,
        "seed": seed,
        "metrics": {name: float(value) for name, value in metrics.items()},
        "seconds": round(time.monotonic() - started, 1),
        **machine(),
    }
    write_text(_place(out, arm, seed), json.dumps(result, indent=1) + "\n")
    return result


def _place(out: Path, arm: str, seed: int) -> Path:
    return out / "results" / f"{arm.replace(' ', '_')}-{seed}.json"


def _kept(claim: Claim, arm: str, seed: int, out: Path) -> dict[str, Any] | None:
    path = _place(out, arm, seed)
    if not path.is_file():
        return None
    try:
        result: dict[str, Any] = json.loads(path.read_text())
        version = result["version"]
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"{path} is not a result of a claim; remove it, or choose another -o") from None
    if version != _version_of(claim):
        raise UsageError(f"{path} was measured by another version of the claim {claim.name}; choose another -o")
    return result


def _version_of(claim: Claim) -> str:
    """A hash of the claim's file, so that results of other settings are not taken for its own."""
    return _hash_of_file(claim.measure)


@cache
def _hash_of_file(measure: Measure) -> str:
    """Read once: a file that is edited while its claim is measured is not what was measured."""
    return hashlib.sha256(inspect.getsource(inspect.getmodule(measure) or measure).encode()).hexdigest()[:16]


def _write(claim: Claim, seeds: tuple[int, ...], values: Values, results: list[dict[str, Any]], out: Path) -> Path:
    from usssl.engine.reproduce.drawing import draw

    findings = find(claim, values)
    found = {
        "claim": claim.name,
        "statement": claim.statement,
        "source": claim.source,
        "data": claim.data,
        "verdict": overall(findings),
        "arms": dict(claim.arms),
        "seeds": list(seeds),
        "metrics": [vars(metric) for metric in claim.metrics],
        "comparisons": [finding.as_dict() for finding in findings],
        "figures": summarise(claim, values),
        "command": f"usssl reproduce {claim.name}",
        "seconds": round(sum(result["seconds"] for result in results)),
        "machines": _distinct([_machine_of(result) for result in results]),
        "versions": _distinct([result["packages"] for result in results]),
        "version": _version_of(claim),
    }
    draw(claim, values, out / "claims.png")
    write_text(out / "claims.json", json.dumps(found, indent=1) + "\n")
    return out / "claims.json"


def _machine_of(result: Mapping[str, Any]) -> dict[str, Any]:
    shown = ("kind", "gpu", "cores", "threads", "instructions", "platform", "python")
    return {key: result[key] for key in shown if key in result}


def _distinct(things: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [thing for place, thing in enumerate(things) if thing not in things[:place]]


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress of the trainings inside: that of the claim says more."""
    before = progress.is_quiet()
    progress.set_quiet(True)
    try:
        yield
    finally:
        progress.set_quiet(before)
