/**
 * The dynamic scopes in which tensors are recorded: a *trace* (a function being compiled) and a
 * *gradient* (whose graph must be kept for the reverse walk). Synchronous and properly nested: an
 * async function can't be traced, and the callers check that it isn't.
 */
import type { Tensor } from "./tensor.js";
import type { Variable } from "./variable.js";

/** What a trace does with variables: reads become arguments, assignments become results. */
export interface TraceScope {
  read(variable: Variable): Tensor;
  assign(variable: Variable, value: Tensor): void;
}

let trace: TraceScope | undefined;
let gradientDepth = 0;

/** The trace that is being recorded, if any. */
export function currentTrace(): TraceScope | undefined {
  return trace;
}

/** Runs `body` with variables going through `scope`. */
export function withTrace<T>(scope: TraceScope, body: () => T): T {
  const outer = trace;
  trace = scope;
  try {
    return body();
  } finally {
    trace = outer;
  }
}

/** Runs `body` with evaluated tensors keeping their op, so that a gradient can walk back. */
export function withGraphKept<T>(body: () => T): T {
  gradientDepth++;
  try {
    return body();
  } finally {
    gradientDepth--;
  }
}

/** True when evaluation must not drop a tensor's op. */
export function keepsGraph(): boolean {
  return gradientDepth > 0 || trace !== undefined;
}

let variableLog: Set<Variable> | undefined;

/** Runs `body` and enters every variable that it reads into `log`. */
export function withVariableLog<T>(log: Set<Variable>, body: () => T): T {
  const outer = variableLog;
  variableLog = log;
  try {
    return body();
  } finally {
    variableLog = outer;
  }
}

/** Notes that a variable was read, where somebody wants to know. */
export function noteRead(variable: Variable): void {
  variableLog?.add(variable);
}
