/* SPDX-License-Identifier: Apache-2.0
 *
 * report_html.c - the report of `videossm-cl validate` as one page that needs no other file: plot
 * as inline SVG, frames as base64. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "host/draft.h"
#include "host/plot.h"
#include "host/validate.h"

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>videossm-cl validate</title>\n<style>\n"
    ":root{color-scheme:light dark;--ink:#1c1f23;--quiet:#667;--line:#d8dbe0;--page:#fff;"
    "--good:#1a7f4b;--bad:#c02626;--mark:#2563c9}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e4e6ea;--quiet:#99a;--line:#383c44;"
    "--page:#16181c;--good:#4cc38a;--bad:#ff7b72;--mark:#7aa8ff}}\n"
    "body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);"
    "max-width:62rem;margin:2rem auto;padding:0 1rem}\n"
    "h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem}h3{font-size:1rem;"
    "margin-top:2rem}\n"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}\n"
    "th,td{text-align:left;padding:.2rem .6rem;border-bottom:1px solid var(--line);"
    "vertical-align:top}\n"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\n"
    "code{font-size:.85em;overflow-wrap:anywhere}.quiet{color:var(--quiet)}\n"
    ".pass{color:var(--good)}.fail{color:var(--bad);font-weight:600}.skip{color:var(--quiet)}\n"
    "figure{display:inline-block;margin:0 .8rem .8rem 0}figure img{width:192px;"
    "image-rendering:pixelated;display:block}\n"
    "figcaption{color:var(--quiet);font-size:.85em}svg{max-width:100%;height:auto}\n"
    "svg text{fill:var(--quiet);font:12px system-ui,sans-serif}\n"
    "</style>\n</head>\n<body>\n";

/* ---- Pieces ------------------------------------------------------------------------------- */

static void row(FILE *file, const char *name, const char *value)
{
    fprintf(file, "<tr><th>%s</th><td>", name);
    host_print_escaped(file, value);
    fputs("</td></tr>\n", file);
}

static void print_device(FILE *file, const struct host_report *report)
{
    const struct vs_device_info *device = &report->device;
    char text[160];
    fputs("<table>\n", file);
    row(file, "Device", device->name);
    row(file, "Vendor", device->vendor);
    row(file, "Platform", device->platform_name);
    row(file, "OpenCL", device->version);
    row(file, "Driver", device->driver);
    snprintf(text, sizeof text, "%u compute units, %.1f GiB memory (%.1f GiB at once)",
             device->compute_units, (double)device->global_memory_bytes / 0x1p30,
             (double)device->max_allocation_bytes / 0x1p30);
    row(file, "Size", text);
    snprintf(text, sizeof text, "sum %s, product %s, fma %s (reported, not judged)",
             report->denormals.add ? "kept" : "flushed",
             report->denormals.multiply ? "kept" : "flushed",
             report->denormals.fma ? "kept" : "flushed");
    row(file, "Denormal numbers", text);
    row(file, "videossm-cl", vs_version());
    snprintf(text, sizeof text, "%.1f s", report->seconds);
    row(file, "Time", text);
    fputs("</table>\n", file);
}

static void print_cases(FILE *file, const struct host_report *report)
{
    fputs("<h3>Operations</h3>\n"
          "<p class=\"quiet\">A case passes when the results of each variant, in two runs, equal "
          "those of plain C in every bit (-0 is +0, all NaN are one). ulp and relative: largest "
          "distance to float64; for sums of the root mean square of the results where that is "
          "larger.</p>\n"
          "<div class=\"scroll\"><table>\n<tr><th>Operation</th><th>Shape</th>"
          "<th class=\"n\">ulp</th><th class=\"n\">relative</th><th>Verdict</th>"
          "<th>SHA-256</th></tr>\n",
          file);
    for (size_t i = 0; i < report->n_cases; i++) {
        const struct vs_case_result *result = &report->cases[i];
        const char *word = host_verdict_word(result->verdict);
        fputs("<tr><td>", file);
        host_print_escaped(file, result->op);
        fputs("</td><td>", file);
        host_print_escaped(file, result->shape);
        if (result->variants[0]) {
            fputs("<br><span class=\"quiet\">", file);
            host_print_escaped(file, result->variants);
            fputs("</span>", file);
        }
        if (result->sha256[0])
            fprintf(file, "</td><td class=\"n\">%.3g</td><td class=\"n\">%.1e</td>",
                    result->max_ulp, result->max_rel);
        else
            fputs("</td><td class=\"n\">-</td><td class=\"n\">-</td>", file);
        fprintf(file, "<td class=\"%s\">%s", word, word);
        if (result->reason[0]) {
            fputs("<br>", file);
            host_print_escaped(file, result->reason);
        }
        fprintf(file, "</td><td><code title=\"%s\">%.16s</code></td></tr>\n", result->sha256,
                result->sha256);
    }
    fputs("</table></div>\n", file);
}

