"""PyTorch as a contender: reads requests as JSON lines on stdin and answers each with one line on stdout.

The fields are those of bench/lib/spec.ts. The training loop is the one a good PyTorch user writes: the
data are tensors already, batches are index lookups, gradients are set to None, no DataLoader, no metric.
With the option `compile`, its functions go through torch.compile, which happens while warming up.
"""

import json
import statistics
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


from torch_networks import load, networks
from torch_sequences import Recurrent, Step, loss_of


def read(path, dtype):
    with open(path, "rb") as file:
        return torch.frombuffer(bytearray(file.read()), dtype=dtype)


def adam(parameters, rate, options):
    return torch.optim.Adam(parameters, lr=rate, fused=True if options.get("adam") == "fused" else None)


def maybe_compiled(function, options):
    """The function, compiled by Inductor for the shapes it will meet if the options say so."""
    return torch.compile(function, dynamic=False) if "compile" in options else function


def median_of_parts(run, seconds, per_call):
    """Seconds per call: the median of ten parts, as the other contenders report; of fewer if calls are long."""
    parts = min(10, max(3, round(seconds / per_call)))
    count = max(1, round(seconds / parts / per_call))
    return statistics.median(run(count) for _ in range(parts))


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
        self.prepare(lambda x, y: self.loss(self.model(x), y), spec, options)

    def prepare(self, forward, spec, options):
        self.optimizer = adam(self.model.parameters(), spec["learningRate"], options)
        # The loss and its gradients become one graph each; the optimizer's loop over parameters another.
        self.forward = maybe_compiled(forward, options)
        self.optimizer_step = self.optimizer.step
        self.compiled = "compile" in options
        self.rate = spec["learningRate"]
        self.per_epoch = None
        self.last_loss = float("nan")
        self.steps = max(1, self.samples // self.batch)

    def step(self, x, y):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.forward(x, y)
        loss.backward()
        self.optimizer_step()
        return loss.detach()

    def choose_optimizer(self):
        """Keeps the faster of the compiled optimizer and the fused one: which it is depends on the size."""
        self.forward(self.x[: self.batch], self.y[: self.batch]).backward()
        fused = adam(self.model.parameters(), self.rate, {"adam": "fused"})
        steps = [torch.compile(self.optimizer.step, dynamic=False), fused.step]
        best = {}
        for step in steps:
            for _ in range(3):
                step()
            best[step] = min(self.timed(step) for _ in range(10))
        self.optimizer_step = min(steps, key=best.get)

    @staticmethod
    def timed(call):
        begin = time.perf_counter()
        call()
        return time.perf_counter() - begin

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
        if self.compiled and self.per_epoch is None:
            self.choose_optimizer()
        epochs = 1 if self.per_epoch is None else max(1, round(seconds / self.per_epoch))
        begin = time.perf_counter()
        for _ in range(epochs):
            self.last_loss = self.epoch()
        took = time.perf_counter() - begin
        self.per_epoch = took / epochs
        return took / epochs / self.steps

    def check(self):
        return {"loss": self.last_loss}


class SequenceTraining(Train):
    def __init__(self, spec, options, data):
        torch.manual_seed(1)
        self.batch, self.samples = spec["batchSize"], spec["samples"]
        words, shape = spec["vocabulary"] > 0, (self.samples, spec["time"])
        x = read(data["x"], torch.int32 if words else torch.float32)
        self.x = x.long().view(shape) if words else x.view(*shape, spec["inputs"])
        y = read(data["y"], torch.int32).long()
        self.y = y.view(shape) if words else y
        self.model = Recurrent(spec)
        self.prepare(lambda x, y: loss_of(self.model(x), y), spec, options)


class PeakMemory:
    """What is resident at most, beyond what was when this was made, as Linux counts it."""

    def __init__(self):
        try:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")  # sets the high-water mark back to what is resident now
            self.start = self.status("VmRSS")
        except OSError:
            self.start = None

    @staticmethod
    def status(field):
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) / 1024 for line in file if line.startswith(field))

    def figures(self):
        return {} if self.start is None else {"peak memory, MiB": self.status("VmHWM") - self.start}


class Network:
    """A network of torch_networks.py. Images are kept in the order in which the network reads them."""

    def __init__(self, spec, options, data):
        torch.manual_seed(1)
        self.spec = spec
        self.last = "compile" in options or "layout" in options
        x = read(data["x"], torch.float32).view(spec["samples"], spec["side"], spec["side"], spec["channels"])
        self.x = x if self.last else x.permute(0, 3, 1, 2).contiguous()
        self.memory = PeakMemory()
        self.model = networks[spec["network"]](spec["channels"], spec["classes"])
        if self.last:
            self.model = self.model.to(memory_format=torch.channels_last)

    def images(self, x):
        return x.permute(0, 3, 1, 2) if self.last else x


