// JPEG by libjpeg-turbo. Its errors leave by longjmp to the last setjmp in a *_step function, whose frame
// owns nothing; everything that needs freeing lives in a Reader or Writer outside. Tests: image_test.cc,
// image_fuzz.cc.
#include <cstdio>  // before jpeglib.h, which needs FILE

#include <csetjmp>
#include <cstdlib>

#include <jerror.h>
#include <jpeglib.h>

#include "data/media/codec/codec.h"

namespace mobula::media {
namespace {

constexpr int kScansMax = 500;  // a progressive file may repeat its scans for ever

/// libjpeg's error state, which it finds again through its first member.
struct Errors {
  jpeg_error_mgr manager;
  std::jmp_buf escape;
  CodecMessage message;
};

[[noreturn]] void on_error(j_common_ptr codec) {
  auto* errors = reinterpret_cast<Errors*>(codec->err);
  char text[JMSG_LENGTH_MAX] = {};
  errors->manager.format_message(codec, text);
  std::snprintf(errors->message.data(), errors->message.size(), "%s", text);
  std::longjmp(errors->escape, 1);
}

/// Warnings that mean lost pixels are errors to us.
void on_message(j_common_ptr codec, int level) {
  if (level >= 0) return;
  switch (codec->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_TOO_MUCH_DATA:
      return;
    default:
      on_error(codec);
  }
}

void set_up(Errors& errors) {
  jpeg_std_error(&errors.manager);
  errors.manager.error_exit = on_error;
  errors.manager.emit_message = on_message;
  errors.message[0] = 0;
}

void on_progress(j_common_ptr codec) {
  if (!codec->is_decompressor) return;
  if (reinterpret_cast<j_decompress_ptr>(codec)->input_scan_number <= kScansMax) return;
  auto* errors = reinterpret_cast<Errors*>(codec->err);
  std::snprintf(errors->message.data(), errors->message.size(), "more than %d scans", kScansMax);
  std::longjmp(errors->escape, 1);
}

struct Reader {
  Reader() {
    set_up(errors);
    info.err = &errors.manager;
  }
  ~Reader() { jpeg_destroy_decompress(&info); }
  jpeg_decompress_struct info{};
  Errors errors{};
  jpeg_progress_mgr progress{};
};

bool header_step(Reader& reader, const uint8_t* bytes, size_t size) {
  if (setjmp(reader.errors.escape) != 0) return false;
  jpeg_create_decompress(&reader.info);
  reader.progress.progress_monitor = on_progress;
  reader.info.progress = &reader.progress;
  jpeg_mem_src(&reader.info, bytes, size);
  jpeg_read_header(&reader.info, TRUE);
  return true;
}

bool start_step(Reader& reader) {
  if (setjmp(reader.errors.escape) != 0) return false;
  jpeg_start_decompress(&reader.info);
  return true;
}

bool rows_step(Reader& reader, uint8_t* pixels, size_t stride) {
  if (setjmp(reader.errors.escape) != 0) return false;
  while (reader.info.output_scanline < reader.info.output_height) {
    JSAMPROW row = pixels + reader.info.output_scanline * stride;
    jpeg_read_scanlines(&reader.info, &row, 1);
  }
  jpeg_finish_decompress(&reader.info);
  return true;
}

/// The largest of libjpeg's fast reductions that leaves both sides at least as long as they will be.
unsigned reduction(Size stored, const ImageOptions& options) {
  if (!options.shrinks_while_decoding || options.size.is_empty() || options.filter == Filter::kNearest)
    return 1;
  const Size wanted = place(stored, options.size, options.fit).size;
  for (unsigned by : {8U, 4U, 2U}) {
    const int scale = static_cast<int>(by);
    if (stored.width / scale >= wanted.width && stored.height / scale >= wanted.height) return by;
  }
  return 1;
}

/// Four inks, stored inverted as Adobe does, to RGB as Pillow does.
void cmyk_to_rgb(std::span<const uint8_t> cmyk, std::span<uint8_t> rgb) {
  for (size_t from = 0, to = 0; from + 3 < cmyk.size(); from += 4, to += 3) {
    const unsigned white = cmyk[from + 3];
    for (size_t c = 0; c < 3; ++c) {
      const unsigned product = (255U - cmyk[from + c]) * white + 128;
      rgb[to + c] = static_cast<uint8_t>(white - (((product >> 8) + product) >> 8));
    }
  }
}

void spread(std::span<const uint8_t> rgb, PixelFormat format, std::span<uint8_t> out) {
  if (format == PixelFormat::kGray8) return rgb_to_gray(rgb, out);
  const size_t bytes = channels(format);
  for (size_t from = 0, to = 0; from + 2 < rgb.size(); from += 3, to += bytes) {
    for (size_t c = 0; c < 3; ++c) out[to + c] = rgb[from + c];
    if (bytes == 4) out[to + 3] = 255;
  }
}

struct Writer {
  Writer() {
    set_up(errors);
    info.err = &errors.manager;
  }
  ~Writer() {
    jpeg_destroy_compress(&info);
    std::free(bytes);
  }
  jpeg_compress_struct info{};
  Errors errors{};
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
};

bool encode_step(Writer& writer, const uint8_t* pixels, Size size, int channels_in, int quality) {
  if (setjmp(writer.errors.escape) != 0) return false;
  jpeg_create_compress(&writer.info);
  jpeg_mem_dest(&writer.info, &writer.bytes, &writer.size);
  writer.info.image_width = static_cast<JDIMENSION>(size.width);
  writer.info.image_height = static_cast<JDIMENSION>(size.height);
  writer.info.input_components = channels_in;
  writer.info.in_color_space = channels_in == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&writer.info);
  jpeg_set_quality(&writer.info, quality, TRUE);
  jpeg_start_compress(&writer.info, TRUE);
  const size_t stride = static_cast<size_t>(size.width) * static_cast<size_t>(channels_in);
  while (writer.info.next_scanline < writer.info.image_height) {
    JSAMPROW row = const_cast<JSAMPROW>(pixels) + writer.info.next_scanline * stride;
    jpeg_write_scanlines(&writer.info, &row, 1);
  }
  jpeg_finish_compress(&writer.info);
  return true;
}

}  // namespace

