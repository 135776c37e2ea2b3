/**
 * Words that no compiler would write: every word of valid Programs replaced by other values. Each must
 * be refused with a message, or load and run inside its own memory (a data error is fine). A crash of
 * this file is the failure it looks for.
 */
import { describe, expect, it } from "vitest";
import { addon, type Encoded, floats, ProgramBuilder, random, type Typed } from "./builder.js";

/** A Program with every kernel of the addon. */
function example(): { encoded: Encoded; kernels: Set<string>; bindings: () => Typed[] } {
  const p = new ProgramBuilder();
  const X = p.bind("float32", [6, 5], "read");
  const w = p.bind("float32", [5, 4]);
  const labels = p.bind("int32", [6], "read");
  const bytes = p.bind("uint8", [6]);
  const bias = p.constant("float32", [4], floats(4, 1));
  const logits = p.arena("float32", [6, 4]);
  const active = p.arena("bool", [6, 4]);
  const loss = p.arena("float32", [6]);
  const gradient = p.arena("float32", [6, 4]);
  const dw = p.arena("float32", [5, 4]);
  const total = p.bind("float32", [1], "write");
  const rest = p.arena("float32", [6, 4]);
  const small = p.arena("int32", [6]);
  p.call("gemm", [X, w, bias], [logits, active], [1, 6, 4, 5, 0, 0, 0, 0], [], {
    dims: [6, 4],
    strides: [
      [4, 1],
      [0, 1],
    ],
    instructions: [
      { op: "add", dst: 2, args: [0, 1] },
      { op: "constFloat", dst: 3, constant: [0.5] },
      { op: "less", dst: 4, args: [3, 2] },
      { op: "select", dst: 5, args: [4, 2, 3] },
    ],
    results: [5, 4],
  });
  p.call("sparseSoftmaxCrossEntropy", [logits, labels], [loss, gradient], [6, 4], [0.1]);
  p.call("gemm", [X, gradient], [dw], [1, 5, 4, 6, 1, 0, 0, 0]);
  p.call("reduce", [loss], [total], [0], [1 / 6], {
    dims: [1, 6, 1],
    strides: [[6, 1, 1]],
    instructions: [],
    results: [0],
  });
  p.call("map", [w, dw, labels], [w], [], [], {
    dims: [5, 4],
    strides: [
      [4, 1],
      [4, 1],
      [0, 0],
    ],
    instructions: [
      { op: "constFloat", dst: 3, constant: [0.1] },
      { op: "mul", dst: 4, args: [1, 3] },
      { op: "sub", dst: 4, args: [0, 4] },
      { op: "philox", dst: 5, args: [2, 2], constant: [7, 9] },
      { op: "bitsToUniform", dst: 5, args: [5] },
      { op: "mul", dst: 4, args: [4, 5] },
    ],
    results: [4],
  });
  p.call("copy", [gradient], [rest], [2, 0, 0, 4, 6, 1, 4, 6, 1]);
  p.call("gather", [rest, labels], [logits], [1, 6, 4, 6]);
  p.call("scatterAdd", [logits, labels], [gradient], [1, 6, 4, 6]);
  p.call("moments", [gradient], [total, p.arena("float32", [1])], [1, 24, 1]);
  p.call("argReduce", [rest], [small], [6, 4, 1, 0]);
  p.call("topK", [rest], [p.arena("float32", [6, 2]), p.arena("int32", [6, 2])], [6, 4, 2]);
  p.call("cumsum", [rest], [logits], [6, 4, 1, 0, 1]);
  const pooled = p.arena("float32", [1, 2, 3, 2]);
  const index = p.arena("uint8", [1, 2, 3, 2]);
  const pool = [1, 4, 3, 2, 2, 2, 2, 1, 0, 1, 2, 3];
  p.call("maxPool", [logits], [pooled, index], pool);
  p.call("maxPoolGradient", [pooled, index], [rest], pool);
  p.call("avgPool", [rest], [pooled], pool);
  p.call("avgPoolGradient", [pooled], [logits], pool);
  const transform = p.arena("float32", [1, 8]);
  p.call("copy", [logits], [transform], [1, 0, 0, 8, 1, 1]);
  p.call("transformImages", [logits, transform], [pooled], [1, 4, 3, 2, 2, 3, 1, 1, 2], [0.5]);
  p.call("transformImagesGradient", [pooled, transform], [logits], [1, 4, 3, 2, 2, 3, 1, 1, 2]);
  p.call("scatterRows", [rest, labels, logits], [rest], [6, 4, 6]);
  // Images of 3 × 2 pixels and 4 channels: one filter and the ways back, then each channel a group.
  const filter = p.arena("float32", [16]);
  p.call("copy", [w], [filter], [1, 0, 0, 16, 1, 1]);
  const convolution = [1, 3, 2, 4, 3, 2, 1, 2, 2, 1, 1, 0, 1, 1, 1, 1, 1];
  p.call("conv2d", [logits, filter], [loss], convolution);
  p.call("conv2dInputGradient", [loss, filter, bias], [rest], convolution, [], {
    dims: [6, 4],
    strides: [
      [4, 1],
      [0, 1],
    ],
    instructions: [
      { op: "constInt", dst: 2, constant: [5] },
      { op: "philoxBelow", dst: 3, args: [2, 2], constant: [7, 9, 2 ** 31] },
      { op: "select", dst: 4, args: [3, 0, 1] },
    ],
    results: [4],
  });
  p.call("conv2dFilterGradient", [logits, loss], [filter], convolution);
  const apart = [1, 3, 2, 4, 3, 2, 4, 2, 2, 1, 1, 0, 1, 1, 1, 4, 0];
  p.call("conv2d", [logits, filter], [rest], apart);
  // Two sequences of up to three steps: an LSTM of one unit with all it can have, and back; a GRU.
  const lengths = p.constant("int32", [2], Int32Array.of(3, 1));
  const start = p.constant("float32", [2], floats(2, 4));
  const three = p.constant("float32", [3], floats(3, 5));
  const [state, cell, previous, inner, cells, gates] = [2, 2, 6, 6, 6, 24].map((n) =>
    p.arena("float32", [n]),
  ) as [number, number, number, number, number, number];
  p.call(
    "recurrent",
    [logits, bias, bias, start, start, three, start, lengths],
    [loss, state, gates, previous, inner, cell, cells],
    [2, 3, 1, 4, 127, 1, 1, 0, 1, 1, 1, 1],
  );
  p.call(
    "recurrentGradient",
    [bias, gates, inner, cells, three, start, lengths, loss, state, cell],
    [rest, p.arena("float32", [2]), p.arena("float32", [2])],
    [2, 3, 1, 4, 13, 1, 1, 1, 1, 1, 1, 1],
  );
  p.call(
    "recurrent",
    [logits, three, three, three],
    [transform],
    [2, 4, 1, 6, 1, 0, 1, 1, 0, 0, 0, 0],
  );
  p.call("sequenceProduct", [logits, bias, lengths], [loss], [2, 3, 4, 1, 0]);
  p.call("sequenceOuter", [logits, rest, lengths], [filter], [2, 3, 4, 4]);
  p.call("softmax", [logits], [rest], [6, 4, 1]);
  p.call("softmaxCrossEntropy", [logits, gradient], [loss, rest], [6, 4], [0]);
  p.call("map", [small], [bytes], [], [], {
    dims: [6],
    strides: [[1]],
    instructions: [],
    results: [0],
  });
  return {
    encoded: p.encode(),
    kernels: p.kernels,
    bindings: () => [
      floats(30, 2),
      floats(20, 3),
      Int32Array.of(0, 1, 2, 3, 0, 1),
      new Uint8Array(6),
      new Float32Array(1),
    ],
  };
}

