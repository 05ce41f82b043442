/* Session records, format 1: their bytes, straight from and to an arena's slots.
 *
 * The format and its words are those of tidegate/record/codec.py, whose bytes and refusals these are.
 */
#ifndef TIDEGATE_RECORD_H
#define TIDEGATE_RECORD_H

#include "arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TG_FINGERPRINT_SIZE 32

/* The CRC-32C of any whole record: what ends with the CRC-32C of all before it has the same one. */
#define TG_RECORD_CRC UINT32_C(0x48674bc7)

typedef enum {
    TG_RECORD_OK,
    TG_RECORD_TRUNCATED,
    TG_RECORD_MAGIC,
    TG_RECORD_VERSION,
    TG_RECORD_DAMAGED,
    TG_RECORD_TRAILING,
    TG_RECORD_CHECKSUM,
    /* Whole records that an arena cannot take: */
    TG_RECORD_OTHER_MODEL, /* another fingerprint */
    TG_RECORD_OTHER_SIZE   /* not the arena's hidden or encoder size: a tombstone may have neither */
} tg_record_code;

typedef struct {
    const uint8_t *data;
    size_t size;
} tg_span;

/* A record apart from its hidden and encoder state. Sections are their data, encoded. */
typedef struct {
    uint64_t seq;
    double time, created, updated; /* unix seconds */
    uint32_t status;               /* 0 live, 1 ended, 2 deleted, 3 expired */
    tg_span model_version;         /* UTF-8 */
    tg_span answer_state;
    tg_span answers, events; /* of no bytes: none */
    tg_span others;          /* sections of other types, whole, as tg_record_others gives them */
    uint16_t n_others;
    bool stateless; /* a tombstone's: neither hidden nor encoder state is written */
} tg_record;

/* Bytes of a record of an arena's session. Its sections have less than 2^32 bytes each. */
size_t tg_record_size(const tg_arena *arena, const tg_record *record);

/* Writes the record of a slot: tg_record_size bytes. */
void tg_record_encode(const tg_arena *arena, const uint8_t *fingerprint, int64_t slot,
                      const tg_record *record, uint8_t *out);

/* A record that was read, or why it was not. Spans point into its bytes. */
typedef struct {
    tg_record_code code;
    tg_record record;
    tg_span hidden, encoder;
    const uint8_t *fingerprint;
    uint16_t n_others; /* sections of other types */
} tg_decoded;

/* Checks a record, byte for byte as codec.py does, and then that the arena can take it. Where the code is
 * beyond TG_RECORD_CHECKSUM, the record is whole and its members are set too. */
tg_decoded tg_record_decode(const tg_arena *arena, const uint8_t *fingerprint, tg_span data);

/* The sections of other types of a whole record, one after the other; how many bytes they have. NULL:
 * only that. */
size_t tg_record_others(tg_span data, uint8_t *out);

/* Puts the states of a TG_RECORD_OK record into a slot. */
void tg_record_load(const tg_arena *arena, const tg_decoded *decoded, int64_t slot);

#endif
