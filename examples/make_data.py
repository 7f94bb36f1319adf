"""Writes the examples' data from the real data sets that scikit-learn ships: `python examples/make_data.py [FOLDER]`.

What it writes is committed; tests/examples/test_data.py fails when the two differ.
"""

import sys
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

IMAGES_PER_CLASS = 40
MISSING_SHARE = 0.02
DUPLICATES = 25


def digits(folder: Path) -> None:
    """1,797 handwritten digits of 8x8 pixels, each 0 to 16 (UCI, Alpaydin and Kaynak 1998), as a Parquet table."""
    data = load_digits()
    images = data.images.astype(np.uint8)
    table = pl.DataFrame(
        {"image": pl.Series(values=images, dtype=pl.Array(pl.UInt8, (8, 8))), "label": data.target.astype(np.int64)}
    )
    folder.mkdir(parents=True, exist_ok=True)
    table.write_parquet(folder / "digits.parquet", compression="zstd", compression_level=19)


def images(folder: Path) -> None:
    """The first digits of each class as PNG files, in one folder per class."""
    data = load_digits()
    for label, name in enumerate(data.target_names):
        (folder / str(name)).mkdir(parents=True, exist_ok=True)
        for number, row in enumerate(np.flatnonzero(data.target == label)[:IMAGES_PER_CLASS]):
            pixels = np.rint(data.images[row] * (255 / 16)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / str(name) / f"{number:02}.png", optimize=True)


def breast_cancer(folder: Path) -> None:
    """569 tumours, 30 measurements each (UCI, Wolberg 1995), made as untidy as real tables are.

    Every fiftieth value is missing, and 25 rows occur twice.
    """
    data = load_breast_cancer()
    rng = np.random.default_rng(1995)
    values = data.data.astype(np.float64)
    values[rng.random(values.shape) < MISSING_SHARE] = np.nan
    columns = {"patient": np.arange(1, len(values) + 1)}
    columns |= {str(name).replace(" ", "_"): values[:, i] for i, name in enumerate(data.feature_names)}
    columns["diagnosis"] = data.target_names[data.target]
    rows = np.arange(len(values))
    doubled = np.sort(rng.choice(rows, DUPLICATES, replace=False))
    table = pl.DataFrame(columns)[np.sort(np.concatenate([rows, doubled]))].fill_nan(None)
    folder.mkdir(parents=True, exist_ok=True)
    table.write_csv(folder / "breast_cancer.csv")


def diabetes(folder: Path) -> None:
    """442 patients, ten measurements each, and how far the disease had come a year later (Efron et al. 2004)."""
    data = load_diabetes(scaled=False)
    table = pl.DataFrame(data.data, schema=[str(name) for name in data.feature_names])
    table = table.with_columns(pl.col("sex").cast(pl.Int64), pl.Series("progression", data.target))
    folder.mkdir(parents=True, exist_ok=True)
    table.write_csv(folder / "diabetes.csv")


def main(folder: Path) -> None:
    """Write every data set under `folder`."""
    digits(folder / "digits")
    images(folder / "images")
    breast_cancer(folder / "breast-cancer")
    diabetes(folder / "diabetes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
