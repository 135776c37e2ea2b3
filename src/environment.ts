/**
 * The environment variables layerwise reads, each read and checked once: LAYERWISE_BACKEND,
 * LAYERWISE_ISA, LAYERWISE_THREADS, LAYERWISE_ADDON, LAYERWISE_WINOGRAD. Which instruction sets exist here, only the addon knows.
 * And what those that all programs share, NO_COLOR and CI, say.
 */
import { ArgumentError, expected, show } from "./errors.js";

type Variables = Readonly<Record<string, string | undefined>>;

/** What the environment asks for; a key is absent where nothing was asked. */
export interface Environment {
  /** `LAYERWISE_BACKEND`: the only executor to use. */
  readonly backend?: "native" | "typescript";
  /** `LAYERWISE_ISA`: instruction set of the native kernels, such as `avx2`. */
  readonly isa?: string;
  /** `LAYERWISE_THREADS`: threads a run may use. */
  readonly threads?: number;
  /** `LAYERWISE_ADDON`: path of the addon, instead of the usual places. */
  readonly addon?: string;
  /** `LAYERWISE_WINOGRAD`: `0` keeps convolutions from Winograd's algorithm. */
  readonly winograd?: boolean;
}

/** Every instruction set that any platform's addon has, best first. */
export const knownIsas = ["avx512", "avx2", "baseline", "neon"] as const;

const maxThreads = 1024;

let cached: Environment | undefined;

/**
 * Reads and checks the variables; an empty one counts as not set.
 *
 * @throws {ArgumentError} naming the variable, its value and what is allowed.
 */
export function parseEnvironment(variables: Variables): Environment {
  const backend = oneOf(variables, "LAYERWISE_BACKEND", ["native", "typescript"] as const);
  const isa = oneOf(variables, "LAYERWISE_ISA", knownIsas);
  const winograd = oneOf(variables, "LAYERWISE_WINOGRAD", ["0", "1"] as const);
  const addon = variables.LAYERWISE_ADDON?.trim();
  const text = variables.LAYERWISE_THREADS?.trim();
  let threads: number | undefined;
  if (text) {
    threads = /^\d{1,5}$/.test(text) ? Number(text) : 0;
    if (threads < 1 || threads > maxThreads) {
      throw new ArgumentError(
        expected("LAYERWISE_THREADS", `an integer from 1 to ${maxThreads}`, show(text)),
      );
    }
  }
  return {
    ...(backend !== undefined && { backend }),
    ...(isa !== undefined && { isa }),
    ...(threads !== undefined && { threads }),
    ...(addon && { addon }),
    ...(winograd !== undefined && { winograd: winograd === "1" }),
  };
}

/** What this process's environment asks for, read at the first call. */
export function environment(): Environment {
  cached ??= parseEnvironment(process.env);
  return cached;
}

/** Whether a terminal may be written to in colours; any text in `NO_COLOR` forbids it, "0" too (no-color.org). */
export function allowsColour(variables: Variables): boolean {
  return !variables.NO_COLOR && variables.TERM !== "dumb";
}

/** Whether `CI` says that nobody is watching. */
export function isCI({ CI }: Variables): boolean {
  return Boolean(CI) && CI !== "0" && CI !== "false";
}

function oneOf<T extends string>(
  variables: Variables,
  name: string,
  choices: readonly T[],
): T | undefined {
  const value = variables[name]?.trim();
  if (!value) return undefined;
  const found = choices.find((choice) => choice === value.toLowerCase());
  if (found === undefined) {
    const list = choices.map((choice) => JSON.stringify(choice)).join(", ");
    throw new ArgumentError(expected(name, `one of ${list}`, show(value)));
  }
  return found;
}