/* ---- Plot --------------------------------------------------------------------------------- */

static void print_growth(FILE *file, const struct vs_case_result *chain)
{
    const struct host_plot_line line = {chain->growth, chain->n_growth, "var(--mark)"};
    const struct host_plot plot = {.title = "error after each block",
                                   .x_label = "block",
                                   .x_first = 1,
                                   .x_every = 4,
                                   .marks = true,
                                   .grid_colour = "var(--line)",
                                   .lines = &line,
                                   .n_lines = 1};
    fputs("<h3>Growth of the error, block by block</h3>\n<p class=\"quiet\">Synthetic: x + W "
          "RMSNorm(x), ",
          file);
    host_print_escaped(file, chain->shape);
    fputs(", with random weights, on the device in float32 and on the host in float64. Plotted is "
          "the root mean square of the difference, relative to that of x, after each block. It is "
          "a measure of the arithmetic, not of the video model.</p>\n",
          file);
    if (!host_plot_print(file, &plot, 0))
        fputs("<p>There was none.</p>\n", file);
}

/* ---- Demo --------------------------------------------------------------------------------- */

static void print_base64(FILE *file, const uint8_t *data, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        unsigned bits = (unsigned)data[i] << 16 | (i + 1 < n ? (unsigned)data[i + 1] << 8 : 0) |
                        (i + 2 < n ? data[i + 2] : 0u);
        fputc(digits[bits >> 18], file);
        fputc(digits[bits >> 12 & 63], file);
        fputc(i + 1 < n ? digits[bits >> 6 & 63] : '=', file);
        fputc(i + 2 < n ? digits[bits & 63] : '=', file);
    }
}

static void print_demo(FILE *file, const struct host_demo *demo)
{
    const char *word = host_verdict_word(demo->verdict);
    if (!demo->reason[0] && !demo->latents_sha256[0])
        return; /* nobody asked for it */
    fprintf(file, "<h3>Demo video</h3>\n<p class=\"%s\">%s", word, word);
    if (demo->reason[0]) {
        fputs(": ", file);
        host_print_escaped(file, demo->reason);
    } else {
        fputs(": latents and frames have the hashes shipped with this program", file);
    }
    fputs("</p>\n", file);
    if (demo->latents_sha256[0])
        fprintf(
            file,
            "<p>%zu frames of %zux%zu<br>latents <code>%s</code><br>frames <code>%s</code></p>\n",
            demo->n_frames, demo->width, demo->height, demo->latents_sha256, demo->frames_sha256);
    for (size_t i = 0; i < demo->n_pictures; i++) {
        fprintf(file, "<figure><img alt=\"frame %zu\" src=\"data:image/png;base64,",
                demo->picture_frames[i]);
        print_base64(file, demo->pictures[i].data, demo->pictures[i].n);
        fprintf(file, "\"><figcaption>frame %zu</figcaption></figure>\n", demo->picture_frames[i]);
    }
}

/* ---- Page --------------------------------------------------------------------------------- */

static void print_report(FILE *file, const struct host_report *report)
{
    fputs("<h2>", file);
    host_print_escaped(file, report->device.name);
    fprintf(file, ": <span class=\"%s\">%s</span></h2>\n", report->failed ? "fail" : "pass",
            report->failed ? "fail" : "pass");
    print_device(file, report);
    for (size_t i = 0; i < report->n_cases; i++)
        if (report->cases[i].n_growth)
            print_growth(file, &report->cases[i]);
    print_demo(file, &report->demo);
    print_cases(file, report);
}

enum vs_status host_reports_write_html(const char *path, const struct host_report *reports,
                                       size_t n_reports)
{
    enum vs_status status;
    char *text = NULL;
    size_t n = 0;
    FILE *file = open_memstream(&text, &n);
    if (!file)
        return vs_fail(VS_ERROR_MEMORY, "out of memory for '%s'", path);
    fputs(head, file);
    fputs("<h1>videossm-cl validate</h1>\n", file);
    for (size_t i = 0; i < n_reports; i++)
        print_report(file, &reports[i]);
    fputs("</body>\n</html>\n", file);
    status = fclose(file) == 0 ? host_draft_save(path, text, n)
                               : vs_fail(VS_ERROR_MEMORY, "out of memory for '%s'", path);
    free(text);
    return status;
}
