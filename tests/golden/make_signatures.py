"""Write signatures.json: the arguments and defaults of Keras's layers, as an installed Keras 3 has them."""

import inspect
import json
import pathlib

import keras

import fnlayers as fl


def main() -> None:
    signatures = {}
    for name in sorted(fl.LAYERS):
        cls = getattr(keras.layers, name, None)
        if cls is None:
            continue
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        named = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in ("name", "dtype")]
        signatures[name] = {p.name: None if p.default is p.empty else repr(p.default) for p in named}
    text = "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in signatures.items()) + "\n}\n"
    pathlib.Path(__file__).with_name("signatures.json").write_text(text)


if __name__ == "__main__":
    main()
