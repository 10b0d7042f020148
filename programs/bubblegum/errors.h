/* The errors of Bubblegum that the stand-in can give, with the names, codes and messages of the program's IDL. */
#ifndef PROGRAMS_BUBBLEGUM_ERRORS_H
#define PROGRAMS_BUBBLEGUM_ERRORS_H

#include "anchor.h"

static const ErrorKind UNSUPPORTED_SCHEMA_VERSION = {6003, "UnsupportedSchemaVersion", "Unsupported Schema Version"};
static const ErrorKind CREATOR_SHARE_TOTAL_MUST_BE_100 = {
    6004, "CreatorShareTotalMustBe100", "Creator shares must sum to 100"};
static const ErrorKind DUPLICATE_CREATOR_ADDRESS = {
    6005, "DuplicateCreatorAddress", "No duplicate creator addresses in metadata"};
static const ErrorKind CREATOR_DID_NOT_VERIFY = {6006, "CreatorDidNotVerify", "Creator did not verify the metadata"};
static const ErrorKind CREATORS_TOO_LONG = {6011, "CreatorsTooLong", "Creators list too long"};
static const ErrorKind METADATA_NAME_TOO_LONG = {6012, "MetadataNameTooLong", "Name in metadata is too long"};
static const ErrorKind METADATA_SYMBOL_TOO_LONG = {6013, "MetadataSymbolTooLong", "Symbol in metadata is too long"};
static const ErrorKind METADATA_URI_TOO_LONG = {6014, "MetadataUriTooLong", "Uri in metadata is too long"};
static const ErrorKind METADATA_BASIS_POINTS_TOO_HIGH = {
    6015, "MetadataBasisPointsTooHigh", "Basis points in metadata cannot exceed 10000"};
static const ErrorKind TREE_AUTHORITY_INCORRECT = {
    6016, "TreeAuthorityIncorrect", "Tree creator or tree delegate must sign."};
static const ErrorKind INSUFFICIENT_MINT_CAPACITY = {
    6017, "InsufficientMintCapacity", "Not enough unapproved mints left"};
static const ErrorKind NUMERICAL_OVERFLOW = {6018, "NumericalOverflowError", "NumericalOverflowError"};
static const ErrorKind INCORRECT_OWNER = {6019, "IncorrectOwner", "Incorrect account owner"};
static const ErrorKind COLLECTION_CANNOT_BE_VERIFIED_IN_THIS_INSTRUCTION = {
    6020, "CollectionCannotBeVerifiedInThisInstruction", "Cannot Verify Collection in this Instruction"};
static const ErrorKind COLLECTION_NOT_FOUND = {6021, "CollectionNotFound", "Collection Not Found on Metadata"};
static const ErrorKind LEAF_AUTHORITY_MUST_SIGN = {
    6025, "LeafAuthorityMustSign", "This transaction must be signed by either the leaf owner or leaf delegate"};
static const ErrorKind COLLECTION_MUST_BE_SIZED = {
    6026, "CollectionMustBeSized", "Collection Not Compatable with Compression, Must be Sized"};
static const ErrorKind METADATA_MINT_MISMATCH = {
    6027, "MetadataMintMismatch", "Metadata mint does not match collection mint"};
static const ErrorKind INVALID_COLLECTION_AUTHORITY = {
    6028, "InvalidCollectionAuthority", "Invalid collection authority"};
static const ErrorKind INVALID_DELEGATE_RECORD = {
    6029, "InvalidDelegateRecord", "Invalid delegate record pda derivation"};
static const ErrorKind COLLECTION_MASTER_EDITION_ACCOUNT_INVALID = {
    6030, "CollectionMasterEditionAccountInvalid", "Edition account doesnt match collection"};
static const ErrorKind COLLECTION_MUST_BE_A_UNIQUE_MASTER_EDITION = {
    6031, "CollectionMustBeAUniqueMasterEdition", "Collection Must Be a Unique Master Edition v2"};
static const ErrorKind COLLECTION_MISMATCH = {6036, "CollectionMismatch", "Collection mismatch"};
static const ErrorKind INVALID_TOKEN_STANDARD = {
    6040, "InvalidTokenStandard", "Only NonFungible standard is supported"};
static const ErrorKind INVALID_CANOPY_SIZE = {
    6041, "InvalidCanopySize", "Canopy size should be set bigger for this tree"};
static const ErrorKind INVALID_LOG_WRAPPER = {6042, "InvalidLogWrapper", "Invalid log wrapper program"};
static const ErrorKind INVALID_COMPRESSION_PROGRAM = {6043, "InvalidCompressionProgram", "Invalid compression program"};
static const ErrorKind ASSET_IS_FROZEN = {6045, "AssetIsFrozen", "Asset is frozen"};
static const ErrorKind ASSET_IS_NON_TRANSFERABLE = {6046, "AssetIsNonTransferable", "Asset is non-transferable"};
static const ErrorKind INVALID_AUTHORITY = {6047, "InvalidAuthority", "Invalid authority"};
static const ErrorKind COLLECTION_IS_FROZEN = {6048, "CollectionIsFrozen", "Collection is frozen"};
static const ErrorKind COLLECTION_MUST_HAVE_BUBBLEGUM_PLUGIN = {
    6049, "CollectionMustHaveBubblegumPlugin", "Core collections must have the Bubblegum V2 plugin on them"};
static const ErrorKind NOT_AVAILABLE = {6050, "NotAvailable", "Feature not currently available"};
static const ErrorKind MISSING_COLLECTION_ACCOUNT = {6051, "MissingCollectionAccount", "Missing collection account"};
static const ErrorKind MISSING_MPL_CORE_CPI_SIGNER_ACCOUNT = {
    6055, "MissingMplCoreCpiSignerAccount", "Missing mpl-core CPI signer account"};
static const ErrorKind COLLECTION_MUST_HAVE_ROYALTIES_PLUGIN = {
    6057, "CollectionMustHaveRoyaltiesPlugin",
    "Core collections must have the Royalties plugin to inherit seller fee basis points"};
static const ErrorKind INHERITED_SELLER_FEE_CANNOT_HAVE_LEAF_CREATORS = {
    6058, "InheritedSellerFeeCannotHaveLeafCreators",
    "Inherited seller fee basis points cannot be used with leaf-level creators"};

#endif
