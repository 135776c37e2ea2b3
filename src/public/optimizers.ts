/** `lw.optimizers`: update rules with their options, and learning-rate schedules. */
export {
  adadelta,
  adagrad,
  adam,
  adamax,
  adamw,
  lion,
  momentum,
  nadam,
  rmsprop,
  sgd,
} from "../optimizers/factories.js";
export * as schedules from "./schedules.js";
