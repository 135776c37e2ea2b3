/** Real data sets, where this machine has them: in `LAYERWISE_TEST_DATA`, or beside the checkout. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Laid out as a cache of downloads is. */
export const testData =
  process.env.LAYERWISE_TEST_DATA ??
  fileURLToPath(new URL("../../../shared/data", import.meta.url));

/** Why tests on a data set are skipped; undefined where its folder is here. */
export function missing(set: string): string | undefined {
  return existsSync(join(testData, set))
    ? undefined
    : `no ${set} in ${testData}; LAYERWISE_TEST_DATA names the folder of data sets`;
}

/** Why tests on MNIST are skipped; undefined where its files are here. */
export const mnistMissing = missing("mnist");
