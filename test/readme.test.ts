/** README says what is there: its tables against what is exported. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import * as lw from "../src/index.js";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const row = (title: string): string =>
  new RegExp(`^\\| \\*\\*${title}\\*\\* \\|(.*)\\|$`, "m").exec(readme)![1]!;

test("README counts the learning-rate schedules", () => {
  const words = ["four", "five", "six", "seven", "eight", "nine"];
  const { schedules } = lw.optimizers;
  expect(row("optimizers")).toContain(`; ${words[Object.keys(schedules).length - 4]} schedules`);
});

test("README lists every layer", () => {
  const makers = Object.keys(lw.layers).filter((name) => /^[a-z]/.test(name));
  // `spatialDropout1d/2d/3d` stands for three.
  const text = row("layers").replaceAll(
    /`(\w+)1d\/2d(\/3d)?`/g,
    (_, name, third) => `\`${name}1d\` \`${name}2d\` ${third ? `\`${name}3d\`` : ""}`,
  );
  const listed = [...text.matchAll(/`([a-z]\w*)`/g)].map(([, name]) => name);
  expect(listed.sort()).toEqual(makers.sort());
});
