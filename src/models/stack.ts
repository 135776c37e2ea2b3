/** Restricted Boltzmann machines on top of each other: made to fit, or checked to. */
import { ArgumentError, expected, ShapeError, show } from "../errors.js";
import { mixSeed } from "../tensor/random.js";
import { RBM } from "./boltzmann.js";
import type { MachineOptions } from "./machine.js";
import type { HiddenUnits, UnitGroup } from "./units.js";

/** One layer as a user gives it. */
export type LayerOfStack = Partial<MachineOptions> | RBM;

/**
 * The machines of a stack, from the bottom up. With `classes` the last visible units of the top machine
 * are a softmax group of labels.
 */
export function stackOf(
  place: string,
  layers: readonly LayerOfStack[],
  classes: number,
  seed: number,
): readonly RBM[] {
  const machines: RBM[] = [];
  layers.forEach((given, i) => {
    const labels = i === layers.length - 1 ? classes : 0;
    const below = machines[i - 1];
    const machine =
      given instanceof RBM ? given : made(given, below, labels, `rbm_${i}`, mixSeed(seed, i));
    if (machines.includes(machine)) {
      throw new ArgumentError(`${place}: layer ${i} is the machine of a layer below`);
    }
    if (machines.some(({ name }) => name === machine.name)) {
      throw new ArgumentError(`${place}: two layers have the name ${show(machine.name)}`);
    }
    checkPlace(`${place}: layer ${i}`, machine, below, labels);
    machines.push(machine);
  });
  return machines;
}

/** A machine for what the one below gives, and for so many labels. */
function made(
  given: Partial<MachineOptions>,
  below: RBM | undefined,
  labels: number,
  name: string,
  seed: number,
): RBM {
  const { visible, visibleUnits, ...rest } = { name, seed, ...given };
  const groups = (own: UnitGroup): readonly UnitGroup[] =>
    labels > 0 ? [own, { type: "softmax", units: labels }] : [own];
  // What is missing or does not fit is for the machine's own constructor to say.
  const options = rest as MachineOptions;
  if (below && visible === undefined && visibleUnits === undefined) {
    const { hidden, hiddenUnits } = below.machine.layout;
    const own = { type: visibleLike(hiddenUnits), units: hidden };
    return new RBM({ ...options, visibleUnits: groups(own) });
  }
  if (labels > 0 && visible !== undefined && !Array.isArray(visibleUnits)) {
    const type = (visibleUnits ?? "bernoulli") as UnitGroup["type"];
    return new RBM({ ...options, visibleUnits: groups({ type, units: visible }) });
  }
  return new RBM({
    ...options,
    ...(visible === undefined ? {} : { visible }),
    ...(visibleUnits === undefined ? {} : { visibleUnits }),
  });
}

/** The kind of visible units that hidden ones are to the machine above. */
function visibleLike(hiddenUnits: HiddenUnits): UnitGroup["type"] {
  return hiddenUnits === "bernoulli" ? "bernoulli" : "gaussian";
}

/** Throws unless a machine takes what the one below gives, and labels where there are any. */
function checkPlace(place: string, { machine }: RBM, below: RBM | undefined, labels: number): void {
  const { visible, groups } = machine.layout;
  const wanted = below ? below.machine.layout.hidden + labels : visible;
  if (visible !== wanted) {
    throw new ShapeError(expected(place, `${wanted} visible units`, `${visible}`));
  }
  if (labels === 0) return;
  const last = groups[groups.length - 1]!;
  if (last.type !== "softmax" || last.units !== labels || groups.length < 2) {
    const group = `its last visible units to be a softmax group of ${labels} classes`;
    throw new ArgumentError(expected(place, group, `${last.units} ${last.type} units`));
  }
}
