/**
 * Serve what the flywheel released: copy this file into your application, in Node 18 or a browser. It needs no package.
 *
 *     const releases = readReleases(await readFile("outbox/content/2026-01-05.ndjson", "utf8"));
 *     const served = await serve(releases.get("p-17"), "visitor-1");
 *     show(served.text);
 *     log(await exposure(served));    // one line of landing/events/*.ndjson
 *
 * Here: reading an outbox file, the variant or answer that a unit meets, and the exposure to log.
 * Not here: anything else of the flywheel; `flywheel_serving.py` says the same in Python.
 */

const DIGITS = 13; // 52 bits: exact in a double, in every language

async function webCrypto() {
  return globalThis.crypto ?? (await import("node:crypto")).webcrypto;
}

/** A number in [0, 1) that depends on salt and unit alone. */
export async function point(salt, unit) {
  const { subtle } = await webCrypto();
  const digest = await subtle.digest("SHA-256", new TextEncoder().encode(`${salt}:${unit}`));
  const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return parseInt(hex.slice(0, DIGITS), 16) / 16 ** DIGITS;
}

/** The items of an outbox file by subject. Read it again when the file changes: a withdrawal rewrites it. */
export function readReleases(ndjson) {
  const items = ndjson.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  return new Map(items.map((item) => [item.subject_id, item]));
}

/**
 * What `unit` meets of a subject: the control while it is held out, else the variant at its point.
 *
 * An item of a loop that answers each unit by itself holds one answer, which is served as it is. Throws a TypeError
 * for an identifier that would put all visitors on one side: it must be a text, and the unit's own.
 */
export async function serve(item, unit) {
  if (typeof unit !== "string" || !unit.trim()) {
    throw new TypeError(`A unit is known by a text of its own, such as a visitor's identifier, not by ${unit}.`);
  }
  if (!item.variants) return served(item, unit, item.in_holdout, item);
  if ((await point(item.holdout.salt, unit)) < item.holdout.share) {
    return served(item, unit, true, item.variants.find((variant) => variant.is_control));
  }
  const shares = item.variants.map((variant) => variant.share);
  return served(item, unit, false, item.variants[chosen(shares, await point(item.salt, unit))]);
}

/** The event to log when the unit really met it. */
export async function exposure(served, { occurredAt = new Date(), segment } = {}) {
  const event = {
    event_id: (await webCrypto()).randomUUID(),
    event_type: "exposure",
    loop: served.loop,
    subject_id: served.subject_id,
    variant_id: served.variant.variant_id,
    unit_id: served.unit,
    occurred_at: occurredAt.toISOString(),
    release_id: served.release_id,
    decision_id: served.decision_id,
    segment,
  };
  return Object.fromEntries(Object.entries(event).filter(([, value]) => value !== undefined && value !== null));
}

function served(item, unit, in_holdout, variant) {
  const { loop, subject_id, release_id, decision_id } = item;
  return { loop, subject_id, unit, release_id, decision_id, in_holdout, variant, text: String(variant.text) };
}

/** Index of the interval of [0, 1) that holds `at`; the last positive share takes what rounding leaves. */
function chosen(shares, at) {
  let edge = 0;
  let last = 0;
  for (const [index, share] of shares.entries()) {
    if (share <= 0) continue;
    edge += share;
    last = index;
    if (at < edge) return index;
  }
  return last;
}
