// Separable resampling with the arithmetic of Pillow's Resample.c: weights in doubles, normalised, rounded to
// 22 bits of fraction; the rows first, then the columns, each rounded to 8 bits. RGBA is resampled with its
// colours multiplied by alpha. Tests: image_test.cc.
#include "data/media/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace mobula::media {
namespace {

constexpr int kFractionBits = 32 - 8 - 2;

/// The weights of the source positions that make one target position.
struct Span {
  int first = 0;
  int count = 0;
  size_t weights = 0;  // index of the first in Weights::values
};

struct Weights {
  std::vector<Span> spans;
  std::vector<int> values;
};

double support_of(Filter filter) {
  switch (filter) {
    case Filter::kArea:
      return 0.5;
    case Filter::kBicubic:
      return 2;
    default:
      return 1;
  }
}

double weight_at(Filter filter, double x) {
  if (filter == Filter::kArea) return x > -0.5 && x <= 0.5 ? 1 : 0;
  x = std::abs(x);
  if (filter == Filter::kBilinear) return x < 1 ? 1 - x : 0;
  constexpr double kA = -0.5;
  if (x < 1) return ((kA + 2) * x - (kA + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * kA;
  return 0;
}

Weights weights_for(int from, int to, Filter filter) {
  const double scale = static_cast<double>(from) / to;
  const double stretch = std::max(scale, 1.0);
  const double support = support_of(filter) * stretch;
  Weights made;
  std::vector<double> row;
  for (int i = 0; i < to; ++i) {
    const double centre = (i + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(centre - support + 0.5));
    const int end = std::min(from, static_cast<int>(centre + support + 0.5));
    row.clear();
    double sum = 0;
    for (int j = first; j < end; ++j) {
      row.push_back(weight_at(filter, (j - centre + 0.5) * (1 / stretch)));
      sum += row.back();
    }
    made.spans.push_back({first, static_cast<int>(row.size()), made.values.size()});
    for (double weight : row) {
      if (sum != 0) weight /= sum;
      made.values.push_back(static_cast<int>(weight * (1 << kFractionBits) + (weight < 0 ? -0.5 : 0.5)));
    }
  }
  return made;
}

uint8_t rounded(int sum) { return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255)); }

constexpr int kHalf = 1 << (kFractionBits - 1);

template <size_t kChannels>
void resample_row(const uint8_t* from, uint8_t* to, const Weights& weights) {
  for (const Span& span : weights.spans) {
    int sums[kChannels];
    std::fill_n(sums, kChannels, kHalf);
    const uint8_t* pixel = from + static_cast<size_t>(span.first) * kChannels;
    const int* weight = weights.values.data() + span.weights;
    for (int j = 0; j < span.count; ++j, pixel += kChannels) {
      for (size_t c = 0; c < kChannels; ++c) sums[c] += pixel[c] * weight[j];
    }
    for (size_t c = 0; c < kChannels; ++c) *to++ = rounded(sums[c]);
  }
}

void resample_rows(const ImageView& from, const ImageSpan& to, const Weights& weights) {
  const size_t bytes = channels(from.format);
  const size_t stride_in = static_cast<size_t>(from.size.width) * bytes;
  const size_t stride_out = static_cast<size_t>(to.size.width) * bytes;
  for (int y = 0; y < from.size.height; ++y) {
    const uint8_t* in = from.pixels.data() + static_cast<size_t>(y) * stride_in;
    uint8_t* out = to.pixels.data() + static_cast<size_t>(y) * stride_out;
    if (bytes == 1) resample_row<1>(in, out, weights);
    if (bytes == 3) resample_row<3>(in, out, weights);
    if (bytes == 4) resample_row<4>(in, out, weights);
  }
}

void resample_columns(const ImageView& from, const ImageSpan& to, const Weights& weights) {
  const size_t stride = static_cast<size_t>(from.size.width) * channels(from.format);
  std::vector<int> sums(stride);
  for (size_t y = 0; y < weights.spans.size(); ++y) {
    const Span& span = weights.spans[y];
    std::fill(sums.begin(), sums.end(), kHalf);
    for (int j = 0; j < span.count; ++j) {
      const uint8_t* in = from.pixels.data() + static_cast<size_t>(span.first + j) * stride;
      const int weight = weights.values[span.weights + static_cast<size_t>(j)];
      for (size_t x = 0; x < stride; ++x) sums[x] += in[x] * weight;
    }
    uint8_t* out = to.pixels.data() + y * stride;
    for (size_t x = 0; x < stride; ++x) out[x] = rounded(sums[x]);
  }
}

void resample(ImageView from, const ImageSpan& to, Filter filter) {
  Image narrow;
  if (from.size.width != to.size.width) {
    narrow = {{to.size.width, from.size.height}, from.format, {}};
    narrow.pixels.resize(picture_bytes(narrow.size, narrow.format));
    const ImageSpan target = from.size.height == to.size.height ? to : narrow.span();
    resample_rows(from, target, weights_for(from.size.width, to.size.width, filter));
    from = narrow.view();
  }
  if (from.size.height != to.size.height) {
    resample_columns(from, to, weights_for(from.size.height, to.size.height, filter));
  }
}

void sample(const ImageView& from, const ImageSpan& to) {
  const size_t bytes = channels(from.format);
  const std::vector<int> columns = nearest_positions(from.size.width, to.size.width);
  uint8_t* out = to.pixels.data();
  for (int row : nearest_positions(from.size.height, to.size.height)) {
    const uint8_t* in =
        from.pixels.data() + static_cast<size_t>(row) * static_cast<size_t>(from.size.width) * bytes;
    for (int column : columns) {
      std::memcpy(out, in + static_cast<size_t>(column) * bytes, bytes);
      out += bytes;
    }
  }
}

/// Pillow's "RGBA" to "RGBa".
void multiply_by_alpha(std::span<uint8_t> pixels) {
  for (size_t i = 0; i + 3 < pixels.size(); i += 4) {
    for (size_t c = 0; c < 3; ++c) {
      const unsigned product = pixels[i + c] * unsigned{pixels[i + 3]} + 128;
      pixels[i + c] = static_cast<uint8_t>(((product >> 8) + product) >> 8);
    }
  }
}

/// Pillow's "RGBa" to "RGBA".
void divide_by_alpha(std::span<uint8_t> pixels) {
  for (size_t i = 0; i + 3 < pixels.size(); i += 4) {
    const unsigned alpha = pixels[i + 3];
    if (alpha == 0 || alpha == 255) continue;
    for (size_t c = 0; c < 3; ++c)
      pixels[i + c] = static_cast<uint8_t>(std::min(255U, pixels[i + c] * 255U / alpha));
  }
}

}  // namespace

