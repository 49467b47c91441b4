"""NT-Xent, forward and backward, against lightly's: 128 numbers an embedding, batches of 128, 256 and 512, two threads.

MONAI's `ContrastiveLoss` is timed beside them, once and without a goal: trainers of medical images meet it first.
"""

from __future__ import annotations

import sys
import time

import torch
from measure import alternate, is_installed, print_machine, torchvision_operators

from usssl.methods.functional import nt_xent

DIM, BATCHES, TEMPERATURE = 128, (128, 256, 512), 0.5
ROUNDS, STEPS = 15, 10


def step(loss, batch: int):
    """One forward and backward step on embeddings of this batch, `STEPS` times."""
    torch.manual_seed(0)
    z1, z2 = (torch.randn(batch, DIM, requires_grad=True) for _ in range(2))

    def run():
        for _ in range(STEPS):
            z1.grad = z2.grad = None
            loss(z1, z2).backward()
        return z1.grad

    return run


def main() -> int:
    torch.set_num_threads(2)
    print_machine(["torch", "lightly", "monai"])
    if not (is_installed("lightly") and is_installed("torchvision")):
        return 1
    library = torchvision_operators()
    from lightly.loss import NTXentLoss
    from monai.losses import ContrastiveLoss

    met = []
    for batch in BATCHES:
        sides = {
            "usssl": step(lambda a, b: nt_xent(a, b, TEMPERATURE), batch),
            "lightly": step(NTXentLoss(temperature=TEMPERATURE), batch),
        }
        torch.testing.assert_close(sides["usssl"](), sides["lightly"](), atol=1e-5, rtol=1e-3)
        seconds = alternate(sides, ROUNDS)
        took = ", ".join(f"{name} {1000 * s / STEPS:.2f} ms" for name, s in seconds.items())
        print(f"batch {batch}: {took}")
        ratio = seconds["usssl"] / seconds["lightly"]
        print(f"RATIO loss_nt_xent_{batch}_over_lightly {ratio:.2f} goal <=1", flush=True)
        met.append(ratio <= 1)
    started = time.perf_counter()
    z1, z2 = (torch.randn(BATCHES[0], DIM, requires_grad=True) for _ in range(2))
    ContrastiveLoss(temperature=TEMPERATURE)(z1, z2).backward()
    took = 1000 * (time.perf_counter() - started)
    print(f"for comparison, MONAI's ContrastiveLoss at batch {BATCHES[0]}: {took:.0f} ms")
    del library
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
