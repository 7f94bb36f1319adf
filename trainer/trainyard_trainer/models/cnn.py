"""The convolutional network: for images from 8x8 up."""

from torch import nn

from trainyard_api.errors import TrainyardError
from trainyard_api.recipe import ModelSpec
from trainyard_trainer.models.layers import ACTIVATIONS, dense
from trainyard_trainer.models.registry import register


@register("cnn")
def cnn(spec: ModelSpec, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """[N, C, H, W] -> a block per entry of `spec.channels` (convolution, norm, activation, halving) -> [N, outputs].

    A block no longer halves when height or width is down to 1, so that deep networks accept small images.
    Raises TrainyardError if samples aren't images.
    """
    if len(input_shape) != 3:
        raise TrainyardError(
            f"the cnn model takes images, but a sample's shape is {list(input_shape)}",
            where="spec.recipe.model.type",
            remedy="use type: mlp for tables, or image data",
            cause="InvalidModel",
        )
    inputs, height, width = input_shape
    layers: list[nn.Module] = []
    for channels in spec.channels:
        padding = spec.kernel_size // 2
        layers.append(nn.Conv2d(inputs, channels, spec.kernel_size, padding=padding))
        height, width = (size + 2 * padding - spec.kernel_size + 1 for size in (height, width))
        if spec.batch_norm:
            layers.append(nn.BatchNorm2d(channels))
        layers.append(ACTIVATIONS[spec.activation]())
        if min(height, width) >= 2:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        inputs = channels
    head = dense(
        inputs * height * width,
        spec.hidden,
        outputs,
        activation=spec.activation,
        dropout=spec.dropout,
        batch_norm=spec.batch_norm,
    )
    return nn.Sequential(*layers, nn.Flatten(), *head)
