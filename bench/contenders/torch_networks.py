"""The convolutional networks of bench/cases/models.ts as a good PyTorch user writes them. Weights in the order of
`modules()` are those of our models in the order of `getWeights()`; see `load`."""

import torch
from torch import nn


def convolution(inputs, outputs, side, stride=1, padding=0, bias=False, norm=True, relu=True):
    layers = [nn.Conv2d(inputs, outputs, side, stride, padding, bias=bias)]
    if norm:
        layers.append(nn.BatchNorm2d(outputs, eps=1e-5, momentum=0.1))
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def lenet5(channels, classes):
    return nn.Sequential(
        convolution(channels, 6, 5, padding=2, bias=True, norm=False),
        nn.MaxPool2d(2),
        convolution(6, 16, 5, bias=True, norm=False),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(inplace=True),
        nn.Linear(120, 84),
        nn.ReLU(inplace=True),
        nn.Linear(84, classes),
    )


def vgg11(channels, classes):
    layers, width = [], channels
    for filters, count in ((64, 1), (128, 1), (256, 2), (512, 2), (512, 2)):
        for _ in range(count):
            layers.append(convolution(width, filters, 3, padding=1, bias=True))
            width = filters
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, classes))


class Block(nn.Module):
    """What `body` adds to its input, or to what `shortcut` makes of it."""

    def __init__(self, body, shortcut=None):
        super().__init__()
        self.body, self.shortcut, self.relu = body, shortcut or nn.Identity(), nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.body(x) + self.shortcut(x))


class Subsample(nn.Module):
    """Every second pixel, and zeros for the new channels ("option A")."""

    def __init__(self, more):
        super().__init__()
        self.more = more

    def forward(self, x):
        return nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.more))


def resnet20(channels, classes):
    layers, width = [convolution(channels, 16, 3, padding=1)], 16
    for stage, filters in enumerate((16, 32, 64)):
        for i in range(3):
            stride = 2 if stage > 0 and i == 0 else 1
            body = nn.Sequential(
                convolution(width, filters, 3, stride, 1), convolution(filters, filters, 3, 1, 1, relu=False)
            )
            layers.append(Block(body, Subsample(filters - width) if stride == 2 else None))
            width = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))


def resnet50(channels, classes):
    layers, width = [convolution(channels, 64, 7, 2, 3), nn.MaxPool2d(3, 2, 1)], 64
    for stage, count in enumerate((3, 4, 6, 3)):
        filters = 64 * 2**stage
        for i in range(count):
            stride = 2 if stage > 0 and i == 0 else 1
            body = nn.Sequential(
                convolution(width, filters, 1),
                convolution(filters, filters, 3, stride, 1),
                convolution(filters, 4 * filters, 1, relu=False),
            )
            shortcut = convolution(width, 4 * filters, 1, stride, relu=False) if i == 0 else None
            layers.append(Block(body, shortcut))
            width = 4 * filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


networks = {"lenet5": lenet5, "vgg11": vgg11, "resnet20": resnet20, "resnet50": resnet50}


def load(model, values):
    """Fills a model from one array: per module filter [height, width, in, out] or matrix [in, out], bias; gamma,
    beta, mean, variance of a norm."""
    at = 0

    def take(shape):
        nonlocal at
        size = torch.Size(shape).numel()
        at += size
        return values[at - size : at].view(shape)

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                out, inputs, height, width = module.weight.shape
                module.weight.copy_(take((height, width, inputs, out)).permute(3, 2, 0, 1))
            elif isinstance(module, nn.Linear):
                module.weight.copy_(take(module.weight.shape[::-1]).t())
            elif isinstance(module, nn.BatchNorm2d):
                for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                    tensor.copy_(take(tensor.shape))
            else:
                continue
            if not isinstance(module, nn.BatchNorm2d) and module.bias is not None:
                module.bias.copy_(take(module.bias.shape))
    assert at == values.numel(), f"{values.numel()} values for {at} weights"
