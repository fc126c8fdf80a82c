/* SPDX-License-Identifier: Apache-2.0
 *
 * spiece.c - reads the protocol buffer of a SentencePiece model for the sake of its safety alone;
 * the segmentation is the library's. Field numbers are those of sentencepiece_model.proto. */
#include "models/spiece.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "cl/alloc.h"

enum {
    MODEL_PIECES = 1,
    MODEL_TRAINER = 2,
    MODEL_NORMALIZER = 3,
    MODEL_SELF_TEST = 4,
    MODEL_DENORMALIZER = 5,
    PIECE_TEXT = 1,
    PIECE_SCORE = 2,
    PIECE_TYPE = 3,
    TRAINER_MODEL_TYPE = 3,
    NORMALIZER_CHARSMAP = 2
};

enum { UNIGRAM = 1, LAST_PIECE_TYPE = 6 };

/* The library builds its trie by recursion over the bytes of a piece. */
enum { MAX_PIECE_BYTES = 512, MAX_PIECES = 1 << 19 /* UMT5 has 256384 */ };

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* A message, or what is left of it. */
struct span {
    const uint8_t *at, *end;
};

struct field {
    uint64_t number;
    enum wire wire;
    uint64_t value;    /* varint */
    struct span bytes; /* of all other kinds */
};

struct check {
    const uint8_t *begin; /* of the file */
    size_t n_pieces;
    bool has_trainer, has_normalizer;
};

static enum vs_status damaged(const struct check *check, const uint8_t *at, const char *what)
{
    return vs_fail(VS_ERROR_MODEL,
                   "no usable SentencePiece model: %s at byte %zu; copy or download it again", what,
                   (size_t)(at - check->begin));
}

static bool read_varint(struct span *span, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && span->at < span->end; shift += 7) {
        uint8_t byte = *span->at++;
        *value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return true;
    }
    return false;
}

static enum vs_status next_field(const struct check *check, struct span *span, struct field *field)
{
    const uint8_t *start = span->at;
    uint64_t key, length = 0;
    if (!read_varint(span, &key) || key >> 32 || key >> 3 == 0)
        return damaged(check, start, "a broken field");
    field->number = key >> 3;
    field->wire = (enum wire)(key & 7);
    switch (field->wire) {
    case WIRE_VARINT:
        if (!read_varint(span, &field->value))
            return damaged(check, start, "a number is cut off");
        return VS_OK;
    case WIRE_64:
        length = 8;
        break;
    case WIRE_32:
        length = 4;
        break;
    case WIRE_BYTES:
        if (!read_varint(span, &length))
            return damaged(check, start, "a length is cut off");
        break;
    default:
        return damaged(check, start, "a field of unknown kind");
    }
    if (length > (uint64_t)(span->end - span->at))
        return damaged(check, start, "a field reaches past the end of the file or its message");
    field->bytes = (struct span){span->at, span->at + length};
    span->at += length;
    return VS_OK;
}

/* ---- Pieces ------------------------------------------------------------------------------- */

static enum vs_status check_text(const struct check *check, struct span text)
{
    const uint8_t *start = text.at;
    if (text.at == text.end)
        return damaged(check, start, "an empty piece");
    if (text.end - text.at > MAX_PIECE_BYTES)
        return damaged(check, start, "a piece of more than 512 bytes");
    while (text.at < text.end) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate(text.at, text.end - text.at, &c);
        if (n <= 0 || c == 0)
            return damaged(check, start, "a piece that is no UTF-8 text");
        text.at += n;
    }
    return VS_OK;
}

static enum vs_status check_piece(struct check *check, struct span piece)
{
    enum vs_status status = VS_OK;
    const uint8_t *start = piece.at;
    bool named = false;
    while (piece.at < piece.end) {
        struct field field;
        VS_TRY(next_field(check, &piece, &field));
        if (field.number == PIECE_TEXT && field.wire == WIRE_BYTES) {
            named = true;
            VS_TRY(check_text(check, field.bytes));
        }
        if (field.number == PIECE_SCORE && field.wire == WIRE_32) {
            float score;
            memcpy(&score, field.bytes.at, sizeof score);
            if (!isfinite(score))
                return damaged(check, start, "a piece whose score is no finite number");
        }
        if (field.number == PIECE_TYPE && field.wire == WIRE_VARINT &&
            (field.value < 1 || field.value > LAST_PIECE_TYPE))
            return damaged(check, start, "a piece of unknown type");
    }
    if (!named)
        return damaged(check, start, "an empty piece");
    if (++check->n_pieces > MAX_PIECES)
        return damaged(check, start, "more pieces than any vocabulary has");
fail:
    return status;
}

/* ---- Map of characters -------------------------------------------------------------------- */

/* A double-array trie: units of 32 bits. From unit p with offset o the children lie at p ^ o ^
 * byte, a value at p ^ o. */
struct trie {
    const uint8_t *units;
    size_t n;
};

