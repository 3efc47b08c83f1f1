"""Takes the pictures of TensorBoard in README and docs: of runs that exist, small enough for a page.

    ./scripts/run python scripts/screenshots.py LOGDIR FOLDER

It writes dashboard.png and hparams.png, of all runs, and confusion_matrix.png and mistakes.png, of the first run by
name that has these figures.
"""

import argparse
import io
from pathlib import Path
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Browser

from browsing import browser, choose_columns, tab, tensorboard

METRIC = "best/val/accuracy"
COLUMNS = ("model.network", "model.optimizer", "model.optimizer.lr", "trainer.max_epochs", METRIC, "test/accuracy")
FIGURES = {"confusion_matrix": "classes/confusion matrix", "mistakes": "images/worst mistakes"}


def save(png: bytes, path: Path) -> None:
    """Write an image with a palette of 128 colours."""
    image = Image.open(io.BytesIO(png)).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    image.save(path, optimize=True)
    print(f"{path}  {image.width} x {image.height}, {path.stat().st_size / 1000:.0f} kB")


def charts(chromium: Browser, address: str, runs: str, path: Path) -> None:
    """Show loss and accuracy of the runs that match, training and validation in one chart each."""
    fragment = f"custom_scalars&_smoothingWeight=0&regexInput={quote(runs)}"
    with tab(chromium, address, fragment) as page:
        page.get_by_text("Ignore outliers in chart scaling").click()  # show curves from their beginning
        page.wait_for_timeout(5000)  # lines move into place
        save(page.screenshot(clip={"x": 0, "y": 66, "width": 1060, "height": 660}), path)


def hyper_parameters(chromium: Browser, address: str, path: Path) -> None:
    """Show the runs in a table, the best one first."""
    with tab(chromium, address, "hparams", height=1200) as page:
        for menu, choice in (("Sort by", METRIC), ("Direction", "Descending")):
            page.locator(f"tf-hparams-query-pane paper-dropdown-menu[label='{menu}']").click()
            page.get_by_role("option", name=choice, exact=True).click()
        choose_columns(page, COLUMNS)
        table = page.locator("tf-hparams-table-view")
        # as if dragged wider and narrower, so that names of runs and numbers can be read
        page.set_viewport_size({"width": 1760, "height": 1200})
        resize = "columns => columns.forEach((column, number) => column.width = ['350px', '100px'][number] || '160px')"
        table.locator("vaadin-grid-column").evaluate_all(resize)
        page.wait_for_timeout(3000)
        box = table.bounding_box()
        assert box is not None
        height = 36 * table.get_by_text("/version_").filter(visible=True).count() + 60
        save(page.screenshot(clip={**box, "height": height}), path)


def figure(chromium: Browser, address: str, tag: str, path: Path) -> None:
    """Show a figure as it was logged."""
    with tab(chromium, address, f"images&tagFilter={quote(tag)}") as page:
        image = page.locator("tf-image-loader img").first
        image.wait_for()
        save(page.request.get(f"{address}/{image.get_attribute('src')}").body(), path)


def main() -> None:
    """Make them."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("logdir", type=Path, help="folder of runs")
    options.add_argument("folder", type=Path, help="where the pictures go")
    options.add_argument("--runs", default=".", help="regular expression: the runs of dashboard.png")
    args = options.parse_args()
    with tensorboard(args.logdir) as address, browser() as chromium:
        charts(chromium, address, args.runs, args.folder / "dashboard.png")
        for name, tag in FIGURES.items():
            figure(chromium, address, tag, args.folder / f"{name}.png")
        hyper_parameters(chromium, address, args.folder / "hparams.png")


if __name__ == "__main__":
    main()
