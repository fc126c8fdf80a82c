/* SPDX-License-Identifier: Apache-2.0
 *
 * png_file.c - libpng to and from memory. Its errors leave by longjmp, so whatever must survive
 * one lives in a struct of the caller. */
#include "config.h"

#include "host/png_file.h"

#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"

enum { ZLIB_LEVEL = 6, MAX_TEXTS = 4, FIRST_CAPACITY = 1 << 16 };

struct fault {
    enum vs_status status;
    char message[200];
};

struct source {
    const uint8_t *data;
    size_t n_bytes, position;
};

static void on_error(png_structp png, png_const_charp message)
{
    struct fault *fault = png_get_error_ptr(png);
    snprintf(fault->message, sizeof fault->message, "%s", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

/* libpng's memory is the program's own: it is counted, and can fail in tests. */
static png_voidp allocate(png_structp png, png_alloc_size_t n_bytes)
{
    void *memory = vs_alloc(n_bytes, 1);
    struct fault *fault = png_get_error_ptr(png);
    if (!memory && fault)
        fault->status = VS_ERROR_MEMORY;
    return memory;
}

static void release(png_structp png, png_voidp memory)
{
    (void)png;
    free(memory);
}

static png_structp create_writer(struct fault *fault)
{
    return png_create_write_struct_2(PNG_LIBPNG_VER_STRING, fault, on_error, on_warning, NULL,
                                     allocate, release);
}

static png_structp create_reader(struct fault *fault)
{
    return png_create_read_struct_2(PNG_LIBPNG_VER_STRING, fault, on_error, on_warning, NULL,
                                    allocate, release);
}

static void append(png_structp png, png_bytep data, size_t n)
{
    struct host_bytes *bytes = png_get_io_ptr(png);
    if (n > bytes->capacity - bytes->n) {
        size_t capacity = bytes->capacity ? bytes->capacity : FIRST_CAPACITY;
        while (capacity - bytes->n < n)
            capacity *= 2;
        uint8_t *larger = vs_realloc(bytes->data, capacity, 1);
        if (!larger) {
            struct fault *fault = png_get_error_ptr(png);
            fault->status = VS_ERROR_MEMORY;
            png_error(png, "out of memory");
        }
        bytes->data = larger;
        bytes->capacity = capacity;
    }
    memcpy(bytes->data + bytes->n, data, n);
    bytes->n += n;
}

static void flush_nothing(png_structp png)
{
    (void)png;
}

static bool is_ascii(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text >= 0x80)
            return false;
    }
    return true;
}

static void write_picture(png_structp png, png_infop info, const uint8_t *rgb, size_t width,
                          size_t height, png_textp chunks, size_t n_chunks)
{
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, 8, PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_compression_level(png, ZLIB_LEVEL);
    png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_ALL_FILTERS);
    if (n_chunks > 0)
        png_set_text(png, info, chunks, (int)n_chunks);
    png_write_info(png, info);
    for (size_t y = 0; y < height; y++)
        png_write_row(png, rgb + y * width * 3);
    png_write_end(png, NULL);
}

enum vs_status host_png_encode(struct host_bytes *bytes, const uint8_t *rgb, size_t width,
                               size_t height, const struct host_text *texts, size_t n_texts)
{
    struct fault fault = {.status = VS_ERROR_RUNTIME};
    png_text chunks[MAX_TEXTS] = {{0}};
    if (n_texts > MAX_TEXTS)
        return vs_fail(VS_ERROR_RUNTIME, "PNG: more than %d text chunks", MAX_TEXTS);
    for (size_t i = 0; i < n_texts; i++) {
        bool ascii = is_ascii(texts[i].value);
        chunks[i].compression = ascii ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
        chunks[i].key = (png_charp)(uintptr_t)texts[i].key;
        chunks[i].text = (png_charp)(uintptr_t)texts[i].value;
        chunks[i].text_length = ascii ? strlen(texts[i].value) : 0;
        chunks[i].itxt_length = ascii ? 0 : strlen(texts[i].value);
    }
    bytes->n = 0;
    png_structp png = create_writer(&fault);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_write_struct(&png, NULL);
        return vs_fail(VS_ERROR_MEMORY, "out of memory for a PNG file");
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        return vs_fail(fault.status, "PNG: %s", fault.message);
    }
    png_set_write_fn(png, bytes, append, flush_nothing);
    write_picture(png, info, rgb, width, height, chunks, n_texts);
    png_destroy_write_struct(&png, &info);
    return VS_OK;
}

