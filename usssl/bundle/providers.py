"""Which ONNX Runtime providers really run here, and which one a session gets.

`onnxruntime.get_available_providers()` lists what was compiled in, not what works: without CUDA's libraries or a
driver a session falls back to the CPU silently. So each candidate runs a one-node model once.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import sys
from functools import cache
from importlib import metadata

from usssl.errors import UsageError

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
DEVICES = {"cpu": CPU, "cuda": CUDA}

# ONNX ModelProto: ir_version 8, opset 13, graph `y = Identity(x)` with float32 x and y of shape (1,).
_IDENTITY = bytes.fromhex(
    "08083a3c0a120a017812017922084964656e746974793a001204746573745a0f0a0178120a0a08080112040a020801"
    "620f0a0179120a0a08080112040a02080142040a00100d"
)


@cache
def works(provider: str) -> bool:
    """Whether a session with this provider runs a tiny model on it, tried once in a process."""
    import numpy as np
    import onnxruntime as ort

    if provider not in ort.get_available_providers() or (provider == CUDA and not has_nvidia_driver()):
        return False
    if provider == CUDA:
        _load_cuda_libraries()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    ort.set_default_logger_severity(4)  # the failed attempt is reported by usssl, not by pages of C++ log
    try:
        session = ort.InferenceSession(_IDENTITY, options, providers=[provider])
        if provider not in session.get_providers():
            return False
        (out,) = session.run(None, {"x": np.ones(1, np.float32)})
    except Exception:  # whatever a driver raises, the answer is that it does not work
        return False
    finally:
        ort.set_default_logger_severity(2)
    return bool(out[0] == 1)


def choose(device: str = "auto") -> tuple[list[str], str]:
    """The providers for a session, and a remark for the user ("" if there is nothing to say).

    Args:
        device: `auto` (a GPU if it works), `cpu` or `cuda`.

    Raises:
        UsageError: an unknown device, or `cuda` where CUDA does not work.
    """
    if device == "cpu":
        return [CPU], ""
    if device not in {"auto", "cuda"}:
        raise UsageError(f"unknown device {device!r}; choose auto, cpu or cuda")
    if works(CUDA):
        return [CUDA, CPU], ""
    if device == "cuda":
        raise UsageError("onnxruntime cannot run on CUDA here; run `usssl doctor` to see why, or choose the device cpu")
    if has_nvidia_driver():
        return [
            CPU
        ], "an NVIDIA GPU is here but onnxruntime cannot use it, so the model runs on the CPU; see `usssl doctor`"
    return [CPU], ""


def has_nvidia_driver() -> bool:
    """Whether this machine has an NVIDIA driver (its library loads; no GPU is woken)."""
    if sys.platform == "darwin":
        return False
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def installed_wheels() -> list[str]:
    """The ONNX Runtime distributions that are installed; more than one overwrite each other's files."""
    names = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-silicon")
    found = []
    for name in names:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return found


def _load_cuda_libraries() -> None:
    """Lets onnxruntime find CUDA and cuDNN among the `nvidia-*` wheels, as `pip` installs them."""
    import onnxruntime as ort

    if sys.platform == "darwin" or not hasattr(ort, "preload_dlls"):
        return
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
        ort.preload_dlls()
