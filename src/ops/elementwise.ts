/**
 * Element-wise ops with an instruction of their own: one row each, with instruction, derivative and
 * the domain the tests sample. Composed functions (gelu, clip, …) are in `composed.ts`.
 * Scalar functions and ULP bounds of the instructions stand in `kernels/instructions.ts`.
 */
import { DTypeError, expected, ShapeError } from "../errors.js";
import { checkDType, type DType } from "../tensor/dtype.js";
import { broadcastShapes, checkShape, sameShape } from "../tensor/shape.js";
import { literal, type Tensor, type TensorLike } from "../tensor/tensor.js";
import { reshape } from "./movement.js";
import { asPair, asTensor, defineOp, isLiteral, type OpNode, requireDType } from "./op.js";
import { sum } from "./reduce.js";

type Domain = readonly [number, number];

interface UnaryRow {
  readonly float?: string;
  readonly int?: string;
  /** dx from x, y = f(x) and dy; null where the derivative is zero everywhere. */
  readonly derivative: ((x: Tensor, y: Tensor, dy: Tensor) => Tensor) | null;
  readonly domain: Domain;
  readonly result?: DType;
}

function unary(name: string, row: UnaryRow): (x: TensorLike) => Tensor {
  const apply = defineOp<object>({
    name,
    infer: ([x]) => [{ shape: x!.shape, dtype: row.result ?? x!.dtype }],
    lowering: {
      kind: "elementwise",
      instruction: ({ inputs }) => (inputs[0]!.dtype === "float32" ? row.float! : row.int!),
    },
    gradient: ({ inputs, outputs, dy }) => [
      row.derivative ? row.derivative(inputs[0]!, outputs[0]!, dy) : null,
    ],
    samples: [
      {
        inputs: [{ shape: [3, 5], domain: row.domain, dtype: row.float ? "float32" : "int32" }],
        attributes: {},
        differentiable: row.derivative !== null,
      },
    ],
  });
  const allowed: DType[] = [
    ...(row.float ? (["float32"] as const) : []),
    ...(row.int ? (["int32"] as const) : []),
  ];
  return (x) => {
    const input = asTensor(name, x);
    requireDType(name, input, ...allowed);
    return apply([input], {})[0]!;
  };
}

interface BinaryRow {
  readonly float?: string;
  readonly int?: string;
  readonly bool?: string;
  readonly derivative: ((a: Tensor, b: Tensor, y: Tensor, dy: Tensor) => [Tensor, Tensor]) | null;
  readonly domain: Domain;
  readonly domainB?: Domain;
  readonly result?: DType;
}

function binary(name: string, row: BinaryRow): (a: TensorLike, b: TensorLike) => Tensor {
  const instructionFor = (dtype: DType): string | undefined =>
    dtype === "float32"
      ? row.float
      : dtype === "bool"
        ? (row.bool ?? (row.result ? row.int : undefined))
        : dtype === "uint8" && !row.result
          ? undefined
          : row.int;
  const apply = defineOp<object>({
    name,
    infer: ([a, b]) => [
      { shape: broadcastShapes(name, [a!.shape, b!.shape]), dtype: row.result ?? a!.dtype },
    ],
    lowering: {
      kind: "elementwise",
      instruction: ({ inputs }) => instructionFor(inputs[0]!.dtype)!,
    },
    gradient: ({ inputs: [a, b], outputs, dy, wanted }) => {
      if (!row.derivative) return [null, null];
      const [da, db] = row.derivative(a!, b!, outputs[0]!, dy);
      return [wanted[0] ? sumTo(da, a!.shape) : null, wanted[1] ? sumTo(db, b!.shape) : null];
    },
    samples: [
      [
        [4, 3],
        [4, 3],
      ],
      [[4, 3], [3]],
      [
        [4, 1],
        [2, 1, 3],
      ],
      [[], [5]],
    ].map(([a, b]) => ({
      inputs: [
        {
          shape: a!,
          domain: row.domain,
          dtype: row.float ? "float32" : row.bool ? "bool" : "int32",
        },
        {
          shape: b!,
          domain: row.domainB ?? row.domain,
          dtype: row.float ? "float32" : row.bool ? "bool" : "int32",
        },
      ],
      attributes: {},
      differentiable: row.derivative !== null,
    })),
  });
  return (a, b) => {
    const pair = asPair(name, a, b);
    if (!instructionFor(pair[0].dtype)) {
      const allowed = (["float32", "int32", "bool"] as const).filter((d) => instructionFor(d));
      throw new DTypeError(
        expected(name, `${allowed.join(" or ")} tensors`, pair[0].dtype, "cast them first"),
      );
    }
    return apply(pair, {})[0]!;
  };
}

