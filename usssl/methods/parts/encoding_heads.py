"""Projection heads that are told what differs between two views (methods/cate, section 4; sizes are ours).

Both take a feature and any number of encodings, by kind. A kind that is not given, or a row whose encoding is not
known, is absent, which is another thing than an encoding of 0.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from usssl.augment import Encoding
from usssl.methods.parts.heads import mlp

Given = Mapping[str, Encoding]


class TokenHead(nn.Module):
    """A transformer over one token of the feature and one of each encoding; reads the feature's token.

    `x_0 = W_v h + e_vis`, `x_m = MLP_m(phi_m) + e_m`, `z = normalise(W_o LN(Y_0))`: pre-norm blocks, GELU, no dropout
    and no positions, so that the order of tokens does not matter; no batch statistics, by which a pair could be told.

    Args:
        dim: of the feature.
        numbers: numbers in an encoding, by kind.
        width: d of the tokens.
        layers: blocks.
        heads: attention heads.
        out: dimension of z.
    """

    def __init__(self, dim: int, numbers: Mapping[str, int], *, width: int, layers: int, heads: int, out: int) -> None:
        super().__init__()
        self.feature = nn.Linear(dim, width)
        self.kinds = nn.ModuleDict({kind: _token(count, width) for kind, count in numbers.items()})
        self.types = nn.ParameterDict({kind: nn.Parameter(0.02 * torch.randn(width)) for kind in ("feature", *numbers)})
        block = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, out)

    def forward(self, features: Tensor, encodings: Given) -> Tensor:
        """Unit vectors `(batch, out)` from features `(batch, dim)` and encodings by kind."""
        tokens = [self.feature(features) + self.types["feature"]]
        absent = [torch.zeros(len(features), dtype=torch.bool, device=features.device)]
        for kind, encoding in encodings.items():
            tokens.append(self.kinds[kind](encoding.values.to(features.dtype)) + self.types[kind])
            absent.append(~encoding.known)
        seen = self.blocks(torch.stack(tokens, dim=1), src_key_padding_mask=torch.stack(absent, dim=1))
        return nn.functional.normalize(self.out(self.norm(seen[:, 0])), dim=1)


class ConcatHead(nn.Module):
    """The baseline: an MLP of the feature beside an embedding of each encoding, or a learned vector for an absent one.

    Args:
        dim: of the feature.
        numbers: numbers in an encoding, by kind.
        width: of the embeddings and of the hidden layer.
        out: dimension of z.
    """

    def __init__(self, dim: int, numbers: Mapping[str, int], *, width: int, out: int) -> None:
        super().__init__()
        self.kinds = nn.ModuleDict({kind: _token(count, width) for kind, count in numbers.items()})
        self.null = nn.ParameterDict({kind: nn.Parameter(0.02 * torch.randn(width)) for kind in numbers})
        self.mlp = mlp([dim + len(numbers) * width, width, out])

    def forward(self, features: Tensor, encodings: Given) -> Tensor:
        """Unit vectors `(batch, out)` from features `(batch, dim)` and encodings by kind."""
        parts = [features]
        for kind, embed in self.kinds.items():
            null = self.null[kind].expand(len(features), -1)
            if kind in encodings:
                encoding = encodings[kind]
                parts.append(torch.where(encoding.known[:, None], embed(encoding.values.to(features.dtype)), null))
            else:
                parts.append(null)
        return nn.functional.normalize(self.mlp(torch.cat(parts, dim=1)), dim=1)


def _token(numbers: int, width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(numbers, width), nn.GELU(), nn.Linear(width, width))
