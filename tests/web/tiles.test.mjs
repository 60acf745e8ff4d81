// Tiles cover every latent once, read their halo wherever there is a plane, and stay within bounds.
import assert from "node:assert/strict";
import { test } from "node:test";
import { cutAxis, cutPlane, sizeOf } from "../../docs/web/tiles.js";

const HALO = 13;
const LEAST = 2 * HALO + 1;

function checkAxis(pieces, size, most) {
  let next = 0;
  for (const { reads, gives } of pieces) {
    assert.equal(gives.start, next, "pieces follow each other");
    assert.ok(sizeOf(gives) > 0, "a piece gives something");
    assert.ok(reads.start <= Math.max(0, gives.start - HALO), "the halo before it is read");
    assert.ok(reads.stop >= Math.min(size, gives.stop + HALO), "the halo behind it is read");
    assert.ok(reads.start >= 0 && reads.stop <= size, "nothing outside is read");
    assert.equal(sizeOf(reads), sizeOf(pieces[0].reads), "all read equally many");
    assert.ok(sizeOf(reads) <= most, "none reads more than it may");
    next = gives.stop;
  }
  assert.equal(next, size, "the axis is covered");
}

test("pieces of an axis are exact and equal", () => {
  for (let size = 1; size <= 200; size++) {
    for (let most = LEAST; most <= 90; most++) checkAxis(cutAxis(size, HALO, most), size, most);
  }
});

test("tiles stay within what they may read", () => {
  for (const [height, width] of [[1, 1], [5, 300], [300, 5], [40, 56], [128, 128], [131, 257]]) {
    for (const most of [1, LEAST ** 2, 1000, 4096, 2 ** 20]) {
      const tiles = cutPlane(height, width, HALO, most);
      const smallest = Math.min(height, LEAST) * Math.min(width, LEAST);
      for (const { rows, columns } of tiles) {
        assert.ok(sizeOf(rows.reads) * sizeOf(columns.reads) <= Math.max(most, smallest));
      }
      const given = tiles.reduce((sum, { rows, columns }) => sum + sizeOf(rows.gives) * sizeOf(columns.gives), 0);
      assert.equal(given, height * width);
      checkAxis(tiles.filter((tile) => tile.rows === tiles[0].rows).map((tile) => tile.columns), width, width);
    }
  }
});

test("a plane that fits is one tile, and a wide one is cut across", () => {
  assert.equal(cutPlane(64, 64, HALO, 64 * 64).length, 1);
  const tiles = cutPlane(32, 512, HALO, 32 * 128);
  assert.ok(tiles.every(({ rows }) => sizeOf(rows.reads) === 32));
});

test("of all cuts into tiles the one that reads least is taken", () => {
  const [height, width, most] = [90, 140, 50 * 60];
  let least = Infinity;
  for (let rows = LEAST; rows <= height; rows++) {
    for (let columns = LEAST; columns <= width && rows * columns <= most; columns++) {
      const read = (size, longest) =>
        cutAxis(size, HALO, longest).reduce((sum, piece) => sum + sizeOf(piece.reads), 0);
      least = Math.min(least, read(height, rows) * read(width, columns));
    }
  }
  const tiles = cutPlane(height, width, HALO, most);
  const found = tiles.reduce((sum, { rows, columns }) => sum + sizeOf(rows.reads) * sizeOf(columns.reads), 0);
  assert.equal(found, least);
});