/** Sums `x` over the dimensions along which `shape` was broadcast to reach x's shape. */
export function sumTo(x: Tensor, shape: readonly number[]): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const lead = x.rank - shape.length;
  const axes = x.shape
    .map((_, i) => i)
    .filter((i) => i < lead || (shape[i - lead] === 1 && x.shape[i] !== 1));
  const reduced = axes.length > 0 ? sum(x, axes) : x;
  return sameShape(reduced.shape, shape) ? reduced : reshape(reduced, shape);
}

const lit = (value: number): Tensor => literal(value, "float32");
const floatMask = (condition: Tensor): Tensor => cast(condition, "float32");

/* ---- one argument -------------------------------------------------------------------------- */

/** −x. */
export const neg = unary("neg", {
  float: "neg",
  int: "negInt",
  derivative: (_x, _y, dy) => neg(dy),
  domain: [-3, 3],
});
/** |x|; its derivative at 0 is 0. */
export const abs = unary("abs", {
  float: "abs",
  int: "absInt",
  derivative: (x, _y, dy) => mul(dy, sign(x)),
  domain: [0.1, 3],
});
/** −1, 0 or 1. */
export const sign = unary("sign", {
  float: "sign",
  int: "signInt",
  derivative: null,
  domain: [-3, 3],
});
/** Largest integer ≤ x. */
export const floor = unary("floor", { float: "floor", derivative: null, domain: [-3, 3] });
/** Smallest integer ≥ x. */
export const ceil = unary("ceil", { float: "ceil", derivative: null, domain: [-3, 3] });
/** Nearest integer, halves to even. */
export const round = unary("round", { float: "round", derivative: null, domain: [-3, 3] });
/** x without its fraction. */
export const trunc = unary("trunc", { float: "trunc", derivative: null, domain: [-3, 3] });
/** eˣ. */
export const exp = unary("exp", {
  float: "exp",
  derivative: (_x, y, dy) => mul(dy, y),
  domain: [-4, 4],
});
/** eˣ − 1, accurate near 0. */
export const expm1 = unary("expm1", {
  float: "expm1",
  derivative: (_x, y, dy) => mul(dy, add(y, 1)),
  domain: [-3, 3],
});
/** Natural logarithm. */
export const log = unary("log", {
  float: "log",
  derivative: (x, _y, dy) => div(dy, x),
  domain: [0.1, 5],
});
/** log(1 + x), accurate near 0. */
export const log1p = unary("log1p", {
  float: "log1p",
  derivative: (x, _y, dy) => div(dy, add(x, 1)),
  domain: [-0.8, 4],
});
/** √x. */
export const sqrt = unary("sqrt", {
  float: "sqrt",
  derivative: (_x, y, dy) => div(mul(dy, 0.5), y),
  domain: [0.1, 5],
});
/** 1/√x. */
export const rsqrt = unary("rsqrt", {
  float: "rsqrt",
  derivative: (_x, y, dy) => mul(mul(dy, -0.5), mul(y, square(y))),
  domain: [0.2, 5],
});
/** 1/x. */
export const reciprocal = unary("reciprocal", {
  float: "reciprocal",
  derivative: (_x, y, dy) => neg(mul(dy, square(y))),
  domain: [0.3, 4],
});
/** x². */
export const square = unary("square", {
  float: "square",
  derivative: (x, _y, dy) => mul(dy, mul(x, 2)),
  domain: [-3, 3],
});
/** Sine of an angle in radians. */
export const sin = unary("sin", {
  float: "sin",
  derivative: (x, _y, dy) => mul(dy, cos(x)),
  domain: [-6, 6],
});
/** Cosine of an angle in radians. */
export const cos = unary("cos", {
  float: "cos",
  derivative: (x, _y, dy) => neg(mul(dy, sin(x))),
  domain: [-6, 6],
});
/** Tangent of an angle in radians. */
export const tan = unary("tan", {
  float: "tan",
  derivative: (_x, y, dy) => mul(dy, add(square(y), 1)),
  domain: [-1.2, 1.2],
});
/** Angle whose sine is x. */
export const asin = unary("asin", {
  float: "asin",
  derivative: (x, _y, dy) => mul(dy, rsqrt(sub(1, square(x)))),
  domain: [-0.9, 0.9],
});
/** Angle whose cosine is x. */
export const acos = unary("acos", {
  float: "acos",
  derivative: (x, _y, dy) => neg(mul(dy, rsqrt(sub(1, square(x))))),
  domain: [-0.9, 0.9],
});
/** Angle whose tangent is x. */
export const atan = unary("atan", {
  float: "atan",
  derivative: (x, _y, dy) => div(dy, add(square(x), 1)),
  domain: [-3, 3],
});
/** Hyperbolic sine. */
export const sinh = unary("sinh", {
  float: "sinh",
  derivative: (x, _y, dy) => mul(dy, cosh(x)),
  domain: [-3, 3],
});
/** Hyperbolic cosine. */
export const cosh = unary("cosh", {
  float: "cosh",
  derivative: (x, _y, dy) => mul(dy, sinh(x)),
  domain: [-3, 3],
});
/** Hyperbolic tangent. */
export const tanh = unary("tanh", {
  float: "tanh",
  derivative: (_x, y, dy) => mul(dy, sub(1, square(y))),
  domain: [-3, 3],
});
/** Inverse hyperbolic sine. */
export const asinh = unary("asinh", {
  float: "asinh",
  derivative: (x, _y, dy) => mul(dy, rsqrt(add(square(x), 1))),
  domain: [-3, 3],
});
/** Inverse hyperbolic cosine, of x ≥ 1. */
export const acosh = unary("acosh", {
  float: "acosh",
  derivative: (x, _y, dy) => mul(dy, rsqrt(sub(square(x), 1))),
  domain: [1.2, 4],
});
/** Inverse hyperbolic tangent, of −1 < x < 1. */
export const atanh = unary("atanh", {
  float: "atanh",
  derivative: (x, _y, dy) => div(dy, sub(1, square(x))),
  domain: [-0.8, 0.8],
});
/** Gauss' error function. */
export const erf = unary("erf", {
  float: "erf",
  // d(erf(x)) = 2/√π · exp(−x²)
  derivative: (x, _y, dy) => mul(dy, mul(exp(neg(square(x))), 2 / Math.sqrt(Math.PI))),
  domain: [-3, 3],
});
/** 1 / (1 + e⁻ˣ). */
export const sigmoid = unary("sigmoid", {
  float: "sigmoid",
  derivative: (_x, y, dy) => mul(dy, mul(y, sub(1, y))),
  domain: [-5, 5],
});
/** log(1 + eˣ), without overflow. */
export const softplus = unary("softplus", {
  float: "softplus",
  derivative: (x, _y, dy) => mul(dy, sigmoid(x)),
  domain: [-5, 5],
});
/** max(x, 0); its derivative at 0 is 0. */
export const relu = unary("relu", {
  float: "relu",
  // From y alone, so that a fused epilogue need not keep x.
  derivative: (_x, y, dy) => where(greater(y, 0), dy, lit(0)),
  domain: [0.1, 3],
});
/** True where x is NaN. */
export const isNaN = unary("isNaN", {
  float: "isNaN",
  derivative: null,
  domain: [-3, 3],
  result: "bool",
});
/** True where x is neither NaN nor infinite. */
export const isFinite = unary("isFinite", {
  float: "isFinite",
  derivative: null,
  domain: [-3, 3],
  result: "bool",
});
/** True where x is +∞ or −∞. */
export const isInf = unary("isInf", {
  float: "isInf",
  derivative: null,
  domain: [-3, 3],
  result: "bool",
});

