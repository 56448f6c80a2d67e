"""Options: what is meant is taken as what was declared, what is not is refused, on both sides alike."""

import shlex
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

from atomfit.cli import app
from atomfit.cli.fields import read
from atomfit.options.build import BuildOptions
from atomfit.options.compare import CompareOptions
from atomfit.options.declared import declared, flag_of, options_from
from atomfit.options.simulation import SeriesOptions, SimulationOptions
from atomfit.options.tilt import TiltOptions
from atomfit.support.errors import InputError

KINDS = (BuildOptions, TiltOptions, CompareOptions, SimulationOptions, SeriesOptions)


@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [
        ("voxel_size", np.float32(0.5), 0.5),
        ("voxel_size", jnp.float32(0.5), 0.5),
        ("voxel_size", np.array(0.5), 0.5),
        ("voxel_size", [1, 2, 3], (1.0, 2.0, 3.0)),
        ("voxel_size", np.array([1, 2, 3], np.int16), (1.0, 2.0, 3.0)),
        ("cn_cutoff", 3, 3.0),
        ("max_iterations", np.uint8(7), 7),
        ("invert", np.bool_(True), True),
        ("fit", np.str_("log"), "log"),
        ("freeze", ["positions"], ("positions",)),
        ("freeze", "positions", ("positions",)),
        ("half_maps", [Path("a"), "b"], (Path("a"), "b")),
        ("min_correlation", 0, 0.0),
    ],
)
def test_what_is_meant_is_taken(name: str, given: Any, meant: Any) -> None:
    found = getattr(BuildOptions(**{name: given}), name)
    assert found == meant
    assert type(found) is type(meant)


@pytest.mark.parametrize(
    ("kind", "name", "given"),
    [
        (BuildOptions, "likelihood", "Poisson"),
        (BuildOptions, "optimizer", "sgd"),
        (BuildOptions, "background", None),
        (BuildOptions, "split", 1),
        (BuildOptions, "invert", 1),
        (BuildOptions, "invert", "no"),
        (BuildOptions, "max_iterations", True),
        (BuildOptions, "max_iterations", 2.5),
        (BuildOptions, "max_iterations", 10**30),
        (BuildOptions, "min_cn", "3"),
        (BuildOptions, "cn_cutoff", True),
        (BuildOptions, "cn_cutoff", float("nan")),
        (BuildOptions, "cn_cutoff", 1j),
        (BuildOptions, "cn_cutoff", 10**400),
        (BuildOptions, "cn_cutoff", np.array([1.0, 2.0])),
        (BuildOptions, "voxel_size", (1, 2)),
        (BuildOptions, "voxel_size", (1, 2, float("inf"))),
        (BuildOptions, "voxel_size", {1: 2}),
        (BuildOptions, "tilts", 5),
        (BuildOptions, "tilts", ""),
        (BuildOptions, "half_maps", "ab"),
        (BuildOptions, "freeze", ("position",)),
        (BuildOptions, "min_correlation", "most"),
        (TiltOptions, "refine", 1),
        (TiltOptions, "centre", (0, 0)),
        (TiltOptions, "mask_value", "0"),
        (TiltOptions, "held_out", 1),
        (TiltOptions, "convention", 3),
        (CompareOptions, "distance", -1),
        (CompareOptions, "fdr", "5 %"),
        (CompareOptions, "move", None),
        (SimulationOptions, "shape", "cube"),
        (SimulationOptions, "seed", -1),
        (SimulationOptions, "box", 9.5),
        (SeriesOptions, "tilts", 1),
    ],
)
def test_what_is_not_meant_is_refused_by_name(kind: Callable[..., Any], name: str, given: Any) -> None:
    with pytest.raises(InputError) as refusal:
        kind(**{name: given})
    sentence = str(refusal.value)
    assert sentence.startswith(f"--{name.replace('move', 'register').replace('_', '-')}: ")
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("command", "kind", "name", "typed"),
    [
        ("build m.mrc -e Pt", BuildOptions, "likelihood", "Poisson"),
        ("build m.mrc -e Pt", BuildOptions, "max_iterations", "2.5"),
        ("build m.mrc -e Pt", BuildOptions, "cn_cutoff", "far"),
        ("build m.mrc -e Pt", BuildOptions, "voxel_size", "1,2"),
        ("tilt i.mrc --views v.tlt -e Pt -o o", TiltOptions, "voltage", "300000"),
        ("tilt i.mrc --views v.tlt -e Pt -o o", TiltOptions, "refine", "tilts"),
        ("compare a b", CompareOptions, "fdr", "2"),
        ("simulate -o o", SimulationOptions, "doi", "0"),
        ("simulate -o o --tilts 9", SeriesOptions, "probe", "adaptive"),
    ],
)
def test_both_sides_refuse_by_one_sentence(
    command: str, kind: Callable[..., Any], name: str, typed: str
) -> None:
    outcome = CliRunner().invoke(app, [*shlex.split(command), f"--{name.replace('_', '-')}", typed])
    assert outcome.exit_code == 2
    with pytest.raises(InputError) as refusal:
        kind(**{name: read(typed, declared(kind)[name][0])})  # type: ignore[arg-type]
    assert outcome.stderr == f"atomfit: {refusal.value}\n"


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_an_option_that_help_tells(kind: type) -> None:
    about = declared(kind)
    assert set(about) == {one.name for one in fields(kind)}
    command = {TiltOptions: "tilt", BuildOptions: "build", CompareOptions: "compare"}.get(kind, "simulate")
    told = CliRunner().invoke(app, [command, "--help"]).output
    for name, (_, one) in about.items():
        assert flag_of(name, one) in told
        assert f"\n{one.group}:\n" in told


@pytest.mark.parametrize(
    ("kind", "given", "flag"),
    [
        (BuildOptions, {"beam": "x"}, "--beam"),
        (BuildOptions, {"fit": "log", "prior": "none"}, "--prior"),
        (BuildOptions, {"fit": "log", "max_iterations": 5}, "--max-iterations"),
        (TiltOptions, {"spherical": 1e7}, "--spherical"),
        (TiltOptions, {"convention": "foo"}, "--convention"),
        (SeriesOptions, {"convergence": 30}, "--convergence"),
    ],
)
def test_what_would_have_no_effect_is_refused(kind: Callable[..., Any], given: Any, flag: str) -> None:
    with pytest.raises(InputError, match=f"^{flag}: "):
        kind(**given)


def test_options_of_another_function_are_refused() -> None:
    with pytest.raises(InputError, match="is no BuildOptions"):
        options_from(BuildOptions, TiltOptions(), {}, "build")  # type: ignore[type-var]
    with pytest.raises(InputError, match="is no TiltOptions"):
        options_from(TiltOptions, {"fdr": 0.1}, {}, "tilt")  # type: ignore[arg-type]
    assert options_from(TiltOptions, None, {"fdr": 0.1}, "tilt").fdr == 0.1
