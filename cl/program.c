/* SPDX-License-Identifier: Apache-2.0
 *
 * program.c - building kernels, once per source and options. */
#include "cl/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "cl/device.h"
#include "cl/kernel_dir.h"
#include "cl/opencl.h"
#include "cl/program_cache.h"
#include "cl/software_fma.h"

struct vs_program {
    const struct vs_source *source;
    char *options;
    cl_program program;
    struct vs_kernel *kernels;
    struct vs_program *next;
};

/* No option relaxes arithmetic: see "Rules for kernel authors" in kernels/NUMERICS.md. -w, since
 * some drivers print warnings to the user's terminal. */
static const char fixed_options[] = "-cl-std=CL1.2 -w";

static enum vs_status build_failure(const struct vs_context *context,
                                    const struct vs_program *program, cl_int error)
{
    char *log = NULL;
    size_t n = 0;
    if (clGetProgramBuildInfo(program->program, context->device, CL_PROGRAM_BUILD_LOG, 0, NULL,
                              &n) == CL_SUCCESS &&
        (log = vs_alloc(n + 1, 1)))
        clGetProgramBuildInfo(program->program, context->device, CL_PROGRAM_BUILD_LOG, n, log,
                              NULL);
    enum vs_status status = vs_fail(
        VS_ERROR_RUNTIME, "%s: kernel source %s with options '%s' does not compile (%s): %.1200s",
        context->info.name, program->source->name, program->options, vs_cl_error_name(error),
        log ? log : "no build log");
    free(log);
    return status;
}

static void program_free(struct vs_program *program)
{
    if (!program)
        return;
    while (program->kernels) {
        struct vs_kernel *kernel = program->kernels;
        program->kernels = kernel->next;
        if (kernel->kernel)
            clReleaseKernel(kernel->kernel);
        free(kernel->name);
        free(kernel);
    }
    if (program->program)
        clReleaseProgram(program->program);
    free(program->options);
    free(program);
}

void vs_programs_free(struct vs_context *context)
{
    while (context->programs) {
        struct vs_program *program = context->programs;
        context->programs = program->next;
        program_free(program);
    }
}

static enum vs_status compile(struct vs_program *program, struct vs_context *context,
                              const char *text, const char *options)
{
    cl_int error;
    if (context->compiling)
        context->compiling(context->compiling_user);
    program->program = clCreateProgramWithSource(context->context, 1, &text, NULL, &error);
    if (!program->program)
        return vs_cl_fail(error, "clCreateProgramWithSource", context);
    error = clBuildProgram(program->program, 1, &context->device, options, NULL, NULL);
    if (error != CL_SUCCESS)
        return build_failure(context, program, error);
    context->n_compiled++;
    return VS_OK;
}

/* From the disk, or from source. */
static enum vs_status build(struct vs_program *program, struct vs_context *context)
{
    enum vs_status status = VS_OK;
    char *text = NULL, *with_fma = NULL, *all_options = NULL, key[65];
    const char *used = program->source->text;
    const char *folder = getenv("VS_KERNEL_DIR");
    if (folder) {
        VS_TRY(vs_kernel_dir_read(&text, folder, program->source->name));
        used = text;
    }
    if (context->software_fma) {
        with_fma = vs_format("%s%s", vs_software_fma, used);
        if (!with_fma) {
            status = VS_ERROR_MEMORY;
            goto fail;
        }
        used = with_fma;
    }
    all_options = vs_format("%s %s", fixed_options, program->options);
    if (!all_options) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    vs_program_cache_key(key, context, used, all_options);
    program->program = vs_program_cache_load(context, key, all_options);
    if (program->program) {
        context->n_from_cache++;
    } else {
        VS_TRY(compile(program, context, used, all_options));
        vs_program_cache_store(key, program->program);
    }
fail:
    free(text);
    free(with_fma);
    free(all_options);
    return status;
}

static enum vs_status program_create(struct vs_program **out, struct vs_context *context,
                                     const struct vs_source *source, const char *options)
{
    enum vs_status status = VS_OK;
    struct vs_program *program = vs_alloc(1, sizeof *program);
    *out = NULL;
    if (!program || !(program->options = vs_strdup(options))) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    program->source = source;
    if (!context->hollow)
        VS_TRY(build(program, context));
    program->next = context->programs;
    context->programs = program;
    *out = program;
    return VS_OK;
fail:
    program_free(program);
    return status;
}

/* For tests: which variants are built on which class of device. */
static void trace(const struct vs_context *context, const struct vs_program *program,
                  const char *name)
{
    const char *path = getenv("VS_TRACE_BUILDS");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file)
        return;
    fprintf(file, "%s %s %s %s\n", vs_device_type_name(context->info.type),
            program->source->name, name, program->options);
    fclose(file);
}

enum vs_status vs_kernel_get(struct vs_kernel **out, struct vs_context *context,
                             const struct vs_source *source, const char *name,
                             const char *options)
{
    enum vs_status status = VS_OK;
    struct vs_program *program = context->programs;
    struct vs_kernel *kernel = NULL;
    *out = NULL;
    while (program && !(program->source == source && !strcmp(program->options, options)))
        program = program->next;
    if (!program)
        VS_TRY(program_create(&program, context, source, options));
    for (kernel = program->kernels; kernel; kernel = kernel->next)
        if (!strcmp(kernel->name, name)) {
            *out = kernel;
            return VS_OK;
        }

    cl_int error;
    kernel = vs_alloc(1, sizeof *kernel);
    if (!kernel || !(kernel->name = vs_strdup(name))) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    if (!context->hollow)
        kernel->kernel = clCreateKernel(program->program, name, &error);
    if (!kernel->kernel && !context->hollow) {
        status = vs_cl_fail(error, "clCreateKernel", context);
        status = vs_fail_in(status, "kernel %s of %s", name, source->name);
        goto fail;
    }
    kernel->next = program->kernels;
    program->kernels = kernel;
    if (!context->hollow)
        trace(context, program, name);
    *out = kernel;
    return VS_OK;
fail:
    if (kernel)
        free(kernel->name);
    free(kernel);
    return status;
}

void vs_programs_watch(struct vs_context *context, void (*compiling)(void *user), void *user)
{
    context->compiling = compiling;
    context->compiling_user = user;
}

void vs_programs_count(const struct vs_context *context, size_t *n_compiled, size_t *n_from_cache)
{
    *n_compiled = context->n_compiled;
    *n_from_cache = context->n_from_cache;
}
