"""Reference values of convolutions and their gradients, by PyTorch in double precision.

Run from the repository root: python3 test/golden/make_convolution.py
It writes test/golden/convolution.json with the version that made it. Images and filters are
stored as layerwise has them (channels last, filters HWIO); the numbers are small integers
over 8, so that they are exact in float32 and the file is short.
"""

import itertools
import json
import pathlib

import torch
import torch.nn.functional as F

torch.manual_seed(5)


def numbers(*shape):
    return torch.randint(-16, 17, shape, dtype=torch.float64) / 8


def last(t):  # NC… -> N…C
    return t.movedim(1, -1)


def flat(t):
    return [round(v, 10) for v in t.detach().contiguous().flatten().tolist()]


def entry(op, x, w, y, options, filter_of):
    weights = numbers(*y.shape)
    dx, dw = torch.autograd.grad((y * weights).sum(), [x, w])
    return {
        "op": op,
        "options": options,
        "x": {"shape": list(last(x).shape), "data": flat(last(x))},
        "filter": {"shape": list(filter_of(w).shape), "data": flat(filter_of(w))},
        "y": {"shape": list(last(y).shape), "data": flat(last(y))},
        "dy": flat(last(weights)),
        "dx": flat(last(dx)),
        "dFilter": flat(filter_of(dw)),
    }


def hwio(w):  # OI… -> …IO
    return w.movedim((0, 1), (-1, -2))


def transposed(w):  # torch's IO… of a transposed convolution -> …OI
    return w.movedim((0, 1), (-1, -2))


