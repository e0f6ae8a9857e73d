"""A recurrent forecast of the next day's temperatures, hour by hour, from the three days before.

    python examples/forecast.py                                  a year in Greensboro (comes with pvlib)
    python examples/forecast.py --data FILE --columns temp,wind  any CSV file with a row an hour

The first of --columns is what is forecast; the others help. The last quarter of the series is held out. Errors are
printed next to those of two forecasts that need no model: the temperature stays as it is, or tomorrow is as today. It
writes `forecast.png`, some days with their forecasts, and `model.safetensors` to --out.
"""

import argparse
import csv
import importlib.util
import pathlib
import sys
from typing import NamedTuple

import jax
import numpy as np
import optax

import fnlayers as fl

PAST, FUTURE = 72, 24  # hours
GREENSBORO = ("723170TYA.CSV", "Dry-bulb (C),Dew-point (C),Pressure (mbar),Wspd (m/s)")


class Windows(NamedTuple):
    """The hours before as x (examples, PAST, features), standardized, and as they are the hour's temperature `now`
    (examples, 1) and those that follow (examples, FUTURE).
    """

    x: np.ndarray
    now: np.ndarray
    after: np.ndarray


def greensboro() -> pathlib.Path:
    """A typical meteorological year: twelve months as they were measured, from different years."""
    package = importlib.util.find_spec("pvlib")
    if package is None or package.origin is None:
        sys.exit("the default series comes with pvlib: pip install pvlib, or pass a CSV file with --data")
    return pathlib.Path(package.origin).parent / "data" / GREENSBORO[0]


def read(path: pathlib.Path, columns: list[str]) -> np.ndarray:
    """(hours, columns): the named columns of a CSV file; lines before its header are skipped."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    header = next((n for n, row in enumerate(rows) if set(columns) <= set(row)), None)
    if header is None:
        sys.exit(f"{path} has no columns {', '.join(columns)}")
    indices = [rows[header].index(name) for name in columns]
    return np.array([[float(row[index]) for index in indices] for row in rows[header + 1 :]], "float32")


def windows(series: np.ndarray, mean: np.ndarray, deviation: np.ndarray, first_hour: int) -> Windows:
    """A window for each hour that has a past and a future; the hour of the day is a point on a circle."""
    angle = 2 * np.pi * (first_hour + np.arange(len(series))) / 24
    features = np.column_stack([(series - mean) / deviation, np.sin(angle), np.cos(angle)]).astype("float32")
    starts = np.arange(len(series) - PAST - FUTURE + 1)
    past = features[starts[:, None] + np.arange(PAST)]
    future = series[starts[:, None] + PAST + np.arange(FUTURE), 0]
    return Windows(past, series[starts + PAST - 1, :1], future)


def forecaster(units: int = 16) -> fl.Sequential:
    """The changes from the last temperature: zeros, at first, so that training starts at "it stays as it is"."""
    return fl.Sequential([fl.LSTM(units), fl.Dense(FUTURE, kernel_initializer="zeros")])


def draw(path: pathlib.Path, test: Windows, forecast: np.ndarray, name: str, days: int = 5) -> None:
    """The first days of the held-out series, and for each what was forecast when it began."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.add_subplot()
    starts = np.arange(min(days, -(-len(forecast) // FUTURE))) * FUTURE
    axes.plot(test.after[starts].ravel(), color="black", linewidth=1.8, label="measured")
    for start in starts:
        label = None if start else "forecast at the dotted line before"
        hours = start + np.arange(FUTURE)
        axes.plot(hours, forecast[start], color="#D55E00", linestyle="--", linewidth=1.8, label=label)
        axes.axvline(start - 0.5, color="gray", linestyle=":", linewidth=1)
    axes.set(title=f"{len(starts)} days that were not trained on", xlabel="hour", ylabel=name)
    axes.set_xticks(range(0, len(starts) * FUTURE + 1, FUTURE // 2))
    axes.margins(x=0.01, y=0.2)  # room for the legend
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(framealpha=0.85, edgecolor="none", ncols=2, loc="upper left")
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, help="a CSV file with a row an hour; default: Greensboro's year")
    parser.add_argument("--columns", help="names of columns, with commas between them; the first is forecast")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out"))
    args = parser.parse_args()
    if args.data and not args.columns:
        parser.error("--data needs --columns")

    columns = (args.columns or GREENSBORO[1]).split(",")
    series = read(args.data or greensboro(), columns)
    if len(series) < 4 * (PAST + FUTURE):
        sys.exit(
            f"{len(series)} hours are too few: a quarter of them is held out, and a forecast takes {PAST + FUTURE}"
        )
    cut = len(series) * 3 // 4
    mean, deviation = series[:cut].mean(axis=0), series[:cut].std(axis=0)
    train, test = windows(series[:cut], mean, deviation, 0), windows(series[cut:], mean, deviation, cut)

    model = forecaster()
    print(fl.summary(model, (None, *train.x.shape[1:])))
    steps = args.epochs * -(-len(train.x) // args.batch_size)
    result = fl.fit(
        model,
        (train.x, (train.after - train.now) / deviation[0]),
        loss=optax.huber_loss,
        optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(3e-3, steps))),
        epochs=args.epochs,
        batch_size=args.batch_size,
        validation_data=(test.x, (test.after - test.now) / deviation[0]),
        rng=jax.random.key(args.seed),
    )

    forecast = test.now + deviation[0] * fl.predict(model, result.params, test.x)
    today = series[cut:][np.arange(len(test.x))[:, None] + PAST - FUTURE + np.arange(FUTURE), 0]
    print(f"mean absolute error over the next {FUTURE} hours, {columns[0]}, {len(test.x)} forecasts:")
    for name, guess in (("it stays as it is", test.now), ("tomorrow as today", today), ("the model", forecast)):
        print(f"  {name:<20} {abs(guess - test.after).mean():.2f}")

    args.out.mkdir(parents=True, exist_ok=True)
    draw(args.out / "forecast.png", test, forecast, columns[0])
    fl.save(args.out / "model.safetensors", model, result.params, result.state)
    print(f"wrote {args.out / 'forecast.png'} and {args.out / 'model.safetensors'}")


if __name__ == "__main__":
    main()