static uint32_t unit_at(const struct trie *trie, size_t i)
{
    const uint8_t *b = trie->units + 4 * i;
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* Every unit that a walk can reach must have all places of its children inside the array: the
 * library looks at them before it knows whether they are children. Values are offsets of texts. */
static enum vs_status check_trie(const struct check *check, const struct trie *trie,
                                 size_t n_text_bytes)
{
    enum vs_status status = VS_OK;
    size_t n_open = 0;
    bool *seen = vs_alloc(trie->n, sizeof *seen);
    size_t *open = vs_alloc(trie->n, sizeof *open);
    if (!seen || !open) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    seen[0] = true;
    open[n_open++] = 0;
    while (n_open) {
        size_t at = open[--n_open];
        uint32_t unit = unit_at(trie, at);
        size_t children = at ^ ((size_t)(unit >> 10) << ((unit & 0x200) >> 6));
        if ((children | 255) >= trie->n) {
            status =
                damaged(check, trie->units + 4 * at, "a map of characters that leaves its array");
            goto fail;
        }
        if (unit >> 8 & 1 && (unit_at(trie, children) & 0x7fffffff) >= n_text_bytes) {
            status = damaged(check, trie->units + 4 * at, "a map of characters without its texts");
            goto fail;
        }
        for (uint32_t byte = 1; byte < 256; byte++) {
            size_t child = children ^ byte;
            if (!seen[child] && (unit_at(trie, child) & 0x800000ff) == byte) {
                seen[child] = true;
                open[n_open++] = child;
            }
        }
    }
fail:
    free(open);
    free(seen);
    return status;
}

static enum vs_status check_charsmap(const struct check *check, struct span map)
{
    const uint8_t *start = map.at;
    size_t n = (size_t)(map.end - map.at);
    if (n == 0)
        return VS_OK;
    if (n < 4)
        return damaged(check, start, "a map of characters that is cut off");
    size_t n_trie_bytes = unit_at(&(struct trie){start, 1}, 0);
    if (n_trie_bytes == 0 || n_trie_bytes % 4 || n_trie_bytes >= n - 4)
        return damaged(check, start, "a map of characters whose size is wrong");
    if (map.end[-1] != 0)
        return damaged(check, start, "a map of characters whose last text is cut off");
    struct trie trie = {start + 4, n_trie_bytes / 4};
    return check_trie(check, &trie, n - 4 - n_trie_bytes);
}

/* ---- The whole ---------------------------------------------------------------------------- */

static enum vs_status check_normalizer(const struct check *check, struct span normalizer)
{
    enum vs_status status = VS_OK;
    while (normalizer.at < normalizer.end) {
        struct field field;
        VS_TRY(next_field(check, &normalizer, &field));
        if (field.number == NORMALIZER_CHARSMAP && field.wire == WIRE_BYTES)
            VS_TRY(check_charsmap(check, field.bytes));
    }
fail:
    return status;
}

static enum vs_status check_trainer(const struct check *check, struct span trainer)
{
    enum vs_status status = VS_OK;
    while (trainer.at < trainer.end) {
        struct field field;
        VS_TRY(next_field(check, &trainer, &field));
        if (field.number == TRAINER_MODEL_TYPE && field.wire == WIRE_VARINT &&
            field.value != UNIGRAM)
            return damaged(check, trainer.at, "a segmentation that is not unigram");
    }
fail:
    return status;
}

static enum vs_status check_field(struct check *check, const struct field *field)
{
    switch (field->number) {
    case MODEL_PIECES:
        return check_piece(check, field->bytes);
    case MODEL_TRAINER:
        check->has_trainer = true;
        return check_trainer(check, field->bytes);
    case MODEL_NORMALIZER:
        check->has_normalizer = true;
        return check_normalizer(check, field->bytes);
    case MODEL_DENORMALIZER:
        return check_normalizer(check, field->bytes);
    default:
        return VS_OK;
    }
}

enum vs_status vs_spiece_check(void *data, size_t *n)
{
    enum vs_status status = VS_OK;
    struct check check = {.begin = data};
    struct span file = {check.begin, check.begin + *n};
    uint8_t *kept = data; /* end of what stays */
    while (file.at < file.end) {
        struct field field;
        const uint8_t *start = file.at;
        VS_TRY(next_field(&check, &file, &field));
        if (field.number == MODEL_SELF_TEST)
            continue;
        if (field.wire == WIRE_BYTES)
            VS_TRY(check_field(&check, &field));
        memmove(kept, start, (size_t)(file.at - start));
        kept += file.at - start;
    }
    if (!check.n_pieces)
        return damaged(&check, file.end, "no pieces");
    /* They stand behind the pieces, so a file cut between two pieces lacks them. */
    if (!check.has_trainer || !check.has_normalizer)
        return damaged(&check, file.end, "the settings are missing");
    *n = (size_t)(kept - check.begin);
fail:
    return status;
}
