"""methods/cate, property 8: on drifting dots, an encoder that trained with time encodings still tells time shifts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tests.methods.tiny import CLIP
from usssl import methods
from usssl.models.encoders import Encoder

LENGTH, FRAMES, SIZE = 24, 4, 32


class DotEncoder(Encoder):
    """Sees where things are; pooled features could not tell the place of a dot."""

    def __init__(self) -> None:
        super().__init__()
        self.dim, self.stride = 16, SIZE
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(FRAMES * SIZE * SIZE, 64), nn.ReLU(), nn.Linear(64, 16))

    def features(self, clips: Tensor) -> Tensor:
        return self.body(clips)[:, None, :, None, None]


def dots(cines: int, starts: Tensor, generator: torch.Generator) -> Tensor:
    """Clips `(batch, time, 1, size, size)` of a dot that drifts to the right; its row tells the cine."""
    rows = torch.rand(cines, generator=generator) * (SIZE - 8) + 4
    times = starts[:, None] + torch.arange(FRAMES)
    x = 4 + times * (SIZE - 8) / (LENGTH + FRAMES)
    grid = torch.arange(SIZE)
    column = torch.exp(-((grid - x[..., None]) ** 2) / 8)
    row = torch.exp(-((grid - rows[:, None]) ** 2) / 8)
    return (row[:, None, :, None] * column[:, :, None, :])[:, :, None]


def pairs(seed: int, cines: int = 64) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randint(LENGTH, (2, cines), generator=generator)
    state = generator.get_state()
    a = dots(cines, starts[0], generator)
    generator.set_state(state)  # the same cines
    b = dots(cines, starts[1], generator)
    shift = ((starts[1] - starts[0]) / 8.0)[:, None]
    return {
        "a": a, "b": b, "cine": torch.arange(cines), "shift_s": shift[:, 0],
        "query_a/time": shift, "query_b/time": -shift,
    }  # fmt: skip


def train(kinds: list[str], steps: int = 200) -> tuple[methods.Method, dict[str, Tensor]]:
    torch.manual_seed(0)
    encodings = {"kinds": kinds, "sinusoids": 0}
    method = methods.build(
        "cate", encoder=DotEncoder(), clip=CLIP, width=32, layers=1, heads=2, dim=16, encodings=encodings
    )
    optimizer = torch.optim.AdamW(method.parameters(), 3e-3, weight_decay=0.01)
    for step in range(steps):
        found = method(told(pairs(step), kinds))
        optimizer.zero_grad()
        found["loss"].backward()
        optimizer.step()
    return method, method(told(pairs(10_000), kinds))


def told(views: dict[str, Tensor], kinds: list[str]) -> dict[str, Tensor]:
    return {name: value for name, value in views.items() if "/" not in name or name.partition("/")[2] in kinds}


@torch.no_grad()
def features(method: methods.Method, views: dict[str, Tensor]) -> Tensor:
    h_a, h_b = method.encoder(views["a"])[:, 0], method.encoder(views["b"])[:, 0]
    return torch.cat([h_a, h_b, h_b - h_a], dim=1)


def probe(method: methods.Method) -> float:
    """Accuracy of a linear classifier of the sign of the time shift, on cines that it did not see."""
    seen, new = pairs(20_000, 512), pairs(30_000, 512)
    x, y = features(method, seen), seen["shift_s"].sign()
    scale = x.std(dim=0) + 1e-6
    x = x / scale
    weight = torch.linalg.solve(x.T @ x + 1e-2 * len(x) * torch.eye(x.shape[1]), x.T @ y)
    moved = new["shift_s"] != 0
    return float(((features(method, new) / scale @ weight).sign() == new["shift_s"].sign())[moved].float().mean())


def test_encodings_keep_time_in_the_encoder() -> None:
    told_method, told_found = train(["time"])
    plain_method, _ = train([])
    assert told_found["told_gap"] > 0.05, "the head uses what it is told"
    with_time, without = probe(told_method), probe(plain_method)
    assert with_time >= without
    assert with_time > 0.8
