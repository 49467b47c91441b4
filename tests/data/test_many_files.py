from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FILES = 20_000
MOST_MEGABYTES = 160  # beside the libraries; 100,000 files took 190 MB in the same way


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.platform == "win32", reason="the peak of memory is read from getrusage")
def test_many_files_are_indexed_in_bounded_memory(tmp_path: Path) -> None:
    frames = np.zeros((2, 4, 4), np.uint8)
    for number in range(FILES):
        folder = tmp_path / "cines" / f"study{number // 200:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        frames[0, 0] = [number & 255, number >> 8 & 255, number >> 16, 1]
        content = io.BytesIO()
        np.save(content, frames)
        (folder / f"{number % 200:03d}.npy").write_bytes(content.getvalue())
    code = (
        "import json, resource, sys, numpy, pyarrow.parquet, usssl.data as data\n"
        "unit = 1 << (20 if sys.platform == 'darwin' else 10)\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit\n"
        "before = peak()\n"
        f"report = data.index_folders({str(tmp_path / 'cines')!r}, {str(tmp_path / 'c.parquet')!r}, workers=2)\n"
        "print(json.dumps([report.cines, report.failed, peak() - before]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    cines, failed, megabytes = json.loads(done.stdout)
    assert (cines, failed) == (FILES, 0)
    assert megabytes < MOST_MEGABYTES
