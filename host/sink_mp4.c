/* SPDX-License-Identifier: Apache-2.0
 *
 * sink_mp4.c - H.264 in mp4 through FFmpeg's libraries.
 *
 * The index goes to the front when the file is closed, so an interrupted run that is closed in
 * order plays like any other. Neither date nor versions are stored: equal frames give equal files.
 */
#include "config.h"

#include "host/sink_mp4.h"

#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cl/alloc.h"
#include "host/draft.h"
#include "host/sink.h"

/* Constant quality: visually lossless for x264, fine for the others. */
enum { X264_CRF = 17, MPEG4_QUANTISER = 2, OTHER_BITS_PER_PIXEL = 1 };

struct mp4 {
    struct host_draft draft;
    AVFormatContext *format;
    AVCodecContext *codec;
    AVBSFContext *filter;
    AVStream *stream;
    AVPacket *packet;
    AVFrame *rgb, *yuv;
    struct SwsContext *scaler;
    bool header_written;
};

static enum vs_status av_fault(const struct mp4 *mp4, const char *what, int error)
{
    char reason[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(error, reason, sizeof reason);
    return vs_fail(error == AVERROR(ENOMEM) ? VS_ERROR_MEMORY : VS_ERROR_RUNTIME, "%s '%s': %s%s",
                   what, mp4->draft.target ? mp4->draft.target : "mp4", reason,
                   error == AVERROR(ENOSPC) ? "; free some space or choose another disk" : "");
}

static void mp4_abort(void *state)
{
    struct mp4 *mp4 = state;
    if (mp4->format && mp4->format->pb)
        (void)avio_closep(&mp4->format->pb);
    avformat_free_context(mp4->format);
    avcodec_free_context(&mp4->codec);
    av_bsf_free(&mp4->filter);
    av_packet_free(&mp4->packet);
    av_frame_free(&mp4->rgb);
    av_frame_free(&mp4->yuv);
    sws_freeContext(mp4->scaler);
    host_draft_discard(&mp4->draft);
    free(mp4);
}

/* ---- Opening ------------------------------------------------------------------------------ */

/* Tries one encoder; false when it is not there or does not start (a hardware encoder without its
 * hardware). */
static bool try_encoder(struct mp4 *mp4, const AVCodec *encoder, const struct vs_video_info *video)
{
    int numerator, denominator;
    AVCodecContext *codec = encoder ? avcodec_alloc_context3(encoder) : NULL;
    if (!codec)
        return false;
    host_fps_fraction(video->fps, &numerator, &denominator);
    /* Chroma planes are half as large, so sides are rounded up to even. */
    codec->width = (int)(video->width + video->width % 2);
    codec->height = (int)(video->height + video->height % 2);
    codec->time_base = (AVRational){denominator, numerator};
    codec->framerate = (AVRational){numerator, denominator};
    codec->pix_fmt = AV_PIX_FMT_YUV420P;
    codec->color_range = AVCOL_RANGE_MPEG;
    codec->color_primaries = AVCOL_PRI_BT709;
    codec->color_trc = AVCOL_TRC_BT709;
    codec->colorspace = AVCOL_SPC_BT709;
    codec->flags |= AV_CODEC_FLAG_BITEXACT | AV_CODEC_FLAG_GLOBAL_HEADER;
    if (strcmp(encoder->name, "libx264") == 0) {
        av_opt_set_int(codec->priv_data, "crf", X264_CRF, 0);
        /* One thread count everywhere: x264's bits depend on it. */
        codec->thread_count = 4;
    } else if (encoder->id == AV_CODEC_ID_MPEG4) {
        codec->flags |= AV_CODEC_FLAG_QSCALE;
        codec->global_quality = FF_QP2LAMBDA * MPEG4_QUANTISER;
    } else {
        codec->bit_rate =
            (int64_t)((double)codec->width * codec->height * video->fps * OTHER_BITS_PER_PIXEL);
    }
    if (avcodec_open2(codec, encoder, NULL) < 0) {
        avcodec_free_context(&codec);
        return false;
    }
    mp4->codec = codec;
    return true;
}

static enum vs_status open_encoder(struct mp4 *mp4, const struct vs_video_info *video)
{
    const AVCodec *choices[] = {
        avcodec_find_encoder_by_name("libx264"), avcodec_find_encoder_by_name("libopenh264"),
        avcodec_find_encoder(AV_CODEC_ID_H264), avcodec_find_encoder(AV_CODEC_ID_MPEG4)};
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        if (try_encoder(mp4, choices[i], video))
            return VS_OK;
    }
    return vs_fail(VS_ERROR_RUNTIME,
                   "'%s': FFmpeg has no encoder for %zux%zu at %g frames/s; "
                   "install libavcodec-extra, or write a folder or x.y4m",
                   mp4->draft.target, video->width, video->height, video->fps);
}

