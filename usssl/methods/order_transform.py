"""Order correction and geometric-transform prediction: Jiao et al., ISBI 2020 (arXiv 2003.00105).

A clip of four frames is shuffled and its order predicted, and the affine transformation between the clip and a warped
copy is regressed; both need the anatomy to be recognised. Both variants that the paper draws are here: parallel, where
an order net and a transform net share their weights, and sequential, where one net sees the clip and its transformed
and shuffled copy. Where the paper is silent (fusion of the frames, ranges, heads) the values are ours.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import AfterValidator, Field
from torch import Tensor, nn

from usssl.arguments import ClipArguments, Fraction, NonNegative
from usssl.augment.affine import Affine, AffineParams
from usssl.augment.batch import ClipBatch
from usssl.augment.geometry import about_centre, affine_matrix, compose, identity_matrices, inverse, transform
from usssl.augment.op import Params, ordered
from usssl.augment.seeds import Seeds
from usssl.augment.speckle import Speckle
from usssl.augment.tone import GreyTone
from usssl.augment.view import View
from usssl.augment.warp import warp
from usssl.data.sampling import OrderClips
from usssl.methods.base import Clips, Method, MethodArguments
from usssl.methods.functional import order_classes, order_label, order_loss, transform_loss
from usssl.methods.functional.precision import widened
from usssl.methods.parts import synchronise_batch_norm
from usssl.methods.parts.disentangle import DisentangleHead
from usssl.methods.parts.transform_head import PLACES, TransformHead, correlation
from usssl.models.encoders import Encoder
from usssl.models.normalise import normalise
from usssl.models.per_frame import check_alone

_TRIES = 64  # draws of crop and transformation; the later ones ever smaller
_EDGE = 48  # points on the sector's edge that must still show ultrasound

CropShare = Annotated[float, Field(ge=0.2, le=1)]


class OrderTransformArguments(MethodArguments):
    """Arguments of `order_transform`; ranges are ours, as the paper states none.

    Attributes:
        variant: parallel (the clip and its transformed copy are shuffled alike and each is put in order; another head
            tells the transformation) or sequential (the copy alone is shuffled, and one head tells its order and the
            transformation).
        transform_weight: weight lambda of the transform loss beside the order loss.
        crop: smallest and largest part of the sector, in each direction, that a view shows.
        rotation: largest rotation either way, degrees.
        translation: largest shift either way, as a share of the view.
        scale: smallest and largest magnification.
        shear: largest shear either way, degrees.
        brightness: largest relative change of brightness, one draw a clip, alike on its frames.
        gamma: the same of the exponent gamma.
        flip: chance that a clip and its transformed copy are mirrored, both alike.
        speckle: largest strength of the speckle that is added to each frame anew, so that frames are not put in order,
            nor places found again, by their grain alone; see `usssl.augment.speckle`.
        more_steps: further steps between the frames of a clip, beside `data.clip.step`; a clip is drawn at any of them.
            Frames far apart cannot be put in order by how little neighbours differ.
        min_motion: mean grey levels by which successive frames of a clip must differ; frozen clips have no order.
        orders: shuffles of each clip and of its copy that are scored; a frame's feature does not depend on its place,
            so that each costs next to nothing and steadies the gradient.
        hidden: width of the shared pair layer, and of the transform head.
        dropout: before the order classifier.
    """

    name: Literal["order_transform"] = "order_transform"
    variant: Literal["parallel", "sequential"] = "parallel"
    transform_weight: NonNegative = 1.0
    crop: Annotated[tuple[CropShare, CropShare], AfterValidator(ordered)] = (0.5, 1.0)
    rotation: Annotated[float, Field(ge=0, le=180)] = 45.0
    translation: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    scale: tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(ge=1, le=4)]] = (0.8, 1.2)
    shear: Annotated[float, Field(ge=0, le=60)] = 20.0
    brightness: Annotated[float, Field(ge=0, lt=1)] = 0.25
    gamma: Annotated[float, Field(ge=0, lt=1)] = 0.25
    flip: Fraction = 0.5
    speckle: NonNegative = 0.25
    more_steps: tuple[Annotated[int, Field(gt=0)], ...] = ()
    min_motion: NonNegative = 1.0
    orders: Annotated[int, Field(gt=0, le=64)] = 12
    hidden: Annotated[int, Field(gt=0)] = 512
    dropout: Fraction = 0.5

    def check(self, clip: ClipArguments) -> None:
        """Refuses clips whose frames have no order, or too many orders to tell apart."""
        if not 2 <= clip.frames <= 8:
            raise ValueError(f"data.clip.frames: order_transform puts 2 to 8 frames in order, not {clip.frames}")


class OrderTransform(Method):
    """Four frames back in order, and the transformation of a clip.

    Args:
        encoder: of frames. One of clips would tell a frame's place by its neighbours and by the clip's ends.
        clip: of K frames; K!/2 classes.
        arguments: of the method.

    Raises:
        RecipeError: an encoder that sees frames together.
    """

    Arguments: ClassVar[type[MethodArguments]] = OrderTransformArguments
    frames_alone: ClassVar[bool] = True

    def __init__(self, encoder: Encoder, clip: ClipArguments, arguments: OrderTransformArguments) -> None:
        super().__init__(encoder, clip)
        check_alone(encoder, type(encoder).__name__, arguments.name)
        self.arguments = arguments
        self.classes = order_classes(clip.frames)
        self.pairs = [(i, j) for j in range(clip.frames) for i in range(j)]
        self.norm = nn.LayerNorm(encoder.dim)
        self.pair_head = nn.Sequential(nn.Linear(2 * encoder.dim, arguments.hidden), nn.ReLU(inplace=True))
        pairs, hidden = len(self.pairs) * arguments.hidden, arguments.hidden
        if arguments.variant == "sequential":
            self.disentangle = DisentangleHead(PLACES**2, pairs, hidden, len(self.classes), arguments.dropout)
        else:
            self.order_head = nn.Sequential(nn.Dropout(arguments.dropout), nn.Linear(pairs, len(self.classes)))
            self.transform_head = TransformHead(hidden)
        self.affine = Affine(
            rotation=arguments.rotation,
            translation=arguments.translation,
            scale=arguments.scale,
            shear=arguments.shear,
        )
        self.tone = GreyTone(brightness=arguments.brightness, contrast=0.0, gamma=arguments.gamma)
        # In frames as small as these a grain is about a pixel.
        self.speckle = Speckle(strength=(0.0, arguments.speckle), grain=0)
        synchronise_batch_norm(self)

    # -- clips and views ---------------------------------------------------------------------------------------

    def sampler(self) -> OrderClips:
        """Clips that move, drawn alike from all degrees of motion."""
        return OrderClips(
            frames=self.clip.frames,
            stride=self.clip.step,
            more_strides=self.arguments.more_steps,
            min_motion=self.arguments.min_motion,
        )

    def views(self, clips: Clips, seed: int) -> dict[str, Tensor]:
        """The clip, its transformed copy, the orders in which it is shown, and what is to be predicted.

        Returns:
            `clip` and `transformed`, normalised `(batch, K, 1, height, width)`; `shuffles` `(batch, orders, K)`, the
            true index of the frame shown at each slot; `order` `(batch, orders)`, the class of each; `target`
            `(batch, 6)`, the encoded transformation.
        """
        device = clips.frames.device
        seeds = Seeds.for_samples(seed, 0, clips.samples)
        clip, transformed, params = self._drawn(clips, seeds)
        shuffles = seeds.per_frame(self.arguments.orders).permutation("order", self.clip.frames)
        labels = torch.tensor([order_label(tuple(shuffle)) for shuffle in shuffles.tolist()])
        return {
            "clip": normalise(clip.pixels),
            "transformed": normalise(transformed.pixels),
            "shuffles": shuffles.unflatten(0, (len(seeds), -1)).to(device),
            "order": labels.unflatten(0, (len(seeds), -1)).to(device),
            "target": self.affine.encode(params).to(device),
            "cine": clips.cines,
        }

    def sources(self, clips: Clips) -> list[ClipBatch]:
        """The same clip for both views."""
        return [clips.batch(0)] * 2

    def augmented(self, clips: Clips, seed: int) -> list[View]:
        """The clip and its transformed copy, uint8, with what was drawn."""
        return list(self._drawn(clips, Seeds.for_samples(seed, 0, clips.samples))[:2])

    def _drawn(self, clips: Clips, seeds: Seeds) -> tuple[View, View, AffineParams]:
        batch = clips.batch(0)
        mirrored = seeds.chance("flip", self.arguments.flip)
        sector = torch.where(mirrored.to(clips.sector.device)[:, None, None], clips.sector.flip(-1), clips.sector)
        aperture = self._aperture(sector)
        placing, params = self._placing(sector, seeds)
        mirror = _mirror(mirrored, sector.shape[-1])

        def view(matrices: Tensor, name: str, moved: dict[str, Params]) -> View:
            matrices = compose(mirror, matrices)
            tone = self.tone.sample(batch, seeds.child(name))
            pixels = self.tone.apply(warp(batch.pixels, matrices, self.clip.size), tone)
            drawn = {**moved, "grey_tone": tone}
            if self.arguments.speckle:
                frames = ClipBatch(pixels.flatten(0, 1)[:, None])  # each frame gets speckle of its own
                noise = self.speckle.sample(frames, seeds.child(name).per_frame(pixels.shape[1]))
                pixels = self.speckle.apply(frames.pixels, noise).view_as(pixels)
                drawn["speckle"] = noise
            facts = batch.seen_through(matrices, self.clip.size)
            return View(pixels * aperture, facts, batch.facts(), matrices, drawn)

        copy = compose(placing, self._back(params))
        return view(placing, "tone", {}), view(copy, "tone of the copy", {"affine": params}), params

    def _aperture(self, sector: Tensor) -> Tensor:
        """What a view may show, uint8 `(batch, 1, 1, height, width)`: the sector's shape, whatever the transformation.

        The sector's edge would give the transformation away if it moved with it; so each view is a part of the sector,
        enlarged to the sector's own outline.
        """
        shape = nn.functional.interpolate(sector[:, None].float(), self.clip.size, mode="area")
        return (shape > 0.5).to(torch.uint8)[:, None]

    def _back(self, params: AffineParams) -> Tensor:
        """From pixels of the transformed view to pixels of the untransformed one."""
        height, width = self.clip.size
        shift = params.translation * torch.tensor([width, height], dtype=torch.float64)
        return inverse(
            about_centre(affine_matrix(params.angle_deg, params.scale, params.shear_deg, shift), self.clip.size)
        )

    def _placing(self, sector: Tensor, seeds: Seeds) -> tuple[Tensor, AffineParams]:
        """A crop and a transformation of each clip for which both views show ultrasound in their whole aperture.

        Crops and transformations are drawn together until nothing from outside the sector is seen; the second half of
        the draws shrinks towards the smallest crop, unmoved.
        """
        batch = len(seeds)
        drawn = seeds.uniform("placing", -1.0, 1.0, count=8 * _TRIES).unflatten(1, (_TRIES, 8))
        ease = torch.linspace(2, 0, _TRIES, dtype=torch.float64).clamp(max=1)[None, :, None]
        unit = (drawn * ease).flatten(0, 1)
        low, high = self.arguments.crop
        share = low + (high - low) * (drawn[..., 5] + 1) / 2 * ease[..., 0]
        placing = _crops(sector, share, drawn[..., 6:8] * ease, self.clip.size).flatten(0, 1)
        params = AffineParams(
            angle_deg=unit[:, 0] * self.affine.rotation,
            scale=_about_one(unit[:, 1], self.affine.scale),
            shear_deg=unit[:, 2] * self.affine.shear,
            translation=unit[:, 3:5] * self.affine.translation,
        )
        edge = _edge(sector, self.clip.size).repeat_interleave(_TRIES, dim=0)
        seen = torch.cat([transform(placing, edge), transform(compose(placing, self._back(params)), edge)], dim=1)
        inside = _inside(sector, seen.unflatten(0, (batch, _TRIES))).all(dim=-1)
        inside[:, -1] = True
        chosen = torch.arange(batch) * _TRIES + inside.int().argmax(dim=1)
        return placing[chosen], params.rows(chosen)

    # -- heads and loss ----------------------------------------------------------------------------------------

    def forward(self, views: dict[str, Tensor]) -> dict[str, Tensor]:
        """The order loss, the transform loss and their sum; see `functional`."""
        clip, transformed = self._maps(views)
        frames = clip.mean(dim=(-2, -1))
        self.watch(frames.mean(dim=1), views["cine"])
        labels, target = views["order"].flatten(), views["target"]
        if self.arguments.variant == "sequential":
            found, order = self._disentangled(clip, transformed, views["shuffles"])
            moved, order, target = found.flatten(0, 1), order.flatten(0, 1), target.repeat_interleave(found.shape[1], 0)
        else:
            pooled = torch.cat([frames, transformed.mean(dim=(-2, -1))])
            order = self.order_logits(shuffle(pooled, views["shuffles"].repeat(2, 1, 1))).flatten(0, 1)
            labels = labels.repeat(2)
            moved = self.transform_head(clip, transformed)
        losses = {
            "order_loss": order_loss(order, labels),
            "transform_loss": transform_loss(moved, target),
        }
        loss = losses["order_loss"] + self.arguments.transform_weight * losses["transform_loss"]
        accuracy = (order.argmax(dim=1) == labels).float().mean()
        return {"loss": loss, **losses, "order_accuracy": accuracy}

    def order_scores(self, views: dict[str, Tensor]) -> Tensor:
        """Scores `(batch, orders, classes)` of each of `shuffles`, as `order` has the classes.

        In the parallel variant of the clip; in the sequential one of the transformed copy, the only one that it orders.
        """
        if self.arguments.variant == "sequential":
            return self._disentangled(*self._maps(views), views["shuffles"])[1]
        return self.order_logits(shuffle(self.encoder(views["clip"]), views["shuffles"]))

    def _maps(self, views: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Feature maps `(batch, K, dim, h, w)` of the clip and of its copy."""
        clip, transformed = widened(self.encoder.features(torch.cat([views["clip"], views["transformed"]]))).chunk(2)
        return clip, transformed

    def _disentangled(self, clip: Tensor, transformed: Tensor, shuffles: Tensor) -> tuple[Tensor, Tensor]:
        """The sequential variant's answers from feature maps; see `DisentangleHead`."""
        shown = self.pair_features(shuffle(transformed.mean(dim=(-2, -1)), shuffles))
        found: tuple[Tensor, Tensor] = self.disentangle(
            correlation(clip.mean(1, True), transformed.mean(1, True)), shown
        )
        return found

    def order_logits(self, features: Tensor) -> Tensor:
        """The parallel variant's scores `(…, classes)` from frame features `(…, K, dim)`, by all pairs of frames."""
        logits: Tensor = self.order_head(self.pair_features(features))
        return logits

    def pair_features(self, features: Tensor) -> Tensor:
        """What all pairs of frames say together, `(…, pairs * hidden)`, of frame features `(…, K, dim)`.

        Features are taken relative to the clip's mean: what all frames share does not tell their order.
        """
        relative = self.norm(features - features.mean(dim=-2, keepdim=True))
        pairs = torch.stack([torch.cat([relative[..., i, :], relative[..., j, :]], -1) for i, j in self.pairs], dim=-2)
        found: Tensor = self.pair_head(pairs)
        return found.flatten(-2)


