/**
 * Class names ↔ classes, for configurations. The layers of this library are found in layers.ts; classes
 * of users, and models, are entered with `registerLayer`.
 */
import { ArgumentError, expected, nearest } from "../errors.js";
import type { JsonObject, Serialized } from "./config.js";
import { classNameOf, Layer, type LayerClass } from "./layer.js";
import * as layers from "./layers.js";

let known: ReadonlyMap<string, LayerClass> | undefined;

/** Made at first use: layers that hold layers import this file, before all classes are there. */
function builtIn(): ReadonlyMap<string, LayerClass> {
  known ??= new Map(
    Object.values<unknown>(layers)
      .filter(isLayerClass)
      .map((layerClass) => [classNameOf(layerClass), layerClass]),
  );
  return known;
}

const registered = new Map<string, LayerClass>();

function isLayerClass(value: unknown): value is LayerClass {
  return typeof value === "function" && value.prototype instanceof Layer;
}

/**
 * Enters a layer class of your own, so that models with it can be saved and loaded. Configurations
 * refer to it by its static `className`, or else its name.
 *
 * @example
 * class Scale extends lw.Layer {
 *   static className = "Scale";
 *   call(x) { return x.mul(2); }
 * }
 * lw.registerLayer(Scale);
 */
export function registerLayer(layerClass: LayerClass): void {
  if (!isLayerClass(layerClass)) {
    throw new ArgumentError(expected("registerLayer()", "a class that extends Layer", layerClass));
  }
  const name = classNameOf(layerClass);
  if (builtIn().has(name)) {
    throw new ArgumentError(
      `registerLayer(): ${JSON.stringify(name)} is a layer of this library; give the class another className`,
    );
  }
  registered.set(name, layerClass);
}

/** All classes that configurations can name, by name. */
export function layerClasses(): ReadonlyMap<string, LayerClass> {
  return new Map([...builtIn(), ...registered]);
}

/** A layer as `{ className, config }`. */
export function serializeLayer(layer: Layer): Serialized {
  return { className: layer.className, config: layer.getConfig() };
}

/**
 * Makes a layer from `{ className, config }`.
 * @throws ArgumentError for a class that is not known, or a bad configuration.
 */
export function deserializeLayer(serialized: unknown): Layer {
  const { className, config } = (serialized ?? {}) as Partial<Serialized>;
  if (typeof className !== "string" || typeof config !== "object" || config === null) {
    throw new ArgumentError(
      expected("deserializeLayer()", "{ className, config } of a layer", serialized),
    );
  }
  const layerClass = registered.get(className) ?? builtIn().get(className);
  if (!layerClass) {
    const near = nearest(className, [...layerClasses().keys()]);
    throw new ArgumentError(
      expected(
        "deserializeLayer()",
        "the className of a known layer",
        JSON.stringify(className),
        `${near ? `did you mean ${JSON.stringify(near)}? ` : ""}a class of your own must be entered first: registerLayer(${className})`,
      ),
    );
  }
  return layerClass.fromConfig
    ? layerClass.fromConfig(config as JsonObject)
    : // Constructors take what getConfig() gives, and check it.
      new layerClass(config as never);
}