/* H.264 encoders sign their work with version and options in an SEI unit (type 6); it goes. */
static enum vs_status open_filter(struct mp4 *mp4)
{
    bool h264 = mp4->codec->codec_id == AV_CODEC_ID_H264;
    int error = av_bsf_list_parse_str(h264 ? "filter_units=remove_types=6" : "null", &mp4->filter);
    if (error >= 0)
        error = avcodec_parameters_from_context(mp4->filter->par_in, mp4->codec);
    if (error >= 0) {
        mp4->filter->time_base_in = mp4->codec->time_base;
        error = av_bsf_init(mp4->filter);
    }
    return error < 0 ? av_fault(mp4, "cannot write", error) : VS_OK;
}

static enum vs_status open_frames(struct mp4 *mp4, const struct vs_video_info *video)
{
    mp4->packet = av_packet_alloc();
    mp4->rgb = av_frame_alloc();
    mp4->yuv = av_frame_alloc();
    mp4->scaler = sws_getContext((int)video->width, (int)video->height, AV_PIX_FMT_RGB24,
                                 mp4->codec->width, mp4->codec->height, AV_PIX_FMT_YUV420P,
                                 SWS_BICUBIC | SWS_ACCURATE_RND | SWS_BITEXACT, NULL, NULL, NULL);
    if (!mp4->packet || !mp4->rgb || !mp4->yuv || !mp4->scaler)
        return vs_fail(VS_ERROR_MEMORY, "out of memory for '%s'", mp4->draft.target);
    const int *bt709 = sws_getCoefficients(SWS_CS_ITU709);
    sws_setColorspaceDetails(mp4->scaler, bt709, 1, bt709, 0, 0, 1 << 16, 1 << 16);
    mp4->rgb->format = AV_PIX_FMT_RGB24;
    mp4->rgb->width = (int)video->width;
    mp4->rgb->height = (int)video->height;
    mp4->yuv->format = AV_PIX_FMT_YUV420P;
    mp4->yuv->width = mp4->codec->width;
    mp4->yuv->height = mp4->codec->height;
    if (av_frame_get_buffer(mp4->rgb, 0) < 0 || av_frame_get_buffer(mp4->yuv, 0) < 0)
        return vs_fail(VS_ERROR_MEMORY, "out of memory for '%s'", mp4->draft.target);
    return VS_OK;
}

static enum vs_status open_file(struct mp4 *mp4, const struct host_metadata *metadata)
{
    AVDictionary *options = NULL;
    /* The protocol keeps names with a colon from being taken for one. */
    char *url = vs_format("file:%s", mp4->draft.path);
    if (!url)
        return VS_ERROR_MEMORY;
    int error = avformat_alloc_output_context2(&mp4->format, NULL, "mp4", url);
    if (error >= 0)
        error = avio_open(&mp4->format->pb, url, AVIO_FLAG_WRITE);
    free(url);
    if (error < 0)
        return av_fault(mp4, "cannot write", error);
    mp4->stream = avformat_new_stream(mp4->format, NULL);
    if (!mp4->stream)
        return av_fault(mp4, "cannot write", AVERROR(ENOMEM));
    mp4->format->flags |= AVFMT_FLAG_BITEXACT;
    mp4->stream->time_base = mp4->codec->time_base;
    mp4->stream->avg_frame_rate = mp4->codec->framerate;
    error = avcodec_parameters_copy(mp4->stream->codecpar, mp4->filter->par_out);
    if (error >= 0)
        error = av_dict_set(&mp4->format->metadata, "title", metadata->title, 0);
    if (error >= 0)
        error = av_dict_set(&mp4->format->metadata, "comment", metadata->json, 0);
    if (error >= 0)
        error = av_dict_set(&options, "movflags", "+faststart", 0);
    if (error >= 0)
        error = avformat_write_header(mp4->format, &options);
    av_dict_free(&options);
    if (error < 0)
        return av_fault(mp4, "writing", error);
    mp4->header_written = true;
    return VS_OK;
}

static enum vs_status mp4_open(void **state, const char *path, const struct vs_video_info *video,
                               const struct host_metadata *metadata)
{
    enum vs_status status = VS_OK;
    struct mp4 *mp4 = vs_alloc(1, sizeof *mp4);
    if (!mp4)
        return VS_ERROR_MEMORY;
    mp4->draft.fd = mp4->draft.slot = -1;
    av_log_set_level(AV_LOG_QUIET); /* faults come back as messages of this program */
    VS_TRY(host_draft_open(&mp4->draft, path));
    host_draft_detach(&mp4->draft);
    VS_TRY(open_encoder(mp4, video));
    VS_TRY(open_filter(mp4));
    VS_TRY(open_frames(mp4, video));
    VS_TRY(open_file(mp4, metadata));
    *state = mp4;
    return VS_OK;
fail:
    mp4_abort(mp4);
    return status;
}

