"""Reference values of pooling, resizing and local response normalisation, by PyTorch in double precision.

Run from the repository root: python3 test/golden/make_images.py
It writes test/golden/images.json with the version that made it. Inputs are sin(0.7 i + 0.3) of the
element's number i, output weights cos(0.9 i); the gradient is that of the weighted sum of outputs.
Layouts are those of this library: channels last.
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F


def filled(shape, f):
    size = math.prod(shape)
    return torch.tensor([f(i) for i in range(size)], dtype=torch.float64).reshape(shape)


def first(x):  # channels first
    return x.permute(0, x.dim() - 1, *range(1, x.dim() - 1))


def last(x):
    return x.permute(0, *range(2, x.dim()), 1)


def max_pool(rank, k, s, p):
    return lambda x: getattr(F, f"max_pool{rank}d")(x, k, s, p)


def avg_pool(rank, k, s, p):
    return lambda x: getattr(F, f"avg_pool{rank}d")(x, k, s, p, count_include_pad=False)


def resize(size, mode, **options):
    return lambda x: F.interpolate(x, size, mode=mode, **options)


def lrn(n, alpha, beta, k):
    return lambda x: F.local_response_norm(x, n, alpha, beta, k)


CASES = [
    ("maxPool", [2, 9, 3], dict(poolSize=3, strides=2, padding=1), max_pool(1, 3, 2, 1)),
    ("maxPool", [2, 7, 8, 3], dict(poolSize=[3, 2], strides=[2, 3], padding=1), max_pool(2, (3, 2), (2, 3), 1)),
    ("maxPool", [1, 4, 5, 6, 2], dict(poolSize=[2, 3, 3], strides=2, padding=1), max_pool(3, (2, 3, 3), 2, 1)),
    ("avgPool", [2, 9, 3], dict(poolSize=3, strides=2, padding=1), avg_pool(1, 3, 2, 1)),
    ("avgPool", [2, 7, 8, 3], dict(poolSize=[3, 2], strides=[2, 3], padding=1), avg_pool(2, (3, 2), (2, 3), 1)),
    ("avgPool", [1, 4, 5, 6, 2], dict(poolSize=[2, 3, 3], strides=2, padding=1), avg_pool(3, (2, 3, 3), 2, 1)),
    ("resizeBilinear", [2, 4, 5, 3], dict(size=[7, 3]), resize((7, 3), "bilinear", align_corners=False)),
    ("resizeBilinear", [1, 3, 4, 2], dict(size=[6, 8]), resize((6, 8), "bilinear", align_corners=False)),
    ("resizeBilinear", [2, 4, 5, 3], dict(size=[7, 3], alignCorners=True), resize((7, 3), "bilinear", align_corners=True)),
    ("resizeNearestNeighbor", [2, 4, 5, 3], dict(size=[7, 3]), resize((7, 3), "nearest-exact")),
    ("resizeNearestNeighbor", [2, 4, 5, 3], dict(size=[7, 3], halfPixelCenters=False), resize((7, 3), "nearest")),
    ("localResponseNormalization", [2, 3, 2, 7], dict(depthRadius=2, alpha=0.02, beta=0.75, bias=2), lrn(5, 0.1, 0.75, 2)),
    ("localResponseNormalization", [2, 3, 2, 7], dict(depthRadius=1, alpha=0.5, beta=0.6, bias=1), lrn(3, 1.5, 0.6, 1)),
]


def run(op, shape, options, f):
    x = filled(shape, lambda i: math.sin(0.7 * i + 0.3)).requires_grad_()
    y = last(f(first(x)))
    (y * filled(y.shape, lambda i: math.cos(0.9 * i))).sum().backward()
    return dict(op=op, shape=shape, options=options, outputShape=list(y.shape),
                output=y.flatten().tolist(), gradient=x.grad.flatten().tolist())


golden = {"madeBy": f"PyTorch {torch.__version__}", "cases": [run(*case) for case in CASES]}
path = pathlib.Path(__file__).with_name("images.json")
path.write_text(json.dumps(golden, indent=1) + "\n")
