/**
 * The optimizer around an update rule: learning rate, clipping, weight decay, gradient accumulation,
 * averaging of parameters, constraints, and the state of it all in variables. `applyGradients` only
 * records formulas and assignments, so inside a traced step everything becomes part of its Program.
 */
import { gradientsOf } from "../autodiff/gradient.js";
import { evaluateSync } from "../backend/run.js";
import {
  ArgumentError,
  checkBoolean,
  checkInteger,
  checkKeys,
  checkNumber,
  checkPositive,
  expected,
  ShapeError,
  StateError,
  show,
} from "../errors.js";
import { add, cast, equal, floorDiv, mod, mul, notEqual, sub, where } from "../ops/elementwise.js";
import { currentTrace, withGraphKept, withTrace, withVariableLog } from "../tensor/scope.js";
import { sameShape, showShape } from "../tensor/shape.js";
import { leaf, literal, Tensor, zerosLeaf } from "../tensor/tensor.js";
import { Variable } from "../tensor/variable.js";
import { clipGradients } from "./clipping.js";
import type { Rule, RuleOptions, Slots } from "./rules.js";
import { isSchedule, type LearningRateSchedule } from "./schedules.js";
import { countRows, rowsOf } from "./sparse.js";

/** Options that every optimizer has. */
export interface CommonOptions {
  learningRate?: number | LearningRateSchedule;
  /** Decoupled: each update first shrinks a parameter by learningRate · weightDecay. */
  weightDecay?: number | null;
  /** Parameters that are not decayed: part of their name, or a pattern. */
  excludeFromWeightDecay?: readonly (string | RegExp)[];
  /** Largest magnitude of a gradient's element. */
  clipValue?: number | null;
  /** Largest norm of each gradient. */
  clipNorm?: number | null;
  /** Largest norm of all gradients together. */
  globalClipNorm?: number | null;
  /** Updates happen every so many steps, with the mean gradient of these steps. */
  gradientAccumulationSteps?: number | null;
  /** Keeps an exponential moving average of each parameter. */
  useEma?: boolean;
  emaMomentum?: number;
  /** Every so many updates the parameters are set to their averages; null: only at the end of `fit`. */
  emaOverwriteFrequency?: number | null;
  name?: string;
}

const commonKeys = [
  "learningRate",
  "weightDecay",
  "excludeFromWeightDecay",
  "clipValue",
  "clipNorm",
  "globalClipNorm",
  "gradientAccumulationSteps",
  "useEma",
  "emaMomentum",
  "emaOverwriteFrequency",
  "name",
] as const satisfies readonly (keyof CommonOptions)[];

/** Keras' and PyTorch's words for the same. */
const optionAliases = {
  lr: "learningRate",
  learning_rate: "learningRate",
  betas: "beta1",
  beta_1: "beta1",
  beta_2: "beta2",
  eps: "epsilon",
  alpha: "rho",
  decay: "weightDecay",
  weight_decay: "weightDecay",
  clipvalue: "clipValue",
  clipnorm: "clipNorm",
  global_clipnorm: "globalClipNorm",
} as const;

type Settings = Required<Omit<CommonOptions, "learningRate" | "name">>;

/** A variable of an optimizer's state and what it belongs to. */
export interface StateEntry {
  /** The parameter, or null for state that all share. */
  readonly parameter: Variable | null;
  readonly slot: string;
  readonly variable: Variable;
}

/** Brings a parameter back into its allowed set after an update. */
export type ConstraintOf = (parameter: Variable) => ((w: Tensor) => Tensor) | undefined;

interface ParameterState {
  readonly slots: Readonly<Record<string, Variable>>;
  readonly accumulated: Variable | null;
  readonly average: Variable | null;
}

/** Changes parameters along their gradients by one of the rules. */
export class Optimizer {
  readonly name: string;
  /** The rule's name, under which the optimizer is saved. */
  readonly className: string;
  /** Steps taken, as an int32 scalar. */
  readonly iterations: Variable;
  readonly #rule: Rule<RuleOptions>;
  readonly #options: RuleOptions;
  #swapped = false;
  readonly #settings: Settings;
  readonly #schedule: LearningRateSchedule | null;
  /** The rule's own options that follow a schedule. */
  readonly #scheduled: Readonly<Record<string, LearningRateSchedule>>;
  readonly #rate: Variable;
  readonly #scalars: Readonly<Record<string, Variable>>;
  readonly #parameters = new Map<Variable, ParameterState>();

