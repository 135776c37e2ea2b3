/** Under this symbol Node's console and `util.inspect` find how an object wants to be shown. */
export const inspect: unique symbol = Symbol.for("nodejs.util.inspect.custom");
