/**
 * Makes docs/gallery: a page for each example, of the header of its file, of what it prints and of the
 * figures that it draws; and the index.
 *
 *   npm run gallery                          every page
 *   npm run gallery -- 05                    one page, found by number or word
 *   npm run gallery -- 05 --quick --out DIR  at its small size, elsewhere
 *   npm run gallery -- --index               the index alone
 *
 * Nothing else writes to docs/gallery: whoever wants another page changes the example.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { backendInfo } from "layerwise";
import { allPages, findPage, type Page, pages, prose } from "../examples/pages.js";

const root = fileURLToPath(new URL("../", import.meta.url));

/** Runs an example and gives what it wrote to stdout. */
async function run(name: string, args: readonly string[]): Promise<string> {
  const script = join(root, "examples", `${name}.ts`);
  const child = spawn(process.execPath, ["--import", "tsx", script, ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  for await (const part of child.stdout.setEncoding("utf8")) text += part;
  const status = child.exitCode ?? (await new Promise((resolve) => child.once("exit", resolve)));
  if (status !== 0) throw new Error(`${name} ended with status ${status}`);
  return text;
}

/** Text as a block; of one that is longer than a screen, the last lines stay in sight. How long epochs took is left out. */
function block(text: string): string {
  const body = text
    .replaceAll(/^(Epoch \d+\/\d+ - \d+\/\d+) - \S+ - \S+\/step/gm, "$1")
    .replace(/^\n+|\s+$/g, "");
  if (body === "") return "";
  const fenced = (lines: readonly string[]) => `\`\`\`text\n${lines.join("\n")}\n\`\`\`\n`;
  const lines = body.split("\n");
  if (lines.length <= 30) return fenced(lines);
  const [before, last] = [lines.slice(0, -10), lines.slice(-10)];
  const summary = `<summary>${before.length} lines of output before these</summary>`;
  return `<details>\n${summary}\n\n${fenced(before)}\n</details>\n\n${fenced(last)}`;
}

/** What an example printed, with its figures in their places. */
function results(output: string, out: string): string {
  const parts = output.split(/^Figure: (.*\.svg)\n/m);
  return parts
    .map((part, i) => {
      if (i % 2 === 0) return block(part);
      const file = basename(part);
      const title = /<svg [^>]*aria-label="([^"]*)"/.exec(readFileSync(join(out, file), "utf8"));
      return `![${title?.[1] ?? "Figure"}](${file})\n`;
    })
    .filter((part) => part !== "")
    .join("\n");
}

async function makePage({ name, title, args = [] }: Page, quick: boolean, out: string) {
  const size = quick ? ["--quick"] : args;
  const output = await run(name, [...size, "--out", out]);
  const command = ["npm run example --", name, ...size].join(" ");
  const { backend, isa } = backendInfo();
  const text = [
    `# ${title}`,
    prose(name),
    results(output, out).trimEnd(),
    "---",
    `[examples/${name}.ts](../../examples/${name}.ts) · made by \`${command}\`, backend ` +
      `${[backend, isa].filter(Boolean).join(" ")} · \`npm run gallery -- ${name}\` makes this page ` +
      "anew · [all pages](README.md)",
  ];
  writeFileSync(join(out, `${name}.md`), `${text.join("\n\n")}\n`);
}

/** Figures of a page that was made. */
function figures(name: string, out: string): string[] {
  const page = readFileSync(join(out, `${name}.md`), "utf8");
  return Array.from(page.matchAll(/^!\[.*\]\((.*\.svg)\)$/gm), (match) => match[1]!);
}

/** The index: a picture and a title for each page. */
function index(out: string): string {
  const parts = [
    "# Gallery",
    "Every page here is an example, what it printed and what it drew: " +
      "`npm run example -- NAME` runs one, `npm run gallery -- NAME` makes its page anew.",
  ];
  for (const [group, members] of Object.entries(pages)) {
    parts.push(`## ${group}`, "<table>");
    for (let i = 0; i < members.length; i += 3) {
      const cells = members.slice(i, i + 3).map(({ name, title }) => {
        const figure = figures(name, out)[0];
        const image = figure ? `<img src="${figure}" alt="" width="240"><br>` : "";
        return `<td align="center" width="260"><a href="${name}.md">${image}${title}</a></td>`;
      });
      parts.push(`<tr>\n${cells.join("\n")}\n</tr>`);
    }
    parts.push("</table>");
  }
  return `${parts.join("\n\n").replaceAll(">\n\n<t", ">\n<t").replaceAll(">\n\n</t", ">\n</t")}\n`;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    index: { type: "boolean", default: false },
    out: { type: "string", default: join(root, "docs", "gallery") },
  },
});
const out = resolve(values.out);
mkdirSync(out, { recursive: true });
if (!values.index) {
  for (const page of positionals.length > 0 ? positionals.map(findPage) : allPages) {
    console.log(page.title);
    await makePage(page, values.quick, out);
  }
}
if (values.index || positionals.length === 0) writeFileSync(join(out, "README.md"), index(out));
