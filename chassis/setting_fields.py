"""What the annotations of a settings Struct say: variable names, types, examples.

Used by `chassis.settings` alone. Not done here: reading the environment.
"""

import enum
import types
import typing
from typing import Annotated, Any, Final, Literal, cast

import msgspec
from msgspec import Meta

from chassis.redaction import Secret, scrub

_MAX_SHOWN_VALUE: Final = 60
_SHOWN_OF_LONGER: Final = 16
"""Characters: enough to know it again. A keypair that was given in the place of an address begins with its secret."""


class SettingField(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a settings Struct with what its annotation says."""

    name: str
    annotation: object
    target: object
    """What the variable's text is converted to: the annotation, or for a secret a `str` with the same constraints."""
    default: object
    required: bool
    secret: bool
    commas: bool
    description: str
    examples: tuple[str, ...]

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return self.name.upper()

    @property
    def example(self) -> str:
        """A line for an environment file that sets this variable, or its `_FILE` variant for a secret."""
        if self.examples:
            return f"{self.variable}={self.examples[0]}"
        if self.secret:
            return f"{self.variable}_FILE=/run/secrets/{self.name}"
        return f"{self.variable}={_example_value(self.annotation)}"


def setting_fields(settings: type[msgspec.Struct]) -> tuple[SettingField, ...]:
    """The fields of `settings` in the order of their declaration."""
    hints = typing.get_type_hints(settings, include_extras=True)
    return tuple(_field(info, hints[info.name]) for info in msgspec.structs.fields(settings))


def _field(info: msgspec.structs.FieldInfo, annotation: object) -> SettingField:
    metas = [meta for meta in _annotations(annotation) if isinstance(meta, Meta)]
    secret = _mentions(annotation, Secret)
    default: object = info.default
    if info.default_factory is not msgspec.NODEFAULT:
        default = info.default_factory()  # pyright: ignore[reportCallIssue]  (NoDefault was excluded)
    return SettingField(
        name=info.name,
        annotation=annotation,
        target=_constrained_text(metas) if secret else annotation,
        default=default,
        required=info.required,
        secret=secret,
        commas=_mentions(annotation, tuple),
        description=next((meta.description for meta in metas if meta.description), ""),
        examples=tuple(str(item) for meta in metas for item in (meta.examples or ())),
    )


def _constrained_text(metas: list[Meta]) -> object:
    """`Annotated[str, *metas]`: msgspec checks patterns and lengths on texts only, not on our own type."""
    annotated: Any = Annotated
    return annotated[(str, *metas)] if metas else str


def _annotations(annotation: object) -> tuple[object, ...]:
    return typing.get_args(annotation)[1:] if typing.get_origin(annotation) is Annotated else ()


def _alternatives(annotation: object) -> tuple[object, ...]:
    """The members of a union, without `None` and without `Annotated` around them."""
    if typing.get_origin(annotation) is Annotated:
        return _alternatives(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = typing.get_args(annotation)
        return tuple(leaf for member in members for leaf in _alternatives(member) if leaf is not types.NoneType)
    return (annotation,)


def _mentions(annotation: object, wanted: type) -> bool:
    return any(wanted in (leaf, typing.get_origin(leaf)) for leaf in _alternatives(annotation))


def type_name(annotation: object) -> str:
    """The annotation in an operator's words: `int`, `one of a, b`, `comma-separated str`."""
    return " or ".join(_leaf_name(leaf) for leaf in _alternatives(annotation))


def _leaf_name(leaf: object) -> str:
    origin = typing.get_origin(leaf)
    if origin is Literal:
        return "one of " + ", ".join(str(choice) for choice in typing.get_args(leaf))
    if origin is tuple:
        return f"comma-separated {type_name(typing.get_args(leaf)[0])}"
    if isinstance(leaf, type):
        if issubclass(leaf, enum.Enum):
            return "one of " + ", ".join(str(member.value) for member in leaf)
        return leaf.__name__.lower()
    return str(leaf)


def _example_value(annotation: object) -> str:
    leaf = _alternatives(annotation)[0]
    if typing.get_origin(leaf) is Literal:
        return str(typing.get_args(leaf)[0])
    if isinstance(leaf, type) and issubclass(leaf, enum.Enum):
        return str(next(iter(leaf)).value)
    if typing.get_origin(leaf) is tuple:
        return "a,b"
    examples: tuple[tuple[type, str], ...] = ((int, "1"), (float, "1.5"), (bool, "true"))
    return next((text for kind, text in examples if kind is leaf), "text")


def shown(value: object) -> str:
    """`value` as an operator would write it, scrubbed and of bounded length."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, enum.Enum):
        text = str(value.value)
    elif isinstance(value, tuple):
        text = ",".join(str(item) for item in cast("tuple[object, ...]", value))
    else:
        text = str(value)
    text = scrub(text)
    return text if len(text) <= _MAX_SHOWN_VALUE else text[:_SHOWN_OF_LONGER] + "..."
