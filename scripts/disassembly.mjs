/**
 * Reads the machine code of the micro-kernels of matrix products and convolutions: `npm run disassembly [-- FILE…]`, by
 * default of the built addon. The innermost loop of every one must not touch the stack (a spilled
 * accumulator costs more than anything else a compiler can do to it), and in each instruction set's
 * main tile at least `leastShare` of the loop's instructions must be FMAs. Needs objdump, or for another
 * architecture's code the one that OBJDUMP names.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { demand, root } from "./cmake.mjs";

/**
 * How micro-kernels are recognised: their demangled names, which are
 * `layerwise::<isa>::gemmTile<rows, vectors, …, tail>`, or `offsetTile`, `streamTile`; a tail is a last vector that is
 * not full.
 * `zeroTile` has a row or two and so many panels (where it multiplies), `sumPixels` and `addTile` an image in each lane, `multiplyHeld` a filter
 * in registers, `marchSquares` and `addSquares` channels by themselves, `dotsTile` has sums in every lane.
 */
const microKernel =
  /layerwise::(?<isa>\w+)::(?:\(anonymous namespace\)::)?(?:zeroTile<\d+, (?:true|false), false>|multiplyHeld<true>|(?:sumPixels|addTile)<\d+, \d+>|(?:march|add)Squares<\d+>|(?:gemm|offset|stream)Tile<(?<rows>\d+), (?<vectors>\d+)(?:, \w+)*?(?:, (?<tail>true|false))?>|streamOffsetTile<\d+, (?:true|false)>|dotsTile<\d+, \d+, (?:true|false)>)/;
/** Rows and vectors of the tile that large products run in, and, for full vectors, its share of FMAs. */
const mainTiles = {
  avx2: { rows: 6, vectors: 2 },
  avx512: { rows: 14, vectors: 2 },
  neon: { rows: 8, vectors: 2 },
};
const leastShare = 0.45;
/** Strips that are read in place through a table of offsets cost a load and some additions per step. */
const leastShareByOffsets = 0.42;
const objdump = process.env.OBJDUMP ?? "objdump";

/** Multiply-adds; baseline x86-64 has none and multiplies and adds apart. */
const fma = /^(vfn?madd\w*ps|fmla|mulps)\b/;
const stackPointer = /%rsp\b|\[sp\b/;
const framePointer = /%rbp\b|\[x29\b/;
/** Where a function makes rbp or x29 a frame pointer; else they are registers like any other. */
const frameSetup = /^(?:mov\s+%rsp,%rbp|mov\s+x29, sp|stp\s+x29, .*\[sp)/;
/** Micro-kernels that are known to spill, until their tiles are chosen anew. */
const known =
  /baseline::gemmTile<1, 8, |avx512::gemmTile<(?:3, 8|9, 2|1[0-4], [12]), false, |neon::gemmTile<(?:3, 8|4, 6), /;
const jump =
  /^(?:j\w+|b\.\w+|cbn?z|tbn?z)\s+(?:\w+,\s*(?:#\w+,\s*)?)?(?:0x)?(?<target>[0-9a-f]+)\b/;

/** Functions of an object file or library whose name matches: name → [{ address, text }]. */
function disassemble(file) {
  const result = spawnSync(objdump, ["-d", "-C", "--no-show-raw-insn", file], {
    encoding: "utf8",
    maxBuffer: 1 << 30,
  });
  if (result.status !== 0) throw new Error(`${objdump} ${file}: ${result.stderr}`);
  const functions = [];
  let current;
  for (const line of result.stdout.split("\n")) {
    const title = /^[0-9a-f]+ <(.*)>:$/.exec(line);
    if (title) {
      const found = microKernel.exec(title[1]);
      current = found ? { name: title[1], ...found.groups, code: [] } : undefined;
      if (current) functions.push(current);
      continue;
    }
    const code = /^\s*([0-9a-f]+):\s+(.*)$/.exec(line);
    if (code && current) {
      current.code.push({ address: Number.parseInt(code[1], 16), text: code[2].trim() });
    }
  }
  return functions;
}

/**
 * The hottest loop: it has FMAs, no loop with FMAs inside, and the most of them. A loop reaches from the target of a
 * backward jump to the jump.
 */
export function hotLoop(code) {
  const loops = [];
  for (const [end, { address, text }] of code.entries()) {
    const target = Number.parseInt(jump.exec(text)?.groups.target ?? "", 16);
    if (!(target <= address)) continue;
    const start = code.findIndex((instruction) => instruction.address === target);
    if (start < 0) continue;
    const loop = code.slice(start, end + 1);
    const fmas = loop.filter((instruction) => fma.test(instruction.text)).length;
    if (fmas > 0) loops.push({ start, end, loop, fmas });
  }
  const innermost = loops.filter(
    (outer) =>
      !loops.some((loop) => loop !== outer && loop.start >= outer.start && loop.end <= outer.end),
  );
  return innermost.sort((a, b) => b.fmas - a.fmas)[0];
}

/** What is wrong with a list of functions, and a line per main tile. */
export function judge(functions) {
  const problems = [];
  const report = [];
  for (const { name, isa, rows, vectors, tail, code } of functions) {
    const hot = hotLoop(code);
    if (!hot) {
      problems.push(`${name}: has no loop with FMAs`);
      continue;
    }
    const framed = code.some(({ text }) => frameSetup.test(text));
    const spills = hot.loop.filter(
      ({ text }) => stackPointer.test(text) || (framed && framePointer.test(text)),
    );
    if (spills.length > 0) {
      const message = `${name}: ${spills.length} stack accesses in its loop, first ${spills[0].text}`;
      if (known.test(name)) report.push(`known: ${message}`);
      else problems.push(message);
    }
    const main = mainTiles[isa];
    if (Number(rows) !== main?.rows || Number(vectors) !== main.vectors || tail === "true")
      continue;
    const share = hot.fmas / hot.loop.length;
    report.push(`${name}: ${hot.fmas} FMAs of ${hot.loop.length} (${share.toFixed(2)})`);
    const least = name.includes("offsetTile<") ? leastShareByOffsets : leastShare;
    if (share < least) problems.push(`${name}: share of FMAs ${share.toFixed(2)} < ${least}`);
  }
  return { problems, report };
}

function main(files) {
  demand("disassembly", { [objdump]: "binutils" });
  const functions = files.flatMap(disassemble);
  const isas = [...new Set(functions.map(({ isa }) => isa))];
  if (functions.length === 0) {
    console.error(`disassembly: no micro-kernel in ${files.join(", ")}: stripped, or renamed?`);
    process.exit(1);
  }
  const { problems, report } = judge(functions);
  for (const line of report) console.log(line);
  for (const isa of isas) {
    if (isa in mainTiles && !report.some((line) => line.includes(`::${isa}::`))) {
      problems.push(`${isa}: its main tile was not found`);
    }
  }
  for (const problem of problems) console.error(problem);
  console.log(
    `${functions.length} micro-kernels of ${isas.join(", ")}: ${problems.length} problems`,
  );
  if (problems.length > 0) process.exit(1);
}

if (process.argv[1] === join(root, "scripts/disassembly.mjs")) {
  const files = process.argv.slice(2);
  if (files.length === 0) {
    const addon = join(root, "build/Release/layerwise.node");
    if (!existsSync(addon)) {
      console.error("disassembly: the addon is not built; npm run build:native");
      process.exit(2);
    }
    files.push(addon);
  }
  main(files);
}
