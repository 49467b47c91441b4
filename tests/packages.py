"""Packages of a third party, as pip would install them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from usssl import extensions


@contextmanager
def installed(
    site: Path, group: str, points: Mapping[str, str], modules: Mapping[str, str], name: str = "my-package"
) -> Iterator[None]:
    """Version 1.0 of a package with entry points of a group, for as long as the block lasts.

    Args:
        site: a new folder that it goes into.
        group: of the entry points.
        points: what each entry point names, such as `my_package.simsiam:SimSiam`.
        modules: code of its modules by their names.
        name: of the package.
    """
    for module, code in modules.items():
        file = site / Path(*module.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code)
        if file.parent != site:
            (file.parent / "__init__.py").touch()
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    listed = "".join(f"{point} = {target}\n" for point, target in points.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{listed}")
    known = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        _forget()
        try:
            yield
        finally:
            tops = {module.partition(".")[0] for module in modules}
            for module in [module for module in sys.modules if module.partition(".")[0] in tops]:
                if module not in known:
                    del sys.modules[module]
            _forget()


def _forget() -> None:
    for known in (extensions.entries, extensions._packages):
        known.cache_clear()
