import io
import subprocess
import sys

import pytest
from toys import CROSS_ENTROPY, SGD, classes, mlp

from fnlayers.training import evaluate, fit


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


@pytest.mark.slow
def test_import_brings_no_bar():
    code = "import sys, fnlayers.training; assert not {'tqdm', 'rich', 'IPython'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
