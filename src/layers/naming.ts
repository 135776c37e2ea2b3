/** How layers are called: in configurations, in models and in errors. */
import { LayerwiseError } from "../errors.js";

const usedNames = new Map<string, number>();

/** `dense`, `dense_1`, … : a name that no layer of this process has been given automatically. */
export function uniqueName(className: string): string {
  const base = snakeCase(className);
  const count = usedNames.get(base) ?? 0;
  usedNames.set(base, count + 1);
  return count === 0 ? base : `${base}_${count}`;
}

/** "BatchNormalization" → "batch_normalization", as Keras names layers. */
function snakeCase(className: string): string {
  return className
    .replace(/(.)([A-Z][a-z]+)/g, "$1_$2")
    .replace(/([a-z])([A-Z])/g, "$1_$2")
    .toLowerCase();
}

/** `dense layer "dense_1"`, `dense layer` before there is a name. */
export function describe(className: string, name: string | null): string {
  return `${factoryName(className)} layer${name === null ? "" : ` ${JSON.stringify(name)}`}`;
}

/** How the function that makes a class is spelled: "PReLU" → "prelu", "Conv2D" → "conv2d". */
function factoryName(className: string): string {
  if (/^[A-Z][A-Z]/.test(className)) return className.toLowerCase();
  return (className.charAt(0).toLowerCase() + className.slice(1)).replace(/\dD(?=$|[A-Z])/, (end) =>
    end.toLowerCase(),
  );
}

/** Errors that carry the name of the layer they arose in. */
const withNames = new WeakSet<Error>();

/** Runs `body`; an error of this library gets the layer's name in front, once. */
export function named<T>(layer: { readonly where: string }, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof LayerwiseError && !withNames.has(error)) {
      withNames.add(error);
      const { where } = layer;
      if (!error.message.startsWith(where)) error.message = `${where}: ${error.message}`;
    }
    throw error;
  }
}
