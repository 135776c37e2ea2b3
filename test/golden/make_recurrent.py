"""Reference values of recurrent layers and their gradients, by PyTorch in double precision.

Run from the repository root: python3 test/golden/make_recurrent.py
It writes test/golden/recurrent.json with the version that made it. Weights are stored as layerwise has
them: [inputs, gates·units], gates in Keras' order; sequences batch first. The numbers are small integers
over 8, so that they are exact in float32 and the file is short.
"""

import json
import pathlib

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

torch.manual_seed(6)
torch.set_default_dtype(torch.float64)

# Positions of Keras' gates among PyTorch's: LSTM i f c o of i f g o, GRU z r h of r z n.
ORDER = {"lstm": [0, 1, 2, 3], "gru": [1, 0, 2], "tanh": [0], "relu": [0]}


def numbers(*shape, scale=8):
    return torch.randint(-8, 9, shape) / scale


def flat(t):
    return [round(v, 10) for v in t.detach().contiguous().flatten().tolist()]


def blocks(t, order):  # rows of PyTorch's blocks in Keras' order
    parts = t.chunk(len(order), 0)
    return torch.cat([parts[i] for i in order], 0)


def entry(cell, batch, time, inputs, units, lengths, reverse):
    make = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}.get(cell, torch.nn.RNN)
    more = {"nonlinearity": cell} if make is torch.nn.RNN else {}
    # The reverse direction exists only as half of a bidirectional layer.
    layer = make(inputs, units, batch_first=True, bidirectional=reverse, **more)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(numbers(*p.shape, scale=16))
    suffix = "_reverse" if reverse else ""
    w, r, b, rb = (
        getattr(layer, f"{name}_l0{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    directions = 2 if reverse else 1
    x = numbers(batch, time, inputs).requires_grad_()
    h0 = numbers(directions, batch, units).requires_grad_()
    c0 = numbers(directions, batch, units).requires_grad_()
    packed = pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    out, state = layer(packed, (h0, c0) if cell == "lstm" else h0)
    y, _ = pad_packed_sequence(out, batch_first=True, total_length=time)
    y = y[..., -units:]
    h, c = state if cell == "lstm" else (state, None)
    results = {"outputs": y, "h": h[-1]} | ({"c": c[-1]} if cell == "lstm" else {})
    weights = {name: numbers(*t.shape) for name, t in results.items()}
    loss = sum((results[name] * weights[name]).sum() for name in results)
    wanted = [x, w, r, b, rb, h0] + ([c0] if cell == "lstm" else [])
    dx, dw, dr, db, drb, dh0, *dc0 = torch.autograd.grad(loss, wanted)
    order = ORDER[cell]

    def own(t):  # a weight as layerwise has it
        return flat(blocks(t, order).T if t.dim() == 2 else blocks(t, order))

    def bias(first, second):  # GRU keeps both; elsewhere one sum
        return own(first) + own(second) if cell == "gru" else own(first + second)

    result = {
        "cell": cell,
        "sizes": [batch, time, inputs, units],
        "lengths": lengths,
        "reverse": reverse,
        "inputs": {
            "x": flat(x),
            "kernel": own(w),
            "recurrentKernel": own(r),
            "bias": bias(b, rb),
            "h": flat(h0[-1]),
        },
        "results": {name: flat(t) for name, t in results.items()},
        "weights": {name: flat(t) for name, t in weights.items()},
        "gradients": {
            "x": flat(dx),
            "kernel": own(dw),
            "recurrentKernel": own(dr),
            "bias": own(db) + own(drb) if cell == "gru" else own(db),
            "h": flat(dh0[-1]),
        },
    }
    if cell == "lstm":
        result["inputs"]["c"] = flat(c0[-1])
        result["gradients"]["c"] = flat(dc0[0][-1])
    return result


cases = [
    entry(cell, 3, 4, 2, units, lengths, reverse)
    for cell in ORDER
    for units, lengths, reverse in [
        (3, [4, 4, 4], False),
        (3, [2, 4, 1], False),
        (5, [4, 4, 4], True),
        (3, [1, 3, 4], True),
    ]
]
out = pathlib.Path(__file__).with_name("recurrent.json")
out.write_text(json.dumps({"torch": torch.__version__, "cases": cases}, separators=(",", ":")) + "\n")
