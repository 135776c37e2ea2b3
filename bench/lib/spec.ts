/**
 * What the benchmark cases and the contenders agree on: specs as plain data, and the JSON lines that a
 * contender's process reads and writes. Knows no contender; the workers in Python, JavaScript and C++
 * read the same fields.
 */

/** A network, its data and how it is trained; the unit that is timed is one step. */
export interface TrainSpec {
  readonly kind: "train";
  /**
   * `teacher`: normal inputs labelled by a random linear map; `digits`: those of MNIST where its files are,
   * else generated ones; `xor`: its four rows, repeated.
   */
  readonly data: "teacher" | "digits" | "xor";
  readonly samples: number;
  readonly features: number;
  readonly hidden: readonly number[];
  /** Number of classes (softmax, sparse cross-entropy); 1 is a sigmoid with binary cross-entropy. */
  readonly outputs: number;
  readonly activation: "relu" | "tanh";
  readonly batchNorm: boolean;
  readonly dropout: number;
  readonly batchSize: number;
  readonly learningRate: number;
  /** Where ours takes the samples from, if not from arrays: a dataset of their rows, or of elements. */
  readonly source?: "rows" | "elements";
}

/** A convolution of square images with square filters, or one of its gradients; channels last, filters HWIO. */
export interface ConvolutionSpec {
  readonly kind: "kernel";
  readonly kernel: "conv2d" | "conv2dInputGradient" | "conv2dFilterGradient";
  readonly batch: number;
  readonly side: number;
  readonly channels: number;
  readonly filters: number;
  /** Of the filter's side. */
  readonly taps: number;
  readonly stride: number;
  readonly pad: number;
  readonly groups: number;
}

/**
 * Layers of one cell over sequences, full ones unless there are `lengths`, batch first; with `training` the gradients
 * of x and all weights.
 */
export interface RecurrentSpec {
  readonly kind: "kernel";
  readonly kernel: "recurrent";
  readonly cell: "lstm" | "gru";
  readonly training: boolean;
  readonly batch: number;
  readonly time: number;
  readonly inputs: number;
  readonly units: number;
  readonly layers: number;
  readonly lengths?: readonly number[];
}

/** Pooling of square images over square windows, channels last; with `training` also the gradient of x. */
export interface PoolingSpec {
  readonly kind: "kernel";
  readonly kernel: "maxPool" | "avgPool";
  readonly training: boolean;
  readonly batch: number;
  readonly side: number;
  readonly channels: number;
  /** Side of the window. */
  readonly window: number;
  readonly stride: number;
}

/** Functions that cost arithmetic, not memory. */
export const elementaryFunctions = ["exp", "log", "tanh", "sigmoid", "erf"] as const;
export type ElementaryFunction = (typeof elementaryFunctions)[number];

/** One kernel on contiguous float32 data; the unit that is timed is one call. */
export type KernelSpec = { readonly kind: "kernel" } & (
  | ConvolutionSpec
  | RecurrentSpec
  | PoolingSpec
  | {
      readonly kernel: "gemm";
      readonly m: number;
      readonly n: number;
      readonly k: number;
      readonly transposeA: boolean;
      readonly transposeB: boolean;
    }
  | {
      readonly kernel: "relu" | ElementaryFunction | "adam";
      readonly size: number;
    }
  | {
      readonly kernel: "dropout" | "dropoutTraining";
      readonly size: number;
      readonly rate: number;
    }
  | {
      readonly kernel:
        | "sumRows"
        | "sumColumns"
        | "batchNorm"
        | "batchNormTraining"
        | "softmaxCrossEntropy";
      readonly rows: number;
      readonly cols: number;
    }
);

/** Prediction by a network of one hidden layer (relu, then softmax); the unit is one call. */
export interface InferenceSpec {
  readonly kind: "inference";
  readonly features: number;
  readonly hidden: number;
  readonly outputs: number;
  readonly batch: number;
}

/**
 * Learning of a restricted Boltzmann machine of binary units with one Gibbs step per update; the unit is
 * one step. The check trains a new one for `checkEpochs` and gives the mean pseudo-log-likelihood of the
 * data it learnt from, of `flips` random units of each sample.
 */
export interface RbmSpec {
  readonly kind: "rbm";
  readonly samples: number;
  readonly visible: number;
  readonly hidden: number;
  readonly batchSize: number;
  readonly learningRate: number;
  /** Not of scikit-learn's machine, which has none. */
  readonly momentum: number;
  readonly checkEpochs: number;
  readonly flips: number;
}

/**
 * A published convolutional network: training by `fit` on random images (the unit is one step), or prediction
 * of one batch with given weights (the unit is one call).
 */
export interface NetworkSpec {
  readonly kind: "network";
  readonly network: "lenet5" | "vgg11" | "resnet20" | "resnet50";
  readonly task: "train" | "predict";
  readonly side: number;
  readonly channels: number;
  readonly classes: number;
  readonly batchSize: number;
  /** Images of an epoch; those of a prediction are one batch. */
  readonly samples: number;
  /** SGD is with a momentum of 0.9. */
  readonly optimizer: "adam" | "sgd";
  readonly learningRate: number;
}

/**
 * Recurrent layers between an embedding or plain inputs and a dense layer: training by `fit` (the unit is one
 * step), or one step of one sequence whose states stay with the layer (the unit is one call).
 */
