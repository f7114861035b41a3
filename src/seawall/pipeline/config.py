"""The whole configuration of a run, read from YAML, every mistake told with its place and the nearest known name."""

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticSerializationError

from seawall.backtest.config import BacktestConfig
from seawall.errors import ConfigError, nearest
from seawall.evaluate.config import EvaluateConfig
from seawall.ingest.config import IngestConfig, Strict
from seawall.join.config import JoinConfig, PredictionsConfig
from seawall.pipeline.cluster.config import ClusterConfig
from seawall.report.config import ReportConfig
from seawall.search.config import SearchConfig
from seawall.train.config import TrainConfig
from seawall.units import parse_bytes

Model = TypeVar("Model", bound=BaseModel)

MAX_CONFIG_BYTES = 1024 * 1024

MAX_NAME_BYTES = 200
"""Of a file's name: file systems take 255, and some are written under a longer name first."""


def usable_path(path: Path) -> Path:
    """Give the path back; ValueError where no file system takes it."""
    if "\0" in str(path):
        raise ValueError("a path cannot hold a null character")
    if any(len(os.fsencode(part)) > MAX_NAME_BYTES for part in path.parts):
        raise ValueError(f"a name in this path is longer than {MAX_NAME_BYTES} bytes")
    return path


UsablePath = Annotated[Path, AfterValidator(usable_path)]


class MemoryConfig(Strict):
    """The budget of the run."""

    budget: str | None = Field(default=None, description="for example 2GiB; found from the machine where missing")
    # None: the budget alone says what may be used; set it where live processes share the machine.
    reserve: str | None = Field(default=None, description="available memory to leave to other processes, say 800MiB")
    # None: 90 % of what is free when a fold begins, so that a display or another process keeps what it has.
    gpu_budget: str | None = Field(default=None, description="of a GPU's memory; 90 % of what is free where missing")

    @property
    def gpu_budget_bytes(self) -> int | None:
        """The GPU's budget in bytes; None where it is not declared."""
        return None if self.gpu_budget is None else parse_bytes(self.gpu_budget, where="memory.gpu_budget")


