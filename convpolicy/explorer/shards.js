// What each rank owns, computes, receives and sends if the input is cut over ranks, as in sharding.py, from the cells of a plan.

const RANKS = [1, 4];

function shardsOf(plan, view, ranks) {
  // the shards of equal cuts, or the reason why there are none
  if (plan.reason) return { reason: plan.reason };
  if (!plan.outputs) return { reason: shortageOf(plan, view) };
  const size = Math.ceil(view.length / ranks), cut = (rank) => Math.min(rank * size, view.length), owner = (sample) => Math.floor(sample / size);
  const outputCut = (samples) => (samples >= view.length ? plan.outputs : Math.min(plan.transposed ? samples * view.stride : Math.ceil(samples / view.stride), plan.outputs));
  const shards = Array.from({ length: ranks }, (_, rank) => {
    const owned = [cut(rank), cut(rank + 1)], produced = owned.map(outputCut), receives = [];
    for (const sample of readBy(plan, view, produced)) {
      const last = receives[receives.length - 1];
      if (owner(sample) === rank) continue;
      if (last && last[0] === owner(sample) && last[2] === sample) last[2] += 1;
      else receives.push([owner(sample), sample, sample + 1]);
    }
    return { rank, owned, produced, receives, sends: [], pieces: produced[0] < produced[1] ? [(plan.transposed ? transposedPieceOf : pieceOf)(plan, view, produced)] : [] };
  });
  for (const { rank, receives } of shards) for (const [source, first, end] of receives) shards[source].sends.push([rank, first, end]);
  return shards;
}

function shortageOf(plan, view) {
  const { left, right, full } = plan, window = (view.kernel - 1) * view.dilation + 1, start = `input of length ${view.length} is too short: `;
  if (plan.transposed) return `${start}${left} and ${right} samples are cut from a full result of ${full}, which leaves no output; pass a longer input or cut less.`;
  return `${start}padded to ${left + view.length + right} samples it is shorter than one window of ${window}; pass at least ${window - left - right} samples.`;
}

function readBy(plan, view, [first, end]) {
  // the samples that outputs depend on, sorted; a bar is an output, of a transposed plan a sample
  const samples = new Set();
  for (let bar = plan.transposed ? 0 : first; bar < (plan.transposed ? plan.bars : end); bar += 1)
    for (const position of reads(plan, view, bar)) {
      const cell = plan.cells.get(position);
      for (const [, source] of cell ? cell.terms : [])
        if (!plan.transposed && source >= 0) samples.add(source);
        else if (plan.transposed && source >= first && source < end) samples.add(bar);
    }
  return [...samples].sort((a, b) => a - b);
}

function pieceOf(plan, view, [first, end]) {
  // the positions that the windows of outputs span: samples, and elements that the rank adds
  const start = positionOf(plan, view, first, 0), stop = positionOf(plan, view, end - 1, view.kernel - 1) + 1;
  const inside = (position) => Math.min(Math.max(position, 0), view.length);
  const before = Array.from({ length: Math.max(Math.min(stop, 0) - start, 0) }, (_, place) => start + place), from = Math.max(start, view.length);
  const after = Array.from({ length: Math.max(stop - from, 0) }, (_, place) => from + place);
  return { reads: [inside(start), inside(stop)], left: before.length, right: after.length, added: [...before, ...after] };
}

function transposedPieceOf(plan, view, [first, end]) {
  // what the rank cuts from the full result of its samples, once for each time that the result goes around the output
  const { left, outputs } = plan, { stride, length } = view, reach = (view.kernel - 1) * view.dilation, turns = [];
  const around = plan.circular ? [-Math.floor((left + outputs - 1) / outputs), Math.floor((plan.full - 1 - left) / outputs)] : [0, 0];
  for (let turn = around[0]; turn <= around[1]; turn += 1) {
    const [start, stop] = [first, end].map((output) => output + left + turn * outputs);
    const low = Math.min(Math.max(Math.ceil((start - reach) / stride), 0), length), high = Math.min(Math.max(Math.floor((stop - 1) / stride) + 1, low), length);
    const isCut = start - low * stride, full = (high - low - 1) * stride + reach + 1;
    if (low < high) turns.push({ reads: [low, high], left: isCut, right: full - isCut - (end - first) });
  }
  return { turns: turns.length ? turns : [{ reads: [0, 0], left: 0, right: first - end }], added: [] };
}

const ranksOf = () => (state.ranks === null ? 3 : state.ranks);
const between = ([first, end]) => Array.from({ length: end - first }, (_, place) => first + place);

