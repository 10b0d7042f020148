"""Settings of a service: one frozen Struct, filled from environment variables.

Used by every `services/*/settings.py`. A field `nats_url` is the variable `NATS_URL`. Everything wrong is
collected and told at once, by variable name. Not done here: reading files of settings, reloading, or the
OpenTelemetry variables (`OTEL_*`), which the OpenTelemetry SDK reads itself.
"""

import difflib
import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, NoReturn, TypeVar

import msgspec
from msgspec import Meta

from chassis.log import MAX_BATCH
from chassis.redaction import Secret
from chassis.setting_fields import SettingField, setting_fields, shown, type_name

__all__ = [
    "LogFormat",
    "LogLevel",
    "Secret",
    "ServiceSettings",
    "SettingRow",
    "SettingsError",
    "describe",
    "load",
    "load_or_exit",
]

LogLevel = Literal["debug", "info", "warn", "warning", "error"]
"""`warn` is the source document's word for `warning`."""
LogFormat = Literal["auto", "json", "console"]

# Variables that begin with this and that no field declares are taken for typing errors.
OWN_PREFIX: Final = "MINTSTREAM_"
# EX_USAGE in spirit: the operator has to change something; a restart will not help.
EXIT_CODE: Final = 2
_MAX_SECRET_FILE_BYTES: Final = 64 * 1024

LISTEN_PATTERN: Final = r"^(\[[0-9A-Fa-f:.]+\]|[^:\s\[\]]+):[0-9]{1,5}$"


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every service has; each service derives its own Struct from this one."""

    nats_url: Annotated[
        str,
        Meta(
            description="NATS servers, comma separated, without credentials.",
            examples=["nats://127.0.0.1:4222"],
            min_length=1,
        ),
    ]
    nats_user: Annotated[str | None, Meta(description="NATS user, together with NATS_PASSWORD.")] = None
    nats_password: Annotated[Secret | None, Meta(description="Password of NATS_USER.")] = None
    nats_creds: Annotated[
        Secret | None,
        Meta(description="Contents of a NATS .creds file (JWT and seed); usually given as NATS_CREDS_FILE."),
    ] = None
    nats_max_batch: Annotated[
        int,
        Meta(
            description="Most messages of one atomic batch, which is made where it is faster; 1 publishes singly.",
            ge=1,
            le=1000,
        ),
    ] = MAX_BATCH
    nats_ca_file: Annotated[
        str | None,
        Meta(description="File of the certificate authorities (PEM) that NATS's certificate must come from."),
    ] = None
    nats_declare: Annotated[
        bool,
        Meta(
            description="Make what is missing on NATS at the start: streams, consumers, buckets. false: something else "
            "makes them, and the service only looks whether they are there."
        ),
    ] = True
    log_level: Annotated[LogLevel, Meta(description="Lowest level that is logged.")] = "info"
    log_format: Annotated[
        LogFormat, Meta(description="json, console, or auto: console on a terminal and json elsewhere.")
    ] = "auto"
    probe_listen: Annotated[
        str,
        Meta(
            description="host:port of the probe server (/health/live, /health/ready, /metrics); port 0: a free one.",
            examples=["0.0.0.0:8081"],
            pattern=LISTEN_PATTERN,
        ),
    ] = "127.0.0.1:0"
    enable_metrics: Annotated[bool, Meta(description="Keep metrics, and serve them at /metrics.")] = True
    ports_file: Annotated[
        str | None,
        Meta(description="File to which the addresses really listened on are written, as JSON."),
    ] = None
    shutdown_grace_seconds: Annotated[
        float,
        Meta(description="Seconds that work in flight has to finish after SIGTERM.", ge=0, le=3600),
    ] = 20.0


SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)


class SettingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One variable of a service, for its documentation."""

    variable: str
    type: str
    required: bool
    default: str | None
    secret: bool
    description: str
    example: str


