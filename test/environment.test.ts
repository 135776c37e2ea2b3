/** What the environment may ask for, and what it is told when it asks for something else. */
import { describe, expect, test } from "vitest";
import { parseEnvironment } from "../src/environment.js";

describe("environment", () => {
  test("LAYERWISE_WINOGRAD is 0 or 1; absent or empty asks for nothing", () => {
    expect(parseEnvironment({ LAYERWISE_WINOGRAD: "0" })).toEqual({ winograd: false });
    expect(parseEnvironment({ LAYERWISE_WINOGRAD: " 1 " })).toEqual({ winograd: true });
    expect(parseEnvironment({ LAYERWISE_WINOGRAD: "" })).toEqual({});
    expect(parseEnvironment({})).toEqual({});
    expect(() => parseEnvironment({ LAYERWISE_WINOGRAD: "off" })).toThrow(
      'LAYERWISE_WINOGRAD: expected one of "0", "1", got "off"',
    );
  });
});
