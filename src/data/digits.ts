/**
 * A generator of 28×28 pictures that look like handwritten digits, so that examples and tests need
 * no download. **They are generated, not anyone's handwriting**: good for learning and testing, no
 * benchmark; figures on them say nothing about MNIST.
 *
 * Every sample is a function of (seed, split, index) and of nothing else. Only +, −, ×, ÷ and √ are
 * used, which IEEE 754 defines to the last bit, so a sample is the same on every machine.
 */
import { checkInteger, checkKeys } from "../errors.js";
import { tensor } from "../tensor/tensor.js";
import { type ImageDataset, imageTensors } from "./images.js";
import { type DigitStyle, digitStyles } from "./strokes.js";

/** Options of {@link digits}. */
export interface DigitsOptions {
  /** Number of training samples; 12 000 by default. A smaller set is a prefix of a larger one. */
  readonly train?: number;
  /** Number of test samples; 2 000 by default. */
  readonly test?: number;
  /** Any integer from 0 to 2³²−1; 1 by default. */
  readonly seed?: number;
  /** True (the default): float32 in [0, 1]. False: uint8 0 … 255. */
  readonly normalize?: boolean;
}

/**
 * Generated pictures of digits with the shapes of MNIST: x `[n, 28, 28, 1]`, y int32 `[n]`. Made of
 * pen strokes under random affine and elastic distortion, pen width, pressure and noise; a linear
 * classifier stays below 95 % on them, a small convolutional network passes 99 %. Generated, not
 * real handwriting.
 *
 * @example
 * const { train, test } = lw.datasets.digits({ train: 12_000, test: 2_000, seed: 1 });
 * train.x.shape; // [12000, 28, 28, 1]
 */
export function digits(options: DigitsOptions = {}): ImageDataset {
  checkKeys("digits", options, ["train", "test", "seed", "normalize"]);
  const { train = 12_000, test = 2_000, seed = 1, normalize = true } = options;
  checkInteger("digits", "train", train, 1, 2_000_000);
  checkInteger("digits", "test", test, 1, 2_000_000);
  checkInteger("digits", "seed", seed, 0, 0xffffffff);
  const part = (count: number, stream: number) => {
    const { pixels, labels } = drawDigits(count, seed, stream);
    return { x: imageTensors(pixels, [count, side, side, 1], normalize), y: tensor(labels) };
  };
  return {
    train: part(train, 0),
    test: part(test, 1),
    classNames: Array.from({ length: 10 }, (_, digit) => String(digit)),
  };
}

const side = 28;
/** The height of an undistorted digit in pixels, as in MNIST. */
const body = 20;

/** Pixels (uint8, ink is bright) and labels of `count` samples; every ten samples hold each digit once. */
export function drawDigits(
  count: number,
  seed: number,
  stream: number,
): { pixels: Uint8Array; labels: Int32Array } {
  const pixels = new Uint8Array(count * side * side);
  const labels = new Int32Array(count);
  const random = new Random();
  const order = new Int32Array(10);
  const pen = new Pen();
  for (let i = 0; i < count; i++) {
    if (i % 10 === 0) {
      random.start(seed, stream * 2 + 1, i);
      for (let k = 0; k < 10; k++) {
        const j = random.below(k + 1);
        order[k] = order[j]!;
        order[j] = k;
      }
    }
    const label = order[i % 10]!;
    labels[i] = label;
    random.start(seed, stream * 2, i);
    pen.write(label, random);
    pen.draw(random, pixels.subarray(i * side * side, (i + 1) * side * side));
  }
  return { pixels, labels };
}

/** xorshift128 (Marsaglia 2003), started from a hash of (seed, stream, index). */
class Random {
  #x = 0;
  #y = 0;
  #z = 0;
  #w = 1;

