// The controls, the address of the page, pointing at outputs and samples, and the texts.

const SIZES = { kernel: "kernel", stride: "stride", dilation: "dilation", length: "length" };
const LETTERS = { kernel: "k", stride: "s", dilation: "d", length: "n" };
const SIDES = ["a", "b"];
const START = JSON.parse(document.getElementById("start").textContent);
const byId = (id) => document.getElementById(id);
const state = { a: {}, b: {}, up: false, kernel: 3, stride: 2, dilation: 1, length: 10, framework: "", pointed: null, time: null, ranks: null };
let plans = {};

const clamped = (value, [first, last], fallback) => Math.min(Math.max(Number.isInteger(value) ? value : fallback, first), last);

function readAddress() {
  const params = new URLSearchParams(location.hash.slice(1));
  const first = location.hash.length > 1 ? {} : START;
  const setting = (name) => (params.has(name) ? params.get(name) : first[name]);
  state.up = setting("t") === "1";
  for (const name of SIDES) {
    const known = offered().policies.find((policy) => policy.name === setting(name)) || offered().policies.find((policy) => policy.name === START[name]) || offered().policies[0];
    const padding = setting(`${name}p`) || "", mode = setting(`${name}m`) || "";
    state[name] = { policy: known.name, padding: isPadding(known, padding) ? padding : "", mode: offered().modes.some((one) => one.name === mode) ? mode : "" };
  }
  for (const size in SIZES) {
    const text = setting(LETTERS[size]);
    state[size] = clamped(text === undefined ? NaN : Number(text), DATA.ranges[size], state[size]);
  }
  state.framework = setting("code") in DATA.codes ? setting("code") : "convpolicy";
  state.time = params.has("at") ? clamped(Number(params.get("at")), [0, DATA.ranges.length[1] + 1], 0) : null;
  state.ranks = params.has("r") ? clamped(Number(params.get("r")), RANKS, 3) : null;
  state.pointed = params.has("o") ? { output: +params.get("o") } : params.has("i") ? { sample: +params.get("i") - 1 } : null;
}

function isPadding(policy, padding) {
  if (policy.words.some((known) => known[0] === padding) || offered().rules.some((rule) => rule.name === padding)) return true;
  const numbers = padding.split(",");
  return /^-?\d+(,-?\d+)?$/.test(padding) && numbers.map(Number).every((pad) => pad === clamped(pad, DATA.ranges.pad, 0));
}

function address() {
  const params = new URLSearchParams();
  if (state.up) params.set("t", "1");
  for (const name of SIDES) {
    params.set(name, state[name].policy);
    if (state[name].padding) params.set(`${name}p`, state[name].padding);
    if (state[name].mode) params.set(`${name}m`, state[name].mode);
  }
  for (const size in SIZES) params.set(LETTERS[size], state[size]);
  if (state.framework !== "convpolicy") params.set("code", state.framework);
  if (state.time !== null) params.set("at", state.time);
  if (state.ranks !== null) params.set("r", state.ranks);
  if (state.pointed) params.set(...("output" in state.pointed ? ["o", state.pointed.output] : ["i", state.pointed.sample + 1]));
  return `#${params}`;
}

const option = (value, text, chosen, title = "") =>
  `<option value="${escaped(value)}"${value === chosen ? " selected" : ""}${title ? ` title="${escaped(title)}"` : ""}>${escaped(text)}</option>`;
const optionGroup = (title, options) => (options.length ? `<optgroup label="${escaped(title)}">${options.join("")}</optgroup>` : "");
const ruleText = (rule) => (Array.isArray(rule) ? rule.join(", ") : offered().rules[rule].name);

