"""scikit-learn's BernoulliRBM as a contender: reads requests as JSON lines on stdin, answers each with one line.

The fields are those of bench/lib/spec.ts. Its learning is stochastic maximum likelihood (persistent
contrastive divergence), which needs as many products per step as CD-1.
"""

import json
import sys
import time

try:
    import numpy
    import sklearn
    from sklearn.neural_network import BernoulliRBM
except ImportError as error:
    print(json.dumps({"skip": f"scikit-learn is not installed ({error}); run `npm run bench:peers`"}), flush=True)
    sys.exit(0)


class Rbm:
    def __init__(self, spec, data):
        self.spec = spec
        self.x = numpy.fromfile(data["x"], dtype=numpy.float32).reshape(spec["samples"], spec["visible"])
        self.per_epoch = None

    def fitted(self, epochs):
        spec = self.spec
        model = BernoulliRBM(
            n_components=spec["hidden"],
            learning_rate=spec["learningRate"],
            batch_size=spec["batchSize"],
            n_iter=epochs,
            random_state=1,
        )
        return model.fit(self.x)

    def measure(self, seconds):
        epochs = 1 if self.per_epoch is None else max(1, round(seconds / self.per_epoch))
        begin = time.perf_counter()
        self.fitted(epochs)
        self.per_epoch = (time.perf_counter() - begin) / epochs
        return self.per_epoch / -(-self.spec["samples"] // self.spec["batchSize"])

    def check(self):
        model = self.fitted(self.spec["checkEpochs"])
        flips = range(self.spec["flips"])
        return {"pseudoLogLikelihood": float(numpy.mean([model.score_samples(self.x).mean() for _ in flips]))}


def answer(request):
    global contender
    if request["op"] == "setup":
        contender = Rbm(request["spec"], request["data"])
        return {"versions": {"scikit-learn": sklearn.__version__, "Python": sys.version.split()[0]}}
    if request["op"] == "measure":
        return {"perUnit": contender.measure(request["seconds"])}
    return {"check": contender.check()}


contender = None
for line in sys.stdin:
    try:
        reply = answer(json.loads(line))
    except Exception as error:  # whatever goes wrong is the harness's to report
        reply = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(reply), flush=True)