Result<ImageInfo> probe_jpeg(std::span<const uint8_t> bytes, std::string_view name) {
  Reader reader;
  if (!header_step(reader, bytes.data(), bytes.size()))
    return damaged(name, "JPEG", reader.errors.message.data());
  const Size size{static_cast<int>(reader.info.image_width), static_cast<int>(reader.info.image_height)};
  return ImageInfo{ImageKind::kJpeg, size, reader.info.num_components};
}

Status decode_jpeg(std::span<const uint8_t> bytes, std::string_view name, const ImageOptions& options,
                   const PixelSink& sink) {
  Reader reader;
  if (!header_step(reader, bytes.data(), bytes.size()))
    return damaged(name, "JPEG", reader.errors.message.data());
  jpeg_decompress_struct& info = reader.info;
  const Size stored{static_cast<int>(info.image_width), static_cast<int>(info.image_height)};
  TRY(check_pixels(stored, name, options));
  info.scale_num = 1;
  info.scale_denom = reduction(stored, options);
  const bool is_cmyk = info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK;
  const bool is_gray = info.jpeg_color_space == JCS_GRAYSCALE;
  const bool to_gray = options.format == PixelFormat::kGray8;
  info.out_color_space = is_cmyk                                  ? JCS_CMYK
                         : is_gray && to_gray                     ? JCS_GRAYSCALE
                         : options.format == PixelFormat::kRgba32 ? JCS_EXT_RGBA
                                                                  : JCS_RGB;
  if (!start_step(reader)) return damaged(name, "JPEG", reader.errors.message.data());

  const Size size{static_cast<int>(info.output_width), static_cast<int>(info.output_height)};
  const std::span<uint8_t> out = sink(size);
  const size_t area = static_cast<size_t>(size.width) * static_cast<size_t>(size.height);
  const auto stored_channels = static_cast<size_t>(info.output_components);
  const bool is_direct = !is_cmyk && stored_channels == channels(options.format);
  std::vector<uint8_t> scratch(is_direct ? 0 : area * stored_channels);
  uint8_t* rows = is_direct ? out.data() : scratch.data();
  if (!rows_step(reader, rows, static_cast<size_t>(size.width) * stored_channels)) {
    return damaged(name, "JPEG", reader.errors.message.data());
  }
  if (is_cmyk) {
    std::vector<uint8_t> rgb(area * 3);
    cmyk_to_rgb(scratch, rgb);
    spread(rgb, options.format, out);
  } else if (!is_direct) {
    spread(scratch, options.format, out);
  }
  return {};
}

Result<std::vector<uint8_t>> encode_jpeg(const ImageView& image, int quality) {
  TRY(check_size(image.size, "the picture to encode"));
  if (image.format == PixelFormat::kRgba32 ||
      image.pixels.size() != picture_bytes(image.size, image.format) || quality < 1 || quality > 100) {
    return Status{Code::kInvalid, "JPEG takes rgb24 or gray8 with all its pixels, and a quality of 1..100"};
  }
  Writer writer;
  const int channels_in = static_cast<int>(channels(image.format));
  if (!encode_step(writer, image.pixels.data(), image.size, channels_in, quality)) {
    return Status{Code::kInternal, std::string("JPEG encoder: ") + writer.errors.message.data()};
  }
  return std::vector<uint8_t>(writer.bytes, writer.bytes + writer.size);
}

}  // namespace mobula::media
