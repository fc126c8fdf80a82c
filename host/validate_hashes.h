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
     "0b9106a820b77b72baf30637e2960fe653c0d160883d73b484da9b7646c844a7"},
    {"eb0eef7143f1416ae3156dbc2a777f9dcc63ba29c4b84929cf7edf47d9d56bc9", 5,
     "b9f9f62b88cc39df928580d513267f582e6a5072675723012baba0b3d27fc697",
     "da47555ee5fe57f0f403810a8c8924dcfb0730d867d30632d1544ee08e6b33df"},
};

#endif
