"""CEP's prediction and cycle terms (methods/cep, Loss), of latents and the two predictors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from usssl.methods.functional.similarity import cosine_distance

Predictor = Callable[[Tensor], Tensor]


def prediction_terms(latents: Sequence[Tensor], targets: Sequence[Tensor], mu: Predictor, nu: Predictor) -> Tensor:
    """The six prediction terms, `(6,)`; L_P is their mean.

    Args:
        latents: `c_p, c_c, c_f`: past, present and future, each `(batch, dim)`.
        targets: `c'_p, c'_c, c'_f`, of the momentum encoder and without gradient.
        mu: one snippet forward in time.
        nu: one snippet backward.
    """
    past, present, future = latents
    past_t, present_t, future_t = targets
    back, ahead = nu(future), mu(past)
    return torch.stack(
        [
            cosine_distance(nu(present), past_t),
            cosine_distance(nu(back), past_t),
            cosine_distance(ahead, present_t),
            cosine_distance(back, present_t),
            cosine_distance(mu(present), future_t),
            cosine_distance(mu(ahead), future_t),
        ]
    )


def cycle_terms(latents: Sequence[Tensor], targets: Sequence[Tensor], mu: Predictor, nu: Predictor) -> Tensor:
    """The six closures of a loop forward and back, or back and forward, `(6,)`; L_C is their mean.

    Args:
        latents: as in `prediction_terms`.
        targets: as there.
        mu: one snippet forward in time.
        nu: one snippet backward.
    """
    past, present, future = latents
    past_t, present_t, future_t = targets
    ahead, back = mu(past), nu(future)
    return torch.stack(
        [
            cosine_distance(nu(ahead), past_t),
            cosine_distance(nu(nu(mu(ahead))), past_t),
            cosine_distance(nu(mu(present)), present_t),
            cosine_distance(mu(nu(present)), present_t),
            cosine_distance(mu(back), future_t),
            cosine_distance(mu(mu(nu(back))), future_t),
        ]
    )
