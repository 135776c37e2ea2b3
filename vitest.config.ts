import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Two cores are what CI has; each file is a process of its own because the native pool is per process.
    pool: "forks",
    // None: how long a test takes says more about the machine than about the code.
    testTimeout: 0,
    hookTimeout: 0,
  },
});