class NetworkTraining(Network):
    def __init__(self, spec, options, data):
        super().__init__(spec, options, data)
        self.y = read(data["y"], torch.int32).long()
        rate, parameters = spec["learningRate"], self.model.parameters()
        if spec["optimizer"] == "adam":
            self.optimizer = torch.optim.Adam(parameters, lr=rate, fused=True)
        else:
            self.optimizer = torch.optim.SGD(parameters, lr=rate, momentum=0.9, fused=True)
        loss = nn.CrossEntropyLoss()
        self.forward = maybe_compiled(lambda x, y: loss(self.model(x), y), options)
        self.per_epoch = None
        self.last_loss = float("nan")

    def epoch(self):
        samples, batch = self.spec["samples"], self.spec["batchSize"]
        total, order = torch.zeros(()), torch.randperm(samples)
        for start in range(0, samples, batch):
            rows = order[start : start + batch]
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.forward(self.images(self.x[rows]), self.y[rows])
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        return total.item() * batch / samples

    def measure(self, seconds):
        epochs = 1 if self.per_epoch is None else max(1, round(seconds / self.per_epoch))
        begin = time.perf_counter()
        for _ in range(epochs):
            self.last_loss = self.epoch()
        self.per_epoch = (time.perf_counter() - begin) / epochs
        return self.per_epoch * self.spec["batchSize"] / self.spec["samples"]

    def check(self):
        return {"check": {"loss": self.last_loss, **self.memory.figures()}}


class NetworkPrediction(Network):
    def __init__(self, spec, options, data):
        super().__init__(spec, options, data)
        load(self.model, read(data["weights"], torch.float32))
        self.model = nn.Sequential(self.model, nn.Softmax(dim=1)).eval()
        self.predict = maybe_compiled(self.model, options)

    def measure(self, seconds):
        times, end = [], time.perf_counter() + seconds
        with torch.inference_mode():
            while time.perf_counter() < end or len(times) < 3:
                begin = time.perf_counter()
                self.predict(self.images(self.x))
                times.append(time.perf_counter() - begin)
        return statistics.median(times)

    def check(self):
        with torch.inference_mode():
            outputs = self.predict(self.images(self.x)).flatten().tolist()
        return {"outputs": outputs, "check": self.memory.figures()}


class Rbm:
    """CD-1 as a good PyTorch user writes it: no autograd, addmm, updates in place."""

    def __init__(self, spec, options, data):
        self.batch, self.samples = spec["batchSize"], spec["samples"]
        self.visible, self.hidden = spec["visible"], spec["hidden"]
        self.rate, self.momentum = spec["learningRate"], spec["momentum"]
        self.check_epochs, self.flips = spec["checkEpochs"], spec["flips"]
        self.x = read(data["x"], torch.float32).view(self.samples, self.visible)
        self.update = maybe_compiled(self.cd1, options)
        self.per_epoch = None
        self.reset()

    def reset(self):
        torch.manual_seed(1)
        self.w = torch.randn(self.visible, self.hidden) * 0.01
        self.b, self.c = torch.zeros(self.visible), torch.zeros(self.hidden)
        self.velocities = [torch.zeros_like(weight) for weight in (self.w, self.b, self.c)]

    def cd1(self, v0, w, b, c, vw, vb, vc):
        p0 = torch.sigmoid(torch.addmm(c, v0, w))
        h0 = torch.bernoulli(p0)
        means = torch.sigmoid(torch.addmm(b, h0, w.t()))
        v1 = torch.bernoulli(means)
        p1 = torch.sigmoid(torch.addmm(c, v1, w))
        scale = self.rate / v0.shape[0]
        vw.addmm_(v0.t(), p0, beta=self.momentum, alpha=scale).addmm_(v1.t(), p1, alpha=-scale)
        vb.mul_(self.momentum).add_((v0 - v1).sum(0), alpha=scale)
        vc.mul_(self.momentum).add_((p0 - p1).sum(0), alpha=scale)
        w.add_(vw)
        b.add_(vb)
        c.add_(vc)
        return ((v0 - means) ** 2).sum() / v0.shape[0]

    def epoch(self):
        total = torch.zeros(())
        order = torch.randperm(self.samples)
        for start in range(0, self.samples, self.batch):
            batch = self.x[order[start : start + self.batch]]
            total += self.update(batch, self.w, self.b, self.c, *self.velocities)
        return total.item()

    def measure(self, seconds):
        epochs = 1 if self.per_epoch is None else max(1, round(seconds / self.per_epoch))
        with torch.inference_mode():
            begin = time.perf_counter()
            for _ in range(epochs):
                self.epoch()
            self.per_epoch = (time.perf_counter() - begin) / epochs
        return self.per_epoch / -(-self.samples // self.batch)

    def free_energy(self, v):
        return -(v @ self.b) - F.softplus(torch.addmm(self.c, v, self.w)).sum(1)

    def check(self):
        with torch.inference_mode():
            self.reset()
            for _ in range(self.check_epochs):
                self.epoch()
            return {"pseudoLogLikelihood": statistics.mean(self.flip() for _ in range(self.flips))}

    def flip(self):
        flipped = self.x.clone()
        rows = torch.arange(self.samples)
        units = torch.randint(0, self.visible, (self.samples,))
        flipped[rows, units] = 1 - flipped[rows, units]
        gap = self.free_energy(flipped) - self.free_energy(self.x)
        return (self.visible * F.logsigmoid(gap)).mean().item()


class Calls:
    """Times a call again and again."""

    call = None
    per_call = None

    def run(self, count):
        call = self.call
        begin = time.perf_counter()
        for _ in range(count):
            call()
        return (time.perf_counter() - begin) / count

    def measure(self, seconds):
        if self.per_call is None:
            # Compiles, where it does.
            self.run(3)
            self.per_call = self.run(3)
        self.per_call = median_of_parts(self.run, seconds, self.per_call)
        return self.per_call

    def check(self):
        return {}


class Inference(Calls):
    def __init__(self, spec, options, data):
        features, hidden, outputs = spec["features"], spec["hidden"], spec["outputs"]
        model = nn.Sequential(
            nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, outputs), nn.Softmax(dim=1)
        )
        with torch.no_grad():
            model[0].weight.copy_(read(data["w1"], torch.float32).view(features, hidden).t())
            model[0].bias.copy_(read(data["b1"], torch.float32))
            model[2].weight.copy_(read(data["w2"], torch.float32).view(hidden, outputs).t())
            model[2].bias.copy_(read(data["b2"], torch.float32))
        model.eval()
        self.x = read(data["x"], torch.float32).view(spec["batch"], features)
        self.model = maybe_compiled(model, options)

    def call(self):
        return self.model(self.x)

    def run(self, count):
        with torch.inference_mode():
            return super().run(count)

    def outputs(self):
        with torch.inference_mode():
            return self.call().flatten().tolist()


