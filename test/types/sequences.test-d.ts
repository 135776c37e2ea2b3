/** Types of the layers of sequences: what comes out follows from the options. Checked by `tsc`; nothing runs. */
import { expectTypeOf } from "vitest";
import * as lw from "../../src/index.js";

const x = lw.input({ shape: [null, 3] });
const values = lw.zeros([2, 4, 3]);

// One output, or an array of output and states.
expectTypeOf(lw.layers.lstm({ units: 2 }).apply(x)).toEqualTypeOf<lw.SymbolicTensor>();
expectTypeOf(
  lw.layers.lstm({ units: 2, returnSequences: true }).apply(values),
).toEqualTypeOf<lw.Tensor>();
expectTypeOf(lw.layers.gru({ units: 2, returnState: true }).apply(x)).toEqualTypeOf<
  lw.SymbolicTensor[]
>();
expectTypeOf(lw.layers.gru({ units: 2, returnState: true }).apply(values)).toEqualTypeOf<
  lw.Tensor[]
>();
expectTypeOf(lw.layers.lstmCell({ units: 2 }).apply([values, values, values])).toEqualTypeOf<
  lw.Tensor[]
>();

const layer = lw.layers.simpleRNN({ units: 2 });
expectTypeOf(lw.layers.bidirectional({ layer }).apply(x)).toEqualTypeOf<lw.SymbolicTensor>();
expectTypeOf(lw.layers.bidirectional({ layer, mergeMode: null }).apply(x)).toEqualTypeOf<
  lw.SymbolicTensor[]
>();
const states = lw.layers.simpleRNN({ units: 2, returnState: true });
expectTypeOf(lw.layers.bidirectional({ layer: states }).apply(x)).toEqualTypeOf<
  lw.SymbolicTensor[]
>();

const attention = { numHeads: 2, keyDim: 4 };
expectTypeOf(lw.layers.multiHeadAttention(attention).apply(x)).toEqualTypeOf<lw.SymbolicTensor>();
expectTypeOf(
  lw.layers
    .multiHeadAttention({ ...attention, returnAttentionScores: true })
    .apply([values, values]),
).toEqualTypeOf<lw.Tensor[]>();

// Masks.
expectTypeOf(lw.maskOf(values)).toEqualTypeOf<lw.Tensor | null>();
expectTypeOf(lw.withMask(values, [[true]])).toEqualTypeOf<lw.Tensor>();
layer.apply(values, { mask: [[true]] });
// @ts-expect-error in a model a mask is an input of applyMask
layer.apply(x, { mask: [[true]] });
// @ts-expect-error the number of units is needed
lw.layers.lstm({});
// @ts-expect-error an unknown mode
lw.layers.bidirectional({ layer, mergeMode: "add" });
// @ts-expect-error no option of Keras
lw.layers.embedding({ inputDim: 3, outputDim: 2, maskzero: true });
