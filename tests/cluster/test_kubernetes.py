"""The manifest for Kubernetes has fields the operator knows, a token, and sizes that fit each other."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from seawall.pipeline.cluster.engine import OBJECT_STORE_BYTES, engine_environment

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(Path(__file__).with_name("kuberay").joinpath("raycluster.schema.json").read_text())
GIB = 1 << 30


@pytest.fixture(scope="module")
def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((ROOT / "examples" / "kubernetes" / "raycluster.yaml").read_text()))


def mistakes(cluster: dict[str, Any]) -> list[str]:
    return [error.message for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(cluster)]


def groups(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    return [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]


def test_every_field_is_one_the_operator_knows(documents: list[dict[str, Any]]) -> None:
    cluster, policy = documents
    assert mistakes(cluster) == []
    wrong = copy.deepcopy(cluster)
    wrong["spec"]["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["volumeMount"] = []
    del wrong["spec"]["workerGroupSpecs"][0]["groupName"]
    wrong["spec"]["authOptions"]["mode"] = "none"
    assert len(mistakes(wrong)) == 3, "the schema judges"
    assert policy["spec"]["podSelector"]["matchLabels"] == {"ray.io/cluster": cluster["metadata"]["name"]}


def test_the_token_is_on_and_the_sizes_fit(documents: list[dict[str, Any]]) -> None:
    cluster = documents[0]
    assert cluster["spec"]["authOptions"]["mode"] == "token"
    for group in groups(cluster):
        asked, pod = group["rayStartParams"], group["template"]["spec"]
        (container,) = pod["containers"]
        assert int(asked["object-store-memory"]) == OBJECT_STORE_BYTES
        limit = container["resources"]["limits"]
        assert container["resources"]["requests"] == limit
        assert int(asked["memory"]) + OBJECT_STORE_BYTES + GIB <= int(limit["memory"].removesuffix("Gi")) * GIB
        assert asked["num-cpus"] == limit["cpu"]
        ours = {variable["name"]: variable["value"] for variable in container["env"]}
        for name, value in engine_environment(Path("x"), "10.0.0.1").items():
            if name in ours and name != "RAY_AUTH_TOKEN_PATH":
                assert ours[name] == value
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        assert mounts <= {volume["name"] for volume in pod["volumes"]}


def test_the_version_of_ray_is_the_one_we_test_with(documents: list[dict[str, Any]]) -> None:
    pinned = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("ray==")]
    assert documents[0]["spec"]["rayVersion"] == pinned[0].removeprefix("ray==")