class RunConfig(Strict):
    """One run, from tables to report. Sections that are left out are stages that are not run."""

    name: str = Field(default="run", min_length=1, max_length=200, description="shown in the report")
    output: UsablePath = Field(description="run folder")
    panel: UsablePath | None = Field(default=None, description="panel store; OUTPUT/NAME.panel where missing")
    memory: MemoryConfig = MemoryConfig()
    # auto: a fold keeps one core busy; results do not depend on how many run at once.
    folds_at_once: Literal["auto"] | Annotated[int, Field(ge=1, le=64)] = Field(
        default="auto",
        description="folds trained and predicted side by side at most; auto is as many as cores and budget allow",
    )
    ingest: IngestConfig | None = None
    train: TrainConfig | None = None
    models: UsablePath | None = Field(
        default=None, description="folder of finished models to predict with in place of training: models/ of a run"
    )
    predictions: PredictionsConfig | None = None
    evaluate: EvaluateConfig = EvaluateConfig()
    join: JoinConfig = JoinConfig()
    backtest: BacktestConfig | None = None
    search: SearchConfig | None = None
    report: ReportConfig = ReportConfig()
    cluster: ClusterConfig | None = None

    @field_validator("name")
    @classmethod
    def _is_a_file_name(cls, value: str) -> str:
        """Refuse what would put the panel store, which is named after the run, outside the run folder."""
        if "/" in value or not value.isprintable():
            raise ValueError("must be one line without /: the panel store is named after it")
        usable_path(Path(f"{value}.panel"))
        return value

    @model_validator(mode="after")
    def _has_what_backtest_needs(self) -> "RunConfig":
        if self.train is not None and self.predictions is not None:
            raise ValueError("predictions: a run trains its own or takes those of others, not both")
        if self.models is not None and self.predictions is not None:
            raise ValueError("predictions: a run predicts with models or takes the predictions of others, not both")
        if self.backtest is not None and not self.has_predictions:
            raise ValueError("backtest: needs a train section, models, or predictions of others, to trade")
        if self.evaluate.in_sample and self.predictions is not None:
            raise ValueError("evaluate: in_sample needs models of its own: nobody knows what others have learnt from")
        return self

    @property
    def num_targets(self) -> int:
        """Targets that are predicted."""
        return 1 if self.train is None else len(self.train.target_names)

    @property
    def num_paths(self) -> int:
        """Paths that combinatorial folds predict; 0 where they walk forward."""
        return 0 if self.train is None else self.train.folds.num_paths

    @model_validator(mode="after")
    def _trades_only_what_walks_forward(self) -> "RunConfig":
        """Refuse before any work: models of combinatorial folds have learnt from what came after their tests."""
        search = self.search
        enters = search is not None and search.entries_source is None and not search.entries.signals
        for name, is_asked in (("backtest", self.backtest is not None), ("search", enters)):
            if self.num_paths and is_asked:
                raise ValueError(
                    f"{name}: predictions of combinatorial folds are {self.num_paths} paths, mostly of models that "
                    f"learnt from what came after, not a walk forward; leave {name} out or set folds.kind: walk_forward"
                )
        return self

    @model_validator(mode="after")
    def _has_what_search_needs(self) -> "RunConfig":
        search = self.search
        if search is None or search.entries_source is not None or search.entries.signals:
            return self
        if not self.has_predictions:
            raise ValueError(
                "search: needs entries_source, entries.signals, or a train section whose predictions enter"
            )
        return self

    @model_validator(mode="after")
    def _sections_agree(self) -> "RunConfig":
        """Find a name that no column has before the first stage runs, not after the last fold is trained."""
        if self.ingest is None:
            return self
        asked = []
        if self.train is not None:
            asked.append(("train.target", list(self.train.target_names), list(self.ingest.targets)))
            asked.append(("train.features", list(self.train.features or ()), list(self.ingest.feature_names)))
        if self.predictions is not None and self.predictions.target is not None:
            asked.append(("predictions.target", [self.predictions.target], list(self.ingest.targets)))
        if self.backtest is not None:
            prices = [self.backtest.trade_price, self.backtest.mark_price]
            asked.append(("backtest.trade_price or mark_price", prices, list(self.ingest.prices)))
        asked.append(("join.prices", list(self.join.prices), list(self.ingest.prices)))
        for place, names, known in asked:
            for name in names:
                if name not in known:
                    raise ValueError(f"{place}: {name!r} is not made by ingest; {nearest(name, known)}")
        return self

    @model_validator(mode="after")
    def _targets_are_predicted(self) -> "RunConfig":
        if self.train is None:
            return self
        asked = [("evaluate.target", self.evaluate.target), ("join.target", self.join.target)]
        for name, type_config in self.search.types.items() if self.search is not None else ():
            if type_config.predictions is not None:
                asked.append((f"search.types.{name}.predictions.target", type_config.predictions.target))
        for place, target in asked:
            if target is not None and target not in self.train.target_names:
                raise ValueError(f"{place}: {target!r} is not predicted; {nearest(target, self.train.target_names)}")
        return self

    @property
    def has_predictions(self) -> bool:
        """Tell whether there will be predictions: trained here, or taken from outside."""
        return self.train is not None or self.models is not None or self.predictions is not None

    @property
    def uses_panel(self) -> bool:
        """Tell whether any stage reads a panel store: a search of its own tables does not."""
        is_search_alone = self.search is not None and self.search.source is not None
        return not is_search_alone or any(
            part is not None for part in (self.panel, self.ingest, self.train, self.models, self.predictions)
        )

    @property
    def panel_path(self) -> Path:
        """Where the panel store is, or will be."""
        return self.panel or self.output / f"{self.name}.panel"


