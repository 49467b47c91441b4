from __future__ import annotations

import pytest
import torch

from usssl.models import encoders
from usssl.models.stem import fit_stem


@pytest.mark.parametrize("name", ["sononet16", "resnet18", "r3d18", "s3d", "seresnext50_half"])
def test_a_grey_image_gives_the_same_with_one_channel_and_with_three(name: str) -> None:
    torch.manual_seed(0)
    grey, rgb = (encoders.build(name, channels=channels, width=0.25).eval() for channels in (1, 3))
    clips = torch.randn(1, 4, 1, 64, 64)
    repeated = clips.expand(-1, -1, 3, -1, -1)
    with torch.inference_mode():
        expected = rgb(repeated)
        grey.load_state_dict(fit_stem(rgb.state_dict(), grey))
        torch.testing.assert_close(grey(clips), expected, atol=1e-4, rtol=1e-4)
        rgb.load_state_dict(fit_stem(grey.state_dict(), rgb))
        torch.testing.assert_close(rgb(repeated), expected, atol=1e-4, rtol=1e-4)


def test_weights_that_fit_stay_as_they_are() -> None:
    encoder = encoders.build("resnet18", channels=3, width=0.25)
    fitted = fit_stem(encoder.state_dict(), encoder)
    assert all(torch.equal(tensor, fitted[name]) for name, tensor in encoder.state_dict().items())
