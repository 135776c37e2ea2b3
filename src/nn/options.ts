/**
 * Options, declared once: a declaration lists each option's type, default, check and JSON form, and
 * from it follow the TypeScript types, the errors for bad values and unknown keys, and `getConfig()`.
 * `family()` makes a table of named functions with options (initializers, activations …).
 * Knows nothing of layers.
 */
import {
  ArgumentError,
  checkBoolean,
  checkChoice,
  checkInteger,
  checkKeys,
  checkNumber,
  expected,
  nearest,
  show,
} from "../errors.js";

/** What `JSON.stringify` takes and `JSON.parse` returns. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

/** A JSON object. */
export interface JsonObject {
  readonly [key: string]: Json;
}

/** One option: how a given value is checked, completed and written down. */
export interface Field<T, Given = T, Required extends boolean = boolean> {
  readonly required: Required;
  /** The checked value; `given` is undefined when the option was left out. */
  parse(where: string, option: string, given: unknown): T;
  /** The value as JSON; `where` and `option` name it in the error if that can't be done. */
  serialize(value: T, where: string, option: string): Json;
  /** Never set: carries the type of what callers may pass. */
  readonly given?: Given;
}

/** The options of one thing, by name. */
export type Declaration = { readonly [option: string]: Field<unknown, unknown> };

type RequiredKeys<D extends Declaration> = {
  [K in keyof D]: D[K] extends Field<infer _T, infer _G, true> ? K : never;
}[keyof D];

type GivenOf<F> = F extends Field<infer _T, infer G> ? G : never;

/** The checked values of a declaration. */
export type ConfigOf<D extends Declaration> = {
  readonly [K in keyof D]: D[K] extends Field<infer T, infer _G> ? T : never;
};

/** What callers may pass for a declaration. */
export type OptionsOf<D extends Declaration> = {
  // Mapped over Pick<D, …>, so that the comments on a declaration show on the options.
  [K in keyof Pick<D, RequiredKeys<D>>]: GivenOf<D[K]>;
} & { [K in keyof Omit<D, RequiredKeys<D>>]?: GivenOf<D[K]> | undefined };

/** Checks `given` against a declaration and fills in defaults. */
export function parseOptions<D extends Declaration>(
  where: string,
  declaration: D,
  given: object,
): ConfigOf<D> {
  checkOptionKeys(where, given, Object.keys(declaration));
  const config: Record<string, unknown> = {};
  for (const [option, field] of Object.entries(declaration)) {
    const value = (given as Record<string, unknown>)[option];
    if (value === undefined && field.required) {
      throw new ArgumentError(`${where}: the option \`${option}\` is missing`);
    }
    config[option] = field.parse(where, option, value);
  }
  // Each key was parsed by its own field, which is what ConfigOf says.
  return config as ConfigOf<D>;
}

/** Throws for keys that are not in `known`, with a hint for the snake_case of Python. */
export function checkOptionKeys(where: string, given: object, known: readonly string[]): void {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw new ArgumentError(expected(where, "an object with options", show(given)));
  }
  for (const key of Object.keys(given)) {
    if (known.includes(key) || !key.includes("_")) continue;
    const camel = key.replace(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    if (camel !== key && known.some((k) => k.toLowerCase() === camel.toLowerCase())) {
      const name = known.find((k) => k.toLowerCase() === camel.toLowerCase());
      throw new ArgumentError(
        `${where}: unknown option \`${key}\`; options are in camelCase here: \`${name}\``,
      );
    }
  }
  checkKeys(where, given, known);
}

/** The JSON form of checked options. */
export function serializeOptions<D extends Declaration>(
  where: string,
  declaration: D,
  config: ConfigOf<D>,
): JsonObject {
  const json: Record<string, Json> = {};
  for (const [option, field] of Object.entries(declaration)) {
    json[option] = field.serialize(config[option], where, option);
  }
  return json;
}

/** Makes fields from a check: `plain(check)()` is a required one, `plain(check)(x)` one with a default.
 * Without a fallback the option is required. */
export function plain<T extends Json>(
  check: (where: string, option: string, given: unknown) => T,
): {
  (): Field<T, T, true>;
  (fallback: T): Field<T, T, false>;
} {
  function make(): Field<T, T, true>;
  function make(fallback: T): Field<T, T, false>;
  function make(fallback?: T): Field<T, T> {
    return {
      required: fallback === undefined,
      parse: (where, option, given) =>
        given === undefined ? (fallback as T) : check(where, option, given),
      serialize: (value) => value,
    };
  }
  return make;
}

/** Makes an option that may be `null`, which is also its default. */
export function nullable<T, G>(field: Field<T, G>): Field<T | null, G | null, false> {
  return {
    required: false,
    parse: (where, option, given) =>
      given === undefined || given === null ? null : field.parse(where, option, given),
    serialize: (value, where, option) =>
      value === null ? null : field.serialize(value, where, option),
  };
}

/** Limits of a numeric option, both included. */
export interface Range {
  readonly min?: number;
  readonly max?: number;
}