/* ---- two arguments, broadcasting as in NumPy ------------------------------------------------- */

/** a + b. */
export const add = binary("add", {
  float: "add",
  int: "addInt",
  derivative: (_a, _b, _y, dy) => [dy, dy],
  domain: [-3, 3],
});
/** a − b. */
export const sub = binary("sub", {
  float: "sub",
  int: "subInt",
  derivative: (_a, _b, _y, dy) => [dy, neg(dy)],
  domain: [-3, 3],
});
/** a · b, element by element. */
export const mul = binary("mul", {
  float: "mul",
  int: "mulInt",
  derivative: (a, b, _y, dy) => [mulBy(dy, b), mulBy(dy, a)],
  domain: [-3, 3],
});
/** a / b. */
export const div = binary("div", {
  float: "div",
  derivative: (_a, b, y, dy) => {
    const da = div(dy, b);
    return [da, neg(mul(da, y))];
  },
  domain: [-3, 3],
  domainB: [0.5, 3],
});
/** a to the power of b. The derivative with respect to b is 0 where a is 0. */
export const pow = binary("pow", {
  float: "pow",
  derivative: (a, b, y, dy) => [
    mul(dy, powerSlope(a, b)),
    mul(dy, where(greater(a, 0), mul(y, log(where(greater(a, 0), a, lit(1)))), lit(0))),
  ],
  domain: [0.3, 3],
  domainB: [-2, 3],
});
/** The smaller of a and b; NaN if either is. A tie's gradient is halved between them. */
export const minimum = binary("minimum", {
  float: "minimum",
  int: "minimumInt",
  derivative: (a, b, _y, dy) => shares(dy, less(a, b), equal(a, b)),
  domain: [-3, 3],
});
/** The larger of a and b; NaN if either is. A tie's gradient is halved between them. */
export const maximum = binary("maximum", {
  float: "maximum",
  int: "maximumInt",
  derivative: (a, b, _y, dy) => shares(dy, less(b, a), equal(a, b)),
  domain: [-3, 3],
});
/** Angle of the point (b, a), from −π to π. */
export const atan2 = binary("atan2", {
  float: "atan2",
  derivative: (a, b, _y, dy) => {
    const scaled = div(dy, add(square(a), square(b)));
    return [mul(scaled, b), neg(mul(scaled, a))];
  },
  domain: [0.3, 3],
});
/**
 * ⌊a / b⌋ of the exact quotient; beyond 2²⁴, where float32 lacks integers, the quotient rounded. Division by 0
 * is ±∞ or NaN for float32, 0 for int32.
 */
