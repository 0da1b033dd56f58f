"""The report of `speed.py`: targets and tables in Markdown, all numbers in JSON, and a plot."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import attrs
from automatic import LENGTHS as AUTO_LENGTHS
from interleaved import AGAIN, LIMIT, Result, geometric_mean
from mix import DEPTHWISE, GROUPED, LENGTHS
from transposed import FRAMES

FIRST = "first call of auto, in native calls"
MOST_CALLS = 30  # of the native layer, as long as the first call of an auto layer may take
PACKAGES = ("torch", "mindspore", "numpy", "keras", "jax", "flax", "transformers")


@attrs.frozen
class Target:
    """One performance target: a limit on the geometric mean of some ratios, or on the largest ratio beyond the noise."""

    name: str
    way: str
    limit: float | None  # None: reported without a target
    chosen: Callable[[Result], bool]
    worst: bool = False

    def cell(self, results: list[Result]) -> tuple[str, str, int]:
        """Return the ratio as text, the verdict and the number of cases; texts are empty if the section did not run."""
        cases = [result for result in results if self.chosen(result) and self.way in result.ratios]
        if not cases:
            return "", "", 0
        if self.worst and self.limit is not None:
            noise = usual_noise(cases)
            over = [result for result in cases if result.ratios[self.way] > self.limit + max(result.noise, noise)]
            largest = max(result.ratios[self.way] for result in cases)
            named = "; ".join(f"{r.name} {r.ratios[self.way]:.2f}" for r in over)
            return f"largest {largest:.2f}", f"**missed** by {named}" if over else f"kept, noise {noise:.2f}", len(cases)
        mean = geometric_mean([result.ratios[self.way] for result in cases])
        verdict = "" if self.limit is None else "kept" if mean <= self.limit else "**missed**"
        return f"mean {mean:.3f}", verdict, len(cases)

    @property
    def allowed(self) -> str:
        """The limit as text."""
        return "" if self.limit is None else f"≤ {self.limit:g}{' beyond noise' if self.worst else ''}"

    def line(self, results: list[Result]) -> str:
        """Return one row of the table; empty if the section did not run."""
        ratio, verdict, cases = self.cell(results)
        row = f"| {self.name} | {self.way} | {ratio} | {self.allowed} | {cases} | {verdict} |"
        return row.replace("|  |", "| |") if cases else ""


def usual_noise(cases: list[Result]) -> float:
    """Return the noise that 95 % of the cases stay below."""
    return sorted(result.noise for result in cases)[int(0.95 * len(cases))]


TARGETS = [
    *(
        Target(f"layers, length {length}", way, limit, lambda r, n=length: r.section == "auto" and r.facts["length"] == n)
        for way, limits in (("auto", (0.76, 0.83, 0.87, 0.92)), ("frozen", (0.74, 0.79, 0.83, 0.89)), ("limit", (None,) * 4))
        for length, limit in zip(AUTO_LENGTHS, limits)
    ),
    *(Target("every layer", way, LIMIT, lambda r: r.section == "auto", worst=True) for way in ("auto", "frozen")),
    *(
        Target(
            f"512→512 k7, few outputs, {threads} thread{'s' * (threads > 1)}",
            way,
            limit,
            lambda r, n=threads: r.facts.get("threads") == n,
            worst=True,
        )
        for threads, limit in ((1, 0.35), (2, 0.5))
        for way in ("auto", "frozen")
    ),
    Target("all layers, all lengths", "fast", 0.90, lambda r: r.section == "layers"),
    *(
        Target(f"of these, length {length}", "fast", None, lambda r, n=length: r.section == "layers" and r.facts["length"] == n)
        for length in LENGTHS
    ),
    Target("every layer", "fast", LIMIT, lambda r: r.section == "layers", worst=True),
    Target(DEPTHWISE, "fast", 0.2, lambda r: r.section == "layers" and r.facts["kind"] == DEPTHWISE),
    Target(
        GROUPED + ", padding 64, length ≥ 600",
        "fast",
        0.75,
        lambda r: r.section == "layers" and r.facts["kind"] == GROUPED and r.facts["length"] >= 600,
    ),
    Target("every layer, 8 items", "fast", LIMIT, lambda r: r.section == "batches of 8", worst=True),
    Target("every layer, forward and backward", "fast", LIMIT, lambda r: r.section == "forward and backward", worst=True),
    Target("every layer", "exact", LIMIT, lambda r: r.section == "layers", worst=True),
    Target("paddings against padding by hand", "fast", 0.90, lambda r: r.section == "paddings"),
    Target("every padding", "fast", LIMIT, lambda r: r.section == "paddings", worst=True),
    Target("every padding", "exact", LIMIT, lambda r: r.section == "paddings", worst=True),
    *(
        target
        for way, limit in (("fast", 0.90), ("auto", None))
        for target in (
            Target("transposed layers of decoders", way, limit, lambda r: r.section == "transposed"),
            *(
                Target(
                    f"of these, {frames} latent frames",
                    way,
                    None,
                    lambda r, n=frames: r.section == "transposed" and r.facts["frames"] == n,
                )
                for frames in FRAMES
            ),
        )
    ),
    *(
        Target("every transposed layer", way, LIMIT, lambda r: r.section == "transposed", worst=True)
        for way in ("fast", "auto", "exact")
    ),
    Target("every transposed layer, 8 items", "fast", LIMIT, lambda r: r.section == "transposed, batches of 8", worst=True),
    Target("one call on 1×8×64", "exact", 1.05, lambda r: r.name.startswith("forward"), worst=True),
    Target("one call on 1×8×64", "fast", 1.05, lambda r: r.name.startswith("forward"), worst=True),
    Target("construction of many layers", "exact", 1.3, lambda r: r.name.startswith("construction"), worst=True),
    Target("construction of many layers", "fast", 1.3, lambda r: r.name.startswith("construction"), worst=True),
]


def machine() -> dict[str, str]:
    """Return the processor, the number of threads and the versions of this measurement."""
    import torch

    model = (
        re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
        if Path("/proc/cpuinfo").exists()
        else None
    )
    return {
        "processor": model[1] if model else platform.processor() or platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        **{package: installed for package in PACKAGES if (installed := _version(package))},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def slug(about: dict[str, str]) -> str:
    """Return the name of the folder for a processor."""
    model = re.sub(r"\((R|TM)\)|Processor|CPU|@.*", " ", about["processor"])
    return "-".join(re.findall(r"[a-z0-9]+", f"{model} {about['instructions']}".lower()))


def stored(folder: Path) -> tuple[dict[str, str], list[Result]]:
    """Return the machine and the results of a folder."""
    document = json.loads((folder / "speed.json").read_text(encoding="utf-8"))
    return document["machine"], [Result(**result) for result in document["results"]]


def merged(results: list[Result], folder: Path, about: dict[str, str]) -> list[Result]:
    """Return results with those of other sections that the folder has from the same machine and versions."""
    if not (folder / "speed.json").exists():
        return results
    before, earlier = stored(folder)
    measured = {result.section for result in results}
    kept = [result for result in earlier if result.section not in measured] if before == about else []
    return [*kept, *results]


def write(results: list[Result], folder: Path, about: dict[str, str]) -> str:
    """Write speed.json, speed.md and speed.png, and return the Markdown of the targets."""
    document = {"machine": about, "results": [attrs.asdict(result) for result in results]}
    (folder / "speed.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    text = summary(about, results)
    sections = dict.fromkeys(result.section for result in results)
    tables = [table(section, [result for result in results if result.section == section]) for section in sections]
    (folder / "speed.md").write_text("\n".join(["# Speed\n", text, *tables]), encoding="utf-8")
    plot(results, folder / "speed.png")
    return text


def summary(about: dict[str, str], results: list[Result]) -> str:
    """Return the description of the machine and the table of targets in Markdown."""
    head = "Measured on " + ", ".join(f"{name} {value}" for name, value in about.items()) + ".\n"
    rows = [line for target in TARGETS if (line := target.line(results))]
    wrong = wrong_bits(results)
    ratio, verdict, cases = first_calls(results)
    if cases:
        rows.append(f"| {FIRST} | auto | {ratio} | ≤ {MOST_CALLS} | {cases} | {verdict} |")
    bits = f"\nexact: {'every output bit equal' if not wrong else 'bits differ: ' + '; '.join(wrong)}.\n"
    return "\n".join([head, "| what | execution | ratio | target | cases | |", "|---|---|---|---|---|---|", *rows, bits])


def wrong_bits(results: list[Result]) -> list[str]:
    """Return the names of the cases in which an exact layer has other bits than the native one."""
    return [result.name for result in results if result.facts.get("exact_bits") is False]


def first_calls(results: list[Result]) -> tuple[str, str, int]:
    """Return what the first calls of auto layers took, the verdict and the number of cases, as `Target.cell`."""
    calls = [result.facts["first"] for result in results if "first" in result.facts]
    if not calls:
        return "", "", 0
    over = sum(each > MOST_CALLS for each in calls)
    return f"largest {max(calls)}", f"**missed** by {over}" if over else "kept", len(calls)


def table(section: str, results: list[Result]) -> str:
    """Return the table of one section in Markdown."""
    ways = list(results[0].microseconds)
    first, others = ways[0], [way for way in ways[1:] if way != AGAIN]
    facts = [name for name in results[0].facts if name not in ("length", "kind")]
    lines = [
        f"\n## {section}\n",
        "| case | " + " | ".join([f"{first} µs", *others, "noise", *facts]) + " |",
        "|---" * (3 + len(others) + len(facts)) + "|",
    ]
    for result in results:
        numbers = [f"{result.microseconds[first]:.0f}", *(f"{result.ratios[way]:.2f}" for way in others), f"{result.noise:.2f}"]
        more = [f"{value:.1e}" if isinstance(value, float) else str(value) for value in map(result.facts.get, facts)]
        lines.append("| " + " | ".join([result.name, *numbers, *more]) + " |")
    return "\n".join(lines) + "\n"


def plot(results: list[Result], path: Path) -> None:
    """Plot the sorted ratios of fast to native layers, and the noise of the native layers."""
    layers = [result for result in results if result.section == "layers"]
    if not layers:
        return
    import matplotlib as mpl  # imported here, because only this section needs it

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for length in LENGTHS:
        axes.plot(
            sorted(result.ratios["fast"] for result in layers if result.facts["length"] == length), label=f"fast, length {length}"
        )
    again = sorted(result.ratios[AGAIN] for result in layers)
    axes.plot([number / len(LENGTHS) for number in range(len(again))], again, color="grey", linewidth=1, label="native again")
    axes.axhline(1, color="black", linewidth=0.5)
    axes.set(
        xlabel="layers, sorted",
        ylabel="time / native",
        yscale="log",
        yticks=(0.1, 0.2, 0.5, 1),
        yticklabels=("0.1", "0.2", "0.5", "1"),
    )
    axes.minorticks_off()
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