function sideControls(name) {
  const side = state[name], policy = offered().policies.find((known) => known.name === side.policy);
  const isNumbers = /^-?\d/.test(side.padding);
  const names = policy.words.map(([own, rule]) => option(own, own === ruleText(rule) ? own : `${own} (${ruleText(rule)})`, side.padding));
  const ownNames = new Set(policy.words.map(([own]) => own));
  const rules = offered().rules.filter((rule) => !ownNames.has(rule.name)).map((rule) => option(rule.name, rule.name, side.padding, rule.description));
  const meant = paddingOf(policy, side.padding);
  const choice = (label, key, content) =>
    `<label>${label}<select data-side="${name}" data-key="${key}" aria-label="${label} of ${name.toUpperCase()}">${content}</select></label>`;
  const [left, right] = isNumbers ? meant.rule : [1, 1];
  const number = (label, value) => `<label>${label}<input type="number" data-side="${name}" data-pad="${label}" value="${value}" ` +
    `min="${DATA.ranges.pad[0]}" max="${DATA.ranges.pad[1]}" aria-label="Samples ${state.up ? "cut" : "added"} on the ${label} of ${name.toUpperCase()}"></label>`;
  const described = [Array.isArray(meant.rule) ? `${meant.rule.join(" and ")} on the left and right; a negative number ${state.up ? "appends zeros" : "cuts"}.` : offered().rules[meant.rule].description];
  return choice("policy", "policy", offered().policies.map((known) => option(known.name, known.name, side.policy, known.description)).join("")) +
    choice("padding", "padding", option("", `its default: ${ruleText(policy.padding)}`, side.padding) + optionGroup(`Names in ${policy.name}`, names) +
      optionGroup("Numbers", [option(isNumbers ? side.padding : "1,1", "left, right as numbers", isNumbers ? side.padding : "-")]) + optionGroup(state.up ? "Crop rules" : "Padding rules", rules)) +
    (isNumbers ? `<div class="numbers">${number("left", left)}${number("right", right)}</div>` : "") +
    choice("mode", "mode", option("", `its default: ${offered().modes[meant.mode].name}`, side.mode) +
      optionGroup("Padding modes", offered().modes.map((mode) => option(mode.name, mode.name, side.mode, mode.description)))) +
    `<p class="note">${escaped(described.join(" "))}</p>`;
}

function showControls() {
  for (const name of SIDES) byId(`side-${name}`).innerHTML = `<legend>${name.toUpperCase()}</legend>${sideControls(name)}`;
  byId("sizes").innerHTML = "<legend>Sizes of both</legend>" +
    `<label>layer<select data-kind aria-label="Kind of layer">${option("", "convolution", state.up ? "t" : "")}${option("t", "transposed convolution", state.up ? "t" : "")}</select></label>` + Object.entries(SIZES).map(([size, label]) => {
    const [first, last] = DATA.ranges[size];
    return `<label class="size">${label}<input type="range" data-size="${size}" min="${first}" max="${last}" value="${state[size]}" aria-label="${label}">` +
      `<span><output id="value-${size}">${state[size]}</output> <span class="range">${first}–${last}</span></span></label>`;
  }).join("");
}

const titleOf = (name) => {
  const side = state[name], policy = offered().policies.find((known) => known.name === side.policy);
  const padding = side.padding || ruleText(policy.padding);
  return `${side.policy} padding=${padding}${side.mode ? ` mode=${side.mode}` : ""}`;
};

function show() {
  const before = performance.now();
  for (const name of SIDES) plans[name] = planOf(state[name], state);
  const drawable = SIDES.filter((name) => plans[name].cells);
  const inside = (plan) => (plan.transposed ? plan.outputs : state.length);  // cells between the edges
  const reachesTo = (plan) => (plan.transposed ? (state.length - 1) * state.stride + (state.kernel - 1) * state.dilation - plan.left : 0);
  const positions = drawable.flatMap((name) => { const plan = plans[name]; return [-Math.max(plan.left, 0), inside(plan) - 1 + Math.max(plan.right, 0), reachesTo(plan)]; });
  const first = Math.min(0, ...positions), last = Math.max(0, ...drawable.map((name) => inside(plans[name]) - 1), ...positions);
  byId("drawings").innerHTML = HATCHING + SIDES.map((name) => {
    const plan = plans[name], title = `<h3>${name.toUpperCase()}: ${escaped(titleOf(name))}</h3>`;
    return title + (plan.cells ? drawn(plan, plans[name === "a" ? "b" : "a"], state, first, last, name) : `<p>– ${escaped(plan.reason)}</p>`);
  }).join("");
  const kinds = new Set(drawable.flatMap((name) => [...plans[name].cells.values()].map((cell) => cell.kind)));
  if (byId("drawings").querySelector(".differs")) kinds.add("differs");
  byId("legend").innerHTML = legend(kinds.add("window"));
  showComparison();
  showStreams();
  showShards();
  showCode();
  point(state.pointed);
  document.documentElement.dataset.milliseconds = (performance.now() - before).toFixed(1);
}

