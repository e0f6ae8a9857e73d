import io
import os
import re
import struct
import subprocess
import sys

import pytest
from toys import CROSS_ENTROPY, SGD, classes, mlp

from fnlayers.training import evaluate, fit
from fnlayers.training.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(verbose=True, **more):
    return fit(mlp(), classes(), loss=CROSS_ENTROPY, optimizer=SGD, epochs=2, verbose=verbose, **more)


def test_a_log_file_gets_a_line_an_epoch(capsys):
    run()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[0].startswith("epoch 1/2  loss ") and "seconds" in lines[1]


def test_silence(capsys):
    run(verbose=False)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_terminal_gets_a_bar_at_once(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    result = run()
    evaluate(mlp(), result.params, classes(), loss=CROSS_ENTROPY, verbose=True)
    text = screen.getvalue()
    assert text.index("compiling:   0%") < text.index("epoch 1/2") < text.index("epoch 2/2: 100%")
    assert "loss" in text and "evaluate: 100%" in text


def test_the_length_is_found_out(monkeypatch):
    x, y = classes()
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    fit(mlp(), lambda: iter([(x, y)] * 3), loss=CROSS_ENTROPY, optimizer=SGD, epochs=2)
    assert "3/3" in screen.getvalue()


def test_a_terminal_of_80_columns_cuts_no_number():
    termios, pty, fcntl = (pytest.importorskip(name) for name in ("termios", "pty", "fcntl"))
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    names = [
        "loss",
        "accuracy",
        "top_5_categorical_accuracy",
        "mean_absolute_percentage_error_of_the_first_head",
        "auc",
    ]
    logs = {key: 0.123456 for name in names for key in (name, f"val_{name}")}
    with open(terminal, "w") as screen, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", screen)
        progress = Progress(True, "epoch 1/2", 3)
        progress.show(logs)
        progress.epoch(1, 2, logs)
        progress.close()
        print("the end", file=screen, flush=True)
        written = b""
        while b"the end" not in written:  # a terminal hands on what it has, which is not yet all
            written += os.read(main, 65536)
    text = written.decode()
    os.close(main)
    rows = [row for row in re.split(r"[\r\n]|\x1b\[A", text) if row.strip()]
    assert max(map(len, rows)) <= 80
    shown = [row for row in rows if "0.1235\N{NO-BREAK SPACE}" in row]
    assert shown[0].startswith("1/2  ") and sum(row.count("0.1235") for row in shown) == len(logs)
    bars = [row for row in rows if "loss 0.1235" in row]
    assert bars and all(re.search(r"[a-z_] 0\.1235\]\s*$", row) for row in bars)


@pytest.mark.slow
def test_import_brings_no_bar():
    code = "import sys, fnlayers.training; assert not {'tqdm', 'rich', 'IPython'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
