// What the public media functions share: options and tensors as the words of data/media, and its Status as an
// exception. Any thread. Tests: api_media_test.cc.
#pragma once

#include <mobula/media.h>
#include <mobula/tensor.h>

#include <utility>

#include "base/status.h"
#include "data/media/media.h"

namespace mobula::inline v1::internal {

media::Fit fit_of(Fit fit);
media::Filter filter_of(Filter filter);
media::PixelFormat format_of(PixelFormat format);

/// A tensor of a picture: uint8, height x width, or height x width x 1, 3 or 4. RayValueException for any
/// other; `what` begins the message.
media::ImageView view_of(const Tensor& picture, const char* what);
/// The same to draw on: RGB, in its own memory.
media::ImageSpan canvas_of(Tensor& picture, const char* what);
/// height x width x channels, in memory of its own.
Tensor tensor_of(const media::Image& image);

/// MediaException for anything but ok.
void expect_media(const Status& status);
template <typename T>
T unwrap_media(Result<T> result) {
  expect_media(result.status());
  return std::move(result).value();
}

}  // namespace mobula::inline v1::internal