/* ---- Frames ------------------------------------------------------------------------------- */

/* Takes what the filter has ready to the file; 0, or the fault. */
static int store_packets(struct mp4 *mp4)
{
    int error;
    while ((error = av_bsf_receive_packet(mp4->filter, mp4->packet)) >= 0) {
        mp4->packet->duration = 1;
        av_packet_rescale_ts(mp4->packet, mp4->codec->time_base, mp4->stream->time_base);
        mp4->packet->stream_index = mp4->stream->index;
        error = av_interleaved_write_frame(mp4->format, mp4->packet);
        if (error >= 0 && mp4->format->pb->error < 0)
            error = mp4->format->pb->error;
        if (error < 0)
            return error;
    }
    return error == AVERROR(EAGAIN) || error == AVERROR_EOF ? 0 : error;
}

/* Sends a frame, or the end when frame is NULL, and stores what the encoder has ready. */
static enum vs_status encode(struct mp4 *mp4, const AVFrame *frame)
{
    int error = avcodec_send_frame(mp4->codec, frame);
    while (error >= 0) {
        error = avcodec_receive_packet(mp4->codec, mp4->packet);
        if (error == AVERROR(EAGAIN) || error == AVERROR_EOF)
            return VS_OK;
        if (error >= 0)
            error = av_bsf_send_packet(mp4->filter, mp4->packet);
        if (error >= 0)
            error = store_packets(mp4);
    }
    return av_fault(mp4, "writing", error);
}

static enum vs_status write_frame(struct mp4 *mp4, size_t number, const uint8_t *rgb)
{
    int error = av_frame_make_writable(mp4->yuv);
    if (error < 0)
        return av_fault(mp4, "writing", error);
    /* The scaler may read past the end of a row; rows of an AVFrame are padded for that. */
    size_t row_bytes = (size_t)mp4->rgb->width * 3;
    for (int y = 0; y < mp4->rgb->height; y++)
        memcpy(mp4->rgb->data[0] + (ptrdiff_t)y * mp4->rgb->linesize[0],
               rgb + (size_t)y * row_bytes, row_bytes);
    sws_scale(mp4->scaler, (const uint8_t *const *)mp4->rgb->data, mp4->rgb->linesize, 0,
              mp4->rgb->height, mp4->yuv->data, mp4->yuv->linesize);
    mp4->yuv->pts = (int64_t)number;
    mp4->yuv->quality = mp4->codec->global_quality;
    return encode(mp4, mp4->yuv);
}

static enum vs_status mp4_write(void *state, size_t first_frame, size_t n_frames,
                                const uint8_t *rgb)
{
    struct mp4 *mp4 = state;
    enum vs_status status = VS_OK;
    size_t frame_bytes = (size_t)mp4->rgb->width * (size_t)mp4->rgb->height * 3;
    for (size_t i = 0; i < n_frames; i++)
        VS_TRY(write_frame(mp4, first_frame + i, rgb + i * frame_bytes));
fail:
    return status;
}

static enum vs_status mp4_close(void *state)
{
    struct mp4 *mp4 = state;
    enum vs_status status = VS_OK;
    int error;
    VS_TRY(encode(mp4, NULL));
    error = av_write_trailer(mp4->format);
    if (error >= 0)
        error = mp4->format->pb->error;
    int close_error = avio_closep(&mp4->format->pb);
    if (error >= 0)
        error = close_error;
    if (error < 0) {
        status = av_fault(mp4, "writing", error);
        goto fail;
    }
    VS_TRY(host_draft_commit(&mp4->draft));
fail:
    mp4_abort(mp4);
    return status;
}

const struct host_sink_kind host_sink_mp4 = {mp4_open, mp4_write, mp4_close, mp4_abort, NULL};

/* ---- Reading ------------------------------------------------------------------------------ */

enum vs_status host_mp4_comment(char **comment, const char *path)
{
    AVFormatContext *format = NULL;
    enum vs_status status = VS_OK;
    *comment = NULL;
    av_log_set_level(AV_LOG_QUIET);
    char *url = vs_format("file:%s", path);
    if (!url)
        return VS_ERROR_MEMORY;
    int error = avformat_open_input(&format, url, NULL, NULL);
    free(url);
    if (error < 0) {
        char reason[AV_ERROR_MAX_STRING_SIZE] = "";
        av_strerror(error, reason, sizeof reason);
        return vs_fail(VS_ERROR_USAGE, "cannot read '%s': %s", path, reason);
    }
    const AVDictionaryEntry *entry = av_dict_get(format->metadata, "comment", NULL, 0);
    if (entry) {
        *comment = vs_strdup(entry->value);
        if (!*comment)
            status = VS_ERROR_MEMORY;
    }
    avformat_close_input(&format);
    return status;
}
