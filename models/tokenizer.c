/* SPDX-License-Identifier: Apache-2.0
 *
 * tokenizer.c - reads a SentencePiece model, proves it safe, and encodes prompts with it. */
#include "models/tokenizer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cl/alloc.h"
#include "models/clean.h"
#include "models/sentencepiece.h"
#include "models/spiece.h"

/* The largest in use has 5 MB. */
#define MAX_FILE_BYTES ((off_t)256 << 20)

struct vs_tokenizer {
    struct vs_spm *spm;
    int32_t eos;
};

/* *data: the bytes of the file, freed with free(). */
static enum vs_status read_file(void **data, size_t *n, const char *path)
{
    enum vs_status status = VS_OK;
    struct stat info;
    *data = NULL;
    /* Without blocking: a pipe given as a tokenizer must not hang the program. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "rb");
    if (!file && fd >= 0)
        close(fd);
    if (!file)
        return vs_fail(VS_ERROR_MODEL,
                       "%s: the tokenizer (spiece.model) cannot be opened: %s; give it with "
                       "--tokenizer",
                       path, strerror(errno));
    if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0 ||
        info.st_size > MAX_FILE_BYTES) {
        status = vs_fail(VS_ERROR_MODEL,
                         "%s: no SentencePiece model: not a file of 1 byte to 256 MB; copy or "
                         "download it again",
                         path);
        goto fail;
    }
    *n = (size_t)info.st_size;
    *data = vs_alloc(*n, 1);
    if (!*data)
        status = VS_ERROR_MEMORY;
    else if (fread(*data, 1, *n, file) != *n)
        status = vs_fail(VS_ERROR_MODEL, "%s: reading failed at byte %ld", path, ftell(file));
fail:
    fclose(file);
    return status;
}

enum vs_status vs_tokenizer_open(struct vs_tokenizer **out, const char *path)
{
    enum vs_status status;
    struct vs_tokenizer *tokenizer = NULL;
    void *data = NULL;
    size_t n = 0;
    *out = NULL;
    VS_TRY(read_file(&data, &n, path));
    tokenizer = vs_alloc(1, sizeof *tokenizer);
    if (!tokenizer) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    status = vs_spiece_check(data, &n);
    if (status == VS_OK)
        status = vs_spm_create(&tokenizer->spm, data, n);
    if (status == VS_ERROR_MODEL)
        status = vs_fail_in(status, "%s", path);
    VS_TRY(status);
    tokenizer->eos = vs_spm_eos(tokenizer->spm);
    if (tokenizer->eos < 0) {
        status = vs_fail(VS_ERROR_MODEL,
                         "%s: the model has no piece that ends a text (</s>); use the one that "
                         "belongs to the text encoder",
                         path);
        goto fail;
    }
    *out = tokenizer;
    tokenizer = NULL;
fail:
    vs_tokenizer_free(tokenizer);
    free(data);
    return status;
}

void vs_tokenizer_free(struct vs_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    vs_spm_free(tokenizer->spm);
    free(tokenizer);
}

size_t vs_tokenizer_vocab(const struct vs_tokenizer *tokenizer)
{
    return vs_spm_vocab(tokenizer->spm);
}

enum vs_status vs_tokenizer_encode(const struct vs_tokenizer *tokenizer, const char *text,
                                   size_t text_len, int32_t *ids, size_t *n_ids)
{
    enum vs_status status;
    char *clean = NULL;
    VS_TRY(vs_clean(&clean, text));
    VS_TRY(vs_spm_encode(tokenizer->spm, clean, strlen(clean), text_len - 1, ids, n_ids));
    ids[(*n_ids)++] = tokenizer->eos;
fail:
    free(clean);
    return status;
}
