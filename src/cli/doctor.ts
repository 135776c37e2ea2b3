/**
 * What `layerwise doctor` prints: what this machine and process offer, what layerwise made of it
 * and why, and what to do about it. The text is a pure function of plain data.
 */
import { readFileSync } from "node:fs";
import { cpus, release, totalmem, type } from "node:os";
import type { BackendInfo } from "../backend/backend.js";

/** The variables that steer layerwise, as they were set. */
export interface DoctorEnvironment {
  readonly LAYERWISE_BACKEND?: string | undefined;
  readonly LAYERWISE_ISA?: string | undefined;
  readonly LAYERWISE_THREADS?: string | undefined;
  readonly LAYERWISE_ADDON?: string | undefined;
  readonly LAYERWISE_WINOGRAD?: string | undefined;
  readonly LAYERWISE_CACHE?: string | undefined;
}

/** What the text is made from. */
export interface DoctorInfo {
  /** layerwise's own version. */
  readonly version: string;
  readonly node: { readonly version: string; readonly napi: string };
  readonly system: {
    /** As Node names them: `linux`, `x64`. */
    readonly platform: string;
    readonly arch: string;
    /** Name and release of the kernel. */
    readonly os: string;
    /** Linux only. */
    readonly libc?: { readonly family: "glibc" | "musl" | "unknown"; readonly version?: string };
    readonly memoryBytes: number;
  };
  readonly cpu: {
    /** Logical CPUs of the machine. */
    readonly logical: number;
    /** Physical cores, where the system tells. */
    readonly physical?: number;
  };
  readonly backend: BackendInfo;
  readonly environment: DoctorEnvironment;
  /** Why every program fails here; `backend` then is what would run without the setting at fault. */
  readonly problem?: string;
}

/** Collects what {@link doctorText} needs beside the backend's own account. */
export function gatherDoctorInfo(
  version: string,
  backend: BackendInfo,
  problem?: string,
): DoctorInfo {
  const libc = detectLibc();
  const physical = physicalCores();
  const {
    LAYERWISE_BACKEND,
    LAYERWISE_ISA,
    LAYERWISE_THREADS,
    LAYERWISE_ADDON,
    LAYERWISE_CACHE,
    LAYERWISE_WINOGRAD,
  } = process.env;
  return {
    version,
    node: { version: process.versions.node, napi: process.versions.napi ?? "none" },
    system: {
      platform: process.platform,
      arch: process.arch,
      os: `${type()} ${release()}`,
      ...(libc && { libc }),
      memoryBytes: totalmem(),
    },
    cpu: { logical: cpus().length, ...(physical !== undefined && { physical }) },
    backend,
    environment: {
      LAYERWISE_BACKEND,
      LAYERWISE_ISA,
      LAYERWISE_THREADS,
      LAYERWISE_ADDON,
      LAYERWISE_WINOGRAD,
      LAYERWISE_CACHE,
    },
    ...(problem !== undefined && { problem }),
  };
}

/** The text of `layerwise doctor`, without colours; ends in a line break. */
export function doctorText(info: DoctorInfo): string {
  const { backend, cpu, environment, node, system } = info;
  const rows: [string, string][] = [
    ["layerwise", info.version],
    ["Node.js", `${node.version}, Node-API ${node.napi}`],
    ["system", `${system.os}, ${system.platform}-${system.arch}`],
  ];
  if (system.libc) {
    const { family, version = "" } = system.libc;
    rows.push(["libc", `${family} ${version}`.trim()]);
  }
  rows.push(["memory", `${(system.memoryBytes / 2 ** 30).toFixed(1)} GiB`]);
  const cores = cpu.physical === undefined ? "" : `, ${count(cpu.physical, "physical core")}`;
  rows.push(["CPU", `${backend.cpu || "unknown"}; ${count(cpu.logical, "logical CPU")}${cores}`]);
  if (info.problem !== undefined) rows.push(["error", firstLine(info.problem)]);
  rows.push(["backend", `${backend.backend} (${backendReason(info)})`]);
  if (backend.isa !== undefined) {
    rows.push(["ISA", backend.isa + (backend.isaReason ? ` (${backend.isaReason})` : "")]);
  }
  if (backend.isas) rows.push(["ISAs here", backend.isas.join(", ")]);
  rows.push(["threads", `${backend.threads} (${threadReason(info)})`]);
  const set = Object.entries(environment).filter(([, value]) => value !== undefined);
  rows.push([
    "environment",
    set.map(([k, v]) => `${k}=${v}`).join(" ") || "no LAYERWISE_ variable",
  ]);

  const width = Math.max(...rows.map(([label]) => label.length)) + 2;
  const lines = rows.map(([label, value]) => label.padEnd(width) + value);
  const attempts = backend.attempts ?? [];
  if (attempts.length > 0) {
    lines.push("", "The native addon was looked for in");
    for (const { path, result } of attempts) {
      lines.push(`  ${path}`, ...result.split("\n").map((part) => `      ${part}`));
    }
  }
  const advice = doctorAdvice(info);
  lines.push("", advice.length === 0 ? "Nothing to do." : "What to do");
  for (const item of advice) lines.push(`  - ${item}`);
  return `${lines.join("\n")}\n`;
}

