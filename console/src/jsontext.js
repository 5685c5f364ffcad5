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
