// PNG by libpng. Its errors leave by longjmp to the last setjmp in a *_step function, whose frame owns
// nothing; everything that needs freeing lives in a Reader or Writer outside. Tests: image_test.cc,
// image_fuzz.cc.
#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "data/media/codec/codec.h"

namespace mobula::media {
namespace {

constexpr png_alloc_size_t kChunkBytesMax = 8 << 20;
constexpr int kChunksMax = 1000;

[[noreturn]] void on_error(png_structp png, png_const_charp text) {
  auto* message = static_cast<CodecMessage*>(png_get_error_ptr(png));
  std::snprintf(message->data(), message->size(), "%s", text);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

struct Reader {
  Reader() : png(png_create_read_struct(PNG_LIBPNG_VER_STRING, &message, on_error, on_warning)) {
    if (png != nullptr) info = png_create_info_struct(png);
  }
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
  CodecMessage message{};
  std::span<const uint8_t> left;
  png_structp png = nullptr;
  png_infop info = nullptr;
};

void read_bytes(png_structp png, png_bytep to, size_t wanted) {
  auto* reader = static_cast<Reader*>(png_get_io_ptr(png));
  if (wanted > reader->left.size()) png_error(png, "the file ends early");
  std::memcpy(to, reader->left.data(), wanted);
  reader->left = reader->left.subspan(wanted);
}

bool header_step(Reader& reader) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  png_set_read_fn(reader.png, &reader, read_bytes);
  png_set_user_limits(reader.png, kSideMax, kSideMax);
  png_set_chunk_malloc_max(reader.png, kChunkBytesMax);
  png_set_chunk_cache_max(reader.png, kChunksMax);
  png_read_info(reader.png, reader.info);
  return true;
}

/// Asks libpng for the wanted channels, 8 bits each. `keeps_gray`: leave gray as it is.
bool transform_step(Reader& reader, PixelFormat format, bool keeps_gray) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  png_set_strip_16(reader.png);
  png_set_expand(reader.png);
  if (!keeps_gray) png_set_gray_to_rgb(reader.png);
  if (format == PixelFormat::kRgba32) {
    png_set_add_alpha(reader.png, 255, PNG_FILLER_AFTER);
  } else {
    png_set_strip_alpha(reader.png);
  }
  png_set_interlace_handling(reader.png);
  png_read_update_info(reader.png, reader.info);
  return true;
}

bool rows_step(Reader& reader, png_bytepp rows) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  png_read_image(reader.png, rows);
  png_read_end(reader.png, nullptr);
  return true;
}

Status open(Reader& reader, std::span<const uint8_t> bytes, std::string_view name) {
  if (reader.png == nullptr || reader.info == nullptr) return {Code::kFull, "no memory for a PNG reader"};
  reader.left = bytes;
  if (!header_step(reader)) return damaged(name, "PNG", reader.message.data());
  return {};
}

Size size_of(const Reader& reader) {
  return {static_cast<int>(png_get_image_width(reader.png, reader.info)),
          static_cast<int>(png_get_image_height(reader.png, reader.info))};
}

struct Writer {
  Writer() : png(png_create_write_struct(PNG_LIBPNG_VER_STRING, &message, on_error, on_warning)) {
    if (png != nullptr) info = png_create_info_struct(png);
  }
  ~Writer() { png_destroy_write_struct(&png, &info); }
  CodecMessage message{};
  std::vector<uint8_t> bytes;
  png_structp png = nullptr;
  png_infop info = nullptr;
};

void write_bytes(png_structp png, png_bytep from, size_t size) {
  auto* writer = static_cast<Writer*>(png_get_io_ptr(png));
  writer->bytes.insert(writer->bytes.end(), from, from + size);
}

void flush_bytes(png_structp) {}

int color_type(PixelFormat format) {
  switch (format) {
    case PixelFormat::kRgb24:
      return PNG_COLOR_TYPE_RGB;
    case PixelFormat::kGray8:
      return PNG_COLOR_TYPE_GRAY;
    case PixelFormat::kRgba32:
      return PNG_COLOR_TYPE_RGBA;
  }
  return PNG_COLOR_TYPE_RGB;
}

bool encode_step(Writer& writer, const ImageView& image, int level) {
  if (setjmp(png_jmpbuf(writer.png)) != 0) return false;
  png_set_write_fn(writer.png, &writer, write_bytes, flush_bytes);
  png_set_compression_level(writer.png, level);
  png_set_IHDR(writer.png, writer.info, static_cast<png_uint_32>(image.size.width),
               static_cast<png_uint_32>(image.size.height), 8, color_type(image.format), PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(writer.png, writer.info);
  const size_t stride = static_cast<size_t>(image.size.width) * channels(image.format);
  for (size_t row = 0; row < static_cast<size_t>(image.size.height); ++row) {
    png_write_row(writer.png, image.pixels.data() + row * stride);
  }
  png_write_end(writer.png, nullptr);
  return true;
}

}  // namespace

Result<ImageInfo> probe_png(std::span<const uint8_t> bytes, std::string_view name) {
  Reader reader;
  TRY(open(reader, bytes, name));
  int stored = png_get_channels(reader.png, reader.info);
  if (png_get_color_type(reader.png, reader.info) == PNG_COLOR_TYPE_PALETTE) stored = 3;
  return ImageInfo{ImageKind::kPng, size_of(reader), stored};
}

Status decode_png(std::span<const uint8_t> bytes, std::string_view name, const ImageOptions& options,
                  const PixelSink& sink) {
  Reader reader;
  TRY(open(reader, bytes, name));
  const Size size = size_of(reader);
  TRY(check_pixels(size, name, options));
  const bool is_gray = (png_get_color_type(reader.png, reader.info) & PNG_COLOR_MASK_COLOR) == 0;
  const bool to_gray = options.format == PixelFormat::kGray8;
  if (!transform_step(reader, options.format, is_gray && to_gray)) {
    return damaged(name, "PNG", reader.message.data());
  }
  const bool is_direct = !to_gray || is_gray;
  const size_t stride = static_cast<size_t>(size.width) * (is_direct ? channels(options.format) : 3);
  if (png_get_rowbytes(reader.png, reader.info) != stride)
    return damaged(name, "PNG", "rows of another length");
  const std::span<uint8_t> out = sink(size);
  std::vector<uint8_t> scratch(is_direct ? 0 : stride * static_cast<size_t>(size.height));
  std::vector<png_bytep> rows(static_cast<size_t>(size.height));
  uint8_t* first = is_direct ? out.data() : scratch.data();
  for (size_t row = 0; row < rows.size(); ++row) rows[row] = first + row * stride;
  if (!rows_step(reader, rows.data())) return damaged(name, "PNG", reader.message.data());
  if (!is_direct) rgb_to_gray(scratch, out);
  return {};
}

Result<std::vector<uint8_t>> encode_png(const ImageView& image, int level) {
  TRY(check_size(image.size, "the picture to encode"));
  if (image.pixels.size() != picture_bytes(image.size, image.format) || level < 0 || level > 9) {
    return Status{Code::kInvalid, "PNG takes a picture with all its pixels, and a level of 0..9"};
  }
  Writer writer;
  if (writer.png == nullptr || writer.info == nullptr)
    return Status{Code::kFull, "no memory for a PNG writer"};
  if (!encode_step(writer, image, level)) {
    return Status{Code::kInternal, std::string("PNG encoder: ") + writer.message.data()};
  }
  return std::move(writer.bytes);
}

}  // namespace mobula::media
