"""A volume through an encoder of volumes: exact maps, their place in the file, honest errors, saved whole."""

import itertools
import json

import numpy as np
import pytest
import torch
from torch import nn

import relax
from masking import GridSurrogate, RandomGrid
from relax.cli.app import run
from relax.estimators.blocks import averages
from relax.estimators.control import ControlledMoments
from relax.estimators.moments import RelaxMoments
from relax.run import Interrupted

nib = pytest.importorskip("nibabel", reason="the extra [medical] is not installed")

from relax.questions.saved_volume import load_volume  # noqa: E402
from tests.relax.io.volumes.test_nifti import stored_as  # noqa: E402


def first_voxel(volumes):
    """What the encoder sees of the lowest, front, right voxel: D from below, H from the front, W from the right."""
    return one_voxel(volumes, (0, 0, 0))


def one_voxel(volumes, place):
    """Its value, and a 1, beside which it gives a direction."""
    value = volumes[(slice(None), 0, *place)]
    return torch.stack([value, torch.ones_like(value)], 1)


def test_all_masks_of_eight_voxels_give_the_values_worked_out_by_hand(tmp_path):
    """Over all 256 masks the voxel scores 1 where it is visible: 1 and 0 there, elsewhere a half, variance a quarter.

    The file stores x to the left, y to the head and z to the front.
    """
    values = np.linspace(0, 0.7, 8, dtype=np.float32).reshape(2, 2, 2)
    values[1, 1, 0] = 1  # right, front, feet
    file = stored_as(tmp_path / "a.nii.gz", "LSA", values)
    masks = torch.tensor(list(itertools.product([0.0, 1.0], repeat=8))).view(256, 1, 2, 2, 2)
    encoder = relax.load_encoder(first_voxel, size=(2, 2, 2))

    explained = relax.explain_volume(
        file,
        encoder,
        masks=masks,
        similarity="dot",
        reference=torch.tensor([1.0, 0.0]),
        window=(0.5, 1),
        progress=False,
    )

    importance = np.full((2, 2, 2), 0.5, np.float32)
    importance[0, 0, 1] = 1  # patient's right, feet, front
    np.testing.assert_allclose(explained.importance, importance, atol=1e-6)
    np.testing.assert_allclose(explained.uncertainty, np.where(importance == 1, 0, 0.25), atol=1e-6)
    assert explained.whole
    assert sorted(explained.slices) == [0, 1]


@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
def test_d_h_and_w_are_slices_as_they_are_shown_and_maps_go_back_to_where_they_came_from(tmp_path, axis):
    """An encoder that sees one voxel of the file scores its visibility: the map is highest around that voxel."""
    values = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    file = stored_as(tmp_path / "a.nii.gz", "PIR", values)
    shown = relax.read_volume(file, axis=axis, window=(59.5, 119))
    for index in range(shown.shape[2]):
        picture = relax.read_image(f"{file}#{axis}={index}&window=59.5,119", channels=1)
        torch.testing.assert_close(shown[:, :, index], picture)
    if axis == "axial":  # as docs/volumes.md says of networks that were trained in RAS order
        canonical = nib.as_closest_canonical(nib.load(file)).get_fdata() / 119
        np.testing.assert_allclose(shown.permute(0, 1, 4, 3, 2).flip(2, 3)[0, 0], canonical, atol=1e-6)
    place = tuple(int(at) for at in np.unravel_index(77, shown.shape[2:]))
    encoder = relax.load_encoder(lambda volumes: one_voxel(volumes, place), size=shown.shape[2:])

    explained = relax.explain_volume(
        file,
        encoder,
        axis=axis,
        masks=300,
        cells=4,
        similarity="dot",
        reference=torch.tensor([1.0, 0.0]),
        progress=False,
    )

    stored = nib.load(file).get_fdata()
    highest = np.unravel_index(explained.importance.argmax(), stored.shape)
    assert stored[highest] == pytest.approx(float(shown[(0, 0, *place)]) * 119, abs=1e-3)


