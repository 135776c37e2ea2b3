/** Checks of what charts are given: a picture of something else than what was meant says nothing. */
import {
  ArgumentError,
  checkChoice,
  checkInteger,
  checkKeys,
  checkPositive,
  expected,
  show,
} from "../errors.js";

/** Keys of {@link ChartOptions} and of what axes have. */
const size = ["width", "height"] as const;
const axes = ["xLabel", "yLabel", "xScale", "yScale", "xRange", "yRange"] as const;
const texts = ["title", "xLabel", "yLabel", "rowLabel", "columnLabel"] as const;

/** Checks the keys of a chart's options (its `own` beside the title), and those that many charts have. */
export function checkChart(
  where: string,
  options: object,
  {
    own,
    sized = true,
    framed = true,
  }: { own: readonly string[]; sized?: boolean; framed?: boolean },
): void {
  checkKeys(where, options, ["title", ...own, ...(sized ? size : []), ...(framed ? axes : [])]);
  const given = options as Record<string, unknown>;
  for (const key of texts) if (given[key] !== undefined) checkText(where, `\`${key}\``, given[key]);
  for (const key of size) if (given[key] !== undefined) checkPositive(where, key, given[key]);
  for (const key of ["xScale", "yScale"]) {
    if (given[key] !== undefined) checkChoice(where, key, given[key], ["linear", "log"]);
  }
  for (const key of ["xRange", "yRange"]) {
    if (given[key] !== undefined) checkRange(where, key, given[key]);
  }
}

function checkText(where: string, name: string, value: unknown): void {
  if (typeof value !== "string") {
    throw new ArgumentError(expected(where, `${name} to be a text`, show(value)));
  }
}

function checkRange(where: string, key: string, value: unknown): void {
  const sound =
    Array.isArray(value) &&
    value.length === 2 &&
    value.every(Number.isFinite) &&
    value[0] < value[1];
  if (!sound) {
    throw new ArgumentError(
      expected(where, `\`${key}\` to be [low, high], low < high`, show(value)),
    );
  }
}

/** Checks that `value` is an array, whose members `member` checks. */
export function checkList(
  where: string,
  name: string,
  value: unknown,
  member?: (where: string, value: unknown) => void,
): asserts value is readonly unknown[] {
  if (!Array.isArray(value)) {
    throw new ArgumentError(expected(where, `\`${name}\` to be an array`, show(value)));
  }
  for (const [i, one] of value.entries()) member?.(`${where}: ${name}[${i}]`, one);
}

/** Checks that `value` is an array of texts. */
export function checkTexts(where: string, name: string, value: unknown): void {
  checkList(where, name, value, (at, one) => checkText(at, "a name", one));
}

/** Checks what is drawn with a label: an object with these keys. */
export function checkLabelled(where: string, value: unknown, keys: readonly string[]): void {
  checkKeys(where, value as object, ["label", ...keys]);
  const { label, color } = value as Record<string, unknown>;
  checkText(where, "`label`", label);
  if (color !== undefined) checkInteger(where, "color", color, 0);
}

/** Checks that `value` holds numbers: a typed or plain array, `length` long where that is given. */
export function checkNumbers(
  where: string,
  name: string,
  value: unknown,
  length?: number,
): asserts value is ArrayLike<number> {
  const typed = ArrayBuffer.isView(value) && "length" in value;
  if (!typed && !(Array.isArray(value) && value.every((one) => typeof one === "number"))) {
    const tensor = typeof value === "object" && value !== null && "dataSync" in value;
    throw new ArgumentError(
      expected(
        where,
        `\`${name}\` to be an array of numbers`,
        show(value),
        tensor ? "its numbers are `await tensor.data()`" : undefined,
      ),
    );
  }
  const { length: found } = value as ArrayLike<number>;
  if (length !== undefined && found !== length) {
    throw new ArgumentError(
      expected(where, `\`${name}\` to have ${length} numbers`, String(found)),
    );
  }
}
