/** Networks by name: `lw.models`. */
export { type AlexnetOptions, alexnet } from "../models/architectures/alexnet.js";
export { type GooglenetOptions, googlenet } from "../models/architectures/googlenet.js";
export { type Lenet5Options, lenet5 } from "../models/architectures/lenet5.js";
export { type ResnetOptions, resnet } from "../models/architectures/resnet.js";
export { type VggOptions, vgg } from "../models/architectures/vgg.js";