def test_a_planted_sphere_is_found_and_its_map_lies_over_it(tmp_path):
    """Random kernels, above a threshold only the sphere exceeds, averaged over the volume."""
    places = np.stack(np.meshgrid(*map(np.arange, (20, 16, 14)), indexing="ij"), -1)
    sphere = np.linalg.norm(places - [13, 5, 8], axis=-1) < 3.5
    values = np.random.default_rng(0).normal(100, 5, sphere.shape) + 60 * sphere
    file, affine = tmp_path / "ct.nii.gz", [[0, 0, 3, -10], [-2, 0, 0, 20], [0, 2, 0, 5], [0, 0, 0, 1]]
    nib.save(nib.Nifti1Image(values.astype(np.float32), np.array(affine, float)), file)
    encoder = relax.load_encoder(Bright(), size=(16, 16, 16))

    explained = relax.explain_volume(file, encoder, masks=400, cells=5, fill=0.2, similarity="l2", progress=False)
    files = explained.save(tmp_path / "out" / "ct")

    importance = nib.load(files[0])
    np.testing.assert_array_equal(importance.affine, affine)
    map_ = np.asarray(importance.dataobj)
    np.testing.assert_array_equal(map_, explained.importance)
    inside, outside = np.sort(map_[sphere]), map_[~sphere]
    assert np.searchsorted(inside, outside).mean() / len(inside) < 0.03  # area above the curve
    assert sphere[np.unravel_index(map_.argmax(), map_.shape)]
    record = json.loads(files[3].read_text())
    assert (record["whole"], len(record["slices"])) == (True, 1)
    assert record["slices"][0]["masks"]["image_size"] == [16, 16, 16]
    assert record["slices"][0]["estimator"]["name"] == "controlled"
    loaded = load_volume(files[3])
    np.testing.assert_array_equal(loaded.uncertainty, explained.uncertainty)
    np.testing.assert_array_equal(loaded.slices[3].image, explained.slices[3].image)
    assert loaded.slices[3].provenance == explained.slices[3].provenance


class Bright(nn.Module):
    """Random kernels above a threshold, averaged, and a constant, beside which they give a direction."""

    def __init__(self):
        super().__init__()
        self.kernels = nn.Conv3d(1, 4, 3, padding=1)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            self.kernels.weight.copy_(torch.rand(4, 1, 3, 3, 3) / 13.5)  # sums of about 1
            self.kernels.bias.fill_(-0.6)

    def forward(self, volumes):
        means = self.kernels(volumes).relu().mean((2, 3, 4))
        return torch.cat([means, torch.full_like(means[:, :1], 0.01)], 1)


SIZE, CELLS = (5, 6, 7), 2
WEIGHTS = torch.randn(SIZE, generator=torch.Generator().manual_seed(0)) / 10


def curved(masks):
    """Scores (N,) of masks that are not linear in them, nor a sum over pairs."""
    return torch.tanh((masks[:, 0] * WEIGHTS).sum((1, 2, 3)) * 2) + masks[:, 0, 1, 1, 1] * masks[:, 0, 4, 4, 4]


