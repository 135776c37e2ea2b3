/** What is said when a file or directory can't be read because it is not there. */
import { ArgumentError, show } from "../errors.js";

const reasons: Readonly<Record<string, string>> = {
  ENOTDIR: "it is no directory, or lies below a file",
  EISDIR: "it is a directory",
};

/**
 * For the `catch` of a read: a wrong path is the caller's mistake, told with what asked for it. Other
 * failures (of rights, of the disk) are thrown as they are.
 */
export function wrongPath(
  path: string,
  where?: string,
  kind: "file" | "directory" = "file",
): (error: unknown) => never {
  return (error) => {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    const reason = code === "ENOENT" ? `there is no such ${kind}` : reasons[code];
    if (reason === undefined) throw error;
    const what = where?.includes(show(path)) ? [where] : [where, `can't read ${show(path)}`];
    const message = [...what.filter((part) => part !== undefined), reason].join(": ");
    throw new ArgumentError(message, { cause: error });
  };
}
