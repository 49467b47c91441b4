"""The command line as a user meets it: exit codes, one line for a mistake, the whole line end to end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cines import make_cine_folder

SMALL = [
    "data.clip.size=[48, 64]",
    "data.clip.step=3",
    "encoder.width=0.25",
    "trainer.epochs=1",
    "trainer.clips_per_epoch=16",
    "trainer.batch_size=8",
    "trainer.precision=fp32",
    "tracking.tensorboard=false",
]


def usssl(*arguments: object, cache: Path | None = None) -> subprocess.CompletedProcess[str]:
    import os

    environment = os.environ | {"OMP_NUM_THREADS": "1"} | ({"USSSL_CACHE": str(cache)} if cache else {})
    command = [sys.executable, "-m", "usssl.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cine_folder(tmp_path_factory.mktemp("cines"), cines=5)


def test_help_lists_every_command_of_this_version() -> None:
    shown = usssl("--help").stdout
    commands = ["samples", "index", "prepare", "deidentify", "pretrain", "finetune", "evaluate", "export", "predict"]
    for command in [*commands, "review", "report", "describe", "augment", "doctor"]:
        assert f"  {command} " in shown


def test_the_whole_line_on_a_small_folder(tmp_path: Path, source: Path, repository: Path) -> None:
    cache = tmp_path / "cache"
    recipes = repository / "recipes"
    data = f"data.source={source}"
    run, planes, bundle, out = (tmp_path / name for name in ("run", "planes", "bundle", "out"))
    done = usssl("pretrain", recipes / "lung.yaml", data, *SMALL, "-o", run, cache=cache)
    assert done.returncode == 0, done.stderr
    few = "data.labelled_cines=2"
    done = usssl("finetune", recipes / "planes.yaml", data, few, *SMALL, "--from", run, "-o", planes, cache=cache)
    assert done.returncode == 0, done.stderr
    assert "macro_f1" in done.stdout
    done = usssl("export", planes, "-o", bundle, cache=cache)
    assert done.returncode == 0, done.stderr
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "good.mp4").write_bytes((source / "cine0.mp4").read_bytes())
    (inbox / "broken.mp4").write_bytes((source / "cine1.mp4").read_bytes()[:300])
    done = usssl("predict", bundle, inbox, "-o", out, cache=cache)
    assert done.returncode == 1, "one input failed"
    assert "1 cine in" in done.stdout
    assert "1 file failed" in done.stderr
    assert "broken.mp4" in (out / "failures.csv").read_text()
    assert {path.name for path in out.iterdir()} >= {"frames.parquet", "cines.parquet", "failures.csv", "run.json"}
    done = usssl("report", run, planes, "-o", tmp_path / "report.html", cache=cache)
    assert done.returncode == 0, done.stderr
    assert "not a medical device" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pretrain", "nowhere.yaml"], "there is no recipe at nowhere.yaml"),
        (["pretrain", "{recipes}/lung.yaml", "optimizer.lrr=1"], "did you mean 'optimizer.lr'?"),
        (["pretrain", "{recipes}/lung.yaml", "data.source=/no/such/folder", "-o", "{tmp}/run"], "/no/such/folder"),
        (["pretrain", "{recipes}/lung.yaml", "lr"], "write KEY=VALUE"),
        (["finetune", "{recipes}/lung.yaml"], "use `usssl pretrain`"),
        (["export", "{tmp}", "-o", "{tmp}/bundle"], "there is no run at"),
        (["evaluate", "{tmp}/nowhere"], "there is no run at"),
        (["evaluate", "{tmp}", "--budgets", "few"], "whole numbers"),
        (["predict", "{tmp}", "{tmp}", "-o", "{tmp}/out"], "is not a bundle"),
        (["predict", "{tmp}/nowhere", "{tmp}", "-o", "{tmp}/out"], "does not exist"),
        (["index", "{tmp}/nowhere", "-o", "{tmp}/catalog.parquet"], "nowhere"),
        (["report", "{tmp}", "-o", "{tmp}/report.html"], "there is no run at"),
        (["describe", "{recipes}/lung.yaml", "method.nam=1"], "did you mean 'method.name'?"),
        (["augment", "{recipes}/planes.yaml", "-o", "{tmp}/sheet.html"], "only recipes with `method:` make views"),
        (["augment", "{recipes}/lung.yaml", "-o", "{tmp}/sheet.html", "augment.flip=1"], "by keys of `method:` alone"),
    ],
)
def test_a_mistake_gives_one_line_and_exit_code_2(
    tmp_path: Path, repository: Path, arguments: list[str], said: str
) -> None:
    filled = [text.format(tmp=tmp_path, recipes=repository / "recipes") for text in arguments]
    done = usssl(*filled, cache=tmp_path / "cache")
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("usssl: ")]) == 1


def test_an_unwritable_output_is_said_before_any_work(tmp_path: Path, source: Path, repository: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = usssl(
        "pretrain",
        repository / "recipes" / "lung.yaml",
        f"data.source={source}",
        *SMALL,
        "-o",
        tmp_path / "file" / "run",
        cache=tmp_path / "cache",
    )
    assert done.returncode == 2
    assert "cannot write to" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_command_is_a_usage_error() -> None:
    done = usssl("pretrian")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback() -> None:
    done = usssl("--debug", "pretrain", "nowhere.yaml")
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_describe_prints_a_recipe_that_reads_back(repository: Path, tmp_path: Path) -> None:
    shown = usssl("describe", repository / "recipes" / "fetal.yaml", "seed=7").stdout
    (tmp_path / "again.yaml").write_text(shown)
    assert usssl("describe", tmp_path / "again.yaml").stdout == shown
    assert "seed: 7" in shown
