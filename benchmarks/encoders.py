"""Milliseconds that each encoder at width 1 takes for a clip on one core, beside torchvision's same network.

Both see the same RGB clip and give feature maps, no classifier; weights do not matter to the time. `resnet18` and
`resnet50` see the clip's frames one by one, as torchvision's take a batch of images. A peer is only timed where its
features have the shape of ours. Encoders without a peer are timed alone. What counts is the processor's time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import torch
from measure import ROUNDS, alternate, is_installed, print_machine, torchvision_operators
from torch import Tensor, nn

from usssl.models import encoders

FRAMES, SIZE = 16, 128  # a side that every stride divides, for S3D rounds another up where torchvision cuts it
GOAL = 1.1
VIDEO_PEERS = {"r3d18": "r3d_18", "r2plus1d18": "r2plus1d_18", "s3d": "s3d"}
FRAME_PEERS = {"resnet18": "resnet18", "resnet50": "resnet50"}


def ours(name: str, clip: Tensor) -> Callable[[], Tensor]:
    encoder = encoders.build(name, channels=3, width=1.0).eval()
    return lambda: encoder.features(clip)


def peer(name: str, clip: Tensor) -> Callable[[], Tensor] | None:
    """Torchvision's network up to its last maps, on the clip in the layout that it takes."""
    from torchvision import models

    if name in FRAME_PEERS:
        network = getattr(models, FRAME_PEERS[name])()
        body = nn.Sequential(*list(network.children())[:-2]).eval()
        frames = clip.flatten(0, 1).contiguous()
        return lambda: body(frames).unflatten(0, clip.shape[:2])
    if name in VIDEO_PEERS:
        network = getattr(models.video, VIDEO_PEERS[name])()
        body = network.features if hasattr(network, "features") else nn.Sequential(*list(network.children())[:-2])
        body.eval()
        video = clip.transpose(1, 2).contiguous()
        return lambda: body(video).transpose(1, 2)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=encoders.names(), help="encoders to time; all by default")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print_machine(["torch", "monai", "torchvision"])
    library = torchvision_operators() if is_installed("torchvision") else None
    clip = torch.randn(1, FRAMES, 3, SIZE, SIZE)
    print(f"a clip: {FRAMES} RGB frames of {SIZE}x{SIZE}, one thread, inference, median of {arguments.rounds}")
    met = []
    with torch.inference_mode():
        for name in arguments.names:
            sides = {"usssl": ours(name, clip)}
            if library is not None and (other := peer(name, clip)) is not None:
                assert other().shape == sides["usssl"]().shape, name
                sides["torchvision"] = other
            seconds = alternate(sides, arguments.rounds, clock=time.process_time)
            print(
                f"{name}: " + ", ".join(f"{side} {1000 * s:.0f} ms a clip" for side, s in seconds.items()), flush=True
            )
            if "torchvision" in seconds:
                ratio = seconds["usssl"] / seconds["torchvision"]
                print(f"RATIO encoder_{name}_over_torchvision {ratio:.2f} goal <={GOAL:g}", flush=True)
                met.append(ratio <= GOAL)
    return 0 if met and all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
