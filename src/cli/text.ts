/** What the commands print beyond plain sentences: styles, tables of counts, pictures made of letters. */
import { allowsColour, isCI } from "../environment.js";

/** A stream that text goes to; a terminal says so. */
export interface OutputStream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  hasColors?(): boolean;
}

/** Functions that wrap text in terminal styles, or return it as it is. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  bad(text: string): string;
}

/** Styles for a stream: none where it is no terminal or `NO_COLOR` or `CI` is set. */
export function styleOf(
  out: OutputStream,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Style {
  const on = out.isTTY && allowsColour(env) && !isCI(env) && (out.hasColors?.() ?? true);
  const wrap =
    (open: number, close: number) =>
    (text: string): string =>
      on ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return { bold: wrap(1, 22), dim: wrap(2, 22), good: wrap(32, 39), bad: wrap(31, 39) };
}

/** A share as `98.3 %`; a dash for 0/0. What is not all is not `100.0 %`. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return "–";
  const text = (100 * share).toFixed(1);
  return share < 1 && text === "100.0" ? "> 99.9 %" : `${text} %`;
}

/** A network's probability; float32 may round it to 1, which no softmax gives. */
export function sureness(probability: number): string {
  return percent(Math.min(probability, 1 - Number.EPSILON));
}

/** An integer with groups of thousands, as a model's summary has: `12,000`. */
export function grouped(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** A confusion matrix as text: true classes down, predictions across, and each class' accuracy. */
export function confusionText(
  confusion: readonly ArrayLike<number>[],
  classNames: readonly string[],
  style: Style,
): string {
  const cells = confusion.map((row) => Array.from(row, (n) => (n === 0 ? "·" : String(n))));
  // Long names of columns are cut; the rows show them whole.
  const heads = classNames.map((name) => (name.length > 6 ? `${name.slice(0, 5)}…` : name));
  const width = Math.max(...heads.map((h) => h.length), ...cells.flat().map((c) => c.length)) + 1;
  const side = Math.max(4, ...classNames.map((name) => name.length));
  const lines = [
    style.dim(`${"true".padEnd(side)} ${heads.map((h) => h.padStart(width)).join("")}  accuracy`),
  ];
  cells.forEach((row, i) => {
    const total = Array.from(confusion[i]!).reduce((a, b) => a + b, 0);
    const counts = row.map((cell, j) => {
      const padded = cell.padStart(width);
      return i === j ? style.bold(padded) : cell === "·" ? style.dim(padded) : style.bad(padded);
    });
    const share = percent(confusion[i]![i]! / total);
    lines.push(`${classNames[i]!.padEnd(side)} ${counts.join("")}  ${share.padStart(8)}`);
  });
  return lines.join("\n");
}

/** Whether the terminal is likely to show Braille patterns; Windows' old console does not. */
export function showsBraille(
  env: Readonly<Record<string, string | undefined>> = process.env,
  platform: string = process.platform,
): boolean {
  if (platform === "win32") return Boolean(env.WT_SESSION || env.TERM_PROGRAM);
  const locale = env.LC_ALL || env.LC_CTYPE || env.LANG || "";
  // No locale at all, as in containers, says nothing; an explicit other encoding does.
  return locale === "" || /^(C|POSIX)$/.test(locale) || /utf-?8/i.test(locale);
}

/** Bits of a Braille cell's dots, `[row][column]` (Unicode 2800 ff.). */
const brailleDots = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
] as const;

/**
 * A grey picture (0 … 255, bright is ink) as lines of text, a letter for each 2×4 pixels: Braille dots
 * where ink is more than a third, else letters by darkness.
 */
export function pictureText(
  pixels: ArrayLike<number>,
  width: number,
  height: number,
  braille: boolean,
): string[] {
  const lines: string[] = [];
  const shades = " .:-=+*#%@";
  for (let top = 0; top < height; top += 4) {
    let line = "";
    for (let left = 0; left < width; left += 2) {
      let bits = 0;
      let sum = 0;
      for (let y = 0; y < 4; y++) {
        for (let x = 0; x < 2; x++) {
          if (top + y >= height || left + x >= width) continue;
          const value = pixels[(top + y) * width + left + x]!;
          sum += value;
          if (value > 85) bits |= brailleDots[y]![x]!;
        }
      }
      // The empty Braille cell is as wide as the others, a space need not be.
      line += braille
        ? String.fromCharCode(0x2800 + bits)
        : shades[Math.min(9, Math.floor((sum / 8 / 256) * 12))];
    }
    lines.push(line);
  }
  return lines;
}

/** Blocks of lines side by side, each padded to `width` letters, with a caption below each. */
export function sideBySide(
  blocks: readonly { readonly lines: readonly string[]; readonly captions: readonly string[] }[],
  width: number,
): string {
  const rows = Math.max(0, ...blocks.map(({ lines, captions }) => lines.length + captions.length));
  const all = blocks.map(({ lines, captions }) => [...lines, ...captions]);
  return Array.from({ length: rows }, (_, row) =>
    all
      .map((lines) => pad(lines[row] ?? "", width))
      .join("")
      .trimEnd(),
  ).join("\n");
}

/** Pads by what is visible: style codes take no room. */
function pad(text: string, width: number): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character starts a style code
  const visible = text.replace(/\u001b\[\d+m/g, "").length;
  return text + " ".repeat(Math.max(0, width - visible));
}
