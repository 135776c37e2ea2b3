/** Options that are layers themselves: cells of recurrent layers, what a wrapper wraps. */
import { ArgumentError, expected } from "../errors.js";
import type { Field, Serialized } from "./config.js";
import { Layer } from "./layer.js";
import { deserializeLayer, serializeLayer } from "./registry.js";

/** A layer, or `{ className, config }` of one. */
export type LayerLike = Layer | Serialized;

function parseLayer(where: string, option: string, given: unknown): Layer {
  if (given instanceof Layer) return given;
  const { className } = (given ?? {}) as Partial<Serialized>;
  if (typeof className === "string") return deserializeLayer(given);
  throw new ArgumentError(
    expected(where, `\`${option}\` to be a layer or { className, config } of one`, given),
  );
}

/** One layer. */
export const layer = (): Field<Layer, LayerLike, true> => ({
  required: true,
  parse: parseLayer,
  serialize: (value) => ({ ...serializeLayer(value) }),
});

/** Several layers, at least one. */
export const layerList = (): Field<readonly Layer[], readonly LayerLike[], true> => ({
  required: true,
  parse: (where, option, given) => {
    if (!Array.isArray(given) || given.length === 0) {
      throw new ArgumentError(expected(where, `\`${option}\` to be an array of layers`, given));
    }
    return given.map((item, i) => parseLayer(where, `${option}[${i}]`, item));
  },
  serialize: (value) => value.map((item) => ({ ...serializeLayer(item) })),
});
