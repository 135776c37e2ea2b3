#!/usr/bin/env node
/** The `layerwise` command: runs the command line it was given. What there is to run is in commands.ts. */
import { runCommand } from "./commands.js";

// `layerwise doctor | head` closes the pipe early, which is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

process.exitCode = await runCommand(process.argv.slice(2), process);