class SequenceStep(Calls):
    def __init__(self, spec, options, data):
        self.step = Step(spec, read(data["weights"], torch.float32))
        self.x = read(data["x"], torch.float32).view(1, spec["inputs"])
        self.ways = [maybe_compiled(way, options) for way in (self.step.by_cell, self.step.by_layer)]
        self.advance, self.state = self.ways[0], self.step.zero

    def call(self):
        output, self.state = self.advance(self.x, self.state)
        return output

    def run(self, count):
        with torch.inference_mode():
            return super().run(count)

    def measure(self, seconds):
        if self.per_call is None:
            times = {}
            for self.advance in self.ways:
                self.run(20)
                times[self.advance] = min(self.run(20) for _ in range(5))
            self.advance = min(times, key=times.get)
        return super().measure(seconds)

    def outputs(self):
        self.state = self.step.zero
        with torch.inference_mode():
            return [self.call() for _ in range(3)][-1].flatten().tolist()


class Kernel(Calls):
    def __init__(self, spec, options):
        torch.manual_seed(1)
        self.call = getattr(self, spec["kernel"])(spec, options)

    def gemm(self, spec, _):
        m, n, k = spec["m"], spec["n"], spec["k"]
        a = torch.rand(k, m).t() if spec["transposeA"] else torch.rand(m, k)
        b = torch.rand(n, k).t() if spec["transposeB"] else torch.rand(k, n)
        c = torch.empty(m, n)
        return lambda: torch.mm(a, b, out=c)

    def into(self, function, spec, options):
        """Calls function(x, y), which fills y."""
        x, y = torch.rand(spec["size"]), torch.empty(spec["size"])
        function = maybe_compiled(function, options)
        return lambda: function(x, y)

    def relu(self, spec, options):
        zero = torch.zeros(())
        return self.into(lambda x, y: torch.maximum(x, zero, out=y), spec, options)

    def elementary(self, spec, options):
        function = getattr(torch, spec["kernel"])
        return self.into(lambda x, y: function(x, out=y), spec, options)

    exp = log = tanh = sigmoid = erf = elementary

    def dropout(self, spec, options):
        x = torch.rand(spec["size"])
        drop = maybe_compiled(lambda x: F.dropout(x, spec["rate"], True), options)
        return lambda: drop(x)

    def dropoutTraining(self, spec, options):
        x, dy = torch.rand(spec["size"], requires_grad=True), torch.rand(spec["size"])
        drop = maybe_compiled(lambda x: F.dropout(x, spec["rate"], True), options)
        return lambda: torch.autograd.grad(drop(x), x, dy)

    def pooled(self, function, spec, options):
        shape = (spec["batch"], spec["channels"], spec["side"], spec["side"])
        x = torch.rand(shape).to(memory_format=torch.channels_last).requires_grad_(spec["training"])
        pool = maybe_compiled(lambda x: function(x, spec["window"], spec["stride"]), options)
        if not spec["training"]:
            return lambda: pool(x)
        dy = torch.rand_like(pool(x))
        return lambda: torch.autograd.grad(pool(x), x, dy)

    def maxPool(self, spec, options):
        return self.pooled(F.max_pool2d, spec, options)

    def avgPool(self, spec, options):
        return self.pooled(F.avg_pool2d, spec, options)

    def adam(self, spec, options):
        parameter = nn.Parameter(torch.rand(spec["size"]))
        parameter.grad = torch.rand(spec["size"])
        optimizer = adam([parameter], 1e-3, options)
        return maybe_compiled(optimizer.step, options)

    def reduced(self, axis, spec, options):
        x = torch.rand(spec["rows"], spec["cols"])
        y = torch.empty(x.shape[1 - axis])
        function = maybe_compiled(lambda x, y: torch.sum(x, axis, out=y), options)
        return lambda: function(x, y)

    def sumRows(self, spec, options):
        return self.reduced(0, spec, options)

    def sumColumns(self, spec, options):
        return self.reduced(1, spec, options)

    def normalizer(self, spec, options):
        mean, variance = torch.rand(spec["cols"]), torch.rand(spec["cols"])

        def normalize(x, gamma, beta):
            return F.batch_norm(x, mean, variance, gamma, beta, True, 0.1, 1e-3)

        return maybe_compiled(normalize, options)

    def batchNorm(self, spec, options):
        x = torch.rand(spec["rows"], spec["cols"])
        gamma, beta = torch.rand(spec["cols"]), torch.rand(spec["cols"])
        normalize = self.normalizer(spec, options)
        return lambda: normalize(x, gamma, beta)

    def batchNormTraining(self, spec, options):
        x, dy = torch.rand(spec["rows"], spec["cols"], requires_grad=True), torch.rand(spec["rows"], spec["cols"])
        gamma, beta = (torch.rand(spec["cols"], requires_grad=True) for _ in range(2))
        normalize = self.normalizer(spec, options)
        return lambda: torch.autograd.grad(normalize(x, gamma, beta), (x, gamma, beta), dy)

    def recurrent(self, spec, options):
        make = nn.LSTM if spec["cell"] == "lstm" else nn.GRU
        layer = make(spec["inputs"], spec["units"], spec["layers"], batch_first=True)
        x = torch.randn(spec["batch"], spec["time"], spec["inputs"])
        lengths = spec.get("lengths")

        def outputs():
            if lengths is None:
                return layer(x)[0]
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            return nn.utils.rnn.pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=spec["time"])[0]

        if not spec["training"]:

            def forward():
                with torch.inference_mode():
                    return outputs()

            return forward
        x.requires_grad_()
        wanted = [x, *layer.parameters()]
        dy = torch.randn(spec["batch"], spec["time"], spec["units"])
        return lambda: torch.autograd.grad(outputs(), wanted, dy)

    def softmaxCrossEntropy(self, spec, options):
        x = torch.rand(spec["rows"], spec["cols"], requires_grad=True)
        y = torch.zeros(spec["rows"], dtype=torch.long)
        loss = maybe_compiled(lambda x, y: F.cross_entropy(x, y, reduction="sum"), options)
        return lambda: torch.autograd.grad(loss(x, y), x)