  start(seed: number, stream: number, index: number): void {
    let h = mix(seed ^ 0x9e3779b9);
    h = mix(h ^ Math.imul(stream + 1, 0x85ebca6b));
    h = mix(h ^ Math.imul(index + 1, 0xc2b2ae35));
    this.#x = h;
    this.#y = mix(h + 0x6a09e667);
    this.#z = mix(h + 0xbb67ae85);
    this.#w = mix(h + 0x3c6ef372) | 1;
  }

  #next(): number {
    const t = this.#x ^ (this.#x << 11);
    this.#x = this.#y;
    this.#y = this.#z;
    this.#z = this.#w;
    this.#w = this.#w ^ (this.#w >>> 19) ^ t ^ (t >>> 8);
    return this.#w;
  }

  /** Uniform in [0, 1). */
  uniform(): number {
    return (this.#next() >>> 8) * 2 ** -24;
  }

  between(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  below(n: number): number {
    return Math.floor(this.uniform() * n);
  }

  /** Nearly normal with variance 1: four 16-bit uniforms summed (Irwin–Hall), within ±3.46. */
  normal(): number {
    const a = this.#next();
    const b = this.#next();
    const sum = (a & 0xffff) + (a >>> 16) + (b & 0xffff) + (b >>> 16);
    return (sum / 65536 - 2) * 1.7320508;
  }
}

/** The finalizer of MurmurHash3. */
function mix(value: number): number {
  let h = value | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** Line segments per span between two points of a stroke. */
const steps = 4;
const mostPoints = 512;
/** The elastic field: displacements on a grid of this many nodes a side. */
const nodes = 4;

/** Turns one digit into line segments, and those into pixels. Scratch space is kept between digits. */
class Pen {
  /** Points of the curve in pixels, and the pen's radius there. */
  readonly #x = new Float64Array(mostPoints);
  readonly #y = new Float64Array(mostPoints);
  readonly #radius = new Float64Array(mostPoints);
  /** 1 where the pen is down between this point and the one before it. */
  readonly #down = new Uint8Array(mostPoints);
  #count = 0;
  #softness = 1;
  readonly #field = new Float64Array(2 * nodes * nodes);
  readonly #controlX = new Float64Array(64);
  readonly #controlY = new Float64Array(64);
  readonly #ink = new Float64Array(side * side);

  /** Lays down the distorted strokes of `label`. */
  write(label: number, random: Random): void {
    const { strokes } = pick(digitStyles[label]!, random);
    this.#count = 0;
    // Jitter of the points (fraction of the box) and of the smooth field.
    const jitter = random.between(0.01, 0.03);
    const elastic = random.between(0.012, 0.044);
    for (let i = 0; i < this.#field.length; i++) this.#field[i] = elastic * random.normal();
    const radius = random.between(0.85, 1.65) + 0.1 * random.normal();
    const pressure = random.between(0, 0.28);
    this.#softness = random.between(0.7, 1.5);

    let endX = Number.NaN;
    let endY = Number.NaN;
    let jitteredX = 0;
    let jitteredY = 0;
    for (const stroke of strokes) {
      const points = stroke.length / 2;
      const corner = stroke[0] === endX && stroke[1] === endY;
      for (let i = 0; i < points; i++) {
        const joined = i === 0 && corner;
        this.#controlX[i] = joined ? jitteredX : stroke[2 * i]! / 100 + jitter * random.normal();
        this.#controlY[i] = joined
          ? jitteredY
          : stroke[2 * i + 1]! / 100 + jitter * random.normal();
      }
      endX = stroke[2 * points - 2]!;
      endY = stroke[2 * points - 1]!;
      jitteredX = this.#controlX[points - 1]!;
      jitteredY = this.#controlY[points - 1]!;
      this.#curve(points, corner, radius, pressure, random);
    }
    if (random.uniform() < 0.06) this.#break(random);
    if (random.uniform() < 0.03) this.#flick(radius, random);
    this.#place(random);
  }

  /** Adds a Catmull–Rom curve through the control points, bent by the elastic field. */
  #curve(points: number, corner: boolean, radius: number, pressure: number, random: Random): void {
    const px = this.#controlX;
    const py = this.#controlY;
    let weight = 1 + pressure * random.normal();
    const drift = (pressure * random.normal()) / ((points - 1) * steps);
    // A pen lands a little late and lifts a little early or late.
    const spans = (points - 1) * steps;
    const late = corner ? 0 : random.between(-0.5, 1.5);
    for (let k = 0; k <= spans; k++) {
      const at = Math.min(points - 2, Math.floor(k / steps));
      const t = k === 0 ? late / (2 * steps) : k / steps - at;
      const a = Math.max(0, at - 1);
      const d = Math.min(points - 1, at + 2);
      const t2 = t * t;
      const t3 = t2 * t;
      const wa = 0.5 * (-t + 2 * t2 - t3);
      const wb = 0.5 * (2 - 5 * t2 + 3 * t3);
      const wc = 0.5 * (t + 4 * t2 - 3 * t3);
      const wd = 0.5 * (t3 - t2);
      const x = wa * px[a]! + wb * px[at]! + wc * px[at + 1]! + wd * px[d]!;
      const y = wa * py[a]! + wb * py[at]! + wc * py[at + 1]! + wd * py[d]!;
      weight += drift + 0.25 * pressure * random.normal() * 0.5;
      this.#add(x, y, k > 0, Math.min(2.3, Math.max(0.5, radius * weight)));
    }
  }

  #add(x: number, y: number, down: boolean, radius: number): void {
    // The field is interpolated with smoothstep weights, so that it bends without creases.
    const gx = Math.min(nodes - 1.001, Math.max(0, x * (nodes - 1)));
    const gy = Math.min(nodes - 1.001, Math.max(0, y * (nodes - 1)));
    const ix = Math.floor(gx);
    const iy = Math.floor(gy);
    const fx = smooth(gx - ix);
    const fy = smooth(gy - iy);
    const f = this.#field;
    const at = 2 * (iy * nodes + ix);
    const below = at + 2 * nodes;
    const i = this.#count++;
    this.#x[i] =
      x +
      (1 - fy) * ((1 - fx) * f[at]! + fx * f[at + 2]!) +
      fy * ((1 - fx) * f[below]! + fx * f[below + 2]!);
    this.#y[i] =
      y +
      (1 - fy) * ((1 - fx) * f[at + 1]! + fx * f[at + 3]!) +
      fy * ((1 - fx) * f[below + 1]! + fx * f[below + 3]!);
    this.#down[i] = down ? 1 : 0;
    this.#radius[i] = radius;
  }

  /** Lifts the pen for a moment in the middle of the writing. */
  #break(random: Random): void {
    const at = 1 + random.below(this.#count - 2);
    this.#down[at] = 0;
    if (random.uniform() < 0.4) this.#down[at + 1] = 0;
  }

  /** Adds a short stray stroke near the digit. */
  #flick(radius: number, random: Random): void {
    const x = random.uniform();
    const y = random.uniform();
    this.#add(x, y, false, 0.7 * radius);
    this.#add(x + 0.15 * random.normal(), y + 0.15 * random.normal(), true, 0.6 * radius);
  }

  /** Rotates, slants, scales and moves the writing into the picture. */
  #place(random: Random): void {
    const angle = 0.09 * random.normal();
    // Short series: angles stay below 0.5, and any fixed function will do.
    const a2 = angle * angle;
    const sin = angle * (1 - a2 / 6 + (a2 * a2) / 120);
    const cos = 1 - a2 / 2 + (a2 * a2) / 24;
    const slant = 0.1 + 0.15 * random.normal();
    const height = body * random.between(0.84, 1.06);
    const width = height * random.between(0.6, 0.95);
    let lowX = Infinity;
    let highX = -Infinity;
    let lowY = Infinity;
    let highY = -Infinity;
    for (let i = 0; i < this.#count; i++) {
      const v = (this.#y[i]! - 0.5) * height;
      const u = (this.#x[i]! - 0.5) * width - slant * v;
      const x = cos * u - sin * v;
      const y = sin * u + cos * v;
      this.#x[i] = x;
      this.#y[i] = y;
      lowX = Math.min(lowX, x);
      highX = Math.max(highX, x);
      lowY = Math.min(lowY, y);
      highY = Math.max(highY, y);
    }
    // Shrink what would leave the picture, then centre it and push it off centre by a pixel or two.
    const room = side - 3;
    const shrink = Math.min(1, room / (highX - lowX), room / (highY - lowY));
    const slackX = 0.5 * (room - shrink * (highX - lowX));
    const slackY = 0.5 * (room - shrink * (highY - lowY));
    const moveX = side / 2 + clamp(1.45 * random.normal(), slackX) - 0.5 * shrink * (lowX + highX);
    const moveY = side / 2 + clamp(1.45 * random.normal(), slackY) - 0.5 * shrink * (lowY + highY);
    for (let i = 0; i < this.#count; i++) {
      this.#x[i] = shrink * this.#x[i]! + moveX;
      this.#y[i] = shrink * this.#y[i]! + moveY;
    }
  }

  /** Paints the segments: each pixel takes the darkest ink of any segment, by distance. */
  draw(random: Random, out: Uint8Array): void {
    const ink = this.#ink.fill(0);
    const softness = this.#softness;
    for (let i = 1; i < this.#count; i++) {
      if (this.#down[i] === 0) continue;
      const ax = this.#x[i - 1]! - 0.5;
      const ay = this.#y[i - 1]! - 0.5;
      const dx = this.#x[i]! - 0.5 - ax;
      const dy = this.#y[i]! - 0.5 - ay;
      const radius = this.#radius[i]!;
      const reach = radius + 0.5 * softness;
      const inverse = 1 / Math.max(1e-9, dx * dx + dy * dy);
      const left = Math.max(0, Math.ceil(Math.min(ax, ax + dx) - reach));
      const right = Math.min(side - 1, Math.floor(Math.max(ax, ax + dx) + reach));
      const top = Math.max(0, Math.ceil(Math.min(ay, ay + dy) - reach));
      const bottom = Math.min(side - 1, Math.floor(Math.max(ay, ay + dy) + reach));
      const reach2 = reach * reach;
      for (let y = top; y <= bottom; y++) {
        for (let x = left; x <= right; x++) {
          const qx = x - ax;
          const qy = y - ay;
          const along = Math.min(1, Math.max(0, (qx * dx + qy * dy) * inverse));
          const ex = qx - along * dx;
          const ey = qy - along * dy;
          const distance2 = ex * ex + ey * ey;
          if (distance2 >= reach2) continue;
          const cover = (reach - Math.sqrt(distance2)) / softness;
          const at = y * side + x;
          if (cover > ink[at]!) ink[at] = cover;
        }
      }
    }
    const strength = 255 * random.between(0.8, 1.05);
    // Uneven ink on every sample, a grainy background on some.
    const grain = random.between(0, 0.12);
    const background = random.uniform() < 0.25 ? 255 * random.between(0.01, 0.06) : 0;
    for (let i = 0; i < ink.length; i++) {
      const cover = Math.min(1, ink[i]!);
      let value = 0;
      if (cover > 0) value = strength * cover * (1 - grain * random.uniform());
      if (background > 0) value += background * random.normal();
      out[i] = Math.min(255, Math.max(0, Math.round(value)));
    }
  }
}

function pick(styles: readonly DigitStyle[], random: Random): DigitStyle {
  let total = 0;
  for (const { weight } of styles) total += weight;
  let left = random.uniform() * total;
  for (const style of styles) {
    left -= style.weight;
    if (left < 0) return style;
  }
  return styles[0]!;
}

function smooth(t: number): number {
  return t * t * (3 - 2 * t);
}

function clamp(value: number, limit: number): number {
  return Math.min(limit, Math.max(-limit, value));
}
