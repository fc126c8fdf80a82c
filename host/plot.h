/* SPDX-License-Identifier: Apache-2.0
 *
 * plot.h - line plots as SVG, in pages and on their own. */
#ifndef VS_HOST_PLOT_H
#define VS_HOST_PLOT_H

#include <stdio.h>

#include "videossm.h"

enum { HOST_PLOT_WIDTH = 640, HOST_PLOT_HEIGHT = 280 };

struct host_plot_line {
    const double *values; /* what is not finite is left out; borrowed */
    size_t n;
    const char *colour;
};

struct host_plot {
    const char *title;   /* for readers of the page who do not see it; plain text */
    const char *x_label; /* of the points: "block", "second" */
    size_t x_first;      /* number of the first point */
    size_t x_every;      /* a number is written at its multiples */
    bool marks;          /* a mark at each point, with its value as title */
    const char *grid_colour;
    const struct host_plot_line *lines;
    size_t n_lines;
};

/* An <svg> element or, for top > 0, a group within one, that far from its upper edge. Linear from 0
 * to the next round number above all values; false, and nothing printed, when none is above 0. */
bool host_plot_print(FILE *file, const struct host_plot *plot, int top);

/* Text for XML and HTML: printable ASCII with its five marks replaced. */
void host_print_escaped(FILE *file, const char *text);

#endif
