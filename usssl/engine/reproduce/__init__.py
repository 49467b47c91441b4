"""Each method's own claim, measured by a command that anyone can run.

    usssl reproduce                       # lists the claims
    usssl reproduce cate -o runs/cate     # measures one: runs/cate/claims.json and claims.png

    from usssl.engine.reproduce import reproduce
    reproduce("cate", "runs/cate")                          # the reported seeds
    reproduce("cate", "runs/try", seeds=[100, 101])         # others, to try settings on

A new claim is one file of this package, `<name>.py`, and its name in `runner.CLAIMS`:

    CLAIM = Claim(
        name="cate", statement="...", source="...", data="...",
        arms={"none": "told nothing", "true": "told how the views differ"},   # the first is drawn in grey
        seeds=(0, 1, 2),
        metrics=(Metric("accuracy", "of what, on what", higher_is_better=True, chance=0.5),),
        comparisons=(Comparison(better="true", worse="none", metric="accuracy"),),
        measure=measure,                  # (arm, seed, folder) -> {"accuracy": 0.97}
    )

`measure` depends on arm and seed alone; `folder` is OUT, the same in every call, where it may keep `data/` and `runs/`.
Each result is kept in `OUT/results/<arm>-<seed>.json`, so a stopped run goes on; results of another version of the
claim's file are refused. The verdict is that of the seed-paired differences with their 95 % t intervals (`claim.py`).
`toys.write_store` makes a prepared store of arrays of frames; `probes` reads what a frozen encoder knows.
"""

from __future__ import annotations

from usssl.engine.reproduce.claim import Claim, Comparison, Metric
from usssl.engine.reproduce.runner import CLAIMS, load, reproduce

__all__ = ["CLAIMS", "Claim", "Comparison", "Metric", "load", "reproduce"]
