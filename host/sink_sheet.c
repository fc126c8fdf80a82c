/* SPDX-License-Identifier: Apache-2.0
 *
 * sink_sheet.c - a contact sheet: frames sampled evenly over the video, with their times, in one
 * PNG.
 *
 * Which frames are shown is settled from the planned length before the first one comes, and each is
 * scaled at once, so memory is that of one sheet however long the video. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "host/draft.h"
#include "host/png_file.h"
#include "host/sink.h"

enum {
    MAX_COLUMNS = 6,
    MAX_CELLS = 30,
    UP_TO_SIDE = 288,   /* small frames are enlarged as long as they stay below this */
    DOWN_TO_SIDE = 320, /* large ones are reduced to this or less */
    MARGIN = 12,
    GLYPH_WIDTH = 5,
    GLYPH_HEIGHT = 7,
    LABEL_SCALE = 2,
    LABEL_HEIGHT = GLYPH_HEIGHT * LABEL_SCALE + 10
};

static const uint8_t background[3] = {24, 26, 29}, label_colour[3] = {200, 204, 210};

struct sheet {
    struct host_draft draft;
    struct host_text texts[2];
    double fps;
    size_t frame_width, frame_height;
    size_t n_frames;                /* planned */
    size_t n_cells, columns;        /* cells are filled in order */
    size_t up, down;                /* whole factors of scale; one of them is 1 */
    size_t cell_width, cell_height; /* of a picture */
    size_t width, height;           /* of the sheet */
    size_t n_filled;
    uint8_t *rgb; /* [height, width, 3] */
};

/* ---- Labels ------------------------------------------------------------------------------- */

/* Rows from the top, leftmost pixel in bit 4. */
static const char glyph_letters[] = "0123456789.s ";
static const uint8_t glyphs[][GLYPH_HEIGHT] = {
    {0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e}, {0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e},
    {0x0e, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1f}, {0x0e, 0x11, 0x01, 0x06, 0x01, 0x11, 0x0e},
    {0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02}, {0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e},
    {0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e}, {0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08},
    {0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e}, {0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x0c, 0x0c}, {0x00, 0x00, 0x0f, 0x10, 0x0e, 0x01, 0x1e},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00},
};

static void paint(struct sheet *sheet, size_t x, size_t y, const uint8_t colour[3])
{
    if (x < sheet->width && y < sheet->height)
        memcpy(sheet->rgb + (y * sheet->width + x) * 3, colour, 3);
}

static void draw_label(struct sheet *sheet, size_t x, size_t y, const char *text)
{
    for (; *text; text++, x += (GLYPH_WIDTH + 1) * LABEL_SCALE) {
        const char *letter = strchr(glyph_letters, *text);
        if (!letter)
            continue;
        const uint8_t *rows = glyphs[letter - glyph_letters];
        for (size_t i = 0; i < GLYPH_HEIGHT * LABEL_SCALE; i++) {
            for (size_t j = 0; j < GLYPH_WIDTH * LABEL_SCALE; j++) {
                if (rows[i / LABEL_SCALE] >> (GLYPH_WIDTH - 1 - j / LABEL_SCALE) & 1)
                    paint(sheet, x + j, y + i, label_colour);
            }
        }
    }
}

/* ---- Layout ------------------------------------------------------------------------------- */

