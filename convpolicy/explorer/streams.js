// What a stream keeps and has returned after each sample, from the integers of its schedule, as in schedule.py and transposed.py.

function streamOf(plan, view) {
  // the integers of a schedule, or the reason why the layer cannot be streamed
  if (plan.reason) return { reason: plan.reason };
  const isNumbers = Array.isArray(plan.rule), mode = offered().modes[plan.mode].stream, window = (view.kernel - 1) * view.dilation + 1;
  const start = isNumbers ? 0 : rowEntry(DATA.rows[offered().rules[plan.rule].stream], windowNumber(view));
  if (plan.transposed) {
    if (mode < 0 || start < 0) return refusal(mode < 0 ? mode : start);
    const [left, held] = isNumbers ? [plan.left, Math.max(plan.right + view.stride - window, 0)] : DATA.starts[start];
    if (plan.left !== left || plan.right + view.stride - window > held) return { reason: `For other lengths, the cut at the start is ${left}.` };
    return { left, held, overlap: Math.max(window - view.stride, 0), transposed: true };
  }
  if (start < 0) return refusal(start);
  const [left, held, least, ...pairs] = isNumbers ? [plan.left, Math.max(-plan.right, 0), Math.max(-plan.left, 0)] : DATA.starts[start];
  let first = Math.max(least, left >= window + held ? 1 : 0), last = 0;
  for (const [before, after] of isNumbers ? [plan.rule] : pairs.map((pair) => DATA.pairs[pair])) {
    const entry = rowEntry(DATA.rows[mode], DATA.widths.findIndex(([a, b]) => a === Math.max(before, 0) && b === Math.max(after, 0)));
    if (entry < 0) return refusal(entry);
    first = Math.max(first, DATA.waits[entry][0]);
    last = Math.max(last, DATA.waits[entry][1]);
  }
  return { left, held, first, last, window: window + held };
}

// the number of outputs that were returned after a number of samples, before the end
function returnedAfter(stream, view, samples) {
  if (stream.transposed) return samples ? Math.max(samples * view.stride - stream.left - stream.held, 0) : 0;
  const room = stream.left + samples - stream.window;
  return room >= 0 && samples >= Math.max(stream.first, 1) ? Math.floor(room / view.stride) + 1 : 0;
}

function keptAfter(stream, view, samples) {
  // the positions in the arrays of the state, without the number of samples; of a transposed convolution, positions of outputs
  const span = (first, stop) => Array.from({ length: Math.max(stop - first, 0) }, (_, place) => first + place);
  if (stream.transposed) {
    const complete = samples * view.stride - stream.left;
    return { partial: samples ? span(complete, complete + stream.overlap) : [], waiting: samples ? span(Math.max(complete - stream.held, 0), complete) : [] };
  }
  const { left, first, last, window } = stream, surely = left >= 0 ? Math.max(window - view.stride, 0) : 0;
  const kept = { start: span(0, Math.min(first, samples)), tail: last > surely ? span(Math.max(samples - last, 0), samples) : [], pending: [] };
  if (samples < first) return kept;
  const padded = left + samples;
  const hops = window >= view.stride ? (padded >= window ? Math.floor((padded - window) / view.stride) + 1 : 0) : Math.floor(padded / view.stride);
  return { ...kept, pending: span(hops * view.stride - left, samples) };
}

function delayOf(stream, view) {
  // how many samples an output waits after the end of its hop, as Streaming.delay
  const [hop, parts] = stream.transposed ? [1, view.stride] : [view.stride, 1];
  let outputs = 0, latest = 0;
  for (let came = 1; outputs < 4 * parts || came <= 4 * (hop + 1); came += 1) {
    const complete = returnedAfter(stream, view, came);
    if (complete > outputs) latest = Math.max(latest, came - Math.ceil((outputs + 1) * hop / parts));
    outputs = complete;
  }
  return latest;
}

const timeOf = () => (state.time === null ? Math.ceil(state.length / 2) : Math.min(state.time, state.length + 1));

function momentOf(plan, stream, view, time) {
  // everything that the drawing and the text say of one time; after the last sample, the stream is flushed
  const ended = time > view.length, samples = Math.min(time, view.length), kept = ended ? {} : keptAfter(stream, view, samples);
  const returned = ended ? plan.outputs : Math.min(returnedAfter(stream, view, samples), plan.outputs);
  const begun = Math.min(stream.transposed ? samples * view.stride : Math.floor(samples / view.stride), plan.outputs);
  return { ended, samples, kept: new Set(Object.values(kept).flat()), partial: new Set(kept.partial), returned, begun, before: Math.min(returnedAfter(stream, view, view.length), plan.outputs) };
}