function shardsDrawn(plan, shards, view, first, name) {
  const unit = plan.transposed ? view.stride : 1, hop = plan.transposed ? 1 : view.stride, rows = [];
  const x = (place) => MARGIN + (place - first) * CELL;
  let y = 16, last = 0;
  const label = (text) => rows.push(`<text x="${MARGIN - 8}" y="${y + 17}" text-anchor="end">${text}</text>`);
  const note = ([from, end], text) => rows.push(`<text x="${(x(from * unit) + x(end * unit)) / 2}" y="${y - 3}" text-anchor="middle">${text}</text>`);
  const box = (place, width, kind, text) => {
    const size = `x="${x(place) + 1}" y="${y}" width="${width * CELL - 2}" height="${HEIGHT}"`;
    rows.push(`<g class="shard ${kind}"><rect ${size}${kind.startsWith("result") ? ' rx="9"' : ""}/>${kind === "pad" ? `<rect class="hatching" ${size}/>` : ""}` +
      `<text x="${x(place) + width * CELL / 2}" y="${y + 17}" text-anchor="middle">${escaped(text)}</text></g>`);
    last = Math.max(last, place + width);
  };
  const samples = (range, kind) => between(range).forEach((sample) => box(sample * unit, unit, kind, sample + (plan.transposed ? 0 : 1)));
  label("input");
  rows.push(`<text x="${MARGIN - 8}" y="${y - 3}" text-anchor="end">owner</text>`);
  for (const { rank, owned } of shards) {
    samples(owned, `own rank-${rank}`);
    if (owned[0] < owned[1]) note(owned, rank);
  }
  for (const { rank, owned, produced, receives, pieces } of shards) {
    y += HEIGHT + 24;
    label(`rank ${rank}`);
    samples(owned, `own rank-${rank}`);
    for (const [source, ...range] of receives) {
      samples(range, `halo rank-${source}`);
      note(range, range[0] < owned[0] ? `${source} →` : `← ${source}`);
    }
    for (const piece of pieces) for (const position of piece.added) box(position, 1, "pad", plan.cells.get(position).text);
    y += HEIGHT + 4;
    label("outputs");
    between(produced).forEach((output) => box(output * hop, hop, `result rank-${rank}`, output + (plan.transposed ? 1 : 0)));
  }
  const width = x(last) + 8, height = y + HEIGHT + 8;
  return `<svg data-shards="${name}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" aria-hidden="true">${rows.join("")}</svg>`;
}

function shardText(plan, { owned, produced, receives, sends, pieces }) {
  const samples = (positions) => listed(positions.map((position) => position + (plan.transposed ? 0 : 1)));
  const moved = (transfers, preposition) => [...new Set(transfers.map(([rank]) => rank))].map((rank) =>
    `${samples(transfers.filter(([other]) => other === rank).flatMap(([, ...range]) => between(range)))} ${preposition} rank ${rank}`).join("; ") || "nothing";
  const some = (noun, text) => (text === "none" ? `no ${noun}` : `${noun} ${text}`);
  const added = (left, right) => [[left, "before"], [right, "after"]].filter(([count]) => count).map(([count, place]) => `${count} ${count === 1 ? "element" : "elements"} ${place}`);
  const cuts = (turns) => turns.map(({ left, right }) => `${left} left and ${right} right`);
  const padding = pieces.map(({ turns, left, right }) => (!turns ? `adds ${added(left, right).join(" and ") || "no padding"}`
    : turns.length === 1 ? `cuts ${cuts(turns)[0]} of its result` : `sums ${turns.length} results, cut ${cuts(turns).join("; ")}`));
  return [`owns ${some("samples", samples(between(owned)))}`, `computes ${some("outputs", listed(between(produced).map((output) => output + (plan.transposed ? 1 : 0))))}`,
    `receives ${moved(receives, "from")}`, `sends ${moved(sends, "to")}`, ...padding].join(" | ");
}

const LEGEND_SHARDS = {
  halo: "sample received from the rank that the arrow names", pad: "padding that the rank adds (Σ: sum of samples)", result: "output that the rank computes",
};

function showShards() {
  const ranks = ranksOf(), kinds = new Set();
  byId("ranks").value = ranks;
  byId("ranks-value").textContent = ranks;
  const shards = Object.fromEntries(SIDES.map((name) => [name, shardsOf(plans[name], state, ranks)]));
  const drawable = SIDES.filter((name) => !shards[name].reason);
  const first = Math.min(0, ...drawable.filter(() => !state.up).map((name) => -plans[name].left));
  byId("shards").innerHTML = SIDES.map((name) => `<h3>${name.toUpperCase()}: ${escaped(titleOf(name))}</h3>` +
    (shards[name].reason ? `<p>– ${escaped(shards[name].reason)}</p>` : shardsDrawn(plans[name], shards[name], state, first, name))).join("");
  for (const drawing of byId("shards").querySelectorAll(".shard")) kinds.add(drawing.classList[1]);
  const owners = drawable.length ? Array.from({ length: ranks }, (_, rank) => [`own rank-${rank}`, `owned by rank ${rank}`]) : [];
  byId("shard-legend").innerHTML = [...owners, ...Object.entries(LEGEND_SHARDS).filter(([kind]) => kinds.has(kind))].map(([kind, meaning]) => {
    const box = `x="1" y="1" width="14" height="12"${kind === "result" ? ' rx="5"' : ""}`;
    return `<li><svg width="16" height="14" aria-hidden="true"><g class="shard ${kind}"><rect ${box}/>${kind === "pad" ? `<rect class="hatching" ${box}/>` : ""}</g></svg>${meaning}</li>`;
  }).join("");
  byId("sharded").innerHTML = [`${state.length} samples are cut over ${ranks} ${ranks === 1 ? "rank" : "ranks"}.`, ...drawable.flatMap((name) =>
    shards[name].map((shard) => `${name.toUpperCase()}, rank ${shard.rank}: ${shardText(plans[name], shard)}`))].map((line) => `<p>${escaped(line)}</p>`).join("");
}
