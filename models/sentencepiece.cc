/* SPDX-License-Identifier: Apache-2.0
 *
 * sentencepiece.cc - the project's only C++: libsentencepiece has no C interface. */
extern "C" {
#include "cl/fault.h"
#include "cl/status.h"
}
#include "models/sentencepiece.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <new>
#include <vector>

struct vs_spm {
    sentencepiece::SentencePieceProcessor processor;
};

/* Runs body, which returns a status, and turns what it throws into one. */
template <typename Body> static vs_status guarded(vs_status fault, Body body)
{
    try {
        return body();
    } catch (const std::bad_alloc &) {
        return vs_fail(VS_ERROR_MEMORY, "out of memory in libsentencepiece");
    } catch (const std::exception &error) {
        return vs_fail(fault, "libsentencepiece: %s", error.what());
    } catch (...) {
        return vs_fail(fault, "libsentencepiece failed and gave no reason");
    }
}

vs_status vs_spm_create(vs_spm **spm, const void *data, size_t n)
{
    *spm = nullptr;
    return guarded(VS_ERROR_MODEL, [&] {
        if (vs_fault_due(VS_FAULT_MEMORY))
            throw std::bad_alloc();
        std::unique_ptr<vs_spm> made(new vs_spm);
        auto status = made->processor.LoadFromSerializedProto(
            absl::string_view(static_cast<const char *>(data), n));
        if (!status.ok())
            return vs_fail(VS_ERROR_MODEL, "libsentencepiece refuses the model: %s",
                           status.error_message());
        *spm = made.release();
        return VS_OK;
    });
}

void vs_spm_free(vs_spm *spm)
{
    delete spm;
}

size_t vs_spm_vocab(const vs_spm *spm)
{
    return static_cast<size_t>(spm->processor.GetPieceSize());
}

int vs_spm_eos(const vs_spm *spm)
{
    return spm->processor.eos_id();
}

vs_status vs_spm_encode(const vs_spm *spm, const char *text, size_t n, size_t max, int32_t *ids,
                        size_t *n_ids)
{
    *n_ids = 0;
    return guarded(VS_ERROR_RUNTIME, [&] {
        std::vector<int> pieces;
        auto status = spm->processor.Encode(absl::string_view(text, n), &pieces);
        if (!status.ok())
            return vs_fail(VS_ERROR_RUNTIME, "libsentencepiece cannot encode the prompt: %s",
                           status.error_message());
        *n_ids = std::min(pieces.size(), max);
        std::copy_n(pieces.begin(), *n_ids, ids);
        return VS_OK;
    });
}
