"""Encoders export to ONNX with any batch and any length, and ONNX Runtime gives what PyTorch gives."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from usssl.models import encoders
from usssl.models.encoders import Encoder

SIZE = (64, 96)


class Both(nn.Module):
    """Maps and pooled features."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        return self.encoder.features(clips), self.encoder(clips)


@pytest.mark.parametrize("name", ["resnet18", "r3d18", "s3d"])
def test_the_exported_encoder_equals_torch(name: str) -> None:
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", encoders.names())
def test_every_exported_encoder_equals_torch(name: str) -> None:
    check(name)


def check(name: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    torch.manual_seed(0)
    encoder = encoders.build(name, width=0.125).train()
    encoder(torch.randn(4, 8, 1, *SIZE))
    model = Both(encoder).eval()
    program = torch.onnx.export(
        model,
        (torch.zeros(2, 8, 1, *SIZE),),
        dynamo=True,
        external_data=False,
        opset_version=20,
        input_names=["clips"],
        output_names=["maps", "pooled"],
        dynamic_shapes=({0: "batch", 1: "time"},),
        verbose=False,
    )
    assert program is not None
    session = runtime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch, time in ((1, 1), (3, 5), (2, 16)):
        clips = torch.randn(batch, time, 1, *SIZE)
        with torch.inference_mode():
            expected = [tensor.numpy() for tensor in model(clips)]
        found = session.run(None, {"clips": clips.numpy()})
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.shape == theirs.shape
            assert np.abs(ours - theirs).max() <= 1e-4 * max(1.0, np.abs(theirs).max())
