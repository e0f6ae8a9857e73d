"""A regression on a table of mixed columns: how far diabetes has progressed after a year, for 442 patients.

    python examples/tabular.py                                              scikit-learn's table, unscaled
    python examples/tabular.py --data FILE.csv --target price --categories city,rooms

Columns in --categories become vectors of categories, two of them are also crossed; all others are numbers. A quarter of
the rows is held out. The model is saved with what it learned of the columns, loaded again, and given one raw row.
"""

import argparse
import csv
import pathlib
import sys

import jax
import numpy as np
import optax

import fnlayers as fl

Table = dict[str, np.ndarray]


def diabetes() -> tuple[Table, str, list[str]]:
    """The table, its target, and its columns of categories; the age in decades is one of them."""
    try:
        from sklearn.datasets import load_diabetes
    except ImportError:
        sys.exit("the default table comes with scikit-learn: pip install scikit-learn, or pass a CSV file with --data")
    dataset = load_diabetes(scaled=False)
    table = dict(zip(dataset.feature_names, dataset.data.T, strict=True)) | {"progression": dataset.target}
    sex = table["sex"].astype(int).astype(str)  # "1" and "2"; the package does not say which is which
    return table | {"sex": sex, "decade": table["age"].astype(int) // 10}, "progression", ["sex", "decade"]


def read(path: pathlib.Path, target: str, categories: list[str]) -> Table:
    """The columns of a CSV file: numbers, and categories as strings."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if lacking := [name for name in (target, *categories) if not rows or name not in rows[0]]:
        sys.exit(f"{path} has no column {', '.join(lacking)}")
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    try:
        return {name: column if name in categories else column.astype(float) for name, column in columns.items()}
    except ValueError as error:
        sys.exit(f"{path}: {error}; name columns that hold no numbers in --categories")


def space_of(table: Table, target: str, categories: list[str]) -> fl.FeatureSpace:
    """Numbers are normalized, categories become vectors, the first two of them are crossed."""
    kinds: dict[str, str] = {}
    for name, column in table.items():
        if name in categories:
            kinds[name] = "integer_categorical" if column.dtype.kind == "i" else "string_categorical"
        elif name != target:
            kinds[name] = "float_normalized"
    return fl.FeatureSpace(kinds, crosses=[categories[:2]] if len(categories) > 1 else [], crossing_dim=16)


def rows_of(table: Table, rows: np.ndarray, space: fl.FeatureSpace) -> Table:
    """Some rows of the columns that a space takes."""
    return {name: table[name][rows] for name in space.features}


def regression(units: int = 32) -> fl.Sequential:
    """A small network, whose last layer starts at 0: at the mean."""
    return fl.Sequential([fl.Dense(units, "relu"), fl.Dropout(0.2), fl.Dense(1, kernel_initializer="zeros")])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, help="a CSV file with a header; default: scikit-learn's diabetes")
    parser.add_argument("--target", help="the column to predict")
    parser.add_argument("--categories", default="", help="columns that hold categories, with commas between them")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out"))
    args = parser.parse_args()
    if args.data and not args.target:
        parser.error("--data needs --target")

    if args.data:
        target, categories = args.target, list(filter(None, args.categories.split(",")))
        table = read(args.data, target, categories)
    else:
        table, target, categories = diabetes()
    order = np.random.default_rng(args.seed).permutation(len(table[target]))
    train, test = np.split(order, [len(order) * 3 // 4])

    space = space_of(table, target, categories)
    space = space.adapt(rows_of(table, train, space))
    x = {"train": space.apply({}, rows_of(table, train, space)), "test": space.apply({}, rows_of(table, test, space))}
    mean, deviation = table[target][train].mean(), table[target][train].std()
    y = ((table[target] - mean) / deviation)[:, None].astype("float32")
    model = regression()
    result = fl.fit(
        model,
        (x["train"], y[train]),
        loss=optax.huber_loss,
        optimizer=optax.adamw(2e-3, weight_decay=1e-2),
        epochs=args.epochs,
        validation_data=(x["test"], y[test]),
        rng=jax.random.key(args.seed),
    )

    whole = fl.Sequential([space, *model.layers, fl.Rescaling(float(deviation), float(mean))])
    args.out.mkdir(parents=True, exist_ok=True)
    fl.save(args.out / "model.safetensors", whole, result.params, result.state)
    loaded, params, state = fl.load(args.out / "model.safetensors")

    row = {name: table[name][test[0]] for name in space.features}
    guess = float(loaded.apply(params, row, state=state)[0])
    predicted, truth = loaded.apply(params, rows_of(table, test, space), state=state)[:, 0], table[target][test]
    print(f"mean absolute error, {target}, {len(test)} rows:")
    print(f"  {'the mean of the others':<24} {abs(mean - truth).mean():.2f}")
    print(f"  {'the model':<24} {abs(predicted - truth).mean():.2f}")
    print(f"one raw row: {', '.join(f'{name} {value}' for name, value in row.items())}")
    print(f"  predicted {guess:.1f}, in truth {truth[0]:.1f}")
    print(f"wrote {args.out / 'model.safetensors'}")


if __name__ == "__main__":
    main()
