/** `lw.optimizers.schedules`: learning rates as functions of the step, computed inside the program. */
export {
  cosineDecay,
  cosineDecayRestarts,
  exponentialDecay,
  inverseTimeDecay,
  piecewiseConstantDecay,
  polynomialDecay,
} from "../optimizers/schedules.js";