static size_t ceil_div(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

static void lay_out(struct sheet *sheet, const struct vs_video_info *video)
{
    size_t longer = video->width > video->height ? video->width : video->height;
    sheet->frame_width = video->width;
    sheet->frame_height = video->height;
    sheet->fps = video->fps;
    sheet->n_frames = video->n_frames ? video->n_frames : 1;
    sheet->up = longer <= UP_TO_SIDE ? UP_TO_SIDE / longer : 1;
    sheet->down = longer > DOWN_TO_SIDE ? ceil_div(longer, DOWN_TO_SIDE) : 1;
    sheet->cell_width = ceil_div(video->width * sheet->up, sheet->down);
    sheet->cell_height = ceil_div(video->height * sheet->up, sheet->down);
    sheet->n_cells = sheet->n_frames < MAX_CELLS ? sheet->n_frames : MAX_CELLS;
    size_t rows = ceil_div(sheet->n_cells, MAX_COLUMNS);
    sheet->columns = ceil_div(sheet->n_cells, rows);
    sheet->width = MARGIN + sheet->columns * (sheet->cell_width + MARGIN);
    sheet->height = MARGIN + rows * (sheet->cell_height + LABEL_HEIGHT);
}

/* The frame shown in a cell: the first in the first, the last in the last. */
static size_t frame_of_cell(const struct sheet *sheet, size_t cell)
{
    if (sheet->n_cells == 1)
        return 0;
    return (size_t)((double)cell * (double)(sheet->n_frames - 1) / (double)(sheet->n_cells - 1) +
                    0.5);
}

/* Mean of the frame's pixels under pixel (x, y) of the cell. */
static void scaled_pixel(const struct sheet *sheet, const uint8_t *rgb, size_t x, size_t y,
                         uint8_t colour[3])
{
    size_t x0 = x * sheet->down / sheet->up, y0 = y * sheet->down / sheet->up;
    size_t x1 = x0 + sheet->down, y1 = y0 + sheet->down, sum[3] = {0, 0, 0};
    x1 = x1 < sheet->frame_width ? x1 : sheet->frame_width;
    y1 = y1 < sheet->frame_height ? y1 : sheet->frame_height;
    size_t n = (x1 - x0) * (y1 - y0);
    for (size_t i = y0; i < y1; i++) {
        for (size_t j = x0; j < x1; j++) {
            for (size_t c = 0; c < 3; c++)
                sum[c] += rgb[(i * sheet->frame_width + j) * 3 + c];
        }
    }
    for (size_t c = 0; c < 3; c++)
        colour[c] = (uint8_t)((sum[c] + n / 2) / n);
}

static void fill_cell(struct sheet *sheet, size_t frame, const uint8_t *rgb)
{
    size_t left = MARGIN + sheet->n_filled % sheet->columns * (sheet->cell_width + MARGIN);
    size_t top = MARGIN + sheet->n_filled / sheet->columns * (sheet->cell_height + LABEL_HEIGHT);
    char label[32];
    uint8_t colour[3];
    for (size_t y = 0; y < sheet->cell_height; y++) {
        for (size_t x = 0; x < sheet->cell_width; x++) {
            scaled_pixel(sheet, rgb, x, y, colour);
            paint(sheet, left + x, top + y, colour);
        }
    }
    snprintf(label, sizeof label, "%.2f s", (double)frame / sheet->fps);
    draw_label(sheet, left, top + sheet->cell_height + 5, label);
    sheet->n_filled++;
}

/* ---- The output --------------------------------------------------------------------------- */

static void sheet_abort(void *state)
{
    struct sheet *sheet = state;
    host_draft_discard(&sheet->draft);
    free(sheet->rgb);
    free(sheet);
}

static enum vs_status sheet_open(void **state, const char *path, const struct vs_video_info *video,
                                 const struct host_metadata *metadata)
{
    enum vs_status status = VS_OK;
    struct sheet *sheet = vs_alloc(1, sizeof *sheet);
    if (!sheet)
        return VS_ERROR_MEMORY;
    sheet->draft.fd = sheet->draft.slot = -1;
    sheet->texts[0] = (struct host_text){"parameters", metadata->parameters};
    sheet->texts[1] = (struct host_text){"videossm", metadata->json};
    lay_out(sheet, video);
    sheet->rgb = vs_alloc(sheet->width * sheet->height, 3);
    if (!sheet->rgb) {
        status = VS_ERROR_MEMORY;
        goto fail;
    }
    for (size_t i = 0; i < sheet->width * sheet->height; i++)
        memcpy(sheet->rgb + i * 3, background, 3);
    VS_TRY(host_draft_open(&sheet->draft, path));
    *state = sheet;
    return VS_OK;
fail:
    sheet_abort(sheet);
    return status;
}

static enum vs_status sheet_write(void *state, size_t first_frame, size_t n_frames,
                                  const uint8_t *rgb)
{
    struct sheet *sheet = state;
    size_t frame_bytes = sheet->frame_width * sheet->frame_height * 3;
    for (size_t i = 0; i < n_frames; i++) {
        if (sheet->n_filled < sheet->n_cells &&
            first_frame + i == frame_of_cell(sheet, sheet->n_filled))
            fill_cell(sheet, first_frame + i, rgb + i * frame_bytes);
    }
    return VS_OK;
}

static enum vs_status sheet_close(void *state)
{
    struct sheet *sheet = state;
    enum vs_status status = VS_OK;
    struct host_bytes bytes = {0};
    /* An early end leaves empty rows, which are cut off. */
    size_t rows = ceil_div(sheet->n_filled ? sheet->n_filled : 1, sheet->columns);
    size_t height = MARGIN + rows * (sheet->cell_height + LABEL_HEIGHT);
    VS_TRY(host_png_encode(&bytes, sheet->rgb, sheet->width, height, sheet->texts, 2));
    VS_TRY(host_draft_write(&sheet->draft, bytes.data, bytes.n));
    VS_TRY(host_draft_commit(&sheet->draft));
fail:
    free(bytes.data);
    sheet_abort(sheet);
    return status;
}

const struct host_sink_kind host_sink_sheet = {sheet_open, sheet_write, sheet_close, sheet_abort,
                                               NULL};