def set_up(request):
    torch.set_num_threads(request["threads"])
    spec, options = request["spec"], request["options"]
    if spec["kind"] == "train":
        return Train(spec, options, request["data"])
    if spec["kind"] == "network":
        kind = NetworkTraining if spec["task"] == "train" else NetworkPrediction
        return kind(spec, options, request["data"])
    if spec["kind"] == "sequence":
        kind = SequenceTraining if spec["task"] == "train" else SequenceStep
        return kind(spec, options, request["data"])
    if spec["kind"] == "rbm":
        return Rbm(spec, options, request["data"])
    if spec["kind"] == "inference":
        return Inference(spec, options, request["data"])
    return Kernel(spec, options)


def answer(request):
    global contender
    if request["op"] == "setup":
        contender = set_up(request)
        return {"versions": {"PyTorch": torch.__version__, "Python": sys.version.split()[0]}}
    if request["op"] == "measure":
        return {"perUnit": contender.measure(request["seconds"])}
    if isinstance(contender, Network):
        return contender.check()
    if isinstance(contender, (Inference, SequenceStep)):
        return {"outputs": contender.outputs()}
    return {"check": contender.check()}


contender = None
for line in sys.stdin:
    try:
        reply = answer(json.loads(line))
    except Exception as error:  # whatever goes wrong is the harness's to report
        reply = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply), flush=True)