static void read_source(png_structp png, png_bytep data, size_t n)
{
    struct source *source = png_get_io_ptr(png);
    if (n > source->n_bytes - source->position)
        png_error(png, "the file ends too early");
    memcpy(data, source->data + source->position, n);
    source->position += n;
}

/* Copies the text chunk `key`; *value stays NULL when there is none. */
static enum vs_status find_text(char **value, png_structp png, png_infop info, const char *key)
{
    png_textp texts = NULL;
    int n_texts = 0;
    png_get_text(png, info, &texts, &n_texts);
    for (int i = 0; i < n_texts && !*value; i++) {
        if (strcmp(texts[i].key, key) == 0) {
            *value = vs_strdup(texts[i].text ? texts[i].text : "");
            if (!*value)
                return VS_ERROR_MEMORY;
        }
    }
    return VS_OK;
}

enum vs_status host_png_text(char **value, const uint8_t *data, size_t n_bytes, const char *key,
                             const char *name)
{
    struct fault fault = {.status = VS_ERROR_USAGE};
    struct source source = {data, n_bytes, 0};
    *value = NULL;
    png_structp png = create_reader(&fault);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_read_struct(&png, NULL, NULL);
        return vs_fail(VS_ERROR_MEMORY, "out of memory for '%s'", name);
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_read_struct(&png, &info, NULL);
        return vs_fail(fault.status, "'%s' is no readable PNG: %s", name, fault.message);
    }
    png_set_read_fn(png, &source, read_source);
    png_read_info(png, info);
    enum vs_status status = find_text(value, png, info, key);
    png_destroy_read_struct(&png, &info, NULL);
    return status;
}

/* ---- Pixels ------------------------------------------------------------------------------- */

/* Whatever the file holds becomes three bytes a pixel. */
static void read_head(png_structp png, png_infop info)
{
    png_set_user_limits(png, HOST_PICTURE_SIDE_MAX, HOST_PICTURE_SIDE_MAX);
    png_read_info(png, info);
    if ((size_t)png_get_image_width(png, info) * png_get_image_height(png, info) >
        HOST_PICTURE_PIXELS_MAX)
        png_error(png, "the picture is too large");
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_gray_to_rgb(png);
    png_set_strip_alpha(png);
}

/* Makes room for the picture of the header. */
static enum vs_status fit(struct host_picture *picture, png_structp png, png_infop info)
{
    size_t width = png_get_image_width(png, info), height = png_get_image_height(png, info);
    if (picture->rgb && picture->width == width && picture->height == height)
        return VS_OK;
    free(picture->rgb);
    *picture = (struct host_picture){vs_alloc(width * height, 3), width, height};
    return picture->rgb ? VS_OK : VS_ERROR_MEMORY;
}

static void read_rows(png_structp png, png_infop info, const struct host_picture *picture)
{
    int n_passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    if (png_get_rowbytes(png, info) != picture->width * 3)
        png_error(png, "its pixels are not RGB");
    for (int pass = 0; pass < n_passes; pass++)
        for (size_t y = 0; y < picture->height; y++)
            png_read_row(png, picture->rgb + y * picture->width * 3, NULL);
    png_read_end(png, NULL);
}

static enum vs_status read_file(struct host_picture *picture, char **value, const char *key,
                                const char *path, FILE *file)
{
    struct fault fault = {.status = VS_ERROR_USAGE};
    png_structp png = create_reader(&fault);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_read_struct(&png, NULL, NULL);
        return vs_fail(VS_ERROR_MEMORY, "out of memory for '%s'", path);
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_read_struct(&png, &info, NULL);
        return vs_fail(fault.status, "'%s' is no readable PNG: %s", path, fault.message);
    }
    png_init_io(png, file);
    read_head(png, info);
    enum vs_status status = fit(picture, png, info);
    if (status == VS_OK)
        read_rows(png, info, picture);
    if (status == VS_OK && value)
        status = find_text(value, png, info, key);
    png_destroy_read_struct(&png, &info, NULL);
    return status;
}

enum vs_status host_png_read(struct host_picture *picture, char **value, const char *key,
                             const char *path)
{
    if (value)
        *value = NULL;
    FILE *file = fopen(path, "rbe");
    if (!file)
        return vs_fail(VS_ERROR_USAGE, "cannot read '%s': %s", path, strerror(errno));
    enum vs_status status = read_file(picture, value, key, path, file);
    fclose(file);
    return status;
}
