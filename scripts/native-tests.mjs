/**
 * Builds the native unit tests (native/test) with CMake and runs them with ctest:
 *
 *   npm run test:native                                    as the addon is built, -O3
 *   npm run test:native -- --sanitize address,undefined    or thread
 *   npm run test:native -- --arch aarch64                  cross-compiled, under qemu (NEON)
 *   npm run test:native -- --prebuilt                      with the kernels of the built addon itself
 *   npm run test:native -- --only gemm,tile                suites by name
 *   npm run test:native -- --exhaustive                    elementary functions of all 2³² floats (hours)
 *   npm run test:native -- --exhaustive --every 61         of every 61st float (minutes)
 *
 * Builds are kept in native/build. Needs cmake and GoogleTest, and says so.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build, demand, root, run } from "./cmake.mjs";

const { values } = parseArgs({
  options: {
    sanitize: { type: "string", default: "" },
    arch: { type: "string", default: "" },
    prebuilt: { type: "boolean", default: false },
    only: { type: "string", default: "" },
    exhaustive: { type: "boolean", default: false },
    every: { type: "string", default: "1" },
  },
});
if (!/^(|[a-z]+(,[a-z]+)*)$/.test(values.sanitize) || !["", "aarch64"].includes(values.arch)) {
  console.error("test:native: expected --sanitize NAME,NAME and --arch aarch64");
  process.exit(2);
}
if (!/^[1-9][0-9]*$/.test(values.every) || (values.every !== "1" && !values.exhaustive)) {
  console.error("test:native: expected --every with a whole number from 1 on, beside --exhaustive");
  process.exit(2);
}

demand("test:native", { cmake: "cmake", make: "make", ctest: "cmake" });
if (values.arch) {
  demand("test:native", {
    "aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu",
    "qemu-aarch64": "qemu-user",
  });
}
if (!existsSync("/usr/src/googletest") && !existsSync("/usr/include/gtest/gtest.h")) {
  console.error("test:native: GoogleTest not found; on Debian: apt install libgtest-dev");
  process.exit(2);
}

const variant = [
  "test",
  values.arch,
  values.sanitize.replace(",", "-"),
  values.prebuilt && "prebuilt",
];
const folder = `native/build/${variant.filter(Boolean).join("-")}`;
const variables = { LAYERWISE_TESTS: "ON", LAYERWISE_SANITIZE: values.sanitize };
if (values.prebuilt) variables.LAYERWISE_PREBUILT = join(root, "build/Release");
if (values.arch) variables.CMAKE_TOOLCHAIN_FILE = `cmake/${values.arch}.cmake`;
build(folder, variables, "layerwise-test");
if (values.exhaustive) {
  run(join(root, folder, "layerwise-test"), ["--gtest_brief=1", "--gtest_filter=*AccuracyTest.*"], {
    env: { ...process.env, LAYERWISE_EXHAUSTIVE: values.every },
  });
  process.exit(0);
}
const filter = values.only ? ["-R", `^(${values.only.replaceAll(",", "|")})$`] : [];
run("ctest", ["--test-dir", folder, "--output-on-failure", "--no-tests=error", ...filter]);
