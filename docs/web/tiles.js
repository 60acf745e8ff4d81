/**
 * Exact tiles: each reads its part of a plane of latents and a halo around it, as far as there is
 * a plane, and gives what no border of its own has touched.
 *
 * @typedef {{start: number, stop: number}} Interval
 * @typedef {{reads: Interval, gives: Interval}} Piece  Of an axis, in latents.
 * @typedef {{rows: Piece, columns: Piece}} Tile
 */

/**
 * Cut an axis into pieces that all read equally many latents.
 *
 * At an end of the axis a piece needs no halo, and gives more instead. Equal reads are one shape
 * to the network, whose memory is then laid out once.
 *
 * @param {number} size  Latents along the axis.
 * @param {number} halo  Latents that a piece reads on each side of what it gives.
 * @param {number} most  The most latents that a piece may read, at least 2 * halo + 1.
 * @returns {Piece[]}
 */
export function cutAxis(size, halo, most) {
  if (size <= most) {
    const whole = { start: 0, stop: size };
    return [{ reads: whole, gives: whole }];
  }
  const inner = size - 2 * halo;
  const count = Math.ceil(inner / (most - 2 * halo));
  const step = Math.ceil(inner / count);
  const length = step + 2 * halo;
  /** @type {number[]} */
  const starts = [];
  for (let start = 0; start + length < size; start += step) starts.push(start);
  starts.push(size - length);
  return starts.map((start, index) => ({
    reads: { start, stop: start + length },
    gives: {
      start: index === 0 ? 0 : start + halo,
      stop: index === starts.length - 1 ? size : starts[index + 1] + halo,
    },
  }));
}

/**
 * Cut a plane into the tiles that compute least twice, in the order of reading.
 *
 * @param {number} height  In latents, as all here.
 * @param {number} width
 * @param {number} halo
 * @param {number} most  The most latents that a tile may read, which bounds its memory; where not
 *   even the smallest tile fits, that one is taken.
 * @returns {Tile[]}
 */
export function cutPlane(height, width, halo, most) {
  const least = 2 * halo + 1;
  /** @type {{rows: Piece[], columns: Piece[]}} */
  let best = { rows: [], columns: [] };
  let bestCost = Infinity;
  for (let rowsRead = Math.min(height, least); rowsRead <= height; rowsRead++) {
    const columnsRead = Math.max(Math.floor(most / rowsRead), Math.min(width, least));
    const fits = rowsRead * Math.min(columnsRead, width) <= most;
    if (!fits && bestCost < Infinity) break;
    const rows = cutAxis(height, halo, rowsRead);
    const columns = cutAxis(width, halo, columnsRead);
    const cost = read(rows) * read(columns);
    if (cost < bestCost) [best, bestCost] = [{ rows, columns }, cost];
  }
  return best.rows.flatMap((rows) => best.columns.map((columns) => ({ rows, columns })));
}

/** @param {Interval} interval */
export function sizeOf(interval) {
  return interval.stop - interval.start;
}

/** The latents that pieces of an axis read in all. @param {Piece[]} pieces */
function read(pieces) {
  return pieces.reduce((sum, piece) => sum + sizeOf(piece.reads), 0);
}
