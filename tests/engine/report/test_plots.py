"""The diagrams show the data that they were given."""

from __future__ import annotations

import numpy as np
import pytest

from usssl.engine.report import Comparison, Confusion, Curves, Timeline, plots


def test_a_panel_for_each_quantity_with_validation_beside_training():
    curves = Curves(
        "t",
        {
            "order_accuracy": [(s, s / 100) for s in range(50)],
            "val_order_accuracy": [(49, 0.4)],
            "lr": [(0, 1), (1, 2)],
        },
        {"order_accuracy": 1 / 12},
    )
    figure = plots.curves_figure(curves)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["order accuracy", "learning rate"]
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["training", "held out", "chance"]


def test_long_curves_are_thinned_without_losing_their_course():
    points = [(step, step / 1000) for step in range(100_000)]
    figure = plots.curves_figure(Curves("t", {"loss": points}))
    line = figure.axes[0].lines[0]
    assert len(line.get_xdata()) == 400
    np.testing.assert_allclose(line.get_ydata(), np.asarray(line.get_xdata()) / 1000)
    assert len(plots.as_uri(figure)) < 150_000


def test_every_seed_is_a_dot():
    arms = {"random": ((1, 2, 3), (4, 5)), "pretrained": ((6, 7, 8), (9,))}
    axes = plots.comparison_figure([Comparison("m", ("a", "b"), arms)]).axes[0]
    seeds = [sorted(line.get_ydata()) for line in axes.lines if line.get_marker() == "o"]
    assert seeds == [[1, 2, 3], [4, 5], [6, 7, 8], [9]]
    means = [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "D"]
    assert means == [2, 4.5, 7, 9]


def test_confusions_are_coloured_by_the_share_of_the_true_class():
    figure = plots.confusion_figure(Confusion(("a", "b"), np.array([[8, 2], [0, 0]])))
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), [[0.8, 0.2], [0, 0]])
    assert [text.get_text() for text in figure.axes[0].texts] == ["8", "2", "0", "0"]
    with pytest.raises(ValueError, match="2 x 2"):
        Confusion(("a", "b"), np.zeros((3, 3), int))


def test_timeline_strips_cover_the_cine():
    times = np.array([0.0, 1.0, 2.0, 4.0])
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.2, 0.8]])
    figure = plots.timeline_figure(Timeline("c", times, ("background", "x"), probabilities, np.array([0, 1, 1, 1])))
    bars = [(bar.get_x(), bar.get_x() + bar.get_width(), bar.get_y()) for bar in figure.axes[1].patches]
    assert bars == [(0.0, 1.5, -0.4), (1.5, 4.0, -0.4), (0.0, 0.5, 0.6), (0.5, 4.0, 0.6)]
    with pytest.raises(ValueError, match="one row of 2 probabilities"):
        Timeline("c", times[:3], ("background", "x"), probabilities)


def test_a_timeline_of_one_frame_is_drawn():
    figure = plots.timeline_figure(Timeline("c", np.array([0.5]), ("a",), np.array([[1.0]])))
    assert plots.as_uri(figure).startswith("data:image/svg+xml;base64,")


def test_the_same_data_give_the_same_bytes():
    curves = Curves("t", {"loss": [(0, 1.0), (1, 0.5), (2, 0.4)]}, {"loss": 1.2})
    assert plots.as_uri(plots.curves_figure(curves)) == plots.as_uri(plots.curves_figure(curves))
