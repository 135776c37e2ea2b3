"""PyTorch as a contender: reads requests as JSON lines on stdin and answers each with one line on stdout.

The fields are those of bench/lib/spec.ts. The training loop is the one a good PyTorch user writes: the
data are tensors already, batches are index lookups, gradients are set to None, no DataLoader, no metric.
"""

import json
import sys
import time
import warnings

warnings.filterwarnings("ignore")

try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError as error:
    print(json.dumps({"skip": f"PyTorch is not installed ({error}); run `npm run bench:peers`"}), flush=True)
    sys.exit(0)


def read(path, dtype):
    with open(path, "rb") as file:
        return torch.frombuffer(bytearray(file.read()), dtype=dtype)


def adam(parameters, rate, options):
    return torch.optim.Adam(parameters, lr=rate, fused=True if options.get("adam") == "fused" else None)


class Train:
    def __init__(self, spec, options, data):
        torch.manual_seed(1)
        self.batch = spec["batchSize"]
        self.samples = spec["samples"]
        classes = spec["outputs"]
        self.x = read(data["x"], torch.float32).view(self.samples, spec["features"])
        labels = read(data["y"], torch.int32)
        self.y = labels.long() if classes > 1 else labels.float().view(-1, 1)
        self.loss = nn.CrossEntropyLoss() if classes > 1 else nn.BCEWithLogitsLoss()
        layers = []
        width = spec["features"]
        for units in spec["hidden"]:
            layers.append(nn.Linear(width, units))
            if spec["batchNorm"]:
                layers.append(nn.BatchNorm1d(units))
            layers.append(nn.ReLU() if spec["activation"] == "relu" else nn.Tanh())
            if spec["dropout"] > 0:
                layers.append(nn.Dropout(spec["dropout"]))
            width = units
        layers.append(nn.Linear(width, classes))
        self.model = nn.Sequential(*layers)
        self.model.train()
        self.optimizer = adam(self.model.parameters(), spec["learningRate"], options)
        self.per_epoch = None
        self.last_loss = float("nan")
        self.steps = max(1, self.samples // self.batch)

    def step(self, x, y):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def epoch(self):
        total = torch.zeros(())
        if self.samples == self.batch:
            total += self.step(self.x, self.y)
        else:
            order = torch.randperm(self.samples)
            for start in range(0, self.steps * self.batch, self.batch):
                rows = order[start : start + self.batch]
                total += self.step(self.x[rows], self.y[rows])
        return total.item() / self.steps

    def measure(self, seconds):
        epochs = 1 if self.per_epoch is None else max(1, round(seconds / self.per_epoch))
        begin = time.perf_counter()
        for _ in range(epochs):
            self.last_loss = self.epoch()
        took = time.perf_counter() - begin
        self.per_epoch = took / epochs
        return took / epochs / self.steps

    def check(self):
        return {"loss": self.last_loss}


class Kernel:
    def __init__(self, spec, options):
        torch.manual_seed(1)
        self.call = getattr(self, spec["kernel"])(spec, options)
        self.per_call = None

    def gemm(self, spec, _):
        m, n, k = spec["m"], spec["n"], spec["k"]
        a = torch.rand(k, m).t() if spec["transposeA"] else torch.rand(m, k)
        b = torch.rand(n, k).t() if spec["transposeB"] else torch.rand(k, n)
        c = torch.empty(m, n)
        return lambda: torch.mm(a, b, out=c)

    def relu(self, spec, _):
        x, y = torch.rand(spec["size"]), torch.empty(spec["size"])
        zero = torch.zeros(())
        return lambda: torch.maximum(x, zero, out=y)

    def exp(self, spec, _):
        x, y = torch.rand(spec["size"]), torch.empty(spec["size"])
        return lambda: torch.exp(x, out=y)

    def dropout(self, spec, _):
        x = torch.rand(spec["size"])
        return lambda: F.dropout(x, 0.5, True)

    def adam(self, spec, options):
        parameter = nn.Parameter(torch.rand(spec["size"]))
        parameter.grad = torch.rand(spec["size"])
        optimizer = adam([parameter], 1e-3, options)
        return optimizer.step

    def sumRows(self, spec, _):
        x, y = torch.rand(spec["rows"], spec["cols"]), torch.empty(spec["cols"])
        return lambda: torch.sum(x, 0, out=y)

    def sumColumns(self, spec, _):
        x, y = torch.rand(spec["rows"], spec["cols"]), torch.empty(spec["rows"])
        return lambda: torch.sum(x, 1, out=y)

    def batchNorm(self, spec, _):
        x = torch.rand(spec["rows"], spec["cols"])
        mean, variance, gamma, beta = (torch.rand(spec["cols"]) for _ in range(4))
        return lambda: F.batch_norm(x, mean, variance, gamma, beta, True, 0.1, 1e-3)

    def softmaxCrossEntropy(self, spec, _):
        x = torch.rand(spec["rows"], spec["cols"], requires_grad=True)
        y = torch.zeros(spec["rows"], dtype=torch.long)

        def call():
            x.grad = None
            F.cross_entropy(x, y, reduction="sum").backward()

        return call

    def run(self, count):
        call = self.call
        begin = time.perf_counter()
        for _ in range(count):
            call()
        return (time.perf_counter() - begin) / count

    def measure(self, seconds):
        if self.per_call is None:
            self.run(2)
            self.per_call = self.run(3)
        # The median of ten parts, as the other side reports the median of its samples.
        count = max(1, round(seconds / 10 / self.per_call))
        parts = sorted(self.run(count) for _ in range(10))
        self.per_call = (parts[4] + parts[5]) / 2
        return self.per_call

    def check(self):
        return {}


contender = None
for line in sys.stdin:
    request = json.loads(line)
    try:
        if request["op"] == "setup":
            torch.set_num_threads(request["threads"])
            spec, options = request["spec"], request["options"]
            contender = Train(spec, options, request["data"]) if spec["kind"] == "train" else Kernel(spec, options)
            reply = {"versions": {"PyTorch": torch.__version__, "Python": sys.version.split()[0]}}
        elif request["op"] == "measure":
            reply = {"perUnit": contender.measure(request["seconds"])}
        else:
            reply = {"check": contender.check()}
    except Exception as error:  # whatever goes wrong is the harness's to report
        reply = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply), flush=True)
