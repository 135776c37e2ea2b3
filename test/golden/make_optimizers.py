"""Reference trajectories of optimizers, by PyTorch in double precision.

Run from the repository root: python3 test/golden/make_optimizers.py
It writes test/golden/optimizers.json with the version that made it. The loss is
sum(c * p^2 / 2) + sum(cos(p)), so its gradient is c * p - sin(p).

Where PyTorch places epsilon elsewhere than Keras does, epsilon is so small here that it
makes no difference.
"""

import json
import pathlib

import torch

START = [0.8, -1.5, 0.3, 2.0, -0.05]
CURVATURE = [1.0, 0.5, 3.0, 0.2, 10.0]
STEPS = 20

CASES = {
    "sgd": (torch.optim.SGD, dict(lr=0.05)),
    "sgdMomentum": (torch.optim.SGD, dict(lr=0.05, momentum=0.9)),
    "sgdNesterov": (torch.optim.SGD, dict(lr=0.05, momentum=0.9, nesterov=True)),
    "adagrad": (torch.optim.Adagrad, dict(lr=0.1, initial_accumulator_value=0.1, eps=1e-12)),
    "adadelta": (torch.optim.Adadelta, dict(lr=1.0, rho=0.95, eps=1e-6)),
    "rmsprop": (torch.optim.RMSprop, dict(lr=0.01, alpha=0.9, eps=1e-12)),
    "rmspropMomentum": (torch.optim.RMSprop, dict(lr=0.01, alpha=0.9, momentum=0.5, eps=1e-12)),
    "rmspropCentered": (torch.optim.RMSprop, dict(lr=0.01, alpha=0.9, centered=True, eps=1e-12)),
    "adam": (torch.optim.Adam, dict(lr=0.05, eps=1e-12)),
    "amsgrad": (torch.optim.Adam, dict(lr=0.05, amsgrad=True, betas=(0.9, 0.9), eps=1e-12)),
    "adamw": (torch.optim.AdamW, dict(lr=0.05, weight_decay=0.1, eps=1e-12)),
    "adamax": (torch.optim.Adamax, dict(lr=0.05, eps=1e-12)),
    "nadam": (torch.optim.NAdam, dict(lr=0.05, momentum_decay=1.0, eps=1e-12)),
}


def run(kind, options):
    p = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    c = torch.tensor(CURVATURE, dtype=torch.float64)
    optimizer = kind([p], **options)
    path = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = (c * p * p / 2).sum() + torch.cos(p).sum()
        loss.backward()
        optimizer.step()
        path.append(p.detach().tolist())
    return path


golden = {
    "madeBy": f"PyTorch {torch.__version__}",
    "start": START,
    "curvature": CURVATURE,
    "paths": {name: run(*case) for name, case in CASES.items()},
}
target = pathlib.Path(__file__).with_name("optimizers.json")
target.write_text(json.dumps(golden, indent=1) + "\n")