/** Loads and runs; true if it was refused at load. */
function refused({ words, floats: numbers, constants }: Encoded, bindings: Typed[]): boolean {
  let handle: object;
  try {
    handle = addon.load(words, numbers, constants);
  } catch (error) {
    expect((error as Error).message).toMatch(/^Program /);
    return true;
  }
  try {
    addon.runSync(handle, bindings);
  } catch (error) {
    // Data errors, or bindings that the changed Program wants differently.
    expect((error as Error).message).toMatch(/\(Program call \d+\)$|^binding/);
  }
  return false;
}

describe("malformed Programs", () => {
  const { encoded, kernels, bindings } = example();

  it("start from one that is valid and has every kernel", () => {
    expect(addon.kernelNames().filter((name) => !kernels.has(name))).toEqual([]);
    addon.runSync(addon.load(encoded.words, encoded.floats, encoded.constants), bindings());
  });

  it("survives every word replaced", () => {
    const next = random(1);
    let refusals = 0;
    const extremes = [-1, 0, 1, 2, 3, 5, 7, 8, 64, 0x7fffffff, -0x80000000, 1 << 20];
    for (let at = 0; at < encoded.words.length; at++) {
      const values = [
        ...extremes,
        encoded.words[at]! + 1,
        encoded.words[at]! - 1,
        next() * 2 ** 32,
      ];
      for (const value of values) {
        const words = encoded.words.slice();
        words[at] = value;
        if (refused({ ...encoded, words }, bindings())) refusals++;
      }
    }
    expect(refusals).toBeGreaterThan(encoded.words.length * 5);
  });

  it("survives several words replaced at once", () => {
    const next = random(2);
    for (let turn = 0; turn < 20000; turn++) {
      const words = encoded.words.slice();
      for (let k = 1 + Math.floor(next() * 4); k > 0; k--) {
        const at = Math.floor(next() * words.length);
        words[at] =
          next() < 0.7 ? words[Math.floor(next() * words.length)]! : Math.floor(next() * 40) - 2;
      }
      refused({ ...encoded, words }, bindings());
    }
  });

  it("refuses every truncation and any surplus", () => {
    for (let n = 0; n < encoded.words.length; n++) {
      expect(refused({ ...encoded, words: encoded.words.slice(0, n) }, bindings())).toBe(true);
    }
    const surplus = Int32Array.of(...encoded.words, 0);
    expect(refused({ ...encoded, words: surplus }, bindings())).toBe(true);
    expect(refused({ ...encoded, floats: encoded.floats.slice(1) }, bindings())).toBe(true);
    expect(refused({ ...encoded, floats: Float64Array.of(...encoded.floats, 1) }, bindings())).toBe(
      true,
    );
    expect(refused({ ...encoded, constants: new Uint8Array(8) }, bindings())).toBe(true);
  });

  it("survives strange constants", () => {
    for (let at = 0; at < encoded.floats.length; at++) {
      for (const value of [
        Number.NaN,
        Infinity,
        -Infinity,
        1e300,
        -1,
        2 ** 32,
        2 ** 31,
        -(2 ** 31),
      ]) {
        const numbers = encoded.floats.slice();
        numbers[at] = value;
        refused({ ...encoded, floats: numbers }, bindings());
      }
    }
  });

  /** A tanh cell whose first result is wanted, and nothing optional given. */
  const recurrentFlags = [0, 1, 0, 0, 0, 0, 0, 0, 0];

  it("names the call, the kernel and what is wrong", () => {
    const message = (build: (p: ProgramBuilder) => void): string => {
      const p = new ProgramBuilder();
      build(p);
      try {
        p.load();
      } catch (error) {
        return (error as Error).message;
      }
      return "loaded";
    };
    const tile = { dims: [4], strides: [[1]], instructions: [], results: [0] };
    expect(
      message((p) =>
        p.call("softmax", [p.bind("float32", [6])], [p.bind("float32", [6])], [2, 4, 0]),
      ),
    ).toBe("Program call 0 (softmax): input 0 has 6 elements, the attributes say 8");
    expect(
      message((p) =>
        p.call("map", [p.bind("float32", [3])], [p.bind("float32", [4])], [], [], tile),
      ),
    ).toBe("Program call 0 (map): tile input 0 reaches 4 elements into tensor 0, which has 3");
    expect(
      message((p) =>
        p.call("map", [p.bind("float32", [4])], [p.bind("float32", [4], "read")], [], [], tile),
      ),
    ).toBe("Program call 0 (map): writes tensor 1, a read-only binding");
    expect(
      message((p) =>
        p.call(
          "map",
          [p.bind("float32", [4])],
          [p.constant("float32", [4], floats(4, 1))],
          [],
          [],
          tile,
        ),
      ),
    ).toBe("Program call 0 (map): writes tensor 1, a constant");
    expect(
      message((p) => p.call("map", [p.bind("float32", [4])], [p.bind("int32", [4])], [], [], tile)),
    ).toBe("Program call 0 (map): tile result 0 has float lanes, its output does not");
    expect(
      message((p) => {
        const x = p.arena("float32", [16], 0);
        const y = p.arena("float32", [16], 0);
        p.call("softmax", [x], [y], [4, 4, 0]);
      }),
    ).toBe("Program call 0 (softmax): output 0 shares memory with input 0");
    expect(
      message((p) => {
        const x = p.arena("float32", [4], 0);
        const y = p.arena("float32", [4, 4], 0);
        p.call("map", [x], [y], [], [], {
          dims: [4, 4],
          strides: [[0, 1]],
          instructions: [],
          results: [0],
        });
      }),
    ).toBe("Program call 0 (map): output 0 shares memory with input 0");
    // Steps without a unit, and states without a step: nothing would bound what they take.
    for (const [batch, time, units] of [
      [1, 2 ** 28, 0],
      [2 ** 28, 1, 0],
      [2 ** 28, 0, 1],
    ] as const) {
      expect(
        message((p) => {
          const empty = p.arena("float32", [0]);
          const weights = p.arena("float32", [units * units]);
          p.call("recurrent", [empty, weights], [empty], [batch, time, units, ...recurrentFlags]);
        }),
      ).toBe("Program call 0 (recurrent): has more than 2^22 steps or states of no size");
      expect(
        message((p) => {
          const empty = p.arena("float32", [0]);
          const weights = p.arena("float32", [units * units]);
          p.call(
            "recurrentGradient",
            [weights, empty],
            [empty],
            [...[batch, time, units], ...recurrentFlags],
          );
        }),
      ).toBe("Program call 0 (recurrentGradient): has more than 2^22 steps or states of no size");
    }
    const p = new ProgramBuilder();
    p.arena("float32", [4], 0);
    const small = p.encode();
    small.words[5] = 0;
    expect(() => addon.load(small.words, small.floats, small.constants)).toThrow(
      "Program tensor 0 lies outside the arena (0 + 16 of 0 bytes)",
    );
  });
});

