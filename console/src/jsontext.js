// JSON as text: what was published is shown as it was sent, digit by digit, never printed anew.

/** Why a text is not JSON, as a sentence; '' when it is. */
export function complaint(text) {
  try {
    JSON.parse(text);
    return '';
  } catch (error) {
    return text.trim()
      ? `This is not JSON (${error.message}). A text needs quotes around it.`
      : 'The data is empty. A message has some JSON as its data: null, at least.';
  }
}

/** The text of the last member, "data", of a message event. */
export function dataOf(eventText) {
  // Within strings quotes are escaped, so the first place is the member itself.
  const name = ',"data":';
  return eventText.slice(eventText.indexOf(name) + name.length, eventText.lastIndexOf('}'));
}

const tokens = /"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g;

/** The same JSON with a member or an element a line. */
export function indented(text) {
  const all = text.match(tokens) ?? [];
  let out = '';
  let depth = 0;
  const line = () => `\n${'  '.repeat(depth)}`;
  all.forEach((token, i) => {
    const next = all[i + 1];
    if (token === '{' || token === '[') {
      const isEmpty = next === '}' || next === ']';
      depth++;
      out += isEmpty ? token : token + line();
    } else if (token === '}' || token === ']') {
      depth--;
      const wasEmpty = all[i - 1] === '{' || all[i - 1] === '[';
      out += wasEmpty ? token : line() + token;
    } else if (token === ',') out += token + line();
    else if (token === ':') out += ': ';
    else out += token;
  });
  return out;
}

/** The objects of an array, out of pieces of its text. */
export class Elements {
  items = [];
  #text = '';
  #at = 0;
  #start = 0;
  #depth = 0;
  #inString = false;

  add(piece) {
    this.#text += piece;
    for (; this.#at < this.#text.length; this.#at++) this.#step(this.#text[this.#at]);
    // What is done with need not be kept; what has begun is.
    const from = this.#depth > 1 ? this.#start : this.#at;
    this.#text = this.#text.slice(from);
    this.#at -= from;
    this.#start -= from;
  }

  #step(c) {
    if (this.#inString) {
      if (c === '"') this.#inString = this.#isEscaped();
    } else if (c === '"') {
      this.#inString = true;
    } else if (c === '{' || c === '[') {
      if (++this.#depth === 2) this.#start = this.#at;
    } else if ((c === '}' || c === ']') && --this.#depth === 1) {
      this.items.push(JSON.parse(this.#text.slice(this.#start, this.#at + 1)));
    }
  }

  #isEscaped() {
    let from = this.#at;
    while (this.#text[from - 1] === '\\') from--;
    return (this.#at - from) % 2 === 1;
  }
}
