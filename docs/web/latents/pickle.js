/**
 * Pickles as data: numbers, texts, lists, mappings, and calls of names that are only recorded.
 * Nothing is run, and an operation that is not needed for data is refused.
 */
import { InputError } from "../errors.js";

/** A name of a module, or a call of one with its arguments. */
export class Named {
  /**
   * @param {string} name
   * @param {any[] | null} called
   */
  constructor(name, called = null) {
    this.name = name;
    this.called = called;
  }
}

/** What lies beside the pickle, under what it is called by. */
export class Elsewhere {
  /** @param {any} identity */
  constructor(identity) {
    this.identity = identity;
  }
}

/**
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {any}
 */
export function readPickle(bytes) {
  try {
    return new Reader(bytes).read();
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError("expected a file of torch.save, found a broken one: save it anew");
  }
}

class Reader {
  /** @type {any[]} */
  stack = [];
  /** @type {any[][]} */
  marked = [];
  /** @type {any[]} */
  memo = [];
  at = 0;

  /** @param {Uint8Array<ArrayBuffer>} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  read() {
    for (;;) {
      const code = this.view.getUint8(this.skip(1));
      if (code === STOP) return this.pop();
      const action = ACTIONS.get(code);
      if (!action) {
        throw new InputError(
          `expected tensors alone, found a pickle with operation ${code}, which is never run: ` +
            "save the latents' tensor alone",
        );
      }
      action(this);
    }
  }

  /** Go on by so many bytes; where they begin. @param {number} count */
  skip(count) {
    const from = this.at;
    this.at += count;
    if (this.at > this.bytes.length) throw new RangeError("a pickle without an end");
    return from;
  }

  /** @param {any} value */
  push(value) {
    this.stack.push(value);
  }

  pop() {
    if (!this.stack.length) throw new RangeError("an empty stack");
    return this.stack.pop();
  }

  mark() {
    this.marked.push(this.stack);
    this.stack = [];
  }

  sinceMark() {
    const items = this.stack;
    const before = this.marked.pop();
    if (!before) throw new RangeError("no mark");
    this.stack = before;
    return items;
  }

  /** @param {number} length */
  text(length) {
    const from = this.skip(length);
    return new TextDecoder().decode(this.bytes.subarray(from, this.at));
  }

  line() {
    const end = this.bytes.indexOf(10, this.at);
    if (end < 0) throw new RangeError("a line without an end");
    const text = this.text(end - this.at);
    this.skip(1);
    return text;
  }

  /** A little-endian number of up to six bytes. @param {number} count */
  number(count) {
    const from = this.skip(count);
    let sum = 0;
    for (let at = this.at - 1; at >= from; at--) sum = sum * 256 + this.bytes[at];
    return sum;
  }

  /** Fill the list or the mapping on the top. @param {any[]} items */
  fill(items) {
    const target = this.stack.at(-1);
    if (target instanceof Map) {
      for (let at = 0; at + 1 < items.length; at += 2) target.set(items[at], items[at + 1]);
    } else if (Array.isArray(target)) {
      target.push(...items);
    } else {
      throw new RangeError("nothing to fill");
    }
  }

  call() {
    const values = this.pop();
    const named = this.pop();
    if (!(named instanceof Named && Array.isArray(values))) throw new RangeError("no name to call");
    const isMapping = named.name === "collections.OrderedDict" && !values.length;
    this.stack.push(isMapping ? new Map() : new Named(named.name, values));
  }
}

const STOP = ".".charCodeAt(0);

/** @type {ReadonlyMap<number, (reader: Reader) => void>} */
const ACTIONS = new Map(
  /** @type {[number | string, (reader: Reader) => void][]} */ ([
    [0x80, (r) => r.skip(1)], // PROTO
    [0x95, (r) => r.skip(8)], // FRAME
    ["N", (r) => r.push(null)],
    [0x88, (r) => r.push(true)],
    [0x89, (r) => r.push(false)],
    ["K", (r) => r.push(r.number(1))],
    ["M", (r) => r.push(r.number(2))],
    ["J", (r) => r.push(r.view.getInt32(r.skip(4), true))],
    [0x8a, (r) => r.push(r.number(r.number(1)))], // LONG1: sizes, which are not negative
    ["G", (r) => r.push(r.view.getFloat64(r.skip(8)))],
    ["X", (r) => r.push(r.text(r.number(4)))],
    [0x8c, (r) => r.push(r.text(r.number(1)))],
    ["}", (r) => r.push(new Map())],
    ["]", (r) => r.push([])],
    [")", (r) => r.push([])],
    ["(", (r) => r.mark()],
    ["t", (r) => r.push(r.sinceMark())],
    [0x85, (r) => r.push(r.stack.splice(-1))],
    [0x86, (r) => r.push(r.stack.splice(-2))],
    [0x87, (r) => r.push(r.stack.splice(-3))],
    ["a", (r) => r.fill([r.pop()])],
    ["e", (r) => r.fill(r.sinceMark())],
    ["s", (r) => r.fill([r.pop(), r.pop()].reverse())],
    ["u", (r) => r.fill(r.sinceMark())],
    ["q", (r) => (r.memo[r.number(1)] = r.stack.at(-1))],
    ["r", (r) => (r.memo[r.number(4)] = r.stack.at(-1))],
    [0x94, (r) => r.memo.push(r.stack.at(-1))],
    ["h", (r) => r.push(r.memo[r.number(1)])],
    ["j", (r) => r.push(r.memo[r.number(4)])],
    ["c", (r) => r.push(new Named([r.line(), r.line()].join(".")))],
    [0x93, (r) => r.push(new Named([r.pop(), r.pop()].reverse().join(".")))],
    ["Q", (r) => r.push(new Elsewhere(r.pop()))],
    ["R", (r) => r.call()],
  ]).map(([code, action]) => [typeof code === "string" ? code.charCodeAt(0) : code, action]),
);
