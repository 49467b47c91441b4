"""Cines and bundles need no torch: they import, and predict, where it cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.bundles import make_tiny_bundle

_BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "monai", "ignite", "onnx"}:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
"""


def run(code: str, *arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _BLOCKED + code, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_module_of_cine_and_bundle_imports(repository: Path) -> None:
    out = run(
        "import importlib, pkgutil, usssl.bundle, usssl.cine\n"
        "for room in (usssl.bundle, usssl.cine):\n"
        "    for module in pkgutil.iter_modules(room.__path__, room.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
        "        print(module.name)\n"
        "    for name in room.__all__:\n"
        "        getattr(room, name)\n"
        "assert 'torch' not in sys.modules\n",
        cwd=repository,
    )
    assert {"usssl.bundle.folder", "usssl.bundle.doctor", "usssl.cine.opening"} <= set(out.split())


def test_a_folder_is_predicted_and_the_doctor_speaks(repository: Path, tmp_path: Path) -> None:
    bundle = make_tiny_bundle(tmp_path / "bundle")
    out = run(
        "import numpy as np, usssl\n"
        "from pathlib import Path\n"
        "from usssl.bundle import predict_folder\n"
        "from usssl.bundle.doctor import report\n"
        "from usssl.cine import write_dicom\n"
        "folder = Path(sys.argv[2])\n"
        "write_dicom(folder / 'a.dcm', np.full((3, 32, 32), 99, np.uint8), 25.0)\n"
        "print(predict_folder(usssl.open_bundle(sys.argv[1]), [folder], folder / 'out').frames)\n"
        "print([check.state for check in report() if check.name == 'torch'])\n",
        str(bundle),
        str(tmp_path),
        cwd=repository,
    )
    assert out.splitlines()[0] == "3"
    assert out.splitlines()[1] in {"['missing']", "['warning']"}
