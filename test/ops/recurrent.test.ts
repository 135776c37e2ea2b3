import { expect, test } from "vitest";
import * as lw from "../../src/index.js";
import { expectGradient } from "../helpers/gradCheck.js";
import { uniform } from "../helpers/random.js";

test("smoke", () => {
  const [b, t, f, u] = [3, 4, 2, 3];
  const T = (seed: number, shape: number[]) => lw.tensor(uniform(seed, shape.reduce((a, c) => a * c, 1)), shape);
  const x = T(1, [b, t, f]);
  const lengths = lw.tensor([4, 0, 2], [3], "int32");
  for (const reverse of [false, true]) {
    expectGradient((x, k, r, bias) => lw.lstm(x, k, r, bias, { lengths, reverse }).outputs, [x, T(2, [f, 4 * u]), T(3, [u, 4 * u]), T(4, [4 * u])]);
    expectGradient((x, k, r, bias) => lw.gru(x, k, r, bias, { lengths, reverse }).h, [x, T(2, [f, 3 * u]), T(3, [u, 3 * u]), T(4, [2, 3 * u])]);
    expectGradient((x, k, r, bias) => lw.gru(x, k, r, bias, { lengths, reverse, resetAfter: false }).outputs, [x, T(2, [f, 3 * u]), T(3, [u, 3 * u]), T(4, [3 * u])]);
    expectGradient((x, k, r, bias) => lw.simpleRNN(x, k, r, bias, { reverse }).outputs, [x, T(2, [f, u]), T(3, [u, u]), T(4, [u])]);
  }
  expect(lw.lstm(x, T(2, [f, 4 * u]), T(3, [u, 4 * u]), null).outputs.shape).toEqual([3, 4, 3]);
});