@pytest.mark.parametrize(("controlled", "keep"), [(True, 0.4), (False, 0.5)])
def test_maps_are_unbiased_and_their_errors_cover_the_truth(controlled, keep):
    """60 estimates from 512 masks, four orthogonal blocks each, against plain averages over 40,000 others."""
    truth = RelaxMoments.empty(SIZE)
    masks = RandomGrid(SIZE, CELLS, keep, seed=999).masks(0, 40_000)
    truth.add(curved(masks), masks)
    covered, maps = torch.zeros(SIZE, dtype=torch.float64), []
    for seed in range(60):
        grid = RandomGrid(SIZE, CELLS, keep, seed, "orthogonal")
        masks = grid.masks(0, 512)
        moments = ControlledMoments(GridSurrogate(grid)) if controlled else averages(grid)
        moments.add(curved(masks), masks)
        error = (moments.standard_error.square() + truth.standard_error.square()).sqrt()
        covered += (moments.importance - truth.importance).abs() <= 1.96 * error
        maps.append(moments.importance)

    several = torch.stack(maps)
    error = (several.var(0) / len(several) + truth.standard_error.square()).sqrt()
    assert ((several.mean(0) - truth.importance).abs() < 5 * error + truth.importance.std() / 512).all()
    assert 0.9 <= covered.mean() / 60 <= 0.99
    if controlled:
        assert (moments.uncertainty - truth.uncertainty).abs().mean() < 0.1 * truth.uncertainty.mean()


def test_what_there_is_for_pictures_only_is_refused(tmp_path):
    file = stored_as(tmp_path / "a.nii.gz", "RAS", np.random.default_rng(0).random((8, 9, 10)).astype(np.float32))
    encoder = relax.load_encoder(first_voxel, size=(6, 6, 6))
    for settings, message in [
        ({"method": "occlusion"}, 'method must be "relax", without a head'),
        ({"within": (1, 1, 4, 4)}, "within is for pictures"),
        ({"regions": "superpixels"}, "regions must be 'grid' for an encoder of volumes; got 'superpixels'"),
        ({"fill": torch.zeros(3, 6, 6)}, "for an encoder of volumes; got a picture"),
        ({"indices": [1]}, "indices are for slices"),
        ({"cells": 7}, "cells must be between 1 and the shorter image side, here 6 px; got 7"),
        ({"masks": torch.rand(3, 1, 6, 6)}, r"masks must have the image's size \(10, 9, 8\) or the encoder's input si"),
    ]:
        with pytest.raises(ValueError, match=message):
            relax.explain_volume(file, encoder, progress=False, **{"cells": 3, **settings})
    with pytest.raises(relax.EncoderError, match=r"takes volumes \(B, C, D, H, W\); .*a.nii.gz#axial=3 is a picture"):
        relax.explain(f"{file}#axial=3", encoder)


def test_ctrl_c_leaves_the_maps_so_far(tmp_path):
    file = stored_as(tmp_path / "a.nii.gz", "RAS", np.random.default_rng(0).random((6, 6, 6)).astype(np.float32))
    done = []

    def stop(count, total):
        if count >= 60:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        relax.explain_volume(
            file,
            relax.load_encoder(lambda volumes: volumes.flatten(1), size=(6, 6, 6)),
            masks=400,
            cells=3,
            batch_size=20,
            done=done.append,
            progress=stop,
        )

    assert done[0].slices[2].provenance["stopped_early"] == {"after": 60, "of": 400}
    assert np.isfinite(done[0].importance).all()
    assert len(caught.value.explanations) == 6


def test_the_command_line_takes_an_encoder_of_volumes(tmp_path, capsys):
    file = stored_as(tmp_path / "a.nii.gz", "RAS", np.random.default_rng(0).random((6, 7, 8)).astype(np.float32))
    (tmp_path / "hubconf.py").write_text(
        "import torch\n\ndef net():\n    torch.manual_seed(0)\n    return torch.nn.Conv3d(1, 2, 3)\n"
    )
    spec = f"hub:{tmp_path}:net?size=6x6x6"

    code = run(["volume", str(file), "--encoder", spec, "--masks", "40", "--cells", "3", "--out", f"{tmp_path}/out"])

    assert code == 0, capsys.readouterr().err
    assert "the volume at once, as 8 axial slices" in capsys.readouterr().out
    assert np.isfinite(nib.load(tmp_path / "out/a-importance.nii.gz").get_fdata()).all()
    assert run(["volume", str(file), "--encoder", spec, "--slices", "2", "--out", f"{tmp_path}/out"]) == 2
    assert "leave them out" in capsys.readouterr().err