def shuffle(features: Tensor, shuffles: Tensor) -> Tensor:
    """Features `(batch, K, dim)` in the orders `(batch, orders, K)`: `(batch, orders, K, dim)`.

    A frame encoder gives a frame the same feature wherever it stands, so shuffling features is shuffling frames.
    """
    rows = torch.arange(len(features), device=features.device)[:, None, None]
    return features[rows, shuffles]


def _mirror(mirrored: Tensor, width: int) -> Tensor:
    """Maps pixels of a mirrored frame onto those of the frame; the identity in other rows: `(batch, 2, 3)`."""
    matrix = identity_matrices(len(mirrored)).clone()
    matrix[mirrored, 0] = torch.tensor([-1.0, 0.0, width], dtype=matrix.dtype)
    return matrix


def _about_one(unit: Tensor, limits: tuple[float, float]) -> Tensor:
    """Numbers in -1..1 to a range around 1, so that 0 stays the identity."""
    low, high = limits
    return 1 + torch.where(unit < 0, unit * (1 - low), unit * (high - 1))


def _crops(sector: Tensor, share: Tensor, offset: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps pixels of a view of `size` onto crops of the store's frames: `(batch, tries, 2, 3)`.

    Args:
        sector: bool `(batch, height, width)`.
        share: `(batch, tries)` how much of the frame a crop shows, in each direction, 0 to 1.
        offset: `(batch, tries, 2)` in -1..1: 0 keeps the sector's centre where it is in the frame; at the ends the crop
            touches the frame's edge.
        size: height and width of the view.
    """
    height, width = sector.shape[1:]
    extent = torch.tensor([width, height], dtype=torch.float64)
    columns, rows = sector.any(dim=1).cpu().double(), sector.any(dim=2).cpu().double()
    centre = torch.stack([_middle(columns), _middle(rows)], dim=1)[:, None]
    kept = 1 - share[..., None]
    corner = kept * (centre + offset * torch.minimum(centre, extent - centre))
    matrix = torch.zeros(*share.shape, 2, 3, dtype=torch.float64)
    matrix[..., 0, 0], matrix[..., 1, 1] = share * width / size[1], share * height / size[0]
    matrix[..., 2] = corner
    return matrix


def _middle(profile: Tensor) -> Tensor:
    places = torch.arange(profile.shape[1], dtype=profile.dtype) + 0.5
    return (profile * places).sum(dim=1) / profile.sum(dim=1).clamp(min=1)


def _edge(sector: Tensor, size: tuple[int, int]) -> Tensor:
    """Points on the sector's edge, in pixels of a view of `size`: `(batch, _EDGE, 2)`."""
    mask = sector.cpu().float()[:, None]
    inner = 1 - nn.functional.max_pool2d(nn.functional.pad(1 - mask, (1, 1, 1, 1), value=1.0), 3, stride=1)
    ring = (mask > inner)[:, 0]
    points = []
    for one in ring:
        found = one.nonzero()
        points.append(found[torch.linspace(0, len(found) - 1, _EDGE).long()])
    yx = torch.stack(points).double() + 0.5
    height, width = sector.shape[1:]
    return yx.flip(-1) * torch.tensor([size[1] / width, size[0] / height], dtype=torch.float64)


def _inside(sector: Tensor, points: Tensor) -> Tensor:
    """Whether points `(batch, tries, count, 2)` in pixels lie in the sector, give or take a pixel; bool."""
    height, width = sector.shape[1:]
    wide = nn.functional.max_pool2d(sector.cpu().float()[:, None], 3, stride=1, padding=1)[:, 0] > 0
    x, y = points[..., 0].floor().long(), points[..., 1].floor().long()
    within = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    rows = torch.arange(len(sector))[:, None, None]
    return wide[rows, y.clamp(0, height - 1), x.clamp(0, width - 1)] & within
