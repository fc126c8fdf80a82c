/* SPDX-License-Identifier: Apache-2.0
 *
 * options.h - one table per command, from which come parsing, --help and completion.
 *
 * A command describes its options once, as an array of struct host_option that says where in the
 * command's own struct each value goes. Every command takes -h and --help without an entry. */
#ifndef VS_HOST_OPTIONS_H
#define VS_HOST_OPTIONS_H

#include <stdio.h>

#include "videossm.h"

/* The type of the struct member at an option's offset is given after each kind. */
enum host_option_kind {
    HOST_HEADING, /* no option: a title between groups in --help */
    HOST_FLAG,    /* bool: true when given */
    HOST_STRING,  /* const char *: borrowed from argv; the last one counts */
    HOST_LIST,    /* struct host_list: every value, in the order given */
    HOST_PAIRS,   /* struct host_list: two values each time */
    HOST_COUNT,   /* struct host_count: digits only, from count_min to count_max */
    HOST_NUMBER,  /* struct host_number: finite, from number_min to number_max; an argument called
                     SECONDS may end in "s" */
    HOST_CHOICE,  /* int: which word of `argument`, whose words stand apart by '|' */
    HOST_SIZE     /* struct host_size: WIDTHxHEIGHT, both multiples of 16 */
};

struct host_list {
    const char **items; /* owned array of borrowed strings; freed with free() */
    size_t n;
};
struct host_count {
    bool given;
    uint64_t value;
};
struct host_number {
    bool given;
    double value;
};
struct host_size {
    size_t width, height; /* 0: not given */
};

struct host_option {
    enum host_option_kind kind;
    char letter;          /* short form; 0: none */
    const char *name;     /* long form without "--"; title of a HOST_HEADING */
    const char *argument; /* its name in the help: "DIR", "FILE", "a|b|c"; NULL for flags */
    const char *help;     /* one paragraph, wrapped when printed */
    size_t offset;        /* of the value in the command's struct */
    uint64_t count_min, count_max;
    double number_min, number_max;
};

struct host_spec {
    const char *command;
    const char *summary;  /* one line, for the list of commands */
    const char *operands; /* as in the usage line; NULL: the command takes none */
    size_t min_operands, max_operands;
    const char *about; /* paragraphs between usage and options; may be NULL */
    const struct host_option *options;
    size_t n_options;
    const char *examples; /* printed as they stand; may be NULL */
};

/* Reads argv[1..argc-1] into *values (filled with defaults by the caller) and the rest into
 * *operands (may be NULL when the command takes none; zeroed by the caller). *help is set, and
 * parsing stops, when help is asked for. VS_ERROR_USAGE names the option, the value and the range;
 * lists made so far stay with the caller. */
VS_CHECK enum vs_status host_options_parse(const struct host_spec *spec, void *values,
                                           struct host_list *operands, bool *help, int argc,
                                           char **argv);

/* Usage, options and examples, at most 80 columns wide. */
void host_options_print_help(const struct host_spec *spec, FILE *file);

/* One line an option, for shell completion: "--name<TAB>ARGUMENT" and "-l<TAB>ARGUMENT". */
void host_options_print_completion(const struct host_spec *spec, FILE *file);

/* Adds a borrowed string to a list. VS_ERROR_MEMORY. */
VS_CHECK enum vs_status host_list_add(struct host_list *list, const char *item);

/* The word nearest to `word` by typing errors, or NULL when none is near. */
const char *host_nearest(const char *word, const char *const *words, size_t n_words);

/* Strict readings of a whole text: no blanks, no trailing characters, no hexadecimal, no nan or
 * inf, no overflow. False: not one. */
bool host_parse_count(const char *text, uint64_t *value);
bool host_parse_number(const char *text, double *value);

/* Bytes: a whole number greater than 0, or one with K, M or G behind it (times 1024). */
bool host_parse_bytes(const char *text, uint64_t *n_bytes);

/* Prints text in lines of at most `width` columns, all but the first after `indent` blanks;
 * `column` is where the cursor stands. Ends with a newline. */
void host_print_wrapped(FILE *file, const char *text, size_t column, size_t indent, size_t width);

#endif
