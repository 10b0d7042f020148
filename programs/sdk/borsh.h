/* Borsh, both ways: a Reader over bytes from outside and a Writer into memory of ours.
 *
 * Both remember the first failure instead of reporting each one: read or write everything, then look at `failed` once.
 * A failed read gives zero or NULL and never moves out of bounds.
 */
#ifndef PROGRAMS_SDK_BORSH_H
#define PROGRAMS_SDK_BORSH_H

#include "sbf.h"

/* ---- reading ---------------------------------------------------------------------------------------------------- */

typedef struct {
    const u8 *at;
    const u8 *end;
    bool failed;
} Reader;

static inline Reader reader_over(const u8 *data, u64 length) { return (Reader){data, data + length, false}; }
static inline u64 reader_left(const Reader *reader) { return (u64)(reader->end - reader->at); }

/* The next `length` bytes in place, or NULL. */
static inline const u8 *read_bytes(Reader *reader, u64 length) {
    if (reader->failed || length > reader_left(reader)) {
        reader->failed = true;
        return NULL;
    }
    const u8 *start = reader->at;
    reader->at += length;
    return start;
}

static inline u8 read_u8(Reader *reader) {
    const u8 *at = read_bytes(reader, 1);
    return at ? *at : 0;
}
static inline u16 read_u16(Reader *reader) {
    const u8 *at = read_bytes(reader, 2);
    return at ? load_u16(at) : 0;
}
static inline u32 read_u32(Reader *reader) {
    const u8 *at = read_bytes(reader, 4);
    return at ? load_u32(at) : 0;
}
static inline u64 read_u64(Reader *reader) {
    const u8 *at = read_bytes(reader, 8);
    return at ? load_u64(at) : 0;
}
static inline const u8 *read_key(Reader *reader) { return read_bytes(reader, KEY_BYTES); }

/* bool or the tag of an Option: only 0 and 1 are Borsh. */
static inline bool read_bool(Reader *reader) {
    u8 value = read_u8(reader);
    if (value > 1) reader->failed = true;
    return value == 1;
}

/* The tag of an enum of `variants` variants. */
static inline u8 read_variant(Reader *reader, u8 variants) {
    u8 tag = read_u8(reader);
    if (tag >= variants) reader->failed = true;
    return tag;
}

/* A string or Vec<u8>, in place. UTF-8 is not checked here. */
static inline Slice read_slice(Reader *reader) {
    u32 length = read_u32(reader);
    const u8 *at = read_bytes(reader, length);
    return at ? (Slice){at, length} : (Slice){NULL, 0};
}

/* ---- writing ---------------------------------------------------------------------------------------------------- */

typedef struct {
    u8 *start;
    u8 *at;
    u8 *end;
    bool failed; /* the capacity was too small */
} Writer;

static inline Writer writer_into(u8 *memory, u64 capacity) {
    return (Writer){memory, memory, memory + capacity, false};
}
/* A writer into `capacity` fresh bytes of the heap. */
static inline Writer writer_allocate(u64 capacity) { return writer_into(allocate(capacity), capacity); }
static inline u64 writer_length(const Writer *writer) { return (u64)(writer->at - writer->start); }
static inline Slice writer_slice(const Writer *writer) { return (Slice){writer->start, writer_length(writer)}; }

/* Room for `length` bytes, or NULL. */
static inline u8 *write_room(Writer *writer, u64 length) {
    if (writer->failed || length > (u64)(writer->end - writer->at)) {
        writer->failed = true;
        return NULL;
    }
    u8 *start = writer->at;
    writer->at += length;
    return start;
}

static inline void write_bytes(Writer *writer, const u8 *from, u64 length) {
    u8 *at = write_room(writer, length);
    if (at) copy_bytes(at, from, length);
}
static inline void write_u8(Writer *writer, u8 value) {
    u8 *at = write_room(writer, 1);
    if (at) *at = value;
}
static inline void write_u16(Writer *writer, u16 value) {
    u8 *at = write_room(writer, 2);
    if (at) store_u16(at, value);
}
static inline void write_u32(Writer *writer, u32 value) {
    u8 *at = write_room(writer, 4);
    if (at) store_u32(at, value);
}
static inline void write_u64(Writer *writer, u64 value) {
    u8 *at = write_room(writer, 8);
    if (at) store_u64(at, value);
}
static inline void write_bool(Writer *writer, bool value) { write_u8(writer, value ? 1 : 0); }
static inline void write_key(Writer *writer, const u8 *key) {
    u8 *at = write_room(writer, KEY_BYTES);
    if (at) key_copy(at, key);
}
/* A string or Vec<u8>: its length as u32, then the bytes. */
static inline void write_slice(Writer *writer, Slice slice) {
    write_u32(writer, (u32)slice.length);
    write_bytes(writer, slice.at, slice.length);
}

#endif
