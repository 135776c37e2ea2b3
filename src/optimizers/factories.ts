/** The optimizers as users make them, by function or by name. */
import { ArgumentError, expected, FormatError, nearest, show } from "../errors.js";
import { type CommonOptions, Optimizer } from "./optimizer.js";
import type { Rule, RuleOptions } from "./rules.js";
import * as rules from "./rules.js";
import { type LearningRateSchedule, restoreSchedule, type ScheduleConfig } from "./schedules.js";

/** What `compile` takes as an optimizer. */
export type OptimizerIdentifier = string | Optimizer;

/** A rule's own options; those in S may be schedules. */
type OwnOptions<O, S> = {
  -readonly [K in keyof O]?: O[K] extends boolean
    ? boolean
    : K extends S
      ? number | LearningRateSchedule
      : number;
};
type Given<O, S> = OwnOptions<O, S> & CommonOptions;

const known = new Map<string, (given: CommonOptions & Record<string, unknown>) => Optimizer>();

/** The function that makes an optimizer of a rule; a number alone is the learning rate. */
function factory<O extends RuleOptions, S extends keyof O & string = never>(
  rule: Rule<O, S>,
): (options?: Given<O, S> | number) => Optimizer {
  // A rule only ever gets the options that were completed from its own defaults.
  const general = rule as unknown as Rule<RuleOptions>;
  const make = (given: CommonOptions & Record<string, unknown>): Optimizer =>
    new Optimizer(general, given);
  known.set(rule.name, make);
  return (options = {}) => {
    if (typeof options === "number") return make({ learningRate: options });
    if (typeof options !== "object" || options === null) {
      throw new ArgumentError(
        expected(`optimizer ${rule.name}`, "an object with options", show(options)),
      );
    }
    return make({ ...options });
  };
}

/** Gradient descent, with momentum or Nesterov's if asked for. */
export const sgd = factory(rules.sgd);
/** Gradient descent with momentum 0.9. */
export const momentum = factory(rules.momentum);
/** A rate per parameter that falls with the sum of its squared gradients (Duchi et al. 2011). */
export const adagrad = factory(rules.adagrad);
/** Adagrad over a window, in the parameters' own units (Zeiler 2012). */
export const adadelta = factory(rules.adadelta);
/** Gradients divided by their running root mean square (Tieleman & Hinton 2012). */
export const rmsprop = factory(rules.rmsprop);
/** Running averages of gradients and of their squares (Kingma & Ba 2014). */
export const adam = factory(rules.adam);
/** Adam with decoupled weight decay, 0.004 by default (Loshchilov & Hutter 2019). */
export const adamw = factory(rules.adamw);
/** Adam with the infinity norm (Kingma & Ba 2014). */
export const adamax = factory(rules.adamax);
/** Adam with Nesterov momentum (Dozat 2015). */
export const nadam = factory(rules.nadam);
/** The sign of a blend of momentum and gradient (Chen et al. 2023). */
export const lion = factory(rules.lion);

/** What other libraries have as optimizers of their own, and where it is here. */
const variants: Readonly<Record<string, string>> = {
  nesterov: "lw.optimizers.sgd({ momentum: 0.9, nesterov: true })",
  amsgrad: "lw.optimizers.adam({ amsgrad: true })",
};

/** Every optimizer name. */
export function optimizerNames(): string[] {
  return [...known.keys()];
}

/** The optimizer a user means; unknown names are an error with the nearest known one. */
export function resolveOptimizer(where: string, identifier: OptimizerIdentifier): Optimizer {
  if (identifier instanceof Optimizer) return identifier;
  if (typeof identifier !== "string") {
    throw new ArgumentError(
      expected(where, "the name of an optimizer or what lw.optimizers makes", show(identifier)),
    );
  }
  const name = identifier.toLowerCase();
  const make = known.get(identifier) ?? known.get(name);
  if (!make) {
    const variant = Object.hasOwn(variants, name) ? variants[name] : undefined;
    const near = nearest(identifier, [...known.keys(), ...Object.keys(variants)]);
    throw new ArgumentError(
      `${where}: there is no optimizer named ${show(identifier)}; ${
        variant
          ? `it is an option of another: ${variant}`
          : near
            ? `did you mean ${show(near)}?`
            : `the names are ${optimizerNames().join(", ")}; ${Object.values(variants).join(" and ")} are options`
      }`,
    );
  }
  return make({});
}

/** A schedule as `getConfig()` writes it. */
interface SavedSchedule {
  className?: string;
  config?: ScheduleConfig;
}

/** Makes an optimizer from what `className` and `getConfig()` gave. */
export function restoreOptimizer(
  where: string,
  className: string,
  config: Readonly<Record<string, unknown>>,
): Optimizer {
  const make = known.get(className);
  if (!make) throw new FormatError(`${where}: there is no optimizer named ${show(className)}`);
  const given: Record<string, unknown> = { ...config };
  for (const [key, value] of Object.entries(config)) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) continue;
    const { className: name, config: options } = value as SavedSchedule;
    given[key] = restoreSchedule(where, String(name), options ?? {});
  }
  const excluded = given.excludeFromWeightDecay;
  if (Array.isArray(excluded)) {
    given.excludeFromWeightDecay = excluded.map((pattern: unknown) =>
      typeof pattern === "string" ? pattern : restorePattern(where, pattern),
    );
  }
  return make(given);
}

function restorePattern(where: string, value: unknown): RegExp {
  const { source, flags } = (value ?? {}) as { source?: unknown; flags?: unknown };
  try {
    return new RegExp(String(source), String(flags ?? ""));
  } catch {
    throw new FormatError(`${where}: excludeFromWeightDecay has a bad pattern ${show(source)}`);
  }
}
