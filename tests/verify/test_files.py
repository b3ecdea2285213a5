"""Cases are written as files, and what is written beside them is judged."""

import json

import numpy as np
import pytest

from rmsnorm_math import layer_norm
from rmsnorm_math.errors import Refused
from rmsnorm_math.notation import b
from rmsnorm_math.verify import read_results, write_cases
from rmsnorm_math.verify.__main__ import main
from tests.verify.backwards import by_xhat, rows
from tests.verify.planted import NAMES, gradients

SHAPES = ["--shapes", "2x3", "5x8", "4"]


def compute(folder, backward=by_xhat):
    """Do what a program in another language does."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    for case in manifest["cases"]:
        at = folder / case["folder"]
        given = [np.load(at / f"{name}.npy") for name in manifest["arguments"]]
        for name, array in zip(manifest["arguments"], given, strict=True):
            assert case["arguments"][name] == {
                "shape": list(array.shape),
                "dtype": str(array.dtype),
            }
            assert array.flags.c_contiguous
        for name, result in zip(manifest["outputs"], backward(*given), strict=True):
            assert list(result.shape) == case["outputs"][name]["shape"]
            np.save(at / f"{name}.npy", result)
    return len(manifest["cases"])


@pytest.fixture
def cases(tmp_path):
    folder = tmp_path / "cases"
    assert main(["write", str(folder), *SHAPES]) == 0
    return folder


def test_right_results_are_right(cases, capsys):
    count = compute(cases)
    assert main(["read", str(cases)]) == 0
    assert f"the results in {cases} in float64: right in all {count} cases" in " ".join(
        capsys.readouterr().out.split()
    )


def test_wrong_results_are_named(cases, capsys):
    compute(cases, lambda *a: (a[2] * 0 + by_xhat(*a)[0] / 2, by_xhat(*a)[1]))
    assert main(["read", str(cases)]) == 1
    assert "dx: the whole is half the right one" in capsys.readouterr().out


def test_what_is_missing_is_named(cases, capsys):
    compute(cases)
    (cases / "003/dx.npy").unlink()
    assert main(["read", str(cases)]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "dx.npy is missing in 1 of 36 cases" in said
    assert "in folder 003" in said


def test_what_belongs_nowhere_is_named(cases, capsys):
    compute(cases)
    np.save(cases / "002/dw.npy", np.zeros(3))
    assert main(["read", str(cases)]) == 1
    assert "belongs to no output or case: 002/dw.npy" in capsys.readouterr().out


def test_inputs_that_were_changed_are_named(cases, capsys):
    compute(cases)
    np.save(cases / "001/x.npy", np.load(cases / "001/x.npy") + 1)
    assert main(["read", str(cases)]) == 1
    assert "x.npy is not what was written in 1 of 36 cases" in capsys.readouterr().out


def test_what_is_no_array_is_named(cases, capsys):
    compute(cases)
    (cases / "000/dgamma.npy").write_bytes(b"\x93NUMPY?")
    assert main(["read", str(cases)]) == 1
    assert "dgamma.npy is no .npy file (" in capsys.readouterr().out


def test_nothing_is_overwritten(cases, capsys):
    compute(cases)
    before = {path: path.stat().st_mtime_ns for path in cases.rglob("*")}
    assert main(["write", str(cases)]) == 2
    assert "is there already: nothing is overwritten" in capsys.readouterr().err
    main(["read", str(cases)])
    assert before == {path: path.stat().st_mtime_ns for path in cases.rglob("*")}


def test_the_options_are_those_of_the_check(tmp_path, capsys):
    folder = tmp_path / "cases"
    options = ["--offset", "1", "--outputs", "dx", "--epsilons", "1e-5", "--dtype", "float32"]
    assert main(["write", str(folder), *SHAPES, *options]) == 0
    compute(folder, lambda dy, x, w, eps: by_xhat(dy, x, 1 + w, np.float32(eps))[:1])
    assert main(["read", str(folder)]) == 0
    forwards = tmp_path / "forwards"
    assert main(["write", str(forwards), *SHAPES, "--forward", "--eps", "outside"]) == 0
    compute(forwards, lambda x, g, e: [g * x / (np.sqrt(np.mean(x * x, -1, keepdims=True)) + e)])
    assert main(["read", str(forwards)]) == 0
    assert "y.npy" in capsys.readouterr().out


def test_what_cannot_be_read_is_refused(tmp_path, capsys):
    assert main(["read", str(tmp_path / "nowhere")]) == 2
    assert "Write them first: python -m rmsnorm_math.verify write" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["write", str(tmp_path / "cases"), "--shapes", "3x"])


def test_a_layer_of_your_own(tmp_path, capsys):
    folder = tmp_path / "cases"
    three = gradients(layer_norm(b)), NAMES, None
    count = write_cases(folder, *three, shapes=[(2, 3), (4, 8)])

    def backward(dy, x, gamma, eps):
        centred = x - x.mean(-1, keepdims=True)
        r = np.sqrt(np.mean(centred**2, -1, keepdims=True) + eps)
        xhat, v = centred / r, gamma * dy
        mean = v.mean(-1, keepdims=True) + xhat * np.mean(v * xhat, -1, keepdims=True)
        return (v - mean) / r, rows(dy * xhat)

    assert compute(folder, backward) == count
    assert read_results(folder, *three, shapes=[(2, 3), (4, 8)]).ok
    with pytest.raises(Refused, match="nothing is overwritten"):
        write_cases(folder, *three)
    assert main(["read", str(folder)]) == 2
    assert "rmsnorm_math.verify.read_results" in capsys.readouterr().err
