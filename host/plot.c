/* SPDX-License-Identifier: Apache-2.0
 *
 * plot.c - a grid, lines, and numbers along both. */
#include "config.h"

#include "host/plot.h"

#include <math.h>

void host_print_escaped(FILE *file, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        const char *entity = c == '&'    ? "&amp;"
                             : c == '<'  ? "&lt;"
                             : c == '>'  ? "&gt;"
                             : c == '"'  ? "&quot;"
                             : c == '\'' ? "&#39;"
                                         : NULL;
        if (entity)
            fputs(entity, file);
        else
            fputc(c >= 0x20 && c < 0x7f ? c : '?', file);
    }
}

enum { LEFT = 70, RIGHT = 20, TOP = 16, BOTTOM = 44, N_GRID = 4 };

struct frame {
    double top; /* value at the upper edge */
    size_t n;   /* steps along x */
};

/* From the left edge, which is x = 0, to the last number. */
static double plot_x(const struct frame *frame, size_t number)
{
    return LEFT + (double)(HOST_PLOT_WIDTH - LEFT - RIGHT) * (double)number /
                      (double)(frame->n + !frame->n);
}

static double plot_y(const struct frame *frame, double value)
{
    return TOP + (double)(HOST_PLOT_HEIGHT - TOP - BOTTOM) * (1 - value / frame->top);
}

/* The next round number: 1, 2 or 5 times a power of ten. */
static double round_up(double value)
{
    double power = pow(10, floor(log10(value)));
    double digits = value / power;
    return (digits <= 1 ? 1 : digits <= 2 ? 2 : digits <= 5 ? 5 : 10) * power;
}

static void print_line(FILE *file, const struct host_plot *plot, const struct frame *frame,
                       const struct host_plot_line *line)
{
    if (line->n == 0)
        return;
    fprintf(file, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"",
            line->colour);
    for (size_t i = 0; i < line->n; i++)
        if (isfinite(line->values[i]))
            fprintf(file, "%.1f,%.1f ", plot_x(frame, i + plot->x_first),
                    plot_y(frame, line->values[i]));
    fputs("\"/>\n", file);
    for (size_t i = 0; i < line->n && plot->marks; i++) {
        if (isfinite(line->values[i]))
            fprintf(file,
                    "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"><title>%s %zu: "
                    "%.3e</title></circle>\n",
                    plot_x(frame, i + plot->x_first), plot_y(frame, line->values[i]), line->colour,
                    plot->x_label, i + plot->x_first, line->values[i]);
    }
}

bool host_plot_print(FILE *file, const struct host_plot *plot, int top)
{
    struct frame frame = {0};
    for (size_t k = 0; k < plot->n_lines; k++) {
        const struct host_plot_line *line = &plot->lines[k];
        if (line->n && line->n - 1 + plot->x_first > frame.n)
            frame.n = line->n - 1 + plot->x_first;
        for (size_t i = 0; i < line->n; i++)
            if (isfinite(line->values[i]) && line->values[i] > frame.top)
                frame.top = line->values[i];
    }
    if (frame.top <= 0)
        return false;
    frame.top = round_up(frame.top);
    if (top > 0) {
        fprintf(file, "<g transform=\"translate(0,%d)\">\n", top);
    } else {
        fprintf(file,
                "<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"",
                HOST_PLOT_WIDTH, HOST_PLOT_HEIGHT, HOST_PLOT_WIDTH, HOST_PLOT_HEIGHT);
        host_print_escaped(file, plot->title);
        fputs("\">\n", file);
    }
    for (int i = 0; i <= N_GRID; i++) {
        double value = frame.top * i / N_GRID, y = plot_y(&frame, value);
        fprintf(file,
                "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"%s\"/>"
                "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>\n",
                LEFT, y, HOST_PLOT_WIDTH - RIGHT, y, plot->grid_colour, LEFT - 8, y + 4, value);
    }
    for (size_t k = 0; k < plot->n_lines; k++)
        print_line(file, plot, &frame, &plot->lines[k]);
    for (size_t number = plot->x_first; number <= frame.n; number++)
        if (number % plot->x_every == 0)
            fprintf(file, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%zu</text>\n",
                    plot_x(&frame, number), HOST_PLOT_HEIGHT - BOTTOM + 18, number);
    fprintf(file, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n%s\n",
            (LEFT + HOST_PLOT_WIDTH - RIGHT) / 2, HOST_PLOT_HEIGHT - 6, plot->x_label,
            top > 0 ? "</g>" : "</svg>");
    return true;
}
