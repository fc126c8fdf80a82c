/* SPDX-License-Identifier: Apache-2.0
 *
 * program_cache.c - the drivers' binaries, to and from the disk cache. */
#include "cl/program_cache.h"

#include <stdlib.h>

#include "cl/alloc.h"
#include "cl/context.h"
#include "cl/disk_cache.h"
#include "cl/sha256.h"

static const char kind[] = "programs";

void vs_program_cache_key(char key[65], const struct vs_context *context, const char *text,
                          const char *options)
{
    struct vs_sha256 hash;
    char device[65];
    vs_context_fingerprint(context, device);
    vs_sha256_init(&hash);
    vs_sha256_text(&hash, "program");
    vs_sha256_text(&hash, device);
    vs_sha256_text(&hash, options);
    vs_sha256_text(&hash, text);
    vs_sha256_hex(&hash, key);
}

cl_program vs_program_cache_load(const struct vs_context *context, const char key[65],
                                 const char *options)
{
    void *data;
    size_t n_bytes;
    cl_int error = CL_SUCCESS, verdict = CL_SUCCESS;
    if (!vs_cache_load(kind, key, &data, &n_bytes))
        return NULL;
    const unsigned char *binary = data;
    cl_program program = clCreateProgramWithBinary(context->context, 1, &context->device, &n_bytes,
                                                   &binary, &verdict, &error);
    free(data);
    if (!program)
        return NULL;
    if (error != CL_SUCCESS || verdict != CL_SUCCESS ||
        clBuildProgram(program, 1, &context->device, options, NULL, NULL) != CL_SUCCESS) {
        clReleaseProgram(program);
        return NULL;
    }
    return program;
}

void vs_program_cache_store(const char key[65], cl_program program)
{
    size_t n_bytes = 0;
    /* One device a context, so one size and one binary. */
    if (clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof n_bytes, &n_bytes, NULL) !=
            CL_SUCCESS ||
        !n_bytes)
        return;
    unsigned char *binary = vs_alloc(n_bytes, 1);
    if (binary && clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) ==
                      CL_SUCCESS)
        vs_cache_store(kind, key, binary, n_bytes);
    free(binary);
}
