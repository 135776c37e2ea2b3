import { inflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { ArgumentError } from "../../src/errors.js";
import { encodePng, pngDataUri } from "../../src/formats/png.js";

describe("PNG", () => {
  it("writes a picture whose bytes are known", () => {
    // The 1×1 black grey picture; checksums as every encoder writes them.
    const png = Buffer.from(encodePng(Uint8Array.of(0), 1, 1));
    expect(png.subarray(0, 33).toString("hex")).toBe(
      "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55",
    );
    expect(png.subarray(-12).toString("hex")).toBe("0000000049454e44ae426082");
  });

  it.each([1, 3] as const)("keeps every pixel of %i channels", (channels) => {
    const pixels = Uint8Array.from({ length: 5 * 3 * channels }, (_, i) => (i * 37) % 256);
    const png = Buffer.from(encodePng(pixels, 5, 3, channels));
    const length = png.readUInt32BE(33);
    expect(png.toString("latin1", 37, 41)).toBe("IDAT");
    const rows = inflateSync(png.subarray(41, 41 + length));
    const stride = 5 * channels + 1;
    const back = [0, 1, 2].flatMap((y) => [...rows.subarray(y * stride + 1, (y + 1) * stride)]);
    expect(back).toEqual([...pixels]);
    expect(pngDataUri(pixels, 5, 3, channels)).toBe(
      `data:image/png;base64,${png.toString("base64")}`,
    );
  });

  it("refuses pixels that don't fit", () => {
    expect(() => encodePng(new Uint8Array(5), 2, 2)).toThrow(ArgumentError);
    expect(() => encodePng(new Uint8Array(0), 0, 5)).toThrow(/at least one, got 0 bytes/);
  });
});
