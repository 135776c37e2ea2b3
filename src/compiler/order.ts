/**
 * An order in which things can change places at little cost: a list whose members have labels that rise along it
 * (Dietz & Sleator, "Two algorithms for maintaining order in a list", STOC 1987, in its plainest form).
 */
interface Place<T> {
  readonly item: T;
  label: number;
  before: Place<T> | null;
  after: Place<T> | null;
}

export class Order<T> {
  readonly #places = new Map<T, Place<T>>();
  #first: Place<T> | null = null;
  #last: Place<T> | null = null;

  /** Behind all others. */
  append(item: T): void {
    const place: Place<T> = {
      item,
      label: this.#last ? this.#last.label + 1 : 0,
      before: this.#last,
      after: null,
    };
    if (this.#last) this.#last.after = place;
    else this.#first = place;
    this.#last = place;
    this.#places.set(item, place);
  }

  /** A number that is larger for what comes later; moves may change it. */
  labelOf(item: T): number {
    return this.#places.get(item)!.label;
  }

  remove(item: T): void {
    this.#unlink(this.#places.get(item)!);
    this.#places.delete(item);
  }

  /** Right before another one. */
  moveBefore(item: T, other: T): void {
    const place = this.#places.get(item)!;
    const next = this.#places.get(other)!;
    this.#unlink(place);
    place.before = next.before;
    place.after = next;
    if (next.before) next.before.after = place;
    else this.#first = place;
    next.before = place;
    const below = place.before ? place.before.label : next.label - 2;
    place.label = (below + next.label) / 2;
    if (place.label <= below || place.label >= next.label) this.#relabel();
  }

  #unlink(place: Place<T>): void {
    if (place.before) place.before.after = place.after;
    else this.#first = place.after;
    if (place.after) place.after.before = place.before;
    else this.#last = place.before;
  }

  /** There was no number left between two. */
  #relabel(): void {
    let label = 0;
    for (let place = this.#first; place; place = place.after) place.label = label++;
  }
}
