/** `lw.models`: networks by name; models that learn without labels, and the networks made of them. */
export { type AlexnetOptions, alexnet } from "../models/architectures/alexnet.js";
export { type GooglenetOptions, googlenet } from "../models/architectures/googlenet.js";
export { type Lenet5Options, lenet5 } from "../models/architectures/lenet5.js";
export { type ResnetOptions, resnet } from "../models/architectures/resnet.js";
export { type VggOptions, vgg } from "../models/architectures/vgg.js";
export {
  DeepBeliefNetwork,
  deepBeliefNetwork,
  loadDeepBeliefNetwork,
} from "../models/belief.js";
export type {
  BeliefOptions,
  FineTuneOptions,
  GenerateOptions,
  PretrainLayerOptions,
  PretrainOptions,
} from "../models/beliefoptions.js";
export { loadRbm, RBM, rbm } from "../models/boltzmann.js";
export type {
  GibbsOptions,
  Likelihood,
  LikelihoodOptions,
  PartitionOptions,
  PseudoLikelihoodOptions,
  RbmFitOptions,
  SampleOptions,
} from "../models/boltzmannoptions.js";
export type { Clamp } from "../models/chains.js";
export type { ContrastOptions, SparsityOptions } from "../models/contrast.js";
export type { MachineOptions } from "../models/machine.js";
export type { PartitionEstimate } from "../models/partition.js";
export type { HiddenUnits, UnitGroup, VisibleUnits } from "../models/units.js";
export type { Autoencoder, SequentialFromBelief } from "../models/unrolling.js";
