/** The backends that `setBackend` can choose here, for suites that run tensors rather than Programs. */
import { beforeAll, describe } from "vitest";
import type { BackendName } from "../../src/backend/backend.js";
import { setBackend } from "../../src/backend/select.js";
import { addon, addonMissing } from "./executors.js";

export const backends: readonly BackendName[] = addon ? ["typescript", "native"] : ["typescript"];

/** One suite per backend; the native one is skipped, with the reason in its name, where it can't load. */
export function onEachBackend(subject: string, suite: (name: BackendName) => void): void {
  describe.each(backends)(`${subject} on %s`, (name) => {
    beforeAll(() => setBackend(name));
    suite(name);
  });
  if (!addon) describe.skip(`${subject} on native (${addonMissing})`, () => {});
}
