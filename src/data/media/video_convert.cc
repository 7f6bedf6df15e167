// Decoded frame -> packed pixels. swscale turns 4:2:0 into RGB pixel by pixel with the nearest chroma sample
// (at an even height, with the flags that PyAV uses). So a nearest-neighbour sample of the converted frame
// equals the conversion of the sampled planes: gather() collects those, each luma sample twice beside its
// chroma pair as a small 4:2:2 picture, and lets the same swscale routine convert some thousands of pixels
// instead of a million.
#include "data/media/video_convert.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavutil/frame.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
}

#include <cstring>
#include <string>
#include <vector>

namespace mobula::media {
namespace {

constexpr int kRowAlignment = 64;   // of scratch rows, in bytes
constexpr int kChromaUnset = -513;  // swscale's word for "between the luma samples"
constexpr int kWidthMultiple = 32;  // of scratch rows, in pixels: swscale's vector code writes whole groups

struct FreeFrame {
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
};
struct FreeScaler {
  void operator()(SwsContext* scaler) const { sws_freeContext(scaler); }
};
using Scratch = std::unique_ptr<AVFrame, FreeFrame>;
using Scaler = std::unique_ptr<SwsContext, FreeScaler>;

AVPixelFormat packed_format(PixelFormat format) {
  switch (format) {
    case PixelFormat::kRgb24:
      return AV_PIX_FMT_RGB24;
    case PixelFormat::kGray8:
      return AV_PIX_FMT_GRAY8;
    case PixelFormat::kRgba32:
      return AV_PIX_FMT_RGBA;
  }
  return AV_PIX_FMT_NONE;
}

int scaler_flags(Filter filter) {
  switch (filter) {
    case Filter::kNearest:
    case Filter::kBilinear:
      return SWS_BILINEAR;
    case Filter::kBicubic:
      return SWS_BICUBIC;
    case Filter::kArea:
      return SWS_AREA;
  }
  return SWS_BILINEAR;
}

/// The formats that swscale converts pixel by pixel at an even height.
bool is_planar_8_bit(int format) {
  return format == AV_PIX_FMT_YUV420P || format == AV_PIX_FMT_YUVJ420P || format == AV_PIX_FMT_YUV422P ||
         format == AV_PIX_FMT_YUVJ422P;
}

Scratch make_scratch(Size size, AVPixelFormat format) {
  Scratch scratch(av_frame_alloc());
  if (scratch == nullptr) return nullptr;
  scratch->width = (size.width + kWidthMultiple - 1) / kWidthMultiple * kWidthMultiple;
  scratch->height = (size.height + 1) / 2 * 2;
  scratch->format = format;
  if (av_frame_get_buffer(scratch.get(), kRowAlignment) < 0) return nullptr;
  return scratch;
}

/// A pixel of a plane lies at row[r] + column[c]; swapping the two turns the picture.
struct Offsets {
  std::vector<ptrdiff_t> row, column;
};

struct PlaneShape {
  ptrdiff_t stride;
  ptrdiff_t pixel_bytes;
  int shift_x, shift_y;
};

/// What makes a conversion differ from the previous frame's.
struct Source {
  Size size;
  int format = AV_PIX_FMT_NONE;
  int colorspace = 0;
  int range = 0;
  int chroma_location = 0;
  bool operator==(const Source&) const = default;
};

}  // namespace

struct FrameConverter::State {
  enum class Way { kDirect, kScaled, kSampled, kGathered };
  struct Pass {
    Size from, to;
    AVPixelFormat from_format, to_format;
  };
  struct ChromaPosition {
    int x = kChromaUnset;
    int y = kChromaUnset;
  };

  explicit State(ConvertOptions wanted) : options(wanted) {}
  Status prepare(const Source& next);
  Status set_scalers(Size from, AVPixelFormat format, Size to);
  Status set_scaler(Scaler& made, const Pass& pass) const;
  ChromaPosition chroma_position(AVPixelFormat format) const;
  bool can_gather() const;
  Offsets offsets(const PlaneShape& plane) const;
  void gather(const AVFrame& frame);
  void scale(const AVFrame& frame, uint8_t* out, int stride) const;
  void copy_out(const AVFrame& from, ptrdiff_t pixel_bytes, std::span<uint8_t> out) const;
  Status convert(const AVFrame& frame, std::span<uint8_t> out);

