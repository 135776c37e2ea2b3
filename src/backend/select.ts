/** Which executor runs: the environment's choice, else native where it loads, else TypeScript. */
import { environment } from "../environment.js";
import { ArgumentError, BackendError, checkInteger, expected, show } from "../errors.js";
import type { Backend, BackendInfo, BackendName } from "./backend.js";
import { type AddonSearch, findAddon, NativeBackend } from "./native.js";
import { TypeScriptBackend } from "./typescript.js";

let selected: Backend | undefined;
let search: AddonSearch | undefined;
let native: NativeBackend | undefined;
let typescript: TypeScriptBackend | undefined;

/** The executor in use; chosen at first need. */
export function backend(): Backend {
  selected ??= choose();
  return selected;
}

/** What runs here and why; chooses the executor if that has not happened yet. */
export function backendInfo(): BackendInfo {
  return { ...backend().info(), attempts: addonSearch().attempts };
}

/**
 * What would run here if the environment asked for nothing but an addon: for a report on a setting that
 * makes every program fail.
 */
export function unaskedBackendInfo(): BackendInfo {
  const { addon, attempts } = findAddon(process.env.LAYERWISE_ADDON?.trim());
  const found = addon ? new NativeBackend(addon) : new TypeScriptBackend();
  return { ...found.info(), attempts };
}

/** Changes the executor for everything that runs from now on. */
export function setBackend(name: BackendName): void {
  if (name !== "native" && name !== "typescript") {
    throw new ArgumentError(expected("setBackend()", '"native" or "typescript"', show(name)));
  }
  selected = name === "native" ? requireNative() : typescriptBackend();
}

/** Threads that a native run may use, at most; the TypeScript executor always uses one. */
export function setThreads(count: number): void {
  checkInteger("setThreads()", "count", count, 1, 1024);
  const current = backend();
  if (current instanceof NativeBackend) current.addon.setThreads(count);
}

function choose(): Backend {
  const wanted = environment().backend;
  if (wanted === "typescript") return typescriptBackend();
  if (wanted === "native") return requireNative();
  const found = nativeBackend();
  if (found) return found;
  process.emitWarning(
    `the native addon is not available (${failures()}); running on the slower TypeScript backend. ` +
      (environment().addon === undefined
        ? "`npx layerwise build` compiles it here; `npx layerwise doctor` says what was tried."
        : "Without LAYERWISE_ADDON, the usual places are searched."),
    { type: "LayerwiseWarning", code: "LAYERWISE_NO_ADDON" },
  );
  return typescriptBackend();
}

function addonSearch(): AddonSearch {
  search ??= findAddon(environment().addon);
  return search;
}

function failures(): string {
  const { attempts } = addonSearch();
  const { addon } = environment();
  if (addon !== undefined) {
    return `LAYERWISE_ADDON names ${addon}: ${attempts.map(({ result }) => result).join("; ")}`;
  }
  const tried = attempts.filter((a) => a.result !== "not there");
  return tried.length > 0
    ? tried.map((a) => `${a.path}: ${a.result}`).join("; ")
    : "no binary was found";
}

function nativeBackend(): NativeBackend | undefined {
  const { addon } = addonSearch();
  if (addon) native ??= new NativeBackend(addon, environment());
  return native;
}

function requireNative(): NativeBackend {
  const found = nativeBackend();
  if (!found) {
    const list = addonSearch()
      .attempts.map((a) => `\n  ${a.path}: ${a.result}`)
      .join("");
    throw new BackendError(
      `the native backend was asked for, but its addon does not load:${list}\n` +
        "Build it with `npx layerwise build` (`npm run build:native` in a checkout), or leave " +
        "LAYERWISE_BACKEND unset.",
    );
  }
  return found;
}

function typescriptBackend(): TypeScriptBackend {
  typescript ??= new TypeScriptBackend();
  return typescript;
}
