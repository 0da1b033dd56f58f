// The table of what differs between A and B, and the sentence about it.

const SIDE_TEXTS_TRANSPOSED = {
  "full length": (plan) => plan.full, "cut left": (plan) => plan.left, "cut right": (plan) => plan.right, "outputs": (plan) => (plan.cells ? plan.outputs : "–"),
};
const SIDE_TEXTS = {
  "left": (plan) => plan.left, "right": (plan) => plan.right, "outputs": (plan) => (plan.cells ? plan.outputs : "–"),
  "added left": (plan, length) => addedText(plan, (position) => position < 0),
  "added right": (plan, length) => addedText(plan, (position) => position >= length),
};

function addedText(plan, isHere) {
  if (!plan.cells) return "–";
  const texts = [...plan.cells].filter(([position]) => isHere(position)).map(([, cell]) => cellText(cell));
  return texts.join(", ") || "nothing";
}

function cellText(cell) {
  return cell.kind === "sum" ? formula(cell) : cell.kind === "copy" ? `copy of ${cell.text}` : cell.kind === "constant" ? constantText(cell.text) : cell.text;
}

function outputsThatDiffer() {
  // the outputs that both plans have and that read different values
  if (!plans.a.cells || !plans.b.cells) return [];
  const read = state.up ? (plan, output) => JSON.stringify(reachedBy(plan, state, output)) : (plan, output) => JSON.stringify(reads(plan, state, output).map((position) => {
    const { kind, text, terms } = plan.cells.get(position);
    return kind === "sum" ? terms : [kind === "constant", text];
  }));
  const count = Math.min(plans.a.outputs, plans.b.outputs);
  return Array.from({ length: count }, (_, output) => output).filter((output) => read(plans.a, output) !== read(plans.b, output));
}

const constantText = (text) => ({ c: "a constant per channel", w: "the learned constant" })[text] || text;

function showComparison() {
  const rows = Object.entries(state.up ? SIDE_TEXTS_TRANSPOSED : SIDE_TEXTS).map(([aspect, read]) =>
    [aspect, ...SIDES.map((name) => { const value = read(plans[name], state.length); return value === undefined ? "–" : value; })]);
  rows.push(["mode", ...SIDES.map((name) => offered().modes[plans[name].mode].name)]);
  const reasons = SIDES.filter((name) => plans[name].reason);
  if (reasons.length) rows.push(["refused", ...SIDES.map((name) => (plans[name].reason ? "yes, see the drawing" : "no"))]);
  const outputs = outputsThatDiffer(), all = Math.min(plans.a.outputs, plans.b.outputs);
  const read = !outputs.length ? "" : ` ${outputs.length === all ? "Every output reads" : outputs.length === 1 ? `Output ${outputs[0]} reads` : `Outputs ${outputs.join(", ")} read`} something else.`;
  const different = rows.filter(([, a, b]) => a !== b).map(([aspect]) => aspect);
  byId("comparison").innerHTML = `<table><thead><tr><th scope="col">plan</th><th scope="col">A</th><th scope="col">B</th></tr></thead><tbody>` +
    rows.map(([aspect, a, b]) => `<tr${a === b ? "" : ' class="differs"'}><th scope="row">${aspect}</th><td>${escaped(a)}</td><td>${escaped(b)}</td></tr>`).join("") + "</tbody></table>";
  const facts = (name) => { const plan = plans[name]; return plan.cells ? `${name.toUpperCase()}: ${state.up ? "cut " : ""}left ${plan.left} | right ${plan.right} | outputs ${plan.outputs}` : `${name.toUpperCase()}: –`; };
  byId("facts").textContent = `${SIDES.map(facts).join("; ")}. ${reasons.length ? "A dash marks refused sizes." : different.length ? `Differs in: ${different.join(", ")}.${read}` : "Both plans are the same."}`;
}