export const floorDiv = binary("floorDiv", {
  float: "floorDiv",
  int: "floorDivInt",
  derivative: null,
  domain: [-9, 9],
  domainB: [1, 4],
});
/**
 * a − b·⌊a / b⌋, with the sign of b, as Python's `%`: exact but for one rounding. Modulo 0 is NaN for float32, 0
 * for int32.
 */
export const mod = binary("mod", {
  float: "mod",
  int: "modInt",
  derivative: (a, b, _y, dy) => [dy, neg(mul(dy, floorDiv(a, b)))],
  domain: [0.1, 0.9],
  domainB: [1.1, 4],
});
/** True where a = b. */
export const equal = binary("equal", {
  float: "equal",
  int: "equalInt",
  derivative: null,
  domain: [-3, 3],
  result: "bool",
});
/** True where a ≠ b. */
export const notEqual = binary("notEqual", {
  float: "notEqual",
  int: "notEqualInt",
  derivative: null,
  domain: [-3, 3],
  result: "bool",
});
/** True where a < b. */
export const less = binary("less", {
  float: "less",
  int: "lessInt",
  derivative: null,
  domain: [-3, 3],
  result: "bool",
});
/** True where a ≤ b. */
export const lessEqual = binary("lessEqual", {
  float: "lessEqual",
  int: "lessEqualInt",
  derivative: null,
  domain: [-3, 3],
  result: "bool",
});
/** True where a and b are. */
export const logicalAnd = binary("logicalAnd", {
  bool: "andInt",
  derivative: null,
  domain: [0, 1],
});
/** True where a or b is. */
export const logicalOr = binary("logicalOr", { bool: "orInt", derivative: null, domain: [0, 1] });
/** True where exactly one of a and b is. */
export const logicalXor = binary("logicalXor", {
  bool: "xorInt",
  derivative: null,
  domain: [0, 1],
});

