/* SPDX-License-Identifier: Apache-2.0
 *
 * validate_hashes.h - what the demo video of `videossm-cl validate` has to be, by model.
 *
 * Made with PoCL and confirmed on another implementation. They change only when the contract of
 * kernels/NUMERICS.md, the model or the demo's own settings change, with the reason in the commit
 * message. */
#ifndef VS_HOST_VALIDATE_HASHES_H
#define VS_HOST_VALIDATE_HASHES_H

#include <stddef.h>

static const struct {
    const char *fingerprint; /* of the model */
    size_t n_chunks;
    const char *latents_sha256, *frames_sha256;
} demo_hashes[] = {
    /* models/demo, --quick and whole */
    {"eb0eef7143f1416ae3156dbc2a777f9dcc63ba29c4b84929cf7edf47d9d56bc9", 1,
     "1d933c92941df8974f50fea05d24659e1c96cb6f97fd1ab19dbfd28e1edaa5de",
     "06c5192925b4496cca3334d91df35ad8a8012d386dc57dc98313d56e20930b6d"},
    {"eb0eef7143f1416ae3156dbc2a777f9dcc63ba29c4b84929cf7edf47d9d56bc9", 5,
     "b9f9f62b88cc39df928580d513267f582e6a5072675723012baba0b3d27fc697",
     "1caf8a8cc8c7b2b2b3717ec0ad17a16618b6db5ca3e422d856611dd7ed68a6a7"},
};

#endif
