/** Backends to loop over, and small models and data that several suites share. */
import "../../src/backend/run.js";
import "../../src/ops/methods.js";
import { setBackend } from "../../src/backend/select.js";
import { dense } from "../../src/layers/layers.js";
import { sequential } from "../../src/models/sequential.js";
import { addon } from "../helpers/executors.js";
import { integers, uniform } from "../helpers/random.js";

/** Every backend that is here. */
export const backends = addon ? (["typescript", "native"] as const) : (["typescript"] as const);

/** Puts the default back after a suite that changed it. */
export function defaultBackend(): void {
  setBackend(addon ? "native" : "typescript");
}

export const gateInputs = [
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
];
export const xor = [0, 1, 1, 0];

/** 2-8-1 for XOR, not compiled. */
export function xorNetwork() {
  return sequential([
    dense({ units: 8, activation: "tanh", inputShape: [2] }),
    dense({ units: 1, activation: "sigmoid" }),
  ]);
}

/** Points of three classes around three centres: x [count, 2], labels. */
export function blobs(count: number, seed = 1): { x: Float32Array; y: Int32Array } {
  const y = integers(seed, count, 0, 3);
  const noise = uniform(seed + 1, count * 2, -0.6, 0.6);
  const x = Float32Array.from(noise, (n, i) => {
    const angle = (2 * Math.PI * y[i >> 1]!) / 3;
    return n + (i % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
  });
  return { x, y };
}

/** {@link blobNetwork}, compiled. */
export function compiledBlobNetwork() {
  const model = blobNetwork();
  model.compile({
    optimizer: "adam",
    loss: "sparseCategoricalCrossentropy",
    metrics: ["accuracy"],
  });
  return model;
}

/** A classifier for `blobs`, not compiled. */
export function blobNetwork() {
  return sequential([
    dense({ units: 16, activation: "relu", inputShape: [2] }),
    dense({ units: 3, activation: "softmax" }),
  ]);
}
