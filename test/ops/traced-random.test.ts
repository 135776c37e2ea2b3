/** Randomness inside compiled functions: recorded once, drawn anew by every run. */
import { expect, test } from "vitest";
import * as lw from "../../src/index.js";

test("a compiled function draws anew in each run", () => {
  const draw = lw.compile((x) => lw.add(x, lw.randomUniform([4])));
  const first = draw(0).arraySync();
  expect(draw(0).arraySync()).not.toEqual(first);
});

test("an explicit seed gives the same numbers in each run", () => {
  const draw = lw.compile((x) => lw.add(x, lw.randomUniform([4], 0, 1, "float32", 5)));
  expect(draw(0).arraySync()).toEqual(draw(0).arraySync());
});

test("dropout applied in a compiled loop gets a new mask in each run", () => {
  const dropout = lw.layers.dropout({ rate: 0.5 });
  const drop = lw.compile((x) => dropout.apply(x, { training: true }));
  const ones = lw.ones([64]);
  const first = drop(ones).arraySync();
  expect(drop(ones).arraySync()).not.toEqual(first);
});

test("the same global seed repeats what is drawn outside of compiled functions", () => {
  lw.setRandomSeed(11);
  const first = lw.randomNormal([5]).arraySync();
  lw.setRandomSeed(11);
  expect(lw.randomNormal([5]).arraySync()).toEqual(first);
});
