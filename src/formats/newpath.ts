/** Checks of paths that something is to be written to: before the work whose result goes there. */
import { access, constants } from "node:fs/promises";
import { dirname } from "node:path";
import { ArgumentError, checkPath, expected, show } from "../errors.js";

/** Endings that say that a file is of another program's format. */
const foreign = /\.(h5|hdf5|keras|pb|tflite|onnx|pt|pth|ckpt|npz|json|pkl)$/i;

/** Throws unless `path` is one to write a model or weights to. */
export function checkNewPath(where: string, path: unknown): asserts path is string {
  checkPath(where, path);
  if (foreign.test(path)) {
    throw new ArgumentError(
      expected(
        where,
        "a path that ends in .safetensors, the one format that models are written in",
        show(path),
      ),
    );
  }
}

/** Throws unless the directory that `path` lies in can be written to. */
export async function checkFolderOf(where: string, path: string): Promise<void> {
  await access(dirname(path), constants.W_OK).catch((error: NodeJS.ErrnoException) => {
    const missing = error.code === "ENOENT" || error.code === "ENOTDIR";
    const why = missing ? "does not exist" : "is not writable";
    throw new ArgumentError(`${where}: can't write ${show(path)}: its directory ${why}`, {
      cause: error,
    });
  });
}
