import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Two cores are what CI has; each file is a process of its own because the native pool is per process.
    pool: "forks",
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
