"""Class activation maps, by grad-cam, from its raw sums: nothing is scaled to [0, 1].

The channels of one layer are weighted and added. The map has the resolution of that layer and is enlarged bilinearly.
The negative part is cut off where the method is defined that way (Grad-CAM, Grad-CAM++, Layer-CAM). `grad-cam` rescales
every map that its call returns to [0, 1]; its `get_cam_image`, used here, gives the sums before that.
"""

from __future__ import annotations

import torch
from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, LayerCAM
from torch import Tensor, nn

from encoders.layouts import Layer
from encoders.trace import module_of
from relax.baselines.layers import activations, gradcam_layer
from relax.baselines.task import Maps, MethodError, Task, gradients_allowed


def gradcam(task: Task) -> Maps:
    """Channels weighted with the mean gradient of the score, added up; the positive part.

    Source: Grad-CAM (Selvaraju et al., ICCV 2017).
    """
    return _weighted(task, GradCAM)


def gradcam_plus_plus(task: Task) -> Maps:
    """Channels weighted with a weighted mean of the positive gradients, added up; the positive part.

    Source: Grad-CAM++ (Chattopadhay et al., WACV 2018).
    """
    return _weighted(task, GradCAMPlusPlus)


def layercam(task: Task) -> Maps:
    """Every cell of every channel weighted with its own positive gradient, added up; the positive part.

    Source: LayerCAM (Jiang et al., TIP 2021).
    """
    return _weighted(task, LayerCAM)


def eigencam(task: Task) -> Maps:
    """The projection of the layer's cells on their first principal component.

    It depends on no class and no reference. The sign of a component is arbitrary; here it is positive where the
    activations are largest in norm. The activations are centred first, as in `grad-cam`; the paper does not.

    Source: Eigen-CAM (Muhammad & Yeasin, IJCNN 2020).
    """
    layer = gradcam_layer(task)
    feature_map = activations(task, layer)
    cam = EigenCAM(_Scores(task), [])
    try:
        component = torch.from_numpy(
            cam.get_cam_image(None, None, None, feature_map.cpu().float().numpy(), None, False)
        )[0]
    finally:
        cam.activations_and_grads.release()
    energy = feature_map[0].cpu().double().square().sum(0)
    if (component.double() * (energy - energy.mean())).sum() < 0:
        component = -component
    return Maps(task.to_view(component), "activation along the first component", settings=_settings(layer))


class _Scores(nn.Module):
    """The score as a module, as grad-cam requires. The network stays outside, so that its mode cannot be changed."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        # grad-cam reads the device from the first parameter.
        self.anchor = nn.Parameter(torch.empty(0, device=task.encoder.device), requires_grad=False)
        self._score = task.scores_with_gradients

    def forward(self, pixels: Tensor) -> Tensor:
        return self._score(pixels)


def _weighted(task: Task, method: type) -> Maps:
    layer = gradcam_layer(task)
    module = module_of(task.encoder, layer.name)
    with gradients_allowed():
        cam = method(_Scores(task), [module], reshape_transform=layer.feature_map)
        recorder = cam.activations_and_grads
        try:
            pixels = task.leaf(task.view)
            torch.autograd.grad(recorder(pixels).sum(), pixels, allow_unused=True)
            if not recorder.gradients:
                raise MethodError(
                    f"{task.method} needs a gradient at layer {layer.name!r}, and the {task.scalar.name} does not "
                    f"depend on it in encoder {task.encoder.name!r}: use eigencam or lafam"
                )
            activation, gradient = recorder.activations[-1].float().numpy(), recorder.gradients[-1].float().numpy()
            sums = torch.from_numpy(cam.get_cam_image(pixels, module, None, activation, gradient, False))[0]
        finally:
            recorder.release()
    unit = f"weighted activation, weights in {task.scalar.unit} / activation"
    return Maps(task.to_view(sums.clamp(min=0)), unit, settings=_settings(layer))


def _settings(layer: Layer) -> dict[str, object]:
    return {"layer": layer.name, "grid": list(layer.grid or ())}
