/** Reads .xz files through the `xz` command, for data sets that are kept that way. */
import { spawn } from "node:child_process";
import { FormatError, show } from "../errors.js";

/**
 * The contents of an .xz file of at most `limit` bytes.
 * @throws FormatError when there is no `xz` command, or it fails.
 */
export async function readXz(path: string, limit: number): Promise<Buffer> {
  const child = spawn("xz", ["--decompress", "--stdout", "--", path], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const failed = new Promise<never>((_, reject) => {
    child.on("error", (error) => {
      const missing = "code" in error && error.code === "ENOENT";
      const reason = missing
        ? `needs the xz command, which is not installed; decompress it to ${show(path.replace(/\.xz$/, ""))}`
        : error.message;
      reject(new FormatError(`${show(path)}: ${reason}`, { cause: error }));
    });
  });
  const read = async (): Promise<Buffer> => {
    let complaint = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      complaint += text;
    });
    const closed = new Promise<number | null>((resolve) => {
      child.on("close", resolve);
    });
    const parts: Buffer[] = [];
    let size = 0;
    for await (const part of child.stdout as AsyncIterable<Buffer>) {
      parts.push(part);
      size += part.byteLength;
      if (size > limit) {
        child.kill();
        throw new FormatError(`${show(path)}: it holds more than the ${limit} bytes expected`);
      }
    }
    const code = await closed;
    if (code !== 0) {
      throw new FormatError(`${show(path)}: xz failed: ${complaint.trim() || `exit code ${code}`}`);
    }
    return Buffer.concat(parts);
  };
  return Promise.race([read(), failed]);
}