describe("arguments", () => {
  const p = new ProgramBuilder();
  p.call("map", [p.bind("float32", [4])], [p.bind("float32", [4])], [], [], {
    dims: [4],
    strides: [[1]],
    instructions: [],
    results: [0],
  });
  const handle = p.load();
  const good = (): Float32Array => new Float32Array(4);

  it("checks bindings", () => {
    const bad = (bindings: unknown, text: string) => {
      expect(() => addon.runSync(handle, bindings as Typed[])).toThrow(text);
      expect(() => addon.bind(handle, bindings as Typed[])).toThrow(text);
      expect(() => addon.run(handle, bindings as Typed[], () => {})).toThrow(text);
    };
    bad([good()], "bindings: expected an array of 2 typed arrays, got 1");
    bad(undefined, "bindings: expected an array of 2 typed arrays");
    bad([good(), new Float32Array(5)], "binding 1: expected 4 elements, got 5");
    bad([good(), new Float64Array(4)], "binding 1: expected a Float32Array of 4 elements");
    bad([good(), [1, 2, 3, 4]], "binding 1: expected a Float32Array of 4 elements");
    const detached = good();
    structuredClone(detached, { transfer: [detached.buffer as ArrayBuffer] });
    bad([good(), detached], "binding 1: expected 4 elements, got 0");
  });

  it("checks handles, names and numbers", () => {
    for (const wrong of [undefined, null, 1, "x", {}, [], new Map()]) {
      expect(() => addon.runSync(wrong as unknown as object, [good(), good()])).toThrow(
        /handle|object/i,
      );
      expect(() => addon.bind(wrong as unknown as object, [good(), good()])).toThrow(
        /handle|object/i,
      );
    }
    expect(() => addon.setIsa("mmx")).toThrow(
      `"mmx" is not available here; available: ${addon.info().isas.join(", ")}`,
    );
    for (const count of [0, -1, 1.5, Number.NaN, 1e9, "2"]) {
      expect(() => addon.setThreads(count as number)).toThrow("setThreads");
    }
    expect(() =>
      addon.load(
        new Float32Array(3) as unknown as Int32Array,
        new Float64Array(0),
        new Uint8Array(0),
      ),
    ).toThrow("load: expected");
    expect(() => addon.peak("mmx", 1, 1)).toThrow("not available");
    for (const [threads, milliseconds] of [
      [0, 1],
      [1, 0],
      [1, 1e9],
      [1025, 1],
      ["2", 1],
    ]) {
      const [count, time] = [threads as number, milliseconds as number];
      expect(() => addon.peak("baseline", count, time)).toThrow("peak: expected");
      expect(() => addon.bandwidth("read", count, time, false)).toThrow("bandwidth: expected");
    }
  });

  it("checks what a loop is given", () => {
    const loop = (
      advance: Float64Array,
      steps: number,
      watch: number[],
      progress: Int32Array | null,
      bindings = [good(), good()],
    ) => addon.loop(handle, bindings, advance, steps, progress, Int32Array.from(watch), () => {});
    const zeros = new Float64Array(2);
    expect(() => loop(new Float64Array(1), 1, [], null)).toThrow("advance");
    expect(() => loop(Float64Array.of(0, -1), 1, [], null)).toThrow("advance");
    expect(() => loop(Float64Array.of(0, 0.5), 1, [], null)).toThrow("advance");
    expect(() => loop(Float64Array.of(0, 1), 2, [], null)).toThrow(
      "binding 1: expected at least 5 elements, got 4",
    );
    expect(() => loop(zeros, -1, [], null)).toThrow("steps");
    expect(() => loop(zeros, 1, [2], null)).toThrow("watch");
    expect(() => loop(zeros, 1, [], new Int32Array(1))).toThrow("progress");
  });
});
