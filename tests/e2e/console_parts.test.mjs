// Parts of the console that need no page: what it makes of texts, numbers and counters.
import assert from 'node:assert/strict';
import test from 'node:test';
import * as format from '../../console/src/format.js';
import { byKind, GAP_MS, History, quantile } from '../../console/src/history.js';
import { complaint, dataOf, Elements, indented } from '../../console/src/jsontext.js';
import { readEvents } from '../../console/src/sse.js';

test('objects are read out of pieces of a list, wherever it is cut', () => {
  const list = [{ a: 'x"]}\\', b: [1, { c: '\\\\"\'' }] }, {}, { d: '😀{[' }, { e: [[], [{}]] }];
  const text = JSON.stringify(list, null, 1);
  for (let size = 1; size <= text.length; size++) {
    const elements = new Elements();
    for (let i = 0; i < text.length; i += size) elements.add(text.slice(i, i + size));
    assert.deepEqual(elements.items, list, `pieces of ${size}`);
  }
});

test('data stays the text that was sent', () => {
  const data = '{"n":1.50,"big":12345678901234567890,"s":",\\"data\\":"}';
  const event = `{"time":1,"app":"a","channel":"c","event":"\\",\\"data\\":","data":${data}}`;
  assert.equal(dataOf(event), data);
  assert.equal(
    indented('{"a":[1.50,{}],"b":"{,\\"","c":[]}'),
    '{\n  "a": [\n    1.50,\n    {}\n  ],\n  "b": "{,\\"",\n  "c": []\n}',
  );
  assert.equal(complaint('[1]'), '');
  assert.match(complaint('hello'), /quotes/);
  assert.match(complaint(' '), /empty/);
});

const streamOf = (pieces) =>
  new ReadableStream({
    start(controller) {
      for (const piece of pieces) controller.enqueue(piece);
      controller.close();
    },
  });

test('a stream of events, wherever it is cut', async () => {
  const bytes = new TextEncoder().encode(
    'event: hello\r\ndata: {"a":"ü"}\r\n\r\n: alive\n\nevent: message\ndata: 1\ndata: 2\n\nevent: unfinished\ndata: 3\n',
  );
  for (let size = 1; size <= bytes.length; size++) {
    const pieces = [];
    for (let i = 0; i < bytes.length; i += size) pieces.push(bytes.slice(i, i + size));
    const seen = [];
    await readEvents(streamOf(pieces), (...event) => seen.push(event));
    assert.deepEqual(
      seen,
      [
        ['hello', '{"a":"ü"}'],
        ['message', '1\n2'],
      ],
      `pieces of ${size}`,
    );
  }
});

const node = (name, more = {}) => ({
  node: name,
  websockets: 1,
  publishes: 0,
  publishes_refused: 0,
  deliveries: 0,
  sent_bytes: 0,
  received_bytes: 0,
  cpu_seconds: 0,
  closes: {},
  refusals: {},
  publish_to_write: [],
  ...more,
});

test('rates are of what has grown, node by node', () => {
  const history = new History();
  const add = (time, ...nodes) => {
    history.add({ time, nodes });
    return history.points.at(-1);
  };
  assert.equal(add(10_000, node('a', { deliveries: 1000 })).deliveries, null);
  // A node that comes later brings nothing of its past.
  const second = add(12_000, node('a', { deliveries: 1400 }), node('b', { deliveries: 5000 }));
  assert.deepEqual([second.deliveries, second.websockets], [200, 2]);
  // One that began anew has no negative rate.
  const third = add(13_000, node('a', { deliveries: 3 }), node('b', { deliveries: 5010 }));
  assert.equal(third.deliveries, 10);
  const slow = { slow: 2, stuck: 1, client: 9 };
  assert.equal(add(14_000, node('a', { closes: slow }), node('b')).slow, 3);
  assert.equal(history.recent('slow'), 3);
  // What grew while nobody looked has no time.
  assert.equal(add(14_000 + GAP_MS + 1, node('a', { deliveries: 9e9 })).deliveries, null);
  assert.deepEqual(
    byKind([{ c: { x: 1, y: 5 } }, { c: { x: 2 } }, {}], (n) => n.c),
    [
      ['y', 5],
      ['x', 3],
    ],
  );
});

test('quantiles of a cumulative histogram', () => {
  assert.equal(
    quantile(
      [
        [1, 0],
        [null, 0],
      ],
      0.5,
    ),
    null,
  );
  assert.equal(
    quantile(
      [
        [1, 0],
        [2, 10],
        [null, 10],
      ],
      0.5,
    ),
    1.5,
  );
  assert.equal(
    quantile(
      [
        [1, 10],
        [2, 10],
        [null, 10],
      ],
      0.99,
    ),
    0.99,
  );
  assert.equal(
    quantile(
      [
        [1, 0],
        [2, 5],
        [null, 10],
      ],
      0.99,
    ),
    2,
  );
});

test('every character of a name can be seen', () => {
  const seen = {
    plain: 'plain',
    ' a b  ': '␣a b␣␣',
    '   ': '␣␣␣',
    'a\tb\n\x7f': 'a␉b␊␡',
    'a\u202eb\u200b\xa0': 'a⟨U+202E⟩b⟨U+200B⟩⟨U+00A0⟩',
    'مرحبا 👩‍💻 می‌خواهم': 'مرحبا 👩‍💻 می‌خواهم',
  };
  for (const [name, text] of Object.entries(seen)) assert.equal(format.visible(name), text);
});

test('numbers as people read them', () => {
  assert.deepEqual([0, 1234, 12_345, null].map(format.count), ['0', '1,234', '12.3K', '–']);
  assert.deepEqual([0, 0.01, 3.14, 9999].map(format.rate), ['0', '<0.1', '3.1', '9,999']);
  assert.deepEqual([0, 1023, 1536, 5 << 20].map(format.bytes), [
    '0 B',
    '1023 B',
    '1.5 KiB',
    '5.0 MiB',
  ]);
  assert.deepEqual([0.00005, 0.0123, 2.5].map(format.latency), ['50 µs', '12 ms', '2.5 s']);
  assert.deepEqual([0, 61, 3600, 90_061].map(format.duration), [
    '0 s',
    '1 min 1 s',
    '1 h',
    '1 d 1 h',
  ]);
});
