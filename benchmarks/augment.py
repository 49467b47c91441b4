"""Clip augmentation: clips a second over kornia's `VideoSequential` and over torchvision v2 applied clip by clip.

16 clips of 16 x 3 x 144 x 192 uint8 to 112 x 112 float, two threads, the same op list on all sides: affine, resized
crop, flip, brightness-contrast-saturation-hue, grey; once more with a Gaussian blur. Also the peak memory beyond the
input, over the output's, and the distance from the plain unfused path that the tests keep. On a GPU, the same there.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path

import numpy as np
import torch
from measure import alternate, is_installed, print_machine, ratio_line, torchvision_operators

from usssl.augment import ClipBatch, Seeds, ViewAugmentation

CLIPS, SIZE = (16, 16, 3, 144, 192), (112, 112)
ROUNDS = 7
GOALS = {"kornia": (8.0, 5.0), "torchvision": (4.0, 2.5)}


def ours(blur: bool) -> ViewAugmentation:
    return ViewAugmentation(
        ops=[
            {"name": "affine", "rotation": 10, "translation": 0.1, "scale": (0.9, 1.1), "shear": 5},
            {"name": "resized_crop", "size": SIZE, "area": (0.3, 1.0)},
            {"name": "flip"},
            *([{"name": "gaussian_blur", "sigma": (0.1, 2.0), "radius": 5}] if blur else []),
            {"name": "colour_jitter", "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1, "p": 1.0},
            {"name": "grey", "p": 0.2},
        ]
    )


def kornia_side(blur: bool):
    from kornia import augmentation as k

    ops = [
        k.RandomAffine(10.0, translate=(0.1, 0.1), scale=(0.9, 1.1), shear=5.0, p=1.0),
        k.RandomResizedCrop(SIZE, scale=(0.3, 1.0)),
        k.RandomHorizontalFlip(p=0.5),
        *([k.RandomGaussianBlur((11, 11), (0.1, 2.0), p=1.0)] if blur else []),
        k.ColorJiggle(0.4, 0.4, 0.4, 0.1, p=1.0),
        k.RandomGrayscale(p=0.2),
    ]
    sequence = k.VideoSequential(*ops, data_format="BTCHW", same_on_frame=True)
    return lambda pixels: sequence(pixels.float() / 255)


def torchvision_side(blur: bool):
    from torchvision.transforms import InterpolationMode, v2

    ops = [
        v2.RandomAffine(10.0, (0.1, 0.1), (0.9, 1.1), 5.0, interpolation=InterpolationMode.BILINEAR),
        v2.RandomResizedCrop(SIZE, scale=(0.3, 1.0)),
        v2.RandomHorizontalFlip(),
        *([v2.GaussianBlur(11, (0.1, 2.0))] if blur else []),
        v2.ColorJitter(0.4, 0.4, 0.4, 0.1),
        v2.RandomGrayscale(0.2),
        v2.ToDtype(torch.float32, scale=True),
    ]
    sequence = v2.Compose(ops)
    return lambda pixels: torch.stack([sequence(clip) for clip in pixels])


def peers():
    """The peers that are here, by name."""
    sides = {}
    if is_installed("kornia"):
        sides["kornia"] = kornia_side
    if is_installed("torchvision"):
        peers.library = torchvision_operators()
        sides["torchvision"] = torchvision_side
    return sides


def speed(pixels: torch.Tensor, sides, wait=lambda: None) -> list[bool]:
    met = []
    for blur in (False, True):
        batch, augmentation = ClipBatch(pixels), ours(blur)
        calls = {"usssl": lambda a=augmentation, b=batch: (a(b), wait())}
        for name, side in sides.items():
            apply = side(blur)
            calls[name] = lambda f=apply: (f(pixels), wait())
        seconds = alternate(calls, ROUNDS)
        what = "with blur" if blur else "without blur"
        print(f"{what}: " + ", ".join(f"{name} {len(pixels) / s:.0f} clips/s" for name, s in seconds.items()))
        for name in sides:
            goal = GOALS[name][blur] if pixels.device.type == "cpu" else 3.0
            label = f"augment{'_gpu' if pixels.is_cuda else ''}_over_{name}{'_with_blur' if blur else ''}"
            met.append(ratio_line(label, seconds[name] / seconds["usssl"], goal))
    return met


def memory(pixels: torch.Tensor) -> bool:
    """Peak resident memory during a call beyond that before it, over the bytes of the views."""
    augmentation, batch = ours(True), ClipBatch(pixels)
    augmentation(batch)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    views = augmentation(batch)
    extra = status("VmHWM") - before
    return at_most("augment_peak_memory_over_output", extra / views.pixels.nbytes, 3.0)


def status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(key))


def distance() -> bool:
    """Mean absolute difference from the plain path, in grey levels of 255, on clips with the detail of ultrasound."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "augment"))
    import plain_path

    pixels = torch.from_numpy(plain_path.texture((4, 2, *CLIPS[2:]), grain=3.0))
    augmentation = ours(False)
    view = augmentation(ClipBatch(pixels), Seeds.for_samples(0, 0, range(4)))
    plain = plain_path.unfused(pixels.numpy(), augmentation, view.params)
    return at_most("augment_grey_levels_from_unfused", float(np.abs(view.pixels.numpy() - plain).mean() * 255), 2.0)


def at_most(name: str, value: float, goal: float) -> bool:
    print(f"RATIO {name} {value:.2f} goal <={goal:g}", flush=True)
    return value <= goal


def bandwidth(pixels: torch.Tensor) -> bool:
    """Bytes read and written once, a second, over those of a plain copy on the same GPU."""
    augmentation, batch = ours(False), ClipBatch(pixels)
    source = torch.empty(2**28, dtype=torch.uint8, device=pixels.device)
    target = torch.empty_like(source)
    calls = {
        "copy": lambda: (target.copy_(source), torch.cuda.synchronize()),
        "usssl": lambda: (augmentation(batch), torch.cuda.synchronize()),
    }
    seconds = alternate(calls, ROUNDS)
    moved = pixels.nbytes + augmentation(batch).pixels.nbytes
    return ratio_line(
        "augment_gpu_bandwidth_over_copy", moved / seconds["usssl"] / (2 * source.nbytes / seconds["copy"]), 0.5
    )


def main() -> int:
    torch.set_num_threads(2)
    torch.manual_seed(0)
    print_machine(["torch", "opencv-python-headless", "kornia", "torchvision"])
    pixels = torch.randint(0, 256, CLIPS, dtype=torch.uint8)
    with torch.inference_mode():
        sides = peers()
        met = speed(pixels, sides)
        if Path("/proc/self/clear_refs").exists():
            met.append(memory(pixels))
        met.append(distance())
        if torch.cuda.is_available():
            there = pixels.cuda().repeat(16, 1, 1, 1, 1)
            met += speed(
                there, {name: side for name, side in sides.items() if name == "kornia"}, torch.cuda.synchronize
            )
            met.append(bandwidth(there))
    return 0 if sides and all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
