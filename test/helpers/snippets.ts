/**
 * Programs out of Markdown: the ```ts blocks of a page, one after the other, are one program; a block that
 * begins with an import begins a new one. What comments say of a line is checked when it runs:
 *
 *   x.sum().item();             // 6            a value, as JSON
 *   x.matMul(y);                // ShapeError: matMul: inner dimensions …    an error and how it begins
 *
 * A block whose first line is `// Not run: <reason>` is left out; one whose first line is the path of a file,
 * `// src/ops/composed.ts`, is an excerpt of it.
 */
import ts from "typescript";
import { expect } from "vitest";
import * as lw from "../../src/index.js";

/** A program of a page. */
export interface Snippet {
  /** Line of the page at which its first block begins. */
  readonly line: number;
  readonly source: string;
}

/** A block that is not run, and why. */
export interface Omitted {
  readonly line: number;
  readonly reason: string;
}

/** A block that is part of a file. */
export interface Excerpt {
  readonly path: string;
  readonly text: string;
}

/** What a page has in blocks of code. */
export interface Snippets {
  readonly programs: readonly Snippet[];
  readonly omitted: readonly Omitted[];
  readonly excerpts: readonly Excerpt[];
}

/** The programs of a page, its excerpts, and what is left out. */
export function snippetsOf(markdown: string): Snippets {
  const programs: Snippet[] = [];
  const omitted: Omitted[] = [];
  const excerpts: Excerpt[] = [];
  for (const match of markdown.matchAll(/^```(?:ts|cpp)\n(.*?)^```$/gms)) {
    const block = match[1]!;
    const excerpt = /^\/\/ ((?:src|native)\/\S+)\n(.*)$/s.exec(block);
    if (excerpt) {
      excerpts.push({ path: excerpt[1]!, text: excerpt[2]! });
      continue;
    }
    const line = markdown.slice(0, match.index).split("\n").length + 1;
    const reason = /^\/\/ Not run: (.+)/.exec(block)?.[1];
    const last = programs.at(-1);
    if (reason) omitted.push({ line, reason });
    else if (!last || block.startsWith("import ")) programs.push({ line, source: block });
    else programs[programs.length - 1] = { ...last, source: `${last.source}\n${block}` };
  }
  return { programs, omitted, excerpts };
}

/** What comments after a statement say of it, as a call that checks it. */
function checked(statement: string, comment: string): string {
  const error = /^(\w*Error): (.+)/s.exec(comment);
  if (error) {
    return `await __throws(async () => { ${statement} }, ${JSON.stringify(error.slice(1))});`;
  }
  try {
    JSON.parse(comment);
  } catch {
    return statement;
  }
  const expression = statement.trim().replace(/;$/, "");
  return `await __is(${expression}, ${comment}, ${JSON.stringify(expression)});`;
}

/** A snippet as the body of an async function of `lw`, `__import`, `__is` and `__throws`. */
function bodyOf(source: string): string {
  const file = ts.createSourceFile("snippet.ts", source, ts.ScriptTarget.ES2022, true);
  let text = "";
  for (const statement of file.statements) {
    const code = statement.getFullText();
    if (ts.isImportDeclaration(statement)) {
      const from = (statement.moduleSpecifier as ts.StringLiteral).text;
      const names = statement.importClause?.namedBindings?.getText();
      if (from === "layerwise" || statement.importClause?.isTypeOnly) continue;
      text += `const ${names?.replaceAll(" as ", ": ")} = await __import(${JSON.stringify(from)});\n`;
    } else if (ts.isExpressionStatement(statement)) {
      const after = source.slice(statement.end);
      const comment = /^[ \t]*\n?((?:[ \t]*\/\/[^\n]*\n?)+)/.exec(after)?.[1] ?? "";
      const words = comment
        .replaceAll(/^[ \t]*\/\/ ?/gm, "")
        .trim()
        .replaceAll("\n", " ");
      // What stood before the statement is not part of what it says.
      const before = code.slice(0, code.length - statement.getText().length);
      text += before + checked(statement.getText(), words);
    } else {
      text += code;
    }
  }
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  return outputText.replaceAll(/^export .*$/gm, "");
}

/** Tensors and typed arrays as nested arrays of numbers. */
function plain(value: unknown): unknown {
  if (value instanceof lw.Tensor) return value.arraySync();
  if (ArrayBuffer.isView(value)) return Array.from(value as Float32Array);
  return value;
}

/** Numbers may differ in what a page does not show of them. */
function rounded(value: unknown): unknown {
  if (typeof value === "number") return Number(value.toPrecision(4));
  if (Array.isArray(value)) return value.map(rounded);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, rounded(item)]));
}

/** Runs a program, checking what its comments say. */
export async function runSnippet({ source }: Snippet): Promise<void> {
  const AsyncFunction = (async () => {}).constructor as new (
    ...names: string[]
  ) => (...values: unknown[]) => Promise<void>;
  const run = new AsyncFunction("lw", "__import", "__is", "__throws", bodyOf(source));
  const load = (name: string) => import(/* @vite-ignore */ name);
  const is = async (value: unknown, wanted: unknown, code: string) => {
    expect(rounded(plain(await value)), code).toEqual(rounded(wanted));
  };
  const throws = async (body: () => Promise<void>, [name, message]: [string, string]) => {
    const error = await body().then(
      () => undefined,
      (reason: unknown) => reason as Error,
    );
    const said = `${error?.name}: ${error?.message}`;
    // A page may end a long message with an ellipsis.
    expect(said.slice(0, `${name}: ${message}`.length - 1)).toBe(
      `${name}: ${message}`.slice(0, -1),
    );
    if (!message.endsWith("…")) expect(said).toBe(`${name}: ${message}`);
  };
  await run(lw, load, is, throws);
}

/** Errors of types in programs, as an editor would show them. */
export function typeErrors(programs: ReadonlyMap<string, Snippet>, root: string): string[] {
  const config = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile).config as object;
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const settings = {
    ...options,
    noEmit: true,
    noUnusedLocals: false,
    noUnusedParameters: false,
    typeRoots: [`${root}node_modules/@types`],
  };
  const host = ts.createCompilerHost(settings);
  const files = new Map(
    // A module has top-level await; one without imports must say that it is one.
    Array.from(programs, ([name, { source }]) => [
      `${root}test/snippet-${name}.ts`,
      source.startsWith("import ") ? source : `import * as lw from "layerwise";\n${source}`,
    ]),
  );
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (path) => files.has(path) || fileExists(path);
  host.readFile = (path) => files.get(path) ?? readFile(path);
  host.getSourceFile = (path, languageVersion, ...rest) => {
    const text = files.get(path);
    return text === undefined
      ? getSourceFile(path, languageVersion, ...rest)
      : ts.createSourceFile(path, text, languageVersion, true);
  };
  const program = ts.createProgram([...files.keys()], settings, host);
  return [...files.keys()].flatMap((path) => {
    const file = program.getSourceFile(path)!;
    return [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)].map(
      ({ start, messageText }) => {
        const { line } = file.getLineAndCharacterOfPosition(start ?? 0);
        const text = file.text.split("\n")[line]?.trim();
        return `${path.slice(root.length)}: ${ts.flattenDiagnosticMessageText(messageText, " ")}: ${text}`;
      },
    );
  });
}