/** A whole number. */
export function integer(range?: Range): Field<number, number, true>;
export function integer(range: Range, fallback: number): Field<number, number, false>;
export function integer(range: Range = {}, fallback?: number): Field<number, number> {
  const make = plain<number>((where, option, given) => {
    checkInteger(where, option, given, range.min, range.max);
    return given;
  });
  return fallback === undefined ? make() : make(fallback);
}

/** A finite number. */
export function number(range?: Range): Field<number, number, true>;
export function number(range: Range, fallback: number): Field<number, number, false>;
export function number(range: Range = {}, fallback?: number): Field<number, number> {
  const make = plain<number>((where, option, given) => {
    checkNumber(where, option, given, range.min, range.max);
    if (!Number.isFinite(given)) {
      throw new ArgumentError(expected(where, `\`${option}\` to be a finite number`, given));
    }
    return given;
  });
  return fallback === undefined ? make() : make(fallback);
}

/** True or false. */
export function boolean(fallback: boolean): Field<boolean, boolean, false> {
  return plain<boolean>((where, option, given) => {
    checkBoolean(where, option, given);
    return given;
  })(fallback);
}

/** One of several words. */
export function choice<const C extends string>(
  choices: readonly C[],
  fallback: C,
): Field<C, C, false> {
  return plain<C>((where, option, given) => {
    checkChoice(where, option, given, choices);
    return given;
  })(fallback);
}

/** A list of integers. */
export function integers(range: Range = {}): Field<readonly number[], readonly number[], true> {
  return plain<readonly number[]>((where, option, given) => {
    if (!Array.isArray(given)) {
      throw new ArgumentError(expected(where, `\`${option}\` to be an array of integers`, given));
    }
    given.forEach((value, i) => {
      checkInteger(where, `${option}[${i}]`, value, range.min, range.max);
    });
    return [...given];
  })();
}

/** One integer or a list of them, as `axis` options are. */
export function axes(
  fallback?: number | readonly number[],
): Field<number | readonly number[], number | readonly number[], boolean> {
  const list = integers();
  return {
    required: fallback === undefined,
    parse: (where, option, given) => {
      if (given === undefined) return fallback!;
      if (Array.isArray(given)) return list.parse(where, option, given);
      checkInteger(where, option, given);
      return given;
    },
    serialize: (value) => value,
  };
}

/** An option's `seed`: null draws a fresh one. */
export const seed = (): Field<number | null, number | null, false> =>
  nullable(integer({ min: -(2 ** 31), max: 2 ** 32 - 1 }));

/** What getConfig() of a thing with a class name looks like in JSON. */
export interface Serialized {
  readonly className: string;
  readonly config: JsonObject;
}

/** A function with a name and options: an initializer, activation, regularizer or constraint. */
export interface Member<F> {
  readonly className: string;
  readonly apply: F;
  /** The options as JSON. */
  getConfig(): JsonObject;
}

/** What users may pass where a member of a family is wanted; of functions that make one, the default. */
export type MemberLike<F, Name extends string = string> =
  | Name
  | Member<F>
  | { readonly className: string; readonly config?: object }
  | F
  | (() => Member<F>);

/** One row of a family's table. */
export interface Row<D extends Declaration, F> {
  readonly className: string;
  readonly options: D;
  make(config: ConfigOf<D>): F;
  /** The public function that does what `make` makes by default: passing it means this row. */
  readonly op?: F | undefined;
}

type AnyFunction = (...args: never) => unknown;
type Rows = { readonly [name: string]: Row<Declaration, AnyFunction> };
type FunctionOf<R extends Rows> = ReturnType<R[keyof R]["make"]>;

/** Writes one row with its options' types inferred. */
export function row<D extends Declaration, F>(
  className: string,
  options: D,
  make: (config: ConfigOf<D>) => F,
  op?: NoInfer<F>,
): Row<D, F> {
  return { className, options, make, op };
}

type Maker<R> =
  R extends Row<infer D, infer F>
    ? Record<string, never> extends OptionsOf<D>
      ? (options?: OptionsOf<D>) => Member<F>
      : (options: OptionsOf<D>) => Member<F>
    : never;

/** A table of named functions with options. */
export interface Family<F, R> {
  readonly kind: string;
  /** Makes a member by name: `make.l2({ l2: 0.01 })`. */
  readonly make: { readonly [K in keyof R]: Maker<R[K]> };
  /** Turns whatever a user passed into a member. */
  get(where: string, option: string, given: unknown): Member<F>;
  /** A member as JSON; throws for one that has no registered name. */
  serialize(member: Member<F>, where: string, option: string): Json;
  /** Enters a function of the user's own under a name. */
  register(name: string, f: F): void;
  /** The field of a declaration that holds a member. */
  field(
    fallback: (keyof R & string) | Member<F>,
  ): Field<Member<F>, MemberLike<F, keyof R & string> | null, false>;
  /** The field of a declaration that holds a member or nothing. */
  optional(): Field<Member<F> | null, MemberLike<F, keyof R & string> | null, false>;
}

