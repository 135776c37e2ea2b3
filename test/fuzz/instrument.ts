/**
 * Compiles the modules behind an entry with coverage: every branch reports itself, every comparison its
 * two sides, every constructor what it allocated (to a Trace, see trace.ts). This is what makes the
 * fuzzer coverage-guided; it knows nothing of formats.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import ts from "typescript";

/** The name under which instrumented code finds its Trace. */
export const traceName = "__layerwiseTrace";

export const comparisons = ["===", "!==", "<", "<=", ">", ">="] as const;
export type Comparison = (typeof comparisons)[number];
const comparisonNames: ReadonlySet<string> = new Set(comparisons);
const shortCircuits: ReadonlySet<ts.SyntaxKind> = new Set([
  ts.SyntaxKind.AmpersandAmpersandToken,
  ts.SyntaxKind.BarBarToken,
  ts.SyntaxKind.QuestionQuestionToken,
]);

/** Numbers the points of all modules and collects their literals, which make a dictionary. */
export class Instrumenter {
  /** Where each branch stands. */
  readonly branches = new Map<number, string>();
  #points = 0;
  readonly literals = new Set<string | number>();

  /** JavaScript for one TypeScript module. */
  compile(source: string, name: string): string {
    const result = ts.transpileModule(source, {
      compilerOptions: {
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.ESNext,
        verbatimModuleSyntax: true,
      },
      fileName: name,
      transformers: { before: [(context) => (file) => this.#file(file, context)] },
    });
    return result.outputText;
  }

  #file(file: ts.SourceFile, context: ts.TransformationContext): ts.SourceFile {
    const { factory } = context;
    const visit = (node: ts.Node): ts.Node => {
      if (ts.isImportDeclaration(node) || ts.isTypeNode(node)) return node;
      const { line } = file.getLineAndCharacterOfPosition(Math.max(0, node.pos));
      const place = `${file.fileName}:${line + 1}`;
      return this.#node(ts.visitEachChild(node, visit, context), factory, place);
    };
    return ts.visitEachChild(file, visit, context);
  }

  #node(node: ts.Node, factory: ts.NodeFactory, place: string): ts.Node {
    const call = (method: string, ...args: ts.Expression[]): ts.Expression =>
      factory.createCallExpression(
        factory.createElementAccessExpression(
          factory.createIdentifier(traceName),
          factory.createStringLiteral(method),
        ),
        undefined,
        args,
      );
    const point = () => factory.createNumericLiteral(this.#points++);
    const branch = () => {
      this.branches.set(this.#points, place);
      return call("at", point());
    };
    const mark = () => factory.createExpressionStatement(branch());
    const marked = (x: ts.Expression): ts.Expression =>
      factory.createParenthesizedExpression(factory.createComma(branch(), x));
    const block = (x: ts.Statement | undefined): ts.Block =>
      factory.createBlock(x ? [mark(), x] : [mark()], true);

    if (ts.isStringLiteral(node)) this.literals.add(node.text);
    if (ts.isNumericLiteral(node)) this.literals.add(Number(node.text));
    if (ts.isIfStatement(node)) {
      const { expression, thenStatement, elseStatement } = node;
      return factory.createIfStatement(expression, block(thenStatement), block(elseStatement));
    }
    if (ts.isForStatement(node)) {
      const { initializer, condition, incrementor, statement } = node;
      return factory.createForStatement(initializer, condition, incrementor, block(statement));
    }
    if (ts.isForOfStatement(node)) {
      const { awaitModifier, initializer, expression, statement } = node;
      return factory.createForOfStatement(awaitModifier, initializer, expression, block(statement));
    }
    if (ts.isWhileStatement(node)) {
      return factory.createWhileStatement(node.expression, block(node.statement));
    }
    if (ts.isDoStatement(node)) {
      return factory.createDoStatement(block(node.statement), node.expression);
    }
    if (ts.isCaseClause(node)) {
      return factory.createCaseClause(node.expression, [mark(), ...node.statements]);
    }
    if (ts.isDefaultClause(node)) {
      return factory.createDefaultClause([mark(), ...node.statements]);
    }
    if (ts.isCatchClause(node)) {
      return factory.createCatchClause(node.variableDeclaration, block(node.block));
    }
    if (ts.isConditionalExpression(node)) {
      const { condition, questionToken, whenTrue, colonToken, whenFalse } = node;
      return factory.createConditionalExpression(
        condition,
        questionToken,
        marked(whenTrue),
        colonToken,
        marked(whenFalse),
      );
    }
    if (ts.isBinaryExpression(node)) {
      const { left, operatorToken, right } = node;
      if (shortCircuits.has(operatorToken.kind)) {
        return factory.createBinaryExpression(left, operatorToken, marked(right));
      }
      const name = ts.tokenToString(operatorToken.kind) ?? "";
      return comparisonNames.has(name) ? call(name, point(), left, right) : node;
    }
    if (ts.isNewExpression(node)) return call("made", node);
    if (ts.isArrowFunction(node) && !ts.isBlock(node.body)) {
      const { modifiers, typeParameters, parameters, type, equalsGreaterThanToken, body } = node;
      return factory.createArrowFunction(
        modifiers,
        typeParameters,
        parameters,
        type,
        equalsGreaterThanToken,
        marked(body),
      );
    }
    return node;
  }
}

/** Instrumented modules on disk. */
export interface Instrumented {
  /** Where each branch stands, by the number it reports. */
  readonly branches: ReadonlyMap<number, string>;
  readonly literals: readonly (string | number)[];
  /** Imports one of the modules, given as it was to `instrumentModules`. */
  load(file: string): Promise<unknown>;
  dispose(): void;
}

/** Instruments `entry` and everything it imports by a relative path below `root`. */
export function instrumentModules(root: string, entry: string): Instrumented {
  const instrumenter = new Instrumenter();
  const folder = mkdtempSync(join(tmpdir(), "layerwise-fuzz-"));
  const target = (file: string) => join(folder, relative(root, file).replace(/\.ts$/, ".js"));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  const waiting = [entry];
  const known = new Set(waiting);
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    const source = readFileSync(file, "utf8");
    mkdirSync(dirname(target(file)), { recursive: true });
    writeFileSync(target(file), instrumenter.compile(source, relative(root, file)));
    for (const { fileName } of ts.preProcessFile(source).importedFiles) {
      if (!fileName.startsWith(".")) continue;
      const imported = join(dirname(file), fileName.replace(/\.js$/, ".ts"));
      if (!known.has(imported)) waiting.push(imported);
      known.add(imported);
    }
  }
  return {
    branches: instrumenter.branches,
    literals: [...instrumenter.literals],
    load: (file) => import(pathToFileURL(target(file)).href),
    dispose: () => rmSync(folder, { recursive: true, force: true }),
  };
}
