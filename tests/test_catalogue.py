"""Base models: shipped and stored, in versions that never change."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from meta_core.base import Base, BaseSpec, unpack_base
from meta_core.catalogue import SHIPPED, Catalogue
from meta_core.errors import CorruptArtifact, InvalidParameter, InvalidTask, NotFound
from meta_core.store import Store

SPEC = BaseSpec(modality="vector", backbone="mlp", learners={"classification": ("protonet", {})}, shape=(3,))


def base(name: str = "mine") -> Base:
    weights = SPEC.build((3,), "classification").state_dict()
    return Base(name=name, version=0, summary="", spec=SPEC, weights=weights, provenance={}, scores={})


def test_versions_count_up_and_the_newest_is_the_default(store: Store) -> None:
    catalogue = Catalogue(store)
    assert [catalogue.publish(base(), f"job {i}").version for i in range(3)] == [1, 2, 3]
    assert catalogue.get("mine").reference == "mine@3"
    assert catalogue.get("mine@1").reference == "mine@1"
    assert Catalogue(store).versions("mine") == [1, 2, 3]


def test_a_job_that_publishes_twice_makes_one_version(store: Store) -> None:
    published = Catalogue(store).publish(base(), "job").version
    assert Catalogue(store).publish(base(), "job").version == published == 1
    assert Catalogue(store).versions("mine") == [1]


def test_many_jobs_at_once_each_get_a_version(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda i: Catalogue(store).publish(base(), f"job {i}").version, range(8)))
    assert sorted(versions) == list(range(1, 9))


def test_the_default_can_be_chosen_rolled_back_and_left_to_the_newest(store: Store) -> None:
    catalogue, elsewhere = Catalogue(store), Catalogue(store)
    for i in range(3):
        catalogue.publish(base(), f"job {i}")
    for chosen, meant in ((2, 2), (1, 1), (None, 3)):
        catalogue.choose_default("mine", chosen)
        assert elsewhere.get("mine").version == elsewhere.default("mine") == meant
    with pytest.raises(NotFound, match="mine@3"):
        catalogue.choose_default("mine", 4)
    assert {one.reference for one in catalogue.list()} >= {"mine@3", "table@1"}


def test_the_number_of_a_withdrawn_version_is_not_given_again(store: Store) -> None:
    catalogue = Catalogue(store)
    first, second = (catalogue.publish(base(), f"job {i}") for i in range(2))
    catalogue.choose_default("mine", 2)
    catalogue.withdraw(second)
    assert catalogue.versions("mine") == [1]
    assert catalogue.get("mine").reference == first.reference == "mine@1"
    with pytest.raises(NotFound):
        Catalogue(store).get("mine@2")
    assert catalogue.publish(base(), "job 3").version == 3
    for version in (1, 3):
        catalogue.withdraw(catalogue.get(f"mine@{version}"))
    assert "mine" not in Catalogue(store).names()


def test_a_stored_version_of_a_shipped_name_is_newer(store: Store) -> None:
    catalogue = Catalogue(store)
    shipped = catalogue.get("table").version
    assert catalogue.publish(base("table"), "job").version == shipped + 1
    assert catalogue.get(f"table@{shipped}").spec.modality == "table"


def test_what_is_not_there_is_an_error_that_lists_what_is(store: Store) -> None:
    with pytest.raises(NotFound, match="table"):
        Catalogue(store).get("nothing")
    with pytest.raises(NotFound, match="table@1"):
        Catalogue(store).get("table@7")


def test_a_base_survives_its_artifact() -> None:
    one = base()
    again = unpack_base(one.pack())
    assert again.header() == one.header()
    x = torch.randn(4, 3)
    first, second = (b.learner_for("protonet", {}, (3,), "classification").encode(x) for b in (one, again))
    assert torch.equal(first, second)


def test_weights_that_do_not_fit_are_corrupt() -> None:
    one = base()
    one.weights["backbone.layers.0.weight"] = torch.zeros(7, 7)
    with pytest.raises(CorruptArtifact, match="mine@0"):
        one.learner_for("protonet", {}, (3,), "classification")


def test_other_learners_take_the_same_embeddings_if_they_can() -> None:
    one = base()
    x = torch.randn(4, 3)
    ridge = one.learner_for("ridge", {}, (3,), "classification")
    assert torch.equal(ridge.encode(x), one.learner_for("protonet", {}, (3,), "classification").encode(x))
    with pytest.raises(InvalidParameter, match="meta-trained"):
        one.learner_for("cnp", {}, (3,), "classification")
    with pytest.raises(InvalidTask, match="not regression"):
        one.learner_for("protonet", {}, (3,), "regression")


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.safetensors")), ids=lambda path: path.stem)
def test_every_shipped_base_loads_and_answers(path: object) -> None:
    one = unpack_base(path.read_bytes())  # type: ignore[attr-defined]
    assert one.summary
    shape = one.spec.shape or (3,)
    for task, (name, config) in one.spec.learners.items():
        learner = one.learner_for(name, config, shape, task)
        assert learner.encode(torch.rand(2, *shape)).isfinite().all()


def test_a_tenant_sees_its_own_bases_and_those_of_everybody(store: Store) -> None:
    catalogue = Catalogue(store)
    assert catalogue.publish(base(), "job 1", "one").reference == "mine@1"
    assert catalogue.publish(base(), "job 2", "other").reference == "mine@1"
    assert "mine" in catalogue.names("one")
    assert "mine" not in catalogue.names() + catalogue.names("third")
    assert [catalogue.get("mine@1", tenant).provenance["job"] for tenant in ("one", "other")] == ["job 1", "job 2"]
    for tenant in ("third", None):
        with pytest.raises(NotFound):
            Catalogue(store).get("mine@1", tenant)
    assert catalogue.get("table", "one") is catalogue.get("table"), "what is everybody's is loaded once"


def test_a_base_of_everybodys_never_takes_the_place_of_a_tenants_own(store: Store) -> None:
    own = Catalogue(store).publish(base("table"), "job 1", "one")
    assert Catalogue(store).publish(base("table"), "job 2").version == own.version
    assert Catalogue(store).get(own.reference, "one").provenance["job"] == "job 1"
    assert Catalogue(store).get(own.reference, "other").provenance["job"] == "job 2"
    assert Catalogue(store).publish(base("table"), "job 3", "one").version == own.version + 1