  ConvertOptions options;
  Source source;
  Way way = Way::kDirect;
  Rect inner;                    // of the upright picture on the canvas
  std::vector<int> source_rows;  // for each sampled position, in the frame as it is stored
  std::vector<int> source_columns;
  Scaler scaler;
  Scaler doubler;  // doubles the chroma rows before `scaler`, where needed
  Scratch doubled;
  Scratch packed;  // converted pixels that still have to be sampled, turned or placed
  Scratch planes;  // the gathered samples
};

bool FrameConverter::State::can_gather() const {
  const int64_t all = int64_t{source.size.width} * source.size.height;
  const int64_t sampled = int64_t{inner.size.width} * inner.size.height;
  return is_planar_8_bit(source.format) && options.format == PixelFormat::kRgb24 &&
         source.size.height % 2 == 0 && sampled * 4 < all;
}

/// Chooses the way for frames of this shape and makes its scaler and scratch pictures.
Status FrameConverter::State::prepare(const Source& next) {
  source = next;
  const bool turned = options.quarter_turns % 2 != 0;
  const Size upright = turned ? Size{next.size.height, next.size.width} : next.size;
  inner = place(upright, options.size, options.fit);
  const Size stored_inner = turned ? Size{inner.size.height, inner.size.width} : inner.size;
  const bool resized = inner.size != upright;
  const bool sampled = resized && options.filter == Filter::kNearest;

  source_rows = nearest_positions(sampled ? next.size.height : stored_inner.height, stored_inner.height);
  source_columns = nearest_positions(sampled ? next.size.width : stored_inner.width, stored_inner.width);
  const auto mirror = [](std::vector<int>& positions, int side) {
    for (int& position : positions) position = side - 1 - position;
  };
  if (options.quarter_turns == 1 || options.quarter_turns == 2) {
    mirror(source_rows, sampled ? next.size.height : stored_inner.height);
  }
  if (options.quarter_turns >= 2) {
    mirror(source_columns, sampled ? next.size.width : stored_inner.width);
  }
  const auto format = static_cast<AVPixelFormat>(next.format);
  const AVPixelFormat target = packed_format(options.format);
  packed.reset();
  planes.reset();
  if (sampled && can_gather()) {
    way = Way::kGathered;
    planes = make_scratch({2 * inner.size.width, inner.size.height}, AV_PIX_FMT_YUV422P);
    packed = make_scratch({2 * inner.size.width, inner.size.height}, target);
    if (planes == nullptr || packed == nullptr) return {Code::kFull, "no memory for scratch pictures"};
    const Size small{planes->width, planes->height};
    return set_scalers(small, AV_PIX_FMT_YUV422P, small);
  }
  way = sampled                                           ? Way::kSampled
        : resized || turned || options.quarter_turns != 0 ? Way::kScaled
                                                          : Way::kDirect;
  const Size converted = sampled ? next.size : stored_inner;
  packed = make_scratch(converted, target);
  if (packed == nullptr) return {Code::kFull, "no memory for a scratch picture"};
  return set_scalers(next.size, format, converted);
}

/// At an unchanged height swscale 5 takes the nearer of two chroma rows where newer ones blend them. Doubling
/// the rows of 4:2:0 beforehand, in 16 bits, gives what those give.
Status FrameConverter::State::set_scalers(Size from, AVPixelFormat format, Size to) {
  const AVPixFmtDescriptor* described = av_pix_fmt_desc_get(format);
  const bool is_420 = described != nullptr && described->log2_chroma_w == 1 && described->log2_chroma_h == 1;
  const bool converts_by_pixel = from == to && to.height % 2 == 0 && is_planar_8_bit(format);
  doubler.reset();
  doubled.reset();
  if (is_420 && from.height == to.height && !converts_by_pixel && options.format == PixelFormat::kRgb24) {
    doubled = make_scratch(from, AV_PIX_FMT_YUV422P16);
    if (doubled == nullptr) return {Code::kFull, "no memory for a scratch picture"};
    TRY(set_scaler(doubler, {from, from, format, AV_PIX_FMT_YUV422P16}));
    format = AV_PIX_FMT_YUV422P16;
  }
  return set_scaler(scaler, {from, to, format, packed_format(options.format)});
}

/// Sets a scaler up in the order in which newer FFmpeg's sws_scale_frame does: ranges and chroma positions
/// first, the colour matrices after sws_init_context, which settles the ranges of gray and RGB by itself.
Status FrameConverter::State::set_scaler(Scaler& made, const Pass& pass) const {
  made.reset(sws_alloc_context());
  if (made == nullptr) return {Code::kFull, "no memory for a scaler"};
  const auto set = [&made](const char* option, int64_t value) {
    av_opt_set_int(made.get(), option, value, 0);
  };
  const ChromaPosition from = chroma_position(pass.from_format);
  const ChromaPosition to = chroma_position(pass.to_format);
  const bool to_yuv = pass.to_format == AV_PIX_FMT_YUV422P16;
  set("srcw", pass.from.width);
  set("srch", pass.from.height);
  set("src_format", pass.from_format);
  set("src_range", source.range == AVCOL_RANGE_JPEG);
  set("src_h_chr_pos", from.x);
  set("src_v_chr_pos", from.y);
  set("dstw", pass.to.width);
  set("dsth", pass.to.height);
  set("dst_format", pass.to_format);
  set("dst_range", to_yuv && source.range == AVCOL_RANGE_JPEG);
  set("dst_h_chr_pos", to.x);
  set("dst_v_chr_pos", to.y);
  set("sws_flags", scaler_flags(options.filter));
  if (sws_init_context(made.get(), nullptr, nullptr) < 0) {
    const char* name = av_get_pix_fmt_name(pass.from_format);
    return {Code::kUnsupported, std::string("pixel format ") + (name != nullptr ? name : "?") + " of " +
                                    std::to_string(pass.from.width) + "x" + std::to_string(pass.from.height) +
                                    " frames cannot be converted"};
  }
  int* table = nullptr;
  int range_in = 0, range_out = 0, brightness = 0, contrast = 0, saturation = 0;
  sws_getColorspaceDetails(made.get(), &table, &range_in, &table, &range_out, &brightness, &contrast,
                           &saturation);
  sws_setColorspaceDetails(made.get(), sws_getCoefficients(source.colorspace), range_in,
                           sws_getCoefficients(to_yuv ? source.colorspace : int{SWS_CS_DEFAULT}), range_out,
                           brightness, contrast, saturation);
  return {};
}

/// Where chroma samples lie between luma samples: the stream's word, else the centre.
FrameConverter::State::ChromaPosition FrameConverter::State::chroma_position(AVPixelFormat format) const {
  const AVPixFmtDescriptor* described = av_pix_fmt_desc_get(format);
  auto location = static_cast<AVChromaLocation>(source.chroma_location);
  if (location == AVCHROMA_LOC_UNSPECIFIED) location = AVCHROMA_LOC_CENTER;
  ChromaPosition at;
  int x = 0;
  int y = 0;
  if (described == nullptr || avcodec_enum_to_chroma_pos(&x, &y, location) < 0) return at;
  if (described->log2_chroma_w > 0) at.x = x * ((1 << described->log2_chroma_w) - 1);
  if (described->log2_chroma_h > 0) at.y = y * ((1 << described->log2_chroma_h) - 1);
  return at;
}

/// Offsets of the sampled positions, rows and columns being those of the upright picture.
Offsets FrameConverter::State::offsets(const PlaneShape& plane) const {
  Offsets made;
  made.row.reserve(source_rows.size());
  made.column.reserve(source_columns.size());
  for (int row : source_rows) made.row.push_back((row >> plane.shift_y) * plane.stride);
  for (int column : source_columns) made.column.push_back((column >> plane.shift_x) * plane.pixel_bytes);
  if (options.quarter_turns % 2 != 0) made.row.swap(made.column);
  return made;
}

void FrameConverter::State::gather(const AVFrame& frame) {
  const int chroma_shift_y =
      source.format == AV_PIX_FMT_YUV420P || source.format == AV_PIX_FMT_YUVJ420P ? 1 : 0;
  const Offsets luma = offsets({frame.linesize[0], 1, 0, 0});
  for (size_t r = 0; r < luma.row.size(); ++r) {
    const uint8_t* from = frame.data[0] + luma.row[r];
    uint8_t* to = planes->data[0] + static_cast<ptrdiff_t>(r) * planes->linesize[0];
    for (ptrdiff_t column : luma.column) {
      to[0] = to[1] = from[column];
      to += 2;
    }
  }
  for (int plane = 1; plane <= 2; ++plane) {
    const Offsets chroma = offsets({frame.linesize[plane], 1, 1, chroma_shift_y});
    for (size_t r = 0; r < chroma.row.size(); ++r) {
      const uint8_t* from = frame.data[plane] + chroma.row[r];
      uint8_t* to = planes->data[plane] + static_cast<ptrdiff_t>(r) * planes->linesize[plane];
      for (ptrdiff_t column : chroma.column) *to++ = from[column];
    }
  }
}

void FrameConverter::State::scale(const AVFrame& frame, uint8_t* out, int stride) const {
  uint8_t* const planes_out[4] = {out, nullptr, nullptr, nullptr};
  const int strides_out[4] = {stride, 0, 0, 0};
  const AVFrame* from = &frame;
  if (doubler != nullptr) {
    sws_scale(doubler.get(), frame.data, frame.linesize, 0, frame.height, doubled->data, doubled->linesize);
    from = doubled.get();
  }
  sws_scale(scaler.get(), from->data, from->linesize, 0, frame.height, planes_out, strides_out);
}

/// Copies the wanted pixels of a scratch picture to their place on the canvas.
void FrameConverter::State::copy_out(const AVFrame& from, ptrdiff_t pixel_bytes,
                                     std::span<uint8_t> out) const {
  const size_t bytes = channels(options.format);
  const size_t canvas_stride = static_cast<size_t>(options.size.width) * bytes;
  if (inner.size != options.size) std::memset(out.data(), 0, out.size());
  uint8_t* target =
      out.data() + static_cast<size_t>(inner.top) * canvas_stride + static_cast<size_t>(inner.left) * bytes;
  const size_t row_bytes = static_cast<size_t>(inner.size.width) * bytes;
  if (way == Way::kGathered) {
    for (int r = 0; r < inner.size.height; ++r, target += canvas_stride) {
      const uint8_t* source_row = from.data[0] + ptrdiff_t{r} * from.linesize[0];
      for (size_t c = 0; c < row_bytes; c += 3) std::memcpy(target + c, source_row + 2 * c, 3);
    }
    return;
  }
  if (way == Way::kDirect || (way == Way::kScaled && options.quarter_turns == 0)) {
    for (int r = 0; r < inner.size.height; ++r, target += canvas_stride) {
      std::memcpy(target, from.data[0] + ptrdiff_t{r} * from.linesize[0], row_bytes);
    }
    return;
  }
  const Offsets at = offsets({from.linesize[0], pixel_bytes, 0, 0});
  for (ptrdiff_t row : at.row) {
    uint8_t* pixel = target;
    for (ptrdiff_t column : at.column) {
      for (size_t i = 0; i < bytes; ++i) *pixel++ = from.data[0][row + column + static_cast<ptrdiff_t>(i)];
    }
    target += canvas_stride;
  }
}

Status FrameConverter::State::convert(const AVFrame& frame, std::span<uint8_t> out) {
  const Source next{
      {frame.width, frame.height}, frame.format, frame.colorspace, frame.color_range, frame.chroma_location};
  if (next != source || scaler == nullptr) {
    scaler.reset();
    TRY(prepare(next));
  }
  const auto pixel_bytes = static_cast<ptrdiff_t>(channels(options.format));
  const auto address = reinterpret_cast<uintptr_t>(out.data());
  if (way == Way::kDirect && source.size.width % kWidthMultiple == 0 && address % kWidthMultiple == 0) {
    scale(frame, out.data(), static_cast<int>(source.size.width * pixel_bytes));
    return {};
  }
  if (way == Way::kGathered) {
    gather(frame);
    scale(*planes, packed->data[0], packed->linesize[0]);
  } else {
    scale(frame, packed->data[0], packed->linesize[0]);
  }
  copy_out(*packed, pixel_bytes, out);
  return {};
}

FrameConverter::FrameConverter(ConvertOptions options) : state_(std::make_unique<State>(options)) {}
FrameConverter::~FrameConverter() = default;

Status FrameConverter::convert(const AVFrame& frame, std::span<uint8_t> out) {
  const size_t bytes = picture_bytes(state_->options.size, state_->options.format);
  if (out.size() != bytes) {
    return {Code::kInvalid, "a frame needs " + std::to_string(bytes) + " bytes and was given " +
                                std::to_string(out.size()) + ": allocate VideoInfo::frame_bytes"};
  }
  if (frame.width <= 0 || frame.height <= 0) return {Code::kInvalid, "the decoder gave an empty frame"};
  return state_->convert(frame, out);
}

}  // namespace mobula::media
