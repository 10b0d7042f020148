"""The answers of the DAS specification as JSON Schemas, strict: what the specification does not have is refused.

Used by the tests of the index and by any test that asks a running cluster. Field names and types follow the published
specification of the Digital Asset Standard API (schemas Asset, AssetProof and AssetList); only what concerns compressed
assets and their collections is listed.
"""

from typing import Any

import jsonschema

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
ADDRESS: Schema = {"type": "string", "pattern": "^[1-9A-HJ-NP-Za-km-z]{32,44}$"}
HASH_OR_NOTHING: Schema = {"anyOf": [ADDRESS, {"const": ""}]}
BOOLEAN: Schema = {"type": "boolean"}
NATURAL: Schema = {"type": "integer", "minimum": 0}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(required: Schema, optional: Schema | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": sorted(required),
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


ASSET = _object(
    {
        "interface": {"enum": ["V1_NFT", "MplBubblegumV2", "MplCoreCollection"]},
        "id": ADDRESS,
        "content": _object(
            {
                "$schema": STRING,
                "json_uri": STRING,
                "files": _list(_object({}, {"uri": STRING, "mime": STRING})),
                "metadata": {"type": "object", "required": ["name", "symbol", "token_standard"]},
                "links": {"type": "object"},
            }
        ),
        "authorities": _list(
            _object({"address": ADDRESS, "scopes": _list({"enum": ["full", "royalty", "metadata", "extension"]})})
        ),
        "compression": _object(
            {
                "eligible": BOOLEAN,
                "compressed": BOOLEAN,
                "data_hash": HASH_OR_NOTHING,
                "creator_hash": HASH_OR_NOTHING,
                "asset_hash": HASH_OR_NOTHING,
                "tree": HASH_OR_NOTHING,
                "seq": NATURAL,
                "leaf_id": NATURAL,
            },
            {"collection_hash": ADDRESS, "asset_data_hash": ADDRESS, "flags": NATURAL},
        ),
        "grouping": _list(
            _object(
                {"group_key": {"const": "collection"}, "group_value": ADDRESS},
                {"verified": BOOLEAN, "collection_metadata": {"type": "object"}},
            )
        ),
        "royalty": _object(
            {
                "royalty_model": {"enum": ["creators", "fanout", "single"]},
                "target": _nullable(ADDRESS),
                "percent": {"type": "number"},
                "basis_points": NATURAL,
                "primary_sale_happened": BOOLEAN,
                "locked": BOOLEAN,
            },
            {"basis_points_raw": NATURAL, "sfbp_inherited": BOOLEAN},
        ),
        "creators": _list(_object({"address": ADDRESS, "share": NATURAL, "verified": BOOLEAN})),
        "ownership": _object(
            {
                "frozen": BOOLEAN,
                "delegated": BOOLEAN,
                "delegate": _nullable(ADDRESS),
                "ownership_model": {"enum": ["single", "token"]},
                "owner": ADDRESS,
            },
            {"non_transferable": BOOLEAN},
        ),
        "supply": _object(
            {"print_max_supply": NATURAL, "print_current_supply": NATURAL, "edition_nonce": _nullable(NATURAL)}
        ),
        "mutable": BOOLEAN,
        "burnt": BOOLEAN,
    },
    {
        "uses": _object(
            {"use_method": {"enum": ["Burn", "Multiple", "Single"]}, "remaining": NATURAL, "total": NATURAL}
        ),
        "mpl_core_info": _object({"num_minted": NATURAL, "current_size": NATURAL, "plugins_json_version": NATURAL}),
    },
)

PROOF = _object({"root": ADDRESS, "proof": _list(ADDRESS), "node_index": NATURAL, "leaf": ADDRESS, "tree_id": ADDRESS})

ASSET_LIST = _object(
    {"total": NATURAL, "limit": NATURAL, "items": _list(ASSET)},
    {"page": NATURAL, "before": ADDRESS, "after": ADDRESS, "cursor": ADDRESS},
)


def checked(answer: object, schema: Schema) -> Any:
    """The answer, once it is known to be what the specification says."""
    jsonschema.validate(answer, schema)
    return answer
