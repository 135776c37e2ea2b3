/** `lw.models`: models that learn without labels, and the networks that are made of them. */
export {
  type GibbsOptions,
  type Likelihood,
  type LikelihoodOptions,
  loadRbm,
  type PartitionOptions,
  type PseudoLikelihoodOptions,
  RBM,
  type RbmFitOptions,
  rbm,
  type SampleOptions,
} from "../models/boltzmann.js";
export type { Clamp } from "../models/chains.js";
export type { ContrastOptions, SparsityOptions } from "../models/contrast.js";
export type { MachineOptions } from "../models/machine.js";
export type { PartitionEstimate } from "../models/partition.js";
export type { HiddenUnits, UnitGroup, VisibleUnits } from "../models/units.js";
