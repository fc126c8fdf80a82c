/* SPDX-License-Identifier: Apache-2.0
 *
 * frames_video.c - video files as a stream of RGB frames, through FFmpeg's libraries.
 *
 * Colours go through the file's own matrix and range. A file with a damaged frame is refused: a
 * number measured on half a video would look like any other. Only of y4m, which a broken pipe may
 * cut anywhere, FFmpeg leaves an incomplete last frame out. */
#include "config.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
#include <stdlib.h>

#include "cl/alloc.h"
#include "host/frames.h"
#include "host/png_file.h"

struct video {
    char *path;
    AVFormatContext *format;
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame;
    struct SwsContext *scaler;
    int pixel_format, colorspace, range; /* that the scaler was made for */
    int stream;
    uint8_t *rgb;
    bool ended; /* the file has no more packets */
};

static enum vs_status av_fault(const struct video *video, int error)
{
    char reason[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(error, reason, sizeof reason);
    return vs_fail(error == AVERROR(ENOMEM) ? VS_ERROR_MEMORY : VS_ERROR_USAGE,
                   "cannot read '%s' as a video: %s", video->path, reason);
}

static void video_close(void *state)
{
    struct video *video = state;
    if (!video)
        return;
    avformat_close_input(&video->format);
    avcodec_free_context(&video->codec);
    av_packet_free(&video->packet);
    av_frame_free(&video->frame);
    sws_freeContext(video->scaler);
    free(video->rgb);
    free(video->path);
    free(video);
}

/* ---- Opening ------------------------------------------------------------------------------ */

static enum vs_status open_file(struct video *video)
{
    AVDictionary *options = NULL;
    /* The protocol keeps names with a colon from being taken for one, and playlists at home. */
    char *url = vs_format("file:%s", video->path);
    if (!url)
        return VS_ERROR_MEMORY;
    av_log_set_level(AV_LOG_QUIET); /* faults come back as messages of this program */
    int error = av_dict_set(&options, "protocol_whitelist", "file", 0);
    if (error >= 0)
        error = avformat_open_input(&video->format, url, NULL, &options);
    free(url);
    av_dict_free(&options);
    if (error >= 0)
        error = avformat_find_stream_info(video->format, NULL);
    return error < 0 ? av_fault(video, error) : VS_OK;
}

static enum vs_status open_decoder(struct video *video)
{
    const AVStream *stream;
    const AVCodec *decoder;
    int error = av_find_best_stream(video->format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (error < 0)
        return vs_fail(VS_ERROR_USAGE, "'%s' holds no video", video->path);
    video->stream = error;
    stream = video->format->streams[video->stream];
    decoder = avcodec_find_decoder(stream->codecpar->codec_id);
    if (!decoder)
        return vs_fail(VS_ERROR_USAGE, "'%s': FFmpeg has no decoder for this video", video->path);
    video->codec = avcodec_alloc_context3(decoder);
    video->packet = av_packet_alloc();
    video->frame = av_frame_alloc();
    if (!video->codec || !video->packet || !video->frame)
        return av_fault(video, AVERROR(ENOMEM));
    error = avcodec_parameters_to_context(video->codec, stream->codecpar);
    if (error < 0)
        return av_fault(video, error);
    video->codec->flags |= AV_CODEC_FLAG_BITEXACT;
    video->codec->err_recognition |= AV_EF_EXPLODE;
    video->codec->max_pixels = HOST_PICTURE_PIXELS_MAX;
    error = avcodec_open2(video->codec, decoder, NULL);
    return error < 0 ? av_fault(video, error) : VS_OK;
}

static enum vs_status find_rate(struct host_frames *frames, const struct video *video)
{
    AVStream *stream = video->format->streams[video->stream];
    AVRational rate = av_guess_frame_rate(video->format, stream, NULL);
    if (frames->fps > 0)
        return VS_OK;
    frames->fps = rate.num > 0 && rate.den > 0 ? av_q2d(rate) : 0;
    if (frames->fps < HOST_FPS_MIN || frames->fps > HOST_FPS_MAX)
        return vs_fail(VS_ERROR_USAGE,
                       "'%s': a rate of %g frames/s is not from %g to %g; give --fps", video->path,
                       frames->fps, HOST_FPS_MIN, HOST_FPS_MAX);
    return VS_OK;
}

/* ---- Frames ------------------------------------------------------------------------------- */

/* The next decoded frame in video->frame; false at the end. */
static enum vs_status decode(struct video *video, bool *got)
{
    int error;
    while ((error = avcodec_receive_frame(video->codec, video->frame)) == AVERROR(EAGAIN)) {
        error = av_read_frame(video->format, video->packet);
        if (error >= 0 && video->packet->stream_index == video->stream)
            error = video->packet->flags & AV_PKT_FLAG_CORRUPT
                        ? AVERROR_INVALIDDATA
                        : avcodec_send_packet(video->codec, video->packet);
        else if (error == AVERROR_EOF && !video->ended) {
            video->ended = true;
            error = avcodec_send_packet(video->codec, NULL);
        }
        av_packet_unref(video->packet);
        if (error < 0)
            return av_fault(video, error);
    }
    *got = error >= 0;
    return error < 0 && error != AVERROR_EOF ? av_fault(video, error) : VS_OK;
}

static enum vs_status make_scaler(struct video *video)
{
    const AVFrame *frame = video->frame;
    if (video->scaler && video->pixel_format == frame->format &&
        video->colorspace == (int)frame->colorspace && video->range == (int)frame->color_range)
        return VS_OK;
    sws_freeContext(video->scaler);
    video->scaler = sws_getContext(
        frame->width, frame->height, frame->format, frame->width, frame->height, AV_PIX_FMT_RGB24,
        SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_BITEXACT, NULL, NULL, NULL);
    if (!video->scaler)
        return vs_fail(VS_ERROR_USAGE, "'%s': its pixels cannot be turned into RGB", video->path);
    /* Unknown matrices count as BT.601, as everywhere. Not all formats have one. */
    const int *matrix = sws_getCoefficients(frame->colorspace);
    (void)sws_setColorspaceDetails(video->scaler, matrix, frame->color_range == AVCOL_RANGE_JPEG,
                                   sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
    video->pixel_format = frame->format;
    video->colorspace = (int)frame->colorspace;
    video->range = (int)frame->color_range;
    return VS_OK;
}

static enum vs_status video_next(struct host_frames *frames, const uint8_t **rgb)
{
    struct video *video = frames->state;
    enum vs_status status;
    bool got = false;
    *rgb = NULL;
    VS_TRY(decode(video, &got));
    if (!got)
        return VS_OK;
    if (video->frame->width <= 0 || video->frame->height <= 0)
        return av_fault(video, AVERROR_INVALIDDATA);
    size_t width = (size_t)video->frame->width, height = (size_t)video->frame->height;
    VS_TRY(host_frames_same_size(frames, width, height, video->path));
    VS_TRY(make_scaler(video));
    if (!video->rgb) {
        /* swscale may write a little past the last pixel. */
        video->rgb = vs_alloc(width * height * 3 + 64, 1);
        if (!video->rgb)
            return VS_ERROR_MEMORY;
    }
    uint8_t *planes[] = {video->rgb, NULL, NULL, NULL};
    int strides[] = {(int)(width * 3), 0, 0, 0};
    sws_scale(video->scaler, (const uint8_t *const *)video->frame->data, video->frame->linesize, 0,
              video->frame->height, planes, strides);
    *rgb = video->rgb;
fail:
    av_frame_unref(video->frame);
    return status;
}

static const struct host_frames_kind video_kind = {video_next, video_close};

enum vs_status host_video_open(struct host_frames *frames, const char *path)
{
    enum vs_status status;
    struct video *video = vs_alloc(1, sizeof *video);
    if (!video)
        return VS_ERROR_MEMORY;
    frames->state = video;
    frames->kind = &video_kind;
    video->path = vs_strdup(path);
    if (!video->path)
        return VS_ERROR_MEMORY;
    VS_TRY(open_file(video));
    VS_TRY(open_decoder(video));
    VS_TRY(find_rate(frames, video));
fail:
    return status;
}
