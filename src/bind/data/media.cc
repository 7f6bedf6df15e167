// Media for readers in workers: clips frame by frame into arrays of the caller's, and single pictures.
// Decoding runs without the GIL. What is decoded is data/media's.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>

#include "bind/data/data.h"
#include "data/media/image.h"
#include "data/media/video.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mobula::data::python {
namespace {

using media::Filter;
using media::Fit;
using media::PixelFormat;
using Pixels = nb::ndarray<uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Picture = nb::ndarray<nb::numpy, uint8_t, nb::c_contig>;
using HeightWidth = std::pair<int, int>;  // Ray's order

std::span<const uint8_t> span_of(const nb::bytes& bytes) {
  return {static_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

Filter filter_from(const std::string& name) {
  if (name == "nearest") return Filter::kNearest;
  if (name == "bilinear") return Filter::kBilinear;
  if (name == "bicubic") return Filter::kBicubic;
  if (name == "area") return Filter::kArea;
  throw nb::value_error("a filter is 'nearest', 'bilinear', 'bicubic' or 'area'");
}

PixelFormat format_from(const std::string& mode) {
  if (mode == "RGB") return PixelFormat::kRgb24;
  if (mode == "L") return PixelFormat::kGray8;
  if (mode == "RGBA") return PixelFormat::kRgba32;
  throw nb::value_error("a mode is 'RGB', 'RGBA' or 'L'");
}

/// A clip that is being read.
class Clip {
 public:
  Clip(const std::string& path, std::optional<HeightWidth> size, double fps, const std::string& filter,
       bool letterbox, int threads) {
    media::VideoOptions options;
    if (size) options.size = {size->second, size->first};
    options.fps = fps;
    options.filter = filter_from(filter);
    options.fit = letterbox ? Fit::kLetterbox : Fit::kStretch;
    options.threads = threads;
    Result<std::unique_ptr<media::VideoReader>> opened = Status(Code::kInternal, "not opened");
    {
      nb::gil_scoped_release released;
      opened = media::VideoReader::open(path, options);
    }
    check(opened.status());
    reader_ = std::move(*opened);
  }

  HeightWidth size() const { return {reader_->info().frame.height, reader_->info().frame.width}; }
  double fps() const { return reader_->info().fps; }
  std::optional<int64_t> frames() const { return reader_->info().frames; }

  /// Decodes up to one frame for each row of `pixels`; the frames' numbers and seconds. Fewer than rows: the
  /// end.
  nb::tuple read(Pixels pixels) {
    if (pixels.shape(1) != reader_->info().frame_bytes)
      throw nb::value_error("a row must have the bytes of one frame");
    std::vector<media::FrameInfo> infos;
    Status failed;
    {
      nb::gil_scoped_release released;
      for (size_t row = 0; row < pixels.shape(0); ++row) {
        media::FrameInfo info;
        Result<bool> more =
            reader_->read_into({pixels.data() + row * pixels.shape(1), pixels.shape(1)}, info);
        if (!more.is_ok()) failed = more.status();
        if (!more.is_ok() || !*more) break;
        infos.push_back(info);
      }
    }
    if (infos.empty()) check(failed);
    if (!failed.is_ok()) failed_ = failed;
    nb::list numbers, times;
    for (const media::FrameInfo& info : infos) {
      numbers.append(info.index);
      times.append(info.time_s);
    }
    return nb::make_tuple(numbers, times);
  }

  /// Raises the error that ended the clip after frames that read() gave.
  void finish() const { check(failed_); }

 private:
  std::unique_ptr<media::VideoReader> reader_;
  Status failed_;
};

std::string mode_of(int channels) {
  if (channels == 1) return "L";
  return channels == 4 ? "RGBA" : "RGB";
}

/// (channels as stored, (height, width)) of a JPEG, PNG or WebP; NotImplementedError for other formats.
nb::tuple probe_image(const nb::bytes& bytes, const std::string& name) {
  Result<media::ImageInfo> info = media::probe_image(span_of(bytes), name);
  check(info.status());
  return nb::make_tuple(info->channels, HeightWidth{info->size.height, info->size.width});
}

/// The pixels as an array of height x width (x channels).
Picture decode_image(const nb::bytes& bytes, const std::string& name, std::optional<HeightWidth> size,
                     std::optional<std::string> mode, const std::string& filter) {
  media::ImageOptions options;
  options.filter = filter_from(filter);
  if (size) options.size = {size->second, size->first};
  Result<media::Image> image = Status(Code::kInternal, "not decoded");
  std::span<const uint8_t> data = span_of(bytes);
  if (!mode) {
    Result<media::ImageInfo> info = media::probe_image(data, name);
    check(info.status());
    mode = mode_of(info->channels);
  }
  options.format = format_from(*mode);
  {
    nb::gil_scoped_release released;
    image = media::decode_image(data, name, options);
  }
  check(image.status());
  auto* kept = new media::Image(std::move(*image));
  nb::capsule owner(kept, [](void* raw) noexcept { delete static_cast<media::Image*>(raw); });
  size_t depth = media::channels(kept->format);
  size_t shape[3] = {static_cast<size_t>(kept->size.height), static_cast<size_t>(kept->size.width), depth};
  return Picture(kept->pixels.data(), depth == 1 ? 2 : 3, shape, owner);
}

}  // namespace

void add_media(nb::module_& module) {
  nb::class_<Clip>(module, "Clip", "A clip read frame by frame; it is never held whole.")
      .def(nb::init<const std::string&, std::optional<HeightWidth>, double, const std::string&, bool, int>(),
           "path"_a, "size"_a = nb::none(), "fps"_a = 0.0, "filter"_a = "bilinear", "letterbox"_a = false,
           "threads"_a = 1)
      .def_prop_ro("size", &Clip::size, "(height, width) of the frames handed out.")
      .def_prop_ro("fps", &Clip::fps, "Average frames a second, 0 if unknown.")
      .def_prop_ro("frames", &Clip::frames, "Frames as the container says, unchecked.")
      .def("read", &Clip::read, "pixels"_a, "Decodes one frame for each row; (numbers, seconds).")
      .def("finish", &Clip::finish, "Raises the error that cut the last read() short.");
  module.def("probe_image", probe_image, "bytes"_a, "name"_a, "(channels, (height, width))");
  module.def("decode_image", decode_image, "bytes"_a, "name"_a, "size"_a = nb::none(), "mode"_a = nb::none(),
             "filter"_a = "bilinear", "A JPEG, PNG or WebP as an array of pixels.");
}

}  // namespace mobula::data::python
