import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  cacheDirectory,
  DownloadError,
  type DownloadProgress,
  download,
} from "../../src/data/download.js";

// Everything here talks to a server in this process; nothing leaves the machine.
type Handler = (request: IncomingMessage, response: ServerResponse, count: number) => void;

const content = randomBytes(200_000);
const sha256 = createHash("sha256").update(content).digest("hex");

let server: Server;
let base: string;
let handlers: Record<string, Handler>;
let seen: { url: string; range: string | undefined }[];
let directory: string;
let path: string;

beforeAll(async () => {
  server = createServer((request, response) => {
    const url = request.url ?? "";
    const count = seen.filter((s) => s.url === url).length;
    seen.push({ url, range: request.headers.range });
    const handler = handlers[url];
    if (handler) handler(request, response, count);
    else response.writeHead(404).end("not here");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(async () => {
  handlers = {};
  seen = [];
  directory = await mkdtemp(join(tmpdir(), "layerwise-download-"));
  path = join(directory, "deep", "file.bin");
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

const request = (...urls: string[]) => ({
  name: "file.bin",
  urls: urls.map((url) => base + url),
  sha256,
  bytes: content.length,
  hint: "Pass `dir` instead.",
});
const quick = { retryDelay: 1, stallTimeout: 5_000 };

const whole: Handler = (_, response) => {
  response.writeHead(200, { "content-length": content.length }).end(content);
};

/** Cuts the connection that `flaky` left hanging, once the client has some of it. */
let cut: (() => void) | undefined;
const cutting = {
  ...quick,
  onProgress: () => {
    cut?.();
    cut = undefined;
  },
};

/** Sends only 50 000 bytes in the first `cuts` answers, then hangs until cut; honours ranges. */
const flaky =
  (cuts: number, headers: Record<string, string>, ranges = true): Handler =>
  (incoming, response, count) => {
    const from = ranges ? Number(/bytes=(\d+)-/.exec(incoming.headers.range ?? "")?.[1] ?? 0) : 0;
    const length = content.length - from;
    if (from > 0) {
      const range = `bytes ${from}-${content.length - 1}/${content.length}`;
      response.writeHead(206, { "content-length": length, "content-range": range, ...headers });
    } else response.writeHead(200, { "content-length": length, ...headers });
    if (count >= cuts) response.end(content.subarray(from));
    else {
      cut = () => response.destroy();
      response.write(content.subarray(from, from + 50_000));
    }
  };

describe("download", () => {
  it("fetches a file once, reports progress and leaves nothing else behind", async () => {
    handlers["/a"] = whole;
    const progress: DownloadProgress[] = [];
    await download(path, request("/a"), { ...quick, onProgress: (p) => progress.push(p) });
    expect(content.equals(await readFile(path))).toBe(true);
    expect(await readdir(join(directory, "deep"))).toEqual(["file.bin"]);
    expect(progress.at(-1)).toEqual({
      file: "file.bin",
      receivedBytes: 200_000,
      totalBytes: 200_000,
    });
    const { mtimeMs } = await stat(path);
    await download(path, request("/a"), quick);
    expect(seen).toHaveLength(1);
    expect((await stat(path)).mtimeMs).toBe(mtimeMs);
  });

  it("replaces a cached file that is damaged", async () => {
    handlers["/a"] = whole;
    await download(path, request("/a"), quick);
    await writeFile(path, content.subarray(1));
    await download(path, request("/a"), quick);
    expect(content.equals(await readFile(path))).toBe(true);
    expect(seen).toHaveLength(2);
  });

  it("resumes where the connection broke", async () => {
    handlers["/a"] = flaky(2, { etag: '"v1"' });
    await download(path, request("/a"), cutting);
    expect(content.equals(await readFile(path))).toBe(true);
    expect(seen).toHaveLength(3);
    expect(seen[0]!.range).toBeUndefined();
    const starts = seen.slice(1).map(({ range }) => Number(/^bytes=(\d+)-$/.exec(range!)![1]));
    expect(starts[0]).toBeGreaterThan(0);
    expect(starts[1]).toBeGreaterThan(starts[0]!);
  });

  it.each<[string, Record<string, string>, boolean]>([
    ["gives no ETag", {}, true],
    ["gives a weak ETag", { etag: 'W/"v1"' }, true],
    ["ignores ranges", { etag: '"v1"' }, false],
  ])("starts again when the server %s", async (_, headers, ranges) => {
    handlers["/a"] = flaky(1, headers, ranges);
    await download(path, request("/a"), cutting);
    expect(content.equals(await readFile(path))).toBe(true);
    if (ranges) expect(seen.every(({ range }) => range === undefined)).toBe(true);
  });

  it("tries again after 503 and 429", async () => {
    handlers["/a"] = (incoming, response, count) => {
      if (count < 2) response.writeHead(count === 0 ? 503 : 429).end();
      else whole(incoming, response, count);
    };
    await download(path, request("/a"), quick);
    expect(seen).toHaveLength(3);
  });

  it("goes to the next mirror after a 404, without trying again", async () => {
    handlers["/b"] = whole;
    await download(path, request("/gone", "/b"), quick);
    expect(seen.map(({ url }) => url)).toEqual(["/gone", "/b"]);
  });

  it("goes to the next mirror when the checksum is wrong, and never keeps such a file", async () => {
    const wrong = Buffer.from(content);
    wrong[100_000]! ^= 1;
    handlers["/a"] = (_, response) => response.end(wrong);
    const failure = download(path, request("/a"), quick);
    await expect(failure).rejects.toThrow(DownloadError);
    await expect(failure).rejects.toThrow(/SHA-256 is [0-9a-f]{64}, not /);
    expect(await readdir(join(directory, "deep"))).toEqual([]);
    handlers["/b"] = whole;
    await download(path, request("/a", "/b"), quick);
    expect(content.equals(await readFile(path))).toBe(true);
  });

  it("cuts off a server that sends too much, and one that sends another file", async () => {
    handlers["/long"] = (_, response) => {
      response.end(Buffer.concat([content, content]));
    };
    handlers["/short"] = (_, response) => {
      response.writeHead(200, { "content-length": 5 }).end("<html");
    };
    await expect(download(path, request("/long", "/short"), quick)).rejects.toThrow(
      /larger than the 200000 bytes expected[\s\S]*ended after 5 of 200000 bytes/,
    );
    expect(seen).toHaveLength(2);
  });

  it("lists every attempt and the hint when all fail", async () => {
    handlers["/a"] = (_, response) => response.writeHead(500).end();
    const failure = download(path, request("/a", "/none"), { ...quick, attempts: 2 });
    await expect(failure).rejects.toThrow(
      `could not download "file.bin":\n  ${base}/a: HTTP 500 Internal Server Error\n` +
        `  ${base}/a: HTTP 500 Internal Server Error\n  ${base}/none: HTTP 404 Not Found\n` +
        "Pass `dir` instead.",
    );
  });

  it("names the cause when nobody listens", async () => {
    const closed = { ...request(), urls: ["http://127.0.0.1:1/x"] };
    await expect(download(path, closed, { ...quick, attempts: 1 })).rejects.toThrow(
      /127\.0\.0\.1:1\/x: fetch failed \(.+\)/,
    );
  });

  it("gives up an attempt that stalls, before and after the first byte", async () => {
    handlers["/silent"] = () => {};
    handlers["/stuck"] = (_, response) => {
      response.writeHead(200, { "content-length": content.length });
      response.write(content.subarray(0, 1000));
    };
    const options = { ...quick, stallTimeout: 50, attempts: 1 };
    await expect(download(path, request("/silent", "/stuck"), options)).rejects.toThrow(
      /silent: no data for 50 ms[\s\S]*stuck: no data for 50 ms/,
    );
  });

  it("stops when aborted: before, during and between attempts", async () => {
    const reason = new Error("enough");
    await expect(
      download(path, request("/a"), { ...quick, signal: AbortSignal.abort(reason) }),
    ).rejects.toBe(reason);
    expect(seen).toEqual([]);

    const during = new AbortController();
    handlers["/stuck"] = (_, response) => {
      response.writeHead(200, { "content-length": content.length });
      response.write(content.subarray(0, 1000));
    };
    const options = { ...quick, signal: during.signal, onProgress: () => during.abort(reason) };
    await expect(download(path, request("/stuck"), options)).rejects.toBe(reason);

    const between = new AbortController();
    handlers["/broken"] = (_, response) => {
      response.writeHead(500).end();
      setTimeout(() => between.abort(), 20);
    };
    const waiting = { retryDelay: 60_000, signal: between.signal };
    await expect(download(path, request("/broken"), waiting)).rejects.toThrow(/abort/i);
    expect(await readdir(join(directory, "deep"))).toEqual([]);
  });

  it("two at once both succeed", async () => {
    handlers["/a"] = whole;
    await Promise.all([download(path, request("/a"), quick), download(path, request("/a"), quick)]);
    expect(content.equals(await readFile(path))).toBe(true);
    expect(await readdir(join(directory, "deep"))).toEqual(["file.bin"]);
  });
});

describe("the cache directory", () => {
  it("follows LAYERWISE_CACHE, then XDG_CACHE_HOME if absolute, then the platform", () => {
    expect(cacheDirectory({ LAYERWISE_CACHE: "/x", XDG_CACHE_HOME: "/y" })).toBe("/x");
    expect(cacheDirectory({ XDG_CACHE_HOME: "/y" })).toBe(join("/y", "layerwise"));
    expect(cacheDirectory({ XDG_CACHE_HOME: "relative" })).not.toContain("relative");
    if (process.platform === "linux") {
      expect(cacheDirectory({})).toBe(join(homedir(), ".cache", "layerwise"));
    }
  });
});