def conv(rank, size, channels, filters, kernel, stride=1, padding=0, dilation=1, groups=1):
    f = [F.conv1d, F.conv2d, F.conv3d][rank - 1]
    x = numbers(2, channels, *size).requires_grad_()
    w = numbers(filters, channels // groups, *kernel).requires_grad_()
    y = f(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups)
    as_pairs = padding if isinstance(padding, (int, str)) else [[p, p] for p in padding]
    if rank == 1 and not isinstance(padding, (int, str)):
        as_pairs = as_pairs[0]
    options = {"strides": stride, "padding": as_pairs, "dilationRate": dilation, "groups": groups}
    return entry(f"conv{rank}d", x, w, y, options, hwio)


def padded(size, channels, filters, kernel, stride, padding):  # [before, after] of each dimension
    x = numbers(2, channels, *size).requires_grad_()
    w = numbers(filters, channels, *kernel).requires_grad_()
    y = F.conv2d(F.pad(x, (*padding[1], *padding[0])), w, stride=stride)
    return entry("conv2d", x, w, y, {"strides": stride, "padding": padding}, hwio)


def depthwise(size, channels, multiplier, kernel, stride, padding):
    x = numbers(2, channels, *size).requires_grad_()
    w = numbers(channels * multiplier, 1, *kernel).requires_grad_()
    y = F.conv2d(x, w, stride=stride, padding=padding, groups=channels)
    options = {"strides": stride, "padding": padding}

    def own(w):
        return hwio(w).reshape(*kernel, channels, multiplier)

    return entry("depthwiseConv2d", x, w, y, options, own)


def transpose(size, channels, filters, kernel, stride, padding, extra, dilation=1, groups=1):
    rank = len(size)
    f = F.conv_transpose2d if rank == 2 else F.conv_transpose3d
    x = numbers(2, channels, *size).requires_grad_()
    w = numbers(channels, filters // groups, *kernel).requires_grad_()
    y = f(x, w, stride=stride, padding=padding, output_padding=extra, dilation=dilation, groups=groups)
    pairs = padding if isinstance(padding, int) else [[p, p] for p in padding]
    options = {"strides": stride, "padding": pairs, "outputPadding": extra}
    options |= {"dilationRate": dilation, "groups": groups}
    return entry(f"conv{rank}dTranspose", x, w, y, options, transposed)


cases = [
    conv(2, (4, 5), 2, 3, (3, 2)),
    conv(2, (5, 5), 2, 3, (3, 3), padding="same"),
    conv(2, (5, 4), 2, 3, (4, 2), padding="same", dilation=(1, 2)),
]
for stride, padding, dilation, groups in itertools.product((1, 2), (0, (1, 2)), (1, (2, 1)), (1, 2)):
    cases.append(conv(2, (6, 5), 2, 4, (3, 2), stride, padding, dilation, groups))
cases += [
    conv(2, (7, 6), 3, 3, (3, 3), (2, 3), 1, 1, 3),
    conv(1, (9,), 2, 3, (3,)),
    conv(1, (9,), 2, 4, (4,), 2, 1, 2, 2),
    conv(1, (8,), 2, 3, (3,), padding="same"),
    conv(3, (4, 3, 5), 2, 2, (2, 2, 3), (1, 1, 2), (1, 0, 1)),
    conv(3, (5, 4, 4), 2, 2, (3, 2, 2), 2, 1),
    depthwise((5, 6), 3, 1, (3, 3), 1, 1),
    depthwise((5, 6), 2, 3, (3, 2), 2, 1),
    transpose((3, 4), 2, 3, (3, 3), 1, 0, 0),
    transpose((3, 4), 2, 3, (3, 3), 2, 1, 1),
    transpose((3, 4), 2, 3, (2, 3), (3, 2), 0, (2, 1)),
    transpose((3, 3), 4, 2, (3, 3), 2, 1, 0, 2, 2),
    conv(2, (5, 6), 3, 4, (1, 1)),
    conv(2, (5, 6), 3, 4, (1, 1), (2, 3)),
    conv(2, (4, 7), 2, 3, (1, 1), (1, 2)),
    conv(2, (5, 6), 2, 3, (1, 1), 2, 1),
    conv(2, (5, 6), 4, 2, (1, 1), 2, 0, 1, 2),
    conv(1, (9,), 2, 3, (1,), 2),
    conv(3, (3, 4, 5), 2, 3, (1, 1, 1), 2),
    padded((4, 4), 2, 3, (1, 1), 2, [[0, 1], [0, 1]]),
    padded((4, 5), 2, 3, (1, 1), 2, [[0, 2], [0, 0]]),
    padded((5, 4), 2, 3, (3, 2), 2, [[0, 1], [1, 2]]),
    # First layers' filters, and what kernels of their own compute: channel by channel, and Winograd's algorithm.
    conv(2, (19, 17), 2, 2, (11, 11), 4, 2),
    conv(2, (13, 11), 2, 2, (7, 7), 2, 3),
    conv(2, (8, 9), 2, 2, (5, 5), 1, 2),
    depthwise((4, 9), 16, 1, (3, 3), 1, 1),
    conv(2, (12, 8), 24, 24, (3, 3), 1, 1) | {"winograd": True},
    # Volumes: what their planes add to the cases of images.
    conv(3, (4, 5, 4), 2, 2, (3, 2, 3), padding="same"),
    conv(3, (6, 4, 5), 2, 3, (2, 2, 2), 1, 0, (3, 1, 2)),
    conv(3, (6, 4, 5), 4, 2, (3, 2, 1), (2, 1, 2), (1, 0, 1), 1, 2),
    conv(3, (7, 5, 4), 4, 4, (2, 3, 2), (2, 1, 1), (1, 2, 1), (2, 2, 1), 2),
    conv(3, (4, 3, 3), 3, 6, (2, 2, 2), 1, 0, 1, 3),
    transpose((3, 2, 4), 2, 3, (2, 3, 2), 1, 0, 0),
    transpose((3, 4, 2), 2, 2, (3, 2, 3), (2, 1, 2), 1, (1, 0, 0)),
    transpose((2, 3, 3), 2, 2, (2, 2, 1), (3, 2, 2), 0, (2, 1, 0)),
    transpose((3, 2, 3), 2, 3, (2, 3, 2), 1, 0, 0, (2, 1, 2)),
    transpose((2, 3, 2), 4, 2, (3, 2, 2), (2, 2, 1), (1, 0, 1), 0, (1, 2, 2), 2),
]
out = pathlib.Path(__file__).with_name("convolution.json")
out.write_text(json.dumps({"torch": torch.__version__, "cases": cases}, separators=(",", ":")) + "\n")
