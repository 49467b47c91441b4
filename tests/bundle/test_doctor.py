"""The doctor tells what really works, and finds the installations that fail silently."""

from __future__ import annotations

from importlib import metadata

import pytest

from usssl.bundle import doctor, providers
from usssl.errors import UsageError


def pretend_installed(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    """Makes distributions (underscores for hyphens) look installed, or with None not."""
    real = metadata.version
    known = {name.replace("_", "-"): version for name, version in versions.items()}

    def version(name: str) -> str:
        if name in known:
            if known[name] is None:
                raise metadata.PackageNotFoundError(name)
            return known[name]
        return real(name)

    monkeypatch.setattr(metadata, "version", version)


def test_report_names_everything_once() -> None:
    checks = doctor.report()
    names = [check.name for check in checks]
    assert len(set(names)) == len(names)
    assert {"python", "onnxruntime", "CPU", "CUDA", "torch", "video", "DICOM", "OpenCV", "napari", "disk"} <= set(names)
    assert all("\n" not in str(check) for check in checks)
    by_name = {check.name: check for check in checks}
    assert by_name["CPU"].state == "ok"
    assert "h264" in by_name["video"].says


def test_two_wheels_of_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_installed(monkeypatch, onnxruntime="1.22.0", onnxruntime_gpu="1.22.0")
    check = doctor.onnxruntime_checks()[0]
    assert check.state == "warning"
    assert "pip uninstall onnxruntime onnxruntime-gpu" in check.says


def test_one_wheel_of_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_installed(monkeypatch, onnxruntime="1.22.0", onnxruntime_gpu=None, onnxruntime_directml=None)
    assert providers.installed_wheels() == ["onnxruntime 1.22.0"]
    assert doctor.onnxruntime_checks()[0].state == "ok"


@pytest.mark.parametrize("name", ["opencv_python", "opencv_contrib_python"])
def test_the_full_opencv_wheel(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pretend_installed(monkeypatch, opencv_python=None, opencv_contrib_python=None)
    assert doctor.opencv_check().state == "ok"
    pretend_installed(monkeypatch, **{name: "5.0"})
    check = doctor.opencv_check()
    assert check.state == "warning"
    assert f"pip uninstall {name.replace('_', '-')}" in check.says


def test_a_provider_is_tried_and_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that is compiled in but falls back to the CPU does not work."""
    import onnxruntime as ort

    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(providers, "has_nvidia_driver", lambda: True)
    providers.works.cache_clear()
    real = ort.InferenceSession
    monkeypatch.setattr(
        ort, "InferenceSession", lambda model, options, providers: real(model, options, ["CPUExecutionProvider"])
    )
    try:
        assert not providers.works(providers.CUDA)
        assert providers.works(providers.CPU)
        assert providers.choose("auto")[0] == [providers.CPU]
        assert "see `usssl doctor`" in providers.choose("auto")[1]
        with pytest.raises(UsageError, match="cannot run on CUDA"):
            providers.choose("cuda")
        assert next(check for check in doctor.onnxruntime_checks() if check.name == "CUDA").state == "warning"
    finally:
        providers.works.cache_clear()


def test_without_a_driver_the_cpu_is_taken_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "has_nvidia_driver", lambda: False)
    providers.works.cache_clear()
    try:
        assert providers.choose("auto") == ([providers.CPU], "")
    finally:
        providers.works.cache_clear()
    with pytest.raises(UsageError, match="unknown device"):
        providers.choose("tpu")
