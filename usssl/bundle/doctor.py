"""What works on this machine: decoders, GPU, ONNX Runtime, napari; behind `usssl doctor`."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from usssl import __version__
from usssl.bundle import providers
from usssl.bundle.session import available_cores

State = Literal["ok", "warning", "missing"]

_VIDEO_CODECS = ("h264", "hevc", "mpeg2video", "mpeg4", "mjpeg", "vp9", "av1", "ffv1")
# Module that decodes -> the DICOM transfer syntaxes it is for.
_DICOM_CODECS = {"libjpeg": "JPEG, JPEG-LS", "openjpeg": "JPEG 2000, HTJ2K", "rle": "RLE"}
_QT_BINDINGS = ("PySide6", "PyQt6", "PyQt5")
_LEAST_FREE_BYTES = 2 << 30


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        name: what was looked at.
        state: `ok`; `warning` (works, but not as it should); `missing` (an optional part is not installed).
        says: what was found, and how to mend it.
    """

    name: str
    state: State
    says: str

    def __str__(self) -> str:
        return f"{self.state:8} {self.name:14} {self.says}"


def report() -> list[Check]:
    """Examines this machine; takes a few seconds where torch is installed."""
    return [
        Check("usssl", "ok", f"{__version__}; for research use, not a medical device"),
        Check("python", "ok", f"{platform.python_version()} on {platform.platform()}, {available_cores()} cores"),
        *onnxruntime_checks(),
        _torch(),
        _video(),
        *_dicom(),
        opencv_check(),
        _napari(),
        *_disks(),
    ]


def onnxruntime_checks() -> list[Check]:
    """Which wheel is installed, and which of its providers really run a model."""
    wheels = providers.installed_wheels()
    if not wheels:
        return [Check("onnxruntime", "warning", "not installed; no bundle can run: pip install usssl")]
    checks = [wheel_check(wheels)]
    if providers.works(providers.CPU):
        checks.append(Check("CPU", "ok", "onnxruntime runs a model on it"))
    else:
        checks.append(
            Check("CPU", "warning", "onnxruntime cannot run a model: pip install --force-reinstall onnxruntime")
        )
    return [*checks, _cuda()]


def wheel_check(wheels: list[str]) -> Check:
    """Warns where two wheels of ONNX Runtime share one folder: the one installed last wins and CUDA is silently lost.

    Args:
        wheels: installed distributions, "name version" each.
    """
    if len(wheels) == 1:
        return Check("onnxruntime", "ok", wheels[0])
    names = " ".join(wheel.split()[0] for wheel in wheels)
    return Check(
        "onnxruntime",
        "warning",
        f"{' and '.join(wheels)} overwrite each other, and CUDA is silently lost: pip uninstall {names}; "
        "then pip install --force-reinstall onnxruntime-gpu",
    )


def opencv_check() -> Check:
    """Warns where the full OpenCV wheel is installed, for its Qt plugins break napari."""
    version = _version("opencv-python-headless")
    full = [name for name in ("opencv-python", "opencv-contrib-python") if _version(name)]
    if full:
        return Check(
            "OpenCV",
            "warning",
            f"{' and '.join(full)} brings Qt plugins that break napari: pip uninstall {' '.join(full)}; "
            "then pip install --force-reinstall opencv-python-headless",
        )
    if not version:
        return Check("OpenCV", "warning", "not installed: pip install opencv-python-headless")
    return Check("OpenCV", "ok", f"opencv-python-headless {version}")


def _cuda() -> Check:
    import onnxruntime as ort

    if providers.works(providers.CUDA):
        return Check("CUDA", "ok", "onnxruntime runs a model on the GPU")
    compiled = providers.CUDA in ort.get_available_providers()
    if not providers.has_nvidia_driver():
        return Check("CUDA", "missing", "no NVIDIA driver here; models run on the CPU")
    if not compiled:
        return Check(
            "CUDA", "warning", "this onnxruntime has no CUDA; models run on the CPU: pip install onnxruntime-gpu"
        )
    try:
        from onnxruntime.capi.build_and_package_info import cuda_version
    except ImportError:
        cuda_version = "its"
    return Check(
        "CUDA",
        "warning",
        f"an NVIDIA driver is here, but onnxruntime {ort.__version__} cannot use it, so models run on the CPU: it "
        f"needs CUDA {cuda_version} and cuDNN 9 (pip install 'onnxruntime-gpu[cuda,cudnn]') and a driver for them",
    )


def _torch() -> Check:
    if not _version("torch"):
        return Check("torch", "missing", "not installed; only training needs it: pip install 'usssl[train]'")
    try:
        torch = importlib.import_module("torch")
    except Exception as error:  # a broken installation raises anything
        return Check("torch", "warning", f"cannot be imported ({error}): pip install --force-reinstall torch")
    gpu = f"CUDA {torch.version.cuda}, {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else "no GPU"
    missing = [name for name in ("monai", "pytorch-ignite", "onnx", "onnxscript") if not _version(name)]
    if missing:
        return Check(
            "torch", "warning", f"{torch.__version__}, {gpu}; {', '.join(missing)} missing: pip install 'usssl[train]'"
        )
    return Check("torch", "ok", f"{torch.__version__}, {gpu}")


def _video() -> Check:
    import av

    found = [name for name in _VIDEO_CODECS if name in av.codecs_available]
    lost = [name for name in _VIDEO_CODECS if name not in found]
    says = f"av {av.__version__} decodes {', '.join(found)}"
    return Check("video", "warning", f"{says}, not {', '.join(lost)}") if lost else Check("video", "ok", says)


def _dicom() -> list[Check]:
    lost = []
    for module, syntaxes in _DICOM_CODECS.items():
        try:
            importlib.import_module(module)
        except ImportError:
            lost.append(syntaxes)
    says = f"pydicom {_version('pydicom')}"
    if lost:
        codecs = "pylibjpeg-libjpeg pylibjpeg-openjpeg pylibjpeg-rle"
        return [Check("DICOM", "warning", f"{says} cannot decode {', '.join(lost)}: pip install {codecs}")]
    return [Check("DICOM", "ok", f"{says} decodes {', '.join(_DICOM_CODECS.values())}")]


def _napari() -> Check:
    version = _version("napari")
    if not version:
        return Check("napari", "missing", "not installed; only review needs it: pip install 'usssl[napari]' PySide6")
    bindings = [name for name in _QT_BINDINGS if find_spec(name)]
    if not bindings:
        return Check("napari", "warning", f"{version} has no Qt to draw with: pip install PySide6")
    return Check("napari", "ok", f"{version} with {' and '.join(bindings)}")


def _disks() -> list[Check]:
    checks = []
    for name, folder in (("disk", Path.cwd()), ("temporary disk", Path(tempfile.gettempdir()))):
        free = shutil.disk_usage(folder).free
        writable = os.access(folder, os.W_OK)
        says = f"{free / 1e9:.1f} GB free in {folder}" + ("" if writable else ", which cannot be written")
        checks.append(Check(name, "ok" if free >= _LEAST_FREE_BYTES and writable else "warning", says))
    return checks


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
