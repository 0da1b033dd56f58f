// Plans of transposed convolutions: the cells are the full result, and a bar is what one input sample reaches.

// the policies, rules and modes of the chosen kind of layer
const offered = () => (state.up ? DATA.transposed : DATA);

function transposedPlanOf(common, cuts, view) {
  const [left, right] = cuts, full = (view.length - 1) * view.stride + (view.kernel - 1) * view.dilation + 1;
  const outputs = Math.max(full - left - right, 0), circular = DATA.transposed.modes[common.mode].name.startsWith("circular");
  const plan = { ...common, left, right, full, outputs, circular, transposed: true, bars: outputs ? view.length : 0 };
  const reached = new Set();
  for (let sample = 0; sample < view.length; sample += 1)
    for (const position of reads(plan, view, sample)) reached.add(circular && outputs ? modulo(position, outputs) : position);
  plan.cells = new Map();
  for (let position = -Math.max(left, 0); position < outputs + Math.max(right, 0); position += 1) {
    const inside = position >= 0 && position < outputs;
    const output = circular && outputs ? modulo(position, outputs) : position;
    const kind = inside ? (reached.has(output) ? "sample" : "constant") : circular && outputs ? "copy" : "cut";
    plan.cells.set(position, { kind, text: kind === "cut" ? "" : String(output + 1), terms: kind === "cut" ? [] : [[1, output]] });
  }
  return plan;
}

// the numbers and the form of the code of a transposed layer, as in transposed_codes.py
function transposedNumbers(plan, view) {
  const { left, right } = plan, { kernel, stride, dilation } = view, reach = (kernel - 1) * dilation, window = reach + 1;
  const first = Math.ceil(Math.max(-left, 0) / stride), last = Math.ceil(Math.max(-right, 0) / stride);
  const numbers = { window, before: reach - left, after: reach - right, output_padding: left - right, first, last };
  numbers.keras_output_padding = window - (window % 2) - left - right;
  numbers.first_rest = left + first * stride;
  numbers.last_rest = right + last * stride;
  numbers.trimmed = numbers.last_rest + Math.max(stride - window, 0);
  numbers.wrap_first = Math.max(Math.floor((reach - left) / stride), 0);
  numbers.wrap_last = Math.max(Math.ceil(left / stride), Math.ceil((left + stride - window) / stride), 0);
  numbers.wrap_left = left + numbers.wrap_first * stride;
  numbers.wrap_right = (numbers.wrap_last - 1) * stride + window - left;
  return numbers;
}

function transposedForm(plan, view) {
  const numbers = transposedNumbers(plan, view), { left, right } = plan, { stride, dilation } = view;
  const longer = left - right, total = numbers.window - stride, half = Math.floor(total / 2), wraps = plan.circular && Math.max(left, right) > 0;
  const equal = (first, last) => left === first && right === last;
  const facts = [
    left === right, stride > 1, dilation > 1, longer > 0 && longer < stride, longer > 0 && longer < Math.max(stride, dilation),
    right < 0 && -right < stride, numbers.trimmed <= numbers.window, numbers.last_rest <= numbers.window, equal(0, Math.min(total, 0)),
    total > 0 ? equal(half, total - half) : equal(0, total), equal(total - half, half),
    right - left >= 0 && right - left <= 1 && numbers.keras_output_padding >= 1 - (numbers.window % 2) && numbers.keras_output_padding < stride, wraps, wraps && left + right === total,
  ];
  const wrapped = wraps ? [numbers.wrap_first, numbers.wrap_last, numbers.wrap_left, numbers.wrap_right] : [];
  const signs = [left, right, numbers.first_rest, numbers.last_rest, numbers.trimmed, numbers.before, numbers.after, ...wrapped];
  return signs.map(sign).join("") + facts.map(Number).join("");
}

const modulo = (value, count) => ((value % count) + count) % count;

function reachedBy(plan, view, output) {
  // the pairs sample, tap whose product an output contains
  const pairs = [];
  for (let sample = 0; sample < view.length; sample += 1)
    reads(plan, view, sample).forEach((position, tap) => {
      const cell = plan.cells.get(position);
      if (cell && cell.terms.some(([, source]) => source === output)) pairs.push([sample, tap]);
    });
  return pairs;
}

const LEGEND_TRANSPOSED = {
  sample: "output, numbered from 1", copy: "added to the output with this number", constant: "output that no sample reaches: only the bias",
  cut: "cut away", differs: "differs from the other drawing", window: "what one input sample reaches, a dot at each tap",
};

function pointedAtTransposed(plan, target) {
  // target.output is the number of a bar, an input sample; target.sample the index of an output
  const list = (numbers) => [...new Set(numbers)].join(", ");
  if ("output" in target) {
    if (target.output >= plan.bars) return { outputs: new Set(), positions: new Set(), text: `there is no sample ${target.output}.` };
    const taps = reads(plan, state, target.output), cells = taps.map((tap) => plan.cells.get(tap)).filter((cell) => cell && cell.terms.length);
    const text = cells.length ? `adds to outputs ${list(cells.map((cell) => cell.text))}, numbered from 1` : "reaches no output";
    return { outputs: new Set([target.output]), positions: new Set(taps), text: `sample ${target.output} ${text}.` };
  }
  const bars = readers(plan, state, target.sample);
  const positions = new Set([...plan.cells].filter(([, cell]) => cell.terms.some(([, source]) => source === target.sample)).map(([position]) => position));
  return { outputs: new Set(bars), positions, text: `output ${target.sample + 1} ${bars.length ? `depends on ${bars.length > 1 ? "samples" : "sample"} ${bars.join(", ")}` : "depends on no sample, only on the bias"}.` };
}
