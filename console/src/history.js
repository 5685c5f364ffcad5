// What the nodes count since their start, made into rates: one point a second, for five minutes.

export const HISTORY_MS = 5 * 60 * 1000;
/** More than this between two events is a gap: nobody looked, or the stream was away. */
export const GAP_MS = 4000;

const sum = (list, pick) => list.reduce((all, item) => all + (pick(item) ?? 0), 0);
const total = (counts) => Object.values(counts ?? {}).reduce((all, n) => all + n, 0);

/** How much the sum over the nodes has grown. A node that was not there, or began anew, has no before. */
function growth(before, nodes, pick) {
  return sum(nodes, (node) => {
    const old = before.get(node.node);
    const grown = old ? (pick(node) ?? 0) - (pick(old) ?? 0) : 0;
    return Math.max(grown, 0);
  });
}

/** The histograms' growth: [[le, count], ..], still cumulative. */
function latencyGrowth(before, nodes) {
  const bounds = nodes[0]?.publish_to_write ?? [];
  return bounds.map(([le], i) => [le, growth(before, nodes, (n) => n.publish_to_write?.[i]?.[1])]);
}

/** Seconds within which a share of what a cumulative histogram counts lies; null: it counts nothing. */
export function quantile(buckets, share) {
  const all = buckets.at(-1)?.[1] ?? 0;
  if (!all) return null;
  const wanted = all * share;
  let [from, below] = [0, 0];
  for (const [le, count] of buckets) {
    if (count >= wanted) {
      if (le === null) return from;
      const inside = count - below;
      return inside ? from + ((le - from) * (wanted - below)) / inside : le;
    }
    [from, below] = [le, count];
  }
  return from;
}

function addHistograms(list) {
  const first = list.find((h) => h.length) ?? [];
  return first.map(([le], i) => [le, sum(list, (h) => h[i]?.[1])]);
}

export class History {
  points = [];
  /** Asked for beside the events: how many users there are, while somebody asks. */
  users = null;
  #before = new Map();
  #at = 0;

  /** Takes a nodes event. */
  add({ time, nodes }) {
    const ms = time - this.#at;
    const isGap = !this.#at || ms > GAP_MS || ms <= 0;
    const before = isGap ? new Map() : this.#before;
    const rate = (pick) => (isGap ? null : (growth(before, nodes, pick) * 1000) / ms);
    const point = {
      time,
      websockets: sum(nodes, (n) => n.websockets),
      users: this.users,
      publishes: rate((n) => n.publishes),
      refused: growth(before, nodes, (n) => n.publishes_refused),
      deliveries: rate((n) => n.deliveries),
      sent: rate((n) => n.sent_bytes),
      received: rate((n) => n.received_bytes),
      cpu: rate((n) => n.cpu_seconds),
      closes: growth(before, nodes, (n) => total(n.closes)),
      slow: growth(before, nodes, (n) => (n.closes?.slow ?? 0) + (n.closes?.stuck ?? 0)),
      refusals: growth(before, nodes, (n) => total(n.refusals)),
      latency: latencyGrowth(before, nodes),
      byNode: new Map(nodes.map((n) => [n.node, this.#ofNode(before.get(n.node), n, ms)])),
    };
    this.#before = new Map(nodes.map((n) => [n.node, n]));
    this.#at = time;
    const recent = this.points.filter((p) => p.time > time - HISTORY_MS && p.time < time);
    this.points = [...recent, point];
    this.#addQuantiles(point);
  }

  #ofNode(old, node, ms) {
    if (!old) return { deliveries: null, cpu: null };
    const per = (pick) => Math.max(0, ((pick(node) - pick(old)) * 1000) / ms);
    return { deliveries: per((n) => n.deliveries), cpu: per((n) => n.cpu_seconds) };
  }

  /** Of the last ten seconds: a single one has too few messages to say much. */
  #addQuantiles(point) {
    const recent = this.points.slice(-10).filter((p) => p.time > point.time - 10_500);
    const buckets = addHistograms(recent.map((p) => p.latency));
    point.p50 = quantile(buckets, 0.5);
    point.p99 = quantile(buckets, 0.99);
  }

  /** What was counted within the window: slow, refused, refusals, closes. */
  recent(name) {
    return sum(this.points, (p) => p[name]);
  }
}

/** { word: n } of all nodes, the most first: [[word, n], ..]. */
export function byKind(nodes, pick) {
  const all = new Map();
  for (const node of nodes)
    for (const [word, n] of Object.entries(pick(node) ?? {}))
      all.set(word, (all.get(word) ?? 0) + n);
  return [...all].filter(([, n]) => n).sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
}
