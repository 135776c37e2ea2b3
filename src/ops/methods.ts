/**
 * The ops that are also methods of Tensor: `a.add(b)` is `add(a, b)`. One list of names; types and
 * documentation come from the functions. Importing this file attaches the methods.
 */
import { Tensor } from "../tensor/tensor.js";
import * as composed from "./composed.js";
import * as elementwise from "./elementwise.js";
import * as gather from "./gather.js";
import * as identity from "./identity.js";
import * as matmul from "./matmul.js";
import * as movement from "./movement.js";
import * as normalization from "./normalization.js";
import * as pooling from "./pooling.js";
import * as reduce from "./reduce.js";
import * as select from "./select.js";
import * as softmax from "./softmax.js";

const ops = {
  ...composed,
  ...elementwise,
  ...gather,
  ...identity,
  ...matmul,
  ...movement,
  ...normalization,
  ...pooling,
  ...reduce,
  ...select,
  ...softmax,
};

const names = [
  "abs",
  "acos",
  "acosh",
  "add",
  "all",
  "any",
  "argMax",
  "argMin",
  "asin",
  "asinh",
  "atan",
  "atan2",
  "atanh",
  "avgPool",
  "broadcastTo",
  "cast",
  "ceil",
  "clipByValue",
  "cos",
  "cosh",
  "cumsum",
  "div",
  "divNoNan",
  "dot",
  "elu",
  "equal",
  "erf",
  "exp",
  "expandDims",
  "expm1",
  "flatten",
  "floor",
  "floorDiv",
  "gather",
  "gelu",
  "greater",
  "greaterEqual",
  "isFinite",
  "isInf",
  "isNaN",
  "leakyRelu",
  "less",
  "lessEqual",
  "log",
  "log1p",
  "logSigmoid",
  "logSoftmax",
  "logSumExp",
  "logicalAnd",
  "logicalNot",
  "logicalOr",
  "logicalXor",
  "matMul",
  "max",
  "maxPool",
  "maximum",
  "mean",
  "min",
  "minimum",
  "mish",
  "mod",
  "moments",
  "mul",
  "neg",
  "norm",
  "notEqual",
  "oneHot",
  "pad",
  "pow",
  "prelu",
  "prod",
  "reciprocal",
  "relu",
  "relu6",
  "repeat",
  "reshape",
  "reverse",
  "round",
  "rsqrt",
  "selu",
  "sigmoid",
  "sign",
  "sin",
  "sinh",
  "slice",
  "softmax",
  "softplus",
  "softsign",
  "split",
  "sqrt",
  "square",
  "squaredDifference",
  "squeeze",
  "step",
  "stopGradient",
  "stridedSlice",
  "sub",
  "sum",
  "swish",
  "tan",
  "tanh",
  "tile",
  "topk",
  "transpose",
  "trunc",
  "unstack",
  "variance",
] as const satisfies readonly (keyof Ops)[];

// Written as modules, not as `typeof ops`: the declarations then refer to the functions, whose types and
// documentation stay whole, instead of repeating them.
type Ops = typeof composed &
  typeof elementwise &
  typeof gather &
  typeof identity &
  typeof matmul &
  typeof movement &
  typeof normalization &
  typeof pooling &
  typeof reduce &
  typeof select &
  typeof softmax;
type Rest<F> = F extends (first: never, ...rest: infer R) => infer T ? (...rest: R) => T : never;

/** The methods, derived from the functions: the tensor itself is the first argument. */
export type TensorMethods = { [Name in keyof Pick<Ops, (typeof names)[number]>]: Rest<Ops[Name]> };

declare module "../tensor/tensor.js" {
  interface Tensor extends TensorMethods {}
}

for (const name of names) {
  // Every listed function takes a tensor first; the mapped type above states the rest exactly.
  const op = ops[name] as (...args: unknown[]) => unknown;
  Object.defineProperty(Tensor.prototype, name, {
    configurable: true,
    writable: true,
    value: function method(this: Tensor, ...rest: unknown[]) {
      return op(this, ...rest);
    },
  });
}
