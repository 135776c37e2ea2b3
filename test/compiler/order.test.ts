/** The order of fusion's units against an array that is searched. */
import { expect, test } from "vitest";
import { Order } from "../../src/compiler/order.js";
import { random } from "../helpers/random.js";

test("moves and removals keep the order of an array", () => {
  const next = random(3);
  const order = new Order<number>();
  const array: number[] = [];
  for (let i = 0; i < 60; i++) {
    order.append(i);
    array.push(i);
  }
  const check = (): void => {
    const labels = array.map((item) => order.labelOf(item));
    expect(labels).toEqual([...labels].sort((a, b) => a - b));
    expect(new Set(labels).size).toBe(labels.length);
  };
  const place = (): number => Math.floor(next() * array.length);
  for (let turn = 0; turn < 500; turn++) {
    // Mostly before the same one: halves of halves run out, and the labels are given anew.
    const other = turn % 5 === 0 ? array[place()]! : array[Math.min(7, array.length - 1)]!;
    const moved = array[place()]!;
    if (moved !== other) {
      order.moveBefore(moved, other);
      array.splice(array.indexOf(moved), 1);
      array.splice(array.indexOf(other), 0, moved);
    }
    if (turn % 12 === 0) order.remove(array.splice(place(), 1)[0]!);
    if (turn % 50 === 0) {
      order.append(1000 + turn);
      array.push(1000 + turn);
    }
    check();
  }
  // All the way to one, from either end.
  while (array.length > 1) {
    order.remove(array.length % 2 ? array.pop()! : array.shift()!);
    check();
  }
});
