"""Whatever is asked, the index answers with JSON or with a DasError, and is the same afterwards."""

import json

from hypothesis import given
from hypothesis import strategies as st

from localnet.das import DasError, DasIndex
from localnet.das.params import PAGING
from localnet.das.search import POSITIONS
from tests.support.das import DasChain
from tests.support.leaves import key, metadata_v1

OWNER, COLLECTION = key(3), key(4)
NAMES = sorted({*POSITIONS, *PAGING, "id", "ids", "groupKey", "groupValue", "options", "cursor", "sortDirection"})


def _index() -> DasIndex:
    chain = DasChain()
    tree = chain.tree(key(2))
    chain.run(tree.mint(OWNER, metadata_v1("a", COLLECTION), COLLECTION), tree.mint(OWNER, metadata_v1("b")))
    chain.run(tree.burn(1))
    return chain.index


INDEX = _index()

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-5, 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["collection", "id", "asc", "all", "any", str(OWNER), str(COLLECTION)])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=6,
)
by_name = st.dictionaries(st.sampled_from(NAMES), values, max_size=6)
by_position = st.lists(values, max_size=30)


@given(st.sampled_from(sorted(INDEX.methods)), by_name | by_position | st.none())
def test_any_parameters(method: str, params: dict[str, object] | list[object] | None) -> None:
    before = INDEX.handle("searchAssets", {})
    refused: DasError | None = None
    try:
        json.dumps(INDEX.handle(method, params))
    except DasError as error:
        refused = error
    assert refused is None or (refused.code in (-32000, -32602) and refused.message)
    assert INDEX.handle("searchAssets", {}) == before
