"""Labels against the geometry of the fetus and against the picture."""

from __future__ import annotations

import itertools

import numpy as np

from usssl.phantom import BACKGROUND, PLANES, ProbePath, film, simulate_cine
from usssl.phantom.planes import label
from usssl.phantom.poses import pose_on_skin
from usssl.phantom.scene import Instant
from usssl.phantom.sheet import standard_planes


def test_planes_have_the_names_that_tasks_use():
    assert set(PLANES) | {BACKGROUND} == {
        "brain_transventricular",
        "brain_transcerebellar",
        "abdomen",
        "femur",
        "four_chamber",
        "background",
    }


def test_every_plane_of_every_fetus_can_be_shown(patients):
    for patient in patients:
        scene = patient.scene
        planes = scene.fetus.planes()
        for plane in planes:
            pose = pose_on_skin(scene.rest.outer(plane.centre), scene.rest.axes @ plane.normal)
            assert label(planes, pose, scene.rest, patient.scanner.sector) == plane.name
            beside = pose.moved(np.array([0, 3 * plane.tolerance_mm, 0]), np.zeros(3))
            assert label([plane], beside, scene.rest, patient.scanner.sector) == BACKGROUND


def test_a_frame_labelled_femur_has_a_femur_in_the_slice():
    """Both ends of one shaft lie within its radius of the image plane, by geometry worked out afresh; it is bright."""
    found = 0
    for number in itertools.count(1):
        cine = simulate_cine(11, number, size=(120, 160), frames=24)
        fetus, sector = cine.patient.scene.fetus, cine.sector
        for k in np.flatnonzero(np.array(cine.planes) == "femur"):
            pose, lie = cine.path.poses[k], cine.path.instants[k].fetus
            normal = np.cross(pose.axial, pose.lateral)
            shafts = [(leg, [lie.axes @ end + lie.origin for end in leg.ends]) for leg in fetus.legs]
            leg, ends = min(shafts, key=lambda shaft: max(abs((end - pose.origin) @ normal) for end in shaft[1]))
            assert max(abs((end - pose.origin) @ normal) for end in ends) <= leg.bone + 1e-6
            share = np.linspace(0.1, 0.9, 20)[:, None]
            points = ends[0] + share * (ends[1] - ends[0]) - pose.origin
            bright = [brightest(cine.frames[k], *sector.to_pixels(p @ pose.lateral, p @ pose.axial)) for p in points]
            inside = cine.frames[k][sector.mask]
            assert np.median(bright) > np.quantile(inside, 0.85)
            found += 1
        if found >= 8:
            break
    assert number < 20


def brightest(frame: np.ndarray, x: float, y: float) -> int:
    """The brightest of the pixels just about a place; a shaft's echo is its upper side."""
    column, row = round(float(x)), round(float(y))
    return int(frame[max(row - 3, 0) : row + 2, column].max())


def test_fluid_is_dark_and_bone_is_bright_where_anatomy_says_so(patients):
    """Mean grey at the stomach against the liver about it, and at the skull against the brain, over several fetuses."""
    stomachs, livers, skulls, brains = [], [], [], []
    for patient in patients:
        scene, sector = patient.scene, patient.scanner.sector
        shown = standard_planes(patient)
        for plane in scene.fetus.planes():
            pose = pose_on_skin(scene.rest.outer(plane.centre), scene.rest.axes @ plane.normal)

            def grey(point, pose=pose, frame=shown[plane.name], rest=scene.rest, sector=sector):
                lateral, _, axial = pose.image_coordinates(rest.outer(point))
                x, y = sector.to_pixels(lateral, axial)
                patch = frame[round(float(y)) - 1 : round(float(y)) + 2, round(float(x)) - 1 : round(float(x)) + 2]
                return float(patch.mean())

            if plane.name == "abdomen":
                stomachs.append(grey(plane.landmarks["stomach"]))
                livers.append(grey(scene.fetus.trunk.spot(0.45, 0.25, -0.62)))
            if plane.name == "brain_transventricular":
                brains.append(grey(scene.fetus.head_place.outer(scene.fetus.head.spot(0.3, 0.15, 0.1))))
                # The side of the skull that faces the probe.
                side = np.sign((scene.rest.axes @ scene.fetus.head_place.axes[:, 0])[2])
                skulls.append(grey(scene.fetus.head_place.outer(scene.fetus.head.spot(-side, 0.0, 0.08))))
    assert np.median(stomachs) < 0.45 * np.median(livers)
    assert np.median(skulls) > 2 * np.median(brains)


def test_mean_and_spread_of_grey_do_not_tell_planes_apart(patients):
    """Leaving a patient out, the nearest mean of (mean, spread, dark share) is wrong more than 4 times in 10."""
    features, names, owners = [], [], []
    for owner, patient in enumerate(patients):
        mask = patient.scanner.sector.mask
        for name, frame in standard_planes(patient).items():
            pixels = frame[mask].astype(float)
            features.append((pixels.mean(), pixels.std(), (pixels < 20).mean() * 100))
            names.append(name)
            owners.append(owner)
    table, names, owners = np.array(features), np.array(names), np.array(owners)
    table = (table - table.mean(axis=0)) / table.std(axis=0)
    right = 0
    for k in range(len(table)):
        others = owners != owners[k]
        centres = np.stack([table[others & (names == name)].mean(axis=0) for name in PLANES])
        right += PLANES[int(np.argmin(((centres - table[k]) ** 2).sum(axis=1)))] == names[k]
    assert right / len(table) < 0.6


def test_the_heart_beats(patients):
    """With probe and fetus still, nothing changes but the heart, and that comes back after a beat."""
    patient = patients[0]
    scene, sector = patient.scene, patient.scanner.sector
    [plane] = [plane for plane in scene.fetus.planes() if plane.name == "four_chamber"]
    pose = pose_on_skin(scene.rest.outer(plane.centre), scene.rest.axes @ plane.normal)
    cuts = [scene.cut(pose, Instant(scene.rest, phase), sector)[0].level_db for phase in (0.0, 0.5, 1.0)]
    assert (cuts[0] == cuts[2]).all()
    changed = np.abs(cuts[0] - cuts[1]) > 6
    lateral, axial = sector.beams
    heart = pose.image_coordinates(scene.rest.outer(scene.fetus.trunk.heart_place.origin))
    away = np.hypot(lateral - heart[0], axial - heart[2])
    assert changed.sum() > 20
    assert away[changed].max() < 16 * scene.fetus.trunk.heart.size


def test_film_is_what_the_path_shows(patients):
    """A still path gives frames that differ by electronic noise alone, the first no more than the others."""
    patient = patients[1]
    plane = patient.scene.fetus.planes()[0]
    pose = pose_on_skin(patient.scene.rest.outer(plane.centre), patient.scene.rest.axes @ plane.normal)
    frames = list(film(patient, ProbePath((pose,) * 6, (Instant(patient.scene.rest),) * 6)))
    steps = [np.abs(after.astype(int) - before).mean() for before, after in itertools.pairwise(frames)]
    assert max(steps) < 4
    assert steps[0] < 1.3 * np.median(steps)
    assert frames[0].shape == patient.scanner.sector.size
    assert frames[0].dtype == np.uint8
