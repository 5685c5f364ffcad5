// A stream of events (text/event-stream) out of the body of an answer, as the HTML standard reads it.

function eventOf(block) {
  let name = 'message';
  const data = [];
  for (const line of block.split('\n')) {
    const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
    if (field === 'event') name = value ?? '';
    else if (field === 'data') data.push(value ?? '');
  }
  return data.length ? { name, data: data.join('\n') } : null;
}

/** Calls take(name, data) for each event until the stream ends; throws what the body throws. */
export async function readEvents(body, take) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    // A CR may be the half of a CRLF that comes with the next piece.
    text = (text + value).replace(/\r\n/g, '\n');
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const event = eventOf(text.slice(0, end));
      text = text.slice(end + 2);
      if (event) take(event.name, event.data);
    }
  }
}