class _PlainLoader(yaml.SafeLoader):
    """Safe YAML without aliases (a bomb is made of them) and without repeated keys (one of them would be lost)."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401
        if self.check_event(yaml.AliasEvent):
            raise yaml.constructor.ConstructorError(None, None, "aliases are not allowed", None)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, (str, int, float, bool)) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} occurs twice", key_node.start_mark
                )
            if isinstance(key, (str, int, float, bool)):
                seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises
    ------
    ConfigError
        Where the file is missing, too large, not YAML, or not a mapping.
    """
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ConfigError(
                str(path), "too large for a config", found=f"{path.stat().st_size:,} bytes", allowed="1 MiB"
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(str(path), "the config cannot be read", found=found, do="Check the path.") from error
    try:
        loaded = yaml.load(text, Loader=_PlainLoader)  # noqa: S506 - a SafeLoader, narrowed
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark else str(path)
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(place, "not valid YAML", found=str(what)) from error
    if not isinstance(loaded, dict):
        raise ConfigError(str(path), "a config is a mapping of sections", found=type(loaded).__name__)
    return loaded


def load_config(path: Path) -> RunConfig:
    """Read and check a run's config; relative paths in it are taken from the current folder."""
    return parse_config(read_yaml(path), str(path))


def parse_config(values: dict[str, Any], where: str) -> RunConfig:
    """Check a config given as plain values.

    Raises
    ------
    ConfigError
        For the first mistake, with its place as it is written in the file.
    """
    return checked_model(RunConfig, values, where)


def checked_model(model: type[Model], values: dict[str, Any], where: str) -> Model:
    """Check plain values against a frozen model.

    Raises
    ------
    ConfigError
        For the first mistake, with its place.
    """
    try:
        checked = model.model_validate(values)
        checked.model_dump_json()
    except ValidationError as error:
        raise _first_mistake(error, where, model) from error
    except PydanticSerializationError as error:  # a file name in another encoding, say
        reason = str(error).rpartition("UnicodeEncodeError: ")[2]
        raise ConfigError(where, "a name or path is not valid Unicode", found=reason) from error
    return checked


def _first_mistake(error: ValidationError, where: str, model: type[BaseModel]) -> ConfigError:
    mistakes = error.errors(include_url=False)
    first = next((m for m in mistakes if m["type"] == "extra_forbidden"), mistakes[0])
    place = ".".join(_written(model, first["loc"]))
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, first["loc"][:-1])
        hint = nearest(str(first["loc"][-1]), known)
        return ConfigError(f"{where}: {place}", "unknown key", found=repr(str(first["loc"][-1])), do=hint)
    if first["type"] == "missing":
        return ConfigError(f"{where}: {place}", "this key is required", do="Add it.")
    text = first["msg"].removeprefix("Value error, ")
    more = f"{len(mistakes) - 1} more mistakes after this one." if len(mistakes) > 1 else ""
    found = first.get("input")
    shown = "" if isinstance(found, dict | list) else _shown(found)
    return ConfigError(f"{where}: {place}" if place else where, text, found=shown, do=more)


def _written(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """Leave the tags of unions, which are no keys of the file, out of a place."""
    schema: dict[str, Any] = model.model_json_schema()
    node, kept = schema, []
    for part in place:
        if _tagged(schema, node, part) is None:
            kept.append(str(part))
        node = _step(schema, node, part)
    return kept


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _known_keys(model: Any, place: tuple[int | str, ...]) -> list[str]:  # noqa: ANN401 - walks pydantic's own annotations
    """Walk the schema to the section a mistake is in, and list its keys."""
    schema: dict[str, Any] = model.model_json_schema()
    node: dict[str, Any] = schema
    for part in place:
        node = _step(schema, node, part)
    found: list[str] = []
    for branch in _branches(schema, node):
        found += branch.get("properties", {})
    return found


def _branches(schema: dict[str, Any], node: dict[str, Any]) -> list[dict[str, Any]]:
    if "$ref" in node:
        return _branches(schema, schema["$defs"][node["$ref"].rsplit("/", 1)[1]])
    if "properties" in node:
        return [node]
    options = node.get("anyOf", []) + node.get("oneOf", []) + node.get("allOf", [])
    return [branch for option in options for branch in _branches(schema, option)] or [node]


def _step(schema: dict[str, Any], node: dict[str, Any], part: int | str) -> dict[str, Any]:
    tagged = _tagged(schema, node, part)
    if tagged is not None:
        return tagged
    for branch in _branches(schema, node):
        if part in branch.get("properties", {}):
            return dict(branch["properties"][part])
        inner = branch.get("items") if isinstance(part, int) else branch.get("additionalProperties")
        if isinstance(inner, dict):
            return inner
    return node


def _tagged(schema: dict[str, Any], node: dict[str, Any], part: int | str) -> dict[str, Any] | None:
    """Find the member of a union that a tag stands for: a tag is no key of the file."""
    branches = _branches(schema, node)
    kinds = (branch.get("properties", {}).get("kind", {}).get("const") for branch in branches)
    found = [branch for branch, kind in zip(branches, kinds, strict=True) if kind == part]
    return found[0] if len(branches) > 1 and found else None


def config_text(config: RunConfig) -> str:
    """Write the whole config as YAML, every default spelled out."""
    return yaml.safe_dump(json.loads(config.model_dump_json()), sort_keys=False, allow_unicode=True)


def on_cluster(config: RunConfig, address: str | None) -> RunConfig:
    """Give the config with the address of a cluster in place of its own, where one is given."""
    if address is None:
        return config
    section = (config.cluster or ClusterConfig()).model_copy(update={"address": address})
    return config.model_copy(update={"cluster": section})
