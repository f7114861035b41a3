"""A user's own module: what it must keep to is tried before anything is planned, and told with its own line."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from seawall.errors import ConfigError, SeawallError
from seawall.models.measure import peak_bytes
from seawall.models.module_config import Measured, ModuleConfig
from seawall.models.module_source import source_file, source_key
from seawall.models.probe import probe
from seawall.models.registry import build_model
from seawall.models.shape import ModelShape
from seawall.models.user_module import UserModule

FILE = Path(__file__).with_name("own_networks.py")
SHAPE = ModelShape(num_features=3, lookback_periods=5)
WITH_ALL = ModelShape(num_features=3, lookback_periods=5, num_static=2, num_entities=4)


def own(name: str, **choices: object) -> ModuleConfig:
    return ModuleConfig.model_validate({"target": f"{FILE}:{name}", **choices})


def tried(config: ModuleConfig, shape: ModelShape = SHAPE, batch_size: int = 64) -> Measured:
    found = probe(config, shape, key="k", batch_size=batch_size, room_bytes=2**30)
    return Measured.model_validate(found)


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (own("Mlp"), SHAPE),
        (own("Mlp", arguments={"width": 3}), SHAPE),
        (own("Flat"), SHAPE),
        (own("WithStatic", static=["a", "b"], entities=True), WITH_ALL),
        (own("Steps", output="sequence"), ModelShape(num_features=3, lookback_periods=5, num_outputs=4)),
    ],
)
def test_a_module_that_keeps_the_contract_is_measured(config: ModuleConfig, shape: ModelShape) -> None:
    measured = tried(config, shape)

    built = build_model(config, shape)
    assert measured.num_parameters == sum(weight.numel() for weight in built.parameters())
    assert measured.learning.sample_bytes > measured.judging.sample_bytes > 0
    assert measured == tried(config, shape), "planned twice, it is the same"


@pytest.mark.parametrize("name", ["Mlp", "Conv", "Steps"])
@pytest.mark.parametrize("training", [True, False])
def test_what_was_measured_bounds_every_smaller_batch_and_is_not_fat(name: str, training: bool) -> None:
    shape = ModelShape(num_features=6, lookback_periods=20, num_outputs=2)
    config = own(name, **({"output": "sequence"} if name == "Steps" else {}))
    measured, built = tried(config, shape, 512), build_model(config, shape)

    for size in (1, 7, 100, 511, 512):
        held = peak_bytes(built, (torch.randn(size, 20, 6), None, None), training=training)
        claimed = (measured.learning if training else measured.judging).bytes(size)
        assert held <= claimed <= 1.5 * held + 2**16


def test_a_batch_that_is_too_large_to_try_is_measured_by_smaller_ones() -> None:
    shape = ModelShape(num_features=6, lookback_periods=20)
    whole = tried(own("Conv"), shape, 4096)

    carefully = Measured.model_validate(probe(own("Conv"), shape, key="k", batch_size=4096, room_bytes=2**21))

    assert carefully.learning.bytes(4096) == pytest.approx(whole.learning.bytes(4096), rel=0.1)


@pytest.mark.parametrize(
    ("name", "choices", "text"),
    [
        ("Neighbours", {}, "depends on the other samples of its batch"),
        ("Noisy", {}, "the same sample is predicted differently each time"),
        ("Detached", {}, "no gradient goes from the prediction to the weights"),
        ("Unused", {}, r"no gradient reaches are never learnt, found spare\.bias, spare\.weight"),
        ("Wide", {}, r"another shape, found \[4, 2\], allowed: \[4, 1\]"),
        ("Infinite", {}, "a prediction of scaled features is not finite"),
        ("Crash", {}, r"own_networks\.py, line \d+ \(forward\): forward failed, found RuntimeError: mat1 and mat2"),
        ("Pair", {}, "forward gives no tensor, found tuple of 2"),
        ("Weightless", {}, "no weights to learn"),
        ("InPlace", {}, "the backward pass failed, found RuntimeError: one of the variables needed for gradient"),
        ("NotAModule", {}, "not a class of torch.nn.Module, found NotAModule"),
        ("Mpl", {}, "no such class in this file.*Did you mean 'Mlp'"),
        ("Mlp", {"arguments": {"widht": 3}}, r"the class cannot be made, found TypeError: .*'widht'"),
        ("Mlp", {"static": ["a"]}, r"forward failed, found TypeError: .*'static'"),
        ("Future", {"output": "sequence"}, "an earlier step's prediction depends on later steps"),
    ],
)
def test_what_breaks_the_contract_is_told(name: str, choices: dict[str, object], text: str) -> None:
    shape = ModelShape(num_features=3, lookback_periods=5, num_static=len(choices.get("static", ())))  # type: ignore[arg-type] # of a list
    with pytest.raises(SeawallError, match=text):
        tried(own(name, **choices), shape)


def test_a_file_that_cannot_be_imported_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import torch\nimport no_such_library\n")
    with pytest.raises(ConfigError, match=r"broken\.py, line 2 .*importing it failed, found ModuleNotFoundError"):
        tried(ModuleConfig(target=f"{tmp_path}/broken.py:Net"))
    (tmp_path / "typo.py").write_text("class Net(:\n")
    with pytest.raises(ConfigError, match="importing it failed, found SyntaxError"):
        tried(ModuleConfig(target=f"{tmp_path}/typo.py:Net"))
    with pytest.raises(ConfigError, match="no such file"):
        source_file(f"{tmp_path}/nothing.py:Net")
    with pytest.raises(ConfigError, match=r"no Python module of this name, found 'nowhere\.at_all'"):
        source_file("nowhere.at_all:Net")


@pytest.mark.parametrize("target", ["Net", "a.b", "a b:Net", "file.py", "x.py:", "../x.txt:Net"])
def test_what_is_no_place_of_a_class_is_refused(target: str) -> None:
    with pytest.raises(ValidationError, match=r"must be package\.module:Class"):
        ModuleConfig.model_validate({"target": target})


def test_a_class_is_found_by_the_name_of_its_module_and_none_of_it_is_run_to_find_it(tmp_path: Path) -> None:
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('run')\n")
    (package / "nets.py").write_text(FILE.read_text())
    script = """
import sys
from seawall.models.module_source import source_file
print(source_file("mine.nets:Mlp"))
assert not {"torch", "numpy", "mine"} & set(sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert found.stdout.strip() == str(package / "nets.py")


def test_other_code_than_was_planned_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "nets.py"
    file.write_text(FILE.read_text())
    config = ModuleConfig(target=f"{file}:Mlp")
    planned = config.model_copy(update={"source": source_key(config.target)})
    build_model(planned, SHAPE)
    file.write_text(FILE.read_text() + "\n# another\n")

    with pytest.raises(ConfigError, match="the code has changed since this model was planned"):
        build_model(planned, SHAPE)


def test_weights_go_by_the_names_of_the_module_itself() -> None:
    built = build_model(own("Mlp"), SHAPE)
    assert isinstance(built, UserModule)

    assert set(built.state_dict()) == set(built.inner.state_dict())
    again = build_model(own("Mlp"), SHAPE)
    again.load_state_dict(built.state_dict())
    x = torch.randn(4, 5, 3)
    assert torch.equal(built(x), again(x))


def test_a_plan_before_the_probe_says_so() -> None:
    with pytest.raises(ConfigError, match="not measured yet"):
        own("Mlp").num_parameters(SHAPE)
