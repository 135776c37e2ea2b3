/** A minimal reader of XML tags for tests of SVG and HTML: enough to see that they nest. */
const voidTags = new Set(["meta", "img", "br"]);

/** Names of all elements in document order; throws when tags don't nest or an attribute is unquoted. */
export function elementsOf(markup: string): string[] {
  const names: string[] = [];
  const open: string[] = [];
  const tag = /<(!doctype html)>|<(\/?)([a-zA-Z][\w-]*)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>|(<)/g;
  for (const [, doctype, close, name, , selfClosed, stray] of markup.matchAll(tag)) {
    if (doctype) continue;
    if (stray) throw new Error(`stray "<" among ${names.slice(-3).join(", ")}`);
    if (close) {
      const expected = open.pop();
      if (expected !== name) throw new Error(`</${name}> closes <${expected}>`);
    } else {
      names.push(name!);
      if (!selfClosed && !voidTags.has(name!)) open.push(name!);
    }
  }
  if (open.length > 0) throw new Error(`<${open.join("><")}> not closed`);
  return names;
}