/** True where a > b. */
export function greater(a: TensorLike, b: TensorLike): Tensor {
  const [left, right] = asPair("greater", a, b);
  return less(right, left);
}

/** True where a ≥ b. */
export function greaterEqual(a: TensorLike, b: TensorLike): Tensor {
  const [left, right] = asPair("greaterEqual", a, b);
  return lessEqual(right, left);
}

/** b·a^(b−1), and 0 for b = 0 also where a is 0. */
function powerSlope(a: Tensor, b: Tensor): Tensor {
  const slope = mul(b, pow(a, sub(b, 1)));
  return b.literal !== undefined && b.literal !== 0 ? slope : where(equal(b, 0), lit(0), slope);
}

function mulBy(dy: Tensor, factor: Tensor): Tensor {
  return isLiteral(factor, 1) ? dy : mul(dy, factor);
}

function shares(dy: Tensor, first: Tensor, tie: Tensor): [Tensor, Tensor] {
  const a = where(tie, lit(0.5), floatMask(first));
  return [mul(dy, a), mul(dy, sub(1, a))];
}

/* ---- the rest ------------------------------------------------------------------------------- */

const applyNot = defineOp<object>({
  name: "logicalNot",
  infer: ([x]) => [{ shape: x!.shape, dtype: "bool" }],
  lowering: { kind: "elementwise", instruction: () => "notBool" },
  gradient: "none",
  samples: [
    {
      inputs: [{ shape: [7], dtype: "bool", domain: [0, 1] }],
      attributes: {},
      differentiable: false,
    },
  ],
});

/** True where x is false. */
export function logicalNot(x: TensorLike): Tensor {
  const input = asTensor("logicalNot", x);
  requireDType("logicalNot", input, "bool");
  return applyNot([input], {})[0]!;
}

const applyWhere = defineOp<object>({
  name: "where",
  infer: ([c, a, b]) => [
    { shape: broadcastShapes("where", [c!.shape, a!.shape, b!.shape]), dtype: a!.dtype },
  ],
  lowering: { kind: "elementwise", instruction: () => "select" },
  gradient: ({ inputs: [condition, a, b], dy, wanted }) => [
    null,
    wanted[1] ? sumTo(where(condition!, dy, lit(0)), a!.shape) : null,
    wanted[2] ? sumTo(where(condition!, lit(0), dy), b!.shape) : null,
  ],
  samples: [
    {
      inputs: [
        { shape: [4, 3], dtype: "bool", domain: [0, 1] },
        { shape: [4, 3], domain: [-2, 2] },
        { shape: [3], domain: [-2, 2] },
      ],
      attributes: {},
    },
  ],
});