Status resize(const ImageView& from, const ImageSpan& to, Filter filter) {
  TRY(check_size(from.size, "the picture to resize"));
  TRY(check_size(to.size, "the wanted picture"));
  if (from.format != to.format || from.pixels.size() != picture_bytes(from.size, from.format) ||
      to.pixels.size() != picture_bytes(to.size, to.format)) {
    return {Code::kInvalid, "resize needs two pictures of one pixel format, each with all its pixels"};
  }
  if (from.size == to.size) {
    std::memcpy(to.pixels.data(), from.pixels.data(), from.pixels.size());
  } else if (filter == Filter::kNearest) {
    sample(from, to);
  } else if (from.format == PixelFormat::kRgba32) {
    std::vector<uint8_t> multiplied(from.pixels.begin(), from.pixels.end());
    multiply_by_alpha(multiplied);
    resample({from.size, from.format, multiplied}, to, filter);
    divide_by_alpha(to.pixels);
  } else {
    resample(from, to, filter);
  }
  return {};
}

Status resize_to_fit(const ImageView& from, const ImageSpan& to, Filter filter, Fit fit) {
  TRY(check_size(from.size, "the picture to resize"));
  TRY(check_size(to.size, "the wanted picture"));
  const Rect inner = place(from.size, to.size, fit);
  if (inner.size == to.size) return resize(from, to, filter);
  if (to.pixels.size() != picture_bytes(to.size, to.format)) {
    return {Code::kInvalid, "the memory does not fit the wanted picture"};
  }
  Image fitted{inner.size, from.format, std::vector<uint8_t>(picture_bytes(inner.size, from.format))};
  TRY(resize(from, fitted.span(), filter));
  std::memset(to.pixels.data(), 0, to.pixels.size());
  const size_t bytes = channels(to.format);
  const size_t row_bytes = static_cast<size_t>(inner.size.width) * bytes;
  for (int y = 0; y < inner.size.height; ++y) {
    const size_t row = static_cast<size_t>(inner.top + y) * static_cast<size_t>(to.size.width);
    std::memcpy(to.pixels.data() + (row + static_cast<size_t>(inner.left)) * bytes,
                fitted.pixels.data() + static_cast<size_t>(y) * row_bytes, row_bytes);
  }
  return {};
}

}  // namespace mobula::media
