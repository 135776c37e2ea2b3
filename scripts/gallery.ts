/**
 * Makes docs/gallery: a page for each example, of the header of its file, of what it prints and of the
 * figures that it draws; and the index.
 *
 *   npm run gallery                          every page
 *   npm run gallery -- 05                    one page, found by number or word
 *   npm run gallery -- 05 --quick --out DIR  at its small size, elsewhere
 *   npm run gallery -- 22 --data DIR         with files of one's own in place of those that it downloads
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

/** Runs an example, shows what it writes to stdout, and gives it. */
async function run(name: string, args: readonly string[]): Promise<string> {
  const script = join(root, "examples", `${name}.ts`);
  const child = spawn(process.execPath, ["--import", "tsx", script, ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  for await (const part of child.stdout.setEncoding("utf8")) {
    text += part;
    // A page may take half an hour: who made it sees how far it is.
    process.stdout.write(part);
  }
  const status = child.exitCode ?? (await new Promise((resolve) => child.once("exit", resolve)));
  if (status !== 0) throw new Error(`${name} ended with status ${status}`);
  return text;
}

/** A line of an epoch, as `fit` prints it and as examples do. */
const ofEpoch = /^(Epoch \d+\/\d+ - |.*\bepoch \d+: )/;

/** How many lines from the first on are worth folding: many epochs, or the layers of a large model. */
function foldable(lines: readonly string[]): { count: number; what: string } {
  const epochs = [...lines, ""].findIndex((line) => !ofEpoch.test(line));
  if (epochs > 8) return { count: epochs, what: "epochs" };
  const layers = lines.findIndex((line) => line.startsWith("Total params"));
  const isLarge = lines[0]!.startsWith('Model: "') && layers > 20;
  return { count: isLarge ? layers : 0, what: "lines of the model's summary" };
}

/**
 * Text as blocks. Long runs of epochs and the layers of large models are folded, tables and what is said
 * at the end never. How long epochs took is left out.
 */
function block(text: string): string {
  const body = text
    .replaceAll(/^(Epoch \d+\/\d+ - \d+\/\d+) - \S+ - \S+\/step/gm, "$1")
    .replace(/^\n+|\s+$/g, "");
  if (body === "") return "";
  const lines = body.split("\n");
  const parts: string[] = [];
  let plain: string[] = [];
  const fenced = (these: readonly string[]) => `\`\`\`text\n${these.join("\n")}\n\`\`\`\n`;
  const endPlain = () => {
    const trimmed = plain.join("\n").replace(/^\n+|\s+$/g, "");
    if (trimmed !== "") parts.push(fenced([trimmed]));
    plain = [];
  };
  for (let i = 0; i < lines.length; ) {
    const { count, what } = foldable(lines.slice(i));
    const run = lines.slice(i, i + Math.max(1, count));
    i += run.length;
    if (count === 0) {
      plain.push(...run);
      continue;
    }
    endPlain();
    const summary = `<summary>${run.length} ${what}</summary>`;
    parts.push(`<details>\n${summary}\n\n${fenced(run)}\n</details>\n`);
  }
  endPlain();
  return parts.join("\n");
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

/** How pages are made. */
interface Making {
  readonly quick: boolean;
  /** Where the files are that would be downloaded. */
  readonly data: string | undefined;
  readonly out: string;
}

async function makePage({ name, title, args = [] }: Page, { quick, data, out }: Making) {
  const size = quick ? ["--quick"] : args;
  const from = (directory: string) =>
    size.map((arg) => (data !== undefined && arg === "download" ? directory : arg));
  const output = await run(name, [...from(resolve(data ?? "")), "--out", out]);
  // Where the files are is nobody else's concern.
  const command = ["npm run example --", name, ...from("DIR")].join(" ");
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
    data: { type: "string" },
    out: { type: "string", default: join(root, "docs", "gallery") },
  },
});
const out = resolve(values.out);
mkdirSync(out, { recursive: true });
if (!values.index) {
  for (const page of positionals.length > 0 ? positionals.map(findPage) : allPages) {
    console.log(page.title);
    await makePage(page, { quick: values.quick, data: values.data, out });
  }
}
if (values.index || positionals.length === 0) writeFileSync(join(out, "README.md"), index(out));
