"""The networks of bench/cases/sequences.ts as a good PyTorch user writes them."""

import torch
from torch import nn


class Recurrent(nn.Module):
    """An embedding where there is a vocabulary, recurrent layers, and a dense one; the time is first inside, as
    that spares nn.LSTM a copy."""

    def __init__(self, spec):
        super().__init__()
        make = nn.LSTM if spec["cell"] == "lstm" else nn.GRU
        self.words = spec["vocabulary"]
        self.embedding = nn.Embedding(self.words, spec["inputs"]) if self.words else nn.Identity()
        self.layers = make(spec["inputs"], spec["units"], spec["layers"])
        self.dense = nn.Linear(spec["units"], self.words or spec["classes"])

    def forward(self, x):
        outputs, _ = self.layers(self.embedding(x.transpose(0, 1)))
        return self.dense(outputs if self.words else outputs[-1])


def loss_of(scores, y):
    return nn.functional.cross_entropy(scores.flatten(0, -2), y.t().flatten() if y.dim() > 1 else y)


class Step:
    """One step of one sequence by the layer for sequences or by the cell, whichever is faster."""

    def __init__(self, spec, values):
        lstm, inputs, units = spec["cell"] == "lstm", spec["inputs"], spec["units"]
        width = (4 if lstm else 3) * units
        kernel, recurrent, bias = values.split([inputs * width, units * width, values.numel() - (inputs + units) * width])
        biases = [bias, torch.zeros(width)] if lstm else list(bias.view(2, width))
        weights = [kernel.view(inputs, width).t(), recurrent.view(units, width).t(), *biases]
        if not lstm:
            # PyTorch's gates are r, z, n; ours z, r, h.
            order = torch.cat([torch.arange(units, 2 * units), torch.arange(units), torch.arange(2 * units, width)])
            weights = [weight[order] for weight in weights]
        self.lstm = lstm
        self.layer = (nn.LSTM if lstm else nn.GRU)(inputs, units)
        self.cell = (nn.LSTMCell if lstm else nn.GRUCell)(inputs, units)
        with torch.no_grad():
            for module in (self.layer, self.cell):
                for parameter, weight in zip(module.parameters(), weights):
                    parameter.copy_(weight)
        self.zero = (torch.zeros(1, units), torch.zeros(1, units)) if lstm else torch.zeros(1, units)

    def by_cell(self, x, state):
        state = self.cell(x, state)
        return state[0] if self.lstm else state, state

    def by_layer(self, x, state):
        if self.lstm:
            output, (h, c) = self.layer(x.unsqueeze(0), (state[0].unsqueeze(0), state[1].unsqueeze(0)))
            return output[0], (h[0], c[0])
        output, h = self.layer(x.unsqueeze(0), state.unsqueeze(0))
        return output[0], h[0]
