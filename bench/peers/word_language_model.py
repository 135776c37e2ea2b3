"""The models of examples/21-word-language-model.ts in PyTorch, to be laid beside it.

  bench/peers/.venv/bin/python bench/peers/word_language_model.py --data DIR [--size small|medium]
      [--epochs N] [--steps N] [--vocabulary N] [--threads N] [--seed N] [--weights FILE [--epoch N]]

Same files, vocabulary, batches, initial ranges, schedule, and output. An LSTM here has one bias per gate, as
the example's: PyTorch's second one is 0 and is not trained.
"""

import argparse
import collections
import glob
import gzip
import math
import os
import re
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

SIZES = {
    "small": dict(units=200, steps=20, range=0.1, dropout=0.0, epochs=13, constant=4, decay=1 / 2),
    "medium": dict(units=650, steps=35, range=0.05, dropout=0.5, epochs=39, constant=6, decay=1 / 1.2),
}
BATCH = 20


def words_of(directory, part):
    path = sorted(glob.glob(f"{directory}/*.{part}.txt") + glob.glob(f"{directory}/*.{part}.txt.gz"))[0]
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        lines = re.split(r"\r\n|\r|\n", file.read().decode("utf-8"))
    if lines[-1] == "":
        lines.pop()
    return [word for line in lines for word in [*line.split(), "<eos>"]]


def vocabulary_of(words, limit):
    """The unknown word first, then words by frequency, those of the same in the order they come."""
    counts = collections.Counter(word for word in words if word != "<unk>")
    return {word: i for i, word in enumerate(["<unk>", *[w for w, _ in counts.most_common(limit - 1)]])}


def batches_of(words, index, rows, steps, limit):
    tokens = torch.tensor([index.get(word, 0) for word in words])
    length = (len(tokens) - 1) // rows
    x = tokens[: rows * length].view(rows, length)
    y = torch.stack([tokens[row * length + 1 : (row + 1) * length + 1] for row in range(rows)])
    count = min(length // steps, limit)
    return [(x[:, i : i + steps], y[:, i : i + steps]) for i in range(0, count * steps, steps)]


class Model(nn.Module):
    def __init__(self, vocabulary, units, reach, dropout):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, units)
        self.lstm = nn.LSTM(units, units, num_layers=2, dropout=dropout, batch_first=True)
        self.dense = nn.Linear(units, vocabulary)
        self.dropout = dropout
        for name, parameter in self.named_parameters():
            if "bias_hh" in name:
                nn.init.zeros_(parameter)
                parameter.requires_grad_(False)
            else:
                nn.init.uniform_(parameter, -reach, reach)

    def forward(self, x, states):
        x = F.dropout(self.embedding(x), self.dropout, self.training)
        x, states = self.lstm(x, states)
        return self.dense(F.dropout(x, self.dropout, self.training)), states


def loss_of(model, x, y, states):
    scores, states = model(x, states)
    return F.cross_entropy(scores.flatten(0, 1), y.flatten()), tuple(s.detach() for s in states)


@torch.no_grad()
def perplexity(model, batches):
    model.eval()
    states, total = None, 0.0
    for x, y in batches:
        loss, states = loss_of(model, x, y, states)
        total += loss.item()
    return math.exp(total / len(batches))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--size", choices=list(SIZES), default="small")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--vocabulary", type=int, default=10000)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--weights", help="keeps the weights after each epoch")
    parser.add_argument("--epoch", type=int, default=0, help="goes on from --weights after so many epochs")
    options = parser.parse_args()
    size = SIZES[options.size]
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed + options.epoch)

    parts = {part: words_of(options.data, part) for part in ["train", "valid", "test"]}
    index = vocabulary_of(parts["train"], options.vocabulary)
    rows = {"train": BATCH, "valid": BATCH, "test": 1}
    train, valid, test = (
        batches_of(parts[part], index, rows[part], size["steps"], options.steps) for part in parts
    )
    model = Model(len(index), size["units"], size["range"], size["dropout"])
    if options.epoch:
        model.load_state_dict(torch.load(options.weights))
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=1)
    print(f"vocabulary of {len(index)}, {sum(p.numel() for p in parameters)} parameters, {len(train)} steps per epoch")

    clock, computed = [], []
    for epoch in range(options.epoch, options.epochs or size["epochs"]):
        optimizer.param_groups[0]["lr"] = size["decay"] ** max(0, epoch + 1 - size["constant"])
        model.train()
        states, total = None, torch.zeros(())
        begin, cpu_begin = time.perf_counter(), time.process_time()
        for x, y in train:
            optimizer.zero_grad(set_to_none=True)
            loss, states = loss_of(model, x, y, states)
            (loss * size["steps"]).backward()
            nn.utils.clip_grad_norm_(parameters, 5)
            optimizer.step()
            total += loss.detach()
        clock.append((time.perf_counter() - begin) / len(train))
        computed.append((time.process_time() - cpu_begin) / len(train))
        training = math.exp(total.item() / len(train))
        print(
            f"perplexity ({options.size}), epoch {epoch + 1}: {training:.3f} in training, "
            f"{perplexity(model, valid):.3f} in validation, after {time.process_time() / 60:.3f} CPU minutes",
            flush=True,
        )
        if options.weights:
            # A training that is stopped while it writes must not take the last weights with it.
            torch.save(model.state_dict(), f"{options.weights}.part")
            os.replace(f"{options.weights}.part", options.weights)
    milliseconds = [f"{1000 * statistics.median(times):.1f}" for times in (clock, computed)]
    print("{} ms per step, {} of a CPU (medians of the epochs)".format(*milliseconds))
    print(f"test perplexity {perplexity(model, test):.2f}")


if __name__ == "__main__":
    main()