class SettingsError(Exception):
    """The environment makes no valid settings Struct; `problems` has a sentence for each variable."""

    def __init__(self, settings_name: str, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        lines = [f"{settings_name}: {len(self.problems)} environment variable(s) to correct:"]
        lines += [f"  {variable}: {problem}" for variable, problem in self.problems.items()]
        super().__init__("\n".join(lines))


def load(
    settings: type[SettingsT],
    environ: Mapping[str, str] = os.environ,
    *,
    also_known: Collection[str] = (),
) -> SettingsT:
    """Fill `settings` from `environ`; an empty variable counts as absent.

    `also_known` names variables beginning with `MINTSTREAM_` that are not for this Struct and yet no mistake.
    Raises `SettingsError` with every missing, wrong and unknown variable at once.
    """
    fields = setting_fields(settings)
    problems: dict[str, str] = {}
    values: dict[str, object] = {}
    for field in fields:
        try:
            raw = _raw_value(field, environ)
            if raw is not None:
                values[field.name] = _convert(field, raw)
            elif field.required:
                problems[field.variable] = _missing(field, environ, fields)
        except ValueError as error:  # stop: collected, raised below with the others
            problems[field.variable] = f"{error}; example: {field.example}"
    for name in _unknown(fields, environ, also_known):
        problems[name] = _unknown_text(name, fields)
    if problems:
        raise SettingsError(settings.__name__, problems)
    return settings(**values)


def load_or_exit(
    settings: type[SettingsT],
    environ: Mapping[str, str] = os.environ,
    *,
    also_known: Collection[str] = (),
) -> SettingsT:
    """`load`, or print what is wrong to stderr and exit with status 2."""
    try:
        return load(settings, environ, also_known=also_known)
    except SettingsError as error:  # stop: only a changed environment helps
        _exit(str(error))


def describe(settings: type[msgspec.Struct]) -> tuple[SettingRow, ...]:
    """One row for each variable of `settings`, in the order of its fields."""
    return tuple(
        SettingRow(
            variable=field.variable,
            type=type_name(field.annotation),
            required=field.required,
            default=None if field.required or field.default is None else shown(field.default),
            secret=field.secret,
            description=field.description,
            example=field.example,
        )
        for field in setting_fields(settings)
    )


def _exit(text: str) -> NoReturn:
    sys.stderr.write(text + "\n")
    raise SystemExit(EXIT_CODE)


def _raw_value(field: SettingField, environ: Mapping[str, str]) -> str | None:
    """The variable's text, or the contents of the file that `<NAME>_FILE` names; None when absent."""
    direct = environ.get(field.variable, "").strip() or None
    if not field.secret:
        return direct
    path = environ.get(f"{field.variable}_FILE") or None
    if path is None:
        return direct
    if direct is not None:
        raise ValueError(f"set either {field.variable} or {field.variable}_FILE, not both")
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_SECRET_FILE_BYTES + 1)
        text = content.decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:  # stop: becomes this variable's problem
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ValueError(f"cannot read {path} (from {field.variable}_FILE): {reason}") from None
    if len(content) > _MAX_SECRET_FILE_BYTES:
        raise ValueError(f"{path} is larger than {_MAX_SECRET_FILE_BYTES} bytes")
    if not text:
        raise ValueError(f"{path} (from {field.variable}_FILE) is empty")
    return text


def _convert(field: SettingField, raw: str) -> object:
    """`raw` as the field's type. Raises ValueError; its text never holds the value of a secret."""
    value: object = [part.strip() for part in raw.split(",") if part.strip()] if field.commas else raw
    try:
        converted: object = msgspec.convert(value, field.target, strict=False, dec_hook=_decode_hook)
    except msgspec.ValidationError as error:  # stop: becomes this variable's problem
        reason = _in_words(str(error), field)
        if field.secret:
            raise ValueError(f"{reason} (the value is not shown)") from None
        raise ValueError(f"{reason}, got {shown(raw)!r}") from None
    return Secret(raw) if field.secret else converted


_WORDS: Final = {
    "Expected `int`, got": "must be a whole number",
    "Expected `float`, got": "must be a number",
    "Expected `bool`, got": "must be true or false",
    "Expected `str` matching regex": "must have the form of the example",
}
"""What msgspec finds, by how it begins, in an operator's words."""


def _in_words(reason: str, field: SettingField) -> str:
    if reason.startswith("Invalid enum value"):  # msgspec does not list what would be valid
        return f"must be {type_name(field.annotation)}"
    return next((words for beginning, words in _WORDS.items() if reason.startswith(beginning)), reason)


def _decode_hook(target: type, value: object) -> object:
    if target is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(f"a settings field cannot have the type {target}")


def _missing(field: SettingField, environ: Mapping[str, str], fields: tuple[SettingField, ...]) -> str:
    declared = {other.variable for other in fields}
    candidates = [name for name in environ if name not in declared]
    similar = difflib.get_close_matches(field.variable, candidates, n=1, cutoff=0.85)
    hint = f"; {similar[0]} is set, is it meant?" if similar else ""
    description = f" ({field.description})" if field.description else ""
    return f"missing{description}; example: {field.example}{hint}"


def _unknown(fields: tuple[SettingField, ...], environ: Mapping[str, str], also_known: Collection[str]) -> list[str]:
    known = {field.variable for field in fields} | {f"{f.variable}_FILE" for f in fields if f.secret}
    return sorted(
        name for name in environ if name.startswith(OWN_PREFIX) and name not in known and name not in also_known
    )


def _unknown_text(name: str, fields: tuple[SettingField, ...]) -> str:
    similar = difflib.get_close_matches(name, [field.variable for field in fields], n=1)
    hint = f"; did you mean {similar[0]}?" if similar else "; unset it"
    return f"no such setting here{hint}"
