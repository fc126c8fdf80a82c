/* SPDX-License-Identifier: Apache-2.0
 *
 * replay.c - `videossm-cl replay`: makes a video again from the settings stored in it. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/status.h"
#include "host/command.h"
#include "host/run.h"
#include "host/settings.h"
#include "host/stored.h"

struct values {
    struct host_run run;
    bool force;
};

static const struct host_option options[] = {
    {HOST_HEADING, .name = "Video"},
    HOST_OUTPUT_OPTION(struct values, run,
                       "Repeatable. Default: beside FILE, with \"-replay\" added to its name."),
    {HOST_FLAG, 0, "force", NULL, "Go on with a model other than the one the video was made with.",
     offsetof(struct values, force)},
    HOST_MODEL_OPTIONS(struct values, run),
    HOST_RUNNING_OPTIONS(struct values, run),
};

const struct host_spec host_replay_spec = {
    .command = "replay",
    .summary = "make the same video again from one of its files",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .about = "Reads the settings stored in a PNG (a frame or a contact sheet), an mp4 or a folder "
             "of frames made by this program, and makes the same video again.",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .examples = "  videossm-cl replay video.mp4 -o frames/\n"
                "  videossm-cl replay out/frame_000000.png -o again.mp4 --device cpu\n",
};

static enum vs_status wrong_model(const struct host_settings *settings, const char *path,
                                  const char *fingerprint)
{
    char loras[256] = "";
    if (settings->n_loras)
        snprintf(loras, sizeof loras, " and with the LoRA '%s' at scale %g%s, to be given with --lora",
                 settings->loras[0].name, settings->loras[0].scale,
                 settings->n_loras > 1 ? " and others" : "");
    return vs_fail(VS_ERROR_MODEL,
                   "'%s' was made with model %s%s, but this one is %s; give that model with "
                   "--model, or --force",
                   path, settings->model, loras, fingerprint);
}

static enum vs_status replay(const struct values *values, const char *path, bool *told)
{
    enum vs_status status = VS_OK;
    struct host_settings settings = {0};
    struct vs_generate_options wish;
    struct vs_model *model = NULL;
    char *json = NULL;
    VS_TRY(host_run_check(&values->run));
    VS_TRY(host_stored_settings(&json, path));
    if (!json) {
        status = vs_fail(VS_ERROR_USAGE,
                         "'%s' holds no settings of this program; give a file as it "
                         "was written",
                         path);
        goto fail;
    }
    VS_TRY(host_settings_parse(&settings, json, path));
    if (settings.given_frames) {
        status = vs_fail(VS_ERROR_USAGE,
                         "'%s' begins with %zu frames that were given, which its "
                         "settings do not hold; make it with 'videossm-cl generate "
                         "--extend'",
                         path, settings.given_frames);
        goto fail;
    }
    VS_TRY(host_run_open_model(&model, &values->run, false));
    const char *fingerprint = vs_model_info(model)->fingerprint;
    if (strcmp(fingerprint, settings.model) != 0 && !values->force) {
        status = wrong_model(&settings, path, fingerprint);
        goto fail;
    }
    if (strcmp(settings.version, vs_version()) != 0 && !values->run.quiet)
        host_warn("'%s' was made by version %s, this is %s: the video may differ", path,
                  settings.version, vs_version());
    host_settings_options(&wish, &settings);
    VS_TRY(host_run_video(&values->run, model, &wish, false, NULL, told));
fail:
    vs_model_free(model);
    host_settings_free(&settings);
    free(json);
    return status;
}

int host_replay(int argc, char **argv)
{
    struct values values = {0};
    struct host_list operands = {0};
    char *output = NULL;
    bool help, told = false;
    enum vs_status status =
        host_options_parse(&host_replay_spec, &values, &operands, &help, argc, argv);
    if (status == VS_OK && help) {
        host_options_print_help(&host_replay_spec, stdout);
    } else if (status == VS_OK) {
        if (values.run.outputs.n == 0) {
            output = host_stored_beside(operands.items[0], "replay");
            status = output ? host_list_add(&values.run.outputs, output) : VS_ERROR_MEMORY;
        }
        if (status == VS_OK)
            status = replay(&values, operands.items[0], &told);
    }
    free(output);
    free(operands.items);
    host_run_free_options(&values.run);
    return told ? (int)status : host_report(status);
}