  /** @internal Use `optimizers.adam()` and its like. */
  constructor(rule: Rule<RuleOptions>, given: CommonOptions & Record<string, unknown>) {
    const where_ = `optimizer ${rule.name}`;
    checkKeys(where_, given, [...Object.keys(rule.defaults), ...commonKeys], optionAliases);
    const own: Record<string, number | boolean> = { ...rule.defaults };
    const scheduled: Record<string, LearningRateSchedule> = {};
    for (const [key, standard] of Object.entries(rule.defaults)) {
      const value = given[key];
      if (value === undefined) continue;
      if (typeof standard === "boolean") {
        checkBoolean(where_, key, value);
        own[key] = value;
      } else if (isSchedule(value) && rule.scheduled?.includes(key as never)) {
        scheduled[key] = value;
        // Stands for the schedule where only matters whether the option is in use.
        own[key] = 1;
      } else {
        const below1 = /^(beta|rho|momentum)/.test(key);
        checkNumber(where_, key, value, 0, below1 ? 1 : Infinity);
        own[key] = value;
      }
    }
    this.#rule = rule;
    this.#options = own;
    this.#scheduled = scheduled;
    this.name = given.name ?? rule.name;
    this.className = rule.name;
    this.#settings = settingsOf(where_, rule, given);
    const rate = given.learningRate ?? rule.learningRate;
    if (isSchedule(rate)) {
      this.#schedule = rate;
    } else {
      checkNumber(where_, "learningRate", rate, 0);
      this.#schedule = null;
    }
    const start = typeof rate === "number" ? rate : rate.at(0);
    this.#rate = new Variable(
      leaf(Float32Array.of(start), [], "float32"),
      `${this.name}/learningRate`,
      false,
    );
    this.iterations = new Variable(zerosLeaf([], "int32"), `${this.name}/iterations`, false);
    this.#scalars = Object.fromEntries(
      Object.entries(rule.scalars ?? {}).map(([key, value]) => [
        key,
        new Variable(leaf(Float32Array.of(value), [], "float32"), `${this.name}/${key}`, false),
      ]),
    );
  }

  /** The present learning rate; a schedule's value at the next update. */
  get learningRate(): number {
    return this.#schedule ? this.#schedule.at(this.#updates()) : this.#rate.storage()[0]!;
  }

  /** Sets the learning rate; takes effect at the next step, without compiling again. */
  set learningRate(value: number) {
    if (this.#schedule) {
      throw new StateError(
        `optimizer ${this.name}: the learning rate follows ${this.#schedule.scheduleName} and can't be set; ` +
          "make the optimizer with a number to set it by hand",
      );
    }
    checkNumber(`optimizer ${this.name}`, "learningRate", value, 0);
    this.#rate.storageForUpdate()[0] = value;
  }

  /** Makes the state of parameters; does nothing for those that have theirs. */
  build(parameters: readonly Variable[]): void {
    for (const parameter of parameters) {
      if (this.#parameters.has(parameter)) continue;
      if (parameter.dtype !== "float32") {
        throw new ArgumentError(
          expected(
            `optimizer ${this.name}`,
            `a float32 parameter ${parameter.name}`,
            parameter.dtype,
          ),
        );
      }
      const state = (slot: string, value: number): Variable => {
        const initial = zerosLeaf(parameter.shape, "float32");
        if (value !== 0) initial.values!.fill(value);
        // The constructor rather than variable(): state may be made while a step is traced.
        return new Variable(initial, `${this.name}/${parameter.name}/${slot}`, false);
      };
      const average = this.#settings.useEma ? state("average", 0) : null;
      // One that joins later, as when layers are thawed, has no first update of its own.
      if (average && this.#updates() > 0) average.storageForUpdate().set(parameter.storage());
      const slots = Object.entries(this.#rule.slots(this.#options));
      this.#parameters.set(parameter, {
        slots: Object.fromEntries(slots.map(([slot, value]) => [slot, state(slot, value)])),
        accumulated: this.#settings.gradientAccumulationSteps
          ? state("accumulatedGradients", 0)
          : null,
        average,
      });
    }
  }

  /** Updates so far; a step that only adds up gradients is none. */
  #updates(): number {
    const every = this.#settings.gradientAccumulationSteps ?? 1;
    return Math.floor(this.iterations.storage()[0]! / every);
  }

  /**
   * Updates parameters by their gradients. Inside a compiled function this records; elsewhere it
   * computes at once.
   */
  applyGradients(
    gradients: readonly (readonly [Tensor, Variable])[],
    constraintOf: ConstraintOf = () => undefined,
  ): void {
    if (!currentTrace()) {
      withPending(() => this.applyGradients(gradients, constraintOf));
      return;
    }
    const parameters = gradients.map(([, parameter]) => parameter);
    for (const [gradient, parameter] of gradients) {
      if (!(parameter instanceof Variable) || !(gradient instanceof Tensor)) {
        throw new ArgumentError(
          expected(`optimizer ${this.name}`, "pairs [gradient, variable]", show(parameter)),
        );
      }
      if (!sameShape(gradient.shape, parameter.shape)) {
        throw new ShapeError(
          `optimizer ${this.name}: gradient ${showShape(gradient.shape)} for parameter ${parameter.name} of shape ${showShape(parameter.shape)}`,
        );
      }
    }
    this.build(parameters);
    const { gradientAccumulationSteps: every, useEma, emaMomentum } = this.#settings;
    const { emaOverwriteFrequency: overwriteEvery } = this.#settings;
    const raw = this.iterations.read();
    const updates = every ? floorDiv(raw, every) : raw;
    // Null: every step is an update.
    const due = every ? equal(mod(add(raw, 1), every), 0) : null;
    const choose = (yes: Tensor, no: Tensor): Tensor => (due ? where(due, yes, no) : yes);

    let step = gradients.map(([gradient]) => gradient);
    if (every) {
      step = step.map((g, i) => {
        const { accumulated } = this.#parameters.get(parameters[i]!)!;
        const total = add(accumulated!.read(), g);
        accumulated!.assign(where(due!, literal(0, "float32"), total));
        return mul(total, 1 / every);
      });
    }
    // Gradients of tables that were read by index, where only their rows need be changed.
    const rows = parameters.map((parameter, i) =>
      this.#changesRows(parameter, step[i]!, constraintOf) ? rowsOf(step[i]!) : null,
    );
    step = clipGradients(
      step.map((g, i) => rows[i]?.gradient ?? g),
      this.#settings,
    );

    const rate = this.#schedule ? this.#schedule(updates) : this.#rate.read();
    const t = cast(add(updates, 1), "float32");
    const { values, keep } = this.#common(t, rate);
    const present = mapValues(this.#scheduled, (schedule) => schedule(updates));
    for (const [key, value] of Object.entries(keep ?? {})) {
      const scalar = this.#scalars[key]!;
      scalar.assign(choose(value, scalar.read()));
    }
    parameters.forEach((parameter, i) => {
      const state = this.#parameters.get(parameter)!;
      const whole = parameter.read();
      const part = rows[i]!;
      const old = part ? part.of(whole) : whole;
      const slots = mapValues(state.slots, (v) => (part ? part.of(v.read()) : v.read()));
      const start = this.#decays(parameter)
        ? sub(old, mul(old, mul(rate, this.#settings.weightDecay!)))
        : old;
      const updated = this.#rule.update(
        start,
        part ? part.spread(step[i]!) : step[i]!,
        slots,
        { rate, ...values, ...present },
        this.#options,
      );
      if (part) {
        for (const [slot, value] of Object.entries(updated.slots ?? {})) {
          const variable = state.slots[slot]!;
          variable.assign(part.into(variable.read(), value));
        }
        parameter.assign(part.into(whole, updated.w));
        return;
      }
      for (const [slot, value] of Object.entries(updated.slots ?? {})) {
        state.slots[slot]!.assign(choose(value, slots[slot]!));
      }
      const constraint = constraintOf(parameter);
      const allowed = constraint ? constraint(updated.w) : updated.w;
      const next = choose(allowed, old);
      if (!useEma) parameter.assign(next);
      else {
        const average = state.average!;
        const previous = average.read();
        // The first update starts the average at the parameter itself.
        const weight = mul(cast(notEqual(updates, 0), "float32"), emaMomentum);
        const moved = add(mul(previous, weight), mul(next, sub(1, weight)));
        average.assign(choose(moved, previous));
        const overwrite = overwriteEvery && equal(mod(add(updates, 1), overwriteEvery), 0);
        parameter.assign(overwrite ? choose(where(overwrite, moved, next), old) : next);
      }
    });
    if (this.#schedule) this.#rate.assign(rate);
    this.iterations.assign(add(raw, 1));
  }

  #common(t: Tensor, rate: Tensor): { values: Slots; keep?: Slots } {
    if (!this.#rule.common) return { values: {} };
    const scalars = mapValues(this.#scalars, (v) => v.read());
    return this.#rule.common(t, rate, this.#options, scalars);
  }

  /**
   * Whether only the rows that were read are updated: where the others would stay what they are, or where
   * the parameter says so.
   */
  #changesRows(parameter: Variable, gradient: Tensor, constraintOf: ConstraintOf): boolean {
    const { gradientAccumulationSteps, useEma } = this.#settings;
    const count = countRows(gradient);
    if (count === Infinity || gradientAccumulationSteps || useEma || constraintOf(parameter)) {
      return false;
    }
    if (parameter.sparse) return true;
    const rests = this.#rule.rests?.(this.#options) === true && !this.#decays(parameter);
    // With as many reads as rows, a pass over the table is as good.
    return rests && count < parameter.shape[0]!;
  }

  #decays(parameter: Variable): boolean {
    const { weightDecay, excludeFromWeightDecay } = this.#settings;
    if (!weightDecay) return false;
    // search() rather than test(), which goes on from where a pattern with `g` or `y` matched last.
    return !excludeFromWeightDecay.some((pattern) =>
      typeof pattern === "string"
        ? parameter.name.includes(pattern)
        : parameter.name.search(pattern) >= 0,
    );
  }

  /**
   * Takes one step down the gradient of `f`, a function without arguments that reads variables and
   * returns a scalar; returns its value. Wrap the call in `lw.compile` to compile the step once.
   *
   * @example
   * const x = lw.variable(5);
   * const sgd = lw.optimizers.sgd({ learningRate: 0.1 });
   * for (let i = 0; i < 50; i++) sgd.minimize(() => x.square());
   * x.read().item(); // 0.00007…
   */
  minimize(f: () => Tensor, variables?: readonly Variable[]): Tensor {
    if (!currentTrace()) return withPending(() => this.minimize(f, variables));
    const read = new Set<Variable>();
    return withGraphKept(() => {
      const value: unknown = withVariableLog(read, f);
      if (!(value instanceof Tensor) || value.size !== 1) {
        throw new ArgumentError(
          expected(
            `${this.name}.minimize()`,
            "a function that returns a scalar tensor",
            show(value),
          ),
        );
      }
      const list = variables ?? [...read].filter((v) => v.trainable && v.dtype === "float32");
      if (list.length === 0) {
        throw new StateError(`${this.name}.minimize(): the function reads no trainable variable`);
      }
      const gradients = gradientsOf(value, list);
      this.applyGradients(list.map((v, i) => [gradients[i]!, v] as const));
      return value;
    });
  }

  /** Whether moving averages of the parameters are kept. */
  get usesEma(): boolean {
    return this.#settings.useEma;
  }

  /** @internal Whether the parameters hold their averages now. */
  get swapped(): boolean {
    return this.#swapped;
  }

  /** Exchanges each parameter with its moving average; the same call takes it back. */
  swapEma(): void {
    this.#swapped = !this.#swapped;
    for (const [parameter, { average }] of this.#parameters) {
      if (!average || this.iterations.storage()[0] === 0) continue;
      const values = parameter.storage().slice();
      parameter.storageForUpdate().set(average.storage());
      average.storageForUpdate().set(values);
    }
  }

  /** Overwrites each parameter with its moving average: what `fit` does at its end. */
  finalizeVariableValues(): void {
    for (const [parameter, { average }] of this.#parameters) {
      if (!average || this.iterations.storage()[0] === 0) continue;
      parameter.storageForUpdate().set(average.storage());
    }
  }

  /** Every variable of the state, with what it belongs to. */
  state(): StateEntry[] {
    const entries: StateEntry[] = [
      { parameter: null, slot: "iterations", variable: this.iterations },
      { parameter: null, slot: "learningRate", variable: this.#rate },
    ];
    for (const [slot, variable] of Object.entries(this.#scalars)) {
      entries.push({ parameter: null, slot, variable });
    }
    for (const [parameter, { slots, accumulated, average }] of this.#parameters) {
      for (const [slot, variable] of Object.entries(slots)) {
        entries.push({ parameter, slot, variable });
      }
      if (accumulated) {
        entries.push({ parameter, slot: "accumulatedGradients", variable: accumulated });
      }
      if (average) entries.push({ parameter, slot: "average", variable: average });
    }
    return entries;
  }

  /** The state's variables. */
  get variables(): Variable[] {
    return this.state().map(({ variable }) => variable);
  }

  /** Options from which the optimizer can be made again; patterns are written as text. */
  getConfig(): Record<string, unknown> {
    const { excludeFromWeightDecay, ...rest } = this.#settings;
    return {
      name: this.name,
      learningRate: this.#schedule
        ? { className: this.#schedule.scheduleName, config: this.#schedule.config }
        : this.#rate.storage()[0]!,
      ...this.#options,
      ...mapValues(this.#scheduled, ({ scheduleName, config }) => ({
        className: scheduleName,
        config,
      })),
      ...rest,
      excludeFromWeightDecay: excludeFromWeightDecay.map((pattern) =>
        typeof pattern === "string" ? pattern : { source: pattern.source, flags: pattern.flags },
      ),
    };
  }
}

function settingsOf(where_: string, rule: Rule<RuleOptions>, given: CommonOptions): Settings {
  const {
    weightDecay = rule.weightDecay ?? null,
    excludeFromWeightDecay = [],
    clipValue = null,
    clipNorm = null,
    globalClipNorm = null,
    gradientAccumulationSteps = null,
    useEma = false,
    emaMomentum = 0.99,
    emaOverwriteFrequency = null,
  } = given;
  if (weightDecay !== null) checkNumber(where_, "weightDecay", weightDecay, 0);
  const clips = { clipValue, clipNorm, globalClipNorm };
  const set = Object.entries(clips).filter(([, value]) => value !== null);
  // A limit of 0 would divide 0 by 0 for a gradient that is 0, an infinite one ∞ by ∞.
  for (const [key, value] of set) checkPositive(where_, key, value);
  if (set.length > 1) {
    throw new ArgumentError(
      expected(where_, "at most one kind of clipping", set.map(([key]) => key).join(" and ")),
    );
  }
  if (gradientAccumulationSteps !== null) {
    checkInteger(where_, "gradientAccumulationSteps", gradientAccumulationSteps, 2);
  }
  if (
    !Array.isArray(excludeFromWeightDecay) ||
    !excludeFromWeightDecay.every((p) => typeof p === "string" || p instanceof RegExp)
  ) {
    throw new ArgumentError(
      expected(
        where_,
        "`excludeFromWeightDecay` to be an array of texts and patterns",
        show(excludeFromWeightDecay),
      ),
    );
  }
  checkBoolean(where_, "useEma", useEma);
  checkNumber(where_, "emaMomentum", emaMomentum, 0, 1);
  if (emaOverwriteFrequency !== null) {
    checkInteger(where_, "emaOverwriteFrequency", emaOverwriteFrequency, 1);
  }
  return {
    weightDecay,
    excludeFromWeightDecay,
    ...clips,
    gradientAccumulationSteps,
    useEma,
    emaMomentum,
    emaOverwriteFrequency,
  };
}

function mapValues<A, B>(record: Readonly<Record<string, A>>, f: (a: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, f(value)]));
}

/**
 * Runs `body` as if it were traced, then computes what it returned and assigned in one Program: an
 * eager step costs one run, however many parameters it updates.
 */
function withPending<T>(body: () => T): T {
  const values = new Map<Variable, Tensor>();
  const assigned = new Map<Variable, Tensor>();
  const result = withTrace(
    {
      read(variable) {
        let value = values.get(variable);
        if (!value) {
          value = variable.peek();
          values.set(variable, value);
        }
        return value;
      },
      assign(variable, value) {
        values.set(variable, value);
        assigned.set(variable, value);
      },
    },
    body,
  );
  const wanted = [...assigned.values()];
  evaluateSync(result instanceof Tensor ? [...wanted, result] : wanted);
  for (const [variable, value] of assigned) variable.assign(value);
  return result;
}
