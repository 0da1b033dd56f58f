"""Measure the explorer in a browser: milliseconds from a slider's event to the new layout, and of the first drawing.

python benchmarks/explorer.py [--rounds 20]
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from pathlib import Path

import click
from playwright.sync_api import sync_playwright

import convpolicy as cp
from convpolicy import explorer

MOST_MILLISECONDS = 50  # a person notices more
TIMED = """async (rounds) => {
    const times = [], slider = document.querySelector("[data-size=length]");
    for (let round = 0; round < rounds; round++) {
        const start = performance.now();
        slider.value = round % slider.max + 1;
        slider.dispatchEvent(new Event("input", { bubbles: true }));
        document.body.offsetHeight;
        times.push(performance.now() - start);
        await new Promise(requestAnimationFrame);
    }
    return times;
}"""


@click.command()
@click.option("--rounds", default=20, show_default=True, help="Moves of the slider.")
def main(rounds: int) -> None:
    """Print the medians."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder, "page.html")
        path.write_text(explorer.page({"a": "torch", "b": "keras", "version": cp.__version__}), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]")
        first = float(page.get_attribute("html", "data-milliseconds") or "nan")
        times = page.evaluate(TIMED, rounds)
        browser.close()
    median = statistics.median(times)
    verdict = "kept" if median <= MOST_MILLISECONDS else "MISSED"
    click.echo(
        f"first drawing {first:.0f} ms; slider {median:.0f} ms, at most {max(times):.0f} (≤ {MOST_MILLISECONDS} {verdict})"
    )


if __name__ == "__main__":
    main()
