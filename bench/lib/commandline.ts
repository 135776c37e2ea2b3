/** The command line of `npm run bench`: its options, and what is said of others. */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";

export const usage = `npm run bench -- [words…] [options]

Times the cases whose names contain all of the words; all cases without any.

  --peers              other libraries in the same run, in turns with ours; npm run bench:peers installs them
  --against NAME,…     as --peers, but only those whose names contain a word, or the one whose name it is
  --threads N,…        threads of a run                                [1, and as many as there are CPUs]
  --seconds N          how long a round of a case takes at least                      [0.25, quick 0.05]
  --repeats N          rounds                                                               [5, quick 3]
  --quick              short rounds and few
  --json FILE          keeps everything that was measured
  --list               names the cases
  --help               this text

How to read the tables: docs/performance.md.`;

/** What was asked for. */
export interface BenchOptions {
  /** In lower case. */
  readonly words: readonly string[];
  readonly peers: boolean;
  readonly against: string | undefined;
  readonly threads: readonly number[];
  readonly repeats: number;
  readonly seconds: number;
  readonly json: string | undefined;
  readonly list: boolean;
}

/** A mistake in the command line; the message is for whoever typed it. */
export class CommandLineError extends Error {}

/** What the arguments say; null where they ask for help. */
export function readCommandLine(args: readonly string[]): BenchOptions | null {
  const { values, positionals } = parse(args);
  if (values.help) return null;
  const seconds = values.seconds ?? (values.quick ? "0.05" : "0.25");
  const repeats = values.repeats ?? (values.quick ? "3" : "5");
  const threads = values.threads ?? [...new Set([1, availableParallelism()])].join();
  return {
    words: positionals.map((word) => word.toLowerCase()),
    peers: values.peers,
    against: values.against,
    threads: threads.split(",").map((text) => whole("threads", text)),
    repeats: whole("repeats", repeats),
    seconds: positive("seconds", seconds),
    json: values.json,
    list: values.list,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h", default: false },
        peers: { type: "boolean", default: false },
        against: { type: "string" },
        threads: { type: "string" },
        quick: { type: "boolean", default: false },
        repeats: { type: "string" },
        seconds: { type: "string" },
        json: { type: "string" },
        list: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (!code.startsWith("ERR_PARSE_ARGS_")) throw error;
    // Node's advice on how to write positional arguments that begin with dashes is of no use here.
    throw new CommandLineError((error as Error).message.split(". To specify")[0]);
  }
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!(value > 0 && value < Infinity)) {
    throw new CommandLineError(`--${option} takes positive numbers, got ${JSON.stringify(text)}`);
  }
  return value;
}

function whole(option: string, text: string): number {
  const value = positive(option, text);
  if (!Number.isInteger(value)) {
    throw new CommandLineError(`--${option} takes whole numbers, got ${JSON.stringify(text)}`);
  }
  return value;
}
