/** The environment variables layerwise reads, each checked where it is read. */
import { ArgumentError, expected, show } from "./errors.js";

const variables = {
  backend: "LAYERWISE_BACKEND",
  isa: "LAYERWISE_ISA",
  threads: "LAYERWISE_THREADS",
  addon: "LAYERWISE_ADDON",
} as const;

export interface Environment {
  /** `LAYERWISE_BACKEND`: which executor; the other is not tried. */
  readonly backend?: "native" | "typescript";
  /** `LAYERWISE_ISA`: instruction set of the native kernels. */
  readonly isa?: string;
  /** `LAYERWISE_THREADS`: threads a run may use. */
  readonly threads?: number;
  /** `LAYERWISE_ADDON`: path of the addon, tried before the usual places. */
  readonly addon?: string;
}

/** Reads and checks all of them; an empty value counts as unset. */
export function readEnvironment(
  env: Readonly<Record<string, string | undefined>> = process.env,
): Environment {
  const backend = env[variables.backend];
  const threads = env[variables.threads];
  if (backend && backend !== "native" && backend !== "typescript") {
    throw new ArgumentError(expected(variables.backend, '"native" or "typescript"', show(backend)));
  }
  const count = Number(threads);
  if (threads && (!Number.isInteger(count) || count < 1 || count > 1024)) {
    throw new ArgumentError(
      expected(variables.threads, "an integer from 1 to 1024", show(threads)),
    );
  }
  return {
    ...(backend ? { backend: backend as "native" | "typescript" } : {}),
    ...(env[variables.isa] ? { isa: env[variables.isa]! } : {}),
    ...(threads ? { threads: count } : {}),
    ...(env[variables.addon] ? { addon: env[variables.addon]! } : {}),
  };
}
