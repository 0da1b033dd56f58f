"use strict";
// Looks plans up in the tables that Python made; only the positions of windows are computed here.

let DATA;

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text.trim()), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

function windowNumber(view) {
  const span = (name) => DATA.ranges[name][1] - DATA.ranges[name][0] + 1;
  const place = (name) => view[name] - DATA.ranges[name][0];
  return (place("kernel") * span("stride") + place("stride")) * span("dilation") + place("dilation");
}

const rowEntry = (row, place) => (row.length === 1 ? row[0] : row[place]);
const refusal = (entry) => ({ reason: DATA.texts[-1 - entry] });

function paddingOf(policy, padding) {
  // the rule and the mode of a padding under a policy: its names first, then rules, then numbers
  if (padding === "") return { rule: policy.padding, mode: policy.mode };
  const own = policy.words.find((name) => name[0] === padding);
  if (own) return { rule: own[1], mode: own[2] < 0 ? policy.mode : own[2] };
  const rule = offered().rules.findIndex((known) => known.name === padding);
  if (rule >= 0) return { rule, mode: policy.mode };
  const numbers = padding.split(",").map(Number);
  return { rule: numbers.length === 1 ? [numbers[0], numbers[0]] : numbers.slice(0, 2), mode: policy.mode };
}

function planOf(side, view) {
  const policy = offered().policies.find((known) => known.name === side.policy);
  const meant = paddingOf(policy, side.padding);
  const chosen = offered().modes.findIndex((known) => known.name === side.mode);
  const mode = side.mode === "" || chosen < 0 ? meant.mode : chosen;
  const common = { rule: meant.rule, mode };
  const refused = policy.refused[`${view.stride},${view.dilation}`];
  if (refused !== undefined) return { ...common, ...refusal(refused) };
  const number = windowNumber(view);
  const lengthPlace = view.length - DATA.ranges.length[0];
  let pads, isStatic = true;
  if (Array.isArray(meant.rule)) pads = meant.rule;
  else {
    const rule = offered().rules[meant.rule];
    const row = DATA.rows[Array.isArray(rule.rows) ? rule.rows[number] : rule.rows];
    const entry = rowEntry(row, lengthPlace);
    if (entry < 0) return { ...common, ...refusal(entry) };
    pads = (state.up ? DATA.crops : DATA.pairs)[entry];
    isStatic = rule.static[number] === "1";
  }
  if (state.up) return transposedPlanOf({ ...common, isStatic }, pads, view);
  const [left, right] = pads;
  const widths = DATA.widths.findIndex(([a, b]) => a === Math.max(left, 0) && b === Math.max(right, 0));
  const table = DATA.modes[mode].added;
  const entry = Array.isArray(table) ? DATA.added[table[lengthPlace]][widths] : table;
  if (entry < 0) return { ...common, left, right, ...refusal(entry) };
  const [before, after] = DATA.ends[entry].map((end) => DATA.sides[end]);
  const outputs = rowEntry(DATA.rows[DATA.outputs[number]], Math.max(left + view.length + right, 0));
  return { ...common, left, right, outputs, bars: outputs, isStatic, cells: cellsOf(left, right, view.length, before, after) };
}

function cellsOf(left, right, length, before, after) {
  // position -> cell; a position below 0, or equal to or above the length, is an added element
  const cells = new Map();
  for (let place = 1; place < before.length; place += 1) cells.set(place - 1 - left, added(before[0], before[place], (source) => source));
  for (let position = 0; position < length; position += 1) {
    const isCut = position < -left || position >= length + right;
    cells.set(position, { kind: isCut ? "cut" : "sample", text: String(position + 1), terms: [[1, position]] });
  }
  for (let place = 1; place < after.length; place += 1)
    cells.set(length + place - 1, added(after[0], after[place], (source) => (source < 0 ? -1 : length - 1 - source)));
  return cells;
}

function added(constant, element, place) {
  const terms = Array.isArray(element) ? element.map(([share, source]) => [share, place(source)]) : [[1, place(element)]];
  if (terms.every(([, source]) => source < 0)) return { kind: "constant", text: terms.length ? constant : "0", terms: [] };
  if (terms.length === 1 && terms[0][0] === 1) return { kind: "copy", text: String(terms[0][1] + 1), terms };
  return { kind: "sum", text: "Σ", terms };
}

function formula(cell) {
  return cell.terms.map(([share, source], number) => {
    const sign = share < 0 ? (number ? " − " : "−") : number ? " + " : "";
    const factor = Math.abs(share) === 1 ? "" : `${+Math.abs(share).toPrecision(3)}·`;
    return sign + factor + (source < 0 ? "c" : source + 1);
  }).join("");
}

// of a transposed plan: where an input sample, the bar, reaches the output
const positionOf = (plan, view, output, tap) => output * view.stride - plan.left + tap * view.dilation;

function reads(plan, view, output) {
  return Array.from({ length: view.kernel }, (_, tap) => positionOf(plan, view, output, tap));
}

function readers(plan, view, sample) {
  // outputs that read a sample or an added element that depends on it
  const outputs = [];
  for (let output = 0; output < plan.bars; output += 1) {
    const taps = reads(plan, view, output).map((position) => plan.cells.get(position));
    if (taps.some((cell) => cell && cell.terms.some(([, source]) => source === sample))) outputs.push(output);
  }
  return outputs;
}

const sign = (number) => (number > 0 ? "+" : number < 0 ? "-" : "0");

function codeOf(framework, plan, view) {
  const written = offered().codes[framework];
  if (plan.reason) return { reason: plan.reason };
  if (!Array.isArray(plan.rule) && plan.mode === offered().plain) {
    const entry = rowEntry(DATA.rows[written.rules[plan.rule]], windowNumber(view));
    if (entry >= 0) return { code: filled(DATA.templates[entry], plan, view) };
  }
  const shape = `${sign(plan.left)}${sign(plan.right)}${+(plan.left === plan.right)}${+(view.stride > 1)}${+(view.dilation > 1)}`;
  const entry = written.numbers[plan.mode][state.up ? transposedForm(plan, view) : shape];
  if (entry < 0) return { reason: filled(refusal(entry).reason, plan, view) };
  const note = plan.isStatic ? "" : `# pads: for inputs of length ${view.length} only\n`;
  return { code: note + filled(DATA.templates[entry], plan, view) };
}

function filled(template, plan, view) {
  const numbers = { kernel_size: view.kernel, stride: view.stride, dilation: view.dilation, left: plan.left, right: plan.right };
  if (state.up) Object.assign(numbers, transposedNumbers(plan, view));
  return template.replace(/⟨(\w+)⟩/g, (_, name) => Math.abs(numbers[name]));
}