function streamDrawn(plan, stream, view, time, first, name) {
  const now = momentOf(plan, stream, view, time), unit = stream.transposed ? view.stride : 1, hop = stream.transposed ? 1 : view.stride;
  const inputs = stream.transposed ? view.length : view.length + Math.max(plan.right, 0);
  const x = (place) => MARGIN + (place - first) * CELL, rows = [];
  const box = (place, width, y, kind, text) => rows.push(`<g class="moment ${kind}"><rect x="${x(place) + 1}" y="${y}" width="${width * CELL - 2}" height="${HEIGHT}"/>` +
    (kind === "waits" || kind === "partial" ? `<rect class="hatching" x="${x(place) + 1}" y="${y}" width="${width * CELL - 2}" height="${HEIGHT}"/>` : "") +
    `<text x="${x(place) + width * CELL / 2}" y="${y + 17}" text-anchor="middle">${escaped(text)}</text></g>`);
  for (let position = stream.transposed ? 0 : -Math.max(plan.left, 0); position < inputs; position += 1) {
    const came = stream.transposed || position >= 0 ? position < now.samples : now.samples >= stream.first;
    const isCome = now.ended || (came && position < view.length);
    const kind = !isCome ? "future" : !stream.transposed && now.kept.has(position) ? "kept" : "read";
    box(position * unit, unit, 8, kind, stream.transposed ? position : plan.cells.get(position).text);
  }
  for (let output = 0; output < plan.outputs; output += 1) {
    const kind = output < now.returned ? "returned" : now.partial.has(output) ? "partial" : output < now.begun || now.kept.has(output) && stream.transposed ? "waits" : "future";
    box(output * hop, hop, HEIGHT + 16, kind, stream.transposed ? output + 1 : output);
  }
  const at = x(now.samples * unit), height = 2 * HEIGHT + 24, width = Math.max(x(inputs * unit), x(plan.outputs * hop)) + 8;
  rows.push(`<path class="now" d="M${at} 2V${height - 2}"/>`, ...["input", "outputs"].map((text, row) => `<text x="${MARGIN - 8}" y="${25 + row * (HEIGHT + 8)}" text-anchor="end">${text}</text>`));
  return `<svg data-stream="${name}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" aria-hidden="true">${rows.join("")}</svg>`;
}

function listed(numbers) {
  // numbers as text, three and more in a row as "4 to 7"
  const texts = [];
  for (let start = 0, end; start < numbers.length; start = end) {
    for (end = start + 1; end < numbers.length && numbers[end] === numbers[end - 1] + 1; ) end += 1;
    texts.push(...(end - start > 2 ? [`${numbers[start]} to ${numbers[end - 1]}`] : numbers.slice(start, end)));
  }
  return texts.join(", ") || "none";
}

function streamText(plan, stream, view, time) {
  const now = momentOf(plan, stream, view, time), base = stream.transposed ? 1 : 0, delay = delayOf(stream, view);
  const outputs = (first, stop) => listed(Array.from({ length: Math.max(stop - first, 0) }, (_, place) => first + place + base));
  const waits = `delay ${delay} ${delay === 1 ? "sample" : "samples"}`;
  if (now.ended && !plan.outputs) return `at the end flush refuses the input, which is shorter than a window | ${waits}`;
  if (now.ended) return `at the end flush returns outputs ${outputs(now.before, plan.outputs)} | ${waits}`;
  const kept = [...now.kept].sort((a, b) => a - b), inside = kept.filter((position) => position >= 0 && (!stream.transposed || position < plan.outputs));
  const added = stream.transposed ? 0 : kept.length - inside.length;
  const padding = added ? ` and ${added} added ${added > 1 ? "elements" : "element"}` : "";
  return `keeps ${stream.transposed ? "sums of outputs" : "samples"} ${listed(inside.map((position) => position + 1))}${padding} | ` +
    `returned outputs ${outputs(0, now.returned)} | waiting ${outputs(now.returned, now.begun)} | ${waits}`;
}

const LEGEND_STREAM = {
  read: "has come, is not needed any more", kept: "has come and is kept", future: "is still to come", returned: "was returned",
  waits: "waits for later samples", partial: "sum that later samples still change",
};

function showStreams() {
  const time = timeOf(), kinds = new Set();
  byId("time").max = state.length + 1;
  byId("time").value = time;
  const text = time > state.length ? "end" : `${time} of ${state.length}`;
  byId("time").setAttribute("aria-valuetext", text);
  byId("time-value").textContent = text;
  const streams = Object.fromEntries(SIDES.map((name) => [name, plans[name].cells ? streamOf(plans[name], state) : { reason: plans[name].reason }]));
  const first = Math.min(0, ...SIDES.filter((name) => plans[name].cells && !state.up).map((name) => -plans[name].left));
  byId("streams").innerHTML = SIDES.map((name) => `<h3>${name.toUpperCase()}: ${escaped(titleOf(name))}</h3>` +
    (streams[name].reason ? `<p>– ${escaped(streams[name].reason)}</p>` : streamDrawn(plans[name], streams[name], state, time, first, name))).join("");
  for (const drawing of byId("streams").querySelectorAll(".moment")) kinds.add(drawing.classList[1]);
  byId("stream-legend").innerHTML = Object.entries(LEGEND_STREAM).filter(([kind]) => kinds.has(kind)).map(([kind, meaning]) =>
    `<li><svg width="16" height="14" aria-hidden="true"><g class="moment ${kind}"><rect x="1" y="1" width="14" height="12"/>${kind === "waits" || kind === "partial" ? '<rect class="hatching" x="1" y="1" width="14" height="12"/>' : ""}</g></svg>${meaning}</li>`).join("");
  const came = time > state.length ? `All ${state.length} samples have come.` : `${time} of ${state.length} samples have come.`;
  byId("streamed").innerHTML = [came, ...SIDES.filter((name) => !streams[name].reason).map((name) => `${name.toUpperCase()}: ${streamText(plans[name], streams[name], state, time)}`)]
    .map((line) => `<p>${escaped(line)}</p>`).join("");
}
