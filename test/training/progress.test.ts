/** What training prints: a bar on a terminal, lines elsewhere. */
import { describe, expect, test } from "vitest";
import { checkVerbosity, duration, Progress, type Verbosity } from "../../src/training/progress.js";

interface Setting {
  readonly terminal?: boolean;
  readonly environment?: Record<string, string>;
  readonly verbose?: Verbosity;
}

function printed({ terminal = false, environment = {}, verbose = "auto" }: Setting): string {
  let text = "";
  const stream = { isTTY: terminal, columns: 200, write: (part: string) => (text += part) };
  const progress = new Progress(verbose, stream, environment);
  progress.begin("Epoch 1/2", 10);
  if (progress.live) progress.update(5, { loss: 0.5 });
  progress.end({ loss: 0.25, val_loss: 0.0001 });
  // Times vary.
  return text.replace(/\d+(us|ms|s)|\d+:\d+/g, "T");
}

describe("progress", () => {
  test("is one line per epoch where there is no terminal", () => {
    const line = "Epoch 1/2 - 10/10 - T - T/step - loss: 0.2500 - val_loss: 1.0000e-4\n";
    expect(printed({})).toBe(line);
    expect(printed({ verbose: 1 })).toBe(line);
    expect(printed({ terminal: true, verbose: 2 })).toBe(line);
    expect(printed({ terminal: true, environment: { CI: "true" } })).toBe(line);
  });

  test("is a bar on a terminal, in colour unless NO_COLOR says otherwise", () => {
    expect(printed({ terminal: true, environment: { NO_COLOR: "1" } })).toBe(
      "Epoch 1/2\n" +
        "\r\u001b[K 5/10 ==========.......... T left T/step - loss: 0.5000" +
        "\r\u001b[K10/10 ==================== T T/step - loss: 0.2500 - val_loss: 1.0000e-4\n",
    );
    const colours = "\u001b[32m━━━━━━━━━━\u001b[0m";
    expect(printed({ terminal: true })).toContain(colours);
    // As no-color.org has it: whatever the value, unless it is empty.
    expect(printed({ terminal: true, environment: { NO_COLOR: "" } })).toContain(colours);
    for (const value of ["0", "false", "no"]) {
      expect(printed({ terminal: true, environment: { NO_COLOR: value } })).not.toContain(colours);
    }
    expect(printed({ terminal: true, environment: { CI: "0" } })).toContain("\r");
  });

  test("is nothing with verbose 0", () => {
    expect(printed({ verbose: 0, terminal: true })).toBe("");
  });

  test("never wraps a narrow terminal", () => {
    let longest = 0;
    const write = (part: string): void => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is removed
      const bare = part.replaceAll(/\u001b\[[0-9;]*[mK]|[\r\n]/g, "");
      longest = Math.max(longest, bare.length);
    };
    const progress = new Progress(1, { isTTY: true, columns: 40, write }, {});
    progress.begin("", 1000);
    progress.update(7, { loss: 1, accuracy: 0.5, another: 3 });
    expect(longest).toBeLessThanOrEqual(40);
  });

  test("verbose is checked", () => {
    expect([true, false, 0, 2].map((v) => checkVerbosity("fit()", v))).toEqual([1, 0, 0, 2]);
    expect(() => checkVerbosity("fit()", "yes")).toThrow(/`verbose` to be 0, 1, 2 or "auto"/);
  });

  test("durations read well", () => {
    expect([0.00004, 0.0123, 3.2, 75, 3725, Number.NaN].map(duration)).toEqual([
      "40us",
      "12ms",
      "3s",
      "1:15",
      "1:02:05",
      "?",
    ]);
  });
});