function point(target) {
  state.pointed = target;
  const lines = [];
  for (const name of SIDES) {
    const svg = byId("drawings").querySelector(`svg[data-side=${name}]`), plan = plans[name];
    if (!svg) continue;
    const { outputs, positions, text } = target ? pointedAt(plan, target) : { outputs: new Set(), positions: new Set() };
    svg.classList.toggle("pointing", Boolean(target));
    for (const bar of svg.querySelectorAll(".bar")) bar.classList.toggle("on", outputs.has(+bar.dataset.output));
    for (const cell of svg.querySelectorAll(".cell")) cell.classList.toggle("on", positions.has(+cell.dataset.position));
    for (const arc of svg.querySelectorAll(".arc")) arc.classList.toggle("on", positions.has(+arc.dataset.from));
    if (text) lines.push(`${name.toUpperCase()}: ${text}`);
  }
  byId("pointed").innerHTML = lines.map((line) => `<p>${escaped(line)}</p>`).join("") ||
    '<p class="small">Nothing is chosen. Point at an output or a sample, or focus the drawing and press an arrow key.</p>';
}

function pointedAt(plan, target) {
  if (state.up) return pointedAtTransposed(plan, target);
  if ("output" in target) {
    if (target.output >= plan.outputs) return { outputs: new Set(), positions: new Set(), text: `there is no output ${target.output}.` };
    const taps = reads(plan, state, target.output), positions = new Set(taps);
    for (const tap of taps) for (const [, source] of plan.cells.get(tap).terms) if (source >= 0) positions.add(source);
    const texts = taps.map((tap) => { const cell = plan.cells.get(tap); return cell.kind === "sample" ? cell.text : `added ${cellText(cell)}`; });
    return { outputs: new Set([target.output]), positions, text: `output ${target.output} reads ${texts.join(", ")}.` };
  }
  const outputs = readers(plan, state, target.sample), positions = new Set([target.sample]);
  for (const [position, cell] of plan.cells) if (cell.terms.some(([, source]) => source === target.sample)) positions.add(position);
  const copies = positions.size - 1;
  return { outputs: new Set(outputs), positions, text: `sample ${target.sample + 1} is read by ${outputs.length ? `${outputs.length > 1 ? "outputs" : "output"} ${outputs.join(", ")}` : "no output"}${copies ? `; ${copies} added ${copies > 1 ? "elements repeat" : "element repeats"} it` : ""}.` };
}

function targetOf(element) {
  const bar = element.closest && element.closest("#drawings .bar"), cell = element.closest && element.closest("#drawings .cell");
  if (bar) return { output: +bar.dataset.output };
  if (!cell) return null;
  const position = +cell.dataset.position, plan = plans[cell.closest("svg").dataset.side], source = plan.cells.get(position).terms.find(([, place]) => place >= 0);
  return source ? { sample: source[1] } : null;
}

const keepAddress = () => history.replaceState(null, "", address());

function changed(redrawsControls) {
  if (redrawsControls) showControls();
  show();
  keepAddress();
}

function walk(key) {
  const outputs = Math.max(...SIDES.map((name) => plans[name].bars || 0)), now = state.pointed || {};
  const step = key === "ArrowUp" || key === "ArrowLeft" ? -1 : 1;
  const next = (value, count) => (value === undefined ? (step > 0 ? 0 : count - 1) : Math.min(Math.max(value + step, 0), count - 1));
  if (key === "ArrowUp" || key === "ArrowDown") return outputs ? { output: next(now.output, outputs) } : null;
  return { sample: next(now.sample, state.up ? Math.max(...SIDES.map((name) => plans[name].outputs || 0), 1) : state.length) };
}