export interface SequenceSpec {
  readonly kind: "sequence";
  readonly task: "train" | "step";
  readonly cell: "lstm" | "gru";
  /** Numbers a step: of its vector in the embedding where there is a vocabulary. */
  readonly inputs: number;
  readonly units: number;
  readonly layers: number;
  /** Distinct tokens: each is read as a vector, and the next one is predicted at every step; 0 for none. */
  readonly vocabulary: number;
  /** Without a vocabulary: classes, predicted from the last step; 0 for the layers' output itself. */
  readonly classes: number;
  readonly batchSize: number;
  readonly time: number;
  readonly samples: number;
  /** Of Adam. */
  readonly learningRate: number;
}

/** How late a 10 ms timer fires while `fit` runs. */
export interface LatenessSpec {
  readonly kind: "lateness";
  readonly model: TrainSpec;
  readonly seconds: number;
}

/** What a prediction costs beside its kernels: one of a network of a single weight. */
export interface EntrySpec {
  readonly kind: "entry";
  readonly calls: number;
}

/** Resident memory over many predictions. */
export interface MemorySpec {
  readonly kind: "memory";
  readonly features: number;
  readonly hidden: number;
  readonly outputs: number;
  readonly syncCalls: number;
  readonly concurrentCalls: number;
}

export type Spec =
  | TrainSpec
  | RbmSpec
  | NetworkSpec
  | SequenceSpec
  | KernelSpec
  | InferenceSpec
  | LatenessSpec
  | EntrySpec
  | MemorySpec;

/**
 * Paths of raw arrays: x (float32) and y (int32) for `train`, x for `rbm`; x [batch, features] and the weights w1
 * [features, hidden], b1, w2 [hidden, outputs], b2 for `inference`; x [samples, side, side, channels] for
 * `network`, y (int32) to train, all weights layer by layer to predict; of a `sequence` x [samples, time, inputs] and y
 * [samples], both int32 [samples, time] with a vocabulary, or x [1, inputs] and all weights for a step.
 */
export type DataPaths = Readonly<Record<string, string>>;

/** The JSON lines that a contender reads, one reply each. */
export type Request =
  /** Builds everything. */
  | {
      readonly op: "setup";
      readonly spec: Spec;
      readonly threads: number;
      readonly options: Readonly<Record<string, string>>;
      readonly data?: DataPaths;
    }
  /** Runs for about this long and says how many seconds a unit took. */
  | { readonly op: "measure"; readonly seconds: number }
  /** Says whether what was computed is right. */
  | { readonly op: "check" }
  /** Peaks and bandwidths at these numbers of threads (ours only). */
  | { readonly op: "machine"; readonly threads: readonly number[] }
  /** The seconds that a unit of so much work takes at the least, by probes run now (ours only). */
  | ({ readonly op: "limit"; readonly threads: number } & Work);

/** A contender's reply: the fields of its request's kind, or why there is none. */
export interface Reply {
  /** This contender can't run here; why. */
  readonly skip?: string;
  readonly error?: string;
  readonly versions?: Readonly<Record<string, string>>;
  /** Seconds per unit. */
  readonly perUnit?: number;
  /** What cases without a unit measured, with their units in the names. */
  readonly figures?: Readonly<Record<string, number>>;
  /** Figures of the check, such as the last loss. */
  readonly check?: Readonly<Record<string, number>>;
  /** With the check: what an inference gave, which must be the same for all contenders. */
  readonly outputs?: readonly number[];
  readonly machine?: ProbedMachine;
  readonly limit?: Limit;
}

/** Passes of the bandwidth probe; what they do stands in native/call.h. */
export type Sweep = "read" | "copy" | "triad" | "update";

/** Bytes of passes one after the other, each like a probe. */
export type Traffic = Readonly<Partial<Record<Sweep, number>>>;

/** What a unit has to do at the least. */
export interface Work {
  /** Floating-point operations. */
  readonly flops?: number;
  /** Where memory is the limit: bytes that must move, by the probe that moves alike. */
  readonly traffic?: Traffic;
}

/** Seconds that a unit's work takes at the least. */
export interface Limit {
  /** Its operations, at the peak. */
  readonly arithmetic?: number;
  /** Its passes over memory one after the other, each as fast as its probe. */
  readonly memory?: number;
}

/** What our own probes measure. */
export interface ProbedMachine {
  readonly cpu: string;
  /** The instruction set that is used. */
  readonly isa: string;
  /** GFLOP/s of a register-only FMA loop on all threads at once, by their number and by instruction set. */
  readonly peaks: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** GB/s by number of threads. */
  readonly bandwidth: Readonly<Record<string, Readonly<Record<Sweep, number>>>>;
}

/** Which table and summary a case belongs to. */
export type Group =
  | "steps"
  | "networks"
  | "sequences"
  | "typescript"
  | "inference"
  | "products"
  | "convolutions"
  | "recurrent"
  | "passes"
  | "server";

/** One row of a case table; its work is that of one unit. */
export interface Case extends Work {
  readonly group: Group;
  /** Words of the name are what the command line filters by. */
  readonly name: string;
  readonly spec: Spec;
  /** Our backend that is timed. */
  readonly ours: "native" | "typescript";
  /** Names of rows in `contenders.ts` that can do the same. */
  readonly peers: readonly string[];
  /** What one unit is. */
  readonly unit: "step" | "call" | "run";
  /** Thread counts that make sense, if not those asked for. */
  readonly threads?: readonly number[];
}
