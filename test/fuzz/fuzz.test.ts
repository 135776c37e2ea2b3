/**
 * The parsers under the fuzzer for a moment, and proof that the fuzzer finds what it should: mistakes
 * planted behind conditions that random bytes would not meet. Long runs: `npm run fuzz`.
 */
import { describe, expect, it } from "vitest";
import { Finding, fuzz, type Target } from "./engine.js";
import { Instrumenter, traceName } from "./instrument.js";
import { openTarget, targetNames } from "./targets.js";
import { Trace } from "./trace.js";

describe.each(targetNames)("%s", (name) => {
  it("decodes or refuses whatever it is given", async () => {
    const { target, trace, instrumented, close } = await openTarget(name);
    try {
      const { features } = await fuzz(target, {
        trace,
        literals: instrumented.literals,
        seed: 1,
        longest: 1024,
        done: ({ executions }) => executions >= 6000,
      });
      // Far more than the seeds alone show.
      expect(features).toBeGreaterThan(200);
    } finally {
      close();
    }
  });
});

describe("the fuzzer", () => {
  /** Runs on a parser given as source; gives the finding. */
  async function search(source: string): Promise<Finding | undefined> {
    const instrumenter = new Instrumenter();
    const code = instrumenter.compile(source, "planted.ts");
    const url = `data:text/javascript,${encodeURIComponent(code)}`;
    const trace = new Trace();
    Object.defineProperty(globalThis, traceName, { value: trace, configurable: true });
    // The module is the source below, which exports this.
    const { parse } = (await import(url)) as { parse(bytes: Uint8Array): void };
    const target: Target = { seeds: [new Uint8Array(12)], execute: parse };
    const { literals } = instrumenter;
    try {
      await fuzz(target, {
        trace,
        literals: [...literals],
        seed: 1,
        longest: 64,
        done: ({ executions }) => executions >= 300_000,
      });
    } catch (error) {
      if (error instanceof Finding) return error;
      throw error;
    }
    return undefined;
  }

  it("gets through nested conditions, sums and magic numbers", async () => {
    const finding = await search(`
      export function parse(bytes) {
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
        if (bytes.length < 12 || view.getUint32(0) !== 0x4c57f00d) return;
        if (view.getUint16(4, true) !== bytes.length) return;
        const word = String.fromCharCode(...bytes.subarray(6, 11));
        if (word === "layer" && (bytes[11] ?? 0) > 200) throw new TypeError("planted");
      }`);
    expect(finding?.message).toContain("planted");
  });

  it("notices hangs", async () => {
    const finding = await search(`
      export function parse(bytes) {
        for (let i = 0; i !== bytes[0] * 2; i += 3);
      }`);
    expect(finding?.message).toContain("a hang");
  });

  it("notices allocations out of proportion", async () => {
    const finding = await search(`
      export function parse(bytes) {
        return new Uint8Array(bytes[0] * 65536);
      }`);
    expect(finding?.message).toMatch(/allocated \d+ bytes/);
  });
});
