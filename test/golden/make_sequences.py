"""Reference values for the layers of sequences, from PyTorch; prints sequences.json.

    python make_sequences.py > sequences.json

Weights are written as Keras lays them out: kernels transposed, gates i, f, c, o and z, r, h.
"""
import json
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

torch.manual_seed(5)
BATCH, TIME, INPUTS, UNITS = 4, 5, 3, 4
LENGTHS = [5, 3, 1, 4]


def numbers(t):
    return [float(f"{v:.8g}") for v in t.detach().double().flatten().tolist()]


def reordered(weight, order):
    """Rows of gates in another order, transposed."""
    parts = weight.chunk(len(order), 0)
    return torch.cat([parts[i] for i in order], 0).T


def weights_of(module, kind, suffix=""):
    order = {"lstm": [0, 1, 2, 3], "gru": [1, 0, 2], "rnn": [0]}[kind]
    get = lambda name: getattr(module, f"{name}_l0{suffix}")
    bias_ih, bias_hh = get("bias_ih"), get("bias_hh")
    flat = lambda b: reordered(b[:, None], order)[0]
    bias = torch.stack([flat(bias_ih), flat(bias_hh)]) if kind == "gru" else flat(bias_ih + bias_hh)
    return [reordered(get("weight_ih"), order), reordered(get("weight_hh"), order), bias]


def gradients_of(module, kind, suffix=""):
    order = {"lstm": [0, 1, 2, 3], "gru": [1, 0, 2], "rnn": [0]}[kind]
    grad = lambda name: getattr(module, f"{name}_l0{suffix}").grad
    flat = lambda b: reordered(b[:, None], order)[0]
    bias = torch.stack([flat(grad("bias_ih")), flat(grad("bias_hh"))]) if kind == "gru" else flat(grad("bias_ih"))
    return [reordered(grad("weight_ih"), order), reordered(grad("weight_hh"), order), bias]


def recurrent(kind, bidirectional):
    make = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}[kind]
    module = make(INPUTS, UNITS, batch_first=True, bidirectional=bidirectional).double()
    x = torch.randn(BATCH, TIME, INPUTS, dtype=torch.double, requires_grad=True)
    packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
    out, state = module(packed)
    outputs, _ = pad_packed_sequence(out, batch_first=True, total_length=TIME)
    factors = torch.randn_like(outputs)
    (outputs * factors).sum().backward()
    states = state if isinstance(state, tuple) else (state,)
    sides = ["", "_reverse"] if bidirectional else [""]
    return {
        "kind": kind,
        "bidirectional": bidirectional,
        "x": numbers(x),
        "factors": numbers(factors),
        "weights": [numbers(w) for s in sides for w in weights_of(module, kind, s)],
        "outputs": numbers(outputs),
        # h (and c) of the forward direction, then of the backward one
        "states": [numbers(s[d]) for d in range(len(sides)) for s in states],
        "gradients": [numbers(g) for s in sides for g in gradients_of(module, kind, s)],
        "gradientX": numbers(x.grad),
    }


def attention(causal):
    size, heads = 8, 2
    module = torch.nn.MultiheadAttention(size, heads, batch_first=True).double()
    torch.nn.init.normal_(module.in_proj_bias)
    torch.nn.init.normal_(module.out_proj.bias)
    x = torch.randn(BATCH, TIME, size, dtype=torch.double, requires_grad=True)
    padding = torch.arange(TIME)[None, :] >= torch.tensor(LENGTHS)[:, None]
    later = torch.triu(torch.ones(TIME, TIME, dtype=torch.bool), 1) if causal else None
    out, scores = module(x, x, x, key_padding_mask=padding, attn_mask=later, average_attn_weights=False)
    valid = (~padding)[:, :, None].double()
    factors = torch.randn_like(out) * valid
    (out * factors).sum().backward()
    q, k, v = module.in_proj_weight.chunk(3)
    bq, bk, bv = module.in_proj_bias.chunk(3)
    return {
        "causal": causal,
        "x": numbers(x),
        "factors": numbers(factors),
        "weights": [
            numbers(w)
            for w in [q.T, bq, k.T, bk, v.T, bv, module.out_proj.weight.T, module.out_proj.bias]
        ],
        "outputs": numbers(out),
        "scores": numbers(scores),
        "gradientX": numbers(x.grad),
    }


print(
    json.dumps(
        {
            "torch": torch.__version__,
            "shape": [BATCH, TIME, INPUTS, UNITS],
            "lengths": LENGTHS,
            "recurrent": [recurrent(k, b) for k in ("lstm", "gru", "rnn") for b in (False, True)],
            "attention": [attention(c) for c in (False, True)],
        },
    )
)
