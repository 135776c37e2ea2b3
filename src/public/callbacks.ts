/** `lw.callbacks`: what `fit` calls while it trains. */
export { Callback } from "../training/callback.js";
export {
  csvLogger,
  earlyStopping,
  history,
  lambdaCallback,
  learningRateScheduler,
  modelCheckpoint,
  reduceLROnPlateau,
  swapEmaWeights,
  terminateOnNaN,
} from "../training/callbacks.js";