const unnamed = "";

/**
 * Makes a family from its table. Rows are reached by their key ("glorotUniform") and by their class
 * name ("GlorotUniform"), which is what configurations carry.
 */
export function family<R extends Rows>(kind: string, rows: R): Family<FunctionOf<R>, R> {
  type F = FunctionOf<R>;
  // Every row makes an F: that is what FunctionOf collects.
  const table = new Map(Object.entries(rows) as [string, Row<Declaration, F>][]);
  const byClass = new Map([...table.values()].map((r) => [r.className, r]));
  /** Rows by their maker and by their op: `lw.activations.tanh` and `lw.tanh` are both tanh. */
  const byFunction = new Map<unknown, Row<Declaration, F>>();
  const custom = new Map<string, F>();

  const create = (r: Row<Declaration, F>, where: string, options: object = {}): Member<F> => {
    const config = parseOptions(where, r.options, options);
    return {
      className: r.className,
      apply: r.make(config),
      getConfig: () => serializeOptions(where, r.options, config),
    };
  };
  const wrap = (className: string, apply: F): Member<F> => ({
    className,
    apply,
    getConfig: () => ({}),
  });
  const named = (
    where: string,
    option: string,
    name: string,
    config: object | undefined,
  ): Member<F> => {
    const found = table.get(name) ?? byClass.get(name);
    if (found) return create(found, `${where}: ${option} ${name}`, config);
    const own = custom.get(name);
    if (own) return wrap(name, own);
    const names = [...table.keys(), ...custom.keys()];
    const camel = name.replace(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
    const near = names.includes(camel) ? camel : nearest(name, names);
    const hint = near
      ? `did you mean ${JSON.stringify(near)}?`
      : `the ${kind}s are ${names.join(", ")}`;
    throw new ArgumentError(
      expected(where, `\`${option}\` to be the name of a known ${kind}`, name && `"${name}"`, hint),
    );
  };

  const get = (where: string, option: string, given: unknown): Member<F> => {
    if (typeof given === "string") return named(where, option, given, undefined);
    const builtIn = byFunction.get(given);
    if (builtIn) return create(builtIn, `${where}: ${option} ${builtIn.className}`);
    // Any other function is taken at its word: its signature can't be checked at run time.
    if (typeof given === "function") return wrap(nameOf(given as F), given as F);
    if (typeof given === "object" && given !== null) {
      const object = given as Partial<Member<F>> & { config?: unknown };
      if (typeof object.apply === "function") {
        // A member, or an object of the user's own with `apply`.
        return typeof object.getConfig === "function" && typeof object.className === "string"
          ? (object as Member<F>)
          : wrap(object.className ?? unnamed, object.apply.bind(object) as F);
      }
      if (typeof object.className === "string") {
        const config = object.config ?? {};
        if (typeof config !== "object") {
          throw new ArgumentError(expected(where, `\`${option}.config\` to be an object`, config));
        }
        return named(where, option, object.className, config);
      }
    }
    throw new ArgumentError(
      expected(
        where,
        `\`${option}\` to be the name of ${article(kind)}, a function, or { className, config }`,
        given,
      ),
    );
  };
  const nameOf = (f: F): string => {
    for (const [name, own] of custom) if (own === f) return name;
    return unnamed;
  };
  const serialize = (member: Member<F>, where: string, option: string): Json => {
    if (!byClass.has(member.className) && !custom.has(member.className)) {
      throw new ArgumentError(
        `${where}: \`${option}\` is ${article(kind)} of your own without a registered name, so it can't ` +
          `be written to a configuration; register${kind[0]!.toUpperCase()}${kind.slice(1)}() gives it one`,
      );
    }
    return { className: member.className, config: member.getConfig() };
  };

  const make: Record<string, (options?: object) => Member<F>> = {};
  for (const [name, r] of table) {
    make[name] = (options) => create(r, `${kind} ${name}`, options);
    byFunction.set(make[name], r);
    // Of two names for one function (swish, silu) the first is its name.
    if (r.op && !byFunction.has(r.op)) byFunction.set(r.op, r);
  }
  return {
    kind,
    // Built from the same table, key by key.
    make: make as unknown as Family<F, R>["make"],
    get,
    serialize,
    register: (name, f) => {
      if (typeof name !== "string" || name === "" || typeof f !== "function") {
        throw new ArgumentError(
          expected(`register ${kind}`, "a name and a function", `${name}, ${typeof f}`),
        );
      }
      if (table.has(name) || byClass.has(name)) {
        throw new ArgumentError(`register ${kind}: ${JSON.stringify(name)} is built in`);
      }
      custom.set(name, f);
    },
    field: (fallback) => ({
      required: false,
      parse: (where, option, given) => get(where, option, given ?? fallback),
      serialize,
    }),
    optional: () => nullable({ required: false, parse: get, serialize }),
  };
}

const article = (noun: string): string => `${/^[aeiou]/.test(noun) ? "an" : "a"} ${noun}`;
