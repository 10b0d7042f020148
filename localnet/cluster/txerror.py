"""Solana's `TransactionError` as clients see it: its JSON form and its English sentence.

The JSON form is what serde gives for the Rust enum (`"BlockhashNotFound"`, `{"InstructionError":[0,{"Custom":1}]}`);
the sentences are those of the enum's `Display`. Used by the runtime wrapper and the RPC methods.
"""

from __future__ import annotations

import json
import re

from solders.transaction_status import (
    InstructionErrorCustom,
    TransactionErrorDuplicateInstruction,
    TransactionErrorFieldless,
    TransactionErrorInstructionError,
    TransactionErrorInsufficientFundsForRent,
    TransactionErrorType,
)

from localnet.cluster.model import Json

_SENTENCES = {
    "AccountInUse": "Account in use",
    "AccountNotFound": "Attempt to debit an account but found no record of a prior credit.",
    "ProgramAccountNotFound": "Attempt to load a program that does not exist",
    "InsufficientFundsForFee": "Insufficient funds for fee",
    "InvalidAccountForFee": "This account may not be used to pay transaction fees",
    "AlreadyProcessed": "This transaction has already been processed",
    "BlockhashNotFound": "Blockhash not found",
    "SignatureFailure": "Transaction did not pass signature verification",
    "InvalidProgramForExecution": "This program may not be used for executing instructions",
    "SanitizeFailure": "Transaction failed to sanitize accounts offsets correctly",
    "AddressLookupTableNotFound": "Transaction loads an address table account that doesn't exist",
    "InvalidAddressLookupTableOwner": "Transaction loads an address table account with an invalid owner",
    "InvalidAddressLookupTableData": "Transaction loads an address table account with invalid data",
    "InvalidAddressLookupTableIndex": "Transaction address table lookup uses an invalid index",
}


def _variant(fieldless: object) -> str:
    """`InvalidArgument` of `InstructionErrorFieldless.InvalidArgument`: solders' own naming of a Rust variant."""
    return str(fieldless).rpartition(".")[2]


def error_json(error: TransactionErrorType) -> Json:
    """The serde JSON form of an error that the runtime returned."""
    if isinstance(error, TransactionErrorInstructionError):
        return {"InstructionError": [error.index, _instruction_error(error.err)]}
    if isinstance(error, TransactionErrorFieldless):
        return _variant(error)
    if isinstance(error, TransactionErrorDuplicateInstruction):
        return {"DuplicateInstruction": error.index}
    name = type(error).__name__.removeprefix("TransactionError")
    if isinstance(error, TransactionErrorInsufficientFundsForRent):
        return {name: {"account_index": error.account_index}}
    return {name: json.loads(error.to_json())}


def _instruction_error(error: object) -> Json:
    if isinstance(error, InstructionErrorCustom):
        return {"Custom": error.code}
    return _variant(error)


def sentence(error: Json) -> str:
    """What a node says of an error, from its JSON form."""
    if isinstance(error, str):
        return _SENTENCES.get(error) or _words(error)
    if isinstance(error, dict):
        match error:
            case {"InstructionError": [int(index), {"Custom": int(code)}]}:
                return f"Error processing Instruction {index}: custom program error: {code:#x}"
            case {"InstructionError": [int(index), str(name)]}:
                return f"Error processing Instruction {index}: {_words(name).lower()}"
            case {"InsufficientFundsForRent": {"account_index": int(index)}}:
                return f"Transaction results in an account ({index}) with insufficient funds for rent"
            case {"DuplicateInstruction": int(index)}:
                return f"Transaction contains a duplicate instruction ({index}) that is not allowed"
            case _:
                return str(next(iter(error), "unknown error"))
    return "unknown error"


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
