import { describe, expect, it } from "vitest";
import {
  countCores,
  type DoctorInfo,
  doctorAdvice,
  doctorText,
  gatherDoctorInfo,
} from "../../src/cli/doctor.js";

const native: DoctorInfo = {
  version: "0.1.0",
  node: { version: "22.1.0", napi: "9" },
  system: {
    platform: "linux",
    arch: "x64",
    os: "Linux 6.1",
    libc: { family: "glibc", version: "2.36" },
    memoryBytes: 8 * 2 ** 30,
  },
  cpu: { logical: 8, physical: 4 },
  backend: {
    backend: "native",
    isa: "avx512",
    isas: ["avx512", "avx2", "baseline"],
    isaReason: "the widest this CPU has",
    threads: 2,
    cpu: "Some CPU",
    affinity: 4,
    quota: 2,
    attempts: [{ path: "build/Release/layerwise.node", result: "loaded" }],
  },
  environment: {},
};

const typescript: DoctorInfo = {
  ...native,
  backend: {
    backend: "typescript",
    threads: 1,
    cpu: "Some CPU",
    attempts: [
      { path: "prebuilds/linux-x64/layerwise.node", result: "no such file" },
      { path: "build/Release/layerwise.node", result: "wrong ELF class\nsecond line" },
    ],
  },
};

describe("doctor", () => {
  it("says what runs and why", () => {
    expect(doctorText(native)).toMatchInlineSnapshot(`
      "layerwise    0.1.0
      Node.js      22.1.0, Node-API 9
      system       Linux 6.1, linux-x64
      libc         glibc 2.36
      memory       8.0 GiB
      CPU          Some CPU; 8 logical CPUs, 4 physical cores
      backend      native (the addon loaded)
      ISA          avx512 (the widest this CPU has)
      ISAs here    avx512, avx2, baseline
      threads      2 (affinity allows 4 CPUs; cgroup quota 2 CPUs)
      environment  no LAYERWISE_ variable

      The native addon was looked for in
        build/Release/layerwise.node
            loaded

      Nothing to do.
      "
    `);
  });

  it("says what failed and what to do when the addon did not load", () => {
    expect(doctorText(typescript)).toMatchInlineSnapshot(`
      "layerwise    0.1.0
      Node.js      22.1.0, Node-API 9
      system       Linux 6.1, linux-x64
      libc         glibc 2.36
      memory       8.0 GiB
      CPU          Some CPU; 8 logical CPUs, 4 physical cores
      backend      typescript (no native addon loaded)
      threads      1 (the TypeScript backend uses one; CPU affinity unknown; no cgroup quota)
      environment  no LAYERWISE_ variable

      The native addon was looked for in
        prebuilds/linux-x64/layerwise.node
            no such file
        build/Release/layerwise.node
            wrong ELF class
            second line

      What to do
        - The TypeScript backend gives the same results, many times slower. The attempts above say why the addon did not load.
        - In a checkout: install a C++ compiler, make and Python 3 (on Debian and Ubuntu: \`apt-get install build-essential python3\`), then run \`npm run build:native\`, which prints what fails.
        - From the published package: \`npx layerwise build\` compiles the addon for this machine (linux-x64, glibc); it needs CMake and a C++ compiler. A package that was copied from another platform must be installed again.
      "
    `);
  });

  it("gives the advice that fits", () => {
    const advice = (change: Partial<DoctorInfo>) =>
      doctorAdvice({ ...native, ...change }).join("\n");
    expect(advice({})).toBe("");
    expect(advice({ node: { version: "20.18.3", napi: "9" } })).toMatch(/older than 20\.19/);
    expect(advice({ node: { version: "20.19.0", napi: "9" } })).toBe("");
    const environment = { LAYERWISE_BACKEND: "typescript", LAYERWISE_THREADS: "8" };
    expect(advice({ backend: typescript.backend, environment })).toMatch(
      /^Unset LAYERWISE_BACKEND/,
    );
    expect(
      advice({
        backend: { ...native.backend, isa: "baseline" },
        environment: { LAYERWISE_ISA: "baseline" },
      }),
    ).toMatch(/Unset LAYERWISE_ISA to use avx512/);
    expect(advice({ backend: { ...native.backend, threads: 8 } })).toMatch(
      /8 threads share 2 CPUs/,
    );
    expect(advice({ backend: { ...native.backend, threads: 1, quota: 0.5 } })).toBe("");
    const musl = { ...native.system, libc: { family: "musl" } as const };
    expect(advice({ system: musl, backend: typescript.backend })).toMatch(/apk add/);
  });

  it("says which setting makes every program fail, and what would run without it", () => {
    const problem = 'LAYERWISE_ISA: expected an instruction set that runs here (avx2), got "neon"';
    const environment = { LAYERWISE_ISA: "neon", LAYERWISE_THREADS: "2" };
    const text = doctorText({ ...native, problem, environment });
    expect(text.split("\n").slice(6, 12)).toEqual([
      `error        ${problem}`,
      "backend      native (without that error)",
      "ISA          avx512 (the widest this CPU has)",
      "ISAs here    avx512, avx2, baseline",
      "threads      2 (affinity allows 4 CPUs; cgroup quota 2 CPUs)",
      "environment  LAYERWISE_ISA=neon LAYERWISE_THREADS=2",
    ]);
    expect(doctorAdvice({ ...native, problem, environment })).toEqual([
      "Every program fails with that error: correct or unset the variable it names.",
    ]);
  });

  it("advises on an addon of one's own that does not load", () => {
    const environment = { LAYERWISE_ADDON: "own.node" };
    expect(doctorAdvice({ ...typescript, environment }).join()).toMatch(/^Unset LAYERWISE_ADDON/);
  });

  it("explains the thread count", () => {
    const threads = (info: DoctorInfo) => /^threads\s+(.*)$/m.exec(doctorText(info))![1];
    expect(threads({ ...native, environment: { LAYERWISE_THREADS: "2" } })).toBe(
      "2 (LAYERWISE_THREADS=2; affinity allows 4 CPUs; cgroup quota 2 CPUs)",
    );
    const { affinity: _, quota: __, ...unknown } = native.backend;
    expect(threads({ ...native, backend: unknown })).toBe(
      "2 (CPU affinity unknown; no cgroup quota)",
    );
  });

  it("gathers what this machine tells", () => {
    const info = gatherDoctorInfo("0.1.0", native.backend);
    expect(info.node.version).toBe(process.versions.node);
    expect(info.cpu.logical).toBeGreaterThan(0);
    expect(doctorText(info)).toContain(`${process.platform}-${process.arch}`);
    if (process.platform === "linux") expect(info.system.libc).toBeDefined();
  });

  it("counts physical cores over packages and hyper-threads", () => {
    const cpu = (physical: number, core: number) =>
      `processor : 0\nphysical id\t: ${physical}\ncore id\t\t: ${core}\n`;
    const text = [cpu(0, 0), cpu(0, 1), cpu(0, 0), cpu(1, 0), cpu(1, 1)].join("\n");
    expect(countCores(text)).toBe(4);
    expect(countCores("processor : 0\nBogoMIPS : 50\n")).toBeUndefined();
  });
});