/** a where the condition is true, b elsewhere; all three broadcast. */
export function where(condition: TensorLike, a: TensorLike, b: TensorLike): Tensor {
  const mask = asTensor("where", condition);
  requireDType("where", mask, "bool");
  return applyWhere([mask, ...asPair("where", a, b)], {})[0]!;
}

interface CastAttributes {
  readonly dtype: DType;
}

const applyCast = defineOp<CastAttributes>({
  name: "cast",
  infer: ([x], { dtype }) => [{ shape: x!.shape, dtype }],
  lowering: { kind: "elementwise", instruction: castInstruction },
  gradient: ({ inputs: [x], attributes, dy }) => [
    x!.dtype === "float32" && attributes.dtype === "float32" ? dy : null,
  ],
  samples: [
    {
      inputs: [{ shape: [5], domain: [-9, 9] }],
      attributes: { dtype: "int32" },
      differentiable: false,
    },
    {
      inputs: [{ shape: [5], dtype: "int32", domain: [-9, 9] }],
      attributes: { dtype: "float32" },
      differentiable: false,
    },
    {
      inputs: [{ shape: [5], dtype: "uint8", domain: [0, 255] }],
      attributes: { dtype: "float32" },
      differentiable: false,
    },
    {
      inputs: [{ shape: [5], dtype: "int32", domain: [-300, 300] }],
      attributes: { dtype: "uint8" },
      differentiable: false,
    },
    {
      inputs: [{ shape: [5], dtype: "bool", domain: [0, 1] }],
      attributes: { dtype: "float32" },
      differentiable: false,
    },
  ],
});

/** Lanes are float or int: an int-to-int cast happens when the result is stored. */
function castInstruction({ inputs, attributes }: OpNode<CastAttributes>): string {
  const fromFloat = inputs[0]!.dtype === "float32";
  const toFloat = attributes.dtype === "float32";
  if (fromFloat === toFloat) return "identity";
  return toFloat ? "toFloat" : "toInt";
}

/**
 * Another dtype for the same values. float32 → int32 truncates and saturates, NaN becomes 0; → uint8
 * saturates to 0…255; → bool is `x ≠ 0`.
 */
export function cast(x: TensorLike, dtype: DType): Tensor {
  checkDType("cast", dtype);
  const input = asTensor("cast", x);
  if (input.dtype === dtype) return input;
  if (dtype === "bool") return notEqual(input, 0);
  // Saturating to a byte happens on the store; a fused consumer must see the saturated value too.
  if (dtype === "uint8") {
    const ints = cast(input, "int32");
    return applyCast([minimum(maximum(ints, 0), 255)], { dtype })[0]!;
  }
  return applyCast([input], { dtype })[0]!;
}

const applyBroadcast = defineOp<{ readonly shape: readonly number[] }>({
  name: "broadcastTo",
  infer: ([x], { shape }) => [{ shape, dtype: x!.dtype }],
  lowering: { kind: "elementwise", instruction: () => "identity" },
  gradient: ({ inputs: [x], dy }) => [sumTo(dy, x!.shape)],
  samples: [
    { inputs: [{ shape: [3, 1], domain: [-2, 2] }], attributes: { shape: [2, 3, 4] } },
    { inputs: [{ shape: [], domain: [-2, 2] }], attributes: { shape: [2, 2] } },
  ],
});

/** `x` repeated along its dimensions of size 1 (and new leading ones) up to `shape`. */
export function broadcastTo(x: TensorLike, shape: readonly number[]): Tensor {
  const input = asTensor("broadcastTo", x);
  checkShape("broadcastTo", shape);
  if (sameShape(input.shape, shape)) return input;
  if (!sameShape(broadcastShapes("broadcastTo", [input.shape, shape]), shape)) {
    throw new ShapeError(
      expected("broadcastTo", `a shape that broadcasts to [${shape}]`, `[${input.shape}]`),
    );
  }
  return applyBroadcast([input], { shape: [...shape] })[0]!;
}