function chooseKind(up) {
  state.up = up;
  state.pointed = state.pinned = null;
  for (const name of SIDES) {
    const policy = offered().policies.find((known) => known.name === state[name].policy) || offered().policies[0];
    state[name] = { policy: policy.name, padding: isPadding(policy, state[name].padding) ? state[name].padding : "", mode: "" };
  }
  changed(true);
  document.querySelector("[data-kind]").focus();
}

async function copy(text, message) {
  try { await navigator.clipboard.writeText(text); byId("copied").textContent = message; }
  catch { byId("copied").textContent = "The browser did not allow copying; select the text instead."; }
}

function listen() {
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("controls").addEventListener("input", (event) => {
    const { size, side, key, pad, kind } = event.target.dataset;
    if (kind !== undefined) { chooseKind(event.target.value === "t"); return; }
    if (size) { state[size] = +event.target.value; byId(`value-${size}`).textContent = state[size]; changed(false); return; }
    if (pad) {
      const pads = [...byId(`side-${side}`).querySelectorAll("[data-pad]")].map((input) => clamped(Math.round(+input.value), DATA.ranges.pad, 0));
      state[side].padding = pads.join(",");
      changed(false);
      return;
    }
    state[side][key] = event.target.value;
    const policy = offered().policies.find((known) => known.name === state[side].policy);
    if (key === "policy" && !isPadding(policy, state[side].padding)) state[side].padding = "";
    changed(true);
    byId(`side-${side}`).querySelector(`[data-key=${key}]`).focus();
  });
  byId("drawings").addEventListener("pointermove", (event) => point(targetOf(event.target) || state.pinned || null));
  byId("drawings").addEventListener("pointerleave", () => point(state.pinned || null));
  byId("drawings").addEventListener("click", (event) => { state.pinned = targetOf(event.target); point(state.pinned); keepAddress(); });
  byId("drawings").addEventListener("keydown", (event) => {
    if (event.key === "Escape") state.pinned = null;
    else if (event.key.startsWith("Arrow")) state.pinned = walk(event.key);
    else return;
    event.preventDefault();
    point(state.pinned);
    const on = byId("drawings").querySelector(".cell.on");
    if (on) on.scrollIntoView({ block: "nearest", inline: "nearest" });
    keepAddress();
  });
  byId("time").addEventListener("input", (event) => { state.time = +event.target.value; showStreams(); keepAddress(); });
  byId("ranks").addEventListener("input", (event) => { state.ranks = +event.target.value; showShards(); keepAddress(); });
  byId("frameworks").addEventListener("click", (event) => { if (event.target.dataset.framework) { state.framework = event.target.dataset.framework; showCode(); keepAddress(); } });
  byId("frameworks").addEventListener("keydown", (event) => {
    const names = frameworks(), step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    state.framework = names[(names.indexOf(state.framework) + step + names.length) % names.length];
    showCode();
    keepAddress();
  });
  byId("code").addEventListener("click", (event) => {
    if (event.target.dataset.copy) copy(event.target.closest("div").querySelector("code").textContent, "Code copied.");
  });
  byId("link").addEventListener("click", () => { keepAddress(); copy(location.href, "Link copied."); });
  addEventListener("hashchange", () => { readAddress(); state.pinned = state.pointed; showControls(); show(); });
}

async function start() {
  try { DATA = await unpack(byId("plans").textContent); }
  catch (error) { byId("drawings").innerHTML = `<p>The plans could not be unpacked (${escaped(error.message)}). Use a browser from 2023 or later.</p>`; return; }
  readAddress();
  state.pinned = state.pointed;
  showControls();
  const { kernel, stride, dilation, length, pad } = DATA.ranges, text = ([first, last]) => `${first} to ${last}`;
  byId("ranges").textContent = `This page contains kernel ${text(kernel)}, stride ${text(stride)}, dilation ${text(dilation)}, length ${text(length)} and pads as numbers from ${text(pad)}. ` +
    `For other sizes run: convpolicy compare A B --kernel-size 400 --length 16000. Made by convpolicy ${START.version} and the plugins that were installed with it.`;
  listen();
  show();
  document.documentElement.dataset.ready = "yes";
}

start();