/** What could be better here, one sentence or two for each point; empty when nothing. */
export function doctorAdvice(info: DoctorInfo): string[] {
  const { backend, environment, node, system } = info;
  const advice: string[] = [];
  if (info.problem !== undefined) {
    advice.push("Every program fails with that error: correct or unset the variable it names.");
  }
  const [major = 0, minor = 0] = node.version.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    advice.push(`Node.js ${node.version} is older than 20.19, the oldest that layerwise supports.`);
  }
  if (backend.backend === "typescript") {
    if (isForced(environment.LAYERWISE_BACKEND, "typescript")) {
      advice.push("Unset LAYERWISE_BACKEND to use the native backend, which is many times faster.");
    } else if (environment.LAYERWISE_ADDON) {
      advice.push(
        "Unset LAYERWISE_ADDON, whose file does not load, to have the usual places tried.",
      );
    } else {
      advice.push(...nativeAdvice(system));
    }
  }
  const best = backend.isas?.[0];
  if (!info.problem && environment.LAYERWISE_ISA && best !== undefined && backend.isa !== best) {
    advice.push(`Unset LAYERWISE_ISA to use ${best}, the widest this CPU has.`);
  }
  const allowed = allowedCpus(info);
  if (backend.threads > allowed) {
    advice.push(
      `${backend.threads} threads share ${count(allowed, "CPU")}, which is slower than ` +
        `${count(allowed, "thread")}: lower LAYERWISE_THREADS or setThreads().`,
    );
  }
  return advice;
}

function nativeAdvice({ platform, arch, libc }: DoctorInfo["system"]): string[] {
  const tools =
    platform === "darwin"
      ? "`xcode-select --install`"
      : platform === "win32"
        ? "the Visual Studio build tools with the C++ workload, and Python 3"
        : libc?.family === "musl"
          ? "`apk add build-base python3`"
          : "a C++ compiler, make and Python 3 (on Debian and Ubuntu: " +
            "`apt-get install build-essential python3`)";
  return [
    "The TypeScript backend gives the same results, many times slower. The attempts above say why " +
      "the addon did not load.",
    `In a checkout: install ${tools}, then run \`npm run build:native\`, which prints what fails.`,
    "From the published package: `npx layerwise build` compiles the addon for this machine " +
      `(${platform}-${arch}${libc ? `, ${libc.family}` : ""}); it needs CMake and a C++ compiler. ` +
      "A package that was copied from another platform must be installed again.",
  ];
}

const firstLine = (text: string): string => text.split("\n", 1)[0]!;

function backendReason({ backend, environment, problem }: DoctorInfo): string {
  if (problem !== undefined) return "without that error";
  if (isForced(environment.LAYERWISE_BACKEND, backend.backend)) {
    return `LAYERWISE_BACKEND=${environment.LAYERWISE_BACKEND}`;
  }
  return backend.backend === "native" ? "the addon loaded" : "no native addon loaded";
}

function isForced(setting: string | undefined, name: string): boolean {
  return setting?.trim().toLowerCase() === name;
}

/** CPUs this process may use at once: affinity, bounded by the cgroup quota, at least one. */
function allowedCpus({ backend, cpu }: DoctorInfo): number {
  const affinity = backend.affinity ?? cpu.logical;
  return Math.max(1, Math.min(affinity, Math.ceil(backend.quota ?? Infinity)));
}

function threadReason(info: DoctorInfo): string {
  const { backend, environment } = info;
  const facts = [
    backend.affinity === undefined
      ? "CPU affinity unknown"
      : `affinity allows ${count(backend.affinity, "CPU")}`,
    backend.quota === undefined ? "no cgroup quota" : `cgroup quota ${backend.quota} CPUs`,
  ];
  if (environment.LAYERWISE_THREADS && !info.problem) {
    facts.unshift(`LAYERWISE_THREADS=${environment.LAYERWISE_THREADS}`);
  } else if (backend.backend === "typescript") {
    facts.unshift("the TypeScript backend uses one");
  }
  return facts.join("; ");
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

/** glibc names itself in Node's own report; musl is known by its loader's name there. */
function detectLibc(): DoctorInfo["system"]["libc"] {
  if (process.platform !== "linux") return undefined;
  // Without this the report would look up the host names of open connections.
  if (process.report) Object.assign(process.report, { excludeNetwork: true });
  const report: unknown = process.report?.getReport();
  if (typeof report === "object" && report !== null) {
    const { header, sharedObjects } = report as { header?: unknown; sharedObjects?: unknown };
    const version =
      typeof header === "object" && header !== null && "glibcVersionRuntime" in header
        ? header.glibcVersionRuntime
        : undefined;
    if (typeof version === "string") return { family: "glibc", version };
    const objects = Array.isArray(sharedObjects) ? sharedObjects : [];
    const isMusl = (path: unknown) => typeof path === "string" && /ld-musl|libc\.musl/.test(path);
    if (objects.some(isMusl)) return { family: "musl" };
  }
  return { family: "unknown" };
}

/** Distinct (package, core) pairs of /proc/cpuinfo; undefined where it has none. */
function physicalCores(): number | undefined {
  try {
    return countCores(readFileSync("/proc/cpuinfo", "utf8"));
  } catch {
    return undefined;
  }
}

/** @internal The number of physical cores in the text of /proc/cpuinfo. */
export function countCores(text: string): number | undefined {
  const cores = new Set<string>();
  for (const block of text.split(/\n\s*\n/)) {
    const core = /^core id\s*:\s*(\d+)/m.exec(block)?.[1];
    if (core === undefined) continue;
    cores.add(`${/^physical id\s*:\s*(\d+)/m.exec(block)?.[1] ?? 0}/${core}`);
  }
  return cores.size > 0 ? cores.size : undefined;
}
